package sqlstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// syncState is what the keys of unfinished syncs' states begin with.
const syncState = "fhirsync-sync-"

var syncStateLength = strconv.Itoa(len(syncState))

// LoadState gives a state and its revision.
func (s *Store) LoadState(ctx context.Context, key string) (state []byte, rev string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	found := false
	err = s.retry(ctx, func() (err error) {
		found, err = one(ctx, s.db, s.sql.loadState, []any{toText(key)}, &state, &rev)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("sqlstore: load state: %w", err)
	}
	if found && state == nil {
		state = []byte{} // an empty one is there, and some drivers give nil for it.
	}
	return state, rev, nil
}

// SaveState replaces a state if rev is its revision.
func (s *Store) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	next := ""
	if state != nil {
		next = rand.Text() // never the same again, whatever was deleted in between.
	}
	// A state is saved at the end of a sync, which need not wait for the log.
	err := s.writeAs(ctx, &s.checkpoints, func(ctx context.Context, tx querier) error {
		s.counts(int64(len(state)))
		if state == nil && rev == "" {
			var was []byte
			var wasRev string
			switch found, err := one(ctx, tx, s.sql.loadState, []any{toText(key)}, &was, &wasRev); {
			case err != nil:
				return err
			case found:
				return fhirsync.ErrStateConflict
			}
			return nil
		}
		query, args := s.sql.saveState, []any{toText(key), state, next, rev}
		switch {
		case state == nil:
			query, args = s.sql.dropState, []any{toText(key), rev}
		case rev == "":
			query, args = s.sql.createState, []any{toText(key), state, next}
		}
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			err = fhirsync.ErrStateConflict
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("sqlstore: save state: %w", err)
	}
	return next, nil
}
