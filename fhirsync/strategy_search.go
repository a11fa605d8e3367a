package fhirsync

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// SearchByType asks for each type by itself.
func SearchByType() Strategy { return searchByType{} }

type searchByType struct{}

func (searchByType) Name() string { return "search-by-type" }

func (searchByType) Fetch(ctx context.Context, s *Session) error {
	return askAll(ctx, s, longestFirst(s), nil, func(ctx context.Context, typ string) error {
		return s.Search(ctx, Query{Type: typ})
	})
}

// askAll asks for the types, the first one ahead of the others: its first page shows in which form this server wants to be asked. before, if
// it is not nil, is called when that is known.
func askAll(ctx context.Context, s *Session, types []string, before func(rest []string) error, ask func(ctx context.Context, typ string) error) error {
	if len(types) == 0 {
		return nil
	}
	ready := make(chan struct{})
	var over atomic.Bool // the first one
	shown := sync.OnceFunc(func() { close(ready) })
	first := make(chan error, 1)
	go func() {
		defer shown()
		var err error
		for _, err = range s.Pages(ctx, Query{Type: types[0]}) {
			if err != nil {
				break
			}
			shown() // the rest of its pages goes on beside the others.
		}
		over.Store(true)
		first <- err
	}()
	if !s.r.server.facts.knows(types[0]) {
		<-ready
	}
	rest := types[1:]
	err := func() error {
		if before != nil {
			if err := before(rest); err != nil {
				return err
			}
		}
		if err := prefetchSmall(ctx, s, slices.DeleteFunc(slices.Clone(rest), s.operationGave)); err != nil {
			return err
		}
		places := workers
		if !over.Load() {
			places-- // for the first one
		}
		return each(ctx, places, rest, ask)
	}()
	if e := <-first; err == nil {
		err = e
	}
	return err
}

// operationGave tells whether $everything has brought something of the type and is not known to leave some of it out.
func (s *Session) operationGave(typ string) bool {
	return s.received(typ) && !slices.Contains(s.r.server.quirks.set.Everything.Omits, typ)
}

// prefetchSmall asks at once for the types of which there is usually little.
func prefetchSmall(ctx context.Context, s *Session, types []string) error {
	var small []Query
	for _, typ := range types {
		if _, listed := s.Capabilities().Type(typ); listed && !slices.Contains(usuallyMany, typ) {
			small = append(small, Query{Type: typ})
		}
	}
	return s.Prefetch(ctx, small...)
}

// longestFirst gives the types in the order in which they are best asked for: those of which there is usually most first, so that the last
// chain to end is not one that began late; what metadata does not list comes last.
func longestFirst(s *Session) []string {
	types := s.Types()
	caps := s.Capabilities()
	weight := func(typ string) int {
		w := 0
		if _, listed := caps.Type(typ); listed {
			w = 1000
		}
		if i := slices.Index(usuallyMany, typ); i >= 0 {
			w += len(usuallyMany) - i
		}
		return w
	}
	slices.SortStableFunc(types, func(a, b string) int { return cmp.Compare(weight(b), weight(a)) })
	return types
}

// usuallyMany are the types of which a patient has most, the largest first.
var usuallyMany = []string{
	"Observation", "ExplanationOfBenefit", "Claim", "Encounter", "DiagnosticReport", "Procedure", "MedicationRequest", "DocumentReference",
	"Condition", "MedicationAdministration", "Immunization", "ServiceRequest", "Provenance", "AuditEvent",
}

// Auto picks the way by what the server says about itself and by what it turns out to do. Where Patient/$everything is offered it comes
// first, because it saves requests; it proves nothing, so each type is then confirmed by a count, or searched.
func Auto() Strategy { return auto{} }

type auto struct{}

func (auto) Name() string { return "auto" }

func (auto) Fetch(ctx context.Context, s *Session) error {
	plan := s.Plan()
	s.r.emit(Planned{event: s.r.event(), Plan: plan})
	var types []string
	prefetched := false
	for _, step := range plan.Steps {
		switch {
		case step.prefetch:
			prefetched = true
			if err := s.Operation(ctx, Operation{Name: "everything", Prefetch: true}); err != nil {
				return err
			}
		case step.Op == "search":
			types = append(types, step.Type)
		}
	}
	ask := func(ctx context.Context, typ string) error {
		if prefetched && !slices.Contains(s.r.server.quirks.set.Everything.Omits, typ) {
			if settled, err := s.Confirm(ctx, typ); settled || err != nil {
				return err
			}
		}
		return s.Search(ctx, Query{Type: typ})
	}
	if !prefetched {
		return askAll(ctx, s, types, nil, ask)
	}
	var counts []Query
	for _, typ := range types {
		if s.received(typ) {
			counts = append(counts, Query{Type: typ})
		}
	}
	if len(types) > 0 && !slices.Contains(s.r.server.quirks.set.Everything.Omits, types[0]) {
		if settled, err := s.Confirm(ctx, types[0]); err != nil {
			return err
		} else if settled {
			// The form is known now.
			types, counts = types[1:], slices.DeleteFunc(counts, func(q Query) bool { return q.Type == types[0] })
			if err := s.PrefetchCounts(ctx, counts...); err != nil {
				return err
			}
			if err := prefetchSmall(ctx, s, slices.DeleteFunc(slices.Clone(types), s.operationGave)); err != nil {
				return err
			}
			return each(ctx, workers, types, ask)
		}
	}
	return askAll(ctx, s, types, func([]string) error { return s.PrefetchCounts(ctx, counts...) }, ask)
}
