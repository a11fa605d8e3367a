package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var putRules = []rule{
	{
		"elsewhere",
		"a batch may hold resources of other servers than its own: they are kept under their own Key, or refused, and never take the place of one with the same type and id",
		func(c *check) {
			s := c.open()
			own := observation("a", "the server's own")
			c.put(s, own)
			other := resource(fhirsync.Key{Server: otherServer, Type: "Observation", ID: "a"}, "another server's")
			also := observation("b", "the server's own")
			b := batchOf(own, also)
			b.Resources = append([]fhirsync.Resource{other}, b.Resources...) // in Key order
			b.Server = server
			err := s.Put(c.Context(), b)
			c.holds(s, own)
			if err == nil {
				c.holds(s, also, other)
				return
			}
			if reject, is := errors.AsType[*fhirsync.RejectError](err); !is || len(reject.Rejected) != 1 || reject.Rejected[0] == nil {
				c.broken("Put of a batch of one server with a resource of another gave the error: %v; a store that cannot keep it rejects it (RejectError)", err)
			}
			c.lacks(s, other.Key)
		},
	},
	{
		"upsert",
		"Put is an upsert by Key: what was put last under a Key replaces what was there, and touches nothing else",
		func(c *check) {
			s := c.open()
			a, b := observation("a", "first"), observation("b", "stays")
			c.lacks(s, a.Key)
			c.put(s, a, b)
			c.holds(s, a, b)
			next := observation("a", "second, and longer than the first")
			next.VersionID, next.LastUpdated = "2", day.AddDate(0, 0, 1)
			c.put(s, next)
			c.holds(s, next, b)
			c.counts(s, 2)
			short := observation("a", "3")
			short.VersionID, short.LastUpdated = "3", day.AddDate(0, 0, 2)
			other := observation("c", "new beside an old one")
			c.put(s, short, other)
			c.holds(s, short, b, other)
			c.lacks(s, observation("d", "").Key)
			c.counts(s, 3)
		},
	},
	{
		"same-batch-twice",
		"Put is idempotent: the same batch may come again, and changes nothing",
		func(c *check) {
			s := c.open()
			rs := []fhirsync.Resource{observation("a", "1"), observation("b", "2"), observation("c", "3")}
			c.put(s, rs...)
			c.put(s, rs...)
			c.holds(s, rs...)
			c.counts(s, 3)
			b := batchOf(rs...)
			b.Run, b.PatientID = "run2", "p2" // shared resources come once per patient.
			if err := s.Put(c.Context(), b); err != nil {
				c.broken("Put of the same resources for another patient gave the error: %v", err)
			}
			c.holds(s, rs...)
			c.counts(s, 3)
		},
	},
	{
		"empty-batch",
		"Put accepts a batch without resources, and does nothing",
		func(c *check) {
			s := c.open()
			if err := s.Put(c.Context(), fhirsync.Batch{}); err != nil {
				c.broken("Put of the zero Batch gave the error: %v", err)
			}
			a := observation("a", "1")
			c.put(s, a)
			c.put(s)
			c.holds(s, a)
			c.counts(s, 1)
		},
	},
	{
		"no-patient",
		"a batch may belong to no patient: PatientID is empty for exports of whole groups",
		func(c *check) {
			s := c.open()
			a := observation("a", "1")
			b := batchOf(a)
			b.PatientID = ""
			if err := s.Put(c.Context(), b); err != nil {
				c.broken("Put gave the error: %v", err)
			}
			c.holds(s, a)
		},
	},
	{
		"full-batch",
		"Put accepts 1,000 resources in one batch, and keeps each of them",
		func(c *check) {
			s := c.open()
			var rs []fhirsync.Resource
			for i := range 1000 {
				key := fhirsync.Key{Server: server, Type: []string{"Condition", "Observation", "Procedure"}[i%3], ID: fmt.Sprint("r", i)}
				rs = append(rs, resource(key, strings.Repeat("x", i)))
			}
			c.put(s, rs...)
			c.holds(s, rs...)
			c.counts(s, 1000)
		},
	},
	{
		"odd-ids",
		"an id is opaque: it is compared byte for byte, may be longer than FHIR allows and hold any character",
		func(c *check) {
			s := c.open()
			var rs []fhirsync.Resource
			for i, id := range oddIDs {
				rs = append(rs, observation(id, fmt.Sprint("odd ", i)))
			}
			c.put(s, rs...)
			for _, r := range rs {
				if fault := c.fault(s, r); fault != "" {
					c.Errorf("broken rule: %s\n%s", c.words, fault)
				}
			}
			c.counts(s, len(rs))
			// Each by itself, and replaced: an id that is kept must be found again too.
			for i := range rs {
				rs[i] = observation(rs[i].ID, fmt.Sprint("odd again ", i))
				rs[i].LastUpdated = day.AddDate(0, 0, 1)
				c.put(s, rs[i])
			}
			for _, r := range rs {
				if fault := c.fault(s, r); fault != "" {
					c.Errorf("broken rule: %s\n%s", c.words, fault)
				}
			}
			c.counts(s, len(rs))
		},
	},
	{
		"identity",
		"a resource is what its Key says: the JSON may have no id (it stood in the fullUrl), or another one (a wrapper changed the Key)",
		func(c *check) {
			s := c.open()
			key := func(id string) fhirsync.Key { return fhirsync.Key{Server: server, Type: "Observation", ID: id} }
			rs := []fhirsync.Resource{
				raw(key("from-url"), `{"resourceType":"Observation","status":"final"}`),
				raw(key("from-url-2"), `{"resourceType":"Observation","status":"final"}`),
				raw(key("changed"), `{"resourceType":"Observation","id":"a"}`),
				raw(key("a"), `{"resourceType":"Observation","id":"a","status":"final"}`),
				raw(key("late"), `{"status":"final","contained":[{"resourceType":"Patient","id":"inner"}],"id":"late","resourceType":"Observation"}`),
			}
			c.put(s, rs...)
			c.holds(s, rs...)
			c.counts(s, len(rs))
			c.lacks(s, key("inner"))
			c.lacks(s, fhirsync.Key{Server: server, Type: "Patient", ID: "inner"})
		},
	},
	{
		"types-apart",
		"an id is unique only within its resource type: the same id under another type is another resource",
		func(c *check) {
			s := c.open()
			var rs []fhirsync.Resource
			for _, typ := range []string{"Condition", "Observation", "ObservationDefinition", "Patient"} {
				rs = append(rs, resource(fhirsync.Key{Server: server, Type: typ, ID: "1"}, "a "+typ))
			}
			c.put(s, rs...)
			c.holds(s, rs...)
			c.counts(s, len(rs))
			c.lacks(s, fhirsync.Key{Server: server, Type: "Procedure", ID: "1"})
		},
	},
	{
		"servers-apart",
		"an id is unique only on its server: the same type and id of another server is another resource, or refused with an error",
		func(c *check) {
			s := c.open()
			mine := observation("1", "mine")
			c.put(s, mine)
			if c.h.OneServer {
				theirs := resource(fhirsync.Key{Server: otherServer, Type: "Observation", ID: "1"}, "theirs")
				if err := s.Put(c.Context(), batchOf(theirs)); err == nil {
					c.broken("a store for one server (Harness.OneServer) accepted resources of a second one")
				}
				c.holds(s, mine)
				c.lacks(s, theirs.Key)
				c.counts(s, 1)
				return
			}
			rs := []fhirsync.Resource{mine}
			for _, name := range []string{otherServer, "Payer", server + "|Observation", server + "/Observation", server + " "} {
				theirs := resource(fhirsync.Key{Server: name, Type: "Observation", ID: "1"}, "of "+name)
				c.lacks(s, theirs.Key)
				c.put(s, theirs)
				rs = append(rs, theirs)
			}
			c.holds(s, rs...)
			c.counts(s, len(rs))
		},
	},
	{
		"versions",
		"a version id is opaque and has no order: what comes last is what counts",
		func(c *check) {
			s := c.open()
			for _, version := range []string{"10", "9", "", "b", "a", `W/"3"`} {
				r := observation("a", "version "+version)
				r.VersionID = version
				c.put(s, r)
				c.holds(s, r)
			}
			bare := raw(observation("a", "").Key, `{"resourceType":"Observation","id":"a"}`)
			bare.VersionID, bare.LastUpdated = "", time.Time{} // as of a resource without meta
			c.put(s, bare)
			c.holds(s, bare)
			c.counts(s, 1)
		},
	},
	{
		"hands-off",
		"a batch is immutable: a store may keep Raw and Resources, and never writes to them",
		func(c *check) {
			s := c.open()
			b := batchOf(observation("b", "two"), observation("a", "one"), raw(observation("c", "").Key, "{\n \"resourceType\" : \"Observation\" ,\n\t\"id\":\"c\" }\n"))
			was := slices.Clone(b.Resources)
			for i := range was {
				was[i].Raw = slices.Clone(was[i].Raw)
			}
			if err := s.Put(c.Context(), b); err != nil {
				c.broken("Put gave the error: %v", err)
			}
			for i, r := range b.Resources {
				if r.Key != was[i].Key {
					c.broken("Put moved or changed the Key at index %d of the batch", i)
				}
				if string(r.Raw) != string(was[i].Raw) || r.Digest != was[i].Digest || r.VersionID != was[i].VersionID {
					c.broken("Put changed the resource at index %d of the batch", i)
				}
			}
		},
	},
	{
		"concurrent-syncs",
		"different Syncs call a store at the same time, and their patients share Practitioners",
		concurrentSyncs,
	},
}

