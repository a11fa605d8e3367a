package fhirsync

import (
	"cmp"
	"context"
	"slices"
)

// SearchByType asks for each type by itself.
func SearchByType() Strategy { return searchByType{} }

type searchByType struct{}

func (searchByType) Name() string { return "search-by-type" }

func (searchByType) Fetch(ctx context.Context, s *Session) error {
	types := s.Types()
	caps := s.Capabilities()
	// Long chains first, so that the last one to end is not one that began late. What metadata does not list comes last.
	weight := func(typ string) int {
		w := 0
		if _, listed := caps.Type(typ); listed {
			w = 1000
		}
		return w + 100 - slices.Index(usuallyMany, typ)%100
	}
	slices.SortStableFunc(types, func(a, b string) int { return cmp.Compare(weight(b), weight(a)) })
	if len(types) == 0 {
		return nil
	}
	// The first question alone shows in which form this server wants to be asked.
	if err := s.Search(ctx, Query{Type: types[0]}); err != nil {
		return err
	}
	return each(ctx, workers, types[1:], func(ctx context.Context, typ string) error {
		return s.Search(ctx, Query{Type: typ})
	})
}

// usuallyMany are the types of which a patient has most, the largest first.
var usuallyMany = []string{
	"Observation", "ExplanationOfBenefit", "Claim", "Encounter", "DiagnosticReport", "Procedure", "MedicationRequest", "DocumentReference",
	"Condition", "MedicationAdministration", "Immunization", "ServiceRequest", "Provenance", "AuditEvent",
}

// Auto picks the way by what the server says about itself and by what it turns out to do.
func Auto() Strategy { return auto{} }

type auto struct{}

func (auto) Name() string { return "auto" }

func (auto) Fetch(ctx context.Context, s *Session) error {
	return s.Run(ctx, SearchByType())
}
