package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// checkpoints copy what is in SQLite's write-ahead log into the database beside the writer. SQLite itself does it within the COMMIT that makes the log too
// long, so that who writes waits, every few thousand resources, for a time in which several batches could be written.
//
// As long as the writer goes on meanwhile the log cannot begin anew, and grows. So where it has become several times as long as SQLite would let it,
// the next COMMIT does what is left of it, as ever. https://www.sqlite.org/wal.html#avoiding_excessively_large_wal_files
type checkpoints struct {
	pages   int64         // in the log, from which SQLite does it by itself; 0: it is not done beside
	bytes   int64         // the same in bytes
	pending int64         // about how much the transaction writes that is open. Guarded by Store.writing, as are the next two
	written int64         // how much was written since one was begun
	whole   int64         // and since a COMMIT has done it
	begun   atomic.Bool   // one is on its way
	busy    chan struct{} // held by who does it, and has a connection
}

// rowBytes is about what a row takes beside its body, indexes included.
const rowBytes = 300

// most is how many times as long as usual the log may become.
const most = 4

// find looks how the database is set up.
func (c *checkpoints) find(ctx context.Context, s *Store) error {
	var mode string
	if _, err := one(ctx, s.db, `PRAGMA journal_mode`, nil, &mode); err != nil || !strings.EqualFold(mode, "wal") {
		return err
	}
	var pages, size int64
	if _, err := one(ctx, s.db, `PRAGMA wal_autocheckpoint`, nil, &pages); err != nil {
		return err
	}
	if _, err := one(ctx, s.db, `PRAGMA page_size`, nil, &size); err != nil {
		return err
	}
	c.pages, c.bytes, c.busy = max(pages, 0), max(pages, 0)*size, make(chan struct{}, 1)
	return nil
}

// hold keeps the connection from doing it in its next COMMIT. What it gives undoes that, and must be called after an error too: the connection is
// the caller's, who may use it for other things.
func (c *checkpoints) hold(ctx context.Context, tx querier) (undo func() error, err error) {
	switch {
	case c.pages == 0:
		return func() error { return nil }, nil
	case c.whole >= most*c.bytes:
		select { // while another one is at it, the COMMIT would leave it.
		case c.busy <- struct{}{}:
			return func() error { <-c.busy; return nil }, nil
		case <-ctx.Done():
			return func() error { return nil }, context.Cause(ctx)
		}
	}
	ctx = context.WithoutCancel(ctx) // neither takes long, and a driver that is called off may have done it all the same.
	_, err = tx.ExecContext(ctx, `PRAGMA wal_autocheckpoint = 0`)
	return func() error {
		_, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA wal_autocheckpoint = %d`, c.pages))
		return err
	}, err
}

// counts notes about how many bytes the transaction writes that is open.
func (s *Store) counts(bytes int64) {
	if s.dialect == SQLite { // which has one writer
		s.checkpoints.pending = bytes
	}
}

// wrote notes that the transaction has ended well, and begins one where it is time for it.
func (c *checkpoints) wrote(s *Store) {
	bytes := c.pending
	c.pending = 0
	if c.pages == 0 {
		return
	}
	if c.whole >= most*c.bytes { // see hold
		c.written, c.whole = 0, 0
	}
	c.written += bytes
	c.whole += bytes
	if c.written < c.bytes || !c.begun.CompareAndSwap(false, true) {
		return
	}
	c.written = 0
	go func() {
		defer c.begun.Store(false)
		const longest = time.Minute
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return // the next one does it, or a COMMIT.
		}
		defer func() { _ = conn.Close() }() // it only goes back to the pool.
		select {
		case c.busy <- struct{}{}:
			defer func() { <-c.busy }()
		case <-ctx.Done():
			return
		}
		var blocked, log, done int64
		_, _ = one(ctx, conn, `PRAGMA wal_checkpoint(PASSIVE)`, nil, &blocked, &log, &done) // as above
	}()
}
