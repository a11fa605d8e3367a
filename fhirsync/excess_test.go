package fhirsync_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// TestAThousandCategories: a server that wants a category, for observations each of which has one that nobody knows. The work is bounded,
// and what cannot be asked for is named.
func TestAThousandCategories(t *testing.T) {
	t.Parallel()
	for _, askable := range []bool{false, true} { // whether what has none of the known values can be asked for.
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 91, Size: 1001, Types: []string{"Observation"}})
			for i := range rec.Resources {
				r := &rec.Resources[i]
				r.Params = slices.DeleteFunc(slices.Clone(r.Params), func(p fhirtest.Param) bool { return p.Name == "category" })
				r.Params = append(r.Params, fhirtest.Param{Name: "category", Value: fmt.Sprintf("http://example.test/categories|c%d", i)})
			}
			srv := fhirtest.NewServer(rec)
			srv.Inject(fhirtest.ParamRequired("category").For("Observation"))
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: &instead{next: srv.RoundTripper(), of: func(r *http.Request) (int, []byte) {
				if !askable && strings.Contains(r.URL.RawQuery, "category%3A") {
					return http.StatusBadRequest, []byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported"}]}`)
				}
				return 0, nil
			}}}})
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			rep, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, &fhirsync.SyncOptions{Types: []string{"Observation"}})
			lost, _ := missing(srv, rec.PatientID, store)
			lost = slices.DeleteFunc(lost, func(ref string) bool { return !strings.HasPrefix(ref, "Observation/") }) // others are not asked for.
			if len(lost) > 0 && (rep.Verdict == fhirsync.Complete || !slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == "Observation" })) {
				t.Errorf("%v: lost %d in silence\n%s", err, len(lost), rep)
			}
			if askable && len(lost) > 0 {
				t.Errorf("lost %d although there was a way to ask", len(lost))
			}
			if n := rep.Requests.Total(); n > 1000 {
				t.Errorf("%d requests", n)
			}
			t.Logf("lost %d, %s, %d requests", len(lost), rep.Verdict, rep.Requests.Total())
		})
	}
}

// instead answers some requests with something else.
type instead struct {
	next http.RoundTripper
	of   func(r *http.Request) (status int, body []byte) // status 0: not this one
}

func (x *instead) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := x.of(r)
	if status == 0 {
		return x.next.RoundTrip(r)
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// TestAnEnormousCapabilityStatement: one with a hundred thousand operations, one of 50 MB, and one beyond what is read. The patient comes home.
func TestAnEnormousCapabilityStatement(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 92, Size: 120})
	plain := metadata(t, fhirtest.NewServer(rec))
	at := strings.LastIndex(plain, `"rest":[{`) + len(`"rest":[{`)
	var operations bytes.Buffer
	operations.WriteString(`"operation":[`)
	for i := range 100_000 {
		if i > 0 {
			operations.WriteByte(',')
		}
		fmt.Fprintf(&operations, `{"name":"operation-%d","definition":"http://example.test/OperationDefinition/operation-%d"}`, i, i)
	}
	operations.WriteString(`],`)
	for name, c := range map[string]struct {
		body []byte
		read bool
	}{
		"a hundred thousand operations": {[]byte(plain[:at] + operations.String() + plain[at:]), true},
		"50 MB":                         {[]byte(`{"description":"` + strings.Repeat("x", 50<<20) + `",` + plain[1:]), true},
		"70 MB":                         {[]byte(`{"description":"` + strings.Repeat("x", 70<<20) + `",` + plain[1:]), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			srv := fhirtest.NewServer(rec)
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: &instead{srv.RoundTripper(), func(r *http.Request) (int, []byte) {
				if strings.HasSuffix(r.URL.Path, "/metadata") {
					return http.StatusOK, c.body
				}
				return 0, nil
			}}}})
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			server := fhirsync.Server{BaseURL: srv.BaseURL()}
			caps, err := client.Capabilities(t.Context(), server)
			if c.read != (err == nil) || c.read && !caps.ListsParam("Observation", "patient") {
				t.Errorf("%s: %v", name, err)
			}
			if fail, ok := errors.AsType[*fhirsync.ServerError](err); !c.read && (!ok || fail.Op != "metadata") {
				t.Errorf("%s: %v", name, err)
			}
			rep, err := client.Sync(t.Context(), server, rec.PatientID, store, nil)
			if lost, alien := missing(srv, rec.PatientID, store); err != nil || len(lost)+len(alien) > 0 {
				t.Errorf("%s: %v, lost %v\n%s", name, err, lost, rep)
			}
		})
	}
}

// TestAnAnswerThatSaysItIsPartial: what was cut with an OperationOutcome to say so is asked for in parts, of which the server says no such thing.
func TestAnAnswerThatSaysItIsPartial(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults   []fhirtest.Fault
		complete bool
	}{
		"above ten":        {[]fhirtest.Fault{fhirtest.CutWithOutcome(10, "too-costly").For("Observation")}, true},
		"counts as well":   {[]fhirtest.Fault{fhirtest.CutWithOutcome(10, "too-costly").For("Observation"), fhirtest.CountCap(10).For("Observation")}, true},
		"of every answer":  {[]fhirtest.Fault{fhirtest.OutcomeEntry("warning", "incomplete").For("Observation")}, false},
		"of another thing": {[]fhirtest.Fault{fhirtest.OutcomeEntry("warning", "informational").For("Observation")}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 93, Size: 80, Types: []string{"Observation", "Condition"}})
			srv := fhirtest.NewServer(rec)
			srv.Inject(c.faults...)
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
			if c.complete != (err == nil) || c.complete != (rep.Verdict == fhirsync.Complete) {
				t.Errorf("%s: %v\n%s", name, err, rep)
			}
			if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
				t.Errorf("%s: lost %v", name, lost)
			}
			t.Logf("%s: %d requests", name, rep.Requests.Total())
		})
	}
}

// TestAListThatNeverEnds: pages without an end, each with another link to the next, in answer to a search for ids. What it does not bring is
// read one by one.
func TestAListThatNeverEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 94, Size: 120})
		srv := fhirtest.NewServer(rec)
		n := 0
		var turn sync.Mutex
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: &instead{srv.RoundTripper(), func(r *http.Request) (int, []byte) {
			if !strings.Contains(r.URL.Query().Get("_id"), ",") && !r.URL.Query().Has("more") {
				return 0, nil
			}
			turn.Lock()
			defer turn.Unlock()
			n++
			return http.StatusOK, fmt.Appendf(nil, `{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"%s?more=%d"}]}`, srv.BaseURL(), n)
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		store := new(memstore.Store)
		rep, err := client.Sync(ctx, fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if lost, alien := missing(srv, rec.PatientID, store); err != nil || len(lost)+len(alien) > 0 {
			t.Errorf("%v, lost %v\n%s", err, lost, rep)
		}
		if n == 0 || n > 400 {
			t.Errorf("%d pages of lists were asked for", n)
		}
	})
}
