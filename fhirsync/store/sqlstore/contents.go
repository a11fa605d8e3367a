package sqlstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// pieceSize is how much of a content is in one row: as much as is in memory of it.
const pieceSize = 1 << 20

// contentStatements are the texts for contents.
type contentStatements struct {
	begin, end, piece, dropPieces             string
	member                                    string
	get, getPiece, ofPatient                  string
	candidates, dropMembers, dropOrphanPieces string
	dropOrphans                               string
}

func newContentStatements(d Dialect, t func(string) string) contentStatements {
	contents, members, pieces := t("contents"), t("content_members"), t("pieces")
	n, at, lock := parameters(d)
	if lock != "" {
		lock += " OF c"
	}
	row := `SELECT c.no, c.server, c.type, c.id, c.url, c.content_type, c.size, c.digest FROM ` + contents + ` c`
	const orphan = ` AND NOT EXISTS (SELECT 1 FROM `
	return contentStatements{
		// What is there is locked by it and stays as it is until the end.
		begin: n(`INSERT INTO ` + contents + ` (server, type, id, url, content_type, size, digest, first_seen)
			VALUES ($1, $2, $3, $4, $5, -1, $6, $7` + at + `)
			ON CONFLICT (type, server, id) DO UPDATE SET url = excluded.url, content_type = excluded.content_type RETURNING no, size, digest`),
		end:        n(`UPDATE ` + contents + ` SET size = $2, digest = $3 WHERE no = $1`),
		piece:      n(`INSERT INTO ` + pieces + ` (content_no, seq, body) VALUES ($1, $2, $3)`),
		dropPieces: n(`DELETE FROM ` + pieces + ` WHERE content_no = $1`),
		member: n(`INSERT INTO ` + members + ` (patient_no, content_no, first_seen, last_seen) VALUES ($1, $2, $3` + at + `, $3` + at + `)
			ON CONFLICT (patient_no, content_no) DO UPDATE SET last_seen = excluded.last_seen`),
		get: n(row + ` WHERE c.type = $1 AND c.server = $2 AND c.id = $3`),
		// Of a content that was replaced since, no piece fits.
		getPiece: n(`SELECT p.body FROM ` + pieces + ` p JOIN ` + contents + ` c ON c.no = p.content_no WHERE c.no = $1 AND p.seq = $2 AND c.digest = $3`),
		ofPatient: n(row + ` JOIN ` + members + ` m ON m.content_no = c.no WHERE m.patient_no = $1 AND m.content_no > $2
			ORDER BY m.content_no LIMIT 500`),
		candidates: n(`SELECT c.no FROM ` + members + ` m JOIN ` + contents + ` c ON c.no = m.content_no WHERE m.patient_no = $1
			ORDER BY c.no` + lock),
		dropMembers:      n(`DELETE FROM ` + members + ` WHERE patient_no = $1`),
		dropOrphanPieces: n(`DELETE FROM ` + pieces + ` WHERE content_no = $1` + orphan + members + ` m WHERE m.content_no = $1)`),
		dropOrphans:      n(`DELETE FROM ` + contents + ` WHERE no = $1` + orphan + members + ` m WHERE m.content_no = $1)`),
	}
}

// contentTables are a part of version 4: contents, in pieces.
func contentTables(d Dialect, t func(string) string) []string {
	c := columnTypes(d)
	return []string{
		`CREATE TABLE ` + t("contents") + ` (
			no ` + c.no + `, server ` + c.text + `, type ` + c.text + `, id ` + c.text + `, url ` + c.text + `, content_type ` + c.text + `,
			size ` + c.ref + `, digest ` + c.bytes + ` NOT NULL, first_seen ` + c.time + ` NOT NULL, UNIQUE (type, server, id))`,
		`CREATE TABLE ` + t("content_members") + ` (
			patient_no ` + c.ref + `, content_no ` + c.ref + `, first_seen ` + c.time + ` NOT NULL, last_seen ` + c.time + ` NOT NULL,
			PRIMARY KEY (patient_no, content_no))`,
		`CREATE INDEX ` + c.index(t, "content_members_content") + ` ON ` + t("content_members") + ` (content_no)`,
		`CREATE TABLE ` + t("pieces") + ` (
			no ` + c.no + `, content_no ` + c.ref + `, seq ` + c.ref + `, body ` + c.bytes + ` NOT NULL, UNIQUE (content_no, seq))`,
	}
}

