package dirstore

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// row is what is known of one line beside its bytes. The rows of a type stand in a file of their own, in the order of the lines. A row is
// written before its line: so a line without a row was not written by us, or its row is damaged, and a row without a line is what a crash
// has left over.
type row struct {
	// block and size are where in the data file the line with its break stands, or the gzip member that holds it.
	block, size int64
	// inner and n are where the line stands in what the block says, and its length without the break.
	inner, n int64
	sum      sum // of the line
	// digest is Resource.Digest; unknown for lines that were found without a row.
	digest  [32]byte
	known   bool
	id      string
	version string
	updated time.Time
}

// sum tells lines apart: the first half of a SHA-256.
type sum [16]byte

func sumOf(line []byte) sum {
	h := sha256.Sum256(line)
	return sum(h[:16])
}

// maxName bounds ids and version ids, so that a damaged length is noticed.
const maxName = 1 << 18

const maxRow = 3 * maxName

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRow = errors.New("damaged row")

// appendRow appends a row with its length before and its checksum behind.
func appendRow(dst []byte, r *row) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for _, v := range []int64{r.block, r.size, r.inner, r.n} {
		dst = binary.AppendUvarint(dst, uint64(v)) //nolint:gosec // none is negative
	}
	dst = append(dst, r.sum[:]...)
	if r.known {
		dst = append(append(dst, 1), r.digest[:]...)
	} else {
		dst = append(dst, 0)
	}
	dst = appendText(dst, r.id)
	dst = appendText(dst, r.version)
	var stamp []byte
	if !r.updated.IsZero() {
		stamp, _ = r.updated.MarshalBinary() // fails for zones with odd seconds in old versions only; then there is none.
	}
	dst = appendText(dst, string(stamp))
	body := dst[start+4:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body))) //nolint:gosec // names are bounded
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// readRow reads the next row and tells how many bytes it takes. The error is io.EOF at the end, errRow for what is no whole row.
func readRow(r *bufio.Reader) (row, int64, error) {
	var head [4]byte
	switch _, err := io.ReadFull(r, head[:]); {
	case errors.Is(err, io.EOF):
		return row{}, 0, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return row{}, 0, errRow
	case err != nil:
		return row{}, 0, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxRow {
		return row{}, 0, errRow
	}
	body := make([]byte, n+4)
	switch _, err := io.ReadFull(r, body); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return row{}, 0, errRow
	case err != nil:
		return row{}, 0, err
	}
	out, err := checkRow(body)
	return out, int64(n) + 8, err
}

// checkRow reads a row without its length, with its checksum.
func checkRow(b []byte) (row, error) {
	body, sum32 := b[:len(b)-4], b[len(b)-4:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(sum32) {
		return row{}, errRow
	}
	r, ok := parseRow(body)
	if !ok {
		return row{}, errRow
	}
	return r, nil
}

// parseRow reads what appendRow wrote. A checksum is no proof: whatever stands there must not do harm.
func parseRow(b []byte) (r row, ok bool) {
	for _, v := range []*int64{&r.block, &r.size, &r.inner, &r.n} {
		u, n := binary.Uvarint(b)
		if n <= 0 || u > 1<<50 {
			return row{}, false
		}
		*v = int64(u)
		b = b[n:]
	}
	if r.n > maxLine || len(b) < len(r.sum)+1 {
		return row{}, false
	}
	b = b[copy(r.sum[:], b):]
	r.known = b[0] == 1
	b = b[1:]
	if r.known {
		if len(b) < len(r.digest) {
			return row{}, false
		}
		b = b[copy(r.digest[:], b):]
	}
	var stamp string
	for _, s := range []*string{&r.id, &r.version, &stamp} {
		u, n := binary.Uvarint(b)
		if n <= 0 || u > maxRow || int(u) > len(b)-n {
			return row{}, false
		}
		*s = string(b[n : n+int(u)])
		b = b[n+int(u):]
	}
	if stamp != "" && r.updated.UnmarshalBinary([]byte(stamp)) != nil {
		return row{}, false
	}
	return r, len(b) == 0 && r.id != ""
}

// form is how the lines of a type are written.
type form byte

const (
	plain  form = 'p'
	zipped form = 'z'
)

func (f form) suffix() string {
	if f == zipped {
		return ".ndjson.gz"
	}
	return ".ndjson"
}

func (f form) other() form {
	if f == zipped {
		return plain
	}
	return zipped
}

// header begins a file of rows.
type header struct {
	form     form
	replaces form     // the form of the data file before
	id       [16]byte // drawn at random, so that an index can tell whether it is of these rows
}

const (
	rowsMagic  = "fhirsync rows 1\n"
	headerSize = int64(len(rowsMagic) + 2 + 16 + 4)
)

func (h header) bytes() []byte {
	b := append([]byte(rowsMagic), byte(h.form), byte(h.replaces))
	b = append(b, h.id[:]...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// readHeader gives the header of a file of rows, and false if it has none.
func readHeader(f io.ReaderAt) (header, bool) {
	b := make([]byte, headerSize)
	if n, _ := f.ReadAt(b, 0); int64(n) < headerSize { // what cannot be read is not there: the lines are.
		return header{}, false
	}
	end := len(b) - 4
	h := header{form: form(b[len(rowsMagic)]), replaces: form(b[len(rowsMagic)+1])}
	copy(h.id[:], b[len(rowsMagic)+2:])
	whole := string(b[:len(rowsMagic)]) == rowsMagic && crc32.Checksum(b[:end], castagnoli) == binary.LittleEndian.Uint32(b[end:])
	return h, whole && (h.form == plain || h.form == zipped)
}
