package drivertest_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// prepared gives what a server has answered before to the same request, as bytes that are there. What it costs the server to make a page is
// no part of what a client can do, and both are on the same cores here.
type prepared struct {
	srv *fhirtest.Server

	mu   gosync.Mutex
	have map[string]*httptest.ResponseRecorder
}

// startPrepared serves records as start does, with each answer made once.
func startPrepared(tb testing.TB, records ...*fhirtest.Record) (*fhirtest.Server, fhirsync.Server) {
	tb.Helper()
	p := &prepared{srv: fhirtest.NewServer(records...), have: map[string]*httptest.ResponseRecorder{}}
	ts := httptest.NewServer(p)
	tb.Cleanup(ts.Close)
	path := ""
	if u, err := url.Parse(p.srv.BaseURL()); err == nil {
		path = u.Path
	}
	p.srv.SetBaseURL(ts.URL + path)
	return p.srv, fhirsync.Server{Name: "payer", BaseURL: ts.URL + path}
}

func (p *prepared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the request was cut off", http.StatusBadRequest)
		return
	}
	key := r.Method + " " + r.URL.RequestURI() + "\n" + string(body)
	p.mu.Lock()
	answer := p.have[key]
	p.mu.Unlock()
	if answer == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer = httptest.NewRecorder()
		p.srv.ServeHTTP(answer, r)
		p.mu.Lock()
		p.have[key] = answer
		p.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // a client that is gone needs nothing.
}
