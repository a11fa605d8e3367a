package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

// This is the whole test that a Store needs.
func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store { return Store{NewDocuments()} },
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			raw, err := s.(Store).documents.Load(name(key))
			if errors.Is(err, ErrNoDocument) {
				err = fs.ErrNotExist
			}
			return fhirsync.Resource{Raw: raw}, err
		},
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "complete") || !strings.Contains(text, "documents about pat-") {
		t.Error(text)
	}
}

// The example says "a few lines": at most twenty without comments, empty lines and what imports need.
func TestStoreIsShort(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("store.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "\n)\n")
	lines := 0
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			lines++
		}
	}
	if lines > 20 {
		t.Errorf("store.go has %d lines of code", lines)
	}
}
