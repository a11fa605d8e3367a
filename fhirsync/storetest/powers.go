package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var powerRules = []rule{
	{
		"state",
		"a StateStore keeps bytes under keys: an absent one is nil, \"\", nil; revision \"\" creates, a nil state deletes, an empty one does not",
		withState(stateBasics),
	},
	{
		"state-conflict",
		"a revision that is not the present one is ErrStateConflict, and changes nothing; a revision is never used again, not even after a deletion",
		withState(stateConflicts),
	},
	{
		"state-race",
		"of several SaveState calls with the same revision at the same time exactly one succeeds, and the others get ErrStateConflict",
		withState(stateRace),
	},
	{
		"digests",
		"Holds answers position by position whether the resource under the key was put with this Resource.Digest last",
		withDigests(digests),
	},
	{
		"unchanged",
		"a resource that comes with Unchanged set is still in the store afterwards, with its bytes and its digest",
		withDigests(func(c *check, s fhirsync.Store, d fhirsync.DigestStore) {
			r := observation("a", "1")
			c.put(s, r)
			again := r
			again.Unchanged = true
			c.put(s, again)
			c.holds(s, r)
			c.counts(s, 1)
			c.answers(d, []fhirsync.Resource{r}, true)
		}),
	},
	{
		"told",
		"what Put tells with fhirsync.TellHeld are the keys of the resources that were there exactly so, with this digest and these bytes, and no others",
		told,
	},
	{
		"seen",
		"Seen answers position by position whether a batch of this run that was put had a resource under the key, Unchanged or not",
		seen,
	},
	{
		"quarantine",
		"a QuarantineStore takes bytes of any kind, with or without identity, and does not mix them with the resources",
		quarantine,
	},
	{
		"history",
		"a HistoryStore keeps each version by Key and VersionID, beside what Put has put and without changing it; the same one may come again",
		versions,
	},
	{
		"history-durable",
		"what PutVersions has accepted is there after a restart",
		durableVersions,
	},
}

func versions(c *check) {
	s := c.open()
	h := fhirsync.PowersOf(s).History
	if h == nil {
		c.untested("versions (the store has no HistoryStore: old versions that references name are not asked for)")
		return
	}
	current := observation("a", "the current one")
	current.VersionID = "3"
	c.put(s, current)
	var all []fhirsync.Resource
	for _, v := range []string{"1", "2", "3", "10", "a/b", "A", "a"} {
		r := observation("a", "version "+v)
		r.VersionID = v
		all = append(all, r)
	}
	other := observation("b", "version 1 of another")
	other.VersionID = "1"
	all = append(all, other)
	for range 2 { // they come again, as after an error.
		if err := h.PutVersions(c.Context(), fhirsync.Batch{Run: "run1", Server: server, PatientID: patientID, Resources: all}); err != nil {
			c.broken("PutVersions gave the error: %v", err)
		}
	}
	c.holds(s, current)
	c.counts(s, 1)
	c.lacks(s, other.Key)
	if c.h.Version == nil {
		c.untested("what PutVersions has kept (Harness.Version is nil)")
		return
	}
	for _, want := range all {
		got, err := c.h.Version(c.Context(), s, want.Key, want.VersionID)
		if err != nil || !bytes.Equal(got.Raw, want.Raw) && !c.h.DropsSpace {
			c.broken("version %q of %s: %v, %d bytes: %s", want.VersionID, name(want.Key), err, len(got.Raw), around(got.Raw, 0))
		}
	}
}