// oddIDs are ids that a careless store mixes up, cuts off, or uses as something that they are not.
var oddIDs = []string{
	"abc", "ABC", "aBc", // one id where case does not count
	"1", "01", "1.0", "1e0", "+1", // one number
	"a", "a ", " a", "a\t", "a\n", "a\r\n", // trimmed
	"a|b", "a/b", `a\b`, "a:b", "a,b", "a;b", "a.b", "a-b", "a_b", "a%b", "a*b", "a?b", "a#b", "a&b=c",
	".", "..", "../a", "a/../b", "/etc/passwd", "a/", "//", "~", "-", "--", "$everything",
	"%2e%2e%2f", "%00", "%s%d%n", "${a}", "{{a}}", "<a>", "a>b",
	`'`, `"`, "`", `''`, `a'); DROP TABLE resources; --`, "NULL", "null", "nil", "true", "undefined",
	"\x01", "\x1b[31m", "\x7f", "a\x02b", "a\x1fb",
	"é", "e\u0301", // the same to the eye, not to a server
	"ß", "SS", "ss", "\u0131", "i", "I", "\u0130", "K", "k", "\u212a", "\u017f", "s", // folded in odd ways
	"患者", "пациент", "مريض", "🩺", "👩‍⚕️", "\u200b", "a\u200bb", "\u202ea", "\ufeff", "\ufffd", "\U0010ffff",
	"CON", "nul", "aux.ndjson", "Observation/1", "urn:uuid:0f7e1d5a-1d1c-4a2e-9f0e-000000000001",
	strings.Repeat("x", 200), strings.Repeat("x", 199) + "y", strings.Repeat("X", 200), strings.Repeat("x", 64), strings.Repeat("x", 65),
	strings.Repeat("é", 200),
}

