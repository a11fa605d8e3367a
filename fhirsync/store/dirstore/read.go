package dirstore

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Get gives one resource: all but Unchanged and Origin, which are not kept. The error is fs.ErrNotExist (errors.Is) if it is not there.
// With Gzip it costs the unpacking of up to 1 MB.
func (s *Store) Get(ctx context.Context, key fhirsync.Key) (fhirsync.Resource, error) {
	if err := ctx.Err(); err != nil {
		return fhirsync.Resource{}, err
	}
	if s.Server() != key.Server && strings.HasPrefix(key.Server, "https://") {
		if other, err := s.elsewhere(key.Server, false); err != nil || other != nil {
			if err != nil {
				return fhirsync.Resource{}, err
			}
			return other.Get(ctx, key)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return fhirsync.Resource{}, err
	}
	r, ok, err := s.find(key)
	if err != nil {
		return fhirsync.Resource{}, err
	}
	if !ok {
		return fhirsync.Resource{}, fmt.Errorf("dirstore: no such resource: %w", fs.ErrNotExist)
	}
	line, err := s.tables[key.Type].reader(0).read(&r)
	if err != nil {
		return fhirsync.Resource{}, fmt.Errorf("dirstore: %s: %w", key.Type, s.tables[key.Type].doubt(err))
	}
	return s.resource(key.Type, &r, line), nil
}

func (s *Store) resource(typ string, r *row, line []byte) fhirsync.Resource {
	return fhirsync.Resource{
		Key:       fhirsync.Key{Server: s.server, Type: typ, ID: r.id},
		VersionID: r.version, LastUpdated: r.updated, Raw: slices.Clone(line), Digest: r.digest,
	}
}

// Len is the number of resources.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for _, t := range s.tables {
		n += int(t.live)
	}
	return n
}

// Types gives the types of which there are resources, in order.
func (s *Store) Types() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []string
	for typ, t := range s.tables {
		if t.live > 0 {
			out = append(out, typ)
		}
	}
	slices.Sort(out)
	return out
}

// All yields the resources of one type in the order in which they were put. The loop may use the store. A resource that is replaced meanwhile
// comes as it was, as it is, or both; if the store is closed the loop ends with fs.ErrClosed.
func (s *Store) All(typ string) iter.Seq2[fhirsync.Resource, error] {
	return func(yield func(fhirsync.Resource, error) bool) {
		s.readers.Add(1)
		defer s.readers.Add(-1)
		at := headerSize
		var rd *lines
		for {
			some, next, err := s.some(typ, at, &rd)
			for _, r := range some {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(fhirsync.Resource{}, err)
				return
			}
			if next == at {
				return
			}
			at = next
		}
	}
}

// some reads the next resources of a type, about 1 MB of them, and tells where to go on: in the same place if there are none.
func (s *Store) some(typ string, at int64, rd **lines) (out []fhirsync.Resource, next int64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, at, err
	}
	t := s.tables[typ]
	if t == nil {
		return nil, at, nil
	}
	if *rd == nil {
		*rd = t.reader(1 << 18)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(t.rows, at, t.rowsSize-at), 1<<16)
	for size := int64(0); at < t.rowsSize && size < 1<<20; {
		row, n, err := readRow(r)
		if err != nil {
			return out, at, fmt.Errorf("dirstore: %s: %w", typ, t.doubt(err))
		}
		live := t.waste == 0
		if !live {
			now, ok, err := t.index.find(hashOf(row.id))
			if err != nil {
				return out, at, fmt.Errorf("dirstore: %s: %w", typ, err)
			}
			live = ok && now == at
		}
		if live {
			line, err := (*rd).read(&row)
			if err != nil {
				return out, at, fmt.Errorf("dirstore: %s: %w", typ, t.doubt(err))
			}
			out = append(out, s.resource(typ, &row, line))
			size += row.n
		}
		at += n
		size += n
	}
	return out, at, nil
}
