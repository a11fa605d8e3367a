package storetest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

var errBroken = errors.New("fake: broken")

// wrong is a mistake that authors of stores make, and the rule that it breaks.
type wrong struct {
	rule, mistake string
	spoil         func(inner *memstore.Store) *fake
	harness       func(h *storetest.Harness) // changes it, where that is needed; may be nil
}

// Every rule must notice a store that breaks it, and say so in its words.
func TestWrongStoresAreNoticed(t *testing.T) {
	t.Parallel()
	noticed := map[string]bool{}
	for _, w := range wrongs {
		noticed[w.rule] = true
		t.Run(w.rule+"/"+strings.ReplaceAll(w.mistake, " ", "-"), func(t *testing.T) {
			t.Parallel()
			h := harness(w.spoil)
			if w.harness != nil {
				w.harness(&h)
			}
			rec := &recorder{TB: t}
			rec.run(w.rule, h)
			said := strings.Join(rec.said, "\n")
			if !rec.failed {
				t.Fatalf("not noticed; the rule said: %s", said)
			}
			if !strings.Contains(said, storetest.Words(w.rule)) {
				t.Errorf("the rule is not named in words: %s", said)
			}
			t.Logf("%.600s", said)
		})
	}
	for _, name := range storetest.Rules() {
		if !noticed[name] {
			t.Errorf("no wrong store proves that the rule %s notices anything", name)
		}
	}
}

// changing makes stores that change each resource before they keep it.
func changing(change func(r *fhirsync.Resource)) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			b.Resources = slices.Clone(b.Resources)
			for i := range b.Resources {
				change(&b.Resources[i])
			}
			return inner.Put(ctx, b)
		}}
	}
}

// keyed makes stores that find resources by something else than their Key.
func keyed(under func(k fhirsync.Key) fhirsync.Key) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		var mu sync.Mutex
		real := map[fhirsync.Key]fhirsync.Resource{}
		f := &fake{Store: new(memstore.Store)}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range b.Resources {
				real[under(r.Key)] = r
				r.Key = under(r.Key)
				if err := inner.Put(ctx, fhirsync.Batch{Resources: []fhirsync.Resource{r}}); err != nil {
					return err
				}
			}
			return f.Store.Put(ctx, b)
		}
		f.got = func(r fhirsync.Resource, err error) (fhirsync.Resource, error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				r.Raw = real[under(r.Key)].Raw
			}
			return r, err
		}
		return f
	}
}

// refusing makes stores that refuse some batches for no reason.
func refusing(when func(b fhirsync.Batch) bool) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			if when(b) {
				return errBroken
			}
			return inner.Put(ctx, b)
		}}
	}
}

// dropping makes stores that keep only some of the resources, and say nothing.
func dropping(keep func(i int, r fhirsync.Resource) bool) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			var kept []fhirsync.Resource
			for i, r := range b.Resources {
				if keep(i, r) {
					kept = append(kept, r)
				}
			}
			b.Resources = kept
			return inner.Put(ctx, b)
		}}
	}
}

// written makes stores that write the JSON anew.
func written(write func(raw json.RawMessage) ([]byte, error)) func(*memstore.Store) *fake {
	return changing(func(r *fhirsync.Resource) {
		if out, err := write(r.Raw); err == nil {
			r.Raw = out
		}
	})
}

// forgetful makes stores of which Reopen gives what change has left over.
func forgetful(change func(old *memstore.Store) *fake) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, reopen: func() *fake { return change(inner) }}
	}
}

// copied gives a store with the resources that keep lets through.
func copied(old *memstore.Store, keep func(r fhirsync.Resource) bool) *memstore.Store {
	next := new(memstore.Store)
	for r := range old.All() {
		if keep(r) {
			_ = next.Put(context.Background(), fhirsync.Batch{Resources: []fhirsync.Resource{r}}) // memory does not fail.
		}
	}
	return next
}

// seeing makes stores that answer wrongly for what a run has put.
func seeing(see func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error)) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, seen: func(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return see(inner, run, keys)
		}}
	}
}

// telling makes stores that tell something of what they had.
func telling(what func(inner *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			tell := what(inner, b)
			err := inner.Put(fhirsync.OnHeld(ctx, nil), b)
			if err == nil {
				for _, keys := range tell {
					fhirsync.TellHeld(ctx, keys)
				}
			}
			return err
		}}
	}
}

// had gives the keys of a batch that are there under a condition.
func had(inner *memstore.Store, b fhirsync.Batch, is func(now, old fhirsync.Resource) bool) []fhirsync.Key {
	var keys []fhirsync.Key
	for _, r := range b.Resources {
		if old, there := inner.Get(r.Key); there && is(r, old) {
			keys = append(keys, r.Key)
		}
	}
	return keys
}

// lastRun makes stores that remember one run for what under gives.
func lastRun(under func(key fhirsync.Key, patient string) string) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		var mu sync.Mutex
		last := map[string]map[string]bool{}
		return &fake{
			Store: inner,
			put: func(ctx context.Context, b fhirsync.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range b.Resources {
					last[under(r.Key, b.PatientID)] = map[string]bool{b.Run: true}
				}
				return inner.Put(ctx, b)
			},
			seen: func(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
				mu.Lock()
				defer mu.Unlock()
				out := make([]bool, len(keys))
				for i, k := range keys {
					for _, patient := range []string{"p1", "other", "third", ""} {
						out[i] = out[i] || last[under(k, patient)][run]
					}
				}
				return out, ctx.Err()
			},
		}
	}
}

