package fhirtest_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

const recorded = `{"fhirsyncTrace":1,"patient":"{id-1}"}
{"n":2,"method":"GET","url":"{base}/Goal?patient={id-1}&_count=2","status":200,"header":{"Content-Type":"application/fhir+json","Date":""},"size":900,"shape":{"kind":"bundle","type":"searchset","total":3,"links":[{"rel":"next","url":"{origin-1}{path}?_getpages={value-1}"}],"entries":[{"fullUrl":"own","mode":"match","resource":{"type":"Goal","id":"{id-2}","version":true,"size":300,"refs":[{"path":"subject","kind":"relative","to":"Patient/{id-1}"},{"path":"note.authorReference","kind":"relative","to":"Practitioner/{id-2}"},{"path":"note.authorReference","kind":"absolute","to":"{base}/Practitioner/{id-3}"},{"path":"subject.extension.valueReference","kind":"contained","to":"#{id-4}"}]}}]}}
{"n":1,"method":"GET","url":"{base}/metadata","status":503,"ms":1500,"header":{"Retry-After":"{date+7s}"},"size":0,"shape":{"kind":"empty"}}
{"n":3,"method":"GET","url":"{base}/metadata","status":200,"header":{},"size":400,"shape":{"kind":"capabilities","capabilities":{"fhirVersion":"4.0.1","software":"x","version":"1","types":{"Goal":{"interactions":["search-type"],"params":["patient"]}}}}}
{"n":4,"method":"GET","url":"{base}/Goal?patient={id-1}&start-date=ge{date-1}&start-date=lt{date-2}","status":200,"size":60,"shape":{"kind":"bundle","total":1}}
{"n":5,"method":"GET","url":"{base}/Goal?patient={id-1}&start-date=ge{date-2}&start-date=lt{date-3}","status":200,"size":60,"shape":{"kind":"bundle","total":2}}
{"n":6,"method":"GET","url":"{base}/Goal/{id-2}","failure":"connection","size":0}
{"n":7,"method":"GET","url":"{base}/Goal/{id-5}","status":200,"failure":"cut","size":33}
{"n":8,"method":"POST","url":"{base}/Goal/_search","form":"patient={id-1}","status":403,"size":0,"shape":{"kind":"outcome","issues":[{"severity":"error","code":"forbidden","codes":["59187"]}]}}
{"n":9,"method":"POST","url":"{base}","body":{"type":"Bundle","size":100,"requests":["GET Goal?_summary=count&patient={id-1}","GET Goal/{id-2}"]},"status":200,"size":0,"shape":{"kind":"bundle","type":"batch-response","entries":[{"status":"200","bundle":{"kind":"bundle","type":"searchset","total":3}},{"status":"404"}]}}
{"something":"newer"}
{"end":{"verdict":"complete"}}
`

