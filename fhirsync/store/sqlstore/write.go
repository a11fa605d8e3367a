package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
)

// querier is a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// How often and how long something is tried that met somebody else's transaction.
const (
	conflictTries = 8
	busyFor       = 15 * time.Second // SQLite has one writer, so that waiting is the rule
)

// write runs fn in a transaction, and again if that met another one's. fn must set all it changes anew each time.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, tx querier) error) error {
	return s.writeAs(ctx, nil, fn)
}

// writeAs is write. What fn writes is counted by c, if there is one.
func (s *Store) writeAs(ctx context.Context, c *checkpoints, fn func(ctx context.Context, tx querier) error) error {
	if s.writing != nil {
		select {
		case s.writing <- struct{}{}:
			defer func() { <-s.writing }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.retry(ctx, func() error {
		if s.dialect == SQLite {
			return s.immediate(ctx, c, fn)
		}
		return s.transaction(ctx, fn)
	})
}

// retry calls something again while it fails because of somebody else's transaction.
func (s *Store) retry(ctx context.Context, call func() error) error {
	since := time.Now()
	for try := 1; ; try++ {
		err := call()
		if err == nil || !conflict(err) || s.dialect == Postgres && try == conflictTries || time.Since(since) > busyFor {
			return err
		}
		wait := time.Duration(1+rand.Int64N(int64(min(1<<try, 100)))) * time.Millisecond //nolint:gosec // nothing is to be kept secret
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

func (s *Store) transaction(ctx context.Context, fn func(ctx context.Context, tx querier) error) error {
	// What is locked and then looked at must be as it is now, not as it was at the beginning: that is this level.
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing.
	if err := fn(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// immediate is a transaction that may write from its first statement on. BEGIN alone, which is what database/sql says, takes the right to
// write later, and then fails at once if somebody else has written in between.
func (s *Store) immediate(ctx context.Context, c *checkpoints, fn func(ctx context.Context, tx querier) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it only goes back to the pool.
	if c != nil {
		undo, err := c.hold(ctx, conn)
		defer func() {
			if undo() != nil {
				_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // it must not stay like this; its error is the one given to it.
			}
		}()
		if err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		s.rollback(conn)
		return err
	}
	if err := fn(ctx, conn); err != nil {
		s.rollback(conn)
		return err
	}
	if err := ctx.Err(); err != nil {
		s.rollback(conn)
		return err
	}
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT"); err != nil {
		s.rollback(conn)
		return err
	}
	if c != nil {
		c.wrote(s)
	}
	return nil
}

// rollback ends a transaction, if there is one. A connection on which that cannot be done must not go back to the pool.
func (s *Store) rollback(conn *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	if err != nil && !strings.Contains(err.Error(), "no transaction") {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // its error is the one given to it.
	}
}

// conflict tells whether an error only says that somebody else's transaction was in the way, and nothing of ours was done. It knows no
// driver: PostgreSQL's give the SQLSTATE by a method of this name; SQLite's have no method in common, but SQLite's own texts.
func conflict(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		switch state.SQLState() {
		case "40001", "40P01": // serialization_failure, deadlock_detected
			return true
		}
		return false
	}
	text := err.Error()
	return strings.Contains(text, "database is locked") || strings.Contains(text, "database table is locked") ||
		strings.Contains(text, "database schema is locked")
}
