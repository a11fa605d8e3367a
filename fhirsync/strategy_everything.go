package fhirsync

import (
	"context"
)

// Everything invokes Patient/$everything (http://hl7.org/fhir/R4/patient-operation-everything.html) and nothing else. It is not supported
// where the server does not have the operation. What the operation brings is no proof of completeness: by itself the strategy ends
// Restricted at best, with one gap that names the types of which nothing is known.
func Everything() Strategy { return everything{} }

type everything struct{}

func (everything) Name() string { return "everything" }

func (everything) Fetch(ctx context.Context, s *Session) error {
	return s.Operation(ctx, Operation{Name: "everything"})
}
