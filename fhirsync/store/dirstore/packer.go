package dirstore

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

// packer turns lines into the blocks of a data file: lines with their breaks, or gzip members of many lines.
type packer struct {
	form   form
	member int   // bytes of lines from which on a member is full
	at     int64 // where the next block begins
	out    func(block []byte, rows []row) error

	rows []row
	text []byte
}

// add adds a line. The row has all but its place.
func (p *packer) add(r row, line []byte) error {
	if p.form == plain {
		r.block, r.size, r.inner = p.at, r.n+1, 0
		p.at += r.size
		p.text = append(append(p.text[:0], line...), '\n')
		return p.out(p.text, []row{r})
	}
	r.inner = int64(len(p.text))
	p.rows = append(p.rows, r)
	p.text = append(append(p.text, line...), '\n')
	if len(p.text) < p.member {
		return nil
	}
	return p.flush()
}

// flush ends the member that is being filled.
func (p *packer) flush() error {
	if len(p.rows) == 0 {
		return nil
	}
	var block bytes.Buffer
	zw := gzip.NewWriter(&block)
	if _, err := zw.Write(p.text); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}
	for i := range p.rows {
		p.rows[i].block, p.rows[i].size = p.at, int64(block.Len())
	}
	p.at += int64(block.Len())
	err := p.out(block.Bytes(), p.rows)
	p.rows, p.text = p.rows[:0], p.text[:0]
	return err
}

// errDamaged says that a line is not the one that was written.
var errDamaged = errors.New("a line was changed or damaged; open the folder anew to have it repaired")

// lines reads lines by their rows. Rows in the order of the file cost one pass over it.
type lines struct {
	f     io.ReaderAt
	form  form
	ahead int // bytes that are read at once

	from   int64 // of window
	window []byte

	member int64 // that is open, where zr is not nil
	at     int64 // how far into it
	zr     *gzip.Reader
	text   bytes.Buffer
}

// read gives a line, valid until the next call. The caller has seen to it that the block lies within the file.
func (l *lines) read(r *row) ([]byte, error) {
	var line []byte
	var err error
	if l.form == plain {
		line, err = l.plain(r)
	} else {
		line, err = l.zipped(r)
	}
	if err != nil {
		return nil, err
	}
	if sumOf(line) != r.sum {
		return nil, errDamaged
	}
	return line, nil
}

func (l *lines) plain(r *row) ([]byte, error) {
	if r.inner != 0 || r.size != r.n+1 {
		return nil, errDamaged
	}
	if r.block < l.from || r.block+r.size > l.from+int64(len(l.window)) {
		want := max(r.size, int64(l.ahead))
		if int64(cap(l.window)) < want {
			l.window = make([]byte, want)
		}
		n, err := l.f.ReadAt(l.window[:want], r.block)
		l.from, l.window = r.block, l.window[:n]
		if int64(n) < r.size {
			if err == io.EOF {
				err = errDamaged
			}
			return nil, err
		}
	}
	block := l.window[r.block-l.from:][:r.size]
	if block[r.n] != '\n' {
		return nil, errDamaged
	}
	return block[:r.n], nil
}

func (l *lines) zipped(r *row) ([]byte, error) {
	if l.zr == nil || l.member != r.block || l.at > r.inner {
		if err := l.begin(r.block, r.size); err != nil {
			return nil, zipError(err)
		}
	}
	if _, err := io.CopyN(io.Discard, l.zr, r.inner-l.at); err != nil {
		return nil, zipError(err)
	}
	l.text.Reset()
	_, err := io.CopyN(&l.text, l.zr, r.n)
	l.at = r.inner + r.n
	if err != nil {
		return nil, zipError(err)
	}
	return l.text.Bytes(), nil
}

func (l *lines) begin(block, size int64) error {
	src := io.NewSectionReader(l.f, block, size)
	l.member, l.at = block, 0
	if l.zr == nil {
		zr, err := gzip.NewReader(src)
		if err != nil {
			return err
		}
		l.zr = zr
	} else if err := l.zr.Reset(src); err != nil {
		l.zr = nil
		return err
	}
	l.zr.Multistream(false)
	return nil
}

// rest reads an open member to its end, where its checksum is, and tells how much there was.
func (l *lines) rest() (int64, error) {
	if l.zr == nil {
		return 0, nil
	}
	n, err := io.Copy(io.Discard, l.zr)
	l.zr = nil
	return n, zipError(err)
}

// zipError tells damage from a disk that does not read.
func zipError(err error) error {
	if isDamage(err) {
		return errDamaged
	}
	return err
}
