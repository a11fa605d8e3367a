package dirstore

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
)

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
