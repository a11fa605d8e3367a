package dirstore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// held is a line of .fhirsync/quarantine.ndjson.
type held struct {
	Run       string            `json:"run,omitempty"`
	Server    string            `json:"server,omitempty"`
	PatientID string            `json:"patientId,omitempty"`
	Type      string            `json:"type,omitempty"`
	ID        string            `json:"id,omitempty"`
	Reason    string            `json:"reason"`
	Query     string            `json:"query,omitempty"`
	Repairs   []fhirsync.Repair `json:"repairs,omitempty"`
	Raw       []byte            `json:"raw"` // base64: it may be anything
}

func (s *Store) quarantinePath() string { return s.hidden("quarantine.ndjson") }

// Quarantine keeps bytes that could not be stored as resources. The same bytes with the same type, id and reason are kept once, however
// often they come: a broken resource is broken every night.
func (s *Store) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.keep(ctx, items); err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	return nil
}

func (s *Store) keep(ctx context.Context, items []fhirsync.Quarantined) error {
	if len(items) == 0 {
		return nil
	}
	f, err := os.OpenFile(s.quarantinePath(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.readHeld(f); err != nil {
		return err
	}
	end := s.heldEnd // behind it may be half a line, which a crash has left.
	var lines []byte
	fresh := map[sum]bool{}
	for i := range items {
		if err := ctx.Err(); err != nil {
			return err
		}
		q := &items[i]
		h := hashHeld(q)
		if s.heldUp[h] || fresh[h] {
			continue
		}
		fresh[h] = true
		line, err := json.Marshal(held(*q))
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if len(lines) == 0 {
		return nil
	}
	err = errors.Join(f.Truncate(end), writeAt(f, lines, end))
	if err == nil {
		err = errors.Join(f.Sync(), syncDir(s.hidden("")))
	}
	if err != nil {
		return errors.Join(err, f.Truncate(end))
	}
	s.heldEnd = end + int64(len(lines))
	for h := range fresh {
		s.heldUp[h] = true
	}
	return nil
}

// readHeld learns what is in quarantine, once, and where the last whole line ends.
func (s *Store) readHeld(f *os.File) error {
	if s.heldUp != nil {
		return nil
	}
	seen := map[sum]bool{}
	var end int64
	for q, err := range heldIn(f, &end) {
		if err != nil {
			return err
		}
		seen[hashHeld(&q)] = true
	}
	s.heldUp, s.heldEnd = seen, end
	return nil
}

// heldIn yields what is in the file, and counts in end how far its whole lines go. A line that somebody has damaged is passed over.
func heldIn(f io.Reader, end *int64) iter.Seq2[fhirsync.Quarantined, error] {
	return func(yield func(fhirsync.Quarantined, error) bool) {
		r := bufio.NewReaderSize(f, 1<<16)
		for {
			line, err := r.ReadBytes('\n')
			if err == io.EOF {
				return // what is left is half a line.
			}
			if err != nil {
				yield(fhirsync.Quarantined{}, err)
				return
			}
			*end += int64(len(line))
			var q held
			if json.Unmarshal(line, &q) != nil {
				continue
			}
			if !yield(fhirsync.Quarantined(q), nil) {
				return
			}
		}
	}
}

func hashHeld(q *fhirsync.Quarantined) sum {
	h := sha256.New()
	for _, s := range []string{q.Server, q.Type, q.ID, q.Reason} {
		h.Write(binary.AppendUvarint(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Write(q.Raw)
	return sum(h.Sum(nil)[:16])
}

// Quarantined yields what is in quarantine, in the order in which it came. The loop may not use the store.
func (s *Store) Quarantined() iter.Seq2[fhirsync.Quarantined, error] {
	return func(yield func(fhirsync.Quarantined, error) bool) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		if err := s.usable(); err != nil {
			yield(fhirsync.Quarantined{}, err)
			return
		}
		f, err := os.Open(s.quarantinePath())
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(fhirsync.Quarantined{}, fmt.Errorf("dirstore: %w", err))
			return
		}
		defer f.Close()
		var end int64
		for q, err := range heldIn(f, &end) {
			if !yield(q, err) {
				return
			}
		}
	}
}
