package fhirsync_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// odd is a server that has a Patient p and whatever answer says; everything else finds nothing.
type odd struct {
	t *testing.T
	// answer gives the body for a path below the base; "" for what an honest server without data would say.
	answer   func(path string, q url.Values, req *http.Request) string
	strategy fhirsync.Strategy // nil: SearchByType
	typ      string            // Content-Type; "": FHIR JSON in UTF-8
	ctx      context.Context   //nolint:containedctx // of the sync; nil: the test's
}

const oddBase = "https://odd.example.org/fhir"

func (o odd) RoundTrip(req *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(req.URL.Path, "/fhir/")
	q := req.URL.Query()
	status, body := http.StatusOK, o.answer(path, q, req)
	if body == "" {
		switch {
		case path == "metadata":
			body = oddMetadata
		case path == "Patient/p":
			body = `{"resourceType":"Patient","id":"p"}`
		case strings.Contains(path, "/"):
			status, body = http.StatusNotFound, fmt.Sprintf(refusal, "not-found")
		default:
			body = `{"resourceType":"Bundle","type":"searchset","total":0,"link":[{"relation":"self","url":"` + req.URL.String() + `"}]}`
		}
	}
	typ := o.typ
	if typ == "" {
		typ = "application/fhir+json; charset=utf-8"
	}
	header := http.Header{"Content-Type": {typ}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
}

const oddMetadata = `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"mode":"server","resource":[
	{"type":"Patient","interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"_id"}]},
	{"type":"Observation","interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"patient"}]}]}]}`

// sync pulls the patient into a store.
func (o odd) sync(store fhirsync.Store) *fhirsync.Report {
	o.t.Helper()
	var rep *fhirsync.Report
	synctest.Test(o.t, func(t *testing.T) {
		strategy := o.strategy
		if strategy == nil {
			strategy = fhirsync.SearchByType()
		}
		c, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: o}, Limit: ratelimit.Policy{Rate: -1, Concurrency: 4}, Strategy: strategy})
		if err != nil {
			t.Fatal(err)
		}
		ctx := o.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		rep, err = c.Sync(ctx, fhirsync.Server{Name: "odd", BaseURL: oddBase}, "p", store, nil)
		if rep == nil {
			t.Fatal(err)
		}
	})
	return rep
}

// answering answers the search for Observations with a body, and counts with n.
func answering(body string, n int) func(string, url.Values, *http.Request) string {
	return func(path string, q url.Values, _ *http.Request) string {
		switch {
		case path != "Observation" || !q.Has("patient") && !q.Has("subject"):
			return ""
		case q.Get("_summary") == "count":
			return fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","total":%d}`, n)
		}
		return body
	}
}

// pageOf makes a searchset of entries.
func pageOf(entries ...string) string {
	return fmt.Sprintf(`{"resourceType":"Bundle","type":"searchset","total":%d,"link":[{"relation":"self","url":"%s/Observation?patient=p"}],"entry":[%s]}`,
		len(entries), oddBase, strings.Join(entries, ","))
}

const about = `"status":"final","subject":{"reference":"Patient/p"}`

