package dirstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Put keeps the resources of a batch. A resource that is there with the same bytes and digest costs no write. See [fhirsync.Store] for the
// contract; a batch of which something cannot be written is not written at all, as far as the file system lets us take it back.
func (s *Store) Put(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if own, others, place, places := split(batch); len(others) > 0 {
		return s.putElsewhere(ctx, batch, own, others, place, places)
	}
	lines, err := linesOf(batch)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	if err := s.bind(batch.Resources[0].Server); err != nil {
		return err
	}
	var parts []*part
	byType := map[string]*part{}
	for i := range batch.Resources {
		r := &batch.Resources[i]
		p := byType[r.Type]
		if p == nil {
			if s.tables[r.Type] == nil {
				if err := s.openTable(r.Type); err != nil {
					return fmt.Errorf("dirstore: %s: %w", r.Type, err)
				}
			}
			p = newPart(s.tables[r.Type])
			byType[r.Type] = p
			parts = append(parts, p)
		}
		if err := p.add(r, lines[i]); err != nil {
			return fmt.Errorf("dirstore: %s: %w", r.Type, err)
		}
	}
	for _, p := range parts {
		if err := p.pack.flush(); err != nil {
			return fmt.Errorf("dirstore: %s: %w", p.t.typ, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.write(parts); err != nil {
		return fmt.Errorf("dirstore: %w", err)
	}
	for _, p := range parts {
		if err := p.t.tidy(); err != nil {
			return fmt.Errorf("dirstore: %s: %w", p.t.typ, err)
		}
	}
	return nil
}

// linesOf gives the lines of a batch, or a RejectError. It needs no lock.
func linesOf(batch fhirsync.Batch) ([][]byte, error) {
	lines := make([][]byte, len(batch.Resources))
	rejected := map[int]error{}
	for i := range batch.Resources {
		r := &batch.Resources[i]
		if r.Server != batch.Resources[0].Server {
			return nil, ErrOtherServer
		}
		var err error
		switch {
		case !isTypeName(r.Type):
			err = errNoType
		case r.ID == "":
			err = errNoID
		case len(r.ID) > maxName || len(r.VersionID) > maxName:
			err = errLongID
		default:
			lines[i], err = lineOf(r.Raw)
		}
		if err != nil {
			rejected[i] = err
		}
	}
	if len(rejected) > 0 {
		return nil, &fhirsync.RejectError{Rejected: rejected}
	}
	return lines, nil
}

// part is what a batch adds to one table.
type part struct {
	t          *table
	pack       packer
	rows, data []byte
	noted      []note
}

// note is what the index has to learn when the rows are written.
type note struct {
	hash  sum
	at, n int64
}

func newPart(t *table) *part {
	p := &part{t: t}
	p.pack = packer{form: t.form, member: t.s.member(), at: t.dataSize, out: p.out}
	return p
}

// add adds a resource, unless it is there already as it is.
func (p *part) add(r *fhirsync.Resource, line []byte) error {
	next := row{
		n: int64(len(line)), sum: sumOf(line), digest: r.Digest, known: true, id: r.ID, version: r.VersionID, updated: r.LastUpdated,
	}
	old, ok, err := p.t.find(r.ID)
	if err != nil {
		return err
	}
	if ok && old.known && old.digest == next.digest && old.sum == next.sum && old.n == next.n &&
		old.version == next.version && old.updated.Equal(next.updated) {
		return nil
	}
	return p.pack.add(next, line)
}

func (p *part) out(block []byte, rows []row) error {
	p.data = append(p.data, block...)
	for i := range rows {
		p.noted = append(p.noted, note{hashOf(rows[i].id), p.t.rowsSize + int64(len(p.rows)), rows[i].n})
		p.rows = appendRow(p.rows, &rows[i])
	}
	return nil
}

// write writes the parts, rows before lines, and waits for the disk. After an error all of it is taken back.
func (s *Store) write(parts []*part) error {
	var err error
	for i, p := range parts {
		if len(p.rows) == 0 {
			continue
		}
		if _, err = p.t.rows.WriteAt(p.rows, p.t.rowsSize); err == nil {
			_, err = p.t.data.WriteAt(p.data, p.t.dataSize)
		}
		if err != nil {
			parts = parts[:i+1]
			break
		}
	}
	if err != nil {
		for _, p := range parts {
			if back := errors.Join(p.t.data.Truncate(p.t.dataSize), p.t.rows.Truncate(p.t.rowsSize)); back != nil {
				s.broken = back
			}
		}
		return err
	}
	var files []*os.File
	for _, p := range parts {
		if len(p.rows) > 0 {
			files = append(files, p.t.rows, p.t.data)
			p.t.unsynced = true
		}
	}
	if !s.noSync {
		// When a sync fails nobody knows what is on the disk, and the next one may say that all is well. Opening the folder anew reads
		// what there is.
		err := syncAll(files)
		if err == nil && slices.ContainsFunc(parts, func(p *part) bool { return p.t.unnamed }) {
			err = s.syncNames()
		}
		if err != nil {
			s.broken = err
			return err
		}
		for _, p := range parts {
			if len(p.rows) > 0 {
				p.t.unsynced, p.t.unnamed = false, false
			}
		}
	}
	for _, p := range parts {
		if err := p.commit(); err != nil {
			s.broken = err
			return err
		}
	}
	return nil
}

func (p *part) commit() error {
	for _, n := range p.noted {
		if err := p.t.note(n); err != nil {
			return err
		}
	}
	p.t.rowsSize += int64(len(p.rows))
	p.t.dataSize += int64(len(p.data))
	return nil
}

// syncAll syncs files at once, because the file system then writes its journal once for many.
func syncAll(files []*os.File) error {
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() { errs[i] = f.Sync() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// syncNames makes the names of all files durable.
func (s *Store) syncNames() error { return errors.Join(syncDir(s.dir), syncDir(s.hidden(""))) }

// sameFile gives a type whose files would be the same on systems where case does not count, "" if there is none.
func (s *Store) sameFile(typ string) string {
	for other := range s.tables {
		if other != typ && strings.EqualFold(other, typ) {
			return other
		}
	}
	return ""
}
