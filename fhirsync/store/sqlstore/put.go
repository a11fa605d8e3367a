package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Bounds of one statement. A batch of a Sync is below them, but for one resource that may be larger.
const (
	chunkRows  = 1000
	chunkBytes = 64 << 20
)

// maxKey is what PostgreSQL's index takes of server, type and id together: less than a third of a page, 2,704 bytes.
const maxKey = 2000

// row is a resource on its way into the table.
type row struct {
	*fhirsync.Resource
	server, typ, id string   // as the columns hold them
	body            [32]byte // digest of Raw: a wrapper may have changed it after Digest was taken
	no              int64    // of the row in the table; 0: not known yet
	held            bool     // it was there, exactly so
}

// Put writes a batch. SQLite gets it in one transaction, all of it or nothing. PostgreSQL gets one of 100 resources or more as two halves at the same
// time, over two connections if there are two: while the one waits for its client the other has something to do. After an error
// either half may be there, which is for the same batch to settle when it comes again.
func (s *Store) Put(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(batch.Resources) == 0 {
		return nil
	}
	rows, err := s.rows(batch)
	if err != nil {
		return err
	}
	if s.dialect == Postgres && len(rows) >= splitRows {
		second := make(chan error, 1)
		go func() { second <- s.putRows(ctx, batch, rows[len(rows)/2:]) }()
		err = s.putRows(ctx, batch, rows[:len(rows)/2])
		if other := <-second; err == nil {
			err = other
		}
	} else {
		err = s.putRows(ctx, batch, rows)
	}
	if err != nil {
		return fmt.Errorf("sqlstore: put: %w", err)
	}
	var held []fhirsync.Key
	for _, r := range rows {
		if r.held {
			held = append(held, r.Key)
		}
	}
	fhirsync.TellHeld(ctx, held)
	return nil
}

// putRows writes rows in one transaction: all of them or none.
func (s *Store) putRows(ctx context.Context, batch fhirsync.Batch, rows []*row) error {
	var done Stats
	err := s.writeAs(ctx, &s.checkpoints, func(ctx context.Context, tx querier) (err error) {
		for i := range rows {
			rows[i].no, rows[i].held = 0, false
		}
		p := putting{s: s, tx: tx, now: timestamp(time.Now())}
		err = p.put(ctx, batch, rows)
		done = p.done
		bytes := int64(0)
		for _, r := range p.written {
			bytes += int64(len(r.Raw)) + rowBytes
		}
		s.counts(bytes)
		return err
	})
	if err != nil {
		return err
	}
	s.stats.created.Add(done.Created)
	s.stats.updated.Add(done.Updated)
	s.stats.unchanged.Add(done.Unchanged)
	s.stats.stale.Add(done.Stale)
	return nil
}

// splitRows is from how many rows on a batch goes to PostgreSQL in two halves.
const splitRows = 100

// rows prepares a batch, one row for each key, or says what of it can never be stored.
func (s *Store) rows(batch fhirsync.Batch) ([]*row, error) {
	rejected := map[int]error{}
	rows := make([]*row, 0, len(batch.Resources))
	all := make([]row, len(batch.Resources))
	at := make(map[fhirsync.Key]int, len(batch.Resources))
	for i := range batch.Resources {
		r := &all[i]
		r.Resource = &batch.Resources[i]
		r.server, r.typ, r.id = toText(r.Server), toText(r.Type), toText(r.ID)
		switch {
		case r.Type == "" || r.ID == "":
			rejected[i] = errors.New("without resource type or id")
		case s.dialect == Postgres && len(r.server)+len(r.typ)+len(r.id) > maxKey:
			rejected[i] = errors.New("server, type and id together are too long for an index of the database")
		}
		if before, twice := at[r.Key]; twice { // no Sync does that; what comes last counts.
			rows[before] = r
			continue
		}
		at[r.Key] = len(rows)
		rows = append(rows, r)
	}
	if len(rejected) > 0 {
		return nil, &fhirsync.RejectError{Rejected: rejected}
	}
	return rows, nil
}

// digest looks at the bodies.
func digest(ctx context.Context, rows []*row) {
	for _, r := range rows {
		r.body = fhirsync.RawDigest(ctx, r.Raw)
	}
}

// putting is one try at a batch.
type putting struct {
	s       *Store
	tx      querier
	now     string
	done    Stats
	written []*row         // those whose body was written
	made    map[int64]bool // rows that were inserted and are compared all the same
}

