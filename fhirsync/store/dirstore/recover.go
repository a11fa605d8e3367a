package dirstore

import (
	"bufio"
	"errors"
	"io"
)

// repair counts what had to be done when a table was opened.
type repair struct {
	cut         int64 // bytes of half-written lines
	rows        int64 // bytes of rows without lines, or damaged
	adopted     int   // lines of which nothing was known
	quarantined int
}

// errGap says that rows and lines do not go together, so that all of them have to be looked at.
var errGap = errors.New("rows and lines do not go together")

// recover finds out what of the files is whole, and mends what is not.
//
// A table that was closed has an index that covers both files, and neither was changed since. After a crash they are longer than what it
// covers: only that is read, line by line. Anything else means that somebody has changed the files, or that the index is lost, and then all
// of it is read.
func (t *table) recover() error {
	ds, err := t.data.Stat()
	if err != nil {
		return err
	}
	rs, err := t.rows.Stat()
	if err != nil {
		return err
	}
	t.dataSize, t.rowsSize = ds.Size(), rs.Size()
	x, c := loadIndex(t.indexPath(), t.id)
	t.index, t.last, t.live, t.waste = x, c.last, c.live, c.waste
	if x != nil && c.rows == t.rowsSize && c.data == t.dataSize &&
		c.rowsTime == rs.ModTime().UnixNano() && c.dataTime == ds.ModTime().UnixNano() {
		return nil
	}
	if x == nil || c.rows < headerSize || c.rows >= t.rowsSize || c.data > t.dataSize || !t.lastIsWhole(c) {
		if x != nil {
			x.close()
		}
		t.index, c = newIndex(t.indexPath()), cover{rows: headerSize}
		t.last, t.live, t.waste = 0, 0, 0
	}
	var rep repair
	if err := t.scan(c, &rep); err != nil {
		if !errors.Is(err, errGap) {
			return err
		}
		rep = repair{}
		if err := t.rebuild(&rep); err != nil {
			return err
		}
	}
	if rep != (repair{}) {
		t.s.log.Warn("dirstore: repaired", "type", t.typ, "cut", rep.cut, "rows", rep.rows, "adopted", rep.adopted, "quarantined", rep.quarantined)
	}
	// Nobody knows what a crash has left in memory only; it is synced before an index vouches for it, or a state.
	t.unsynced, t.unnamed = true, true
	if rep.adopted+rep.quarantined == 0 && !t.index.full(t.s.limits.recent) && (c.rows < t.rowsSize && t.index.file != nil || t.rowsSize == headerSize) {
		return nil // opening it once more would be as cheap.
	}
	return t.merge()
}

// lastIsWhole looks at the last line that an index covers: where something was taken out or put in before it, it is elsewhere.
func (t *table) lastIsWhole(c cover) bool {
	if c.last == 0 {
		return c.rows == headerSize
	}
	r, n, err := t.rowAt(c.last)
	if err != nil || c.last+n != c.rows || r.block+r.size > c.data {
		return false
	}
	rd := t.reader(0)
	_, err = rd.read(&r)
	return err == nil
}

func (t *table) reader(ahead int) *lines { return &lines{f: t.data, form: t.form, ahead: ahead} }

// placed is a row and where it stands.
type placed struct {
	row
	at int64
}

// groups reads rows, those of one block at once.
type groups struct {
	r    *bufio.Reader
	at   int64 // of the next row
	form form
	next *placed
	err  error
	rows []placed
}

func (t *table) groups(from int64) *groups {
	return &groups{r: bufio.NewReaderSize(io.NewSectionReader(t.rows, from, t.rowsSize-from), 1<<16), at: from, form: t.form}
}

func (g *groups) read() {
	r, n, err := readRow(g.r)
	g.next, g.err = nil, err
	if err == nil {
		g.next = &placed{r, g.at}
		g.at += n
	}
}