// A resource without an id gets that of its fullUrl. What it was before is in quarantine and in Resource.Original, the report counts the
// repair, and nothing of it is lost on the way through JSON.
func TestIDFromFullURL(t *testing.T) {
	t.Parallel()
	const before = `{"resourceType":"Observation",` + about + `,"valueQuantity":{"value":1.50}}`
	page := pageOf(`{"fullUrl":"`+oddBase+`/Observation/o1","resource":`+before+`,"search":{"mode":"match"}}`,
		`{"fullUrl":"`+oddBase+`/Observation/o2","resource":{"resourceType":"Observation","id":"o2",`+about+`,"hasMember":[{"reference":"Observation/o1"}]}}`)
	store := new(memstore.Store)
	rep := odd{t: t, answer: answering(page, 2)}.sync(store)
	if rep.Verdict != fhirsync.Complete || rep.Types["Observation"].Received != 2 {
		t.Fatal(rep)
	}
	got, ok := store.Get(fhirsync.Key{Server: "odd", Type: "Observation", ID: "o1"})
	want := fhirsync.Resource{
		Key: got.Key, Raw: []byte(`{"id":"o1",` + before[1:]), Original: []byte(before),
		Repairs: []fhirsync.Repair{{Kind: fhirsync.RepairID, Path: "Observation.id", Offset: 1}},
		Digest:  sha256.Sum256([]byte(before)), Origin: got.Origin,
	}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	quarantined := store.Quarantined()
	if len(quarantined) != 1 || string(quarantined[0].Raw) != before || quarantined[0].ID != "o1" || len(quarantined[0].Repairs) != 1 {
		t.Errorf("in quarantine: %+v", quarantined)
	}
	if diff := cmp.Diff(map[fhirsync.RepairKind]int{fhirsync.RepairID: 1}, rep.Repairs); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if text := rep.String(); !strings.Contains(text, "  repaired: 1 id-from-url\n") {
		t.Errorf("the text says\n%s", text)
	}
	raw, err := json.Marshal(rep)
	back := new(fhirsync.Report)
	if err != nil || json.Unmarshal(raw, back) != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rep.Repairs, back.Repairs); diff != "" {
		t.Errorf("after JSON (-before +after)\n%s", diff)
	}

	// The second sync finds nothing changed, and what was before the repair is not kept again.
	rep = odd{t: t, answer: answering(page, 2)}.sync(store)
	if n := rep.Types["Observation"].Unchanged; n != 2 || len(store.Quarantined()) != 1 {
		t.Errorf("%d unchanged, %d in quarantine", n, len(store.Quarantined()))
	}

	// In a space of its own it is found by the references to it.
	space := namespacedSpace(t, idspace.Options{Name: "odd", Bases: []string{oddBase}})
	spaced := new(memstore.Store)
	rep = odd{t: t, answer: answering(page, 2)}.sync(fhirsync.Namespaced(spaced, space))
	one, ok1 := spaced.Get(fhirsync.Key{Server: "odd", Type: "Observation", ID: space.ID("Observation", "o1")})
	two, ok2 := spaced.Get(fhirsync.Key{Server: "odd", Type: "Observation", ID: space.ID("Observation", "o2")})
	if rep.Verdict != fhirsync.Complete || !ok1 || !ok2 || !bytes.Contains(two.Raw, []byte(`"Observation/`+one.ID+`"`)) || string(one.Original) != before {
		t.Errorf("%s\n%s\n%s", one.Raw, two.Raw, rep)
	}
}

// A byte order mark is no part of what comes after it.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	const resource = `{"resourceType":"Observation","id":"o1",` + about + `}`
	store := new(memstore.Store)
	rep := odd{t: t, answer: answering("\xEF\xBB\xBF"+pageOf(`{"resource":`+resource+`}`), 1)}.sync(store)
	got, _ := store.Get(fhirsync.Key{Server: "odd", Type: "Observation", ID: "o1"})
	if rep.Verdict != fhirsync.Complete || string(got.Raw) != resource || got.Original != nil || rep.Repairs[fhirsync.RepairBOM] != 1 {
		t.Errorf("%s\n%s", got.Raw, rep)
	}
}

