package sqlstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// historyStatements are the texts for old versions. They are the same in both dialects, but for the parameters' form and the types of times.
type historyStatements struct {
	put, member                          string
	get, ofPatient                       string
	candidates, dropMembers, dropOrphans string
}

func newHistoryStatements(d Dialect, t func(string) string) historyStatements {
	versions, members := t("versions"), t("version_members")
	n, at, lock := parameters(d)
	if lock != "" {
		lock += " OF v"
	}
	row := `SELECT v.no, v.server, v.type, v.id, v.version_id, v.last_updated, v.digest, v.body FROM ` + versions + ` v`
	return historyStatements{
		put: n(`INSERT INTO ` + versions + ` (server, type, id, version_id, last_updated, digest, first_seen, body)
			VALUES ($1, $2, $3, $4, $5` + at + `, $6, $7` + at + `, $8)
			ON CONFLICT (type, server, id, version_id) DO UPDATE SET last_updated = excluded.last_updated, digest = excluded.digest, body = excluded.body
			RETURNING no`),
		member: n(`INSERT INTO ` + members + ` (patient_no, version_no, first_seen, last_seen) VALUES ($1, $2, $3` + at + `, $3` + at + `)
			ON CONFLICT (patient_no, version_no) DO UPDATE SET last_seen = excluded.last_seen`),
		get: n(row + ` WHERE v.type = $1 AND v.server = $2 AND v.id = $3 AND v.version_id = $4`),
		ofPatient: n(row + ` JOIN ` + members + ` m ON m.version_no = v.no WHERE m.patient_no = $1 AND m.version_no > $2
			ORDER BY m.version_no LIMIT 50`),
		candidates: n(`SELECT v.no FROM ` + members + ` m JOIN ` + versions + ` v ON v.no = m.version_no WHERE m.patient_no = $1
			ORDER BY v.no` + lock),
		dropMembers: n(`DELETE FROM ` + members + ` WHERE patient_no = $1`),
		dropOrphans: n(`DELETE FROM ` + versions + ` WHERE no = $1 AND NOT EXISTS (SELECT 1 FROM ` + members + ` m WHERE m.version_no = no)`),
	}
}

// parameters gives how a dialect writes parameters, what makes a time of one, and how rows are locked.
func parameters(d Dialect) (number func(text string) string, time, lock string) {
	if d == SQLite {
		return func(text string) string { return strings.ReplaceAll(text, "$", "?") }, "", ""
	}
	return func(text string) string { return text }, "::timestamptz", " FOR UPDATE"
}

// historyTables are a part of version 4: versions that are not the current one.
func historyTables(d Dialect, t func(string) string) []string {
	c := columnTypes(d)
	return []string{
		`CREATE TABLE ` + t("versions") + ` (
			no ` + c.no + `, server ` + c.text + `, type ` + c.text + `, id ` + c.text + `, version_id ` + c.text + `, last_updated ` + c.time + `,
			digest ` + c.bytes + ` NOT NULL, first_seen ` + c.time + ` NOT NULL, body ` + c.bytes + ` NOT NULL, UNIQUE (type, server, id, version_id))`,
		`CREATE TABLE ` + t("version_members") + ` (
			patient_no ` + c.ref + `, version_no ` + c.ref + `, first_seen ` + c.time + ` NOT NULL, last_seen ` + c.time + ` NOT NULL,
			PRIMARY KEY (patient_no, version_no))`,
		`CREATE INDEX ` + c.index(t, "version_members_version") + ` ON ` + t("version_members") + ` (version_no)`,
	}
}

