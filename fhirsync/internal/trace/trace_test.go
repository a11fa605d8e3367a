package trace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/trace"
)

func baseURL(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse("https://fhir.example.org/r4")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// answering is a transport with one answer.
type answering struct {
	status int
	header http.Header
	body   io.Reader
	err    error
}

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(a.body)}, nil
}

// one traces one request and gives its line.
func one(t *testing.T, w *trace.Writer, out *bytes.Buffer, method, address string, form url.Values, a answering) trace.Exchange {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(t.Context(), method, address, body)
	before := out.Len()
	c := w.Begin(form, nil)
	resp, err := c.RoundTrip(a, req)
	if err == nil {
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err == nil {
			c.Answer(raw)
		}
	}
	c.End()
	var x trace.Exchange
	if err := json.Unmarshal(out.Bytes()[before:], &x); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes()[before:])
	}
	return x
}

// Values become placeholders by their order, and what steers the answer stays.
func TestAddresses(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := trace.New(&out, baseURL(t), "p-77", "auto", []string{"Observation"}, []string{"fhirsync-probe"})
	for _, c := range []struct{ address, want string }{
		{"/Patient/p-77", "{base}/Patient/{id-1}"},
		{"/Observation?_count=200&patient=Patient%2Fp-77", "{base}/Observation?_count=200&patient=Patient/{id-1}"},
		{"/Observation?patient=p-77&_summary=count&status=final,amended", "{base}/Observation?patient={id-1}&_summary=count&status={value-1},{value-2}"},
		{"/Observation?patient=p-77&status=amended&status%3Amissing=true", "{base}/Observation?patient={id-1}&status={value-2}&status:missing=true"},
		{"/Observation?date=ge2020-01-31&date=lt2021&code%3Anot=2021", "{base}/Observation?date=ge{date-1}&date=lt{date-2}&code:not={date-2}"},
		{"/Observation?patient=https%3A%2F%2Ffhir.example.org%2Fr4%2FPatient%2Fp-77", "{base}/Observation?patient={base}/Patient/{id-1}"},
		{"/Patient/p-77/$everything?_since=2020-01-01T00%3A00%3A00Z", "{base}/Patient/{id-1}/$everything?_since={date-3}"},
		{"/Patient/p-77/$smith?smith=1", "{base}/Patient/{id-1}/${operation-1}?{param-1}={value-3}"},
		{"/Smith/p-77/_history/3", "{base}/{id-2}/{id-1}/_history/{id-3}"},
		{"?_getpages=eyJwIjoxfQ&_bundletype=searchset", "{base}?_getpages={value-4}&_bundletype=searchset"},
		{"?eyJwIjoxfQ", "{base}?{param-2}"},
		{"/Provenance?_revinclude=Provenance%3Atarget&_revinclude=Smith%3Ajohn", "{base}/Provenance?_revinclude=Provenance:target&_revinclude={value-5}"},
		{"/Observation?_count=secret&fhirsync-probe=1&subject%3Asmith=p-8", "{base}/Observation?_count={value-6}&fhirsync-probe={value-3}&subject:{modifier-1}={id-4}"},
		{"/Patient/a%2Fb", "{base}/Patient/{id-5}"},
	} {
		x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4"+c.address, nil, answering{status: 200, body: strings.NewReader("{}")})
		// The kinds matter to readers, the numbers to nobody but as the same or not.
		if x.URL != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.address, x.URL, c.want)
		}
	}
	x := one(t, w, &out, http.MethodPost, "https://fhir.example.org/r4/Observation/_search", url.Values{"patient": {"p-77"}, "_count": {"50"}}, answering{status: 200, body: strings.NewReader("{}")})
	if x.URL != "{base}/Observation/_search" || x.Form != "_count=50&patient={id-1}" {
		t.Errorf("%+v", x)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := trace.New(&out, baseURL(t), "p-77", "auto", nil, nil)
	page := `{"resourceType":"Bundle","type":"searchset","total":9,"link":[
		{"relation":"self","url":"https://fhir.example.org/r4/Observation?patient=p-77"},
		{"relation":"next","url":"http://10.1.2.3:8080/inner/r4?_getpages=abc"},
		{"relation":"previous","url":"http://fhir.example.org/r4?_getpages=abc"},
		{"relation":"john","url":"https://fhir.example.org:443:443/r4?_getpages=abc"},
		{"relation":"last","url":"fhir.example.org/r4?_getpages=abc"},
		{"relation":"first","url":"?_getpages=abc"}],
		"entry":[
		{"fullUrl":"https://fhir.example.org/r4/Observation/o1","search":{"mode":"match"},"resource":{"resourceType":"Observation","id":"o1","meta":{"versionId":"7","tag":[{"code":"SUBSETTED"}]},
			"subject":{"reference":"Patient/p-77"},"performer":[{"reference":"https://other.example.org/x/Practitioner/q"},{"reference":"#c"}],"valueString":"secret","John":{"reference":"Smith/1"}}},
		{"fullUrl":"urn:uuid:1b2","resource":{"resourceType":"Goal","id":"o1","note":NaN},"search":{"mode":"john"}},
		{"response":{"status":"404 secret"},"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"secret","diagnostics":"secret","details":{"text":"secret","coding":[{"code":"4119"},{"code":"a secret"}]}}]}},
		7]}`
	x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4/Observation?patient=p-77", nil, answering{
		status: 200, body: strings.NewReader(page),
		header: http.Header{
			"Content-Type": {"application/fhir+json; charset=utf-8; who=secret"}, "X-Secret": {"secret"}, "Retry-After": {"7"}, "Content-Location": {"https://fhir.example.org/r4/jobs/secret"},
			"Ratelimit": {`"secret";r=50;t=30;pk=:secret:`}, "X-Ratelimit-Remaining": {"5"}, "Content-Encoding": {"secret"},
		},
	})
	total := 9
	want := &trace.Shape{
		Kind: "bundle", Type: "searchset", Total: &total,
		Links: []trace.Link{
			{"self", "{base}/Observation?patient={id-1}"},
			{"next", "{origin-1}/{id-4}/{id-5}?_getpages={value-1}"},
			{"previous", "{base-http}?_getpages={value-1}"},
			{"{other}", "{broken}{path}?_getpages={value-1}"},
			{"last", "{host}{path}?_getpages={value-1}"},
			{"first", "?_getpages={value-1}"},
		},
		Entries: []trace.Entry{
			{FullURL: trace.Own, Mode: "match", Resource: &trace.Resource{Type: "Observation", ID: "{id-6}", Version: true, Subsetted: true, Refs: []trace.Ref{
				{Path: "subject", Kind: "relative", To: "Patient/{id-1}"},
				{Path: "performer", Kind: "absolute", To: "{origin-2}/{id-7}/Practitioner/{id-8}"},
				{Path: "performer", Kind: "contained", To: "#{id-9}"},
				{Path: "element", Kind: "relative", To: "{type-1}/{id-10}"},
			}}},
			{FullURL: "urn:uuid:{id-11}", Mode: "{other}", Resource: &trace.Resource{Type: "Goal", ID: "{id-6}", Damage: "json"}},
			{Status: "404", Resource: &trace.Resource{Type: "OperationOutcome", Issues: []trace.Issue{{Severity: "error", Code: "{other}", Codes: []string{"4119"}}}}},
			{Damage: "entry"},
		},
	}
	for i := range x.Shape.Entries {
		if r := x.Shape.Entries[i].Resource; r != nil {
			if r.Size == 0 {
				t.Errorf("entry %d has no size", i)
			}
			r.Size = 0
		}
	}
	if diff := cmp.Diff(want, x.Shape); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"Content-Type": "application/fhir+json; charset=utf-8", "X-Secret": "", "Retry-After": "7", "Content-Location": "{base}/{id-2}/{id-3}",
		"Ratelimit": `"policy";r=50;t=30`, "X-Ratelimit-Remaining": "5", "Content-Encoding": "{other}",
	}, x.Header); diff != "" {
		t.Errorf("headers (-want +got)\n%s", diff)
	}
	if strings.Contains(out.String(), "secret") || strings.Contains(out.String(), "john") || strings.Contains(out.String(), "Smith") {
		t.Errorf("what is nobody's business is there:\n%s", out.String())
	}
}

func TestKindsOfBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, kind, damage string }{
		{"", "empty", ""},
		{" <!DOCTYPE html><p>secret", "html", ""},
		{"<Bundle xmlns='x'/>", "xml", ""},
		{"secret text", "text", ""},
		{"\x00\x01\x02", "binary", ""},
		{"{}", "json", ""},
		{"[1]", "json", "syntax"},
		{`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Goal","id":"secret"}},{"res`, "bundle", "truncated"},
		{`{"resourceType":"Patient","id":"secret"}`, "resource", ""},
		{`{"resourceType":"OperationOutcome","issue":[]}`, "outcome", ""},
		{`{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"resource":[{"type":"Zorg","searchParam":[{"name":"zorg"}]}]}]}`, "capabilities", ""},
	} {
		var out bytes.Buffer
		w := trace.New(&out, baseURL(t), "p-77", "auto", nil, nil)
		x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4/x", nil, answering{status: 200, body: strings.NewReader(c.body)})
		if x.Shape == nil || x.Shape.Kind != c.kind || x.Shape.Damage != c.damage || x.Size != int64(len(c.body)) {
			t.Errorf("%q: %+v of %d bytes", c.body, x.Shape, x.Size)
		}
		if strings.Contains(out.String(), "secret") {
			t.Errorf("%q: %s", c.body, out.String())
		}
	}
}

