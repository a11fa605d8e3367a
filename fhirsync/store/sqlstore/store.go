package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Dialect is the kind of database.
type Dialect int

// The dialects.
const (
	SQLite Dialect = iota + 1
	Postgres
)

// String gives the database's name.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case Postgres:
		return "PostgreSQL"
	default:
		return fmt.Sprintf("Dialect(%d)", int(d))
	}
}

// Options are how a Store works. nil is the zero value.
type Options struct {
	// Prefix is what the names of tables begin with: lower-case letters, digits and underscores, at most 30. "": "fhirsync_".
	Prefix string
	// Schema is the PostgreSQL schema of the tables, made if it is not there, of the same characters. "": the connection's search path
	// decides. SQLite has none.
	Schema string
	// References keeps the literal references of every resource in the table edges. Once a database was opened with it, all stores opened
	// afterwards keep them; resources that were there before are read when it is opened. Close stores without it first: what they write
	// at the same time would have no edges.
	References bool
	// History keeps the old versions that references name (see [fhirsync.HistoryStore]): a sync then asks for each of them. Without it, it
	// does not.
	History bool
	// Contents keeps what attachments name as the bytes that it is (see [fhirsync.ContentStore]). Without it, it comes as Binary resources
	// among the others.
	Contents bool
}

// Store is a fhirsync.Store in a database, with all optional powers. It is made by Open and safe for concurrent use.
type Store struct {
	db      *sql.DB
	dialect Dialect
	sql     statements
	edges   bool
	// The optional powers, and their texts.
	keepsHistory, keepsContents bool
	history                     historyStatements
	contents                    contentStatements
	writing                     chan struct{} // SQLite has one writer: it is better to wait here than in the database. nil for the others
	checkpoints                 checkpoints
	stats                       counters
}

var (
	_ fhirsync.Store           = (*Store)(nil)
	_ fhirsync.StateStore      = (*Store)(nil)
	_ fhirsync.DigestStore     = (*Store)(nil)
	_ fhirsync.SeenStore       = (*Store)(nil)
	_ fhirsync.QuarantineStore = (*Store)(nil)
	_ fhirsync.HistoryStore    = (*Store)(nil)
	_ fhirsync.ContentStore    = (*Store)(nil)
)

// Powers gives all that the store can do, history and contents only where Options ask for them.
func (s *Store) Powers() fhirsync.Powers {
	p := fhirsync.Powers{State: s, Digests: s, Seen: s, Quarantine: s}
	if s.keepsHistory {
		p.History = s
	}
	if s.keepsContents {
		p.Content = s
	}
	return p
}

// ErrSchemaNewer says that the tables were made by a newer release than this one. The error is a [*SchemaError].
var ErrSchemaNewer = errors.New("the tables are of a newer version")

// SchemaError says which version of the tables was found and which is the newest that this release knows.
type SchemaError struct{ Found, Known int }

// Error gives both versions.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("sqlstore: the tables are of version %d, this release knows up to %d: update the program", e.Found, e.Known)
}

// Is makes errors.Is(err, ErrSchemaNewer) true.
func (e *SchemaError) Is(target error) bool { return target == ErrSchemaNewer }

// Stats counts what Put did with the resources it accepted, since Open and of this Store only. Each resource is in exactly one number.
type Stats struct {
	// Created were not there, Updated replaced another content.
	Created, Updated int64
	// Unchanged had the digest and the bytes that are held: no body was written.
	Unchanged int64
	// Stale were last updated strictly before what is held, which stays.
	Stale int64
}

type counters struct{ created, updated, unchanged, stale atomic.Int64 }

// Stats gives the numbers up to now. They count after a batch is in the database for good.
func (s *Store) Stats() Stats {
	return Stats{
		Created: s.stats.created.Load(), Updated: s.stats.updated.Load(), Unchanged: s.stats.unchanged.Load(), Stale: s.stats.stale.Load(),
	}
}

var name = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,29}$`)

// Open makes the tables in a database, or brings them up to date, and gives a Store over them. It may run in several processes at once.
// The database stays the caller's, who closes it after the last use of the Store. Tables that are up to date are only read, so that
// the record of a database that cannot be written to can be read.
func Open(ctx context.Context, db *sql.DB, dialect Dialect, opts *Options) (*Store, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Prefix == "" {
		o.Prefix = "fhirsync_"
	}
	switch {
	case db == nil:
		return nil, errors.New("sqlstore: no database")
	case dialect != SQLite && dialect != Postgres:
		return nil, fmt.Errorf("sqlstore: unknown dialect %d", int(dialect))
	case !name.MatchString(o.Prefix):
		return nil, fmt.Errorf("sqlstore: the prefix %q: lower-case letters, digits and underscores are allowed, at most 30, a digit not first", o.Prefix)
	case o.Schema != "" && dialect == SQLite:
		return nil, errors.New("sqlstore: SQLite has no schemas; use a prefix")
	case o.Schema != "" && !name.MatchString(o.Schema):
		return nil, fmt.Errorf("sqlstore: the schema %q: lower-case letters, digits and underscores are allowed, at most 30, a digit not first", o.Schema)
	}
	s := &Store{db: db, dialect: dialect, keepsHistory: o.History, keepsContents: o.Contents}
	table := func(t string) string { return `"` + o.Prefix + t + `"` }
	if o.Schema != "" {
		table = func(t string) string { return `"` + o.Schema + `"."` + o.Prefix + t + `"` }
	}
	if dialect == SQLite {
		s.writing = make(chan struct{}, 1)
		s.sql = sqliteStatements(table)
	} else {
		s.sql = postgresStatements(table)
	}
	s.history, s.contents = newHistoryStatements(dialect, table), newContentStatements(dialect, table)
	if err := s.migrate(ctx, o, table); err != nil {
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}
	if dialect == SQLite {
		if err := s.checkpoints.find(ctx, s); err != nil {
			return nil, fmt.Errorf("sqlstore: open: %w", err)
		}
	}
	return s, nil
}

// statements are the texts that differ between the dialects or hold table names.
type statements struct {
	patient, readPatient, addPatient, lockPatient, dropPatient string
	addRun, oldRuns, dropRuns                                  string
	insert, members, held, update                              string
	insertOwn                                                  string // inserts, and what was inserted as members as well
	dropEdges, addEdge                                         string
	holds, seen                                                string
	get, all, ofType, ofPatient                                string
	loadState, createState, saveState, dropState               string
	dropSyncStates                                             string
	quarantine, quarantined, dropQuarantine                    string
	candidates, dropMembers, dropOrphanEdges                   string
	dropOrphans                                                string
	bodies                                                     string
}

// timestamp writes a time for the database. "" is unknown: absent, or nothing that both databases can hold.
func timestamp(t time.Time) string {
	t = t.UTC()
	if t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}

// instant reads a time back, whatever the driver makes of the column.
type instant struct{ time.Time }

// Scan takes a time, the text of one, or NULL.
func (i *instant) Scan(src any) error {
	var text string
	switch v := src.(type) {
	case nil:
		i.Time = time.Time{}
		return nil
	case time.Time:
		i.Time = v.UTC()
		return nil
	case string:
		text = v
	case []byte:
		text = string(v)
	default:
		return fmt.Errorf("a time came as %T", src)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return errors.New("a time came as text of another form")
	}
	i.Time = t.UTC()
	return nil
}