var wrongs = []wrong{
	{rule: "told", mistake: "tells all that is there", spoil: telling(func(inner *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key {
		return [][]fhirsync.Key{had(inner, b, func(_, _ fhirsync.Resource) bool { return true })}
	})},
	{rule: "told", mistake: "looks at the digest alone", spoil: telling(func(inner *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key {
		return [][]fhirsync.Key{had(inner, b, func(now, old fhirsync.Resource) bool { return now.Digest == old.Digest })}
	})},
	{rule: "told", mistake: "looks at the bytes alone", spoil: telling(func(inner *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key {
		return [][]fhirsync.Key{had(inner, b, func(now, old fhirsync.Resource) bool { return bytes.Equal(now.Raw, old.Raw) })}
	})},
	{rule: "told", mistake: "tells of what it has just put", spoil: telling(func(_ *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key {
		var keys []fhirsync.Key
		for _, r := range b.Resources {
			keys = append(keys, r.Key)
		}
		return [][]fhirsync.Key{keys}
	})},
	{rule: "told", mistake: "tells one by one", spoil: telling(func(inner *memstore.Store, b fhirsync.Batch) [][]fhirsync.Key {
		out := [][]fhirsync.Key{nil}
		for _, k := range had(inner, b, func(now, old fhirsync.Resource) bool {
			return now.Digest == old.Digest && bytes.Equal(now.Raw, old.Raw)
		}) {
			out = append(out, []fhirsync.Key{k})
		}
		return out
	})},
	{rule: "told", mistake: "never tells of anything", spoil: telling(func(_ *memstore.Store, _ fhirsync.Batch) [][]fhirsync.Key { return [][]fhirsync.Key{nil} })},
	{rule: "upsert", mistake: "keeps the first", spoil: func(inner *memstore.Store) *fake {
		return dropping(func(_ int, r fhirsync.Resource) bool { _, is := inner.Get(r.Key); return !is })(inner)
	}},
	{rule: "upsert", mistake: "refuses what is there", spoil: func(inner *memstore.Store) *fake {
		return refusing(func(b fhirsync.Batch) bool {
			return slices.ContainsFunc(b.Resources, func(r fhirsync.Resource) bool { _, is := inner.Get(r.Key); return is })
		})(inner)
	}},
	{rule: "upsert", mistake: "keeps both", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			for _, r := range b.Resources {
				if _, is := inner.Get(r.Key); is {
					f.more++
				}
			}
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "upsert", mistake: "holds what was never put", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, got: func(r fhirsync.Resource, _ error) (fhirsync.Resource, error) { return r, nil }}
	}},
	{rule: "upsert", mistake: "cannot say that nothing is there", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, got: func(r fhirsync.Resource, err error) (fhirsync.Resource, error) {
			if err != nil {
				return r, errBroken
			}
			return r, nil
		}}
	}},
	{rule: "upsert", mistake: "writes a shorter one over a longer one", spoil: func(inner *memstore.Store) *fake {
		return changing(func(r *fhirsync.Resource) {
			if old, is := inner.Get(r.Key); is && len(old.Raw) > len(r.Raw) {
				r.Raw = append(slices.Clone(r.Raw), old.Raw[len(r.Raw):]...)
			}
		})(inner)
	}},
	{rule: "upsert", mistake: "cannot read", spoil: func(inner *memstore.Store) *fake {
		n := 0
		return &fake{Store: inner, got: func(r fhirsync.Resource, err error) (fhirsync.Resource, error) {
			if n++; n > 1 {
				return r, errBroken
			}
			return r, err
		}}
	}},
	{rule: "upsert", mistake: "cannot count", spoil: func(inner *memstore.Store) *fake { return &fake{Store: inner, lenErr: errBroken} }},
	{rule: "upsert", mistake: "gives another one", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, got: func(r fhirsync.Resource, err error) (fhirsync.Resource, error) { r.ID += "x"; return r, err }}
	}},
	{rule: "same-batch-twice", mistake: "unique violation", spoil: func(inner *memstore.Store) *fake {
		return refusing(func(b fhirsync.Batch) bool { return inner.Len() > 0 })(inner)
	}},
	{rule: "same-batch-twice", mistake: "appends", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			if inner.Len() > 0 {
				f.more += len(b.Resources)
			}
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "same-batch-twice", mistake: "one patient per resource", spoil: refusing(func(b fhirsync.Batch) bool { return b.PatientID == "p2" })},
	{rule: "empty-batch", mistake: "empty VALUES list", spoil: refusing(func(b fhirsync.Batch) bool { return len(b.Resources) == 0 })},
	{rule: "empty-batch", mistake: "empties the store", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			if len(b.Resources) == 0 {
				f.Store = new(memstore.Store)
			}
			return f.Store.Put(ctx, b)
		}
		return f
	}},
	{rule: "empty-batch", mistake: "refuses it later", spoil: func(inner *memstore.Store) *fake {
		return refusing(func(b fhirsync.Batch) bool { return inner.Len() > 0 && len(b.Resources) == 0 })(inner)
	}},
	{rule: "no-patient", mistake: "not null", spoil: refusing(func(b fhirsync.Batch) bool { return b.PatientID == "" })},
	{rule: "full-batch", mistake: "999 parameters", spoil: dropping(func(i int, _ fhirsync.Resource) bool { return i < 999 })},
	{rule: "full-batch", mistake: "too many parameters", spoil: refusing(func(b fhirsync.Batch) bool { return len(b.Resources) > 500 })},
	{rule: "odd-ids", mistake: "ignores case", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.ID = strings.ToLower(k.ID); return k })},
	{rule: "odd-ids", mistake: "64 characters", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.ID = k.ID[:min(64, len(k.ID))]; return k })},
	{rule: "odd-ids", mistake: "trims", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.ID = strings.TrimSpace(k.ID); return k })},
	{rule: "odd-ids", mistake: "file names", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.ID = path.Clean("/" + k.ID); return k })},
	{rule: "odd-ids", mistake: "ASCII", spoil: keyed(func(k fhirsync.Key) fhirsync.Key {
		k.ID = strings.Map(func(r rune) rune {
			if r > 126 {
				return '?'
			}
			return r
		}, k.ID)
		return k
	})},
	{rule: "odd-ids", mistake: "refuses illegal ones", spoil: refusing(func(b fhirsync.Batch) bool {
		return slices.ContainsFunc(b.Resources, func(r fhirsync.Resource) bool { return strings.ContainsAny(r.ID, "|/\x01") })
	})},
	{rule: "identity", mistake: "trusts the JSON", spoil: keyed(idOfJSON())},
	{rule: "identity", mistake: "keeps no resource without id", spoil: dropping(func(_ int, r fhirsync.Resource) bool {
		return bytes.Contains(r.Raw, []byte(`"id"`))
	})},
	{rule: "types-apart", mistake: "ids alone", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.Type = ""; return k })},
	{rule: "types-apart", mistake: "types by prefix", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.Type = k.Type[:min(11, len(k.Type))]; return k })},
	{rule: "servers-apart", mistake: "no server in the key", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.Server = ""; return k })},
	{rule: "servers-apart", mistake: "ignores case", spoil: keyed(func(k fhirsync.Key) fhirsync.Key { k.Server = strings.ToLower(k.Server); return k })},
	{rule: "servers-apart", mistake: "first server only", spoil: refusing(func(b fhirsync.Batch) bool { return b.Server != "payer" })},
	{
		rule: "servers-apart", mistake: "says one server and takes two", spoil: func(inner *memstore.Store) *fake { return &fake{Store: inner} },
		harness: func(h *storetest.Harness) { h.OneServer = true },
	},
	{
		rule: "servers-apart", mistake: "refuses and overwrites",
		spoil: func(inner *memstore.Store) *fake {
			return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
				if b.Server == "payer" {
					return inner.Put(ctx, b)
				}
				b.Resources = slices.Clone(b.Resources)
				for i := range b.Resources {
					b.Resources[i].Server = "payer"
				}
				return errors.Join(inner.Put(ctx, b), errBroken)
			}}
		},
		harness: func(h *storetest.Harness) { h.OneServer = true },
	},
	{rule: "versions", mistake: "higher version wins", spoil: func(inner *memstore.Store) *fake {
		return dropping(func(_ int, r fhirsync.Resource) bool {
			old, is := inner.Get(r.Key)
			return !is || old.VersionID < r.VersionID
		})(inner)
	}},
	{rule: "versions", mistake: "zero time is old", spoil: func(inner *memstore.Store) *fake {
		return dropping(func(_ int, r fhirsync.Resource) bool { return !r.LastUpdated.IsZero() })(inner)
	}},
	{rule: "hands-off", mistake: "compacts in place", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			for _, r := range b.Resources {
				for i, c := range r.Raw {
					if c == '\n' {
						r.Raw[i] = ' '
					}
				}
			}
			return inner.Put(ctx, b)
		}}
	}},
	{rule: "hands-off", mistake: "sorts in place", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			err := inner.Put(ctx, b)
			slices.Reverse(b.Resources)
			return err
		}}
	}},
	{rule: "concurrent-syncs", mistake: "deadlock", spoil: func(inner *memstore.Store) *fake {
		var mu sync.Mutex
		var last string
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if other := last != "" && last != b.PatientID; other {
				return errBroken // as a database that gave up one of two transactions.
			}
			last = b.PatientID
			return inner.Put(ctx, b)
		}}
	}},
	{rule: "concurrent-syncs", mistake: "one sync at a time is kept", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		var mu sync.Mutex
		var run string
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if run == "" {
				run = b.Run
			}
			if b.Run != run {
				return nil
			}
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "concurrent-syncs", mistake: "mixes two versions", spoil: changing(func(r *fhirsync.Resource) {
		if r.ID == "changing" {
			r.Raw = append(slices.Clone(r.Raw[:len(r.Raw)/2]), bytes.Repeat([]byte("?"), 10)...)
		}
	})},
	{rule: "concurrent-syncs", mistake: "Holds fails", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(context.Context, []fhirsync.Key, [][32]byte) ([]bool, error) { return nil, errBroken }}
	}},
	{rule: "concurrent-syncs", mistake: "SaveState fails", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(context.Context, string, []byte, string) (string, error) { return "", errBroken }}
	}},
	{rule: "concurrent-syncs", mistake: "Seen fails", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, seen: func(context.Context, string, []fhirsync.Key) ([]bool, error) { return nil, errBroken }}
	}},
	{rule: "concurrent-syncs", mistake: "Seen has seen nothing", spoil: seeing(func(_ *memstore.Store, _ string, keys []fhirsync.Key) ([]bool, error) {
		return make([]bool, len(keys)), nil
	})},
	{rule: "bytes", mistake: "through a map", spoil: written(func(raw json.RawMessage) ([]byte, error) {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	})},
	{rule: "bytes", mistake: "indented", spoil: written(func(raw json.RawMessage) ([]byte, error) {
		var out bytes.Buffer
		err := json.Indent(&out, raw, "", "  ")
		return out.Bytes(), err
	})},
	{rule: "bytes", mistake: "compacted without saying so", spoil: written(func(raw json.RawMessage) ([]byte, error) {
		var out bytes.Buffer
		err := json.Compact(&out, raw)
		return out.Bytes(), err
	})},
	{
		rule: "bytes", mistake: "HTML escaped",
		spoil: written(func(raw json.RawMessage) ([]byte, error) {
			var out bytes.Buffer
			json.HTMLEscape(&out, raw)
			return out.Bytes(), nil
		}),
		harness: func(h *storetest.Harness) { h.DropsSpace = true },
	},
	{
		rule: "bytes", mistake: "drops space inside strings",
		spoil: written(func(raw json.RawMessage) ([]byte, error) {
			return bytes.ReplaceAll(raw, []byte("  "), []byte(" ")), nil
		}),
		harness: func(h *storetest.Harness) { h.DropsSpace = true },
	},
	{rule: "bytes", mistake: "refuses NUL", spoil: refusing(func(b fhirsync.Batch) bool { return bytes.Contains(b.Resources[0].Raw, []byte(`\u0000`)) })},
	{rule: "large-resource", mistake: "16 MB at most", spoil: refusing(func(b fhirsync.Batch) bool {
		return slices.ContainsFunc(b.Resources, func(r fhirsync.Resource) bool { return len(r.Raw) > 16<<20 })
	})},
	{rule: "large-resource", mistake: "cut off", spoil: changing(func(r *fhirsync.Resource) { r.Raw = r.Raw[:min(len(r.Raw), 16<<20)] })},
	{rule: "cancelled", mistake: "takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error { return inner.Put(context.WithoutCancel(ctx), b) }}
	}},
	{rule: "cancelled", mistake: "is broken afterwards", spoil: func(inner *memstore.Store) *fake {
		broken := false
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			if broken = broken || ctx.Err() != nil; broken {
				return errBroken
			}
			return inner.Put(ctx, b)
		}}
	}},
	{rule: "cancelled", mistake: "Holds takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
			return inner.Holds(context.WithoutCancel(ctx), keys, digests)
		}}
	}},
	{rule: "cancelled", mistake: "Seen takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, seen: func(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
			return inner.Seen(context.WithoutCancel(ctx), run, keys)
		}}
	}},
	{rule: "cancelled", mistake: "SaveState takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			return inner.SaveState(context.WithoutCancel(ctx), key, state, rev)
		}}
	}},
	{rule: "cancelled", mistake: "LoadState takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, load: func(ctx context.Context, key string) ([]byte, string, error) {
			return inner.LoadState(context.WithoutCancel(ctx), key)
		}}
	}},
	{rule: "cancelled", mistake: "Quarantine takes no notice", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, locked: func(ctx context.Context, items []fhirsync.Quarantined) error {
			return inner.Quarantine(context.WithoutCancel(ctx), items)
		}}
	}},
	{rule: "cancelled-midway", mistake: "nil for a part", spoil: stepping(nil)},
	{rule: "cancelled-midway", mistake: "done with the run", spoil: func(inner *memstore.Store) *fake {
		begun := map[fhirsync.Key]bool{}
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			var rest []fhirsync.Resource
			for _, r := range b.Resources {
				if !begun[r.Key] {
					rest = append(rest, r)
				}
				begun[r.Key] = true // before it is stored
			}
			b.Resources = rest
			return inner.Put(ctx, b)
		}}
	}},
	{rule: "cancelled-midway", mistake: "rejects for good", spoil: stepping(&fhirsync.RejectError{Rejected: map[int]error{0: errBroken}})},
	{rule: "partly-there", mistake: "skips a batch that has begun", spoil: func(inner *memstore.Store) *fake {
		seen := map[string]bool{}
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			name := fmt.Sprint(b.Run, b.PatientID, b.Resources[len(b.Resources)-1].Key)
			if seen[name] {
				return nil
			}
			seen[name] = true
			return inner.Put(ctx, b)
		}}
	}},
	{rule: "partly-there", mistake: "unique violation", spoil: func(inner *memstore.Store) *fake {
		return refusing(func(b fhirsync.Batch) bool { return inner.Len() > 0 })(inner)
	}},
	{rule: "reject", mistake: "plain error", spoil: refusing(func(b fhirsync.Batch) bool { return !valid(b.Resources) })},
	{rule: "reject", mistake: "names nothing", spoil: rejecting(func(fhirsync.Batch) map[int]error { return nil })},
	{rule: "reject", mistake: "no reason", spoil: rejecting(func(fhirsync.Batch) map[int]error { return map[int]error{1: nil} })},
	{rule: "reject", mistake: "counts from one", spoil: rejecting(func(b fhirsync.Batch) map[int]error { return map[int]error{len(b.Resources): errBroken} })},
	{rule: "reject", mistake: "rejects the whole batch", spoil: rejecting(func(b fhirsync.Batch) map[int]error {
		all := map[int]error{}
		for i := range b.Resources {
			all[i] = errBroken
		}
		return all
	})},
	{rule: "reject", mistake: "quotes the resource", spoil: rejecting(func(b fhirsync.Batch) map[int]error {
		for i, r := range b.Resources {
			if !json.Valid(r.Raw) {
				return map[int]error{i: fmt.Errorf("not JSON: %s", r.Raw)}
			}
		}
		return nil
	})},
	{rule: "reject", mistake: "does not end", spoil: rejectingForever},
	{rule: "reject", mistake: "drops what it does not like", spoil: dropping(func(_ int, r fhirsync.Resource) bool { return json.Valid(r.Raw) })},
	{rule: "reopen", mistake: "memory only", spoil: forgetful(func(*memstore.Store) *fake { return &fake{Store: new(memstore.Store)} })},
	{rule: "reopen", mistake: "loses the last one", spoil: forgetful(func(old *memstore.Store) *fake {
		return &fake{Store: copied(old, func(r fhirsync.Resource) bool { return r.ID != "r59" })}
	})},
	{rule: "reopen", mistake: "old ones come back", spoil: forgetful(func(old *memstore.Store) *fake {
		next := copied(old, func(fhirsync.Resource) bool { return true })
		return &fake{Store: next, more: 1}
	})},
	{rule: "reopen", mistake: "read only", spoil: forgetful(func(old *memstore.Store) *fake {
		return refusing(func(fhirsync.Batch) bool { return true })(old)
	})},
	{rule: "reopen-powers", mistake: "states in memory", spoil: forgetful(func(old *memstore.Store) *fake {
		other := new(memstore.Store)
		f := &fake{Store: old, save: other.SaveState}
		f.load = other.LoadState
		return f
	})},
	{rule: "reopen-powers", mistake: "digests in memory", spoil: forgetful(func(old *memstore.Store) *fake {
		return &fake{Store: old, holds: new(memstore.Store).Holds}
	})},
	{rule: "reopen-powers", mistake: "holds everything", spoil: forgetful(func(old *memstore.Store) *fake {
		return &fake{Store: old, holds: func(_ context.Context, keys []fhirsync.Key, _ [][32]byte) ([]bool, error) {
			return slices.Repeat([]bool{true}, len(keys)), nil
		}}
	})},
	{rule: "reopen-powers", mistake: "quarantine in memory", spoil: forgetful(func(old *memstore.Store) *fake {
		next := copied(old, func(fhirsync.Resource) bool { return true })
		return &fake{Store: next, seen: old.Seen, save: old.SaveState, load: old.LoadState}
	})},
	{rule: "reopen-powers", mistake: "what a run has put in memory", spoil: forgetful(func(old *memstore.Store) *fake {
		return &fake{Store: old, seen: new(memstore.Store).Seen}
	})},
	{rule: "reopen-powers", mistake: "a deleted state comes back", spoil: forgetful(func(old *memstore.Store) *fake {
		return &fake{Store: old, load: func(ctx context.Context, key string) ([]byte, string, error) {
			if key == "gone" {
				return []byte("state"), "9", nil
			}
			return old.LoadState(ctx, key)
		}}
	})},
	{rule: "reopen-powers", mistake: "other powers", spoil: forgetful(func(old *memstore.Store) *fake { return &fake{Store: old, powers: &fhirsync.Powers{}} })},
	{rule: "state", mistake: "absent is an error", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, load: func(ctx context.Context, key string) ([]byte, string, error) {
			state, rev, err := inner.LoadState(ctx, key)
			if rev == "" {
				err = errBroken
			}
			return state, rev, err
		}}
	}},
	{rule: "state", mistake: "absent is empty", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, load: func(ctx context.Context, key string) ([]byte, string, error) {
			state, rev, err := inner.LoadState(ctx, key)
			return append([]byte{}, state...), rev, err
		}}
	}},
	{rule: "state", mistake: "empty is absent", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			if len(state) == 0 {
				state = nil
			}
			return inner.SaveState(ctx, key, state, rev)
		}}
	}},
	{rule: "state", mistake: "keys without case", spoil: func(inner *memstore.Store) *fake {
		return &fake{
			Store: inner,
			load: func(ctx context.Context, key string) ([]byte, string, error) {
				return inner.LoadState(ctx, strings.ToLower(key))
			},
			save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
				return inner.SaveState(ctx, strings.ToLower(key), state, rev)
			},
		}
	}},
	{rule: "state", mistake: "text only", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			if state != nil {
				state = bytes.ToValidUTF8(state, []byte("?"))
			}
			return inner.SaveState(ctx, key, state, rev)
		}}
	}},
	{rule: "state", mistake: "the revision is a digest", spoil: digestRevisions},
	{rule: "state", mistake: "a deletion has a revision", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			next, err := inner.SaveState(ctx, key, state, rev)
			if err == nil && state == nil {
				next = "deleted"
			}
			return next, err
		}}
	}},
	{rule: "state", mistake: "no revisions", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			_, err := inner.SaveState(ctx, key, state, rev)
			return "", err
		}}
	}},
	{rule: "state-conflict", mistake: "last one wins", spoil: lastWins(nil)},
	{rule: "state-conflict", mistake: "another error", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			next, err := inner.SaveState(ctx, key, state, rev)
			if err != nil {
				err = errBroken
			}
			return next, err
		}}
	}},
	{rule: "state-conflict", mistake: "deletes whatever is there", spoil: lastWins(func(state []byte) bool { return state == nil })},
	{rule: "state-conflict", mistake: "counts from one after a deletion", spoil: countedRevisions},
	{rule: "state-race", mistake: "looks and then writes", spoil: lastWins(nil)},
	{rule: "state-race", mistake: "none wins", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(context.Context, string, []byte, string) (string, error) { return "", fhirsync.ErrStateConflict }}
	}},
	{rule: "state-race", mistake: "busy", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			next, err := inner.SaveState(ctx, key, state, rev)
			if err != nil {
				err = errBroken
			}
			return next, err
		}}
	}},
	{rule: "digests", mistake: "in another order", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
			out, err := inner.Holds(ctx, keys, digests)
			slices.Reverse(out)
			return out, err
		}}
	}},
	{rule: "digests", mistake: "only those that are there", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
			out, err := inner.Holds(ctx, keys, digests)
			return slices.DeleteFunc(out, func(is bool) bool { return !is }), err
		}}
	}},
	{rule: "digests", mistake: "any that was ever put", spoil: everHeld},
	{rule: "digests", mistake: "hashes of Raw", spoil: changing(func(r *fhirsync.Resource) { r.Digest = sha256.Sum256(r.Raw) })},
	{rule: "digests", mistake: "by digest alone", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(_ context.Context, _ []fhirsync.Key, digests [][32]byte) ([]bool, error) {
			out := make([]bool, len(digests))
			for i := range out {
				for r := range inner.All() {
					out[i] = out[i] || r.Digest == digests[i]
				}
			}
			return out, nil
		}}
	}},
	{rule: "digests", mistake: "presence alone", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(_ context.Context, keys []fhirsync.Key, _ [][32]byte) ([]bool, error) {
			out := make([]bool, len(keys))
			for i := range out {
				_, out[i] = inner.Get(keys[i])
			}
			return out, nil
		}}
	}},
	{rule: "digests", mistake: "keeps the old bytes of an equal digest", spoil: func(inner *memstore.Store) *fake {
		return dropping(func(_ int, r fhirsync.Resource) bool {
			old, is := inner.Get(r.Key)
			return !is || old.Digest != r.Digest
		})(inner)
	}},
	{rule: "digests", mistake: "500 keys at most", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, holds: func(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
			if len(keys) > 500 {
				return nil, errBroken
			}
			return inner.Holds(ctx, keys, digests)
		}}
	}},
	{rule: "seen", mistake: "in another order", spoil: seeing(func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error) {
		out, err := inner.Seen(context.Background(), run, keys)
		slices.Reverse(out)
		return out, err
	})},
	{rule: "seen", mistake: "only those that are there", spoil: seeing(func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error) {
		out, err := inner.Seen(context.Background(), run, keys)
		return slices.DeleteFunc(out, func(is bool) bool { return !is }), err
	})},
	{rule: "seen", mistake: "nothing", spoil: seeing(func(_ *memstore.Store, _ string, keys []fhirsync.Key) ([]bool, error) {
		return make([]bool, len(keys)), nil
	})},
	{rule: "seen", mistake: "whatever is held", spoil: seeing(func(inner *memstore.Store, _ string, keys []fhirsync.Key) ([]bool, error) {
		out := make([]bool, len(keys))
		for i, k := range keys {
			_, out[i] = inner.Get(k)
		}
		return out, nil
	})},
	{rule: "seen", mistake: "ignores the case of ids", spoil: seeing(func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error) {
		lower := slices.Clone(keys)
		for i := range lower {
			lower[i].ID = strings.ToLower(lower[i].ID)
		}
		return inner.Seen(context.Background(), run, lower)
	})},
	{rule: "seen", mistake: "one server", spoil: seeing(func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error) {
		same := slices.Clone(keys)
		for i := range same {
			same[i].Server = "payer"
		}
		return inner.Seen(context.Background(), run, same)
	})},
	{rule: "seen", mistake: "500 keys at most", spoil: seeing(func(inner *memstore.Store, run string, keys []fhirsync.Key) ([]bool, error) {
		if len(keys) > 500 {
			return nil, errBroken
		}
		return inner.Seen(context.Background(), run, keys)
	})},
	{rule: "seen", mistake: "the last run of a resource, whoever's", spoil: lastRun(func(k fhirsync.Key, _ string) string { return k.Server + k.Type + k.ID })},
	{rule: "seen", mistake: "what is written alone", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			var written []fhirsync.Resource
			for _, r := range b.Resources {
				if !r.Unchanged {
					written = append(written, r)
				}
			}
			b.Resources = written
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "seen", mistake: "a run is one patient's", spoil: func(inner *memstore.Store) *fake {
		var mu sync.Mutex
		whose := map[string]string{}
		return &fake{
			Store: inner,
			put: func(ctx context.Context, b fhirsync.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				if other, known := whose[b.Run]; known && other != b.PatientID {
					b.Run += " of another"
				} else {
					whose[b.Run] = b.PatientID
				}
				return inner.Put(ctx, b)
			},
		}
	}},
	{rule: "unchanged", mistake: "empties the body", spoil: changing(func(r *fhirsync.Resource) {
		if r.Unchanged {
			r.Raw = nil
		}
	})},
	{rule: "unchanged", mistake: "forgets the digest", spoil: changing(func(r *fhirsync.Resource) {
		if r.Unchanged {
			r.Digest = [32]byte{}
		}
	})},
	{rule: "history", mistake: "in the place of the current one", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.versions = func(ctx context.Context, b fhirsync.Batch) error {
			return errors.Join(f.old.PutVersions(ctx, b), inner.Put(ctx, b))
		}
		return f
	}},
	{rule: "history", mistake: "one for each resource", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.versions = func(ctx context.Context, b fhirsync.Batch) error {
			b.Resources = slices.Clone(b.Resources)
			for i := range b.Resources[1:] {
				b.Resources[i+1].VersionID = b.Resources[0].VersionID
			}
			return f.old.PutVersions(ctx, b)
		}
		return f
	}},
	{rule: "elsewhere", mistake: "under the server of the batch", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			b.Resources = slices.Clone(b.Resources)
			slices.Reverse(b.Resources)
			for i := range b.Resources {
				b.Resources[i].Server = b.Server
			}
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "elsewhere", mistake: "no batch of two servers", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			for _, r := range b.Resources {
				if r.Server != b.Server {
					return errBroken
				}
			}
			return inner.Put(ctx, b)
		}
		return f
	}},
	{rule: "history-durable", mistake: "in memory", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, reopen: func() *fake { return &fake{Store: inner} }}
	}},
	{rule: "contents", mistake: "as text", spoil: contentBytes(func(_ *fake, _ fhirsync.Content, data []byte) []byte { return bytes.ToValidUTF8(data, nil) })},
	{rule: "contents", mistake: "the first megabyte", spoil: contentBytes(func(_ *fake, _ fhirsync.Content, data []byte) []byte { return data[:min(len(data), 1<<20)] })},
	{rule: "contents", mistake: "nothing of nothing", spoil: contentBytes(func(_ *fake, _ fhirsync.Content, data []byte) []byte {
		if len(data) == 0 {
			data = []byte("null")
		}
		return data
	})},
	{rule: "contents", mistake: "the first one stays", spoil: contentBytes(func(f *fake, x fhirsync.Content, data []byte) []byte {
		f.mu.Lock()
		defer f.mu.Unlock()
		if was, have := f.bytes[x.Key]; have {
			return was
		}
		return data
	})},
	{rule: "contents", mistake: "one after the other", spoil: contentBytes(func(f *fake, x fhirsync.Content, data []byte) []byte {
		f.mu.Lock()
		defer f.mu.Unlock()
		return append(slices.Clone(f.bytes[x.Key]), data...)
	})},
	{rule: "contents-keys", mistake: "by id alone", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(_ context.Context, x fhirsync.Content) error {
			data, err := x.Bytes()
			for _, server := range []string{x.Key.Server, x.Server, "https://other.example/fhir"} {
				for _, typ := range []string{"Binary", "Media"} {
					f.keep(fhirsync.Key{Server: server, Type: typ, ID: x.Key.ID}, data)
				}
			}
			return err
		}
		return f
	}},
	{rule: "contents-keys", mistake: "under the server of the record", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(_ context.Context, x fhirsync.Content) error {
			data, err := x.Bytes()
			x.Key.Server = x.Server
			f.keep(x.Key, data)
			return err
		}
		return f
	}},
	{rule: "contents-keys", mistake: "in the place of a resource", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(ctx context.Context, x fhirsync.Content) error {
			data, err := x.Bytes()
			f.keep(x.Key, data)
			made := fhirsync.Resource{Key: x.Key, Raw: json.RawMessage(`{"resourceType":"Binary"}`)}
			return errors.Join(err, inner.Put(ctx, fhirsync.Batch{Run: x.Run, Server: x.Server, PatientID: x.PatientID, Resources: []fhirsync.Resource{made}}))
		}
		return f
	}},
	{rule: "contents-whole", mistake: "what could be read", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(_ context.Context, x fhirsync.Content) error {
			data, err := io.ReadAll(x.Body)
			f.keep(x.Key, data)
			return err
		}
		return f
	}},
	{rule: "contents-whole", mistake: "no error", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(_ context.Context, x fhirsync.Content) error {
			if data, err := io.ReadAll(x.Body); err == nil {
				f.keep(x.Key, data)
			}
			return nil
		}
		return f
	}},
	{rule: "contents-cancelled", mistake: "up to where the context ends", spoil: func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(ctx context.Context, x fhirsync.Content) error {
			data, err := x.Bytes()
			for i := 0; i < len(data); i += 1 << 20 {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				f.keep(x.Key, data[:min(len(data), i+1<<20)])
			}
			return err
		}
		return f
	}},
	{rule: "contents-durable", mistake: "in memory", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, reopen: func() *fake { return &fake{Store: inner} }}
	}},
	{rule: "quarantine", mistake: "valid JSON only", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, locked: func(ctx context.Context, items []fhirsync.Quarantined) error {
			for _, q := range items {
				if !json.Valid(q.Raw) {
					return errBroken
				}
			}
			return inner.Quarantine(ctx, items)
		}}
	}},
	{rule: "quarantine", mistake: "among the resources", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, locked: func(ctx context.Context, items []fhirsync.Quarantined) error {
			for _, q := range items {
				key := fhirsync.Key{Server: q.Server, Type: q.Type, ID: q.ID}
				if err := inner.Put(ctx, fhirsync.Batch{Resources: []fhirsync.Resource{{Key: key, Raw: q.Raw}}}); err != nil {
					return err
				}
			}
			return inner.Quarantine(ctx, items)
		}}
	}},
	{rule: "quarantine", mistake: "throws away", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, locked: func(context.Context, []fhirsync.Quarantined) error { return nil }}
	}},
	{rule: "quarantine", mistake: "unique by type and id", spoil: func(inner *memstore.Store) *fake {
		seen := map[string]bool{}
		return &fake{Store: inner, locked: func(ctx context.Context, items []fhirsync.Quarantined) error {
			for _, q := range items {
				if seen[q.Type+q.ID] {
					return errBroken
				}
				seen[q.Type+q.ID] = true
			}
			return inner.Quarantine(ctx, items)
		}}
	}},
	{rule: "quarantine", mistake: "nothing is an error", spoil: func(inner *memstore.Store) *fake {
		return &fake{Store: inner, locked: func(ctx context.Context, items []fhirsync.Quarantined) error {
			if len(items) == 0 {
				return errBroken
			}
			return inner.Quarantine(ctx, items)
		}}
	}},
}

