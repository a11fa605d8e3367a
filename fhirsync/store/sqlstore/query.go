package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// keys writes keys as the parameters of a statement: three arrays in PostgreSQL, in SQLite one of triples.
func (s *Store) keys(n int, key func(i int) (server, typ, id string)) []any {
	if s.dialect == SQLite {
		triples := make([][3]string, n)
		for i := range n {
			triples[i][0], triples[i][1], triples[i][2] = key(i)
		}
		text, _ := json.Marshal(triples) // strings have JSON.
		return []any{string(text)}
	}
	var l [3]list
	for i := range l {
		l[i].dialect = s.dialect
	}
	for i := range n {
		server, typ, id := key(i)
		l[0].text(server)
		l[1].text(typ)
		l[2].text(id)
	}
	return []any{l[0].String(), l[1].String(), l[2].String()}
}

// reader is a database or a transaction.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scan calls fn for each row.
func scan(ctx context.Context, q reader, query string, args []any, fn func(scan func(...any) error) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err tells.
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// one reads a single row, and tells whether there is one.
func one(ctx context.Context, q reader, query string, args []any, into ...any) (bool, error) {
	err := q.QueryRowContext(ctx, query, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
