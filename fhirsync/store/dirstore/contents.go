package dirstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// contentsDir has two files for each content: NAME.json says what it is, and has the name of the file with its bytes. The name is the hash of its key.
// A file that no other one names is what a crash has left, and goes when the folder is opened.
const contentsDir = "contents"

// contentNote is what a NAME.json says.
type contentNote struct {
	Server      string `json:"server"`
	Type        string `json:"type"`
	ID          string `json:"id"`
	PatientID   string `json:"patientId,omitempty"`
	URL         string `json:"url,omitempty"`
	ContentType string `json:"contentType,omitempty"`
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	File        string `json:"file"` // beside it
}

var errOtherBytes = errors.New("dirstore: the bytes of the content are not those of its digest")

func nameOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(p), p) // a hash does not fail.
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// PutContent keeps a content as a file of its own in the folder "contents". Its bytes are checked against its digest before anything counts. A sync hands contents
// over where Options.Contents is set.
func (s *Store) PutContent(ctx context.Context, c fhirsync.Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.Key.ID == "" || len(c.Key.ID) > maxName || len(c.Key.Type) > maxName {
		return &fhirsync.RejectError{Rejected: map[int]error{0: errLongID}}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.putContent(ctx, &c); err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	return nil
}

func (s *Store) putContent(ctx context.Context, c *fhirsync.Content) error {
	dir := s.path(contentsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := nameOf(c.Key.Server, c.Key.Type, c.Key.ID)
	digest := hex.EncodeToString(c.Digest[:])
	note := contentNote{
		Server: c.Key.Server, Type: c.Key.Type, ID: c.Key.ID, PatientID: c.PatientID, URL: c.URL, ContentType: c.ContentType, Size: c.Size(), SHA256: digest,
		File: name + "-" + digest[:16] + ".data",
	}
	before, err := readContentNote(filepath.Join(dir, name+".json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if before.File != note.File || before.Size != note.Size || !exists(filepath.Join(dir, note.File)) {
		if err := writeBody(ctx, filepath.Join(dir, note.File), c); err != nil {
			return err
		}
	}
	if before == note {
		return nil
	}
	text, err := json.Marshal(note)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, name+".json"), append(text, '\n')); err != nil {
		return err
	}
	if before.File != "" && before.File != note.File && filepath.Base(before.File) == before.File {
		return remove(filepath.Join(dir, before.File))
	}
	return nil
}

// writeBody writes the bytes of a content, and gives them their name when all of them are on the disk and right.
func writeBody(ctx context.Context, path string, c *fhirsync.Content) error {
	var body io.Reader = strings.NewReader("")
	if c.Body != nil {
		body = io.NewSectionReader(c.Body, 0, c.Size())
	}
	return replaceBy(path, func(f io.Writer) error {
		sum := sha256.New()
		_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(f, sum)}, struct{ io.Reader }{&until{ctx, body}}, make([]byte, 1<<20))
		if err == nil && [32]byte(sum.Sum(nil)) != c.Digest {
			err = errOtherBytes
		}
		return err
	})
}

// until reads as long as its context lasts.
type until struct {
	ctx context.Context //nolint:containedctx // it is read in one call that has it.
	r   io.Reader
}

func (u *until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

func readContentNote(path string) (contentNote, error) {
	var note contentNote
	raw, err := os.ReadFile(path)
	if err != nil {
		return note, err
	}
	if json.Unmarshal(raw, &note) != nil || filepath.Base(note.File) != note.File {
		return contentNote{}, nil //nolint:nilerr // somebody has damaged it: it is written anew.
	}
	return note, nil
}

// Content gives a content that PutContent was given, and a function that closes its file, which Body reads. The error is fs.ErrNotExist (errors.Is) if
// it is not there. Run and Server are not filled in; PatientID is that of the last one whose record had it.
func (s *Store) Content(ctx context.Context, key fhirsync.Key) (c fhirsync.Content, closeFile func() error, err error) {
	if err := ctx.Err(); err != nil {
		return c, nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return c, nil, err
	}
	note, err := readContentNote(s.path(filepath.Join(contentsDir, nameOf(key.Server, key.Type, key.ID)+".json")))
	if err == nil && note.File == "" {
		err = errors.New("the note of a content is damaged")
	}
	if err != nil {
		return c, nil, fmt.Errorf("dirstore: %w", err)
	}
	f, err := os.Open(s.path(filepath.Join(contentsDir, note.File)))
	if err != nil {
		return c, nil, fmt.Errorf("dirstore: %w", err)
	}
	c = fhirsync.Content{Key: key, PatientID: note.PatientID, URL: note.URL, ContentType: note.ContentType, Body: io.NewSectionReader(f, 0, note.Size)}
	if n, err := hex.Decode(c.Digest[:], []byte(note.SHA256)); n != len(c.Digest) || err != nil {
		return fhirsync.Content{}, nil, errors.Join(errors.New("dirstore: the note of a content is damaged"), f.Close())
	}
	return c, f.Close, nil
}

// sweepContents removes what a crash has left of contents.
func (s *Store) sweepContents() error {
	entries, err := os.ReadDir(s.path(contentsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			note, err := readContentNote(s.path(filepath.Join(contentsDir, e.Name())))
			if err != nil {
				return err
			}
			named[note.File] = true
		}
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".data") && !named[name] {
			if err := remove(s.path(filepath.Join(contentsDir, name))); err != nil {
				return err
			}
		}
	}
	return nil
}
