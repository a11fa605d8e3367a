package quirks_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// whole is an entry that is right; tests spoil it.
const whole = `{
  "id": "example",
  "name": "Example",
  "match": [{"baseURL": "https://*.example.org/fhir/**"}, {"software": "Example*"}],
  "set": {
    "headers": [{"name": "X-Tenant", "var": "tenant"}],
    "types": {"Observation": {"fanOut": {"param": "category", "values": ["laboratory"]}}},
    "errors": [{"status": [400], "code": "4113", "class": "restart"}],
    "rate": {"limits": [{"requests": 100, "per": "1m"}]}
  },
  "sources": [
    {"url": "https://docs.example.org/fhir", "confidence": "documented", "says": "all of it",
     "fields": ["headers", "types.Observation", "errors", "rate"]}
  ],
  "notes": [{"why": "tokens are the caller's",
    "source": {"id": "short", "about": "auth-token", "confidence": "observed", "seen": "2026-11", "says": "watched"}}]
}`

func TestParse(t *testing.T) {
	t.Parallel()
	entries, err := quirks.Parse("example.json", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Fatalf("%d entries, want 1", len(entries))
	}
	e := entries[0]
	if got := *e.Set.Types["Observation"].FanOut.Param; got != "category" {
		t.Errorf("fanOut.param = %q", got)
	}
	if diff := cmp.Diff([]string{"tenant"}, e.Set.Vars()); diff != "" {
		t.Errorf("Vars (-want +got):\n%s", diff)
	}
	list, err := quirks.Parse("list.json", []byte("["+whole+"]"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(entries, list); diff != "" {
		t.Errorf("a list of one differs (-one +list):\n%s", diff)
	}
}

// Each mistake is named with file, line and field.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old, spoiled string
		field, problem     string
	}{
		{"unknown field", `"name": "Example"`, `"name": "Example", "title": "x"`, "title", "no such field"},
		{"unknown field deep inside", `"param": "category"`, `"parm": "category"`, "set.types.Observation.fanOut.parm", "no such field"},
		{"wrong type", `"per": "1m"`, `"per": 60`, "set.rate.limits[0].per", "want a text, not a number"},
		{"list for a text", `"param": "category"`, `"param": ["category"]`, "set.types.Observation.fanOut.param", "want a text, not a list"},
		{"text for a list", `["laboratory"]`, `"laboratory"`, "set.types.Observation.fanOut.values", "want a list, not a text"},
		{"fraction", `"requests": 100`, `"requests": 1.5`, "set.rate.limits[0].requests", "want a whole number"},
		{"null", `"param": "category"`, `"param": null`, "set.types.Observation.fanOut.param", "null"},
		{"twice", `"status": [400]`, `"status": [400], "status": [401]`, "set.errors[0].status", "twice"},
		{"no evidence", `"errors", "rate"]`, `"errors"]`, "set.rate.limits", "no evidence"},
		{"evidence for nothing", `"errors", "rate"]`, `"errors", "rate", "paging"]`, "sources[0].fields", "does not have"},
		{"no address", `"url": "https://docs.example.org/fhir", `, ``, "sources[0].url", "missing"},
		{"no confidence", `"confidence": "documented", `, ``, "sources[0].confidence", "missing"},
		{"unknown confidence", `"documented"`, `"sure"`, "sources[0].confidence", "want one of documented"},
		{"observed without a date", `, "seen": "2026-11"`, ``, "notes[0].source.seen", "missing"},
		{"every host", `https://*.example.org/fhir/**`, `https://*/fhir/**`, "match[0].baseURL", "every host"},
		{"every host, in labels", `https://*.example.org/fhir/**`, `https://*.*/fhir`, "match[0].baseURL", "every host"},
		{"every host of a kind", `https://*.example.org/fhir/**`, `https://*.org/fhir`, "match[0].baseURL", "every host"},
		{"every software", `"software": "Example*"`, `"software": "*"`, "match[1]", "fits every server"},
		{"version alone", `"software": "Example*"`, `"version": "4"`, "match[1]", "fits every server"},
		{"no pattern", `https://*.example.org/fhir/**`, `example.org`, "match[0].baseURL", "want a base URL"},
		{"Authorization", `"X-Tenant"`, `"authorization"`, "set.headers[0].name", "cannot set"},
		{"Host", `"X-Tenant"`, `"Host"`, "set.headers[0].name", "cannot set"},
		{"header injection", `"X-Tenant"`, `"X: y\r\nAuthorization"`, "set.headers[0].name", "name of a header"},
		{"value injection", `"var": "tenant"`, `"value": "x\r\nAuthorization: y"`, "set.headers[0].value", "control character"},
		{"two values", `"var": "tenant"`, `"var": "tenant", "value": "x"`, "set.headers[0]", "exactly one"},
		{"another method", `"X-Tenant"`, `"X-HTTP-Method-Override"`, "set.headers[0].name", "cannot set"},
		{"another path", `"X-Tenant"`, `"X-Original-URL"`, "set.headers[0].name", "cannot set"},
		{"another host", `"X-Tenant"`, `"X-Forwarded-Host"`, "set.headers[0].name", "cannot set"},
		{"a filter as a fixed parameter", `"headers": [{"name": "X-Tenant", "var": "tenant"}]`, `"params": [{"name": "status", "value": "active"}]`, "set.params[0].name", "selects resources"},
		{"a raw value that ends the parameter", `"headers": [{"name": "X-Tenant", "var": "tenant"}]`, `"params": [{"name": "t", "value": "a&patient=b", "raw": true}]`, "set.params[0].value", "as it is"},
		{"every error is an empty answer", `"status": [400], "code": "4113", "class": "restart"`, `"status": [404, 500], "class": "empty"`, "set.errors[0]", "says too little"},
		{"a total that is none", `"rate": {`, `"paging": {"total": "many"}, "rate": {`, "set.paging.total", "want one of matches"},
		{"pages by number without a parameter", `"rate": {`, `"paging": {"style": "page"}, "rate": {`, "set.paging.pageParam", "is missing"},
		{"no class", `, "class": "restart"`, ``, "set.errors[0].class", "missing"},
		{"unknown class", `"restart"`, `"ignore"`, "set.errors[0].class", "want one of empty"},
		{"401", `[400]`, `[401]`, "set.errors[0].status", "about the token"},
		{"rule for every answer", `"status": [400], "code": "4113", `, ``, "set.errors[0]", "fits every answer"},
		{"bad type name", `"Observation": {`, `"observation": {`, "set.types.observation", "resource type"},
		{"bad id", `"id": "example"`, `"id": "Example Server"`, "id", "small letters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(whole, c.old) {
				t.Fatalf("the entry does not hold %s", c.old)
			}
			text := strings.Replace(whole, c.old, c.spoiled, 1)
			_, err := quirks.Parse("spoiled.json", []byte(text))
			if err == nil {
				t.Fatal("accepted")
			}
			if _, ok := errors.AsType[*quirks.FileError](err); !ok {
				t.Errorf("the error is no *FileError: %v", err)
			}
			for _, want := range []string{"spoiled.json:", c.field, c.problem} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
		})
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	t.Parallel()
	_, err := quirks.Parse("a.json", []byte(strings.Replace(whole, `"X-Tenant"`, `"Authorization"`, 1)))
	fail, ok := errors.AsType[*quirks.FileError](err)
	if !ok || fail.Line != 6 {
		t.Errorf("want line 6: %v", err)
	}
	_, err = quirks.Parse("a.json", []byte("{\n\"id\": \"x\",\n]"))
	if fail, ok = errors.AsType[*quirks.FileError](err); !ok || fail.Line != 3 {
		t.Errorf("want line 3: %v", err)
	}
}

