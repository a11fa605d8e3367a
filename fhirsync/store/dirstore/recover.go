package dirstore

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
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

// rowWriter writes rows and enters them into the index.
type rowWriter struct {
	t   *table
	w   *bufio.Writer
	at  int64
	buf []byte
	// unique: no id comes twice.
	unique bool
}

func (w *rowWriter) write(r *row) error {
	w.buf = appendRow(w.buf[:0], r)
	if _, err := w.w.Write(w.buf); err != nil {
		return err
	}
	n := note{hashOf(r.id), w.at, r.n}
	if w.unique {
		w.t.index.recent[n.hash], w.t.last = n.at, n.at
		w.t.live++
	} else if err := w.t.note(n); err != nil {
		return err
	}
	if err := w.t.spill(); err != nil {
		return err
	}
	w.at += int64(len(w.buf))
	return nil
}

// rebuild writes the rows anew: those whose lines are there, and new ones for all other lines.
func (t *table) rebuild(rep *repair) error {
	tmp, err := os.OpenFile(t.rowsPath()+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer tmp.Close()
	t.index.close()
	t.index, t.last, t.live, t.waste, t.id = newIndex(t.indexPath()), 0, 0, 0, newID()
	w := &rowWriter{t: t, w: bufio.NewWriterSize(tmp, 1<<16), at: headerSize}
	if _, err := w.w.Write(header{form: t.form, replaces: t.form, id: t.id}.bytes()); err != nil {
		return err
	}
	if err := t.rewrite(w, rep); err != nil {
		return err
	}
	if err := errors.Join(w.w.Flush(), tmp.Sync(), t.data.Sync(), tmp.Close(), t.rows.Close()); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(t.rowsPath()+".tmp", t.rowsPath()), syncDir(t.s.hidden(""))); err != nil {
		return err
	}
	t.rows, err = os.OpenFile(t.rowsPath(), os.O_RDWR, 0o600)
	t.rowsSize = w.at
	return err
}

func (t *table) rewrite(w *rowWriter, rep *repair) error {
	rd := t.reader(1 << 18)
	gr := t.groups(headerSize)
	ad := adoption{t: t, w: w, rep: rep, rows: map[sum][]row{}}
	var pos int64
	for {
		g, err := gr.group()
		if err == io.EOF { //nolint:errorlint // as group gives it
			break
		}
		if errors.Is(err, errRow) {
			ad.remember(g)
			break
		}
		if err != nil {
			return err
		}
		first := &g[0]
		ok := first.block >= pos && first.block+first.size <= t.dataSize
		if ok {
			if ok, err = whole(rd, g); err != nil {
				return err
			}
		}
		if !ok {
			ad.remember(g)
			continue
		}
		if err := ad.lines(pos, first.block, false); err != nil {
			return err
		}
		for i := range g {
			if err := w.write(&g[i].row); err != nil {
				return err
			}
		}
		pos = first.block + first.size
	}
	return ad.lines(pos, t.dataSize, true)
}

// adoption makes rows for lines that have none.
type adoption struct {
	t    *table
	w    *rowWriter
	rep  *repair
	rows map[sum][]row // of lines that were not where they should be; nil: none
	kept int
}

// maxRemembered bounds the rows that are kept in memory. Lines beyond are known by what their JSON says.
const maxRemembered = 1 << 16

func (a *adoption) remember(g []placed) {
	for i := range g {
		if a.kept < maxRemembered {
			a.kept++
			a.rows[g[i].sum] = append(a.rows[g[i].sum], g[i].row)
		}
	}
}

