package dirstore

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// table is the resources of one type: a data file of lines, a file of rows that say what the lines are, and an index of the rows.
type table struct {
	s    *Store
	typ  string
	form form
	id   [16]byte // of the rows

	data, rows         *os.File
	dataSize, rowsSize int64
	last               int64       // where the last row begins
	live               int64       // resources
	waste              int64       // about how many bytes of the data file are none of them
	unsynced           bool        // the files may not be on the disk
	unnamed            bool        // nor their names
	suspect            atomic.Bool // something was not as it was written: the next Open has to read everything
	index              *index
}

// doubt passes an error on and remembers that files are damaged.
func (t *table) doubt(err error) error {
	if errors.Is(err, errDamaged) || errors.Is(err, errRow) {
		t.suspect.Store(true)
	}
	return err
}

func (t *table) dataPath(f form) string { return t.s.path(t.typ + f.suffix()) }
func (t *table) rowsPath() string       { return t.s.hidden(t.typ + ".rows") }
func (t *table) indexPath() string      { return t.s.hidden(t.typ + ".index") }

// openTable opens the files of a type, makes those that are not there, and repairs them. On success the table is one of the store's.
func (s *Store) openTable(typ string) error {
	if other := s.sameFile(typ); other != "" {
		return fmt.Errorf("its files have the same names as those of %s where case does not count", other)
	}
	t := &table{s: s, typ: typ}
	if err := t.open(); err != nil {
		t.close()
		return err
	}
	s.tables[typ] = t
	if t.form != s.form {
		return t.compact()
	}
	return nil
}

func (t *table) open() error {
	if err := t.finishSwitch(); err != nil {
		return err
	}
	var err error
	if t.rows, err = os.OpenFile(t.rowsPath(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	h, known := readHeader(t.rows)
	isPlain, isZipped := exists(t.dataPath(plain)), exists(t.dataPath(zipped))
	t.form = t.s.form
	switch {
	case isPlain && isZipped:
		return fmt.Errorf("both %s and %s are there; only one can be its file", t.typ+plain.suffix(), t.typ+zipped.suffix())
	case isPlain:
		t.form = plain
	case isZipped:
		t.form = zipped
	case known:
		t.form = h.form
	}
	if t.data, err = os.OpenFile(t.dataPath(t.form), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if !known || h.form != t.form { // new, lost, or somebody else has packed or unpacked the file.
		if err := t.ours(); err != nil {
			return err
		}
		h = header{form: t.form, replaces: t.form, id: newID()}
		if err := errors.Join(t.rows.Truncate(0), writeAt(t.rows, h.bytes(), 0)); err != nil {
			return err
		}
	}
	t.id = h.id
	return t.recover()
}

func newID() (id [16]byte) {
	_, _ = rand.Read(id[:]) // never fails.
	return id
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

func (t *table) close() {
	if t.index != nil {
		t.index.close()
	}
	for _, f := range []*os.File{t.data, t.rows} {
		if f != nil {
			_ = f.Close() // what had to be on the disk was synced.
		}
	}
}

// find gives the row of an id.
func (t *table) find(id string) (row, bool, error) {
	at, ok, err := t.index.find(hashOf(id))
	if err != nil || !ok {
		return row{}, false, err
	}
	r, _, err := t.rowAt(at)
	if err == nil && r.id != id {
		err = errRow
	}
	if err != nil {
		return row{}, false, t.doubt(err)
	}
	return r, true, nil
}

// rowAt reads the row that begins in a place. Almost every row is short, and read at once.
func (t *table) rowAt(at int64) (row, int64, error) {
	if at < headerSize || at >= t.rowsSize {
		return row{}, 0, errRow
	}
	buf := shortRows.Get().(*[512]byte) //nolint:forcetypeassert // nothing else is in it
	defer shortRows.Put(buf)
	b := buf[:min(int64(len(buf)), t.rowsSize-at)]
	if _, err := t.rows.ReadAt(b, at); err != nil {
		return row{}, 0, err
	}
	if len(b) >= 4 {
		if n := int64(binary.LittleEndian.Uint32(b)) + 8; n <= int64(len(b)) {
			r, err := checkRow(b[4:n])
			return r, n, err
		}
	}
	r, n, err := readRow(bufio.NewReader(io.NewSectionReader(t.rows, at, t.rowsSize-at)))
	if err == io.EOF { //nolint:errorlint // as readRow gives it
		err = errRow
	}
	return r, n, err
}

var shortRows = sync.Pool{New: func() any { return new([512]byte) }}

// note enters a row into the index.
func (t *table) note(n note) error {
	_, ok, err := t.index.find(n.hash)
	if err != nil {
		return err
	}
	if ok {
		t.waste += n.n + 1 // of the old one it is not known without reading its row, and a guess is enough.
	} else {
		t.live++
	}
	t.index.recent[n.hash] = n.at
	t.last = n.at
	return nil
}

// tidy does the housekeeping that is due.
func (t *table) tidy() error {
	limit := t.s.limits.waste
	if limit == 0 {
		limit = max(64<<20, t.dataSize/2)
	}
	if t.waste > limit && t.s.readers.Load() == 0 {
		return t.compact()
	}
	if t.index.full(t.s.limits.recent) {
		return t.merge()
	}
	return nil
}

func (x *index) full(limit int) bool {
	if limit == 0 {
		limit = min(max(1<<15, int(x.entries/16)), 1<<18)
	}
	return len(x.recent) > limit
}

// sync waits until the disk has what was written.
func (t *table) sync() error {
	if !t.unsynced {
		return nil
	}
	err := syncAll([]*os.File{t.rows, t.data})
	if t.unnamed && err == nil {
		err = t.s.syncNames()
	}
	if err != nil {
		t.s.broken = err
		return err
	}
	t.unsynced, t.unnamed = false, false
	return nil
}

// merge writes the index. From then on it vouches for what it covers, which has to be on the disk.
func (t *table) merge() error {
	if err := t.sync(); err != nil {
		return err
	}
	c, err := t.cover()
	if err != nil {
		return err
	}
	return t.index.merge(t.id, c)
}

func (t *table) cover() (cover, error) {
	ds, err := t.data.Stat()
	if err != nil {
		return cover{}, err
	}
	rs, err := t.rows.Stat()
	if err != nil {
		return cover{}, err
	}
	return cover{
		rows: t.rowsSize, data: t.dataSize, rowsTime: rs.ModTime().UnixNano(), dataTime: ds.ModTime().UnixNano(),
		last: t.last, live: t.live, waste: t.waste,
	}, nil
}

// finish leaves the files as others may read them.
func (t *table) finish() error {
	err := t.settle()
	if t.suspect.Load() {
		t.index.close()
		return errors.Join(err, remove(t.indexPath()))
	}
	return err
}

func (t *table) settle() error {
	if t.waste > 0 {
		return t.compact()
	}
	if len(t.index.recent) > 0 || t.index.file == nil || t.unsynced {
		return t.merge()
	}
	return nil
}