func told(c *check) {
	s := c.open()
	// put tells which of some resources Put said it had, in order of their ids.
	put := func(resources ...fhirsync.Resource) (ids string, times int) {
		ctx := fhirsync.OnHeld(c.Context(), func(keys []fhirsync.Key) {
			times++
			var held []string
			for _, k := range keys {
				held = append(held, k.ID)
			}
			slices.Sort(held)
			ids = strings.Join(held, " ")
		})
		if err := s.Put(ctx, batchOf(resources...)); err != nil {
			c.broken("Put gave the error: %v", err)
		}
		return ids, times
	}
	a, b := observation("a", "1"), observation("b", "1")
	ids, times := put(a, b)
	if times == 0 {
		c.untested("what Put tells (it tells nothing, so that a sync asks for what it holds before, if it has a DigestStore)")
		return
	}
	expect := func(ids string, times int, want string) {
		if ids != want || times != 1 {
			c.broken("it told %d times, and last of %q, not once of %q", times, ids, want)
		}
	}
	expect(ids, times, "")
	changed, fresh := observation("b", "2"), observation("c", "1")
	ids, times = put(a, changed, fresh)
	expect(ids, times, "a")
	ids, times = put(a, changed, fresh)
	expect(ids, times, "a b c")

	// The same source, of which a wrapper makes something else now.
	other := a
	other.Raw = observation("a", "another").Raw
	otherDigest := changed
	otherDigest.Digest = observation("b", "3").Digest
	ids, times = put(other, otherDigest, fresh)
	expect(ids, times, "c")
	marked := fresh
	marked.Unchanged = true
	ids, times = put(marked, observation("d", "1"))
	expect(ids, times, "c")

	// More than goes with one statement, some of it there.
	var many []fhirsync.Resource
	var known []fhirsync.Resource
	var want []string
	for i := range 1000 {
		r := observation(fmt.Sprintf("m%04d", i), "1")
		many = append(many, r)
		if i%3 == 0 {
			known, want = append(known, r), append(want, r.ID)
		}
	}
	put(known...)
	ids, times = put(many...)
	expect(ids, times, strings.Join(want, " "))
}

func withState(check1 func(*check, fhirsync.StateStore)) func(*check) {
	return func(c *check) {
		st := fhirsync.PowersOf(c.open()).State
		if st == nil {
			c.untested("states (the store has no StateStore: a sync into it cannot be resumed)")
			return
		}
		check1(c, st)
	}
}

func withDigests(check1 func(*check, fhirsync.Store, fhirsync.DigestStore)) func(*check) {
	return func(c *check) {
		s := c.open()
		d := fhirsync.PowersOf(s).Digests
		if d == nil {
			c.untested("digests (the store has no DigestStore: every sync writes everything)")
			return
		}
		check1(c, s, d)
	}
}

// save saves a state, or deletes it if it is "", and gives the new revision.
func (c *check) save(st fhirsync.StateStore, key, state, rev string) string {
	c.Helper()
	var data []byte
	if state != "" {
		data = []byte(state)
	}
	next, err := st.SaveState(c.Context(), key, data, rev)
	switch {
	case err != nil:
		c.broken("SaveState gave the error: %v", err)
	case data == nil && next != "":
		c.broken("the revision after a deletion is %q, not \"\"", next)
	case data != nil && next == "":
		c.broken("the revision of a state that is there must not be \"\"")
	}
	return next
}

func (c *check) loads(st fhirsync.StateStore, key, want, rev string) {
	c.Helper()
	got, gotRev, err := st.LoadState(c.Context(), key)
	if err != nil {
		c.broken("LoadState gave the error: %v", err)
	}
	if string(got) != want || gotRev != rev {
		c.broken("a state of %d bytes with revision %q was saved under %q, LoadState gave %d bytes with %q: %q", len(want), rev, key, len(got), gotRev, around(got, 0))
	}
}

func (c *check) absent(st fhirsync.StateStore, key string) {
	c.Helper()
	got, rev, err := st.LoadState(c.Context(), key)
	if err != nil {
		c.broken("LoadState of an absent state gave the error: %v", err)
	}
	if got != nil || rev != "" {
		c.broken("LoadState of an absent state gave %d bytes (nil: %t) and revision %q", len(got), got == nil, rev)
	}
}

func (c *check) conflicts(st fhirsync.StateStore, state []byte, rev string) {
	c.Helper()
	if next, err := st.SaveState(c.Context(), "k", state, rev); !errors.Is(err, fhirsync.ErrStateConflict) {
		c.broken("SaveState with the revision %q (delete: %t), which is not the present one, gave revision %q and error %v", rev, state == nil, next, err)
	}
}

