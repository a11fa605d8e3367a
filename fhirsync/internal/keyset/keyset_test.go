package keyset_test

import (
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
)

// It is a set, at every size, whatever comes twice and however the hashes lie.
func TestSet(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for name, make := range map[string]func(i int) uint64{
		"spread":       func(int) uint64 { return random.Uint64() },
		"twice":        func(int) uint64 { return random.Uint64N(20_000) * 0x9E3779B97F4A7C15 },
		"all low":      func(i int) uint64 { return 1 + uint64(i/2) },
		"all high":     func(i int) uint64 { return ^uint64(i / 3) },
		"in one table": func(int) uint64 { return 5<<56 | random.Uint64N(1<<56) },
	} {
		s, want := keyset.New(), map[uint64]bool{}
		if s.Has(7) {
			t.Errorf("%s: something is in an empty set", name)
		}
		for i := range 30_000 {
			h := max(make(i), 1)
			if isNew := s.Add(h); isNew == want[h] {
				t.Fatalf("%s: %x was added, new %v, and was there %v", name, h, isNew, want[h])
			}
			want[h] = true
			if s.Len() != len(want) {
				t.Fatalf("%s: %d of %d", name, s.Len(), len(want))
			}
		}
		for h := range want {
			if !s.Has(h) {
				t.Fatalf("%s: %x is gone", name, h)
			}
		}
		for range 10_000 {
			if h := random.Uint64(); s.Has(h) != want[h] {
				t.Fatalf("%s: %x: %v", name, h, s.Has(h))
			}
		}
		if got := slices.Sorted(s.All()); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s: not all are given", name)
		}
		const other = 1<<62 + 1
		c := s.Clone()
		if !c.Add(other) || s.Has(other) || c.Len() != s.Len()+1 {
			t.Errorf("%s: the copy and the set are not two", name)
		}
	}
}

func TestNone(t *testing.T) {
	t.Parallel()
	var none *keyset.Set
	if none.Len() != 0 || none.Has(1) || len(slices.Collect(none.All())) != 0 || !none.Clone().Add(1) {
		t.Error("nil is no empty set")
	}
	s := keyset.New()
	if !s.Add(0) || !s.Has(0) || s.Add(0) || s.Len() != 1 {
		t.Error("0 cannot be in a set")
	}
}

// A million take what is promised.
func TestSmall(t *testing.T) {
	const n = 1_000_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := keyset.New()
	for i := range uint64(n) {
		s.Add((i + 1) * 0x9E3779B97F4A7C15)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / n
	if s.Len() != n || each > 16 {
		t.Errorf("%d, each in %.1f bytes", s.Len(), each)
	}
}