// What servers write wrong, and what becomes of it: home, with what was repaired, or a gap.
func TestRepairs(t *testing.T) {
	t.Parallel()
	const o1 = `{"resourceType":"Observation","id":"o1",` + about
	entry := func(resource string) string {
		return `{"fullUrl":"` + oddBase + `/Observation/o1","resource":` + resource + `,"search":{"mode":"match"}}`
	}
	in := func(kind fhirsync.RepairKind, path string, offset int) []fhirsync.Repair {
		return []fhirsync.Repair{{Kind: kind, Path: path, Offset: offset}}
	}
	at := len(o1)
	utf16 := func(text string) string {
		out := []byte("\xFF\xFE")
		for _, u := range text {
			out = append(out, byte(u), byte(u>>8)) // all of it is in the basic plane.
		}
		return string(out)
	}
	for name, tt := range map[string]struct {
		body, typ string
		raw       string // of Observation/o1 in the store
		original  string // "": the same
		repairs   []fhirsync.Repair
		report    map[fhirsync.RepairKind]int // beside those
	}{
		"UTF-16": {
			body: utf16(pageOf(entry(o1 + `,"note":[{"text":"é€"}]}`))), raw: o1 + `,"note":[{"text":"é€"}]}`,
			original: utf16(o1 + `,"note":[{"text":"é€"}]}`)[2:], repairs: in(fhirsync.RepairUTF16, "", 0),
		},
		"UTF-16 without a byte order mark": {
			body: utf16(pageOf(entry(o1 + `,"note":[{"text":"é€"},]}`)))[2:], raw: o1 + `,"note":[{"text":"é€"}]}`, original: utf16(o1 + `,"note":[{"text":"é€"},]}`)[2:],
			repairs: append(in(fhirsync.RepairUTF16, "", 0), in(fhirsync.RepairComma, "Observation.note[0]", at+25)...),
		},
		"Latin-1 that says so": {
			typ: "application/fhir+json; charset=ISO-8859-1", body: pageOf(entry(o1+",\"note\":[{\"text\":\"\xE9\x80\"}]}"), entry(strings.ReplaceAll(o1, "o1", "o2")+"}")),
			raw: o1 + `,"note":[{"text":"é€"}]}`, original: o1 + ",\"note\":[{\"text\":\"\xE9\x80\"}]}", repairs: in(fhirsync.RepairLatin1, "", 0),
		},
		"Latin-1 that says it is UTF-8": {
			body: pageOf(entry(o1 + ",\"note\":[{\"text\":\"caf\xE9\"}]}")), raw: o1 + `,"note":[{"text":"café"}]}`, original: o1 + ",\"note\":[{\"text\":\"caf\xE9\"}]}",
			repairs: in(fhirsync.RepairLatin1, "Observation.note[0].text", at+21),
		},
		"bad UTF-8": {
			body: pageOf(entry(o1+",\"note\":[{\"text\":\"caf\xC3\"}]}"), entry(strings.ReplaceAll(o1, "o1", "o2")+`,"note":[{"text":"é"}]}`)),
			raw:  o1 + ",\"note\":[{\"text\":\"caf\uFFFD\"}]}", original: o1 + ",\"note\":[{\"text\":\"caf\xC3\"}]}", repairs: in(fhirsync.RepairUTF8, "Observation.note[0].text", at+21),
		},
		"a control character": {
			body: pageOf(entry(o1 + ",\"note\":[{\"text\":\"a\tb\"}]}")), raw: o1 + `,"note":[{"text":"a\tb"}]}`, original: o1 + ",\"note\":[{\"text\":\"a\tb\"}]}",
			repairs: in(fhirsync.RepairControl, "Observation.note[0].text", at+19),
		},
		"a leading zero": {
			body: pageOf(entry(o1 + `,"valueQuantity":{"value":007.50}}`)), raw: o1 + `,"valueQuantity":{"value":7.50}}`, original: o1 + `,"valueQuantity":{"value":007.50}}`,
			repairs: in(fhirsync.RepairNumber, "Observation.valueQuantity.value", at+26),
		},
		"a trailing comma": {
			body: pageOf(entry(o1 + `,}`)), raw: o1 + `}`, original: o1 + `,}`, repairs: in(fhirsync.RepairComma, "Observation.subject", at),
		},
		"a trailing comma in the entry": {
			body: pageOf(`{"resource":` + o1 + `},}`), raw: o1 + `}`, report: map[fhirsync.RepairKind]int{fhirsync.RepairComma: 1},
		},
		"a trailing comma in the page": {
			body: strings.Replace(pageOf(entry(o1+`,}`)), "}]}", "},]}", 1), raw: o1 + `}`, original: o1 + `,}`, repairs: in(fhirsync.RepairComma, "Observation.subject", at),
			report: map[fhirsync.RepairKind]int{fhirsync.RepairComma: 1},
		},
		"comments": {
			body: "// page\n" + pageOf(entry(o1+`/* "x" */}`)), raw: o1 + ` }`, original: o1 + `/* "x" */}`, repairs: in(fhirsync.RepairComment, "Observation.subject", at),
			report: map[fhirsync.RepairKind]int{fhirsync.RepairComment: 1},
		},
		"a name without quotes": {
			body: pageOf(entry(strings.Replace(o1, `"status"`, `status`, 1) + `}`)), raw: o1 + `}`, original: strings.Replace(o1, `"status"`, `status`, 1) + `}`,
			repairs: in(fhirsync.RepairName, "Observation.status", strings.Index(o1, `"status"`)),
		},
		"half a character": {
			body: pageOf(entry(o1 + `,"note":[{"text":"a\ud83d"}]}`)), raw: o1 + `,"note":[{"text":"a\ufffd"}]}`, original: o1 + `,"note":[{"text":"a\ud83d"}]}`,
			repairs: in(fhirsync.RepairSurrogate, "Observation.note[0].text", at+19),
		},
		"a member that stands twice": {
			body: pageOf(entry(o1 + `,"valueQuantity":{"value":1,"value":2}}`)), raw: o1 + `,"valueQuantity":{"value":1,"value":2}}`,
			repairs: in(fhirsync.RepairDuplicate, "Observation.valueQuantity.value", at+29),
		},
		"a member that stands twice and says the same": {
			body: pageOf(entry(o1 + `,"valueQuantity":{"value":1,"value":1}}`)), raw: o1 + `,"valueQuantity":{"value":1,"value":1}}`,
		},
		"a resource where a Bundle was due": {
			body: o1 + `}`, raw: o1 + `}`, report: map[fhirsync.RepairKind]int{fhirsync.RepairBundle: 1},
		},
		"NDJSON": {
			body: o1 + "}\n" + strings.ReplaceAll(o1, "o1", "o2") + "}\n", raw: o1 + `}`, report: map[fhirsync.RepairKind]int{fhirsync.RepairBundle: 1},
		},
		"two Bundles": {
			body: pageOf(entry(o1+`}`)) + "\n" + pageOf(entry(strings.ReplaceAll(o1, "o1", "o2")+`}`)), raw: o1 + `}`,
			report: map[fhirsync.RepairKind]int{fhirsync.RepairBundle: 1, fhirsync.RepairNested: 2},
		},
		"a Bundle in a Bundle": {
			body: pageOf(`{"resource":` + pageOf(entry(o1+`}`)) + `}`), raw: o1 + `}`, report: map[fhirsync.RepairKind]int{fhirsync.RepairNested: 1},
		},
		"a broken resource in a Bundle in a Bundle": {
			body: pageOf(`{"resource":` + pageOf(entry(o1+`,}`)) + `}`), raw: o1 + `}`, original: o1 + `,}`, repairs: in(fhirsync.RepairComma, "Observation.subject", at),
			report: map[fhirsync.RepairKind]int{fhirsync.RepairNested: 1},
		},
		"entry as an object": {
			body: strings.NewReplacer("[{\"fullUrl", "{\"fullUrl", "}]}", "}}").Replace(pageOf(entry(o1 + `}`))), raw: o1 + `}`, report: map[fhirsync.RepairKind]int{fhirsync.RepairEntry: 1},
		},
		"no resourceType": {
			body: pageOf(`{"resource":{"id":"o1",` + about + `}}`), raw: `{"resourceType":"Observation","id":"o1",` + about + `}`, original: `{"id":"o1",` + about + `}`,
			repairs: in(fhirsync.RepairType, "Observation", 1),
		},
		"neither id nor resourceType, and a fullUrl": {
			body: pageOf(entry(`{` + about + `}`)), raw: `{"id":"o1","resourceType":"Observation",` + about + `}`, original: `{` + about + `}`,
			repairs: append(in(fhirsync.RepairType, "Observation", 1), in(fhirsync.RepairID, "Observation.id", 1)...),
		},
		"a fullUrl of a Bundle, and references that show that it is the id": {
			body: pageOf(`{"fullUrl":"urn:uuid:o1","resource":{"resourceType":"Observation",`+about+`}}`,
				`{"resource":`+strings.ReplaceAll(o1, "o1", "o2")+`,"hasMember":[{"reference":"Observation/o1"}]}}`),
			raw: `{"id":"o1","resourceType":"Observation",` + about + `}`, original: `{"resourceType":"Observation",` + about + `}`, repairs: in(fhirsync.RepairID, "Observation.id", 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := max(1, strings.Count(tt.body, `"id":"o2"`)+1)
			store := new(memstore.Store)
			rep := odd{t: t, typ: tt.typ, answer: answering(tt.body, n)}.sync(store)
			if rep.Types["Observation"].Received != n || rep.Types["Observation"].Stored != n || rep.Verdict != fhirsync.Complete {
				t.Errorf("received %d of %d\n%s", rep.Types["Observation"].Received, n, rep)
			}
			got, _ := store.Get(fhirsync.Key{Server: "odd", Type: "Observation", ID: "o1"})
			if string(got.Raw) != tt.raw || string(got.Original) != tt.original {
				t.Errorf("%q, before %q", got.Raw, got.Original)
			}
			if diff := cmp.Diff(tt.repairs, got.Repairs); diff != "" {
				t.Errorf("repairs (-want +got)\n%s", diff)
			}
			want := map[fhirsync.RepairKind]int{}
			for _, r := range tt.repairs {
				want[r.Kind]++
			}
			for kind, n := range tt.report {
				want[kind] += n
			}
			if diff := cmp.Diff(want, rep.Repairs, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the report (-want +got)\n%s", diff)
			}
			source := tt.original
			if source == "" {
				source = tt.raw
			}
			if got.Digest != sha256.Sum256([]byte(source)) {
				t.Error("the digest is not that of the source bytes")
			}
			if q := store.Quarantined(); (tt.original != "") != (len(q) > 0 && string(q[0].Raw) == tt.original) {
				t.Errorf("in quarantine: %+v", q)
			}
		})
	}
}

