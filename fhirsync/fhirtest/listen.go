package fhirtest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Start serves on a free loopback port and makes that address, with the path of the present base URL, the base URL. stop
// ends it, breaks open connections and waits for the end; it may be called more than once. The base URL stays what it is,
// so that Want still gives the bytes that were served.
func (s *Server) Start() (base string, stop func(), err error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	path := ""
	if u, err := url.Parse(s.BaseURL()); err == nil {
		path = u.Path
	}
	base = "http://" + ln.Addr().String() + path
	s.SetBaseURL(base)
	srv := &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // always an error; after Close it is the expected one.
	}()
	return base, func() {
		_ = srv.Close() // nothing to do about an error: the listener is gone either way.
		<-done
	}, nil
}