// columns of tables, by dialect.
type columnNames struct {
	no, ref, text, time, bytes string
	index                      func(t func(string) string, name string) string
}

func columnTypes(d Dialect) columnNames {
	if d == SQLite {
		return columnNames{
			no: `INTEGER PRIMARY KEY AUTOINCREMENT`, ref: `INTEGER NOT NULL`, text: `TEXT NOT NULL`, time: `TEXT`, bytes: `BLOB`,
			index: func(t func(string) string, name string) string { return t(name) },
		}
	}
	return columnNames{
		no: `bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY`, ref: `bigint NOT NULL`, text: `text COLLATE "C" NOT NULL`, time: `timestamptz`, bytes: `bytea`,
		index: func(func(string) string, string) string { return `` }, // PostgreSQL finds a name itself.
	}
}

// errOtherBytes: a content is not what its digest says.
var errOtherBytes = errors.New("the bytes of the content are not those of its digest")

// PutContent writes a content in one transaction, piece by piece, of which one is in memory. Its bytes are checked against its digest before
// anything counts; one that is there already is not written again. A sync hands contents over where Options.Contents is set.
func (s *Store) PutContent(ctx context.Context, c fhirsync.Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case c.Key.Type == "" || c.Key.ID == "":
		return &fhirsync.RejectError{Rejected: map[int]error{0: errors.New("without type or id")}}
	case s.dialect == Postgres && len(toText(c.Key.Server))+len(toText(c.Key.Type))+len(toText(c.Key.ID)) > maxKey:
		return &fhirsync.RejectError{Rejected: map[int]error{0: errors.New("server, type and id together are too long for an index of the database")}}
	}
	err := s.write(ctx, func(ctx context.Context, tx querier) error {
		p := putting{s: s, tx: tx, now: timestamp(time.Now())}
		patient, _, err := p.patient(ctx, toText(c.Server), toText(c.PatientID), toText(c.Run))
		if err != nil {
			return err
		}
		var no, size int64
		var digest []byte
		if _, err := one(ctx, tx, s.contents.begin, []any{
			toText(c.Key.Server), toText(c.Key.Type), toText(c.Key.ID), toText(c.URL), toText(c.ContentType), []byte{}, p.now,
		}, &no, &size, &digest); err != nil {
			return err
		}
		if size != c.Size() || !bytes.Equal(digest, c.Digest[:]) {
			if err := s.writePieces(ctx, tx, no, &c); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, s.contents.member, patient, no, p.now)
		return err
	})
	if err != nil {
		return fmt.Errorf("sqlstore: put content: %w", err)
	}
	return nil
}

// writePieces puts the bytes of a content in the place of those that are there.
func (s *Store) writePieces(ctx context.Context, tx querier, no int64, c *fhirsync.Content) error {
	if _, err := tx.ExecContext(ctx, s.contents.dropPieces, no); err != nil {
		return err
	}
	var body io.Reader = bytes.NewReader(nil)
	if c.Body != nil {
		body = io.NewSectionReader(c.Body, 0, c.Size()) // each try from its beginning
	}
	sum := sha256.New()
	buf := make([]byte, min(pieceSize, max(c.Size(), 1)))
	var size int64
	for seq := 0; ; seq++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(body, buf)
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		_, _ = sum.Write(buf[:n]) // a hash does not fail.
		size += int64(n)
		// The driver may keep it until the statement has ended, and no longer.
		if _, err := tx.ExecContext(ctx, s.contents.piece, no, seq, buf[:n]); err != nil {
			return err
		}
	}
	if size != c.Size() || !bytes.Equal(sum.Sum(nil), c.Digest[:]) {
		return errOtherBytes
	}
	_, err := tx.ExecContext(ctx, s.contents.end, no, size, c.Digest[:])
	return err
}

