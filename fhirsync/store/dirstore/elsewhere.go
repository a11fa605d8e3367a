package dirstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// elsewhereDir has a folder, in this store's own form, for each other server from which a sync of this one's has got something.
const elsewhereDir = "elsewhere"

// split takes the resources of other servers out of a batch of this one's (see fhirsync.Elsewhere). place has where those that stay stood.
func split(batch fhirsync.Batch) (own fhirsync.Batch, others []fhirsync.Batch, place []int, places [][]int) {
	if !slices.ContainsFunc(batch.Resources, func(r fhirsync.Resource) bool { return fromElsewhere(batch, &r) }) {
		return batch, nil, nil, nil
	}
	own = batch
	own.Resources = nil
	at := map[string]int{}
	for i, r := range batch.Resources {
		if !fromElsewhere(batch, &r) {
			own.Resources, place = append(own.Resources, r), append(place, i)
			continue
		}
		n, known := at[r.Server]
		if !known {
			n = len(others)
			at[r.Server] = n
			others = append(others, fhirsync.Batch{Run: batch.Run, Server: r.Server, PatientID: batch.PatientID})
			places = append(places, nil)
		}
		others[n].Resources, places[n] = append(others[n].Resources, r), append(places[n], i)
	}
	return own, others, place, places
}

// fromElsewhere tells whether a resource of a batch is another server's.
func fromElsewhere(batch fhirsync.Batch, r *fhirsync.Resource) bool {
	return batch.Server != "" && r.Server != batch.Server && strings.HasPrefix(r.Server, "https://")
}

// putElsewhere puts resources of other servers into folders of their own.
func (s *Store) putElsewhere(ctx context.Context, batch fhirsync.Batch, own fhirsync.Batch, others []fhirsync.Batch, place []int, places [][]int) error {
	s.mu.Lock()
	err := s.usable()
	if err == nil && len(own.Resources) == 0 {
		err = s.bind(batch.Server)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	rejected := map[int]error{}
	put := func(store *Store, b fhirsync.Batch, at []int) error {
		err := store.Put(ctx, b)
		if reject, ok := errors.AsType[*fhirsync.RejectError](err); ok {
			for i, why := range reject.Rejected {
				rejected[at[i]] = why
			}
			return nil
		}
		return err
	}
	if err := put(s, own, place); err != nil {
		return err
	}
	for i, b := range others {
		store, err := s.elsewhere(b.Server, true)
		if err == nil {
			err = put(store, b, places[i])
		}
		if err != nil {
			return err
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected}
	}
	return nil
}

// elsewhere gives the folder of another server, nil if there is none and none is to be made.
func (s *Store) elsewhere(server string, mk bool) (*Store, error) {
	s.otherMu.Lock()
	defer s.otherMu.Unlock()
	if other := s.others[server]; other != nil {
		return other, nil
	}
	s.mu.RLock()
	err := s.usable()
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	dir := s.path(filepath.Join(elsewhereDir, nameOf(server)))
	if !mk {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is none, nothing wrong.
		}
	}
	other, err := Open(dir, &Options{Gzip: s.form == zipped, NoSync: s.noSync, Logger: s.log, limits: s.limits})
	if err != nil {
		return nil, fmt.Errorf("dirstore: %s: %w", elsewhereDir, err)
	}
	if s.others == nil {
		s.others = map[string]*Store{}
	}
	s.others[server] = other
	return other, nil
}

// Elsewhere yields the stores of other servers from which something has come, each with the resources of one, as they were when it was called. They are closed with s,
// and only read.
func (s *Store) Elsewhere() ([]*Store, error) {
	entries, err := os.ReadDir(s.path(elsewhereDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dirstore: %w", err)
	}
	var out []*Store
	for _, e := range entries {
		server, err := serverOf(s.path(filepath.Join(elsewhereDir, e.Name())))
		if err != nil {
			return nil, err
		}
		if server == "" || nameOf(server) != e.Name() {
			continue // nothing was put there before a crash.
		}
		other, err := s.elsewhere(server, true)
		if err != nil {
			return nil, err
		}
		out = append(out, other)
	}
	return out, nil
}

// serverOf reads to which server a folder belongs, "" if to none.
func serverOf(dir string) (string, error) {
	other := Store{dir: dir}
	if err := other.readFormat(); err != nil {
		return "", err
	}
	return other.server, nil
}

// closeElsewhere closes the folders of other servers.
func (s *Store) closeElsewhere() error {
	s.otherMu.Lock()
	defer s.otherMu.Unlock()
	var errs []error
	for _, other := range s.others {
		errs = append(errs, other.Close())
	}
	s.others = nil
	return errors.Join(errs...)
}

// Server is whose resources these are: their Key.Server. "" until the first is put.
func (s *Store) Server() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.server
}
