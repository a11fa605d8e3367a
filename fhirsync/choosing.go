package fhirsync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// newRun checks the arguments of a sync.
func (c *Client) newRun(srv Server, patientID string, opts *SyncOptions) (*run, error) {
	switch {
	case patientID == "":
		return nil, errors.New("fhirsync: no patient id")
	case strings.ContainsAny(patientID, "/?#") || patientID == "." || patientID == "..":
		return nil, errors.New("fhirsync: the patient id is a logical id, not a reference or URL")
	}
	s, err := c.server(srv)
	if err != nil {
		return nil, err
	}
	r := &run{
		client: c, server: s, id: rand.Text(), patientID: patientID, asking: patientID, strategy: c.cfg.Strategy,
		people: newPeople(s.base, patientID), seen: map[ident]uint16{}, names: []string{""}, nameIDs: map[string]uint16{},
		answeredAll: map[string]bool{}, undone: map[string]bool{}, rereads: map[string]reread{}, late: map[string]bool{}, turn: make(chan struct{}, 1), probing: make(chan struct{}, 1),
		caps: &quirks.Capabilities{}, stated: &quirks.Capabilities{},
		looks: looking{open: map[uint64]struct{}{}, known: map[ident]struct{}{}},
	}
	if opts != nil {
		r.opts = *opts
	}
	r.front = newFrontier(r)
	r.follow = []refs.Source{refs.FromReference, refs.FromAttachment}
	if len(r.opts.References.Canonicals) > 0 {
		r.follow = append(r.follow, refs.FromCanonical)
	}
	for _, id := range r.opts.AlsoPatients {
		if id == "" || strings.ContainsAny(id, "/?#") || id == "." || id == ".." {
			return nil, errors.New("fhirsync: SyncOptions.AlsoPatients has what is no logical id")
		}
		r.people.own[id] = true
	}
	return r, r.scope()
}

// scope decides which types are asked for.
func (r *run) scope() error {
	if len(r.opts.Types) > 0 {
		r.wanted = map[string]bool{"Patient": true}
		for _, t := range r.opts.Types {
			if !isTypeName(t) {
				return fmt.Errorf("fhirsync: SyncOptions.Types: %q is no resource type", t)
			}
			r.wanted[t] = true
		}
	}
	r.table, _ = compartment.For("")
	return nil
}

// chooseTypes decides which types are asked for: those of the FHIR version's table, and those that metadata lists with a parameter for the
// patient and no table knows.
func (r *run) chooseTypes() {
	for name := range r.table.Names() {
		if r.wants(name) {
			r.types = append(r.types, name)
		}
	}
	extra := 0
	for _, name := range r.caps.Types() {
		if extra > maxExtraTypes {
			r.ledger.gap(Gap{Reason: Limited, Detail: "metadata lists more types that no table knows than are asked for"})
			break
		}
		if _, known := r.table.Lookup(name); !known && name != "Patient" && isTypeName(name) && r.wants(name) && r.caps.ClaimsSearchBy(name, "patient", "subject") {
			r.types = append(r.types, name)
			extra++
		}
	}
	slices.Sort(r.types)
	for _, t := range r.types {
		r.ledger.owe(t)
	}
	r.chooseRevincludes()
	for _, typ := range r.types {
		if rev := r.quirk(typ).RevIncludes; rev != nil {
			if r.riders == nil {
				r.riders = map[string][]string{}
			}
			r.riders[typ] = rev
		}
	}
}

// maxExtraTypes bounds the types beyond the tables that are asked for because metadata lists them.
const maxExtraTypes = 200

// chooseAgain owes for another id of the patient what was owed for the first.
func (r *run) chooseAgain() {
	r.mu.Lock()
	r.lastPass = false
	clear(r.answeredAll)
	r.mu.Unlock()
	for _, t := range append([]string{"Patient"}, r.types...) {
		r.ledger.owe(t)
	}
}

// chooseRevincludes finds the searches on which Provenance and the like can ride, because the server has no search for them by patient.
func (r *run) chooseRevincludes() {
	for name := range r.table.Names() {
		info, _ := r.table.Lookup(name)
		if !info.Revincluded || !r.wants(name) {
			continue
		}
		// Where metadata claims a search of its own it comes by that, unless it is known that only riding works.
		if r.reach(name) != quirks.ByRevInclude && r.caps.ClaimsSearchBy(name, append(slices.Clone(info.Params), info.Via...)...) {
			continue
		}
		for _, typ := range r.types {
			if c, _ := r.caps.Type(typ); slices.Contains(c.RevIncludes, name+":target") {
				if r.riders == nil {
					r.riders = map[string][]string{}
				}
				r.riders[typ] = append(r.riders[typ], name+":target")
			}
		}
	}
}

func isTypeName(t string) bool {
	return t != "" && 'A' <= t[0] && t[0] <= 'Z' && strings.Trim(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// wants tells whether resources of a type are in the caller's scope.
func (r *run) wants(typ string) bool { return r.wanted == nil || r.wanted[typ] }