// concurrentSyncs runs 8 syncs at once. Each has observations of its own, and all bring the same 20 Practitioners, of which one has
// changed between the syncs.
func concurrentSyncs(c *check) {
	s := c.open()
	const syncs, rounds = 8, 5
	var practitioners, changing []fhirsync.Resource
	for i := range 20 {
		practitioners = append(practitioners, resource(fhirsync.Key{Server: server, Type: "Practitioner", ID: fmt.Sprint("d", i)}, "shared"))
	}
	key := fhirsync.Key{Server: server, Type: "Practitioner", ID: "changing"}
	for i := range syncs {
		changing = append(changing, resource(key, strings.Repeat("seen by "+strconv.Itoa(i), 1+i)))
	}
	errs := make(chan error, syncs)
	own := make([][]fhirsync.Resource, syncs)
	var wg sync.WaitGroup
	ctx := c.Context()
	for i := range syncs {
		for j := range rounds * 20 {
			own[i] = append(own[i], observation(fmt.Sprintf("p%d-%d", i, j), fmt.Sprintf("sync %d", i)))
		}
		wg.Go(func() {
			errs <- syncOnce(ctx, s, fmt.Sprint("p", i), own[i], append(slices.Clone(practitioners), changing[i]))
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			c.broken("%v", err)
		}
	}
	for _, rs := range own {
		c.holds(s, rs...)
	}
	c.holds(s, practitioners...)
	if !slices.ContainsFunc(changing, func(r fhirsync.Resource) bool { return c.fault(s, r) == "" }) {
		c.broken("the resource that all syncs put is none of those that were put")
	}
	c.counts(s, syncs*rounds*20+21)
}

// syncOnce does what one Sync does: one call after the other.
func syncOnce(ctx context.Context, s fhirsync.Store, patient string, own, shared []fhirsync.Resource) error {
	powers := fhirsync.PowersOf(s)
	rev := ""
	for len(own) > 0 {
		b := batchOf(append(slices.Clone(own[:20]), shared...)...)
		b.Run, b.PatientID = "run of "+patient, patient
		own = own[20:]
		if powers.Digests != nil {
			keys, digests := keysOf(b.Resources)
			if _, err := powers.Digests.Holds(ctx, keys, digests); err != nil {
				return fmt.Errorf("error of Holds while other syncs ran: %w", err)
			}
		}
		if err := s.Put(ctx, b); err != nil {
			return fmt.Errorf("error of Put while other syncs ran: %w", err)
		}
		if powers.Seen != nil {
			keys, _ := keysOf(b.Resources)
			seen, err := powers.Seen.Seen(ctx, b.Run, keys)
			if err != nil {
				return fmt.Errorf("error of Seen while other syncs ran: %w", err)
			}
			if slices.Contains(seen, false) {
				return errors.New("no of Seen to what the run had put, while syncs of other patients put it too")
			}
		}
		if powers.State == nil {
			continue
		}
		next, err := powers.State.SaveState(ctx, "run/"+patient, []byte(strconv.Itoa(len(own))), rev)
		if err != nil {
			return fmt.Errorf("error of SaveState while other syncs ran: %w", err)
		}
		rev = next
	}
	return nil
}

func keysOf(rs []fhirsync.Resource) ([]fhirsync.Key, [][32]byte) {
	keys, digests := make([]fhirsync.Key, len(rs)), make([][32]byte, len(rs))
	for i, r := range rs {
		keys[i], digests[i] = r.Key, r.Digest
	}
	return keys, digests
}

// rejected gives a RejectError in err, nil if there is none.
func rejected(err error) *fhirsync.RejectError {
	reject, _ := errors.AsType[*fhirsync.RejectError](err)
	return reject
}