func (p *putting) put(ctx context.Context, batch fhirsync.Batch, rows []*row) error {
	patient, run, err := p.patient(ctx, toText(batch.Server), toText(batch.PatientID), toText(batch.Run))
	if err != nil {
		return err
	}
	// What the store was asked about just before (Unchanged) is there, most likely; the others are not. So only these are inserted at
	// once, and looked up only where they were there after all.
	var missing, there, changed []*row
	for _, r := range rows {
		if r.Unchanged {
			there = append(there, r)
		} else {
			missing = append(missing, r)
		}
	}
	rest := rows // of which members are still to be written
	if p.s.sql.insertOwn == "" || p.s.edges {
		digest(ctx, rows)
	} else {
		digest(ctx, there)
		left, err := p.insertOwn(ctx, patient, run, missing)
		if err != nil {
			return err
		}
		rest = slices.Concat(left, there)
		missing, there = nil, rest
	}
	for round := 0; len(missing)+len(there) > 0; round++ {
		if round == 5 {
			return errors.New("rows come and go under other transactions")
		}
		old, err := p.insert(ctx, missing)
		if err != nil {
			return err
		}
		ch, gone, err := p.compare(ctx, append(there, old...))
		if err != nil {
			return err
		}
		changed = append(changed, ch...)
		// Erased between two statements: they are inserted in the next round.
		missing, there = gone, nil
	}
	if err := p.update(ctx, changed); err != nil {
		return err
	}
	if err := p.members(ctx, patient, run, rest); err != nil {
		return err
	}
	return p.edges(ctx)
}

// runAge is how long a run can be asked for what it has put: longer than one that was interrupted is gone on with.
const runAge = 7 * 24 * time.Hour

// patient gives the numbers of a patient and of a run for it. The row stays locked against erasing until the transaction ends. The empty id is
// one too: what belongs to nobody in particular must not go when somebody is erased.
func (p *putting) patient(ctx context.Context, server, id, run string) (patientNo, runNo int64, err error) {
	for range 5 {
		var no sql.NullInt64
		switch found, err := one(ctx, p.tx, p.s.sql.patient, []any{server, id, run}, &patientNo, &no); {
		case err != nil || found && no.Valid:
			return patientNo, no.Int64, err
		case found:
			if _, err := p.tx.ExecContext(ctx, p.s.sql.oldRuns, patientNo, timestamp(time.Now().Add(-runAge))); err != nil {
				return 0, 0, err
			}
			if _, err := p.tx.ExecContext(ctx, p.s.sql.addRun, run, patientNo, p.now); err != nil {
				return 0, 0, err
			}
		default:
			if _, err := p.tx.ExecContext(ctx, p.s.sql.addPatient, server, id); err != nil {
				return 0, 0, err
			}
		}
	}
	return 0, 0, errors.New("a patient's row comes and goes under other transactions")
}

// insert writes what is not there, and gives back what is.
func (p *putting) insert(ctx context.Context, rows []*row) (old []*row, err error) {
	if p.s.dialect == SQLite {
		err = p.insertEach(ctx, rows)
	} else {
		for _, part := range chunks(rows, chunkRows) {
			if err = p.insertMany(ctx, part); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.no == 0 {
			old = append(old, r)
			continue
		}
		p.done.Created++
		p.written = append(p.written, r)
	}
	return old, nil
}

// insertEach inserts row by row: in SQLite that is faster than anything with more rows in one statement, if the context is not looked at
// in each (drivers start a goroutine for that).
func (p *putting) insertEach(ctx context.Context, rows []*row) error {
	return p.each(ctx, p.s.sql.insert, len(rows), func(i int) []any {
		r := rows[i]
		return []any{r.server, r.typ, r.id, toText(r.VersionID), nullable(timestamp(r.LastUpdated)), r.Digest[:], r.bodyDigest(), p.now, []byte(r.Raw)}
	}, func(i int, created bool, id int64) {
		if created {
			rows[i].no = id
		}
	})
}

// each runs one prepared statement many times.
func (p *putting) each(ctx context.Context, query string, n int, args func(i int) []any, did func(i int, changed bool, id int64)) error {
	if n == 0 {
		return nil
	}
	stmt, err := p.tx.PrepareContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }() // what it did is known by now.
	for i := range n {
		if i%32 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		res, err := stmt.ExecContext(context.WithoutCancel(ctx), args(i)...)
		if err != nil {
			return err
		}
		if did == nil {
			continue
		}
		affected, err := res.RowsAffected()
		if err != nil {
			return err
		}
		id := int64(0)
		if affected > 0 {
			if id, err = res.LastInsertId(); err != nil {
				return err
			}
		}
		did(i, affected > 0, id)
	}
	return nil
}

