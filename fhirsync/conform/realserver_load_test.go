package conform_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform/validate"
	"github.com/fhirsync/fhirsync-go/refs"
)

// startedBy says how what these tests do not bring along is started. .ci/servers/README.md has more.
var startedBy = map[string]string{
	"FHIRSYNC_HAPI_STRICT": "export FHIRSYNC_HAPI_STRICT=$(HAPI_NAME=hapi-strict HAPI_VALIDATE=true HAPI_REFERENTIAL_INTEGRITY=true .ci/servers/hapi/run.sh start)",
	"FHIRSYNC_SYNTHEA":     "export FHIRSYNC_SYNTHEA=$(.ci/servers/synthea/run.sh)",
}

// component gives what the environment variable names. Where it is absent the test is skipped; in CI it fails.
func component(t *testing.T, variable string) string {
	t.Helper()
	v := os.Getenv(variable)
	switch {
	case v != "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not set, and in CI nothing may be absent; it is started by: %s", variable, startedBy[variable])
	default:
		t.Skipf("%s is not set; start it by: %s", variable, startedBy[variable])
	}
	return v
}

// strictServer is a FHIR server that validates what it is given and refuses references to what it does not have.
type strictServer struct {
	base string
	http *http.Client
}

// do sends a resource.
func (s *strictServer) do(ctx context.Context, method, address string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// put stores a resource under its own id. refused is the server's answer where it does not want it.
func (s *strictServer) put(ctx context.Context, r fhirsync.Resource) (refused string, err error) {
	for try := 0; ; try++ {
		status, answer, err := s.do(ctx, http.MethodPut, s.base+"/"+name(r), r.Raw)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK || status == http.StatusCreated:
			return "", nil
		case status == http.StatusConflict && try < 5:
			time.Sleep(50 * time.Millisecond)
		default:
			return fmt.Sprintf("%d: %s", status, errorsOf(answer)), nil
		}
	}
}

// check asks for a resource's errors by $validate, by the package that is there for it. A server that fails on it does not want it either.
func (s *strictServer) check(ctx context.Context, r fhirsync.Resource) (wrong []string, err error) {
	issues, err := (&validate.Server{BaseURL: s.base, Client: s.http}).Validate(ctx, r.Type, r.Raw)
	if err != nil {
		return []string{err.Error()}, ctx.Err()
	}
	for _, i := range issues {
		if i.Severity == "error" || i.Severity == "fatal" {
			wrong = append(wrong, i.Diagnostics)
		}
	}
	return wrong, nil
}

// errorsOf gives the errors in an OperationOutcome, without what is no error.
func errorsOf(body []byte) string {
	var outcome struct {
		Issue []struct {
			Severity, Diagnostics string
			Location              []string
		}
	}
	if json.Unmarshal(body, &outcome) != nil {
		return fmt.Sprintf("%.200s", body)
	}
	var out []string
	for _, i := range outcome.Issue {
		if i.Severity == "error" || i.Severity == "fatal" {
			out = append(out, fmt.Sprintf("%.160s", i.Diagnostics))
		}
	}
	return strings.Join(out, " | ")
}

// targets gives what a resource refers to on its own server, itself excepted.
func targets(r fhirsync.Resource) (out []string) {
	for f, err := range refs.All(r.Raw) {
		if own := f.Ref.Type + "/" + f.Ref.ID; err == nil && f.Source == refs.FromReference && f.Ref.Kind == refs.Relative && own != r.Type+"/"+r.ID {
			out = append(out, own)
		}
	}
	return out
}

// closed leaves out what refers to something that is not among the resources, and so on until nothing does.
func closed(all []fhirsync.Resource) []fhirsync.Resource {
	for {
		there := map[string]bool{}
		for _, r := range all {
			there[r.Type+"/"+r.ID] = true
		}
		rest := slices.DeleteFunc(slices.Clone(all), func(r fhirsync.Resource) bool {
			return slices.ContainsFunc(targets(r), func(to string) bool { return !there[to] })
		})
		if len(rest) == len(all) {
			return rest
		}
		all = rest
	}
}

// load puts a closed record, whatever others refer to first, and gives the server's words for what it refuses, by Type/id. Resources that
// refer to each other in a circle go in one transaction.
func (s *strictServer) load(t *testing.T, all []fhirsync.Resource) (accepted int, refused map[string]string) {
	t.Helper()
	refused = map[string]string{}
	there, left := map[string]bool{}, all
	for len(left) > 0 {
		var now, later []fhirsync.Resource
		for _, r := range left {
			if slices.ContainsFunc(targets(r), func(to string) bool { return !there[to] }) {
				later = append(later, r)
			} else {
				now = append(now, r)
			}
		}
		if len(now) == 0 { // they all hang on circles
			now, later = circle(left, there)
			why := s.transaction(t, now)
			for _, r := range now {
				if there[name(r)] = true; why != "" {
					refused[name(r)] = "in a circle: " + why
				} else {
					accepted++
				}
			}
			left = later
			continue
		}
		answers := each(t, now, s.put)
		for i, r := range now {
			if there[name(r)] = true; answers[i] != "" { // what refers to it shall be refused for itself
				refused[name(r)] = answers[i]
			} else {
				accepted++
			}
		}
		left = later
	}
	return accepted, refused
}

