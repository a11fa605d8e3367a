package dirstore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sort"
	"sync"
)

// index finds the row of an id: entries sorted by the hash of the id in a file, and what has come since in memory. It can be lost at any
// time, for it is made from the rows.
type index struct {
	path    string
	file    *os.File // nil: no entries
	entries int64
	marks   []uint64 // the first half of the hash of each stride-th entry
	recent  map[sum]int64
}

// cover is up to where an index speaks of the files.
type cover struct {
	rows, data         int64 // sizes
	rowsTime, dataTime int64 // when they were last changed
	last               int64 // where the last row begins; 0: none
	live, waste        int64
}

const (
	indexMagic  = "fhirsync index1\n"
	indexHeader = len(indexMagic) + 16 + 8*8
	entrySize   = 16 + 8
	stride      = 128
)

func newIndex(path string) *index { return &index{path: path, recent: map[sum]int64{}} }

// hashOf is what an id is found by.
func hashOf(id string) sum {
	h := sha256.Sum256([]byte(id))
	return sum(h[:16])
}

// loadIndex reads an index file, and gives nil if it is absent, damaged or of other rows than those with the id.
func loadIndex(path string, id [16]byte) (*index, cover) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cover{}
	}
	x := newIndex(path)
	x.file = f
	c, ok := x.load(id)
	if !ok {
		_ = f.Close() // it was only read.
		return nil, cover{}
	}
	return x, c
}

func (x *index) load(id [16]byte) (c cover, ok bool) {
	st, err := x.file.Stat()
	if err != nil {
		return cover{}, false
	}
	body := st.Size() - int64(indexHeader) - 4
	if body < 0 || body%entrySize != 0 {
		return cover{}, false
	}
	sum32 := crc32.New(castagnoli)
	r := bufio.NewReaderSize(io.TeeReader(io.LimitReader(x.file, st.Size()-4), sum32), 1<<16)
	head := make([]byte, indexHeader)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(indexMagic)]) != indexMagic || !bytes.Equal(head[len(indexMagic):][:16], id[:]) {
		return cover{}, false
	}
	nums := head[len(indexMagic)+16:]
	for i, v := range c.fields(&x.entries) {
		*v = int64(binary.LittleEndian.Uint64(nums[i*8:])) //nolint:gosec // checked below
		if *v < 0 && i != 2 && i != 3 {
			return cover{}, false
		}
	}
	if x.entries != body/entrySize {
		return cover{}, false
	}
	var e, before [entrySize]byte
	for i := range x.entries {
		if _, err := io.ReadFull(r, e[:]); err != nil || i > 0 && bytes.Compare(before[:16], e[:16]) >= 0 {
			return cover{}, false
		}
		if i%stride == 0 {
			x.marks = append(x.marks, binary.BigEndian.Uint64(e[:]))
		}
		before = e
	}
	var tail [4]byte
	if _, err := x.file.ReadAt(tail[:], st.Size()-4); err != nil {
		return cover{}, false
	}
	return c, sum32.Sum32() == binary.LittleEndian.Uint32(tail[:])
}

func (c *cover) fields(entries *int64) []*int64 {
	return []*int64{&c.rows, &c.data, &c.rowsTime, &c.dataTime, &c.last, &c.live, &c.waste, entries}
}

// parts are buffers for as many entries as are read at once.
var parts = sync.Pool{New: func() any { return new([stride * entrySize]byte) }}

// find gives where the row of an id begins.
func (x *index) find(h sum) (at int64, ok bool, err error) {
	if at, ok := x.recent[h]; ok {
		return at, true, nil
	}
	if x.entries == 0 {
		return 0, false, nil
	}
	half := binary.BigEndian.Uint64(h[:])
	j, _ := slices.BinarySearch(x.marks, half)
	buf := parts.Get().(*[stride * entrySize]byte) //nolint:forcetypeassert // nothing else is in it
	defer parts.Put(buf)
	for part := max(j-1, 0); part < len(x.marks) && x.marks[part] <= half; part++ {
		first := int64(part) * stride
		b := buf[:min(stride, x.entries-first)*entrySize]
		if _, err := x.file.ReadAt(b, int64(indexHeader)+first*entrySize); err != nil {
			return 0, false, err
		}
		n := len(b) / entrySize
		if i := sort.Search(n, func(i int) bool { return bytes.Compare(b[i*entrySize:][:16], h[:]) >= 0 }); i < n && bytes.Equal(b[i*entrySize:][:16], h[:]) {
			return int64(binary.LittleEndian.Uint64(b[i*entrySize+16:])), true, nil //nolint:gosec // as written by merge
		}
	}
	return 0, false, nil
}