func stateBasics(c *check, st fhirsync.StateStore) {
	c.absent(st, "k")
	rev := c.save(st, "k", "one", "")
	c.loads(st, "k", "one", rev)
	next := c.save(st, "k", "two, which is longer", rev)
	if next == rev {
		c.broken("the revision did not change with the state")
	}
	c.loads(st, "k", "two, which is longer", next)
	same := c.save(st, "k", "two, which is longer", next)
	c.loads(st, "k", "two, which is longer", same)

	// Keys are told apart by each byte.
	keys := []string{
		"", "K", "k ", "k/a", "k|a", "../k", ".", "fhirsync/1/https://h.example/fhir", "é", "e\u0301", "k\x01", "k%", "k_",
		strings.Repeat("k", 1000), strings.Repeat("k", 999) + "l",
	}
	revs := map[string]string{}
	for _, key := range keys {
		c.absent(st, key)
		revs[key] = c.save(st, key, "of "+key, "")
	}
	for _, key := range keys {
		c.loads(st, key, "of "+key, revs[key])
	}

	// Bytes of all kinds, up to 1 MB.
	var odd bytes.Buffer
	for i := range 256 {
		odd.WriteByte(byte(i))
	}
	odd.WriteString("\r\n\x00\xff\xfe")
	big := strings.Repeat(odd.String(), (1<<20-1)/odd.Len())
	rev = c.save(st, "k", odd.String(), same)
	c.loads(st, "k", odd.String(), rev)
	rev = c.save(st, "k", big, rev)
	c.loads(st, "k", big, rev)

	// An empty state is one.
	rev, err := st.SaveState(c.Context(), "k", []byte{}, rev)
	if err != nil || rev == "" {
		c.broken("SaveState of an empty state, which is not nil, gave revision %q and error %v", rev, err)
	}
	c.loads(st, "k", "", rev)
	c.save(st, "k", "", rev)
	c.absent(st, "k")
	c.save(st, "k", "", "") // the deletion of what is not there
	c.absent(st, "k")
	rev = c.save(st, "k", "again", "")
	c.loads(st, "k", "again", rev)
	for _, key := range keys {
		c.loads(st, key, "of "+key, revs[key])
	}
}

func stateConflicts(c *check, st fhirsync.StateStore) {
	c.conflicts(st, []byte("x"), "no such revision")
	c.conflicts(st, nil, "no such revision")
	c.absent(st, "k")
	first := c.save(st, "k", "one", "")
	c.conflicts(st, []byte("x"), "")
	c.conflicts(st, nil, "")
	c.conflicts(st, []byte("x"), first+"0")
	c.loads(st, "k", "one", first)
	second := c.save(st, "k", "two", first)
	c.conflicts(st, []byte("x"), first)
	c.conflicts(st, nil, first)
	c.loads(st, "k", "two", second)
	c.save(st, "k", "", second)
	c.conflicts(st, []byte("x"), second)
	c.absent(st, "k")
	third := c.save(st, "k", "three", "")
	if third == first || third == second {
		c.broken("after a deletion the revision %q is used again: who still has it would overwrite a state that it has never seen", third)
	}
	c.conflicts(st, []byte("x"), first)
	c.conflicts(st, []byte("x"), second)
	other := c.save(st, "other", "o", "")
	c.loads(st, "k", "three", third)
	c.loads(st, "other", "o", other)
}

