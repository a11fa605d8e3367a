package fhirsync_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// odd is a server that has a Patient p and whatever answer says; everything else finds nothing.
type odd struct {
	t *testing.T
	// answer gives the body for a path below the base; "" for what an honest server without data would say.
	answer func(path string, q url.Values, req *http.Request) string
	typ    string // Content-Type; "": FHIR JSON in UTF-8
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
		c, err := fhirsync.New(fhirsync.Config{
			HTTPClient: &http.Client{Transport: o}, Limit: ratelimit.Policy{Rate: -1, Concurrency: 4}, Strategy: fhirsync.SearchByType(),
		})
		if err != nil {
			t.Fatal(err)
		}
		rep, err = c.Sync(t.Context(), fhirsync.Server{Name: "odd", BaseURL: oddBase}, "p", store, nil)
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