// merge writes all entries into a new file, which takes the place of the old one. The file is not synced: it has a checksum.
func (x *index) merge(id [16]byte, c cover) error {
	tmp, err := os.OpenFile(x.path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	next := newIndex(x.path)
	err = x.write(tmp, next, id, c)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(x.path + ".tmp") // it is in nobody's way.
		return err
	}
	x.close() // Windows renames over no open file.
	renamed := os.Rename(x.path+".tmp", x.path)
	if renamed != nil {
		_ = os.Remove(x.path + ".tmp") // it is in nobody's way.
		if x.file == nil {
			return renamed
		}
		next = x // goes on with the old one
	}
	f, err := os.Open(x.path)
	if err == nil {
		next.file = f
		*x = *next
	}
	return errors.Join(renamed, err)
}

func (x *index) write(tmp *os.File, next *index, id [16]byte, c cover) error {
	hashes := make([]sum, 0, len(x.recent))
	for h := range x.recent {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b sum) int { return bytes.Compare(a[:], b[:]) })

	// How many there are is known at the end; so the header is written twice, and the checksum is taken of the header last.
	w := bufio.NewWriterSize(tmp, 1<<16)
	if _, err := w.Write(make([]byte, indexHeader)); err != nil {
		return err
	}
	emit := func(e []byte) error {
		if next.entries%stride == 0 {
			next.marks = append(next.marks, binary.BigEndian.Uint64(e))
		}
		next.entries++
		_, err := w.Write(e)
		return err
	}
	var old [entrySize]byte
	r := bufio.NewReader(nil)
	if x.file != nil {
		r = bufio.NewReaderSize(io.NewSectionReader(x.file, int64(indexHeader), x.entries*entrySize), 1<<16)
	}
	left := x.entries
	more := func() error { // reads the next old entry
		if left == 0 {
			return io.EOF
		}
		left--
		_, err := io.ReadFull(r, old[:])
		return err
	}
	err := more()
	for err == nil || len(hashes) > 0 && err == io.EOF { //nolint:errorlint // more gives it as it is
		order := 1
		if err == nil {
			order = -1
			if len(hashes) > 0 {
				order = bytes.Compare(old[:16], hashes[0][:])
			}
		}
		if order < 0 {
			if err := emit(old[:]); err != nil {
				return err
			}
			err = more()
			continue
		}
		var e [entrySize]byte
		copy(e[:], hashes[0][:])
		binary.LittleEndian.PutUint64(e[16:], uint64(x.recent[hashes[0]])) //nolint:gosec // never negative
		if err := emit(e[:]); err != nil {
			return err
		}
		hashes = hashes[1:]
		if order == 0 {
			err = more()
		}
	}
	if err != io.EOF { //nolint:errorlint // more gives it as it is
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	head := append([]byte(indexMagic), id[:]...)
	for _, v := range c.fields(&next.entries) {
		head = binary.LittleEndian.AppendUint64(head, uint64(*v)) //nolint:gosec // read back as it is
	}
	if _, err := tmp.WriteAt(head, 0); err != nil {
		return err
	}
	sum32 := crc32.New(castagnoli)
	if _, err := io.Copy(sum32, io.NewSectionReader(tmp, 0, int64(indexHeader)+next.entries*entrySize)); err != nil {
		return err
	}
	_, err = tmp.WriteAt(binary.LittleEndian.AppendUint32(nil, sum32.Sum32()), int64(indexHeader)+next.entries*entrySize)
	return err
}

func (x *index) close() {
	if x.file != nil {
		_ = x.file.Close() // it was only read.
	}
}
