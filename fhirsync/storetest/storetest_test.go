package storetest_test

import (
	"context"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

func TestCorrectStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, harness(func(inner *memstore.Store) *fake { return &fake{Store: inner} }))
}

func TestCorrectStoreForOneServer(t *testing.T) {
	t.Parallel()
	h := harness(func(inner *memstore.Store) *fake {
		f := &fake{Store: inner}
		first := ""
		f.put = func(ctx context.Context, b fhirsync.Batch) error {
			if first == "" {
				first = b.Server
			}
			if b.Server != first {
				return errBroken
			}
			rejected := map[int]error{}
			for i, r := range b.Resources {
				if r.Server != first {
					rejected[i] = errBroken
				}
			}
			if len(rejected) > 0 {
				return &fhirsync.RejectError{Rejected: rejected}
			}
			return inner.Put(ctx, b)
		}
		return f
	})
	h.OneServer = true
	storetest.Run(t, h)
}

// A store of one method, in a harness of two functions, is tested for what it is.
func TestLeastStore(t *testing.T) {
	t.Parallel()
	h := storetest.Harness{
		Open: func(testing.TB) fhirsync.Store {
			inner := new(memstore.Store)
			return &least{StoreFunc: inner.Put, inner: inner}
		},
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			r, ok := s.(*least).inner.Get(key)
			if !ok {
				return fhirsync.Resource{}, fs.ErrNotExist
			}
			return fhirsync.Resource{Raw: r.Raw}, nil
		},
	}
	var said []string
	for _, name := range storetest.Rules() {
		rec := &recorder{TB: t}
		rec.run(name, h)
		if rec.failed {
			t.Errorf("%s: %s", name, rec.said)
		}
		for _, line := range rec.said {
			if strings.HasPrefix(line, "not tested: ") {
				said = append(said, name)
				break
			}
		}
	}
	for _, name := range []string{"reopen", "reopen-powers", "state", "state-conflict", "state-race", "digests", "unchanged", "seen", "quarantine", "history", "contents", "contents-whole", "upsert"} {
		if !slices.Contains(said, name) {
			t.Errorf("%s: does not say that it, or a part of it, was not tested", name)
		}
	}
}

type least struct {
	fhirsync.StoreFunc
	inner *memstore.Store
}

func TestOddIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, id := range storetest.OddIDs() {
		if seen[id] || id == "" {
			t.Errorf("%q is empty or stands twice", id)
		}
		seen[id] = true
	}
}

func TestHarnessMustBeFilled(t *testing.T) {
	t.Parallel()
	for _, h := range []storetest.Harness{
		{Open: func(testing.TB) fhirsync.Store { return nil }, Get: harness(nil).Get},
		{Open: func(testing.TB) fhirsync.Store { return nil }, Get: harness(nil).Get, OneServer: true},
	} {
		rec := &recorder{TB: t}
		rec.run("upsert", h)
		if !rec.failed {
			t.Error("a harness without a store passes")
		}
	}
}

// harness is one over stores of memstore that were made wrong.
func harness(spoil func(inner *memstore.Store) *fake) storetest.Harness {
	return storetest.Harness{
		Open: func(testing.TB) fhirsync.Store { return spoil(new(memstore.Store)) },
		Get: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			return s.(*fake).get(ctx, key)
		},
		Reopen: func(_ testing.TB, prev fhirsync.Store) fhirsync.Store {
			f := prev.(*fake)
			if f.reopen != nil {
				return f.reopen()
			}
			return f
		},
		Len: func(_ context.Context, s fhirsync.Store) (int, error) {
			f := s.(*fake)
			return f.Len() + f.more, f.lenErr
		},
		Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
			return s.(*fake).Quarantined(), nil
		},
		Version: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error) {
			return s.(*fake).version(ctx, key, version)
		},
		Content: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
			return s.(*fake).contentOf(ctx, key)
		},
	}
}

