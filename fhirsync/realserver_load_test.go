package fhirsync_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// realServer is one server that nobody here wrote, and what is known of it.
type realServer struct {
	name     string
	variable string // of the environment: where it runs
	// everything: it has Patient/ID/$everything. leavesOut are the types of the patient's that the operation does not bring.
	everything bool
	leavesOut  []string
	// forgetful: it can be made to forget its searches; see expire.
	forgetful bool
	// most is the number of resources up to which a patient is loaded from files.
	most int

	base string
	http *http.Client
}

func realServers() []*realServer {
	return []*realServer{
		{name: "hapi", variable: "FHIRSYNC_HAPI", everything: true, leavesOut: []string{"List"}, most: 1300},
		{name: "hapi-small", variable: "FHIRSYNC_HAPI_SMALL", everything: true, forgetful: true, leavesOut: []string{"List"}, most: 400},
		{name: "medplum", variable: "FHIRSYNC_MEDPLUM", most: 400},
		{name: "medplum-raw", variable: "FHIRSYNC_MEDPLUM_RAW", most: 400},
	}
}

// connect finds out where the server runs; see component.
func (s *realServer) connect(t *testing.T) {
	t.Helper()
	s.base = strings.TrimRight(component(t, s.variable), "/")
	s.http = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	t.Cleanup(s.http.CloseIdleConnections)
}