// bodyDigest is what the column body_digest holds: NULL where Digest says it already.
func (r *row) bodyDigest() any {
	if r.body == r.Digest {
		return nil
	}
	return r.body[:]
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (p *putting) insertMany(ctx context.Context, rows []*row) error {
	byKey := make(map[fhirsync.Key]*row, len(rows))
	for _, r := range rows {
		byKey[fhirsync.Key{Server: r.server, Type: r.typ, ID: r.id}] = r
	}
	c := p.columns(rows)
	res, err := p.tx.QueryContext(ctx, p.s.sql.insert, append(c.inserted(), p.now)...)
	if err != nil {
		return err
	}
	defer func() { _ = res.Close() }() // Err tells.
	for res.Next() {
		var no int64
		var key fhirsync.Key
		if err := res.Scan(&no, &key.Server, &key.Type, &key.ID); err != nil {
			return err
		}
		r := byKey[key]
		if r == nil {
			return errors.New("the database gave a row back that was not inserted")
		}
		r.no = no
	}
	return res.Err()
}

// ownRows is how many rows insertOwn sends at once: so few that there is always something to prepare while the database is at work.
const ownRows = 500

// insertOwn inserts rows, and those that were not there as members. It gives the rows of which that is not all that is to be done: which of them were
// there is asked only where some were.
func (p *putting) insertOwn(ctx context.Context, patient, run int64, rows []*row) (left []*row, err error) {
	parts := chunks(rows, ownRows)
	ready, stop := make(chan *columns, 1), make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait() // who tries again finds nobody at the rows.
	defer close(stop)
	wg.Go(func() {
		for _, part := range parts {
			digest(ctx, part)
			select {
			case ready <- p.columns(part):
			case <-stop:
				return
			}
		}
	})
	for _, part := range parts {
		c := <-ready
		var made int64
		var nos sql.NullString
		_, err := one(ctx, p.tx, p.s.sql.insertOwn, append(c.inserted(), p.now, patient, run), &made, &nos)
		if err != nil {
			return nil, err
		}
		p.done.Created += made
		if made == int64(len(part)) {
			continue
		}
		left = append(left, part...)
		if p.made == nil {
			p.made = map[int64]bool{}
		}
		for text := range strings.SplitSeq(nos.String, ",") {
			if no, err := strconv.ParseInt(text, 10, 64); err == nil { // "" where none was made
				p.made[no] = true
			}
		}
	}
	return left, nil
}

// compare looks at rows that are there, locks them against other transactions, and tells which of them are to be replaced and which are
// not there after all.
func (p *putting) compare(ctx context.Context, rows []*row) (changed, gone []*row, err error) {
	for part := range slices.Chunk(rows, chunkRows) {
		keys := p.s.keys(len(part), func(i int) (string, string, string) { return part[i].server, part[i].typ, part[i].id })
		err := scan(ctx, p.tx, p.s.sql.held, keys, func(scan func(...any) error) error {
			var at int
			var no int64
			var updated instant
			var digest, bodyDigest []byte
			if err := scan(&at, &no, &updated, &digest, &bodyDigest); err != nil {
				return err
			}
			r := part[at]
			r.no = no
			if bodyDigest == nil {
				bodyDigest = digest
			}
			switch {
			case p.made[no]: // it is what it is.
			case string(digest) == string(r.Digest[:]) && string(bodyDigest) == string(r.body[:]):
				p.done.Unchanged++
				r.held = true
			case older(r.LastUpdated, updated.Time):
				p.done.Stale++
			default:
				changed = append(changed, r)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		for _, r := range part {
			if r.no == 0 {
				gone = append(gone, r)
			}
		}
	}
	return changed, gone, nil
}

// older tells whether a is known to be before b, as far as the database keeps times.
func older(a, b time.Time) bool {
	return timestamp(a) != "" && timestamp(b) != "" && a.Truncate(time.Microsecond).Before(b)
}

func (p *putting) update(ctx context.Context, rows []*row) error {
	p.done.Updated += int64(len(rows))
	p.written = append(p.written, rows...)
	if p.s.dialect == SQLite {
		return p.each(ctx, p.s.sql.update, len(rows), func(i int) []any {
			r := rows[i]
			return []any{toText(r.VersionID), nullable(timestamp(r.LastUpdated)), r.Digest[:], r.bodyDigest(), []byte(r.Raw), r.no}
		}, nil)
	}
	for _, part := range chunks(rows, chunkRows) {
		c := p.columns(part)
		_, err := p.tx.ExecContext(ctx, p.s.sql.update, c.nos.String(), c.version.String(), c.updated.String(), c.offset.String(),
			c.length.String(), c.digests, c.bodyDigests, c.bodies)
		if err != nil {
			return err
		}
	}
	return nil
}

// members notes that the resources were seen in the patient's record, by this run.
func (p *putting) members(ctx context.Context, patient, run int64, rows []*row) error {
	if len(rows) == 0 {
		return nil
	}
	nos := make([]int64, len(rows))
	for i, r := range rows {
		nos[i] = r.no
	}
	slices.Sort(nos) // in one order everywhere, so that transactions wait for each other instead of deadlocking.
	l := list{dialect: p.s.dialect}
	for _, no := range nos {
		l.int(no)
	}
	_, err := p.tx.ExecContext(ctx, p.s.sql.members, patient, l.String(), p.now, run)
	return err
}