// What cannot be repaired without a guess is named, and kept as it came with what was asked for.
func TestQuarantine(t *testing.T) {
	t.Parallel()
	const o1 = `{"resourceType":"Observation","id":"o1",` + about
	entry := func(resource string) string {
		return `{"fullUrl":"` + oddBase + `/Observation/o1","resource":` + resource + `,"search":{"mode":"match"}}`
	}
	good := `{"resource":` + strings.ReplaceAll(o1, "o1", "o2") + `}}`
	const xml = `<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"><type value="searchset"/></Bundle>`
	for name, tt := range map[string]struct {
		search, read string // the answers
		kept, reason string
		query        string
		ref          string // of the gap
		stored       int
	}{
		"NaN, and the read has it too": {
			search: pageOf(entry(o1+`,"valueQuantity":{"value":NaN}}`), good), read: o1 + `,"valueQuantity":{"value":NaN}}`, stored: 1, ref: "Observation/o1",
			kept: o1 + `,"valueQuantity":{"value":NaN}}`, reason: "not valid JSON: NaN or Infinity, which JSON does not have: no value was chosen", query: "Observation/{id}",
		},
		"NaN, and it cannot be read": {
			search: pageOf(entry(o1+`,"valueQuantity":{"value":NaN}}`), good), stored: 1, ref: "Observation/o1",
			kept: entry(o1 + `,"valueQuantity":{"value":NaN}}`), reason: "not valid JSON: NaN or Infinity, which JSON does not have: no value was chosen", query: "Observation?_count=&patient=",
		},
		"a missing comma": {
			search: pageOf(`{"resource":{"resourceType":"Observation" `+about+`}}`, good), stored: 1,
			kept: `{"resource":{"resourceType":"Observation" ` + about + `}}`, reason: "not valid JSON: comma missing", query: "Observation?_count=&patient=",
		},
		"two ids": {
			search: pageOf(`{"resource":{"id":"o3",`+o1[1:]+`}}`, good), stored: 1,
			kept: `{"resource":{"id":"o3",` + o1[1:] + `}}`, reason: "not valid JSON", query: "Observation?_count=&patient=",
		},
		"no resource": {
			search: pageOf(`{"search":{"mode":"match"}}`, good), stored: 1, kept: `{"search":{"mode":"match"}}`, reason: "an entry without a resource", query: "Observation?_count=&patient=",
		},
		"neither id nor resourceType": {
			search: pageOf(`{"resource":{`+about+`}}`, good), stored: 1, kept: `{"resource":{` + about + `}}`, reason: "a resource without an id", query: "Observation?_count=&patient=",
		},
		"neither a Bundle nor a resource of the type": {
			search: `{"resourceType":"Parameters"}`, kept: `{"resourceType":"Parameters"}`, query: "Observation?_count=&patient=",
		},
		"a page that is no JSON": {search: `{"resourceType":"Bundle","entry":[}}`, kept: `{"resourceType":"Bundle","entry":[}}`, query: "Observation?_count=&patient="},
		"XML and nothing else":   {search: xml, kept: xml, reason: "XML", query: "Observation?_count=&_format=&patient="},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			rep := odd{t: t, answer: func(path string, q url.Values, req *http.Request) string {
				if path == "Observation/o1" {
					return tt.read
				}
				return answering(tt.search, 2)(path, q, req)
			}}.sync(store)
			if n := rep.Types["Observation"]; n.Received != tt.stored || n.Stored != tt.stored || rep.Verdict != fhirsync.Incomplete {
				t.Errorf("%d received, %d stored\n%s", n.Received, n.Stored, rep)
			}
			named := false
			for _, g := range rep.Gaps {
				named = named || g.Reason == fhirsync.Failed && g.Type == "Observation" && g.Ref == tt.ref
			}
			if !named {
				t.Errorf("not named\n%s", rep)
			}
			q := store.Quarantined()
			if len(q) == 0 || string(q[0].Raw) != tt.kept || !strings.Contains(q[0].Reason, tt.reason) || q[0].Query != tt.query || q[0].Repairs != nil {
				t.Errorf("in quarantine: %+v\n%s", q, rep)
			}
			for i := range q {
				if i > 0 && bytes.Equal(q[i].Raw, q[i-1].Raw) {
					t.Errorf("twice in quarantine: %s", q[i].Raw)
				}
			}
		})
	}
}

