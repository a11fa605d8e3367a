package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store { return new(memstore.Store) },
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			r, ok := s.(*memstore.Store).Get(key)
			if !ok {
				return r, fs.ErrNotExist
			}
			return r, nil
		},
		Len: func(_ context.Context, s fhirsync.Store) (int, error) { return s.(*memstore.Store).Len(), nil },
		Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
			return s.(*memstore.Store).Quarantined(), nil
		},
	})
}

func TestArchive(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store { return new(memstore.Archive) },
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			r, ok := s.(*memstore.Archive).Get(key)
			if !ok {
				return r, fs.ErrNotExist
			}
			return r, nil
		},
		Len: func(_ context.Context, s fhirsync.Store) (int, error) { return s.(*memstore.Archive).Len(), nil },
		Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
			return s.(*memstore.Archive).Quarantined(), nil
		},
		Version: func(_ context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error) {
			r, ok := s.(*memstore.Archive).Version(key, version)
			if !ok {
				return r, fs.ErrNotExist
			}
			return r, nil
		},
		Content: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
			c, ok := s.(*memstore.Archive).Content(key)
			if !ok {
				return nil, fs.ErrNotExist
			}
			return c.Bytes()
		},
	})
}

func keyOf(server, typ, id string) fhirsync.Key {
	return fhirsync.Key{Server: server, Type: typ, ID: id}
}

func put(t *testing.T, s *memstore.Store, patient string, keys ...fhirsync.Key) {
	t.Helper()
	b := fhirsync.Batch{Server: keys[0].Server, PatientID: patient}
	for _, k := range keys {
		b.Resources = append(b.Resources, fhirsync.Resource{Key: k, Raw: []byte(fmt.Sprintf(`{"id":%q}`, k.ID))})
	}
	if err := s.Put(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func TestPatientHasWhatIsShared(t *testing.T) {
	t.Parallel()
	s := new(memstore.Store)
	shared := keyOf("a", "Practitioner", "d")
	put(t, s, "p1", keyOf("a", "Observation", "2"), shared)
	put(t, s, "p1", keyOf("a", "Observation", "1"))
	put(t, s, "p2", keyOf("a", "Observation", "3"), shared)
	put(t, s, "p1", keyOf("b", "Observation", "1"))
	keys := func(server, patient string) []fhirsync.Key {
		var out []fhirsync.Key
		for r := range s.Patient(server, patient) {
			out = append(out, r.Key)
		}
		return out
	}
	for _, tt := range []struct {
		server, patient string
		want            []fhirsync.Key
	}{
		{"a", "p1", []fhirsync.Key{keyOf("a", "Observation", "1"), keyOf("a", "Observation", "2"), shared}},
		{"a", "p2", []fhirsync.Key{keyOf("a", "Observation", "3"), shared}},
		{"b", "p1", []fhirsync.Key{keyOf("b", "Observation", "1")}},
		{"b", "p2", nil},
	} {
		if diff := cmp.Diff(tt.want, keys(tt.server, tt.patient)); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tt.patient, tt.server, diff)
		}
	}
	var all []fhirsync.Key
	for r := range s.All() {
		all = append(all, r.Key)
	}
	if len(all) != s.Len() || len(all) != 5 {
		t.Errorf("All gave %d, Len %d", len(all), s.Len())
	}
}

func TestLoopsMayStopAndPut(t *testing.T) {
	t.Parallel()
	s := new(memstore.Store)
	put(t, s, "p", keyOf("a", "Observation", "1"), keyOf("a", "Observation", "2"))
	n := 0
	for r := range s.All() {
		put(t, s, "p", keyOf("a", "Condition", r.ID))
		if n++; n == 2 {
			break
		}
	}
	if n != 2 || s.Len() != 4 {
		t.Errorf("%d steps, %d resources", n, s.Len())
	}
}

func TestHoldsWantsAsManyDigestsAsKeys(t *testing.T) {
	t.Parallel()
	if _, err := new(memstore.Store).Holds(t.Context(), make([]fhirsync.Key, 2), make([][32]byte, 1)); err == nil {
		t.Error("no error")
	}
}

func TestStatesAreCopies(t *testing.T) {
	t.Parallel()
	s := new(memstore.Store)
	state := []byte("one")
	rev, err := s.SaveState(t.Context(), "k", state, "")
	if err != nil {
		t.Fatal(err)
	}
	state[0] = 'x'
	got, gotRev, err := s.LoadState(t.Context(), "k")
	if err != nil || string(got) != "one" || gotRev != rev {
		t.Errorf("%q %q %v", got, gotRev, err)
	}
	got[0] = 'x'
	if again, _, _ := s.LoadState(t.Context(), "k"); string(again) != "one" {
		t.Errorf("what was loaded is not a copy: %q", again)
	}
	if _, err := s.SaveState(t.Context(), "k", state, "none"); !errors.Is(err, fhirsync.ErrStateConflict) {
		t.Error(err)
	}
}
