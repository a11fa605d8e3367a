package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

// A ContentStore is tested with the store that it belongs to.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(tb testing.TB) fhirsync.Store {
			tb.Helper()
			return Store{new(memstore.Store), tb.TempDir()}
		},
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			r, ok := s.(Store).Store.(*memstore.Store).Get(key)
			if !ok {
				return r, fs.ErrNotExist
			}
			return r, nil
		},
		Content: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
			return os.ReadFile(s.(Store).path(key))
		},
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	if err := run(t.Context(), &out, dir); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "complete") || !strings.Contains(text, "Binary/letter: %PDF-1.7 a letter") {
		t.Error(text)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
