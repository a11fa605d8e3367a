package dirstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// stateDir has a file for each state, named by the hash of its key: a line with the revision and the checksum, then the state.
const stateDir = "state"

func (s *Store) statePath(key string) string {
	h := sha256.Sum256([]byte(key))
	return s.hidden(filepath.Join(stateDir, hex.EncodeToString(h[:])))
}

// LoadState gives a state and its revision; nil and "" where there is none. A file that somebody has damaged is none: the sync begins anew.
func (s *Store) LoadState(ctx context.Context, key string) ([]byte, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, "", err
	}
	return s.loadState(key)
}

func (s *Store) loadState(key string) ([]byte, string, error) {
	raw, err := os.ReadFile(s.statePath(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("dirstore: %w", err)
	}
	head, state, ok := bytes.Cut(raw, []byte{'\n'})
	rev, check, ok2 := bytes.Cut(head, []byte{' '})
	if !ok || !ok2 || len(rev) == 0 || string(check) != checksum(string(rev), state) {
		return nil, "", nil
	}
	return append([]byte{}, state...), string(rev), nil
}

func checksum(rev string, state []byte) string {
	h := sha256.New()
	h.Write([]byte(rev))
	h.Write([]byte{'\n'})
	h.Write(state)
	return hex.EncodeToString(h.Sum(nil))
}

// SaveState replaces a state if rev is its revision, "" for one that is not there; nil deletes it. Otherwise it gives
// fhirsync.ErrStateConflict. Everything that was put before is on the disk before the state is, also with NoSync.
func (s *Store) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return "", err
	}
	_, now, err := s.loadState(key)
	if err != nil {
		return "", err
	}
	if now != rev {
		return "", fhirsync.ErrStateConflict
	}
	for _, t := range s.tables {
		if err := t.sync(); err != nil {
			return "", fmt.Errorf("dirstore: %s: %w", t.typ, err)
		}
	}
	path := s.statePath(key)
	if state == nil {
		if err := errors.Join(remove(path), syncDir(filepath.Dir(path))); err != nil {
			return "", fmt.Errorf("dirstore: %w", err)
		}
		return "", nil
	}
	next := rand.Text() // never the same again, not even after a deletion
	if err := replaceFile(path, append([]byte(next+" "+checksum(next, state)+"\n"), state...)); err != nil {
		return "", fmt.Errorf("dirstore: %w", err)
	}
	return next, nil
}
