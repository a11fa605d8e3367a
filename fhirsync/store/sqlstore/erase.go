package sqlstore

import (
	"context"
	"fmt"
)

// ErasePatient removes a patient's record in one transaction: which resources belong to it, those that belong to no other record (with
// their edges), old versions and contents likewise, and what is in quarantine of it. It gives the number of resources removed; an unknown patient has none, and is no error.
//
// It also removes the states of all unfinished syncs, of every patient, because nobody can tell whose they are, and a sync that
// went on from one would not bring again what was erased. Such a sync begins anew. Do not erase a patient whose sync is running: what it
// puts afterwards is there again, and its report counts what is not.
func (s *Store) ErasePatient(ctx context.Context, server, id string) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = s.write(ctx, func(ctx context.Context, tx querier) error {
		removed = 0
		var patient int64
		found, err := one(ctx, tx, s.sql.lockPatient, []any{toText(server), toText(id)}, &patient)
		if err != nil {
			return err
		}
		if found {
			if removed, err = s.erase(ctx, tx, patient); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, s.sql.dropQuarantine, toText(server), toText(id)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, s.sql.dropSyncStates, syncState)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sqlstore: erase: %w", err)
	}
	return removed, nil
}

func (s *Store) erase(ctx context.Context, tx querier, patient int64) (int, error) {
	nos := list{dialect: s.dialect}
	err := scan(ctx, tx, s.sql.candidates, []any{patient}, func(scan func(...any) error) error {
		var no int64
		err := scan(&no)
		nos.int(no)
		return err
	})
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, s.sql.dropMembers, patient); err != nil {
		return 0, err
	}
	if s.edges {
		if _, err := tx.ExecContext(ctx, s.sql.dropOrphanEdges, nos.String()); err != nil {
			return 0, err
		}
	}
	res, err := tx.ExecContext(ctx, s.sql.dropOrphans, nos.String())
	if err != nil {
		return 0, err
	}
	removed, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	if err := s.eraseVersions(ctx, tx, patient); err != nil {
		return 0, err
	}
	if err := s.eraseContents(ctx, tx, patient); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, s.sql.dropRuns, patient); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, s.sql.dropPatient, patient)
	return int(removed), err
}