// group gives the rows of the next block, valid until the next call. The error is io.EOF at the end, and errRow where a damaged row comes next;
// the rows before it in its block are then given with it.
func (g *groups) group() ([]placed, error) {
	g.rows = g.rows[:0]
	if g.next == nil && g.err == nil {
		g.read()
	}
	for g.next != nil {
		g.rows = append(g.rows, *g.next)
		g.read()
		if g.next != nil && (g.form == plain || g.next.block != g.rows[0].block) {
			return g.rows, nil
		}
	}
	switch {
	case g.err != io.EOF && g.form == plain && len(g.rows) > 0: //nolint:errorlint // as readRow gives it
		return g.rows, nil // each is a block of its own; the error comes with the next call.
	case g.err != io.EOF: //nolint:errorlint // as readRow gives it
		return g.rows, g.err
	case len(g.rows) > 0:
		return g.rows, nil
	}
	return nil, io.EOF
}

// whole tells whether the lines of a group are those that were written, and all that its block has: where the rows of some are lost, the
// lines must not be lost with them.
func whole(rd *lines, g []placed) (bool, error) {
	for i := range g {
		if g[i].size != g[0].size || i == 0 && g[i].inner != 0 || i > 0 && g[i].inner != g[i-1].inner+g[i-1].n+1 {
			rd.zr = nil
			return false, nil
		}
		if _, err := rd.read(&g[i].row); err != nil {
			if errors.Is(err, errDamaged) {
				rd.zr = nil
				return false, nil
			}
			return false, err
		}
	}
	rest, err := rd.rest()
	if errors.Is(err, errDamaged) {
		return false, nil
	}
	return err == nil && rest <= 1, err // the last line break
}

// scan goes through the rows behind what an index covers. Where the last of them have no lines, both are cut: such a batch was never
// accepted. Lines without rows at the end are taken over.
func (t *table) scan(c cover, rep *repair) error {
	rd := t.reader(1 << 18)
	gr := t.groups(c.rows)
	pos := c.data
	keep, torn := t.rowsSize, false
	for {
		g, err := gr.group()
		if err == io.EOF { //nolint:errorlint // as group gives it
			break
		}
		if err != nil && !errors.Is(err, errRow) {
			return err
		}
		if len(g) == 0 {
			keep = gr.at
			break
		}
		first := &g[0]
		if first.block != pos {
			return errGap
		}
		if first.block+first.size > t.dataSize {
			keep, torn = first.at, true
			break
		}
		if err != nil {
			return errGap // the member is there, and not all of its lines have rows.
		}
		if ok, err := whole(rd, g); err != nil {
			return err
		} else if !ok {
			return errGap
		}
		for i := range g {
			if err := errors.Join(t.note(note{hashOf(g[i].id), g[i].at, g[i].n}), t.spill()); err != nil {
				return err
			}
		}
		pos = first.block + first.size
	}
	if keep < t.rowsSize {
		rep.rows += t.rowsSize - keep
		if err := t.rows.Truncate(keep); err != nil {
			return err
		}
		t.rowsSize = keep
	}
	if torn {
		rep.cut += t.dataSize - pos
		if err := t.data.Truncate(pos); err != nil {
			return err
		}
		t.dataSize = pos
	}
	if pos == t.dataSize {
		return nil
	}
	w := &rowWriter{t: t, w: bufio.NewWriterSize(io.NewOffsetWriter(t.rows, t.rowsSize), 1<<16), at: t.rowsSize}
	ad := adoption{t: t, w: w, rep: rep}
	if err := ad.lines(pos, t.dataSize, true); err != nil {
		return err
	}
	if err := w.w.Flush(); err != nil {
		return err
	}
	t.rowsSize = w.at
	return nil
}

// spill keeps memory bounded while all rows are read: the index goes to disk, but vouches for nothing.
func (t *table) spill() error {
	if t.index.full(t.s.limits.recent) {
		return t.index.merge(t.id, cover{})
	}
	return nil
}
