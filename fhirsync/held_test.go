package fhirsync_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// questioned is a store that counts for how many keys it is asked what it holds.
type questioned struct {
	*memstore.Store
	mute bool // Put tells nothing

	mu   sync.Mutex
	keys int
}

func (a *questioned) Put(ctx context.Context, b fhirsync.Batch) error {
	if a.mute {
		ctx = fhirsync.OnHeld(ctx, nil)
	}
	return a.Store.Put(ctx, b)
}

func (a *questioned) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys += len(keys)
	return a.Store.Holds(ctx, keys, digests)
}

// A store whose Put tells what it had is asked beforehand only while it has something, and the report counts the same.
func TestAStoreThatTellsWhatItHadIsAskedForLess(t *testing.T) {
	rec := fhirtest.Generate(fhirtest.Options{Seed: 21, Size: 4000})
	srv := fhirtest.NewServer(rec)
	srv.MaxCount = 500
	sync := func(s fhirsync.Store) (unchanged, stored int) {
		t.Helper()
		rep, err := newClient(t, srv, fhirsync.Config{Limit: ratelimit.Policy{Rate: -1}}).Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, s, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		for _, typ := range rep.Types {
			unchanged += typ.Unchanged
			stored += typ.Stored
		}
		return unchanged, stored
	}
	for name, wrap := range map[string]func(s fhirsync.Store) fhirsync.Store{
		"alone": func(s fhirsync.Store) fhirsync.Store { return s },
		"namespaced": func(s fhirsync.Store) fhirsync.Store {
			space, err := idspace.New(idspace.Options{Name: "payer", Bases: []string{srv.BaseURL()}})
			if err != nil {
				t.Fatal(err)
			}
			return fhirsync.Namespaced(s, space)
		},
		"tee": func(s fhirsync.Store) fhirsync.Store { return fhirsync.Tee(s, new(memstore.Store)) },
		"filter": func(s fhirsync.Store) fhirsync.Store {
			return fhirsync.Filter(s, "all", func(fhirsync.Resource) bool { return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &questioned{Store: new(memstore.Store)}
			s := wrap(inner)
			unchanged, all := sync(s)
			if unchanged != 0 || inner.Len() != all {
				t.Errorf("first sync: %d unchanged, %d there, %d stored", unchanged, inner.Len(), all)
			}
			if inner.keys > all/2 {
				t.Errorf("asked for %d keys of %d, though it told each time that it had none", inner.keys, all)
			}
			inner.keys = 0
			if unchanged, again := sync(s); unchanged != all || again != all {
				t.Errorf("second sync: %d of %d unchanged, %d stored", unchanged, all, again)
			}

			// A third of it, of every type.
			third := func() *memstore.Store {
				some, n := new(memstore.Store), 0
				var all []fhirsync.Resource
				for r := range inner.All() {
					if n++; n%3 == 0 {
						all = append(all, r)
					}
				}
				if err := some.Put(t.Context(), fhirsync.Batch{Resources: all}); err != nil {
					t.Fatal(err)
				}
				return some
			}
			kept := third().Len()
			for _, mute := range []bool{false, true} {
				part := &questioned{Store: third(), mute: mute}
				one := wrap(part)
				if name == "tee" { // of two stores that have the same third
					one = fhirsync.Tee(part, third())
				}
				if unchanged, _ := sync(one); unchanged != kept {
					t.Errorf("mute %v: %d unchanged, %d were there", mute, unchanged, kept)
				}
				if part.Len() != all {
					t.Errorf("mute %v: %d of %d are there", mute, part.Len(), all)
				}
			}
		})
	}
}

// hashing is a store that looks whether RawDigest tells the truth.
type hashing struct {
	*memstore.Store
	wrong, right, repaired atomic.Int64
}

func (h *hashing) Put(ctx context.Context, b fhirsync.Batch) error {
	for _, r := range b.Resources {
		if fhirsync.RawDigest(ctx, r.Raw) != sha256.Sum256(r.Raw) || fhirsync.RawDigest(ctx, r.Raw[:len(r.Raw)-1]) != sha256.Sum256(r.Raw[:len(r.Raw)-1]) {
			h.wrong.Add(1)
		}
		h.right.Add(1)
		if r.Original != nil {
			h.repaired.Add(1)
		}
	}
	return h.Store.Put(ctx, b)
}

// RawDigest is that of the bytes that a store gets, whatever was repaired of them and whatever wrappers made of them.
func TestRawDigest(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 23, Size: 300})
	srv := fhirtest.NewServer(rec)
	srv.Inject(fhirtest.OddResources(`"\ud800"`).For("Observation"))
	space, err := idspace.New(idspace.Options{Name: "payer", Bases: []string{srv.BaseURL()}})
	if err != nil {
		t.Fatal(err)
	}
	for name, wrap := range map[string]func(s fhirsync.Store) fhirsync.Store{
		"alone":      func(s fhirsync.Store) fhirsync.Store { return s },
		"namespaced": func(s fhirsync.Store) fhirsync.Store { return fhirsync.Namespaced(s, space) },
		"other digests": func(s fhirsync.Store) fhirsync.Store {
			return fhirsync.StoreFunc(func(ctx context.Context, b fhirsync.Batch) error {
				b.Resources = slices.Clone(b.Resources)
				for i := range b.Resources {
					b.Resources[i].Digest[0]++
				}
				return s.Put(ctx, b)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &hashing{Store: new(memstore.Store)}
			rep, err := newClient(t, srv, fhirsync.Config{Limit: ratelimit.Policy{Rate: -1}}).Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, wrap(s), nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, rep)
			}
			if s.wrong.Load() > 0 || s.right.Load() == 0 || s.repaired.Load() == 0 {
				t.Errorf("%d of %d digests are wrong, %d were repaired", s.wrong.Load(), s.right.Load(), s.repaired.Load())
			}
		})
	}
	raw := []byte("{}")
	if fhirsync.RawDigest(t.Context(), raw) != sha256.Sum256(raw) || fhirsync.RawDigest(t.Context(), nil) != sha256.Sum256(nil) {
		t.Error("outside of a sync it is another one")
	}
}

// Where a store put a batch only after it had failed, what it then tells that it had may be from the first time: it does not count.
func TestWhatAFailedPutLeftIsNotUnchanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 22, Size: 300})
		srv := fhirtest.NewServer(rec)
		s := &halfway{Store: new(memstore.Store)}
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, s, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		for name, typ := range rep.Types {
			if typ.Unchanged != 0 {
				t.Errorf("%s: %d are said to have been there", name, typ.Unchanged)
			}
		}
		if lost, alien := missing(srv, rec.PatientID, s.Store); len(lost)+len(alien) > 0 {
			t.Errorf("lost %d, not to be there %d", len(lost), len(alien))
		}
	})
}

// halfway keeps the first half of each batch and fails; the second time it keeps all.
type halfway struct {
	*memstore.Store
	failed []fhirsync.Key
}

func (h *halfway) Powers() fhirsync.Powers { return fhirsync.Powers{} }

func (h *halfway) Put(ctx context.Context, b fhirsync.Batch) error {
	if first := b.Resources[0].Key; !slices.Contains(h.failed, first) {
		h.failed = append(h.failed, first)
		b.Resources = b.Resources[:(len(b.Resources)+1)/2]
		if err := h.Store.Put(ctx, b); err != nil {
			return err
		}
		return context.DeadlineExceeded
	}
	return h.Store.Put(ctx, b)
}