// A page that ends early is not repaired: it is asked for again.
func TestTruncatedPageIsAskedForAgain(t *testing.T) {
	t.Parallel()
	const o1 = `{"resourceType":"Observation","id":"o1",` + about + `}`
	whole := pageOf(`{"resource":`+o1+`}`, `{"resource":`+strings.ReplaceAll(o1, "o1", "o2")+`}`)
	for name, cut := range map[string]string{
		"Bundle": whole[:len(whole)-20], "with a comment": "/* c */" + whole[:len(whole)-20], "NDJSON": o1 + "\n" + o1[:20], "UTF-16": "\xFF\xFE{\x00}",
	} {
		asked := 0
		store := new(memstore.Store)
		rep := odd{t: t, answer: func(path string, q url.Values, req *http.Request) string {
			if path == "Observation" && q.Has("patient") && !q.Has("_summary") {
				if asked++; asked == 1 {
					return cut
				}
			}
			return answering(whole, 2)(path, q, req)
		}}.sync(store)
		if asked != 2 || rep.Types["Observation"].Stored != 2 || rep.Verdict != fhirsync.Complete || rep.Repairs != nil || len(store.Quarantined()) > 0 {
			t.Errorf("%s: asked %d times\n%s", name, asked, rep)
		}
	}
}

