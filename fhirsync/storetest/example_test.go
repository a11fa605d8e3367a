package storetest_test

import (
	"context"
	"io/fs"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

// The whole test of a Store. memstore's Get says absent with false, which the harness turns into fs.ErrNotExist.
func ExampleRun() {
	test := func(t *testing.T) {
		t.Helper()
		storetest.Run(t, storetest.Harness{
			Open: func(testing.TB) fhirsync.Store { return new(memstore.Store) },
			Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
				r, ok := s.(*memstore.Store).Get(key)
				if !ok {
					return fhirsync.Resource{}, fs.ErrNotExist
				}
				return r, nil
			},
		})
	}
	_ = test // go test calls it if it is func TestStore(t *testing.T).
	// Output:
}
