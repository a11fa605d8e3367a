package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

// raw serves bytes as they are to each connection, after it has read a request.
func raw(t *testing.T, write func(w *bufio.Writer)) string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				w := bufio.NewWriter(conn)
				write(w)
				_ = w.Flush()
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func own(t *testing.T, base string) (*transport.Hosts, *transport.Client) {
	t.Helper()
	h := new(transport.Hosts)
	h.Name(address(t, base))
	rt := h.RoundTripper()
	t.Cleanup(rt.CloseIdleConnections)
	return h, client(t, rt, func(o *transport.Options) { o.Base = address(t, base) })
}

func TestHeaderFlood(t *testing.T) {
	t.Parallel()
	base := raw(t, func(w *bufio.Writer) {
		_, _ = w.WriteString("HTTP/1.1 200 OK\r\n")
		for i := range 1 << 20 {
			if _, err := fmt.Fprintf(w, "X-%d: %s\r\n", i, strings.Repeat("a", 100)); err != nil {
				return
			}
		}
	})
	_, c := own(t, base)
	if _, _, err := do(t, c, &transport.Request{URL: address(t, base+"/x")}); !errors.Is(err, transport.ErrHeaders) {
		t.Errorf("%v", err)
	}
	if sent, _ := c.Attempts(); sent != 1 {
		t.Errorf("sent %d times", sent)
	}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	quiet := log.New(io.Discard, "", 0)
	unknown := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknown.Config.ErrorLog = quiet
	unknown.StartTLS()
	defer unknown.Close()
	plain := httptest.NewUnstartedServer(http.NotFoundHandler())
	plain.Config.ErrorLog = quiet
	plain.Start()
	defer plain.Close()
	for name, base := range map[string]string{
		"a certificate that nobody knows": unknown.URL,
		"no TLS at all":                   strings.Replace(plain.URL, "http://", "https://", 1),
	} {
		_, c := own(t, base)
		if _, _, err := do(t, c, &transport.Request{URL: address(t, base+"/x")}); !errors.Is(err, transport.ErrTLS) {
			t.Errorf("%s: %v", name, err)
		}
		if sent, _ := c.Attempts(); sent != 1 {
			t.Errorf("%s: sent %d times", name, sent)
		}
	}
}

// Whatever the status is, a proxy's page is an answer or an error, and never a wait without end.
func TestAProxysPageForEveryStatus(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		s := &server{answer: always(status, "<!DOCTYPE html><html></html>", "Content-Type", "text/html")}
		ctx, cancel := context.WithCancel(t.Context())
		r := get(t, "/x")
		r.Retry = func(transport.Retry) { cancel() } // that it would be repeated is enough to know here.
		r.Check = func(resp *transport.Response) error {
			if resp.Status == http.StatusOK && !transport.LooksJSON(resp.Body()) {
				return transport.ErrNotJSON
			}
			return nil
		}
		resp, err := client(t, s, nil).Do(ctx, r)
		switch {
		case resp != nil && resp.Status != status:
			t.Errorf("%d: %d", status, resp.Status)
		case resp == nil && !errors.Is(err, context.Canceled):
			t.Errorf("%d: %v", status, err)
		case status == http.StatusOK && !errors.Is(err, transport.ErrNotJSON):
			t.Errorf("%d: %v", status, err)
		}
		resp.Release()
		cancel()
		if s.open != 0 {
			t.Errorf("%d: %d bodies left open", status, s.open)
		}
	}
}

func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	t.Parallel()
	hit := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit = true }))
	defer inside.Close()
	h := new(transport.Hosts)
	h.Name(address(t, "https://fhir.example.test/r4"))
	rt := h.RoundTripper()
	defer rt.CloseIdleConnections()
	port := address(t, inside.URL).Port()
	for _, target := range []string{"http://127.0.0.1:" + port, "http://localhost:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://0.0.0.0:" + port, "http://169.254.169.254", "http://10.0.0.1", "http://[fd00::1]", "http://[fe80::1]", "http://100.64.0.1"} {
		// A client whose base is that address although nobody has named it: what is looked at is the dialler.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := client(t, rt, func(o *transport.Options) { o.Base = address(t, target) }).Do(ctx, &transport.Request{URL: address(t, target+"/latest/meta-data")})
		cancel()
		if !errors.Is(err, transport.ErrPrivate) {
			t.Errorf("%s: %v", target, err)
		}
	}
	if hit {
		t.Error("the server inside was asked")
	}
	_, c := own(t, inside.URL)
	if _, _, err := do(t, c, &transport.Request{URL: address(t, inside.URL)}); err != nil || !hit {
		t.Errorf("a server that the caller has named: %v", err)
	}
}

func TestANameThatMovesInside(t *testing.T) {
	t.Parallel()
	public, private := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("10.1.2.3")
	var h transport.Hosts
	for _, host := range []string{"fhir.example.test", "intranet.example.test"} {
		h.Name(&url.URL{Host: host + ":8443"})
	}
	for _, c := range []struct {
		host string
		ip   netip.Addr
		want bool
	}{
		{"fhir.example.test", public, true},
		{"fhir.example.test", private, false}, // rebound
		{"FHIR.example.test.", private, false},
		{"fhir.example.test", public, true},
		{"intranet.example.test", private, true},
		{"intranet.example.test", public, true},
		{"intranet.example.test", private, true},
		{"elsewhere.example.test", public, true},
		{"elsewhere.example.test", private, false},
	} {
		if got := transport.Allow(&h, c.host, c.ip); got != c.want {
			t.Errorf("%s at %s: %t", c.host, c.ip, got)
		}
	}
}
