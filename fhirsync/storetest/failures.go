package storetest

import (
	"context"
	"fmt"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var failureRules = []rule{
	{
		"cancelled",
		"methods honour their context: one that has ended before gives an error, and the same call is good afterwards",
		cancelled,
	},
	{
		"cancelled-midway",
		"nil from Put means that every resource is accepted, and after an error the same batch may come again: also where the context ends in mid-batch",
		cancelledMidway,
	},
	{
		"partly-there",
		"after an error any part of a batch may be there: Put of the whole batch then accepts all of it",
		func(c *check) {
			s := c.open()
			var rs []fhirsync.Resource
			for i := range 20 {
				rs = append(rs, observation(fmt.Sprintf("r%02d", i), "whole"))
			}
			// What an error can leave behind: some of the resources, in the same run, of the same patient.
			c.put(s, rs[3], rs[7], rs[8], rs[19])
			c.put(s, rs...)
			c.holds(s, rs...)
			c.counts(s, 20)
		},
	},
	{
		"reject",
		"what a store will never accept it names by index in a *RejectError, and it accepts the others without them",
		reject,
	},
}

func cancelled(c *check) {
	s := c.open()
	powers := fhirsync.PowersOf(s)
	ended, cancel := context.WithCancel(c.Context())
	cancel()
	r := observation("a", "1")
	if err := s.Put(ended, batchOf(r)); err == nil {
		c.broken("Put gave nil")
	}
	c.put(s, r)
	c.holds(s, r)
	keys, digests := keysOf([]fhirsync.Resource{r})
	if powers.Digests != nil {
		if _, err := powers.Digests.Holds(ended, keys, digests); err == nil {
			c.broken("Holds gave nil")
		}
	}
	if powers.Seen != nil {
		if _, err := powers.Seen.Seen(ended, "run1", keys); err == nil {
			c.broken("Seen gave nil")
		}
	}
	if powers.State != nil {
		if _, err := powers.State.SaveState(ended, "k", []byte("x"), ""); err == nil {
			c.broken("SaveState gave nil")
		}
		state, rev, err := powers.State.LoadState(c.Context(), "k")
		if err != nil {
			c.broken("LoadState after a cancelled SaveState gave the error: %v", err)
		}
		if state == nil {
			rev = ""
		}
		if _, err := powers.State.SaveState(c.Context(), "k", []byte("y"), rev); err != nil {
			c.broken("SaveState after a cancelled one gave the error: %v", err)
		}
		if _, _, err := powers.State.LoadState(ended, "k"); err == nil {
			c.broken("LoadState gave nil")
		}
	}
	if powers.Quarantine != nil {
		items := []fhirsync.Quarantined{{Server: server, Reason: "not valid JSON", Raw: []byte("{")}}
		if err := powers.Quarantine.Quarantine(ended, items); err == nil {
			c.broken("Quarantine gave nil")
		}
		if err := powers.Quarantine.Quarantine(c.Context(), items); err != nil {
			c.broken("Quarantine after a cancelled one gave the error: %v", err)
		}
	}
}

// cancelledMidway ends the context when the store looks at it for the first time, the second time, and so on.
func cancelledMidway(c *check) {
	s := c.open()
	all := 0
	for asked := range 24 {
		var rs []fhirsync.Resource
		for i := range 30 {
			key := fhirsync.Key{Server: server, Type: []string{"Condition", "Observation", "Procedure"}[i%3], ID: fmt.Sprintf("%d-%d", asked, i)}
			rs = append(rs, resource(key, fmt.Sprint("ends after ", asked)))
		}
		all += len(rs)
		err := s.Put(expireAfter(c.Context(), asked), batchOf(rs...))
		if rejected(err) != nil {
			c.broken("a context that ended in mid-batch made resources rejected for good")
		}
		if err != nil {
			c.put(s, rs...)
		}
		c.holds(s, rs...)
	}
	c.counts(s, all)
}

// reject offers bytes that are no JSON. A Sync never does, but a wrapper might, and to refuse something is the only way to see how a
// store does it.
func reject(c *check) {
	s := c.open()
	key := func(typ, id string) fhirsync.Key { return fhirsync.Key{Server: server, Type: typ, ID: id} }
	rs := batchOf(
		observation("a", "good"),
		raw(key("Observation", "b"), `{"resourceType":"Observation","id":"b",`),
		observation("c", "good"),
		raw(key("Patient", "d"), "\x00\xff no JSON at all \n"+strings.Repeat("}", 3)),
		observation("e", "good"),
		resource(key("Procedure", "f"), "good"),
	).Resources
	bad := func(r fhirsync.Resource) bool { return r.ID == "b" || r.ID == "d" }
	for round := range 3 { // a store may find one after the other.
		err := s.Put(c.Context(), batchOf(rs...))
		if err == nil {
			break
		}
		re := rejected(err)
		switch {
		case re == nil:
			c.broken("Put of bytes that are not JSON gave an error that is no *RejectError, and ends the sync: %v", err)
		case len(re.Rejected) == 0 || round == 2:
			c.broken("a *RejectError has to name what is rejected")
		}
		var rest []fhirsync.Resource
		for i, r := range rs {
			why, is := re.Rejected[i]
			switch {
			case !is:
				rest = append(rest, r)
			case !bad(r):
				c.broken("Put rejected %s, at index %d, which is in order", name(r.Key), i)
			case why == nil:
				c.broken("Put rejected %s without a reason", name(r.Key))
			case strings.Contains(why.Error(), "no JSON at all"):
				c.broken("the reason for rejecting %s quotes the resource: %v", name(r.Key), why)
			}
		}
		if len(rest) == len(rs) {
			c.broken("the indexes of a *RejectError are those of Batch.Resources: none of %d is", len(re.Rejected))
		}
		rs = rest
	}
	c.holds(s, rs...)
}
