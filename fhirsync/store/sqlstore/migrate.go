package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// version of the tables that this release works with. A change of the tables is a new version and one more step in upgrades; what was
// released is never changed.
const version = 4

// upgrades gives the statements that lead from each version to the next, from 0 on, which is an empty database.
func upgrades(d Dialect, table func(string) string) [][]string {
	kept := append(historyTables(d, table), contentTables(d, table)...)
	if d == SQLite {
		return [][]string{sqliteTables(table), sqliteRuns(table), quarantineWhy(table), kept}
	}
	return [][]string{postgresTables(table), postgresRuns(table), quarantineWhy(table), kept}
}

// migrate makes the tables what they should be.
func (s *Store) migrate(ctx context.Context, o Options, table func(string) string) error {
	if s.dialect == Postgres {
		var encoding string
		if err := s.db.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
			return err
		}
		if encoding != "UTF8" {
			return fmt.Errorf("the database's encoding must be UTF8, and is %s", encoding)
		}
	}
	m := migration{s: s, opts: o, table: table}
	var done bool
	// Without a lock first: as a rule there is nothing to do, and the database may be one that cannot be written to.
	err := s.retry(ctx, func() (err error) {
		done, err = m.upToDate(ctx, s.db)
		return err
	})
	if err != nil || done {
		return err
	}
	return s.write(ctx, m.run)
}

type migration struct {
	s     *Store
	opts  Options
	table func(string) string
	found int  // version of the tables
	edges bool // they have edges
}

// upToDate looks which version the tables are of, and takes over what they say.
func (m *migration) upToDate(ctx context.Context, q reader) (bool, error) {
	m.found, m.edges = 0, false
	var there bool
	var err error
	if m.s.dialect == SQLite {
		err = q.QueryRowContext(ctx, `SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?1`, m.opts.Prefix+"version").Scan(&there)
	} else {
		err = q.QueryRowContext(ctx, `SELECT to_regclass($1::text) IS NOT NULL`, m.table("version")).Scan(&there)
	}
	if err != nil || !there {
		return false, err
	}
	found, err := one(ctx, q, `SELECT version, edges FROM `+m.table("version"), nil, &m.found, &m.edges)
	if err != nil || !found {
		return false, err
	}
	if m.found > version {
		return false, &SchemaError{Found: m.found, Known: version}
	}
	m.s.edges = m.edges
	return m.found == version && (m.edges || !m.opts.References), nil
}

// run upgrades in one transaction, so that one that is cut off has done nothing. Who comes second waits, and finds nothing to do.
func (m *migration) run(ctx context.Context, tx querier) error {
	if err := m.lock(ctx, tx); err != nil {
		return err
	}
	if done, err := m.upToDate(ctx, tx); err != nil || done {
		return err
	}
	var texts []string
	if m.found == 0 {
		flag := "INTEGER"
		if m.s.dialect == Postgres {
			flag = "boolean"
		}
		texts = append(texts, `CREATE TABLE `+m.table("version")+` (version INTEGER NOT NULL, edges `+flag+` NOT NULL)`,
			`INSERT INTO `+m.table("version")+` (version, edges) VALUES (0, false)`)
	}
	for _, step := range upgrades(m.s.dialect, m.table)[m.found:] {
		texts = append(texts, step...)
	}
	edges := m.opts.References && !m.edges
	if edges && m.s.dialect == SQLite {
		texts = append(texts, sqliteEdges(m.table)...)
	} else if edges {
		texts = append(texts, postgresEdges(m.table)...)
	}
	for _, text := range texts {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	if edges {
		p := putting{s: m.s, tx: tx}
		if err := p.readEdges(ctx); err != nil {
			return err
		}
	}
	m.s.edges = m.edges || edges
	set := fmt.Sprintf(`UPDATE %s SET version = %d, edges = %t`, m.table("version"), version, m.s.edges)
	_, err := tx.ExecContext(ctx, set)
	return err
}

// lock keeps others out until the transaction ends. SQLite's has done that by now.
func (m *migration) lock(ctx context.Context, tx querier) error {
	if m.s.dialect == SQLite {
		return nil
	}
	sum := sha256.Sum256([]byte("fhirsync tables " + m.table("")))
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1::int8)`, int64(binary.BigEndian.Uint64(sum[:8]))); err != nil { //nolint:gosec // any number will do
		return err
	}
	if m.opts.Schema == "" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS "`+m.opts.Schema+`"`)
	return err
}
