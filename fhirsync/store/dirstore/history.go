package dirstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// historyDir has a file for each old version.
const historyDir = "history"

// kept is the content of such a file.
type kept struct {
	Server      string    `json:"server"`
	Type        string    `json:"type"`
	ID          string    `json:"id"`
	VersionID   string    `json:"versionId"`
	LastUpdated time.Time `json:"lastUpdated,omitzero"`
	PatientID   string    `json:"patientId,omitempty"` // whose record had it last
	Digest      []byte    `json:"digest"`
	Raw         []byte    `json:"raw"` // base64: its bytes stay as they are
}

func (s *Store) versionPath(key fhirsync.Key, version string) string {
	return s.path(filepath.Join(historyDir, nameOf(key.Server, key.Type, key.ID, version)+".json"))
}

// PutVersions keeps versions that are not the current one, each as a file of its own in the folder "history". A sync asks for them where
// Options.History is set.
func (s *Store) PutVersions(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rejected := map[int]error{}
	for i := range batch.Resources {
		switch r := &batch.Resources[i]; {
		case !isTypeName(r.Type):
			rejected[i] = errNoType
		case r.ID == "":
			rejected[i] = errNoID
		case len(r.ID) > maxName || len(r.VersionID) > maxName:
			rejected[i] = errLongID
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.path(historyDir), 0o700); err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	for i := range batch.Resources {
		r := &batch.Resources[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := json.Marshal(kept{
			Server: r.Server, Type: r.Type, ID: r.ID, VersionID: r.VersionID, LastUpdated: r.LastUpdated, PatientID: batch.PatientID, Digest: r.Digest[:], Raw: r.Raw,
		})
		if err == nil {
			err = replaceFile(s.versionPath(r.Key, r.VersionID), append(text, '\n'))
		}
		if err != nil {
			return fmt.Errorf("dirstore: %w", err)
		}
	}
	return nil
}

// Version gives one version that PutVersions was given, as Get gives a resource. The error is fs.ErrNotExist (errors.Is) if it is not there.
func (s *Store) Version(ctx context.Context, key fhirsync.Key, version string) (fhirsync.Resource, error) {
	if err := ctx.Err(); err != nil {
		return fhirsync.Resource{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return fhirsync.Resource{}, err
	}
	raw, err := os.ReadFile(s.versionPath(key, version))
	if err != nil {
		return fhirsync.Resource{}, fmt.Errorf("dirstore: %w", err)
	}
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil || len(k.Digest) != 32 {
		return fhirsync.Resource{}, errors.New("dirstore: the file of a version is damaged")
	}
	return fhirsync.Resource{Key: key, VersionID: version, LastUpdated: k.LastUpdated, Raw: k.Raw, Digest: [32]byte(k.Digest)}, nil
}
