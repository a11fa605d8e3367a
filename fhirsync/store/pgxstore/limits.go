package pgxstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// LimitsOptions are how [OpenLimits] works. nil is the zero value.
type LimitsOptions struct {
	// Prefix and Schema are as in sqlstore.Options. The table of limits can stand beside those of a Store, or in a database of its own.
	Prefix, Schema string
}

// Limits is a ratelimit.Shared: the processes that use one database send no more together than a server allows.
//
//	limits, err := pgxstore.OpenLimits(ctx, pool, nil)
//	...
//	client, err := fhirsync.New(fhirsync.Config{Limit: ratelimit.Policy{Limits: declared, Shared: limits, Name: "account 7 "}})
//
// The clock of the database decides, so that those of the processes may be wrong. Permits are counted as used when they are given, for the
// short time for which they hold: who dies with some of them holds nobody up. Neither does a process that stops, or whose
// machine is gone, in the middle of a call: the database ends its transaction after two seconds.
//
// The table has one row for each name, which each process that is sending writes a few times a second. It is made by
// OpenLimits and safe for concurrent use; there is nothing to close.
type Limits struct {
	pool                   *pgxpool.Pool
	bound, lock, add, save string // statements
}

var _ ratelimit.Shared = (*Limits)(nil)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,29}$`)

// holderTime is how long a process may hold the row of a limit without doing anything, in the form of the setting.
const holderTime = "2s"

// lockTries is how often a transaction is tried that meets another one.
const lockTries = 5

// OpenLimits makes the table of limits, if it is not there. The pool stays the caller's and must outlive the Limits.
func OpenLimits(ctx context.Context, pool *pgxpool.Pool, opts *LimitsOptions) (*Limits, error) {
	o := LimitsOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = "fhirsync_"
	}
	switch {
	case pool == nil:
		return nil, errors.New("pgxstore: no pool")
	case !schemaName.MatchString(o.Prefix), o.Schema != "" && !schemaName.MatchString(o.Schema):
		return nil, errors.New("pgxstore: prefix and schema: lower-case letters, digits and underscores are allowed, at most 30, a digit not first")
	}
	name := pgx.Identifier{o.Prefix + "limits"}
	if o.Schema != "" {
		name = pgx.Identifier{o.Schema, o.Prefix + "limits"}
	}
	table := name.Sanitize()
	l := &Limits{
		pool:  pool,
		bound: `SET LOCAL idle_in_transaction_session_timeout = '` + holderTime + `'`,
		lock:  `SELECT state FROM ` + table + ` WHERE name = $1 FOR UPDATE`,
		add:   `INSERT INTO ` + table + ` (name, state) VALUES ($1, '{}') ON CONFLICT DO NOTHING`,
		save:  `UPDATE ` + table + ` SET state = $2 WHERE name = $1`,
	}
	if err := makeLimits(ctx, pool, o.Schema, table); err != nil {
		return nil, fmt.Errorf("pgxstore: %w", err)
	}
	return l, nil
}

func makeLimits(ctx context.Context, pool *pgxpool.Pool, schema, table string) error {
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass($1::text) IS NOT NULL`, table).Scan(&there); err != nil || there {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// IF NOT EXISTS alone lets two who begin together run into each other.
		sum := sha256.Sum256([]byte("fhirsync limits " + table))
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(binary.BigEndian.Uint64(sum[:8]))); err != nil { //nolint:gosec // any number will do
			return err
		}
		if schema != "" {
			if _, err := tx.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize()); err != nil {
				return err
			}
		}
		// The free space lets an update stay on its page, without a new entry in the index.
		_, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+table+` (name text COLLATE "C" PRIMARY KEY, state text NOT NULL) WITH (fillfactor = 20)`)
		return err
	})
}

// Lease takes permits of the limit of that name.
func (l *Limits) Lease(ctx context.Context, name string, a ratelimit.Ask) (ratelimit.Lease, error) {
	var out ratelimit.Lease
	err := l.change(ctx, name, func(now time.Time, s *ratelimit.State) bool {
		out = s.Lease(now, a)
		return out.Permits > 0
	})
	if err != nil {
		return ratelimit.Lease{}, fmt.Errorf("pgxstore: lease: %w", err)
	}
	return out, nil
}

// Pause tells all that nothing is to be sent for d.
func (l *Limits) Pause(ctx context.Context, name string, d time.Duration) error {
	err := l.change(ctx, name, func(now time.Time, s *ratelimit.State) bool {
		s.Pause(now, d)
		return true
	})
	if err != nil {
		return fmt.Errorf("pgxstore: pause: %w", err)
	}
	return nil
}

// change calls fn with the state of a limit, which nobody else can read or change meanwhile, and the time by the database's clock. fn tells
// whether the state is to be kept.
func (l *Limits) change(ctx context.Context, name string, fn func(now time.Time, s *ratelimit.State) bool) error {
	for try := 1; ; try++ {
		// Whoever waited for the row must then see it as it is: that is this level.
		err := pgx.BeginTxFunc(ctx, l.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return l.changeIn(ctx, tx, name, fn)
		})
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "40001" && refused.Code != "40P01" || try == lockTries {
			return err
		}
	}
}

func (l *Limits) changeIn(ctx context.Context, tx pgx.Tx, name string, fn func(now time.Time, s *ratelimit.State) bool) error {
	row, now, err := l.locked(ctx, tx, name)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = tx.Exec(ctx, l.add, name); err != nil {
			return err
		}
		row, now, err = l.locked(ctx, tx, name)
	}
	if err != nil {
		return err
	}
	var s ratelimit.State
	if err := json.Unmarshal([]byte(row), &s); err != nil {
		return errors.New("the row of the limit is none: delete it")
	}
	if !fn(now, &s) {
		return nil
	}
	next, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, l.save, name, string(next))
	return err
}

// locked locks the row of a limit. The time is taken by a statement of its own, which begins when the lock has been got: in the one that waits
// for it, it would be that of before.
func (l *Limits) locked(ctx context.Context, tx pgx.Tx, name string) (row string, now time.Time, err error) {
	var b pgx.Batch
	b.Queue(l.bound)
	b.Queue(l.lock, name).QueryRow(func(r pgx.Row) error { return r.Scan(&row) })
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(r pgx.Row) error { return r.Scan(&now) })
	err = tx.SendBatch(ctx, &b).Close()
	return row, now, err
}
