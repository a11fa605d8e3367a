package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// quarantineWhy makes version 3: what was asked for, and what has been repaired since.
func quarantineWhy(t func(string) string) []string {
	return []string{
		`ALTER TABLE ` + t("quarantine") + ` ADD COLUMN query TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE ` + t("quarantine") + ` ADD COLUMN repairs TEXT NOT NULL DEFAULT ''`,
	}
}

// quarantinePage selects the next page, as paged does.
func quarantinePage(quarantine, after string) string {
	return `SELECT q.no, q.run, q.server, q.patient_id, q.type, q.id, q.reason, q.query, q.repairs, q.body FROM ` + quarantine + ` q JOIN (
		SELECT no AS row_no, sum(length(body)) OVER (ORDER BY no ROWS UNBOUNDED PRECEDING) - length(body) AS before
		FROM ` + quarantine + ` WHERE no > ` + after + ` ORDER BY no LIMIT 500) p ON p.row_no = q.no WHERE p.before < 8388608 ORDER BY q.no`
}

// Quarantine keeps bytes that could not be stored as resources. The same thing comes with every sync, and is kept once, under the run
// that brought it last.
func (s *Store) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(items) == 0 {
		return nil
	}
	now := timestamp(time.Now())
	err := s.write(ctx, func(ctx context.Context, tx querier) error {
		for _, q := range items {
			raw := q.Raw
			if raw == nil {
				raw = []byte{} // nil would be NULL.
			}
			repairs := ""
			if len(q.Repairs) > 0 {
				text, err := json.Marshal(q.Repairs)
				if err != nil {
					return err
				}
				repairs = string(text)
			}
			digest := quarantineDigest(q)
			_, err := tx.ExecContext(ctx, s.sql.quarantine, digest[:], toText(q.Run), toText(q.Server), toText(q.PatientID), toText(q.Type),
				toText(q.ID), toText(q.Reason), now, raw, toText(q.Query), toText(repairs))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sqlstore: quarantine: %w", err)
	}
	return nil
}

// quarantineDigest tells things apart: by all that they are but for the run.
func quarantineDigest(q fhirsync.Quarantined) [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(q.Server), []byte(q.PatientID), []byte(q.Type), []byte(q.ID), []byte(q.Reason), q.Raw} {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash does not fail.
		_, _ = h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// Quarantined yields what is in quarantine, in the order in which it first came, in the manner of All.
func (s *Store) Quarantined(ctx context.Context) iter.Seq2[fhirsync.Quarantined, error] {
	return func(yield func(fhirsync.Quarantined, error) bool) {
		var after int64
		for {
			var page []fhirsync.Quarantined
			last := after
			err := s.retry(ctx, func() error {
				page = nil
				return scan(ctx, s.db, s.sql.quarantined, []any{after}, func(scan func(...any) error) (err error) {
					var q fhirsync.Quarantined
					var repairs string
					if err := scan(&last, &q.Run, &q.Server, &q.PatientID, &q.Type, &q.ID, &q.Reason, &q.Query, &repairs, &q.Raw); err != nil {
						return err
					}
					for _, text := range []*string{&q.Run, &q.Server, &q.PatientID, &q.Type, &q.ID, &q.Reason, &q.Query, &repairs} {
						if *text, err = fromText(*text); err != nil {
							return err
						}
					}
					if repairs != "" {
						if err := json.Unmarshal([]byte(repairs), &q.Repairs); err != nil {
							return err
						}
					}
					page = append(page, q)
					return nil
				})
			})
			if err != nil {
				yield(fhirsync.Quarantined{}, fmt.Errorf("sqlstore: read quarantine: %w", err))
				return
			}
			if len(page) == 0 {
				return
			}
			after = last
			for _, q := range page {
				if !yield(q, nil) {
					return
				}
			}
		}
	}
}