// Content gives one content that PutContent was given. Its Body reads from the database as it is read itself, under ctx, and gives an error if the
// content is replaced or erased meanwhile. Of one that is not there the error is fs.ErrNotExist (errors.Is). Run, Server and PatientID are not
// filled in.
func (s *Store) Content(ctx context.Context, key fhirsync.Key) (fhirsync.Content, error) {
	var out fhirsync.Content
	found := false
	err := s.retry(ctx, func() error {
		return scan(ctx, s.db, s.contents.get, []any{toText(key.Type), toText(key.Server), toText(key.ID)}, func(scan func(...any) error) (err error) {
			found = true
			_, out, err = s.scanContent(ctx, scan)
			return err
		})
	})
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fhirsync.Content{}, fmt.Errorf("sqlstore: get content: %w", err)
	}
	return out, nil
}

func (s *Store) scanContent(ctx context.Context, scan func(...any) error) (no int64, c fhirsync.Content, err error) {
	var size int64
	var digest []byte
	if err := scan(&no, &c.Key.Server, &c.Key.Type, &c.Key.ID, &c.URL, &c.ContentType, &size, &digest); err != nil {
		return 0, c, err
	}
	if len(digest) != len(c.Digest) || size < 0 {
		return 0, c, errors.New("a digest or a size is none")
	}
	copy(c.Digest[:], digest)
	for _, text := range []*string{&c.Key.Server, &c.Key.Type, &c.Key.ID, &c.URL, &c.ContentType} {
		if *text, err = fromText(*text); err != nil {
			return 0, c, err
		}
	}
	c.Body = io.NewSectionReader(&pieceReader{ctx: ctx, s: s, no: no, size: size, digest: digest, seq: -1}, 0, size)
	return no, c, nil
}

// Contents yields the contents in one patient's record that PutContent was given, as Content gives them, in the manner of Patient.
func (s *Store) Contents(ctx context.Context, server, id string) iter.Seq2[fhirsync.Content, error] {
	return func(yield func(fhirsync.Content, error) bool) {
		patient, found, err := s.patientNo(ctx, server, id)
		var last int64
		for err == nil && found {
			var page []fhirsync.Content
			err = s.retry(ctx, func() error {
				page = nil
				return scan(ctx, s.db, s.contents.ofPatient, []any{patient, last}, func(scan func(...any) error) error {
					no, c, err := s.scanContent(ctx, scan)
					last = max(last, no)
					page = append(page, c)
					return err
				})
			})
			if err == nil && len(page) == 0 {
				return
			}
			for i := 0; err == nil && i < len(page); i++ {
				if !yield(page[i], nil) {
					return
				}
			}
		}
		if err != nil {
			yield(fhirsync.Content{}, fmt.Errorf("sqlstore: read contents: %w", err))
		}
	}
}

// pieceReader reads a content piece by piece and keeps the last one. It is for one goroutine.
type pieceReader struct {
	ctx    context.Context //nolint:containedctx // io.ReaderAt has none; it is that of the call that made the Content.
	s      *Store
	no     int64
	size   int64
	digest []byte
	seq    int64 // of piece; -1: there is none
	piece  []byte
}

// ReadAt gives fewer bytes than asked for, and io.EOF, at the end only.
func (r *pieceReader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && off < r.size {
		if seq := off / pieceSize; seq != r.seq {
			if err := r.load(seq); err != nil {
				return n, fmt.Errorf("sqlstore: read content: %w", err)
			}
		}
		k := copy(p[n:], r.piece[off-r.seq*pieceSize:])
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *pieceReader) load(seq int64) error {
	var piece []byte
	var found bool
	err := r.s.retry(r.ctx, func() (err error) {
		found, err = one(r.ctx, r.s.db, r.s.contents.getPiece, []any{r.no, seq, r.digest}, &piece)
		return err
	})
	want := min(pieceSize, r.size-seq*pieceSize)
	if err == nil && (!found || int64(len(piece)) != want) {
		err = errors.New("the content was replaced or erased meanwhile")
	}
	if err != nil {
		r.seq = -1
		return err
	}
	r.seq, r.piece = seq, piece
	return nil
}

// eraseContents removes a patient's contents, and those of them that belong to nobody else.
func (s *Store) eraseContents(ctx context.Context, tx querier, patient int64) error {
	return s.eraseEach(ctx, tx, patient, s.contents.candidates, s.contents.dropMembers, s.contents.dropOrphanPieces, s.contents.dropOrphans)
}

func compareVersions(a, b *fhirsync.Resource) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Server, b.Server), cmp.Compare(a.ID, b.ID), cmp.Compare(a.VersionID, b.VersionID))
}