// do sends one request and gives status and body.
func (s *realServer) do(ctx context.Context, method, address string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Accept", "application/fhir+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// get reads an address. HAPI answers 409 to what comes while it deletes searches: that is no answer.
func (s *realServer) get(ctx context.Context, address string) (status int, body []byte, err error) {
	for range 5 {
		status, body, err = s.do(ctx, http.MethodGet, address, nil)
		if err != nil || status != http.StatusConflict {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return status, body, err
}

// read gives the server's bytes of one resource; nil where it does not have it.
func (s *realServer) read(ctx context.Context, ref string) ([]byte, error) {
	status, body, err := s.get(ctx, s.base+"/"+ref)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound || status == http.StatusGone:
		return nil, nil
	case status != http.StatusOK:
		return nil, fmt.Errorf("reading %s: %d %.300s", ref, status, body)
	}
	return body, nil
}

// count gives how many resources of a type the server says it has for the patient. ok is false if it does not know the parameter.
func (s *realServer) count(ctx context.Context, typ, param, patientID string) (n int, ok bool, err error) {
	q := url.Values{param: {"Patient/" + patientID}, "_summary": {"count"}}
	status, body, err := s.get(ctx, s.base+"/"+typ+"?"+q.Encode())
	if err != nil || status == http.StatusBadRequest {
		return 0, false, err
	}
	var b struct{ Total *int }
	if err := json.Unmarshal(body, &b); err != nil || status != http.StatusOK || b.Total == nil {
		return 0, false, fmt.Errorf("counting %s: %d %.300s", typ, status, body)
	}
	return *b.Total, true, nil
}

// loadedPatient is a patient that a server has accepted.
type loadedPatient struct {
	name string // for the table
	id   string // on the server
	refs []string
	// found has, by type, how many of refs a search by patient or subject has to find, by the word of the generator. nil: it is not known.
	found map[string]int
	// dangling is how many targets of references were never loaded.
	dangling int

	truth *truth
}

// parallel runs fn for each item, a few at once.
func parallel[T any](items []T, fn func(T) error) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed error
		todo   = make(chan T)
	)
	for range 4 {
		wg.Go(func() {
			for x := range todo {
				if err := fn(x); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	for _, x := range items {
		todo <- x
	}
	close(todo)
	wg.Wait()
	return failed
}

// put stores a resource under its own id. refused is the server's answer where it does not want it. The same resource again is accepted.
func (s *realServer) put(ctx context.Context, ref string, raw []byte) (refused string, err error) {
	for try := 0; ; try++ {
		status, body, err := s.do(ctx, http.MethodPut, s.base+"/"+ref, raw)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK || status == http.StatusCreated:
			return "", nil
		case status == http.StatusConflict && try < 5: // somebody else puts the same one.
			time.Sleep(50 * time.Millisecond)
		case status >= 400 && status < 500:
			return fmt.Sprintf("%d %.300s", status, body), nil
		default:
			return "", fmt.Errorf("putting %s: %d %.300s", ref, status, body)
		}
	}
}

// loadGenerated loads a generated patient under ids that no other run of the tests has. What the server refuses is not part of the patient.
func (s *realServer) loadGenerated(t *testing.T, o fhirtest.Options) *loadedPatient {
	t.Helper()
	rec := generateApart(o)
	p := &loadedPatient{name: fmt.Sprintf("generated-%d", o.Seed), id: rec.PatientID, found: map[string]int{}, dangling: len(rec.Dangling)}
	var (
		mu      sync.Mutex
		refused []string
	)
	load := func(r fhirtest.Resource) error {
		raw, err := s.findable(r.Raw, rec.PatientID)
		if err != nil {
			return err
		}
		why, err := s.put(t.Context(), r.Ref(), raw)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if why != "" {
			refused = append(refused, r.Ref()+": "+why)
			return nil
		}
		p.refs = append(p.refs, r.Ref())
		if slices.ContainsFunc(r.Params, func(x fhirtest.Param) bool {
			return (x.Name == "patient" || x.Name == "subject") && x.Value == "Patient/"+rec.PatientID
		}) {
			p.found[r.Type]++
		}
		return nil
	}
	// The Patient first: HAPI never finds a resource by a reference whose target was not there when the resource was written.
	if err := load(rec.Resources[0]); err != nil || len(refused) > 0 {
		t.Fatalf("%s: the Patient itself: %v %v", s.name, err, refused)
	}
	all := slices.Concat(rec.Referenced, rec.Resources[1:])
	if err := parallel(all, load); err != nil {
		t.Fatal(err)
	}
	slices.Sort(p.refs)
	if len(refused) > 0 {
		t.Logf("%s refused %d of %d generated resources, among them %s", s.name, len(refused), len(all), slices.Min(refused))
	}
	if len(refused) > len(all)/4 {
		t.Errorf("%s refused %d of %d generated resources: too little is left to test with", s.name, len(refused), len(all))
	}
	return p
}

// generateApart generates a record that shares no id with any other run: most ids of a record depend on that of its patient, those that are
// UUIDs on the seed alone.
func generateApart(o fhirtest.Options) *fhirtest.Record {
	own := strings.ToLower(rand.Text())
	o.PatientID = "real-" + own[:10]
	rec := fhirtest.Generate(o)
	var renames []string
	for _, r := range rec.Resources {
		if isUUID(r.ID) {
			renames = append(renames, r.ID, own[:8]+r.ID[8:])
		}
	}
	rename := strings.NewReplacer(renames...)
	for _, list := range [][]fhirtest.Resource{rec.Resources, rec.Referenced} {
		for i := range list {
			list[i].ID, list[i].Raw = rename.Replace(list[i].ID), []byte(rename.Replace(string(list[i].Raw)))
		}
	}
	return rec
}

func isUUID(id string) bool {
	return len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-'
}

// findable puts the server's base URL into a generated resource, and writes references to the patient as Patient/ID, because none of the
// servers here finds a resource by another form of it: HAPI not where it was absolute when it was written, Medplum not where it is absolute
// or has a version. What a server can find by no question, no client can bring. References to others stay as they are.
func (s *realServer) findable(raw []byte, patientID string) ([]byte, error) {
	raw = bytes.ReplaceAll(raw, []byte(fhirtest.BasePlaceholder), []byte(s.base))
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, err
	}
	changed := false
	eachReference(v, func(of map[string]any, _ string) {
		if ref, ok := localRef(of["reference"], s.base); ok && ref == "Patient/"+patientID && of["reference"] != ref {
			of["reference"], changed = ref, true
		}
	})
	if !changed {
		return raw, nil
	}
	return json.Marshal(v)
}

// file is what a folder of records has: a transaction, or resources one a line.
type file struct {
	name     string
	body     []byte // of a Bundle
	lines    [][]byte
	size     int
	patients int
}

// readFiles reads a folder. What others refer to comes first.
func readFiles(t *testing.T, folder string) []file {
	t.Helper()
	var out []file
	for _, pattern := range []string{"*.json", "*.json.gz", "*.ndjson", "*.ndjson.gz"} {
		names, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f := file{name: shortName(name), body: readFile(t, name)}
			if strings.Contains(pattern, "ndjson") {
				f.lines = bytes.Split(bytes.TrimSpace(f.body), []byte("\n"))
				f.size = len(f.lines)
				for _, line := range f.lines {
					if typ, _ := identity(t, line); typ == "Patient" {
						f.patients++
					}
				}
			} else {
				var b struct {
					Entry []struct{ Resource json.RawMessage }
				}
				if err := json.Unmarshal(f.body, &b); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				f.size = len(b.Entry)
				for _, e := range b.Entry {
					if typ, _ := identity(t, e.Resource); typ == "Patient" {
						f.patients++
					}
				}
			}
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s has no records", folder)
	}
	// Hospitals, then the practitioners that work there, then patients, small ones first.
	slices.SortStableFunc(out, func(a, b file) int {
		if a.patients == 0 && b.patients == 0 {
			return strings.Compare(a.name, b.name)
		}
		if a.patients != b.patients {
			return a.patients - b.patients
		}
		return a.size - b.size
	})
	return out
}

// shortName is for the table.
func shortName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	name, _, _ = strings.Cut(name, "_")
	return name
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var from io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if from, err = gzip.NewReader(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return body
}

func identity(t *testing.T, raw []byte) (typ, id string) {
	t.Helper()
	var head struct{ ResourceType, ID string }
	if err := json.Unmarshal(raw, &head); err != nil {
		t.Fatalf("%v: %.100s", err, raw)
	}
	return head.ResourceType, head.ID
}

// load loads a file. It gives nil where the file has no patient of its own.
func (s *realServer) load(t *testing.T, f file) *loadedPatient {
	t.Helper()
	p := &loadedPatient{name: f.name}
	switch {
	case f.lines == nil:
		p.refs = s.transaction(t, f.name, f.body)
	case f.patients == 0:
		p.refs = s.transaction(t, f.name, conditionally(t, f.lines))
	default:
		// Under their own ids: they are the same each time.
		for part := range slices.Chunk(f.lines, 1000) {
			p.refs = append(p.refs, s.transaction(t, f.name, updates(t, part))...)
		}
	}
	slices.Sort(p.refs)
	for _, ref := range p.refs {
		if id, ok := strings.CutPrefix(ref, "Patient/"); ok && f.patients == 1 {
			p.id = id
		}
	}
	if f.patients == 0 {
		return nil
	}
	if p.id == "" {
		t.Fatalf("%s: %d patients, and not one of which the id is known", f.name, f.patients)
	}
	return p
}

type entry struct {
	Resource json.RawMessage `json:"resource"`
	Request  request         `json:"request"`
}

type request struct {
	Method      string `json:"method"`
	URL         string `json:"url"`
	IfNoneExist string `json:"ifNoneExist,omitempty"`
}

func bundleOf(t *testing.T, typ string, entries []entry) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": typ, "entry": entries})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// conditionally makes a batch of resources that are created only if their identifier is not there yet. Medplum takes no more than a few of
// these in a transaction.
func conditionally(t *testing.T, lines [][]byte) []byte {
	t.Helper()
	var entries []entry
	for _, line := range lines {
		var r struct {
			ResourceType string
			Identifier   []struct{ System, Value string }
		}
		if err := json.Unmarshal(line, &r); err != nil || len(r.Identifier) == 0 {
			t.Fatalf("%v: no identifier: %.100s", err, line)
		}
		q := url.Values{"identifier": {r.Identifier[0].System + "|" + r.Identifier[0].Value}}
		entries = append(entries, entry{line, request{Method: http.MethodPost, URL: r.ResourceType, IfNoneExist: q.Encode()}})
	}
	return bundleOf(t, "batch", entries)
}

// updates makes a transaction of resources that are stored under their own ids.
func updates(t *testing.T, lines [][]byte) []byte {
	t.Helper()
	var entries []entry
	for _, line := range lines {
		typ, id := identity(t, line)
		entries = append(entries, entry{line, request{Method: http.MethodPut, URL: typ + "/" + id}})
	}
	return bundleOf(t, "transaction", entries)
}

// transaction sends a transaction or batch and gives the identities of all resources in it. All have to be accepted.
func (s *realServer) transaction(t *testing.T, name string, body []byte) []string {
	t.Helper()
	for try := 0; ; try++ {
		status, answer, err := s.do(t.Context(), http.MethodPost, s.base, body)
		if err != nil {
			t.Fatal(err)
		}
		refs, conflict, err := accepted(status, answer, s.base)
		switch {
		case err == nil:
			return refs
		case conflict && try < 5: // somebody else loads the same hospitals.
			time.Sleep(200 * time.Millisecond)
		default:
			t.Fatalf("%s: %s: %v", s.name, name, err)
		}
	}
}

// accepted reads the answer to a transaction.
func accepted(status int, answer []byte, base string) (refs []string, conflict bool, err error) {
	if status != http.StatusOK {
		return nil, status == http.StatusConflict, fmt.Errorf("%d %.300s", status, answer)
	}
	var b struct {
		Entry []struct {
			Response struct {
				Status, Location string
				Outcome          json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(answer, &b); err != nil {
		return nil, false, err
	}
	for _, e := range b.Entry {
		ref, ok := localRef(e.Response.Location, base)
		if !strings.HasPrefix(e.Response.Status, "20") || !ok {
			return nil, strings.HasPrefix(e.Response.Status, "409"), fmt.Errorf("%s %q %.300s", e.Response.Status, e.Response.Location, e.Response.Outcome)
		}
		refs = append(refs, ref)
	}
	return refs, false, nil
}
