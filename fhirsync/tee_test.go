package fhirsync_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// both is a Tee of two stores, which must hold the same.
type both struct {
	fhirsync.Store
	one, other *memstore.Store
}

func (b both) Powers() fhirsync.Powers { return fhirsync.PowersOf(b.Store) }

var errDiffer = errors.New("the two stores do not hold the same")

func TestTeeKeepsTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store {
			b := both{one: new(memstore.Store), other: new(memstore.Store)}
			b.Store = fhirsync.Tee(b.one, b.other)
			return b
		},
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			b := s.(both)
			one, is := b.one.Get(key)
			other, isOther := b.other.Get(key)
			switch {
			case is != isOther || !cmp.Equal(one, other):
				return one, errDiffer
			case !is:
				return one, fs.ErrNotExist
			}
			return one, nil
		},
		Reopen: func(_ testing.TB, prev fhirsync.Store) fhirsync.Store { // memory survives; what joins the two is made anew.
			b := prev.(both)
			b.Store = fhirsync.Tee(b.one, b.other)
			return b
		},
		Len: func(_ context.Context, s fhirsync.Store) (int, error) {
			b := s.(both)
			if b.one.Len() != b.other.Len() {
				return 0, errDiffer
			}
			return b.one.Len(), nil
		},
		Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
			b := s.(both)
			if !cmp.Equal(b.one.Quarantined(), b.other.Quarantined()) {
				return nil, errDiffer
			}
			return b.one.Quarantined(), nil
		},
	})
}

func TestTeePowers(t *testing.T) {
	t.Parallel()
	all := new(memstore.Store)
	none := fhirsync.StoreFunc(func(context.Context, fhirsync.Batch) error { return nil })
	for name, c := range map[string]struct {
		stores                      []fhirsync.Store
		state, digests, quarantines bool
	}{
		"all have all":     {[]fhirsync.Store{all, new(memstore.Store)}, true, true, true},
		"one has none":     {[]fhirsync.Store{all, none}, false, false, true},
		"none has any":     {[]fhirsync.Store{none, none}, false, false, false},
		"only one":         {[]fhirsync.Store{all}, true, true, true},
		"no store":         {nil, false, false, false},
		"a nil among them": {[]fhirsync.Store{all, nil}, false, false, false},
	} {
		p := fhirsync.PowersOf(fhirsync.Tee(c.stores...))
		if (p.State != nil) != c.state || (p.Digests != nil) != c.digests || (p.Quarantine != nil) != c.quarantines {
			t.Errorf("%s: %+v", name, p)
		}
	}
	for _, s := range []fhirsync.Store{fhirsync.Tee(), fhirsync.Tee(all, nil)} {
		if err := s.Put(t.Context(), fhirsync.Batch{}); err == nil {
			t.Error("a Tee without a store accepted a batch")
		}
	}
}

// What one store rejects is in the other, and a gap; what fails in one comes again to both.
func TestTeeRejectsAndFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testTeeRejectsAndFailures)
}

func testTeeRejectsAndFailures(t *testing.T) {
	t.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 60})
	srv := fhirtest.NewServer(rec)
	bad := rec.Resources[len(rec.Resources)/2]
	one, other := new(memstore.Store), new(memstore.Store)
	puts, failures := 0, 0
	picky := fhirsync.StoreFunc(func(ctx context.Context, b fhirsync.Batch) error {
		if puts++; puts%2 == 1 {
			failures++
			return errors.New("not now")
		}
		for i, r := range b.Resources {
			if r.Type == bad.Type && r.ID == bad.ID {
				return &fhirsync.RejectError{Rejected: map[int]error{i: errors.New("never")}}
			}
		}
		return other.Put(ctx, b)
	})
	rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, fhirsync.Tee(one, picky), nil)
	if !errors.Is(err, fhirsync.ErrIncomplete) || failures == 0 {
		t.Fatalf("%v after %d failures\n%s", err, failures, rep)
	}
	var gaps []string
	for _, g := range rep.Gaps {
		if g.Reason.Verdict() == fhirsync.Incomplete {
			gaps = append(gaps, g.Ref)
		}
	}
	if diff := cmp.Diff([]string{bad.Ref()}, gaps); diff != "" {
		t.Error(diff)
	}
	if lost, _ := missing(srv, rec.PatientID, one); len(lost) > 0 {
		t.Errorf("the store that rejects nothing lacks %v", lost)
	}
	if lost, _ := missing(srv, rec.PatientID, other); !slices.Equal(lost, []string{bad.Ref()}) {
		t.Errorf("the store that rejects one lacks %v", lost)
	}
}

