package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Store is a store with one power more: what attachments name goes into a folder, each document as a file, and not as base64 into the resources.
type Store struct {
	fhirsync.Store        // for the resources
	dir            string // for the documents
}

// Powers are those of the store for resources, and that of keeping contents.
func (s Store) Powers() fhirsync.Powers {
	p := fhirsync.PowersOf(s.Store)
	p.Content = s
	return p
}

// PutContent writes one document. It may be large, so it is copied piece by piece; and the file gets its name only when it is whole, so that what fails
// in the middle leaves nothing that looks like a document.
func (s Store) PutContent(ctx context.Context, c fhirsync.Content) error {
	f, err := os.CreateTemp(s.dir, "*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // of no use once it has its name
	_, err = io.Copy(f, c.Body)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.path(c.Key))
}

// path names a document by a hash, because ids hold all kinds of characters. Server and type are part of it: other servers have ids too.
func (s Store) path(k fhirsync.Key) string {
	sum := sha256.Sum256([]byte(k.Server + "\n" + k.Type + "\n" + k.ID))
	return filepath.Join(s.dir, hex.EncodeToString(sum[:16]))
}
