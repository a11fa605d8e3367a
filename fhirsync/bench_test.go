package fhirsync_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// BenchmarkPull and BenchmarkPullEncodingJSON do the same over loopback: every resource of a patient found by the same searches, its raw
// bytes and its references into a map. The first also checks, judges, hashes and reports.
func BenchmarkPull(b *testing.B) {
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 5000})
	srv := fhirtest.NewServer(rec)
	base, stop, err := srv.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	c, err := fhirsync.New(fhirsync.Config{Limit: ratelimit.Policy{Rate: -1, Concurrency: 16}, Strategy: fhirsync.SearchByType()})
	if err != nil {
		b.Fatal(err)
	}
	requests := 0
	for b.Loop() {
		rep, err := c.Sync(b.Context(), fhirsync.Server{BaseURL: base}, rec.PatientID, new(memstore.Store), nil)
		if err != nil {
			b.Fatal(err)
		}
		requests = rep.Requests.Total()
	}
	b.ReportMetric(float64(requests), "requests/op")
}

func BenchmarkPullEncodingJSON(b *testing.B) {
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 5000})
	srv := fhirtest.NewServer(rec)
	base, stop, err := srv.Start()
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	types := map[string]bool{}
	for _, r := range rec.Resources {
		types[r.Type] = true
	}
	b.ResetTimer()
	for b.Loop() {
		got, references := map[string]json.RawMessage{}, map[string]int{}
		for typ := range types {
			for next := base + "/" + typ + "?_count=200&patient=" + url.QueryEscape(rec.PatientID); next != ""; {
				next = naivePage(b, next, got, references)
			}
		}
		if len(got) < len(rec.Resources)*9/10 {
			b.Fatalf("%d resources", len(got))
		}
	}
}

func naivePage(b *testing.B, address string, got map[string]json.RawMessage, references map[string]int) (next string) {
	b.Helper()
	resp, err := http.Get(address) //nolint:noctx // a loopback server of this benchmark.
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var page struct {
		Link  []struct{ Relation, URL string }
		Entry []struct{ Resource json.RawMessage }
	}
	if resp.StatusCode != http.StatusOK {
		return ""
	}
	if err := json.Unmarshal(body, &page); err != nil {
		b.Fatal(err)
	}
	for _, e := range page.Entry {
		var v map[string]any
		if err := json.Unmarshal(e.Resource, &v); err != nil {
			b.Fatal(err)
		}
		naiveReferences(v, references)
		got[fmt.Sprint(v["resourceType"], "/", v["id"])] = e.Resource
	}
	for _, l := range page.Link {
		if l.Relation == "next" {
			next = l.URL
		}
	}
	return next
}

func naiveReferences(v any, references map[string]int) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["reference"].(string); ok {
			references[ref]++
		}
		for _, e := range v {
			naiveReferences(e, references)
		}
	case []any:
		for _, e := range v {
			naiveReferences(e, references)
		}
	}
}

// TestTimeOverTheMinimum holds, in virtual time, how long a patient of 10,000 resources takes on a server that is known by now: at most 1.10 of
// the least. The least is the largest of three, none of which any order of requests can beat: the pages of the longest search one after the
// other (the next one is known only by the one before), all requests at as many at once as may be, and all requests at the rate that is allowed.
// Requests that are not needed would make the least longer as well, so their number is held too: checks within a quarter of what the data take at
// least or one for each type that came, references at as many as lists of 50 take, and one more. The Patient, the checks, the questions by other
// parameters and the references have to fit beside the longest search.
func TestTimeOverTheMinimum(t *testing.T) {
	t.Parallel()
	const size, concurrency, burst, floor, ids = 10_000, 8, 10, 1.10, 50
	large := fhirtest.Generate(fhirtest.Options{Seed: 71, Size: size})
	for _, latency := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond} {
		for _, rate := range []float64{-1, 10} {
			synctest.Test(t, func(t *testing.T) {
				srv := fhirtest.NewServer(large, fhirtest.Generate(fhirtest.Options{Seed: 72, Size: 300}), fhirtest.Generate(fhirtest.Options{Seed: 73, Size: 300}))
				srv.Inject(fhirtest.Slow(latency))
				cfg := fhirsync.Config{Limit: ratelimit.Policy{Rate: rate, Burst: burst, Concurrency: concurrency, Fixed: true}, Strategy: fhirsync.SearchByType()}
				c := newClient(t, srv, cfg)
				server := fhirsync.Server{BaseURL: srv.BaseURL()}
				for _, seed := range []uint64{72, 73} { // the server becomes known.
					rec := fhirtest.Generate(fhirtest.Options{Seed: seed, Size: 300})
					if _, err := c.Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				store := new(memstore.Store)
				start := time.Now()
				rep, err := c.Sync(t.Context(), server, large.PatientID, store, nil)
				took := time.Since(start)
				if err != nil || rep.Verdict != fhirsync.Complete || store.Len() < size {
					t.Fatalf("%v, %d resources\n%s", err, store.Len(), rep)
				}
				if lost, alien := missing(srv, large.PatientID, store); len(lost)+len(alien) > 0 {
					t.Errorf("lost %v, not to be there %v", lost, alien)
				}
				came, lists := 0, 0
				for name, typ := range rep.Types {
					if typ.Received > 0 {
						came++
					}
					by := typ.Received // by references
					if typ.Expected != nil {
						by -= *typ.Expected
					}
					if name != "Patient" {
						lists += (by + ids - 1) / ids
					}
				}
				if n := rep.Requests.Verification; n > max(rep.Requests.Minimum/4, came) {
					t.Errorf("%d requests for verification", n)
				}
				if n := rep.Requests.References; n > lists+1 {
					t.Errorf("%d requests for references, and %d lists would do", n, lists)
				}
				n := float64(rep.Requests.Total())
				pages := math.Ceil(float64(rep.Types["Observation"].Received) / 200)
				least := max(pages*latency.Seconds(), n*latency.Seconds()/concurrency)
				if rate > 0 {
					least = max(least, (n-burst)/rate+latency.Seconds())
				}
				over := took.Seconds() / least
				t.Logf("latency %v, %v requests/s: %v requests, %.1f s, least %.1f s, ratio %.2f", latency, rate, n, took.Seconds(), least, over)
				if over > floor {
					t.Errorf("latency %v, %v requests/s: %.2f of the least", latency, rate, over)
				}
			})
		}
	}
}
