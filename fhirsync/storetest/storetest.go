package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Harness is what the suite has to know of a store. Open and Get must be there; the rest says more about the store, or allows more to
// be tested.
type Harness struct {
	// Open gives a new and empty store. It is called at least once per rule, and several stores are in use one after the other; use
	// t.Cleanup to close them.
	Open func(t testing.TB) fhirsync.Store

	// Get reads one resource back, the way an application would. Only Raw has to be filled; where Key is filled it must be the key asked
	// for. A resource that is not there is an error for which errors.Is(err, fs.ErrNotExist) holds; any other error fails the test. It
	// is called from one goroutine, while no other method runs.
	Get func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error)

	// Reopen gives a store over whatever prev has made durable, as a new process would find it; prev is not used afterwards. The closer
	// it comes to a crash the better: copy the files, or drop the connection, rather than close prev in good order. nil: that what was
	// accepted is still there after a restart is not tested.
	Reopen func(t testing.TB, prev fhirsync.Store) fhirsync.Store

	// Len tells how many resources the store holds. nil: a store that keeps several resources under one Key goes unnoticed as long as
	// Get finds the right one.
	Len func(ctx context.Context, s fhirsync.Store) (int, error)

	// Quarantined gives all that is in quarantine, in any order. nil: it is only tested that Quarantine accepts things.
	Quarantined func(ctx context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error)

	// Version reads one version back that PutVersions was given, as Get reads a resource. nil: it is only tested that PutVersions accepts
	// things and changes nothing else. Only for a HistoryStore.
	Version func(ctx context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error)

	// Content reads the bytes of one content back that PutContent was given, as Get reads a resource. nil: it is only tested that PutContent
	// accepts things and changes nothing else. Only for a ContentStore.
	Content func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error)

	// DropsSpace: the store is line-based and drops white space between the tokens of the JSON, which means nothing. All other bytes have to
	// stay as they are, white space inside strings too.
	DropsSpace bool

	// OneServer: the store is for the records of one server only, and refuses batches of a second one with an error. Resources that a server elsewhere had, in a
	// batch of the first, it keeps under their own Key or rejects.
	OneServer bool
}

// Run tests a store. The rules run one after the other, as subtests of t.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil || h.Get == nil {
		t.Fatal("storetest: Harness.Open and Harness.Get must be set")
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.run(t, h) })
	}
}

// rule is one promise that a store makes.
type rule struct {
	name  string
	words string // the promise
	check func(c *check)
}

var rules = func() []rule {
	var all []rule
	all = append(all, putRules...)
	all = append(all, byteRules...)
	all = append(all, failureRules...)
	all = append(all, durableRules...)
	all = append(all, powerRules...)
	all = append(all, contentRules...)
	return all
}()

func (r rule) run(tb testing.TB, h Harness) {
	tb.Helper()
	r.check(&check{TB: tb, h: h, words: r.words})
}

// check is one rule being tested. Its TB is all that tells how it went, so that the suite can be tested itself.
type check struct {
	testing.TB
	h     Harness
	words string
}

// broken fails the test: the rule in words, then what happened.
func (c *check) broken(format string, args ...any) {
	c.Helper()
	c.Fatalf("broken rule: "+strings.ReplaceAll(c.words, "%", "%%")+"\n"+format, args...)
}

// untested notes that a rule, or a part of it, could not be tested.
func (c *check) untested(why string) {
	c.Helper()
	c.Log("not tested: " + why)
}

// open gives a new store.
func (c *check) open() fhirsync.Store {
	c.Helper()
	s := c.h.Open(c.TB)
	if s == nil {
		c.Fatal("storetest: Harness.Open gave no store")
	}
	return s
}
