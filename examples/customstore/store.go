package main

import (
	"context"
	"net/url"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Store puts resources into the backend's documents.
type Store struct{ documents *Documents }

// Put saves each resource under its own name. That it may come again, or come for a second patient, needs no care: Save replaces.
func (s Store) Put(ctx context.Context, batch fhirsync.Batch) error {
	for _, r := range batch.Resources {
		if err := s.documents.Save(ctx, name(r.Key), batch.PatientID, r.Raw); err != nil {
			return err
		}
	}
	return nil
}

// name escapes the parts, because ids hold all kinds of characters, slashes too.
func name(k fhirsync.Key) string {
	return url.PathEscape(k.Server) + "/" + url.PathEscape(k.Type) + "/" + url.PathEscape(k.ID)
}
