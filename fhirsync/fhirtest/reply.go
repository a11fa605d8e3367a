package fhirtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// reply is an answer before it is sent, by whichever way. Faults damage it here, so that both ways show the same damage.
type reply struct {
	status int
	header http.Header
	body   []byte

	delay   time.Duration // before the headers
	hang    bool          // no headers until the client gives up
	lost    bool          // the connection breaks before the headers
	cut     int           // bytes of the body that are sent before the connection breaks; negative: all
	chunked bool          // no Content-Length
	stall   bool          // where cut says, the body stops but the connection stays
	trickle time.Duration // before each piece of the body
	piece   int           // bytes of a piece
}

func newReply(status int, contentType string, body []byte) *reply {
	h := http.Header{}
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	return &reply{status: status, header: h, body: body, cut: -1, piece: 16 << 10}
}

const fhirJSON = "application/fhir+json; charset=utf-8"

// ownCodes is the code system of codes that belong to no vendor in particular.
const ownCodes = "urn:fhirtest:codes"

// outcome makes an OperationOutcome with one issue.
func outcome(severity, code, text string, vendorCodes ...string) []byte {
	return codedOutcome(severity, code, text, ownCodes, vendorCodes)
}

func codedOutcome(severity, code, text, system string, vendorCodes []string) []byte {
	b := append([]byte(nil), `{"resourceType":"OperationOutcome","issue":[{"severity":`...)
	b = appendString(b, severity)
	b = append(b, `,"code":`...)
	b = appendString(b, code)
	if len(vendorCodes) > 0 {
		b = append(b, `,"details":{"coding":[`...)
		for i, v := range vendorCodes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(append(b, `{"system":`...), system)
			b = appendString(append(b, `,"code":`...), v)
			b = append(b, '}')
		}
		b = append(b, `]}`...)
	}
	b = append(b, `,"diagnostics":`...)
	b = appendString(b, text)
	return append(b, `}]}`...)
}

func refuse(status int, code, text string) *reply {
	return newReply(status, fhirJSON, outcome("error", code, text))
}

func htmlPage(title string) []byte {
	return []byte("<!DOCTYPE html>\n<html><head><title>" + title + "</title></head>\n<body><h1>" + title + "</h1></body></html>\n")
}

func compress(b []byte) []byte {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	_, _ = zw.Write(b) // a bytes.Buffer does not fail.
	_ = zw.Close()
	return buf.Bytes()
}

func acceptsGzip(h http.Header) bool { return strings.Contains(h.Get("Accept-Encoding"), "gzip") }

// wait waits for d, or until the client gives up.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// ServeHTTP serves one request over a socket. The path must begin with the path of the base URL.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, "request body", http.StatusRequestEntityTooLarge)
		return
	}
	rep, entry := s.respond(r, body, "http://"+r.Host+r.URL.RequestURI())
	if s.Gzip && acceptsGzip(r.Header) && rep.header.Get("Content-Encoding") == "" {
		rep.body = compress(rep.body)
		rep.header.Set("Content-Encoding", "gzip")
	}
	ctx := r.Context()
	switch {
	case rep.hang:
		<-ctx.Done()
		return
	case wait(ctx, rep.delay) != nil:
		return
	case rep.lost:
		s.hangUp(w)
		return
	}
	s.finish(entry, rep.status)
	out := w.Header()
	maps.Copy(out, rep.header)
	if rep.cut >= 0 && rep.chunked && !rep.stall && s.cutChunks(w, rep) {
		return
	}
	if !rep.chunked {
		out.Set("Content-Length", strconv.Itoa(len(rep.body)))
	}
	w.WriteHeader(rep.status)
	send := rep.body
	if rep.cut >= 0 && rep.cut < len(send) {
		send = send[:rep.cut] // fewer bytes than announced: net/http then closes the connection.
	}
	ctl := http.NewResponseController(w)
	for len(send) > 0 {
		n := min(rep.piece, len(send))
		if wait(ctx, rep.trickle) != nil {
			return
		}
		if _, err := w.Write(send[:n]); err != nil {
			return
		}
		if rep.trickle > 0 || rep.stall || rep.chunked {
			_ = ctl.Flush() // where flushing is not possible the body comes later, not otherwise.
		}
		send = send[n:]
	}
	if rep.stall {
		<-ctx.Done()
	}
}

// hangUp breaks the connection without an answer.
func (s *Server) hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
		return
	}
	w.WriteHeader(http.StatusBadGateway) // HTTP/2 and recorders: no connection to break.
}

// cutChunks sends a chunked body that lacks its end. It is false where the connection cannot be taken over.
func (s *Server) cutChunks(w http.ResponseWriter, rep *reply) bool {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	h := rep.header.Clone()
	h.Set("Transfer-Encoding", "chunked")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	part := rep.body[:min(rep.cut, len(rep.body))]
	_, _ = buf.WriteString("HTTP/1.1 " + strconv.Itoa(rep.status) + " " + http.StatusText(rep.status) + "\r\n")
	_ = h.Write(buf)
	_, _ = buf.WriteString("\r\n" + strconv.FormatInt(int64(len(part)), 16) + "\r\n")
	_, _ = buf.Write(part)
	_ = buf.Flush() // the client sees a broken connection, as intended, whatever fails here.
	return true
}