func name(r fhirsync.Resource) string { return r.Type + "/" + r.ID }

// each asks for each resource, four at a time.
func each[T any](t *testing.T, all []fhirsync.Resource, ask func(context.Context, fhirsync.Resource) (T, error)) []T {
	t.Helper()
	out := make([]T, len(all))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, r := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var err error
			if out[i], err = ask(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

// circle gives resources that refer to each other and to nothing else that is not there, and the rest.
func circle(all []fhirsync.Resource, there map[string]bool) (ring, rest []fhirsync.Resource) {
	reach := map[string]map[string]bool{}
	byName := map[string]fhirsync.Resource{}
	for _, r := range all {
		byName[name(r)] = r
	}
	for _, r := range all {
		seen := map[string]bool{name(r): true}
		for todo := []string{name(r)}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for _, to := range targets(byName[at]) {
				if _, ok := byName[to]; ok && !seen[to] && !there[to] {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		reach[name(r)] = seen
	}
	// The one that reaches the fewest reaches its own circle alone.
	first := slices.MinFunc(all, func(a, b fhirsync.Resource) int { return len(reach[name(a)]) - len(reach[name(b)]) })
	for _, r := range all {
		if reach[name(first)][name(r)] {
			ring = append(ring, r)
		} else {
			rest = append(rest, r)
		}
	}
	return ring, rest
}

// transaction puts resources at once. It gives the server's words if it does not want them.
func (s *strictServer) transaction(t *testing.T, all []fhirsync.Resource) (refused string) {
	t.Helper()
	type request struct {
		Method string `json:"method"`
		URL    string `json:"url"`
	}
	type entry struct {
		FullURL  string          `json:"fullUrl"`
		Resource json.RawMessage `json:"resource"`
		Request  request         `json:"request"`
	}
	var entries []entry
	for _, r := range all {
		entries = append(entries, entry{s.base + "/" + name(r), r.Raw, request{http.MethodPut, name(r)}})
	}
	body, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "transaction", "entry": entries})
	if err != nil {
		t.Fatal(err)
	}
	status, answer, err := s.do(t.Context(), http.MethodPost, s.base, body)
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK {
		return fmt.Sprintf("%d: %s", status, errorsOf(answer))
	}
	return ""
}

// readRecords reads the files of a folder: Bundles, and resources one a line. Those without a patient (hospitals, practitioners) belong to
// all. What a transaction would have done is done here: urn:uuid and conditional references become those of the resources that they mean.
func readRecords(t *testing.T, folder string) map[string][]fhirsync.Resource {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*json*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no records: %v", folder, err)
	}
	out := map[string][]fhirsync.Resource{}
	var shared []fhirsync.Resource
	rename := map[string]string{}
	for _, name := range names {
		record, patient := readRecord(t, name, rename)
		if patient {
			out[strings.SplitN(filepath.Base(name), ".", 2)[0]] = record
		} else {
			shared = append(shared, record...)
		}
	}
	for name, record := range out {
		record = append(record, shared...)
		for i := range record {
			raw, err := refs.Rewrite(record[i].Raw, func(f *refs.Found) string {
				if to, ok := rename[f.Text]; ok {
					return to
				}
				return f.Text
			}, refs.FromReference)
			if err != nil {
				t.Fatal(err)
			}
			record[i].Raw = raw
		}
		out[name] = record
	}
	return out
}

func readRecord(t *testing.T, name string, rename map[string]string) (record []fhirsync.Resource, patient bool) {
	t.Helper()
	body, err := os.ReadFile(name)
	if err == nil && strings.HasSuffix(name, ".gz") {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Entry []struct {
			FullURL  string
			Resource json.RawMessage
		}
	}
	if strings.Contains(name, "ndjson") {
		for line := range bytes.SplitSeq(bytes.TrimSpace(body), []byte("\n")) {
			b.Entry = append(b.Entry, struct {
				FullURL  string
				Resource json.RawMessage
			}{"", line})
		}
	} else if err := json.Unmarshal(body, &b); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, e := range b.Entry {
		var head struct {
			ResourceType, ID string
			Identifier       json.RawMessage
		}
		if json.Unmarshal(e.Resource, &head) != nil || head.ID == "" {
			continue
		}
		own := head.ResourceType + "/" + head.ID
		patient = patient || head.ResourceType == "Patient"
		if strings.HasPrefix(e.FullURL, "urn:uuid:") {
			rename[e.FullURL] = own
		}
		var identifiers []struct{ System, Value string }
		if json.Unmarshal(head.Identifier, &identifiers) == nil {
			for _, i := range identifiers {
				rename[head.ResourceType+"?identifier="+i.System+"|"+i.Value] = own
			}
		}
		record = append(record, fhirsync.Resource{Key: fhirsync.Key{Server: "a", Type: head.ResourceType, ID: head.ID}, Raw: e.Resource})
	}
	return record, patient
}