// PutVersions writes versions that are not the current one, in one transaction: all of them or none. What Put has written is not touched. A sync
// asks for them where Options.History is set.
func (s *Store) PutVersions(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(batch.Resources) == 0 {
		return nil
	}
	rejected := map[int]error{}
	for i := range batch.Resources {
		r := &batch.Resources[i]
		switch {
		case r.Type == "" || r.ID == "" || r.VersionID == "":
			rejected[i] = errors.New("without resource type, id or version id")
		case s.dialect == Postgres && len(toText(r.Server))+len(toText(r.Type))+len(toText(r.ID))+len(toText(r.VersionID)) > maxKey:
			rejected[i] = errors.New("server, type, id and version id together are too long for an index of the database")
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected}
	}
	// In one order everywhere, so that transactions wait for each other instead of deadlocking.
	order := make([]*fhirsync.Resource, len(batch.Resources))
	for i := range batch.Resources {
		order[i] = &batch.Resources[i]
	}
	slices.SortStableFunc(order, compareVersions)
	err := s.write(ctx, func(ctx context.Context, tx querier) error {
		p := putting{s: s, tx: tx, now: timestamp(time.Now())}
		patient, _, err := p.patient(ctx, toText(batch.Server), toText(batch.PatientID), toText(batch.Run))
		if err != nil {
			return err
		}
		for _, r := range order {
			var no int64
			digest := sha256.Sum256(r.Raw)
			_, err := one(ctx, tx, s.history.put, []any{
				toText(r.Server), toText(r.Type), toText(r.ID), toText(r.VersionID), nullable(timestamp(r.LastUpdated)), digest[:], p.now, notNil(r.Raw),
			}, &no)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, s.history.member, patient, no, p.now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: put versions: %w", err)
	}
	return nil
}

// notNil makes empty bytes of none, which would be NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Version gives one version that PutVersions was given, as Get gives a resource. Of one that is not there the error is fs.ErrNotExist (errors.Is).
func (s *Store) Version(ctx context.Context, key fhirsync.Key, version string) (fhirsync.Resource, error) {
	var res fhirsync.Resource
	found := false
	args := []any{toText(key.Type), toText(key.Server), toText(key.ID), toText(version)}
	err := s.retry(ctx, func() error {
		return scan(ctx, s.db, s.history.get, args, func(scan func(...any) error) (err error) {
			found = true
			_, res, err = scanResource(scan)
			return err
		})
	})
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fhirsync.Resource{}, fmt.Errorf("sqlstore: get version: %w", err)
	}
	return res, nil
}

// Versions yields the versions in one patient's record that PutVersions was given, in the manner of Patient.
func (s *Store) Versions(ctx context.Context, server, id string) iter.Seq2[fhirsync.Resource, error] {
	return func(yield func(fhirsync.Resource, error) bool) {
		patient, found, err := s.patientNo(ctx, server, id)
		if err != nil {
			yield(fhirsync.Resource{}, fmt.Errorf("sqlstore: read: %w", err))
			return
		}
		if !found {
			return
		}
		var last int64
		s.each(ctx, yield, s.history.ofPatient, func(no int64, _ *fhirsync.Resource) []any {
			last = max(last, no)
			return []any{patient, last}
		})
	}
}

// patientNo gives the number of a patient.
func (s *Store) patientNo(ctx context.Context, server, id string) (no int64, found bool, err error) {
	err = s.retry(ctx, func() (err error) {
		found, err = one(ctx, s.db, s.sql.readPatient, []any{toText(server), toText(id)}, &no)
		return err
	})
	return no, found, err
}

// eraseVersions removes a patient's versions, and those of them that belong to nobody else.
func (s *Store) eraseVersions(ctx context.Context, tx querier, patient int64) error {
	return s.eraseEach(ctx, tx, patient, s.history.candidates, s.history.dropMembers, s.history.dropOrphans)
}

// eraseEach locks what belongs to a patient, says that it does no longer, and removes what belongs to nobody.
func (s *Store) eraseEach(ctx context.Context, tx querier, patient int64, candidates, dropMembers string, dropOrphan ...string) error {
	var nos []int64
	err := scan(ctx, tx, candidates, []any{patient}, func(scan func(...any) error) error {
		var no int64
		err := scan(&no)
		nos = append(nos, no)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, dropMembers, patient); err != nil {
		return err
	}
	for _, no := range nos {
		for _, text := range dropOrphan {
			if _, err := tx.ExecContext(ctx, text, no); err != nil {
				return err
			}
		}
	}
	return nil
}