// A server that answers in XML is asked for JSON in the URL, once for all.
func TestXMLIsAskedForAsJSON(t *testing.T) {
	t.Parallel()
	const xml = "\xEF\xBB\xBF<Bundle xmlns=\"http://hl7.org/fhir\"/>"
	inXML := 0
	store := new(memstore.Store)
	rep := odd{t: t, answer: func(path string, q url.Values, req *http.Request) string {
		if q.Get("_format") != "json" {
			inXML++
			return xml
		}
		return answering(pageOf(`{"resource":{"resourceType":"Observation","id":"o1",`+about+`}}`), 1)(path, q, req)
	}}.sync(store)
	if inXML != 1 || rep.Verdict != fhirsync.Complete || rep.Types["Observation"].Stored != 1 {
		t.Errorf("%d answers in XML\n%s", inXML, rep)
	}
}

// Resources without an id are never merged and never doubled: the id is made of what they say, and is the same in every sync.
func TestIDFromContent(t *testing.T) {
	t.Parallel()
	resource := func(value, patient string) string {
		return `{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/` + patient + `"},"valueString":"` + value + `"}`
	}
	page := pageOf(`{"fullUrl":"urn:uuid:1","resource":`+resource("a", "p")+`}`, `{"fullUrl":"urn:uuid:1","resource":`+resource("b", "p")+`}`,
		`{"resource":`+strings.Replace(resource("a", "p"), ",", " ,\n", 1)+`}`, `{"fullUrl":"https://else.example.org/x","resource":`+resource("c", "p")+`}`)
	ids := func(body string) map[string]string {
		store := new(memstore.Store)
		rep := odd{t: t, answer: answering(body, 3)}.sync(store)
		out := map[string]string{}
		for r := range store.All() {
			if r.Type == "Observation" {
				out[r.ID] = string(r.Original)
				if len(r.Repairs) != 1 || r.Repairs[0].Kind != fhirsync.RepairContentID || len(r.ID) > 64 || strings.Trim(r.ID, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
					t.Errorf("%s %+v", r.ID, r.Repairs)
				}
			}
		}
		if rep.Types["Observation"].Received != len(out) || rep.Repairs[fhirsync.RepairContentID] != len(out) {
			t.Error(rep)
		}
		return out
	}
	first := ids(page)
	if len(first) != 3 {
		t.Errorf("%d resources: %v", len(first), first)
	}
	if diff := cmp.Diff(first, ids(page)); diff != "" {
		t.Errorf("the second sync (-first +second)\n%s", diff)
	}

	// Another patient's is not ours because it has no id.
	store := new(memstore.Store)
	rep := odd{t: t, answer: answering(pageOf(`{"resource":`+resource("a", "somebody-else")+`}`), 1)}.sync(store)
	if store.Len() != 1 || rep.Verdict != fhirsync.Incomplete {
		t.Errorf("%d in the store\n%s", store.Len(), rep)
	}
}