// lines takes over what stands from one place to another. At the end of the file a line that is not whole is cut off.
func (a *adoption) lines(from, to int64, last bool) error {
	if from == to {
		return nil
	}
	if a.t.form == zipped {
		return a.members(from, to, last)
	}
	r := bufio.NewReaderSize(io.NewSectionReader(a.t.data, from, to-from), 1<<16)
	for from < to {
		line, err := readLine(r)
		if err != nil && err != io.EOF { //nolint:errorlint // as readLine gives it
			return err
		}
		size := int64(len(line)) + 1
		switch {
		case err == nil:
			err = a.line(row{block: from, size: size, n: int64(len(line))}, line)
		case !last: // what stands before a row and does not end with a line break is no line.
			a.t.waste += size
			err = a.quarantine(line)
		case a.adoptable(line):
			if err := writeAt(a.t.data, []byte{'\n'}, to); err != nil {
				return err
			}
			a.t.dataSize = to + 1
			err = a.line(row{block: from, size: size, n: int64(len(line))}, line)
		default:
			err = a.tail(line, from)
		}
		if err != nil {
			return err
		}
		from += size
	}
	return nil
}

// tail cuts off the end of the file, which is not a whole line. What could not become one either goes to quarantine.
func (a *adoption) tail(line []byte, from int64) error {
	if err := jsonscan.Valid(line); !errors.Is(err, io.ErrUnexpectedEOF) {
		if err := a.quarantine(line); err != nil {
			return err
		}
	}
	a.rep.cut += int64(len(line))
	a.t.dataSize = from
	return a.t.data.Truncate(from)
}

// line makes a row for one line, or puts it into quarantine.
func (a *adoption) line(r row, line []byte) error {
	if blank(line) {
		a.t.waste += r.n + 1
		return nil
	}
	r.sum = sumOf(line)
	if old := a.rows[r.sum]; len(old) > 0 {
		a.rows[r.sum] = old[1:]
		r.id, r.version, r.updated, r.digest, r.known = old[0].id, old[0].version, old[0].updated, old[0].digest, old[0].known
		a.rep.adopted++
		return a.w.write(&r)
	}
	head, ok := a.head(line)
	if !ok {
		a.t.waste += r.n + 1
		return a.quarantine(line)
	}
	r.id, r.version = head.ID, head.VersionID
	if at, err := time.Parse(time.RFC3339Nano, head.LastUpdated); err == nil {
		r.updated = at
	}
	a.rep.adopted++
	return a.w.write(&r)
}

// head reads a line that may be a resource of this type.
func (a *adoption) head(line []byte) (jsonscan.Header, bool) {
	if jsonscan.Valid(line) != nil {
		return jsonscan.Header{}, false
	}
	h, err := jsonscan.Head(line)
	return h, err == nil && h.ResourceType == a.t.typ && h.ID != "" && len(h.ID) <= maxName && len(h.VersionID) <= maxName
}

func (a *adoption) adoptable(line []byte) bool {
	_, ok := a.head(line)
	return ok || len(a.rows[sumOf(line)]) > 0
}

func (a *adoption) quarantine(raw []byte) error {
	a.rep.quarantined++
	return a.t.s.keep(context.Background(), []fhirsync.Quarantined{{
		Server: a.t.s.server, Type: a.t.typ, Reason: "found in " + a.t.typ + a.t.form.suffix() + ", not a resource of that type with an id", Raw: bytes.Clone(raw),
	}})
}

// members is lines for gzip.
func (a *adoption) members(from, to int64, last bool) error {
	for from < to {
		size, err := memberSize(a.t.data, from, to)
		if err == nil {
			if err := a.member(from, size); err != nil {
				return err
			}
			from += size
			continue
		}
		if !isDamage(err) {
			return err
		}
		next, nerr := nextMember(a.t.data, from+1, to)
		if nerr != nil {
			return nerr
		}
		if next < 0 {
			next = to
		}
		// The beginning of a member that ends with the file is what a crash leaves; anything else is somebody's bytes.
		if next < to || !last || !errors.Is(err, io.ErrUnexpectedEOF) {
			if err := a.pieces(from, next); err != nil {
				return err
			}
		}
		if next == to && last {
			a.rep.cut += to - from
			a.t.dataSize = from
			return a.t.data.Truncate(from)
		}
		a.t.waste += next - from
		from = next
	}
	return nil
}

