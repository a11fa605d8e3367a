package storetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

const (
	server      = "payer"
	otherServer = "https://other.example/fhir"
	patientID   = "p1"
)

// day is when all resources here were last updated, unless they say otherwise.
var day = time.Date(2024, 2, 29, 12, 30, 15, 250_000_000, time.FixedZone("", 2*60*60))

// observation makes a resource whose content is told apart by text.
func observation(id, text string) fhirsync.Resource {
	return resource(fhirsync.Key{Server: server, Type: "Observation", ID: id}, text)
}

func resource(key fhirsync.Key, text string) fhirsync.Resource {
	id, _ := json.Marshal(key.ID) // a string always has JSON.
	note, _ := json.Marshal(text)
	return raw(key, fmt.Sprintf(`{"resourceType":%q,"id":%s,"note":[{"text":%s}]}`, key.Type, id, note))
}

func raw(key fhirsync.Key, text string) fhirsync.Resource {
	return fhirsync.Resource{
		Key: key, VersionID: "1", LastUpdated: day, Raw: json.RawMessage(text), Digest: sha256.Sum256([]byte(text)),
		Origin: fhirsync.Origin{Strategy: "storetest", Op: "search", Received: day},
	}
}

// batchOf makes a batch as Sync does: in Key order.
func batchOf(resources ...fhirsync.Resource) fhirsync.Batch {
	b := fhirsync.Batch{Run: "run1", Server: server, PatientID: patientID, Resources: slices.Clone(resources)}
	if len(resources) > 0 {
		b.Server = resources[0].Server
	}
	slices.SortFunc(b.Resources, func(a, b fhirsync.Resource) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
	return b
}

// put puts resources in one batch, which must succeed.
func (c *check) put(s fhirsync.Store, resources ...fhirsync.Resource) {
	c.Helper()
	if err := s.Put(c.Context(), batchOf(resources...)); err != nil {
		c.broken("Put of %d resources gave the error: %v", len(resources), err)
	}
}

// holds checks that resources are there, as given.
func (c *check) holds(s fhirsync.Store, resources ...fhirsync.Resource) {
	c.Helper()
	for _, want := range resources {
		if fault := c.fault(s, want); fault != "" {
			c.broken("%s", fault)
		}
	}
}

// fault tells in what the resource held differs from the one wanted, "" if in nothing.
func (c *check) fault(s fhirsync.Store, want fhirsync.Resource) string {
	c.Helper()
	got, err := c.h.Get(c.Context(), s, want.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("%s was accepted by Put and is not there: %v", name(want.Key), err)
	case err != nil:
		return fmt.Sprintf("Get of %s gave the error: %v", name(want.Key), err)
	case got.Key != (fhirsync.Key{}) && got.Key != want.Key:
		return fmt.Sprintf("asked for %s, Get gave %s", name(want.Key), name(got.Key))
	}
	if diff := c.difference(want.Raw, got.Raw); diff != "" {
		return fmt.Sprintf("%s came back changed: %s", name(want.Key), diff)
	}
	return ""
}

// lacks checks that no resource is under the key.
func (c *check) lacks(s fhirsync.Store, key fhirsync.Key) {
	c.Helper()
	switch _, err := c.h.Get(c.Context(), s, key); {
	case err == nil:
		c.broken("%s is there and was never put", name(key))
	case !errors.Is(err, fs.ErrNotExist):
		c.broken("Get of the absent %s must give an error that is fs.ErrNotExist (errors.Is), not: %v", name(key), err)
	}
}

// counts checks how many resources there are, where that can be told.
func (c *check) counts(s fhirsync.Store, want int) {
	c.Helper()
	if c.h.Len == nil {
		c.untested("how many resources the store holds (Harness.Len is nil)")
		return
	}
	got, err := c.h.Len(c.Context(), s)
	if err != nil {
		c.broken("Len gave the error: %v", err)
	}
	if got != want {
		c.broken("the store holds %d resources, not %d", got, want)
	}
}

func (c *check) difference(want, got []byte) string {
	if c.h.DropsSpace {
		want, got = dense(want), dense(got)
	}
	if bytes.Equal(want, got) {
		return ""
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	return fmt.Sprintf("%d bytes were put, %d came back, and byte %d is the first that differs: put %q, back %q",
		len(want), len(got), at, around(want, at), around(got, at))
}

// around gives the few bytes that begin at an offset.
func around(b []byte, at int) []byte { return b[min(at, len(b)):min(at+32, len(b))] }

// dense drops the white space between tokens; what is not JSON stays as it is.
func dense(b []byte) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, b); err != nil {
		return b
	}
	return out.Bytes()
}

// name writes a key for a message. The ids are the suite's own.
func name(k fhirsync.Key) string {
	id := fmt.Sprintf("%q", k.ID)
	if len(id) > 80 {
		id = id[:40] + "..." + id[len(id)-12:]
	}
	return fmt.Sprintf("%s/%s of server %q", k.Type, id, k.Server)
}

// expiring is a context that ends after having been asked a number of times whether it has: a Put that looks between its steps is
// cancelled at each of them in turn, and every time in the same place.
type expiring struct {
	context.Context //nolint:containedctx // it is a context itself
	left            atomic.Int64
	once            sync.Once
	done            chan struct{}
}

func expireAfter(ctx context.Context, asked int) *expiring {
	e := &expiring{Context: ctx, done: make(chan struct{})}
	e.left.Store(int64(asked))
	return e
}

func (e *expiring) tick() {
	if e.left.Add(-1) < 0 {
		e.once.Do(func() { close(e.done) })
	}
}

func (e *expiring) Done() <-chan struct{} {
	e.tick()
	return e.done
}

func (e *expiring) Err() error {
	e.tick()
	select {
	case <-e.done:
		return context.Canceled
	default:
		return e.Context.Err()
	}
}