// The answer to a read may lack what was asked for by: there is no doubt what it is.
func TestReadWithoutIdentity(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no id": `{"resourceType":"Patient","active":true}`, "no resourceType": `{"id":"p","active":true}`, "a comment": "// the patient\n" + `{"resourceType":"Patient","id":"p","active":true}`,
		"a control character": "{\"resourceType\":\"Patient\",\"id\":\"p\",\"language\":\"\x01\"}", "a byte order mark and a trailing comma": "\xEF\xBB\xBF" + `{"resourceType":"Patient","id":"p",}`,
	} {
		store := new(memstore.Store)
		rep := odd{t: t, answer: func(path string, _ url.Values, _ *http.Request) string {
			if path == "Patient/p" {
				return body
			}
			return ""
		}}.sync(store)
		got, ok := store.Get(fhirsync.Key{Server: "odd", Type: "Patient", ID: "p"})
		head := struct{ ResourceType, ID string }{}
		if !ok || json.Unmarshal(got.Raw, &head) != nil || head.ResourceType != "Patient" || head.ID != "p" || rep.Verdict == fhirsync.Incomplete || len(rep.Repairs) == 0 {
			t.Errorf("%s: %s\n%s", name, got.Raw, rep)
		}
	}
	rep := odd{t: t, answer: func(path string, _ url.Values, _ *http.Request) string {
		if path == "Patient/p" {
			return `{"active":true}`
		}
		return ""
	}}.sync(new(memstore.Store))
	if rep.Verdict != fhirsync.Incomplete {
		t.Error("what shows nothing of itself was taken for the Patient")
	}
}

// A sync that is gone on with after an interruption, wherever that was, has repaired as much as one that was not interrupted, and nothing is
// there twice.
func TestRepairsAndResuming(t *testing.T) {
	t.Parallel()
	page := pageOf(`{"resource":{"resourceType":"Observation","id":"o1",`+about+`,}}`, `{"resource":{"resourceType":"Observation",`+about+`,"valueString":"x"}}`,
		`{"fullUrl":"`+oddBase+`/Observation/o2","resource":{"resourceType":"Observation",`+about+`}}`)
	want := map[fhirsync.RepairKind]int{fhirsync.RepairComma: 1, fhirsync.RepairContentID: 1, fhirsync.RepairID: 1}
	resumed := 0
	for at := 2; at < 80; at += 6 {
		store := new(memstore.Store)
		ctx, cancel := context.WithCancel(t.Context())
		var sent atomic.Int64
		answer := func(path string, q url.Values, req *http.Request) string {
			if sent.Add(1) == int64(at) {
				cancel()
			}
			return answering(page, 3)(path, q, req)
		}
		first := odd{t: t, answer: answer, ctx: ctx}.sync(store)
		cancel()
		rep := odd{t: t, answer: answering(page, 3)}.sync(store)
		if !rep.ResumedFrom.IsZero() {
			resumed++
		}
		if diff := cmp.Diff(want, rep.Repairs); diff != "" || rep.Types["Observation"].Received != 3 || rep.Types["Observation"].Stored != 3 || store.Len() != 4 || rep.Verdict != fhirsync.Complete {
			t.Errorf("interrupted at request %d (%t): (-want +got)\n%s\n%d in the store\n%s", at, first.Interrupted, diff, store.Len(), rep)
		}
	}
	if resumed == 0 {
		t.Error("no sync was gone on with")
	}
}

// A page on which everything is broken is repaired whole; with time that grows by the square of its size this would not end.
func TestRepairsOfALargePage(t *testing.T) {
	t.Parallel()
	const n = 4000
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf("{\"resource\":{\"resourceType\":\"Observation\",\"id\":\"o%d\",%s,\"note\":[{\"text\":\"%s\x01\"}],}}", i, about, strings.Repeat("x", 400))
	}
	for name, page := range map[string]string{
		"each resource": pageOf(entries...), "the page too": "/* c */" + pageOf(entries...),
	} {
		store := new(memstore.Store)
		rep := odd{t: t, answer: answering(page, n)}.sync(store)
		if got := rep.Repairs; got[fhirsync.RepairControl] != n || got[fhirsync.RepairComma] != n || rep.Types["Observation"].Stored != n {
			t.Errorf("%s: %v\n%s", name, got, rep)
		}
	}
}

// What a strategy brings by a way of its own is repaired as well, and counts as come.
func TestRepairsOfWhatIsEmitted(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	rep := odd{t: t, strategy: emitting{
		"{\"resourceType\":\"Observation\",\"id\":\"o1\"," + about + ",\"valueString\":\"\t\",}", `{"resourceType":"Observation",` + about + `,"valueInteger":1}`, "\xEF\xBB\xBF" + `{"resourceType":"Observation","id":"o3",` + about + `}`,
	}, answer: answering(pageOf(), 0)}.sync(store)
	if rep.Types["Observation"].Stored != 3 || rep.Repairs[fhirsync.RepairControl] != 1 || rep.Repairs[fhirsync.RepairComma] != 1 || rep.Repairs[fhirsync.RepairContentID] != 1 {
		t.Error(rep)
	}
	for _, g := range rep.Gaps {
		if g.Reason == fhirsync.Truncated || g.Reason == fhirsync.Failed {
			t.Errorf("%+v", g)
		}
	}
}

// emitting is a strategy that brings lines.
type emitting []string

