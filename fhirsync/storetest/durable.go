package storetest

import (
	"bytes"
	"fmt"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var durableRules = []rule{
	{
		"reopen",
		"what Put has accepted is still there, and can be replaced, after the store was opened anew",
		func(c *check) {
			if c.h.Reopen == nil {
				c.untested("whether anything survives a restart (Harness.Reopen is nil)")
				return
			}
			s := c.open()
			var rs []fhirsync.Resource
			for i := range 60 {
				key := fhirsync.Key{Server: server, Type: []string{"Condition", "Observation", "Procedure"}[i%3], ID: fmt.Sprint("r", i)}
				rs = append(rs, resource(key, "before"))
			}
			c.put(s, rs[:40]...)
			c.put(s, rs[40:]...)
			rs[10] = observation("r10", "replaced before")
			rs[10].LastUpdated = day.AddDate(0, 0, 1)
			c.put(s, rs[10])
			for round := range 3 {
				s = c.h.Reopen(c.TB, s)
				c.holds(s, rs...)
				c.counts(s, len(rs))
				rs[13] = resource(rs[13].Key, fmt.Sprint("after ", round))
				rs[13].LastUpdated = day.AddDate(0, 0, 2+round)
				rs = append(rs, observation(fmt.Sprint("new", round), "after"))
				c.put(s, rs[13], rs[len(rs)-1])
				c.holds(s, rs...)
				c.counts(s, len(rs))
			}
		},
	},
	{
		"reopen-powers",
		"states, digests, what a run has put and quarantine are as durable as the resources",
		reopenPowers,
	},
}

func reopenPowers(c *check) {
	if c.h.Reopen == nil {
		c.untested("whether anything survives a restart (Harness.Reopen is nil)")
		return
	}
	s := c.open()
	powers := fhirsync.PowersOf(s)
	r, old := observation("a", "1"), observation("a", "0")
	c.put(s, old)
	r.LastUpdated = day.AddDate(0, 0, 1)
	c.put(s, r)
	var rev string
	if powers.State != nil {
		rev = c.save(powers.State, "k", "state", "")
		gone := c.save(powers.State, "gone", "state", "")
		c.save(powers.State, "gone", "", gone)
	}
	item := fhirsync.Quarantined{Run: "run1", Server: server, PatientID: patientID, Type: "Observation", ID: "q", Reason: "not valid JSON", Raw: []byte("{\xff")}
	if powers.Quarantine != nil {
		if err := powers.Quarantine.Quarantine(c.Context(), []fhirsync.Quarantined{item}); err != nil {
			c.broken("Quarantine gave the error: %v", err)
		}
	}
	s = c.h.Reopen(c.TB, s)
	again := fhirsync.PowersOf(s)
	if (powers.State == nil) != (again.State == nil) || (powers.Digests == nil) != (again.Digests == nil) || (powers.Seen == nil) != (again.Seen == nil) || (powers.Quarantine == nil) != (again.Quarantine == nil) {
		c.broken("the store has other powers than before it was opened anew")
	}
	if again.State != nil {
		state, got, err := again.State.LoadState(c.Context(), "k")
		if err != nil || string(state) != "state" || got != rev {
			c.broken("the state %q with revision %q came back as %q with %q, error %v", "state", rev, state, got, err)
		}
		c.absent(again.State, "gone")
		c.save(again.State, "k", "next", rev)
	}
	if again.Digests != nil {
		keys, digests := keysOf([]fhirsync.Resource{r, old})
		holds, err := again.Digests.Holds(c.Context(), keys, digests)
		// A store that has lost a digest may say no: the resource then comes again. To say yes to the wrong one would lose it.
		if err != nil || len(holds) != 2 || holds[1] {
			c.broken("Holds for the digests put last and before gave %v, error %v", holds, err)
		}
		if !holds[0] {
			c.broken("Holds no longer knows the digest that was put last")
		}
	}
	if again.Seen != nil {
		c.sees(again.Seen, batchOf().Run, []fhirsync.Key{r.Key, {Server: server, Type: "Observation", ID: "never"}}, true, false)
	}
	if again.Quarantine != nil && c.h.Quarantined != nil {
		items, err := c.h.Quarantined(c.Context(), s)
		if err != nil || len(items) != 1 || !bytes.Equal(items[0].Raw, item.Raw) {
			c.broken("one thing was in quarantine, now %d are, or its bytes differ; error %v", len(items), err)
		}
	}
}
