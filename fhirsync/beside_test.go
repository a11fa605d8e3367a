package fhirsync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// longWeb is a record with one long chain of pages, of which the last one names what nothing before has named.
func longWeb() web {
	w := newWeb()
	w.MaxCount = 50
	for i := range 1000 {
		practitioner, encounter := fmt.Sprintf("Practitioner/p%d", i%110), fmt.Sprintf("Encounter/e%d", i%60)
		if i == 998 {
			practitioner = "PractitionerRole/late"
		}
		w.put(fmt.Sprintf("Observation/%04d", i), true, fmt.Sprintf(`"performer":[{"reference":%q}],"encounter":{"reference":%q}`, practitioner, encounter), practitioner, encounter)
	}
	for i := range 110 {
		w.put(fmt.Sprintf("Practitioner/p%d", i), false, "")
	}
	for i := range 60 {
		w.put(fmt.Sprintf("Encounter/e%d", i), true, `"serviceProvider":{"reference":"Organization/o"}`, "Organization/o")
	}
	w.put("Organization/o", false, "")
	w.put("PractitionerRole/late", false, `"practitioner":{"reference":"Practitioner/later"},"organization":{"reference":"Organization/later"}`, "Practitioner/later", "Organization/later")
	w.put("Practitioner/later", false, "")
	w.put("Organization/later", false, `"partOf":{"reference":"Organization/latest"}`, "Organization/latest")
	w.put("Organization/latest", false, "")
	w.Inject(fhirtest.Slow(100 * time.Millisecond))
	return w
}

// few are the types that are in a longWeb: the questions for others would take longer than the chain.
func few() *fhirsync.SyncOptions {
	return &fhirsync.SyncOptions{Types: []string{"Observation", "Encounter", "Practitioner", "PractitionerRole", "Organization"}}
}

func (w web) patient(t *testing.T) *fhirsync.Client {
	t.Helper()
	return newClient(t, w.Server, fhirsync.Config{Strategy: fhirsync.SearchByType(), Limit: ratelimit.Policy{Rate: -1}})
}

// What need not wait for the end of the longest chain goes on beside it; what the chain names last comes all the same, and nothing is asked for
// that comes by a search.
func TestWhatFollowsGoesOnBesideTheLongestChain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := longWeb()
		store := new(memstore.Store)
		w.complete(t, store, w.sync(t, w.patient(t), store, few()))
		requests := w.Requests()
		where := func(ok func(r fhirtest.Request) bool) []int {
			var at []int
			for i, r := range requests {
				if ok(r) {
					at = append(at, i)
				}
			}
			return at
		}
		pages := where(func(r fhirtest.Request) bool { return r.Type == "Observation" && r.Interaction == fhirtest.Page })
		last := pages[len(pages)-1]
		lists := where(func(r fhirtest.Request) bool { return r.Type == "Practitioner" && r.Query.Has("_id") })
		vias := where(func(r fhirtest.Request) bool { return r.Type == "Observation" && r.Query.Has("performer") })
		encounters := where(func(r fhirtest.Request) bool { return r.Type == "Encounter" && r.Interaction == fhirtest.Count })
		observations := where(func(r fhirtest.Request) bool {
			return r.Type == "Observation" && r.Interaction == fhirtest.Count && !r.Query.Has("performer")
		})
		if len(lists) != 3 || lists[1] > last || len(vias) == 0 || vias[0] > last || len(encounters) != 1 || encounters[0] > last {
			t.Errorf("last page at %d; lists at %v, by performer at %v, count of Encounters at %v", last, lists, vias, encounters)
		}
		// The count of the chain itself tells of the same time as its last page: not of an earlier one.
		if len(observations) != 1 || observations[0] < pages[len(pages)-2] {
			t.Errorf("last pages at %v, counts at %v", pages[len(pages)-2:], observations)
		}
		asked := map[string]int{}
		for _, r := range requests {
			for id := range strings.SplitSeq(r.Query.Get("_id"), ",") {
				asked[r.Type+"/"+id]++
			}
			if r.Interaction == fhirtest.Read {
				asked[r.Path]++
			}
		}
		for ref, n := range asked {
			typ, id, _ := strings.Cut(ref, "/")
			if id != "" && typ != "Patient" && (n > 1 || typ == "Encounter") {
				t.Errorf("asked for %s %d times", ref, n)
			}
		}
	})
}

// Wherever it is interrupted, nothing that was begun beside the chain is forgotten, and nothing hangs.
func TestWhatGoesOnBesideSurvivesAnInterruption(t *testing.T) {
	t.Parallel()
	for stop := 150 * time.Millisecond; stop < 2500*time.Millisecond; stop += 150 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			w := longWeb()
			store := new(memstore.Store)
			ctx, cancel := context.WithTimeout(t.Context(), stop)
			first, err := w.patient(t).Sync(ctx, fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, few())
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || first.Verdict != fhirsync.Incomplete {
				t.Fatalf("%v: %v\n%s", stop, err, first)
			}
			w.complete(t, store, w.sync(t, w.patient(t), store, few()))
		})
	}
}

// oneByOne reads the pages of one type and notes whether two came at once.
type oneByOne struct {
	pages, leaveAt int
	inside, twice  bool
}

func (*oneByOne) Name() string { return "one-by-one" }

func (o *oneByOne) Fetch(ctx context.Context, s *fhirsync.Session) error {
	for _, err := range s.Pages(ctx, fhirsync.Query{Type: "Observation"}) {
		if err != nil {
			return err
		}
		o.twice = o.twice || o.inside
		o.inside = true
		time.Sleep(30 * time.Millisecond)
		o.inside = false
		if o.pages++; o.pages == o.leaveAt {
			break
		}
	}
	return nil
}

// The pages of the questions by other parameters come to the strategy one at a time like all others, also when it leaves in the middle.
func TestPagesFromBesideComeOneByOne(t *testing.T) {
	t.Parallel()
	for _, leaveAt := range []int{0, 1, 2, 3, 5} {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			w.MaxCount = 10
			for i := range 60 {
				w.put(fmt.Sprintf("Observation/%02d", i), true, "")
				// What the patient has performed is found by that alone.
				id := fmt.Sprintf("by-%02d", i)
				w.Put(fhirtest.Resource{
					Type: "Observation", ID: id, Owner: "p", Params: fhirtest.Of("p", "performer"),
					Raw: fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"performer":[{"reference":"Patient/p"}]}`, id),
				})
			}
			w.Inject(fhirtest.Slow(100 * time.Millisecond))
			o := &oneByOne{leaveAt: leaveAt}
			store := new(memstore.Store)
			c := newClient(t, w.Server, fhirsync.Config{Strategy: o, Limit: ratelimit.Policy{Rate: -1}})
			rep := w.sync(t, c, store, &fhirsync.SyncOptions{Types: []string{"Observation"}})
			if o.twice {
				t.Error("two pages at once")
			}
			lost, alien := missing(w.Server, "p", store)
			left := slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Reason == fhirsync.Unasked })
			switch {
			case len(alien) > 0:
				t.Errorf("not to be there: %v", alien)
			case leaveAt == 0 && (len(lost) > 0 || rep.Verdict != fhirsync.Complete || o.pages != 12):
				t.Errorf("%d pages, lost %v\n%s", o.pages, lost, rep)
			case leaveAt > 0 && (!left || o.pages != leaveAt):
				t.Errorf("left at page %d: %d pages\n%s", leaveAt, o.pages, rep)
			}
		})
	}
}
