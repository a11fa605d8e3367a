package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

func selected(resources string) string {
	return `SELECT r.no, r.server, r.type, r.id, r.version_id, r.last_updated, r.digest, r.body FROM ` + resources + ` r`
}

// paged selects the next page: at most 500 rows, and no more than about 8 MB, of which the database knows the sum without reading the
// bodies.
func paged(resources, members, where, order string) string {
	from := resources + ` r`
	if members != "" {
		from = members + ` m JOIN ` + resources + ` r ON r.no = m.resource_no`
	}
	page := `SELECT r.no AS row_no, sum(length(r.body)) OVER (ORDER BY ` + order + ` ROWS UNBOUNDED PRECEDING) - length(r.body) AS before
		FROM ` + from + ` WHERE ` + where + ` ORDER BY ` + order + ` LIMIT 500`
	if members != "" {
		order = `r.no`
	}
	return selected(resources) + ` JOIN (` + page + `) p ON p.row_no = r.no WHERE p.before < 8388608 ORDER BY ` + order
}

func scanResource(scan func(...any) error) (no int64, res fhirsync.Resource, err error) {
	var updated instant
	var digest, body []byte
	if err := scan(&no, &res.Server, &res.Type, &res.ID, &res.VersionID, &updated, &digest, &body); err != nil {
		return 0, res, err
	}
	if len(digest) != len(res.Digest) {
		return 0, res, errors.New("a digest has another length")
	}
	copy(res.Digest[:], digest)
	res.LastUpdated = updated.Time
	res.Raw = body
	for _, text := range []*string{&res.Server, &res.Type, &res.ID, &res.VersionID} {
		if *text, err = fromText(*text); err != nil {
			return 0, res, err
		}
	}
	return no, res, nil
}

// Get gives one resource: all but how it came (Origin), and its LastUpdated in UTC with microseconds. Of one that is not there the error
// is fs.ErrNotExist (errors.Is).
func (s *Store) Get(ctx context.Context, key fhirsync.Key) (fhirsync.Resource, error) {
	var res fhirsync.Resource
	found := false
	err := s.retry(ctx, func() error {
		return scan(ctx, s.db, s.sql.get, []any{toText(key.Type), toText(key.Server), toText(key.ID)}, func(scan func(...any) error) (err error) {
			found = true
			_, res, err = scanResource(scan)
			return err
		})
	})
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fhirsync.Resource{}, fmt.Errorf("sqlstore: get: %w", err)
	}
	return res, nil
}

// All yields the resources of one type, or with "" those of all, in order of type, server and id, as Get gives them. They are read page by
// page, and no connection is in use while the loop's body runs: it may use the Store, and what is put meanwhile may be seen or not.
// An error is the last thing that is yielded.
func (s *Store) All(ctx context.Context, typ string) iter.Seq2[fhirsync.Resource, error] {
	query := s.sql.all
	if typ != "" {
		query = s.sql.ofType
	}
	return func(yield func(fhirsync.Resource, error) bool) {
		last := fhirsync.Key{Type: typ}
		s.each(ctx, yield, query, func(_ int64, res *fhirsync.Resource) []any {
			if res != nil {
				last = res.Key
			}
			return []any{toText(last.Type), toText(last.Server), toText(last.ID)}
		})
	}
}

// Patient yields the resources of one patient's record, shared ones such as Practitioners included, in the order in which they first came
// into the store, in the manner of All. An unknown patient has none.
func (s *Store) Patient(ctx context.Context, server, id string) iter.Seq2[fhirsync.Resource, error] {
	return func(yield func(fhirsync.Resource, error) bool) {
		var patient, last int64
		found := false
		err := s.retry(ctx, func() (err error) {
			found, err = one(ctx, s.db, s.sql.readPatient, []any{toText(server), toText(id)}, &patient)
			return err
		})
		if err != nil {
			yield(fhirsync.Resource{}, fmt.Errorf("sqlstore: read: %w", err))
			return
		}
		if !found {
			return
		}
		s.each(ctx, yield, s.sql.ofPatient, func(no int64, _ *fhirsync.Resource) []any {
			last = max(last, no)
			return []any{patient, last}
		})
	}
}

// each yields page after page. from gives the parameters of the page after a resource; nil is the first.
func (s *Store) each(ctx context.Context, yield func(fhirsync.Resource, error) bool, query string, from func(no int64, last *fhirsync.Resource) []any) {
	args := from(0, nil)
	for {
		var page []fhirsync.Resource
		var no int64
		err := s.retry(ctx, func() error {
			page = nil
			return scan(ctx, s.db, query, args, func(scan func(...any) error) error {
				n, res, err := scanResource(scan)
				if err != nil {
					return err
				}
				no = n
				page = append(page, res)
				return nil
			})
		})
		if err != nil {
			yield(fhirsync.Resource{}, fmt.Errorf("sqlstore: read: %w", err))
			return
		}
		if len(page) == 0 {
			return
		}
		args = from(no, &page[len(page)-1])
		for _, res := range page {
			if !yield(res, nil) {
				return
			}
		}
	}
}