func (emitting) Name() string { return "emitting" }

func (e emitting) Fetch(ctx context.Context, s *fhirsync.Session) error {
	o := s.Owe("Observation")
	o.Expect(len(e))
	for _, line := range e {
		if err := o.Emit(ctx, []byte(line)); err != nil {
			return err
		}
	}
	o.Done()
	return nil
}

// Pages whose resources have neither ids nor addresses are told apart by what the resources say, even if they are as long.
func TestPagesWithoutIdentities(t *testing.T) {
	t.Parallel()
	page := func(n int, next string) string {
		text := pageOf(fmt.Sprintf(`{"resource":{"resourceType":"Observation",%s,"valueInteger":%d}}`, about, n))
		return strings.Replace(text, `"total":1`, `"total":7`, 1)[:len(text)-1] + next + "}"
	}
	link := func(n int) string {
		return fmt.Sprintf(`,"link":[{"relation":"next","url":"%s/Observation?page=%d"}]`, oddBase, n)
	}
	store := new(memstore.Store)
	rep := odd{t: t, answer: func(path string, q url.Values, req *http.Request) string {
		n, _ := strconv.Atoi(q.Get("page"))
		switch {
		case n == 7:
			return page(n, "")
		case n > 0:
			return page(n, link(n+1))
		}
		return answering(page(1, link(2)), 7)(path, q, req)
	}}.sync(store)
	if rep.Types["Observation"].Stored != 7 || rep.Verdict != fhirsync.Complete {
		t.Error(rep)
	}
}

// TestAResourceWithoutItsIDIsCountedOnce: parts of an answer that was cut bring a resource with its id and without. It must not make up for one
// that is missing.
func TestAResourceWithoutItsIDIsCountedOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 1 + seed, Size: 160})
			srv := fhirtest.NewServer(rec)
			srv.Inject(fhirtest.EntryWithoutID(), fhirtest.PageCap(10).For("Observation"))
			store := new(memstore.Store)
			client := newClient(t, srv, fhirsync.Config{Strategy: fhirsync.SearchByType()})
			rep, _ := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
			want, got := 0, 0
			for ref := range srv.Want(rec.PatientID) {
				if strings.HasPrefix(ref, "Observation/") {
					want++
				}
			}
			for r := range store.All() {
				if r.Type == "Observation" {
					got++
				}
			}
			if got != want || rep.Types["Observation"].Evidence < fhirsync.Ended {
				t.Errorf("%d of %d\n%s", got, want, rep)
			}
		})
	}
}

// TestBrokenResultsWithinOthersAreOpened: they are no resource of anybody's, whatever is wrong with them.
func TestBrokenResultsWithinOthersAreOpened(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]fhirtest.Fault{
		{fhirtest.TrailingCommas(), fhirtest.NestedBundle()},
		{fhirtest.NestedBundle(), fhirtest.TrailingCommas()},
		{fhirtest.TrailingCommas(), fhirtest.Latin1("utf-8"), fhirtest.NestedBundle()},
		{fhirtest.JSONComments(), fhirtest.NestedBundle()},
	} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 88, Size: 150, Secondary: 4})
			srv := fhirtest.NewServer(rec)
			srv.Everything, srv.MaxCount = true, 50
			srv.Inject(faults...)
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
			want := srv.Want(rec.PatientID)
			for r := range store.All() {
				delete(want, r.Type+"/"+r.ID)
				if r.Type == "Bundle" {
					t.Errorf("%s: a page is stored as if it were a resource: %.200s", faults[0].Name, r.Raw)
				}
			}
			if len(want) > 0 || err != nil {
				t.Errorf("%s: %d are missing, %v\n%s", faults[0].Name, len(want), err, rep)
			}
		})
	}
}

// TestASearchForgetsAnIDThatAnOperationGave: nothing is stored twice.
func TestASearchForgetsAnIDThatAnOperationGave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 367, Size: 100, Dangling: 1, Secondary: 3, Attachments: 3})
		srv := fhirtest.NewServer(rec)
		srv.Everything, srv.MaxCount = true, 50
		srv.Inject(fhirtest.EntryWithoutID())
		store := new(memstore.Store)
		rep, _ := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		want := srv.Want(rec.PatientID)
		for r := range store.All() {
			if _, ok := want[r.Type+"/"+r.ID]; !ok {
				t.Errorf("%s/%s", r.Type, r.ID)
			}
		}
		if store.Len() != len(want) || rep.Verdict == fhirsync.Incomplete {
			t.Errorf("%d of %d\n%s", store.Len(), len(want), rep)
		}
	})
}