func stateRace(c *check, st fhirsync.StateStore) {
	rev := ""
	for round := range 5 {
		const savers = 8
		revs, errs := make([]string, savers), make([]error, savers)
		var wg sync.WaitGroup
		for i := range savers {
			ctx := c.Context()
			wg.Go(func() { revs[i], errs[i] = st.SaveState(ctx, "k", []byte(fmt.Sprint(round, " by ", i)), rev) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won >= 0:
				c.broken("two of %d succeeded with revision %q", savers, rev)
			case err == nil:
				won = i
			case !errors.Is(err, fhirsync.ErrStateConflict):
				c.broken("one of those that lost got the error: %v", err)
			}
		}
		if won < 0 {
			c.broken("none of %d succeeded with revision %q", savers, rev)
		}
		rev = revs[won]
		c.loads(st, "k", fmt.Sprint(round, " by ", won), rev)
	}
}

// answers checks what Holds says about resources, in their order.
func (c *check) answers(d fhirsync.DigestStore, rs []fhirsync.Resource, want ...bool) {
	c.Helper()
	keys, sums := keysOf(rs)
	got, err := d.Holds(c.Context(), keys, sums)
	if err != nil {
		c.broken("Holds gave the error: %v", err)
	}
	if len(got) != len(want) {
		c.broken("Holds was asked about %d keys and gave %d answers", len(want), len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			c.broken("Holds gave %t for %s at position %d of %d, not %t", got[i], name(rs[i].Key), i, len(want), want[i])
		}
	}
}

func digests(c *check, s fhirsync.Store, d fhirsync.DigestStore) {
	a, b, absent := observation("a", "1"), observation("b", "1"), observation("c", "1")
	c.answers(d, nil)
	c.answers(d, []fhirsync.Resource{a, b}, false, false)
	c.put(s, a, b)
	swapped := a
	swapped.Digest = b.Digest
	// Not in Key order, with absent ones between, and the same one twice.
	c.answers(d, []fhirsync.Resource{b, absent, a, swapped, absent, a}, true, false, true, false, false, true)

	next := observation("a", "2")
	next.LastUpdated = day.AddDate(0, 0, 1)
	c.put(s, next)
	c.answers(d, []fhirsync.Resource{a, next, b}, false, true, true)
	back := a
	back.LastUpdated = day.AddDate(0, 0, 2)
	c.put(s, back)
	c.answers(d, []fhirsync.Resource{a, next, b}, true, false, true)

	// The digest is that of the source bytes: a wrapper that changes Raw leaves it alone, and then it is not the hash of Raw.
	changed := observation("a", "1")
	changed.Digest, changed.LastUpdated = [32]byte{1, 2, 3}, day.AddDate(0, 0, 3)
	c.put(s, changed)
	c.answers(d, []fhirsync.Resource{changed, a}, true, false)
	sameSource := observation("a", "written in another way by a wrapper that has changed")
	sameSource.Digest, sameSource.LastUpdated = changed.Digest, day.AddDate(0, 0, 4)
	c.put(s, sameSource)
	c.holds(s, sameSource)
	c.answers(d, []fhirsync.Resource{sameSource}, true)

	elsewhere, otherType, upper := b, b, b
	elsewhere.Server = otherServer
	otherType.Type = "Condition"
	upper.ID = "B"
	c.answers(d, []fhirsync.Resource{elsewhere, otherType, upper, b}, false, false, false, true)

	var many []fhirsync.Resource
	var want []bool
	for i := range 1000 {
		many, want = append(many, observation(fmt.Sprint("m", i), "1")), append(want, i%3 != 0)
	}
	var known []fhirsync.Resource
	for i, is := range want {
		if is {
			known = append(known, many[i])
		}
	}
	c.put(s, known...)
	c.answers(d, many, want...)
}

// sees checks what Seen says about keys, in their order.
func (c *check) sees(s fhirsync.SeenStore, run string, keys []fhirsync.Key, want ...bool) {
	c.Helper()
	got, err := s.Seen(c.Context(), run, keys)
	if err != nil {
		c.broken("Seen gave the error: %v", err)
	}
	if len(got) != len(want) {
		c.broken("Seen was asked about %d keys and gave %d answers", len(want), len(got))
	}
	for i := range want {
		if got[i] != want[i] {
			c.broken("Seen gave %t for %s and the run %q at position %d of %d, not %t", got[i], name(keys[i]), run, i, len(want), want[i])
		}
	}
}

func seen(c *check) {
	s := c.open()
	see := fhirsync.PowersOf(s).Seen
	if see == nil {
		c.untested("what a sync has put (the store has no SeenStore: a sync keeps that in memory)")
		return
	}
	putBy := func(run, patient string, rs ...fhirsync.Resource) {
		c.Helper()
		b := batchOf(rs...)
		b.Run, b.PatientID = run, patient
		if err := s.Put(c.Context(), b); err != nil {
			c.broken("Put of %d resources gave the error: %v", len(rs), err)
		}
	}
	a, b, absent := observation("a", "1"), observation("b", "1"), observation("c", "1")
	c.sees(see, "run1", nil)
	c.sees(see, "run1", []fhirsync.Key{a.Key, b.Key}, false, false)
	putBy("run1", patientID, a, b)
	// Not in Key order, with absent ones between, and the same one twice.
	c.sees(see, "run1", []fhirsync.Key{b.Key, absent.Key, a.Key, absent.Key, a.Key}, true, false, true, false, true)
	c.sees(see, "run2", []fhirsync.Key{a.Key, b.Key}, false, false)
	c.sees(see, "run", []fhirsync.Key{a.Key}, false)

	// A second run of the same patient: what it has not put yet is not seen, though the store holds it.
	again := a
	again.Unchanged = true
	putBy("run2", patientID, again)
	c.sees(see, "run2", []fhirsync.Key{a.Key, b.Key}, true, false)
	c.sees(see, "run1", []fhirsync.Key{b.Key}, true)
	stale := b
	stale.Raw, stale.LastUpdated = observation("b", "0").Raw, day.AddDate(0, 0, -1)
	stale.Digest = observation("b", "0").Digest
	putBy("run2", patientID, stale)
	c.sees(see, "run2", []fhirsync.Key{a.Key, b.Key}, true, true)

	// Runs of other patients, who share resources, do not disturb each other; and one run may be for several patients.
	shared := resource(fhirsync.Key{Server: server, Type: "Practitioner", ID: "shared"}, "1")
	putBy("run3", "other", shared)
	c.sees(see, "run2", []fhirsync.Key{shared.Key}, false)
	putBy("run2", patientID, shared)
	c.sees(see, "run2", []fhirsync.Key{shared.Key, a.Key}, true, true)
	c.sees(see, "run3", []fhirsync.Key{shared.Key, a.Key}, true, false)
	putBy("run2", "third", absent)
	c.sees(see, "run2", []fhirsync.Key{absent.Key, a.Key, shared.Key}, true, true, true)

	elsewhere, otherType, upper := b, b, b
	elsewhere.Server = otherServer
	otherType.Type = "Condition"
	upper.ID = "B"
	c.sees(see, "run2", []fhirsync.Key{elsewhere.Key, otherType.Key, upper.Key, b.Key}, false, false, false, true)

	var many []fhirsync.Key
	var known []fhirsync.Resource
	var want []bool
	for i := range 1000 {
		r := observation(fmt.Sprint("m", i), "1")
		many, want = append(many, r.Key), append(want, i%3 != 0)
		if want[i] {
			known = append(known, r)
		}
	}
	putBy("run4", patientID, known...)
	c.sees(see, "run4", many, want...)
}

func quarantine(c *check) {
	s := c.open()
	q := fhirsync.PowersOf(s).Quarantine
	if q == nil {
		c.untested("quarantine (the store has no QuarantineStore: unreadable bytes are named in the report and not kept)")
		return
	}
	held := observation("a", "1")
	c.put(s, held)
	items := []fhirsync.Quarantined{
		{Run: "run1", Server: server, PatientID: patientID, Type: "Observation", ID: "a", Reason: "rejected by the store", Raw: []byte(`{"resourceType":"Observation","id":"a"}`)},
		{Run: "run1", Server: server, PatientID: patientID, Type: "Observation", ID: "new", Reason: "not valid JSON", Raw: []byte("{\"a\":\x00\xff\n")},
		{Run: "run1", Server: server, PatientID: patientID, Type: "../Nonsense", ID: "..", Reason: "resourceType is missing or is none", Raw: []byte(`{"resourceType":"../Nonsense"}`)},
		{Run: "run1", Server: server, PatientID: patientID, Reason: "an entry without a resource", Query: "Observation?_count=&patient=", Raw: []byte(`{}`)},
		{
			Run: "run1", Server: server, PatientID: patientID, Type: "Observation", ID: "b", Reason: "repaired", Raw: []byte(`{"resourceType":"Observation","id":"b",}`),
			Repairs: []fhirsync.Repair{{Kind: fhirsync.RepairComma, Path: "Observation.id", Offset: 38}},
		},
		{Run: "run1", Server: server, PatientID: patientID, Reason: "empty"},
		{Run: "run1", Server: server, PatientID: patientID, Reason: "large", Raw: bytes.Repeat([]byte("\n\x00"), 1<<20)},
	}
	if err := q.Quarantine(c.Context(), nil); err != nil {
		c.broken("Quarantine of nothing gave the error: %v", err)
	}
	if err := q.Quarantine(c.Context(), items[:2]); err != nil {
		c.broken("Quarantine gave the error: %v", err)
	}
	if err := q.Quarantine(c.Context(), items); err != nil { // two come again, as after an error.
		c.broken("Quarantine gave the error: %v", err)
	}
	c.holds(s, held)
	c.counts(s, 1)
	c.lacks(s, observation("new", "").Key)
	if c.h.Quarantined == nil {
		c.untested("what is in quarantine (Harness.Quarantined is nil)")
		return
	}
	got, err := c.h.Quarantined(c.Context(), s)
	if err != nil {
		c.broken("Quarantined gave the error: %v", err)
	}
	for i, want := range items {
		found := false
		for _, g := range got {
			found = found || g.Type == want.Type && g.ID == want.ID && g.Reason == want.Reason && bytes.Equal(g.Raw, want.Raw) &&
				g.Query == want.Query && slices.Equal(g.Repairs, want.Repairs)
		}
		if !found {
			c.broken("item %d (%s) is not in quarantine, or not with its type, id, reason, query, repairs and bytes", i, want.Reason)
		}
	}
}
