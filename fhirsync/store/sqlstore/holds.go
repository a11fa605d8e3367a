package sqlstore

import (
	"context"
	"fmt"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Holds tells which resources were put last with these digests.
func (s *Store) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(keys) != len(digests) {
		return nil, fmt.Errorf("sqlstore: %d keys and %d digests", len(keys), len(digests))
	}
	out := make([]bool, len(keys))
	for from := 0; from < len(keys); {
		part, args := s.holdsPart(keys[from:])
		err := s.retry(ctx, func() error {
			return scan(ctx, s.db, s.sql.holds, args, func(scan func(...any) error) error {
				var at int
				var digest []byte
				if err := scan(&at, &digest); err != nil {
					return err
				}
				out[from+at] = string(digest) == string(digests[from+at][:])
				return nil
			})
		})
		if err != nil {
			return nil, fmt.Errorf("sqlstore: holds: %w", err)
		}
		from += len(part)
	}
	return out, nil
}

// holdsPart gives the keys, from the first on, that one statement asks for, and its parameters.
func (s *Store) holdsPart(keys []fhirsync.Key) ([]fhirsync.Key, []any) {
	part := keys[:min(chunkRows, len(keys))]
	if s.dialect == Postgres {
		return part, s.keys(len(part), func(i int) (string, string, string) {
			return toText(part[i].Server), toText(part[i].Type), toText(part[i].ID)
		})
	}
	ids := list{dialect: SQLite}
	for i, k := range part {
		if k.Server != part[0].Server || k.Type != part[0].Type {
			part = part[:i]
			break
		}
		ids.text(toText(k.ID))
	}
	return part, []any{toText(part[0].Server), toText(part[0].Type), ids.String()}
}

// Seen tells which resources this run has put, as long as no other run of the same patient has put them since, and no longer than a week.
func (s *Store) Seen(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := make([]bool, len(keys))
	for from := 0; from < len(keys); from += chunkRows {
		part := keys[from:min(from+chunkRows, len(keys))]
		args := s.keys(len(part), func(i int) (string, string, string) {
			return toText(part[i].Server), toText(part[i].Type), toText(part[i].ID)
		})
		err := s.retry(ctx, func() error {
			return scan(ctx, s.db, s.sql.seen, append(args, toText(run)), func(scan func(...any) error) error {
				var at int
				err := scan(&at)
				if err == nil {
					out[from+at] = true
				}
				return err
			})
		})
		if err != nil {
			return nil, fmt.Errorf("sqlstore: seen: %w", err)
		}
	}
	return out, nil
}
