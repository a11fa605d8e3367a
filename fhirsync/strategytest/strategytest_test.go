package strategytest_test

import (
	"context"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/strategytest"
)

func TestAuto(t *testing.T) {
	t.Parallel()
	strategytest.Run(t, strategytest.Suite{Strategy: fhirsync.Auto, Proves: true})
}

func TestSearchByType(t *testing.T) {
	t.Parallel()
	strategytest.Run(t, strategytest.Suite{Strategy: fhirsync.SearchByType, Proves: true})
}

func TestEverything(t *testing.T) {
	t.Parallel()
	strategytest.Run(t, strategytest.Suite{Strategy: func() fhirsync.Strategy {
		return fhirsync.FirstOf(fhirsync.Everything(), fhirsync.SearchByType())
	}})
}

func TestUnion(t *testing.T) {
	t.Parallel()
	strategytest.Run(t, strategytest.Suite{Strategy: func() fhirsync.Strategy {
		return fhirsync.Union(fhirsync.Everything(), fhirsync.SearchByType())
	}, Pairs: 10})
}

// byStatus is a strategy from outside: it asks for Observations in parts and leaves everything else to others.
type byStatus struct{}

func (byStatus) Name() string { return "by-status" }

func (byStatus) Fetch(ctx context.Context, s *fhirsync.Session) error {
	parts := s.Partition(fhirsync.Query{Type: "Observation"}, map[string][]string{"status": {"final"}}, map[string][]string{"status:not": {"final"}})
	for _, part := range parts {
		if err := s.Search(ctx, part); err != nil {
			return err
		}
	}
	for _, typ := range s.Types() {
		if typ != "Observation" {
			if err := s.Search(ctx, fhirsync.Query{Type: typ}); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestStrategyFromOutside(t *testing.T) {
	t.Parallel()
	strategytest.Run(t, strategytest.Suite{Strategy: func() fhirsync.Strategy { return byStatus{} }, Proves: true})
}
