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

// toUTF8 rewrites a body in another encoding. UTF-16 tells itself by its byte order mark; Latin-1 must be declared, and is not believed of
// what is valid UTF-8: web servers declare it for everything.
func toUTF8(ctx context.Context, buf *pagebuf.Buffer, contentType string) error {
	body := buf.Bytes()
	if len(body) >= 2 && (body[0] == 0xFE && body[1] == 0xFF || body[0] == 0xFF && body[1] == 0xFE) {
		big := body[0] == 0xFE
		units := make([]uint16, 0, len(body)/2)
		for i := 2; i+1 < len(body); i += 2 {
			hi, lo := body[i], body[i+1]
			if !big {
				hi, lo = lo, hi
			}
			units = append(units, uint16(hi)<<8|uint16(lo))
		}
		return buf.Fill(ctx, strings.NewReader(string(utf16.Decode(units))))
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil //nolint:nilerr // a media type that cannot be read declares nothing.
	}
	switch strings.ToLower(params["charset"]) {
	case "iso-8859-1", "latin1", "iso8859-1", "iso_8859-1", "windows-1252", "cp1252", "us-ascii":
		if utf8.Valid(body) {
			return nil
		}
		out := make([]byte, 0, len(body)+len(body)/8)
		for _, c := range body {
			if c >= 0x80 && c < 0xA0 && windows1252[c-0x80] != 0 {
				out = utf8.AppendRune(out, windows1252[c-0x80]) // as browsers do, also for what is called Latin-1.
				continue
			}
			out = utf8.AppendRune(out, rune(c))
		}
		return buf.Fill(ctx, bytes.NewReader(out))
	}
	return nil
}

// windows1252 is what the bytes from 0x80 to 0x9F stand for; 0: nothing.
var windows1252 = [32]rune{
	0x20AC, 0, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017D, 0,
	0, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0, 0x017E, 0x0178,
}
