package fhirsync

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Strategy is a way to fetch one patient's record: which questions are asked, and in what order. It needs no care for losses: the
// [Session] writes down what is owed before it is asked, guards against other patients' resources, and stores what comes.
//
// Fetch returns nil when it has asked all it knows to ask, whether or not all was answered: the ledger has that already. It returns an
// error only if the whole strategy failed, [errors.ErrUnsupported] if the server cannot do this at all, and otherwise the error of the
// Session method that ended the run. Types it never asked become gaps of reason [Unasked].
type Strategy interface {
	// Name is stable: it stands in reports and saved states.
	Name() string
	Fetch(ctx context.Context, s *Session) error
}

// FirstOf tries strategies in order: the next one when the one before returned [errors.ErrUnsupported]. What that one had left unanswered
// is withdrawn. Without strategies it is not supported itself.
func FirstOf(strategies ...Strategy) Strategy {
	return combined{name: join("first-of", strategies), fetch: func(ctx context.Context, s *Session) error {
		for _, sub := range strategies {
			if err := s.Run(ctx, sub); !errors.Is(err, errors.ErrUnsupported) {
				return err
			}
		}
		return fmt.Errorf("fhirsync: %w", errors.ErrUnsupported)
	}}
}

// Union runs all strategies, one after the other; duplicates are removed by Key. It is not supported if none of them is.
func Union(strategies ...Strategy) Strategy {
	return combined{name: join("union", strategies), fetch: func(ctx context.Context, s *Session) error {
		supported := false
		for _, sub := range strategies {
			switch err := s.Run(ctx, sub); {
			case errors.Is(err, errors.ErrUnsupported):
			case err != nil:
				return err
			default:
				supported = true
			}
		}
		if !supported {
			return fmt.Errorf("fhirsync: %w", errors.ErrUnsupported)
		}
		return nil
	}}
}

type combined struct {
	name  string
	fetch func(ctx context.Context, s *Session) error
}

func (c combined) Name() string                                { return c.name }
func (c combined) Fetch(ctx context.Context, s *Session) error { return c.fetch(ctx, s) }

func join(name string, strategies []Strategy) string {
	name += "("
	var nameSb64 strings.Builder
	for i, s := range strategies {
		if i > 0 {
			nameSb64.WriteString(",")
		}
		nameSb64.WriteString(s.Name())
	}
	name += nameSb64.String()
	return name + ")"
}