// idOfJSON gives the key that the JSON of the rule identity would lead to.
func idOfJSON() func(fhirsync.Key) fhirsync.Key {
	return func(k fhirsync.Key) fhirsync.Key {
		switch k.ID {
		case "changed":
			k.ID = "a"
		case "from-url", "from-url-2":
			k.ID = ""
		}
		return k
	}
}

// stepping makes stores that look at the context before each resource, and give a wrong answer if it has ended.
func stepping(answer error) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			for _, r := range b.Resources {
				if ctx.Err() != nil {
					return answer
				}
				one := fhirsync.Batch{Server: b.Server, Resources: []fhirsync.Resource{r}}
				if err := inner.Put(context.WithoutCancel(ctx), one); err != nil {
					return err
				}
			}
			return nil
		}}
	}
}

func valid(rs []fhirsync.Resource) bool {
	return !slices.ContainsFunc(rs, func(r fhirsync.Resource) bool { return !json.Valid(r.Raw) })
}

// rejecting makes stores that reject wrongly what is not JSON.
func rejecting(which func(b fhirsync.Batch) map[int]error) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		return &fake{Store: inner, put: func(ctx context.Context, b fhirsync.Batch) error {
			if !valid(b.Resources) {
				return &fhirsync.RejectError{Rejected: which(b)}
			}
			return inner.Put(ctx, b)
		}}
	}
}