// A state counts where all stores have it.
func TestTeeStateOnlyWhereAllAgree(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	one, other := new(memstore.Store), new(memstore.Store)
	tee := fhirsync.PowersOf(fhirsync.Tee(one, other)).State
	save := func(s fhirsync.StateStore, state, rev string) string {
		t.Helper()
		next, err := s.SaveState(ctx, "k", []byte(state), rev)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	load := func(want string) string {
		t.Helper()
		got, rev, err := tee.LoadState(ctx, "k")
		if err != nil || string(got) != want || (want == "") != (got == nil) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
		return rev
	}
	rev := save(tee, "both", "")
	load("both")
	// The second went on by itself.
	_, own, err := other.LoadState(ctx, "k")
	if err != nil {
		t.Fatal(err)
	}
	save(other, "alone", own)
	if _, err := tee.SaveState(ctx, "k", []byte("stale"), rev); !errors.Is(err, fhirsync.ErrStateConflict) {
		t.Errorf("%v", err)
	}
	if got, _, _ := one.LoadState(ctx, "k"); string(got) != "both" {
		t.Errorf("a conflict in the second has changed the first: %q", got)
	}
	rev = load("")
	rev = save(tee, "again", rev)
	load("again")
	if _, err := tee.SaveState(ctx, "k", nil, rev); err != nil {
		t.Error(err)
	}
	if rev := load(""); rev != "" {
		t.Errorf("the revision of what is nowhere is %q", rev)
	}
	// A state that only the first has, because the second is new.
	save(one, "first", "")
	rev = load("")
	save(tee, "both again", rev)
	load("both again")
}

// A sync into both that was interrupted goes on; one into a store that was exchanged in between begins anew, so that the new one gets all.
func TestTeeResumesOnlyWhatBothHave(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 300})
	for name, exchanged := range map[string]bool{"both are there": false, "one was exchanged": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(fhirtest.Slow(500 * time.Millisecond))
				one, other := new(memstore.Store), new(memstore.Store)
				cfg := fhirsync.Config{Limit: ratelimit.Policy{Rate: 4, Concurrency: 4}}
				server := fhirsync.Server{BaseURL: srv.BaseURL()}
				ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
				first, err := newClient(t, srv, cfg).Sync(ctx, server, rec.PatientID, fhirsync.Tee(one, other), nil)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) || !first.Resumable {
					t.Fatalf("%v\n%s", err, first)
				}
				if exchanged {
					other = new(memstore.Store)
				}
				rep, err := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, fhirsync.Tee(one, other), nil)
				if err != nil || rep.ResumedFrom.IsZero() != exchanged {
					t.Fatalf("%v, resumed from %v\n%s", err, rep.ResumedFrom, rep)
				}
				for _, s := range []*memstore.Store{one, other} {
					if lost, _ := missing(srv, rec.PatientID, s); len(lost) > 0 {
						t.Errorf("%d are missing: %v", len(lost), lost)
					}
				}
			})
		})
	}
}

// filtered is a Filter and the store that it fills.
type filtered struct {
	fhirsync.Store
	inner *memstore.Store
}

func (f filtered) Powers() fhirsync.Powers { return fhirsync.PowersOf(f.Store) }

func TestFilterThatKeepsAllKeepsTheContract(t *testing.T) {
	t.Parallel()
	all := func(fhirsync.Resource) bool { return true }
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store {
			inner := new(memstore.Store)
			return filtered{fhirsync.Filter(inner, "all", all), inner}
		},
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			r, is := s.(filtered).inner.Get(key)
			if !is {
				return r, fs.ErrNotExist
			}
			return r, nil
		},
		Reopen: func(_ testing.TB, prev fhirsync.Store) fhirsync.Store {
			f := prev.(filtered)
			return filtered{fhirsync.Filter(f.inner, "all", all), f.inner}
		},
		Len: func(_ context.Context, s fhirsync.Store) (int, error) { return s.(filtered).inner.Len(), nil },
		Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
			return s.(filtered).inner.Quarantined(), nil
		},
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testFilter)
}