// fake is a memstore of which single methods are replaced by wrong ones.
type fake struct {
	*memstore.Store
	put      func(ctx context.Context, b fhirsync.Batch) error
	got      func(r fhirsync.Resource, err error) (fhirsync.Resource, error)
	holds    func(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error)
	seen     func(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error)
	load     func(ctx context.Context, key string) ([]byte, string, error)
	save     func(ctx context.Context, key string, state []byte, rev string) (string, error)
	locked   func(ctx context.Context, items []fhirsync.Quarantined) error
	versions func(ctx context.Context, b fhirsync.Batch) error
	content  func(ctx context.Context, x fhirsync.Content) error
	old      memstore.History
	mu       sync.Mutex
	bytes    map[fhirsync.Key][]byte
	powers   *fhirsync.Powers
	reopen   func() *fake
	more     int
	lenErr   error
}

func (f *fake) get(_ context.Context, key fhirsync.Key) (fhirsync.Resource, error) {
	r, ok := f.Get(key)
	var err error
	if !ok {
		err = fmt.Errorf("fake: %w", fs.ErrNotExist)
	}
	if f.got != nil {
		return f.got(r, err)
	}
	return r, err
}

func (f *fake) Put(ctx context.Context, b fhirsync.Batch) error {
	if f.put != nil {
		return f.put(ctx, b)
	}
	return f.Store.Put(ctx, b)
}

func (f *fake) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	if f.holds != nil {
		return f.holds(ctx, keys, digests)
	}
	return f.Store.Holds(ctx, keys, digests)
}

func (f *fake) Seen(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
	if f.seen != nil {
		return f.seen(ctx, run, keys)
	}
	return f.Store.Seen(ctx, run, keys)
}

func (f *fake) LoadState(ctx context.Context, key string) ([]byte, string, error) {
	if f.load != nil {
		return f.load(ctx, key)
	}
	return f.Store.LoadState(ctx, key)
}

func (f *fake) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	if f.save != nil {
		return f.save(ctx, key, state, rev)
	}
	return f.Store.SaveState(ctx, key, state, rev)
}

func (f *fake) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	if f.locked != nil {
		return f.locked(ctx, items)
	}
	return f.Store.Quarantine(ctx, items)
}

func (f *fake) Powers() fhirsync.Powers {
	if f.powers != nil {
		return *f.powers
	}
	return fhirsync.Powers{State: f, Digests: f, Seen: f, Quarantine: f, History: f, Content: f}
}

func (f *fake) PutVersions(ctx context.Context, b fhirsync.Batch) error {
	if f.versions != nil {
		return f.versions(ctx, b)
	}
	return f.old.PutVersions(ctx, b)
}

func (f *fake) PutContent(ctx context.Context, x fhirsync.Content) error {
	if f.content != nil {
		return f.content(ctx, x)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := x.Bytes()
	if err != nil {
		return err
	}
	f.keep(x.Key, data)
	return nil
}

func (f *fake) keep(key fhirsync.Key, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes == nil {
		f.bytes = map[fhirsync.Key][]byte{}
	}
	f.bytes[key] = data
}

func (f *fake) version(_ context.Context, key fhirsync.Key, version string) (fhirsync.Resource, error) {
	r, ok := f.old.Version(key, version)
	if !ok {
		return r, fs.ErrNotExist
	}
	return r, nil
}

func (f *fake) contentOf(_ context.Context, key fhirsync.Key) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, ok := f.bytes[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

// recorder takes the place of a *testing.T and notes what would have failed.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
	said   []string
}

// run tests one rule, and comes back also where the rule ends its goroutine.
func (r *recorder) run(name string, h storetest.Harness) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		storetest.Check(r, name, h)
	}()
	<-done
}

func (r *recorder) say(failed bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.said = append(r.said, text)
}

func (r *recorder) Helper()                        {}
func (r *recorder) Log(args ...any)                { r.say(false, fmt.Sprint(args...)) }
func (r *recorder) Logf(format string, a ...any)   { r.say(false, fmt.Sprintf(format, a...)) }
func (r *recorder) Error(args ...any)              { r.say(true, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, a ...any) { r.say(true, fmt.Sprintf(format, a...)) }
func (r *recorder) Fatal(args ...any)              { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(format string, a ...any) { r.Errorf(format, a...); runtime.Goexit() }
func (r *recorder) Fail()                          { r.say(true, "") }
func (r *recorder) FailNow()                       { r.Fail(); runtime.Goexit() }
func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