// pieces puts bytes into quarantine that are no member, in pieces of bounded size.
func (a *adoption) pieces(from, to int64) error {
	for from < to {
		b := make([]byte, min(to-from, 16<<20))
		if _, err := a.t.data.ReadAt(b, from); err != nil {
			return err
		}
		if err := a.quarantine(b); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return nil
}

func (a *adoption) member(from, size int64) error {
	zr, err := gzip.NewReader(io.NewSectionReader(a.t.data, from, size))
	if err != nil {
		return err
	}
	zr.Multistream(false)
	r := bufio.NewReaderSize(zr, 1<<16)
	var inner int64
	for {
		line, err := readLine(r)
		end := err == io.EOF //nolint:errorlint // as readLine gives it
		if err != nil && !end {
			return err
		}
		if len(line) > 0 {
			if err := a.line(row{block: from, size: size, inner: inner, n: int64(len(line))}, line); err != nil {
				return err
			}
		}
		if end {
			if inner > 16<<20 {
				a.t.waste++ // too large to read single lines from: to be written anew.
			}
			return nil
		}
		inner += int64(len(line)) + 1
	}
}

// memberSize reads a gzip member to its end.
func memberSize(f io.ReaderAt, from, to int64) (int64, error) {
	src := &counter{r: bufio.NewReaderSize(io.NewSectionReader(f, from, to-from), 1<<16)}
	zr, err := gzip.NewReader(src)
	if err == io.EOF { //nolint:errorlint // as NewReader gives it
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	zr.Multistream(false)
	if _, err := io.Copy(io.Discard, zr); err != nil { //nolint:gosec // nothing of it is kept
		return 0, err
	}
	return src.n, nil
}

// counter counts what is read through it, byte by byte: with a ByteReader gzip takes no more than it needs.
type counter struct {
	r *bufio.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}

// nextMember looks for the next whole gzip member, -1 if there is none.
func nextMember(f io.ReaderAt, from, to int64) (int64, error) {
	magic := []byte{0x1f, 0x8b, 8}
	buf := make([]byte, 1<<16)
	for from < to {
		b := buf[:min(int64(len(buf)), to-from)]
		if _, err := f.ReadAt(b, from); err != nil {
			return 0, err
		}
		i := bytes.Index(b, magic)
		if i < 0 {
			from += max(1, int64(len(b)-len(magic)+1))
			continue
		}
		from += int64(i)
		switch _, err := memberSize(f, from, to); {
		case err == nil:
			return from, nil
		case !isDamage(err):
			return 0, err
		}
		from++
	}
	return -1, nil
}

// isDamage tells bytes that are no gzip from a disk that cannot be read.
func isDamage(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.EOF) || errors.As(err, &corrupt)
}

// readLine reads to the next line break, which is left out. The error is io.EOF at the end, together with what stood there.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine+1 {
			return nil, errors.New("a line of more than 1 GB")
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

// blank tells whether nothing stands on a line. Zeros are what a file system leaves that had no time to write.
func blank(line []byte) bool { return len(bytes.Trim(line, " \t\r\x00")) == 0 }

// ours tells whether a file that nothing is known of can be one of this store: its first line must be a resource of the type.
func (t *table) ours() error {
	st, err := t.data.Stat()
	if err != nil || st.Size() == 0 {
		return err
	}
	var r *bufio.Reader
	if t.form == zipped {
		zr, err := gzip.NewReader(io.NewSectionReader(t.data, 0, st.Size()))
		if err != nil {
			if isDamage(err) {
				err = t.foreign()
			}
			return err
		}
		r = bufio.NewReaderSize(zr, 1<<16)
	} else {
		r = bufio.NewReaderSize(io.NewSectionReader(t.data, 0, st.Size()), 1<<16)
	}
	a := adoption{t: t}
	for {
		line, err := readLine(r)
		switch _, ok := a.head(line); {
		case ok:
			return nil
		case err == nil && blank(line):
			continue
		case err == nil:
			return t.foreign()
		case isDamage(err): // the end: nothing of it is whole.
			if errors.Is(jsonscan.Valid(line), io.ErrUnexpectedEOF) || blank(line) {
				return nil
			}
			return t.foreign()
		default:
			return err
		}
	}
}

func (t *table) foreign() error {
	return fmt.Errorf("%s is no file of this store: it does not begin with a %s that has an id; move it elsewhere", t.typ+t.form.suffix(), t.typ)
}