// rejectingForever makes a store that goes on rejecting with indexes of nothing.
func rejectingForever(inner *memstore.Store) *fake {
	return &fake{Store: inner, put: func(_ context.Context, b fhirsync.Batch) error {
		for i, r := range b.Resources {
			if !json.Valid(r.Raw) {
				return &fhirsync.RejectError{Rejected: map[int]error{i: errBroken}}
			}
		}
		return &fhirsync.RejectError{Rejected: map[int]error{-1: errBroken}}
	}}
}

// lastWins makes stores that take no notice of the revision, at least for some states.
func lastWins(when func(state []byte) bool) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		var mu sync.Mutex
		return &fake{Store: inner, save: func(ctx context.Context, key string, state []byte, rev string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if when == nil || when(state) {
				_, now, err := inner.LoadState(ctx, key)
				if err != nil {
					return "", err
				}
				rev = now
			}
			return inner.SaveState(ctx, key, state, rev)
		}}
	}
}

// revisioned makes stores with revisions of their own making.
func revisioned(next func(state []byte, old string) string) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		states, revs := map[string][]byte{}, map[string]string{}
		return &fake{
			Store: inner,
			load:  func(_ context.Context, key string) ([]byte, string, error) { return states[key], revs[key], nil },
			save: func(_ context.Context, key string, state []byte, rev string) (string, error) {
				if rev != revs[key] {
					return "", fhirsync.ErrStateConflict
				}
				if state == nil {
					delete(states, key)
					delete(revs, key)
					return "", nil
				}
				states[key], revs[key] = append([]byte{}, state...), next(state, revs[key])
				return revs[key], nil
			},
		}
	}
}