func playback(t *testing.T, trace string) *fhirtest.Playback {
	t.Helper()
	p, err := fhirtest.Replay(strings.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReplayAnswers(t *testing.T) {
	t.Parallel()
	p := playback(t, recorded)
	ask := func(query string) answer { return get(t.Context(), p.Client(), p.BaseURL()+"/"+query) }

	if a := ask("metadata"); a.status != http.StatusServiceUnavailable || len(a.body) != 0 || a.header.Get("Retry-After") == "" {
		t.Errorf("metadata: %+v", a)
	} else if at, err := http.ParseTime(a.header.Get("Retry-After")); err != nil || time.Until(at) > 8*time.Second || time.Until(at) < 0 {
		t.Errorf("Retry-After: %v %v", at, err)
	}
	for range 2 { // the last answer comes again and again.
		if a := ask("metadata"); a.status != http.StatusOK || len(a.body) != 400 || !strings.Contains(string(a.body), `"type":"Goal"`) {
			t.Errorf("metadata: %d %s", a.status, a.body)
		}
	}
	a := ask("Goal?_count=2&patient=" + p.PatientID())
	for _, want := range []string{
		`"total":3`, `"url":"https://origin-1.fhirtest.example/r4?_getpages=value-1"`, `"fullUrl":"` + p.BaseURL() + `/Goal/id-2"`,
		`"subject":{"reference":"Patient/id-1","extension":{"valueReference":{"reference":"#id-4"}}}`,
		`"note":{"authorReference":[{"reference":"Practitioner/id-2"},{"reference":"` + p.BaseURL() + `/Practitioner/id-3"}]}`,
	} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s is not in %s", want, a.body)
		}
	}
	if len(a.body) != 900 || a.header.Get("Content-Type") != "application/fhir+json" {
		t.Errorf("%d bytes, %v", len(a.body), a.header)
	}
	if b := ask("Goal?_count=2&patient=Patient/id-1"); b.status != http.StatusOK || string(b.body) != string(a.body) {
		t.Errorf("by the other form: %d", b.status)
	}
	if a := ask("Goal/id-2"); a.err == nil {
		t.Errorf("a connection that was lost: %+v", a)
	}
	if a := ask("Goal/id-5"); !errors.Is(a.err, io.ErrUnexpectedEOF) || len(a.body) != 33 {
		t.Errorf("a body that was cut: %v after %d", a.err, len(a.body))
	}
	res, err := p.Client().PostForm(p.BaseURL()+"/Goal/_search", url.Values{"patient": {"id-1"}}) //nolint:noctx // in process
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"code":"59187"`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if len(p.Unmatched()) != 0 {
		t.Errorf("not matched: %v", p.Unmatched())
	}
	if a := ask("Observation?patient=id-1"); a.status != http.StatusNotFound || !strings.Contains(string(a.body), "OperationOutcome") {
		t.Errorf("what was not recorded: %d %s", a.status, a.body)
	}
	if got := p.Unmatched(); !slices.Equal(got, []string{"GET Observation?patient=id-1"}) {
		t.Errorf("not matched: %v", got)
	}
	if got := p.Unused(); len(got) != 3 {
		t.Errorf("not asked: %v", got)
	}
	if a := get(t.Context(), p.Client(), "https://elsewhere.fhirtest.example/Goal"); a.err == nil {
		t.Error("another host answered")
	}
}

// Values that the client makes up itself are bound to the placeholders in their place.
func TestReplayBinds(t *testing.T) {
	t.Parallel()
	p := playback(t, recorded)
	for _, c := range []struct {
		query, total string
		status       int
	}{
		{"start-date=ge1950&start-date=lt1970", `"total":1`, http.StatusOK},
		{"start-date=ge1970&start-date=lt1990", `"total":2`, http.StatusOK},
		{"start-date=ge1950&start-date=lt1970", `"total":1`, http.StatusOK},
		{"start-date=ge1950&start-date=lt1990", ``, http.StatusNotFound},
	} {
		a := get(t.Context(), p.Client(), p.BaseURL()+"/Goal?patient=id-1&"+c.query)
		if a.status != c.status || !strings.Contains(string(a.body), c.total) {
			t.Errorf("%s: %d %s", c.query, a.status, a.body)
		}
	}
}

func TestReplayOfBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		requests string
		want     []string
		missing  int
	}{
		{`{"request":{"method":"GET","url":"Goal?_summary=count&patient=id-1"}},{"request":{"method":"GET","url":"Goal/id-2"}}`, []string{`"total":3`, `"404"`}, 0},
		{`{"request":{"method":"GET","url":"Goal?_count=2&patient=id-1"}},{"request":{"method":"GET","url":"Goal?_summary=count&patient=id-1"}}`, []string{`"id":"id-2"`, `"total":3`}, 0},
		{`{"request":{"method":"GET","url":"Flag/1"}}`, []string{`"404"`}, 1},
	} {
		p := playback(t, recorded)
		res, err := p.Client().Post(p.BaseURL(), "application/fhir+json", strings.NewReader(`{"resourceType":"Bundle","type":"batch","entry":[`+c.requests+`]}`)) //nolint:noctx // in process
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		at := 0
		for _, want := range c.want {
			i := strings.Index(string(body[at:]), want)
			if i < 0 {
				t.Errorf("%s: %s is not in its place in %s", c.requests, want, body)
				break
			}
			at += i
		}
		if res.StatusCode != http.StatusOK || len(p.Unmatched()) != c.missing {
			t.Errorf("%s: %d, %v", c.requests, res.StatusCode, p.Unmatched())
		}
	}
}

func TestReplayOverASocket(t *testing.T) {
	t.Parallel()
	p := playback(t, recorded)
	ts := httptest.NewServer(p)
	defer ts.Close()
	p.SetBaseURL(ts.URL + "/fhir/")
	a := get(t.Context(), ts.Client(), p.BaseURL()+"/Goal?_count=2&patient=id-1")
	if a.status != http.StatusOK || len(a.body) != 900 || !strings.Contains(string(a.body), ts.URL+"/fhir/Goal/id-2") {
		t.Errorf("%d %v %s", a.status, a.err, a.body)
	}
	if a := get(t.Context(), ts.Client(), p.BaseURL()+"/Goal/id-5"); a.err == nil || len(a.body) != 33 {
		t.Errorf("a body that was cut: %+v", a)
	}
	if a := get(t.Context(), ts.Client(), p.BaseURL()+"/Goal/id-2"); a.err == nil {
		t.Errorf("a connection that was lost: %+v", a)
	}
}

func TestReplayDelays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, delays := range []bool{false, true} {
			p := playback(t, recorded)
			p.Delays = delays
			start := time.Now()
			_ = get(t.Context(), p.Client(), p.BaseURL()+"/metadata")
			if took := time.Since(start); took != map[bool]time.Duration{true: 1500 * time.Millisecond}[delays] {
				t.Errorf("delays %v: %s", delays, took)
			}
		}
	})
}

func TestReplayRefusesOthers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "empty", "{}": "no trace", `{"fhirsyncTrace":2}`: "version: 2", "<html>": "line 1",
		`{"fhirsyncTrace":1}` + "\nnothing": "line 2",
	} {
		if _, err := fhirtest.Replay(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if p := playback(t, recorded[:len(recorded)-500]); p.PatientID() != "id-1" {
		t.Error("a trace that was cut is of use all the same")
	}
}

// A server that finds nothing by the id alone must not seem to find something by it, only because the client asks in another order.
func TestReplayOfAFormThatFindsNothing(t *testing.T) {
	t.Parallel()
	const head = `{"fhirsyncTrace":1,"patient":"{id-1}"}
{"n":1,"method":"GET","url":"{base}/Goal?patient={id-1}","status":200,"size":60,"shape":{"kind":"bundle","type":"searchset","total":0}}
{"n":2,"method":"GET","url":"{base}/Flag?patient=Patient/{id-1}","status":200,"size":300,"shape":{"kind":"bundle","type":"searchset","total":1,"entries":[{"fullUrl":"own","resource":{"type":"Flag","id":"{id-2}","size":90}}]}}
`
	for name, c := range map[string]struct {
		more, want string
	}{
		"finds nothing": {"", `"total":0`},
		"found something": {
			`{"n":3,"method":"GET","url":"{base}/List?patient={id-1}","status":200,"size":60,"shape":{"kind":"bundle","type":"searchset","total":4}}` + "\n", `"total":1`,
		},
	} {
		p := playback(t, head+c.more)
		a := get(t.Context(), p.Client(), p.BaseURL()+"/Flag?patient=id-1")
		if a.status != http.StatusOK || !strings.Contains(string(a.body), c.want) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// What is asked for by ids is asked in other lists when things take other times: what is known of each id answers those too.
func TestReplayOfOtherLists(t *testing.T) {
	t.Parallel()
	const (
		head = `{"fhirsyncTrace":1,"patient":"{id-1}"}
{"n":1,"method":"GET","url":"{base}/Goal/{id-2}","status":200,"size":90,"shape":{"kind":"resource","resource":{"type":"Goal","id":"{id-2}","size":90}}}
{"n":2,"method":"GET","url":"{base}/Goal/{id-3}","status":404,"size":0}
`
		list = `{"n":3,"method":"GET","url":"{base}/Goal?_id={id-4},{id-5},{id-6}&_count=3","status":200,"size":60,"shape":{"kind":"bundle","type":"searchset","entries":[{"fullUrl":"own","mode":"match","resource":{"type":"Goal","id":"{id-4}","size":90}},{"fullUrl":"own","mode":"match","resource":{"type":"Goal","id":"{id-5}","size":90}}]}}
`
	)
	for _, c := range []struct {
		trace, ask string
		status     int
		has, hasNo string
	}{
		{head + list, "Goal?_id=id-5,id-2,id-3&_count=3", 200, `"id":"id-5"`, "id-4"},
		{head + list, "Goal?_id=id-5,id-2,id-3&_count=3", 200, `"id":"id-2"`, "id-3"},
		{head + list, "Goal/id-4", 200, `"id":"id-4"`, "id-5"},
		{head + list, "Goal/id-6", 404, "it was not there", "id-5"},
		{head + list, "Goal?_id=id-5,id-7", 404, "no answer", "id-5"}, // nothing is known of one of them.
		{head + list, "Flag/id-4", 404, "no answer", "id-5"},
		{head, "Goal?_id=id-2,id-3", 404, "no answer", `"id":"id-2"`}, // nor whether lists are understood.
	} {
		p := playback(t, c.trace)
		a := get(t.Context(), p.Client(), p.BaseURL()+"/"+c.ask)
		if a.status != c.status || !strings.Contains(string(a.body), c.has) || strings.Contains(string(a.body), c.hasNo) {
			t.Errorf("%s: %d %s", c.ask, a.status, a.body)
		}
		if unmatched := c.has == "no answer"; unmatched != (len(p.Unmatched()) > 0) {
			t.Errorf("%s: unmatched %v", c.ask, p.Unmatched())
		}
	}
}
