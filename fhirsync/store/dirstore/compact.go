package dirstore

import (
	"bufio"
	"errors"
	"io"
	"os"
)

// compact writes the files of a table anew, each Key once, in the form that the store wants. Until the new rows have their name,
// <Type>.rows.new, the old files count; from then on the new ones do, and finishSwitch, now or after a crash, puts them in place.
func (t *table) compact() error {
	if err := t.sync(); err != nil {
		return err
	}
	c, x, err := t.copyLive()
	if err != nil {
		if x != nil {
			x.close()
		}
		return errors.Join(t.doubt(err), t.dropNew())
	}
	// From here on the table is closed and opened again; in between it cannot be used.
	old := t.form
	t.form, t.id = t.s.form, c.id
	x.close()
	t.close()
	err = t.finishSwitch()
	if err == nil {
		t.rows, err = os.OpenFile(t.rowsPath(), os.O_RDWR, 0o600)
	}
	if err == nil {
		t.data, err = os.OpenFile(t.dataPath(t.form), os.O_RDWR, 0o600)
	}
	if err == nil {
		t.dataSize, t.rowsSize = c.data, c.rows
		t.last, t.live, t.waste = c.last, c.live, 0
		var loaded cover
		if t.index, loaded = loadIndex(t.indexPath(), t.id); t.index == nil || loaded.rows != c.rows {
			err = errors.New("the index cannot be read")
		}
	}
	if err != nil {
		t.form = old
		t.s.broken = err
	}
	return err
}

func (t *table) newPath(what string) string { return t.s.hidden(t.typ + "." + what + ".new") }

// switched is what copyLive has written.
type switched struct {
	cover
	id [16]byte
}

// copyLive writes new files beside the old ones, and ends with giving the new rows their name.
func (t *table) copyLive() (c switched, x *index, err error) {
	data, err := os.OpenFile(t.newPath("data"), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return c, nil, err
	}
	defer data.Close()
	rows, err := os.OpenFile(t.newPath("rows")+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return c, nil, err
	}
	defer rows.Close()
	id := newID()
	x = newIndex(t.newPath("index"))
	// The new files as a table, for as much as writing rows needs.
	next := &table{s: t.s, typ: t.typ, form: t.s.form, id: id, data: data, rows: rows, index: x}
	dw := bufio.NewWriterSize(data, 1<<18)
	w := &rowWriter{t: next, w: bufio.NewWriterSize(rows, 1<<16), at: headerSize, unique: true}
	if _, err := w.w.Write(header{form: t.s.form, replaces: t.form, id: id}.bytes()); err != nil {
		return c, x, err
	}
	pack := packer{form: t.s.form, member: t.s.member(), out: func(block []byte, rows []row) error {
		if _, err := dw.Write(block); err != nil {
			return err
		}
		for i := range rows {
			if err := w.write(&rows[i]); err != nil {
				return err
			}
		}
		return nil
	}}
	if err := t.eachLive(func(r *row, line []byte) error { return pack.add(*r, line) }); err != nil {
		return c, x, err
	}
	if err := errors.Join(pack.flush(), dw.Flush(), w.w.Flush()); err != nil {
		return c, x, err
	}
	next.dataSize, next.rowsSize, next.unsynced = pack.at, w.at, false
	if err := errors.Join(syncAll([]*os.File{data, rows}), next.merge()); err != nil {
		return c, x, err
	}
	if c.cover, err = next.cover(); err != nil {
		return c, x, err
	}
	c.id = id
	if err := errors.Join(data.Close(), rows.Close()); err != nil {
		return c, x, err
	}
	if err := syncDir(t.s.hidden("")); err != nil { // the new data must have its name before the rows that speak of it.
		return c, x, err
	}
	if err := os.Rename(t.newPath("rows")+".tmp", t.newPath("rows")); err != nil {
		return c, x, err
	}
	return c, x, nil
}

// eachLive gives the rows and lines that count, in the order of the file.
func (t *table) eachLive(do func(r *row, line []byte) error) error {
	rd := t.reader(1 << 18)
	r := bufio.NewReaderSize(io.NewSectionReader(t.rows, headerSize, t.rowsSize-headerSize), 1<<16)
	for at := headerSize; at < t.rowsSize; {
		row, n, err := readRow(r)
		if err != nil {
			return err
		}
		now, ok, err := t.index.find(hashOf(row.id))
		if err != nil {
			return err
		}
		if ok && now == at {
			line, err := rd.read(&row)
			if err != nil {
				return err
			}
			if err := do(&row, line); err != nil {
				return err
			}
		}
		at += n
	}
	return nil
}

// finishSwitch puts new files in place if their rows have their name, and removes what there is of them otherwise. It may be interrupted
// and called again.
func (t *table) finishSwitch() error {
	f, err := os.Open(t.newPath("rows"))
	if errors.Is(err, os.ErrNotExist) {
		return t.dropNew()
	}
	if err != nil {
		return err
	}
	h, ok := readHeader(f)
	_ = f.Close() // it was only read.
	if !ok {
		return t.dropNew() // damaged: the lines, wherever they are by now, can be read without.
	}
	if err := syncDir(t.s.hidden("")); err != nil {
		return err
	}
	if exists(t.newPath("data")) {
		if err := os.Rename(t.newPath("data"), t.dataPath(h.form)); err != nil {
			return err
		}
	}
	if err := errors.Join(syncDir(t.s.dir), syncDir(t.s.hidden(""))); err != nil {
		return err
	}
	if h.replaces != h.form {
		if err := remove(t.dataPath(h.form.other())); err != nil {
			return err
		}
	}
	if exists(t.newPath("index")) {
		if err := os.Rename(t.newPath("index"), t.indexPath()); err != nil {
			return err
		}
	}
	return errors.Join(os.Rename(t.newPath("rows"), t.rowsPath()), syncDir(t.s.hidden("")))
}

func (t *table) dropNew() error {
	return errors.Join(
		remove(t.newPath("rows")), remove(t.newPath("rows")+".tmp"), remove(t.newPath("data")), remove(t.newPath("index")), remove(t.newPath("index")+".tmp"),
		remove(t.rowsPath()+".tmp"), remove(t.indexPath()+".tmp"))
}

func (s *Store) member() int {
	if s.limits.member > 0 {
		return s.limits.member
	}
	return 1 << 20
}