func testFilter(t *testing.T) {
	t.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 80})
	srv := fhirtest.NewServer(rec)
	clinical := func(r fhirsync.Resource) bool { return r.Type == "Patient" || r.Type == "Observation" }
	inner := new(memstore.Store)
	c := newClient(t, srv, fhirsync.Config{})
	server := fhirsync.Server{BaseURL: srv.BaseURL()}
	for range 2 {
		rep, err := c.Sync(t.Context(), server, rec.PatientID, fhirsync.Filter(inner, "clinical", clinical), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
	}
	want := srv.Want(rec.PatientID)
	maps.DeleteFunc(want, func(ref string, _ []byte) bool {
		typ, _, _ := strings.Cut(ref, "/")
		return !clinical(fhirsync.Resource{Key: fhirsync.Key{Type: typ}})
	})
	got := map[string][]byte{}
	for r := range inner.All() {
		got[r.Type+"/"+r.ID] = r.Raw
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Indexes of what the inner store rejects are those of the whole batch.
func TestFilterMapsRejections(t *testing.T) {
	t.Parallel()
	errInner := errors.New("inner")
	inner := fhirsync.StoreFunc(func(_ context.Context, b fhirsync.Batch) error {
		out := map[int]error{}
		for i, r := range b.Resources {
			if r.ID == "bad" {
				out[i] = errInner
			}
		}
		return &fhirsync.RejectError{Rejected: out}
	})
	f := fhirsync.Filter(inner, "", func(r fhirsync.Resource) bool { return r.Type != "Observation" })
	var b fhirsync.Batch
	for _, key := range []fhirsync.Key{{Type: "Observation", ID: "bad"}, {Type: "Patient", ID: "1"}, {Type: "Observation", ID: "2"}, {Type: "Patient", ID: "bad"}} {
		b.Resources = append(b.Resources, fhirsync.Resource{Key: key})
	}
	var reject *fhirsync.RejectError
	if err := f.Put(t.Context(), b); !errors.As(err, &reject) || len(reject.Rejected) != 1 || !errors.Is(reject.Rejected[3], errInner) {
		t.Errorf("%v: %+v", err, reject)
	}
	wrong := fhirsync.StoreFunc(func(context.Context, fhirsync.Batch) error {
		return &fhirsync.RejectError{Rejected: map[int]error{2: errInner}}
	})
	err := fhirsync.Filter(wrong, "", func(r fhirsync.Resource) bool { return r.Type != "Observation" }).Put(t.Context(), b)
	if err == nil || errors.As(err, &reject) {
		t.Errorf("an index that is none: %v", err)
	}
}

// What is held by a state is told apart by the name of the rule; without one there is none.
func TestFilterPowers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	inner := new(memstore.Store)
	keep := func(fhirsync.Resource) bool { return true }
	one := fhirsync.PowersOf(fhirsync.Filter(inner, "one", keep))
	two := fhirsync.PowersOf(fhirsync.Filter(inner, "two", keep))
	none := fhirsync.PowersOf(fhirsync.Filter(inner, "", keep))
	if none.State != nil || none.Digests == nil || none.Quarantine == nil {
		t.Errorf("%+v", none)
	}
	if _, err := one.State.SaveState(ctx, "k", []byte("of one"), ""); err != nil {
		t.Fatal(err)
	}
	if got, _, err := two.State.LoadState(ctx, "k"); got != nil || err != nil {
		t.Errorf("the state of another rule is given: %q, %v", got, err)
	}
	if got, _, err := inner.LoadState(ctx, "k"); got != nil || err != nil {
		t.Errorf("the state of a filtered sync is given without the filter: %q, %v", got, err)
	}
	for _, s := range []fhirsync.Store{fhirsync.Filter(nil, "", keep), fhirsync.Filter(inner, "", nil)} {
		if err := s.Put(ctx, fhirsync.Batch{}); err == nil || fhirsync.PowersOf(s) != (fhirsync.Powers{}) {
			t.Error("a Filter of nothing accepts a batch, or says what it can")
		}
	}
}
