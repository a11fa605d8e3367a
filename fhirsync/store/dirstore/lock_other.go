//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package dirstore

import (
	"path/filepath"
	"sync"
)

var (
	lockedMu sync.Mutex
	locked   = map[string]bool{}
)

// lock notices other Stores of this process only: the system has no lock that ends with the process which holds it.
func lock(path string) (unlock func() error, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	lockedMu.Lock()
	defer lockedMu.Unlock()
	if locked[path] {
		return nil, ErrLocked
	}
	locked[path] = true
	return func() error {
		lockedMu.Lock()
		defer lockedMu.Unlock()
		delete(locked, path)
		return nil
	}, nil
}