func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"deep":    strings.Repeat("[", 100_000),
		"large":   `{"id":"` + strings.Repeat("x", 2<<20) + `"}`,
		"long":    strings.Replace(whole, "all of it", strings.Repeat("x", 10_000), 1),
		"nothing": "", "another": whole + whole, "number": "7",
	} {
		if _, err := quirks.Parse("a.json", []byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	other := strings.Replace(whole, `"id": "example"`, `"id": "other"`, 1)
	r, err := quirks.Load(fstest.MapFS{"a.json": file(whole), "b.json": file(other), "README.md": file("no JSON"), "sub/c.json": file("no JSON")})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Entries()); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
	_, err = quirks.Load(fstest.MapFS{"a.json": file(whole), "b.json": file(whole)})
	if err == nil || !strings.Contains(err.Error(), "b.json") || !strings.Contains(err.Error(), "a.json already") {
		t.Errorf("one id in two files: %v", err)
	}
	_, err = quirks.Load(fstest.MapFS{"a.json": file(`{"id": 1}`), "b.json": file(`{"id": 2}`)})
	if err == nil || !strings.Contains(err.Error(), "a.json") || !strings.Contains(err.Error(), "b.json") {
		t.Errorf("both files are wrong: %v", err)
	}
}

func TestShippedEntriesAreValid(t *testing.T) {
	t.Parallel()
	if _, err := quirks.Load(quirks.Shipped()); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("[" + whole + "]")
	f.Add(`{"set":{"types":{"*":{"required":{"a":"b"}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := quirks.Parse("f.json", []byte(text))
		if err != nil {
			return
		}
		// What is accepted can be used.
		r, err := quirks.New(entries...)
		if err != nil {
			return // two with one id.
		}
		set, _ := r.Lookup("https://a.example.org/fhir/x", &quirks.Capabilities{SoftwareName: "Example"})
		if err := set.Validate(); err != nil && len(entries) == 1 {
			t.Fatalf("accepted, and not valid: %v", err)
		}
	})
}