// What metadata lists is known afterwards.
func TestMetadataWidensTheNames(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := trace.New(&out, baseURL(t), "p-77", "auto", nil, nil)
	ask := func(address, body string) trace.Exchange {
		return one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4"+address, nil, answering{status: 200, body: strings.NewReader(body)})
	}
	before := ask("/Zorg?zorg=a", "{}").URL
	ask("/metadata", `{"resourceType":"CapabilityStatement","rest":[{"resource":[{"type":"Zorg","searchParam":[{"name":"zorg"},{"name":"not a name"}]}]}]}`)
	after := ask("/Zorg?zorg=a", "{}").URL
	if before != "{base}/{id-2}?{param-1}={value-1}" || after != "{base}/Zorg?zorg={value-1}" {
		t.Errorf("%s, then %s", before, after)
	}
}

// cutReader ends early.
type cutReader struct{ r io.Reader }

func (c cutReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestFailures(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := trace.New(&out, baseURL(t), "p-77", "auto", nil, nil)
	for _, c := range []struct {
		a    answering
		want string
		size int64
	}{
		{answering{err: errors.New("secret")}, trace.Connection, 0},
		{answering{status: 200, body: cutReader{strings.NewReader("half")}}, trace.Cut, 4},
		{answering{status: 200, body: io.MultiReader(strings.NewReader("half"), errReader{})}, trace.Corrupt, 4},
	} {
		x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4/Patient/p-77", nil, c.a)
		if x.Failure != c.want || x.Size != c.size || x.Shape != nil {
			t.Errorf("%s: %+v", c.want, x)
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Error(out.String())
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("secret") }

// Two servers that behave alike give the same trace, whatever the ids: placeholders come by order alone.
func TestPlaceholdersAreNoHash(t *testing.T) {
	t.Parallel()
	traces := map[string]string{}
	for _, id := range []string{"1", "4711-some-other-id"} {
		var out bytes.Buffer
		w := trace.New(&out, baseURL(t), id, "auto", nil, nil)
		for range 2 {
			x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4/Goal/x"+id, nil, answering{status: 404, body: strings.NewReader("")})
			traces[id] += x.URL
		}
	}
	if traces["1"] != traces["4711-some-other-id"] || traces["1"] != "{base}/Goal/{id-2}{base}/Goal/{id-2}" {
		t.Error(traces)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Bundle","link":[{"relation":"next","url":"://%zz"}],"entry":[{"resource":{"resourceType":"Bundle","entry":[{}]}}]}`))
	f.Add([]byte(`{"resourceType":"Patient","id":"x","a":{"reference":"Patient/1"}}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var out bytes.Buffer
		w := trace.New(&out, baseURL(t), "p-77", "auto", nil, nil)
		x := one(t, w, &out, http.MethodGet, "https://fhir.example.org/r4/Patient/p-77", nil, answering{status: 200, body: bytes.NewReader(body)})
		if x.Shape == nil {
			t.Error("no shape")
		}
	})
}
