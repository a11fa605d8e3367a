package idspace_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// FuzzRewrite: whatever comes, there is no panic; what is refused is no resource; what is accepted stays JSON, says the same but for
// what may change, and knows what it was.
func FuzzRewrite(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Patient","id":"1","meta":{"tag":[{"system":"x"}],"source":"y"},"identifier":[{"value":"z"}],"a":{"reference":"Patient\/1"}}`,
		`{"resourceType":"Bundle","entry":[{"fullUrl":"https://fhir.example.org/r4/Patient/1","resource":{"resourceType":"Patient","id":"1","a":{"reference":"https://fhir.example.org/r4/Group/2"}}}]}`,
		`{"resourceType":"Parameters","parameter":[{"part":[{"resource":{"resourceType":"Patient","id":"\u00e9"}}]}]}`,
		`{"resourceType":"Patient","id":"1","text":{"div":"<div><a href=\"Patient/1\">x<\/a><img src='Binary&#47;2'/>"},"photo":[{"url":"Binary/1"}]}`,
		`{"resourceType":"Patient","id":"\ud800","meta":null}`,
		`{"id":"1","resourceType":"Patient","meta":{"tag":{"system":"` + idspace.OriginalSystem + `"},"source":"` + idspace.SourcePrefix + `a/Patient/2"},"meta":{"tag":7}}`,
	} {
		f.Add([]byte(s))
	}
	spaces := everySpace(f, "https://fhir.example.org/r4")
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		valid := jsonscan.Valid(raw) == nil
		for _, space := range spaces {
			out, err := space.Rewrite(raw)
			again := 0
			for shared, sharedErr := range space.RewriteAll(slices.Values([][]byte{raw, raw})) {
				if again++; !bytes.Equal(shared.Raw, out.Raw) || (sharedErr == nil) != (err == nil) || shared.NewID != out.NewID || len(shared.Raw) != cap(shared.Raw) {
					t.Fatalf("alone %q, %v; together %q, %v", out.Raw, err, shared.Raw, sharedErr)
				}
				clear(shared.Raw) // which is nobody else's
			}
			if again != 2 {
				t.Fatalf("%d results", again)
			}
			_, originalOK := space.Original(raw)
			_, identErr := idspace.Identifiers(raw)
			if !bytes.Equal(raw, before) {
				t.Fatal("the input was written to")
			}
			if err != nil {
				if out.Raw != nil || valid && strings.Contains(err.Error(), "jsonscan") {
					t.Fatalf("%v, with %q", err, out.Raw)
				}
				continue
			}
			if !valid || identErr != nil {
				t.Fatalf("accepted: %v", identErr)
			}
			if err := jsonscan.Valid(out.Raw); err != nil {
				t.Fatalf("%v in %s", err, out.Raw)
			}
			head, _ := jsonscan.Head(out.Raw)
			if head.ResourceType != out.Type || head.ID != out.NewID || (out.ID == "") != (out.NewID == "") {
				t.Fatalf("is %v, said %v %v", head, out.Type, out.NewID)
			}
			got, ok := space.Original(out.Raw)
			if ok != (out.ID != "") || ok && (got.Type != out.Type || got.ID != out.ID) || originalOK && got.ID != head.ID && got.ID == "" {
				t.Fatalf("original of %s is %v, %v", out.Raw, got, ok)
			}
			if out.ID != "" && out.NewID != space.ID(out.Type, out.ID) {
				t.Fatalf("%q became %q", out.ID, out.NewID)
			}
			checkValues(t, raw, out.Raw)
			var m idspace.Mapping
			if err := m.Add(out.Pairs...); err != nil {
				t.Fatal(err)
			}
			if back, err := m.Restore(out.Raw); err != nil {
				t.Fatal(err)
			} else if head, err := jsonscan.Head(back); err != nil || head.ID != out.ID {
				t.Fatalf("restored: %q, %v", head.ID, err)
			}
		}
	})
}

// mayChange are the names under which strings may change; under meta and identifier something may come in as well.
var mayChange = map[string]bool{
	"id": true, "reference": true, "url": true, "valueUri": true, "valueUrl": true, "fullUrl": true, "location": true, "div": true,
	"system": true, "meta": true, "identifier": true,
}

// checkValues compares what two texts say by way of encoding/json.
func checkValues(t *testing.T, a, b []byte) {
	t.Helper()
	var x, y any
	da, db := json.NewDecoder(bytes.NewReader(a)), json.NewDecoder(bytes.NewReader(b))
	da.UseNumber()
	db.UseNumber()
	if da.Decode(&x) != nil || db.Decode(&y) != nil {
		return // nested deeper than encoding/json has it, at most
	}
	compareValues(t, x, y, "")
}

func compareValues(t *testing.T, x, y any, key string) {
	t.Helper()
	switch x := x.(type) {
	case map[string]any:
		other, ok := y.(map[string]any)
		if !ok {
			t.Fatalf("%s is no object any more", key)
		}
		for k, v := range x {
			if k != "meta" && k != "identifier" {
				compareValues(t, v, other[k], k)
			}
		}
		for k := range other {
			if _, ok := x[k]; !ok && k != "meta" && k != "identifier" {
				t.Fatalf("%s has come in", k)
			}
		}
	case []any:
		other, ok := y.([]any)
		if !ok || len(x) != len(other) {
			t.Fatalf("%s is another array", key)
		}
		for i := range x {
			compareValues(t, x[i], other[i], key)
		}
	case string:
		if s, ok := y.(string); !ok || s != x && !mayChange[key] {
			t.Fatalf("%s: %q became %v", key, x, y)
		}
	default:
		if x != y {
			t.Fatalf("%s: %v became %v", key, x, y)
		}
	}
}
