package transport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
)

// unpacked gives the body of an answer without its compression. gzip is asked for by hand and not left to http.Transport, so that what
// comes over the wire can be bounded as well as what it unpacks to. most bounds the packed bytes.
func unpacked(resp *http.Response, most int64) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))) {
	case "", "identity":
		return resp.Body, nil
	case "gzip", "x-gzip":
	default:
		return nil, ErrEncoding
	}
	packed := bufio.NewReader(&capped{r: resp.Body, left: most})
	// An empty body is not packed, nor is one of a server that only says so.
	if magic, err := packed.Peek(2); len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return packed, nil
	}
	return gzip.NewReader(packed)
}

// capped fails where there is more than allowed.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		// Only one more byte shows that it is too large.
		if n, err := c.r.Read(p[:min(1, len(p))]); n == 0 {
			return 0, err
		}
		return 0, pagebuf.ErrTooLarge
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// toUTF8 rewrites a body in another encoding, and gives what it was; nil where it stays as it is. UTF-16 tells itself by its byte order mark,
// or by the zero beside the first character, which in JSON and XML is ASCII; Latin-1 must be declared, and is not believed of what is valid
// UTF-8: web servers declare it for everything.
func toUTF8(ctx context.Context, buf *pagebuf.Buffer, contentType string) (*jsonrepair.Source, error) {
	body := buf.Bytes()
	if big, skip, is := isUTF16(body); is {
		if len(body)%2 != 0 {
			return nil, io.ErrUnexpectedEOF
		}
		came := bytes.Clone(body)
		units := make([]uint16, 0, len(body)/2)
		for i := skip; i+1 < len(body); i += 2 {
			hi, lo := body[i], body[i+1]
			if !big {
				hi, lo = lo, hi
			}
			units = append(units, uint16(hi)<<8|uint16(lo))
		}
		return &jsonrepair.Source{Came: came, Encoding: jsonrepair.UTF16, Skip: skip}, buf.Fill(ctx, strings.NewReader(string(utf16.Decode(units))))
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // a media type that cannot be read declares nothing.
	}
	switch strings.ToLower(params["charset"]) {
	case "iso-8859-1", "latin1", "iso8859-1", "iso_8859-1", "windows-1252", "cp1252", "us-ascii":
		if utf8.Valid(body) {
			return nil, nil
		}
		came := bytes.Clone(body)
		out := make([]byte, 0, len(body)+len(body)/8)
		for _, c := range body {
			r, ok := jsonrepair.Windows1252(c) // as browsers do, also for what is called Latin-1.
			if !ok {
				r = rune(c)
			}
			out = utf8.AppendRune(out, r)
		}
		return &jsonrepair.Source{Came: came, Encoding: jsonrepair.Latin1}, buf.Fill(ctx, bytes.NewReader(out))
	}
	return nil, nil
}

// isUTF16 tells whether a body is UTF-16, in which order its bytes are, and how long its byte order mark is.
func isUTF16(body []byte) (big bool, skip int, is bool) {
	switch {
	case len(body) < 2:
		return false, 0, false
	case body[0] == 0xFE && body[1] == 0xFF:
		return true, 2, true
	case body[0] == 0xFF && body[1] == 0xFE:
		return false, 2, true
	case body[0] == 0:
		return true, 0, body[1] == '{' || body[1] == '<'
	}
	return false, 0, body[1] == 0 && (body[0] == '{' || body[0] == '<')
}
