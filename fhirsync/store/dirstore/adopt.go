package dirstore

import (
	"bufio"
	"bytes"
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