var (
	digestRevisions  = revisioned(func([]byte, string) string { return "the same for all" })
	countedRevisions = revisioned(func(_ []byte, old string) string { return old + "I" })
)

// everHeld remembers each digest that was ever put.
func everHeld(inner *memstore.Store) *fake {
	seen := map[fhirsync.Key]map[[32]byte]bool{}
	f := &fake{Store: inner}
	f.put = func(ctx context.Context, b fhirsync.Batch) error {
		for _, r := range b.Resources {
			next := maps.Clone(seen[r.Key])
			if next == nil {
				next = map[[32]byte]bool{}
			}
			next[r.Digest] = true
			seen[r.Key] = next
		}
		return inner.Put(ctx, b)
	}
	f.holds = func(_ context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
		out := make([]bool, len(keys))
		for i := range keys {
			out[i] = seen[keys[i]][digests[i]]
		}
		return out, nil
	}
	return f
}

// contentBytes makes a store that keeps something else than the bytes of a content.
func contentBytes(change func(f *fake, x fhirsync.Content, data []byte) []byte) func(*memstore.Store) *fake {
	return func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		f.content = func(ctx context.Context, x fhirsync.Content) error {
			data, err := x.Bytes()
			if err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			f.keep(x.Key, change(f, x, data))
			return nil
		}
		return f
	}
}
