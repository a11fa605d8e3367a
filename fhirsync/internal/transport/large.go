package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
)

// Large is a body that is too large for memory: it waits in a temporary file, of which only the owner may read, and which has no name any longer
// where the system lets a file in use be removed. The caller closes it.
type Large struct {
	file   *os.File
	name   string // to be removed by Close; "": it is already
	size   int64
	closed atomic.Bool
}

// ReadAt reads from the file.
func (l *Large) ReadAt(p []byte, off int64) (int, error) { return l.file.ReadAt(p, off) }

// Size is how many bytes there are.
func (l *Large) Size() int64 { return l.size }

// Close removes the file. Calling it again does nothing; nil is allowed.
func (l *Large) Close() {
	if l == nil || l.closed.Swap(true) {
		return
	}
	_ = l.file.Close() // nothing of it is needed any longer.
	if l.name != "" {
		_ = os.Remove(l.name)
	}
}

// Large gives the whole body where it was too large for memory, which Body then has the beginning of; nil otherwise. It is closed by Release.
func (r *Response) Large() *Large {
	if r == nil {
		return nil
	}
	return r.large
}

// TakeLarge is Large, and makes the caller the one who closes it.
func (r *Response) TakeLarge() *Large {
	l := r.Large()
	if r != nil {
		r.large = nil
	}
	return l
}

// errTempFile says that a large body could not be kept, because of this machine and not of the server.
var errTempFile = errors.New("temporary file for a large content")

// fillLarge reads a body of which all but the beginning may go into a file, most bytes altogether. What looks like JSON stays in memory, and within the
// buffer's own bounds, whatever its sender calls it: it may be the resource that has the content in it, which only its end tells.
func fillLarge(ctx context.Context, buf *pagebuf.Buffer, body io.Reader, most int64) (*Large, error) {
	if err := buf.Fill(ctx, io.LimitReader(body, min(pagebuf.SmallPage, most))); err != nil {
		return nil, err
	}
	rest := &capped{r: body, left: most - int64(len(buf.Bytes()))}
	var one [1]byte
	if n, err := io.ReadFull(rest, one[:]); n == 0 {
		if errors.Is(err, io.EOF) {
			return nil, nil //nolint:nilnil // there is no more, nothing wrong.
		}
		return nil, err
	}
	head := append(append(make([]byte, 0, len(buf.Bytes())+1), buf.Bytes()...), one[0])
	if LooksJSON(head) {
		return nil, buf.Fill(ctx, io.MultiReader(bytes.NewReader(head), rest))
	}
	file, err := os.CreateTemp("", "fhirsync-*")
	if err != nil {
		return nil, errTempFile
	}
	l := &Large{file: file, name: file.Name()}
	if os.Remove(l.name) == nil {
		l.name = ""
	}
	writer := &fileWriter{file: file}
	if _, err = writer.Write(head); err == nil {
		_, err = io.Copy(writer, rest)
	}
	if writer.failed {
		err = errTempFile // its text has the name of a file of this machine.
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	l.size = writer.n
	return l, nil
}

// fileWriter tells errors of the file from those of the network.
type fileWriter struct {
	file   *os.File
	n      int64
	failed bool
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	w.n += int64(n)
	w.failed = w.failed || err != nil
	return n, err
}
