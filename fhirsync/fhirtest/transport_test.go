package fhirtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// ways runs a test in process and over a socket.
func ways(t *testing.T, run func(t *testing.T, s *fhirtest.Server, c *http.Client)) {
	t.Helper()
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 60, PatientID: "p"})
	t.Run("in process", func(t *testing.T) {
		t.Parallel()
		s := fhirtest.NewServer(record)
		run(t, s, s.Client())
		if n := s.Unclosed(); n != 0 {
			t.Errorf("%d bodies left open", n)
		}
	})
	t.Run("over a socket", func(t *testing.T) {
		t.Parallel()
		s := fhirtest.NewServer(record)
		_, stop, err := s.Start()
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		run(t, s, &http.Client{Transport: &http.Transport{}})
	})
}

func TestTruncationLooksTheSameEitherWay(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *fhirtest.Server, c *http.Client) {
		t.Helper()
		whole := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
		for _, f := range []fhirtest.Fault{fhirtest.TruncatedBody(), fhirtest.TruncatedChunks()} {
			s.Inject(f)
			a := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
			s.Heal()
			if !errors.Is(a.err, io.ErrUnexpectedEOF) || a.status != http.StatusOK || len(a.body) != len(whole.body)/2 {
				t.Errorf("%s: %v, status %d, %d of %d bytes", f.Name, a.err, a.status, len(a.body), len(whole.body))
			}
		}
		s.Inject(fhirtest.TruncatedJSON())
		if a := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p"); a.err != nil || len(a.body) != len(whole.body)*2/3 {
			t.Errorf("TruncatedJSON: %v, %d of %d bytes", a.err, len(a.body), len(whole.body))
		}
		s.Heal()
		s.Inject(fhirtest.ConnectionLost())
		a := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
		if !errors.Is(a.err, io.EOF) && !errors.Is(a.err, syscall.ECONNRESET) {
			t.Errorf("ConnectionLost: %v", a.err)
		}
		log := s.Requests()
		if last := log[len(log)-1]; last.Status != 0 {
			t.Errorf("a lost request has status %d in the log", last.Status)
		}
	})
}

func TestGzip(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *fhirtest.Server, c *http.Client) {
		t.Helper()
		whole := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
		s.Inject(fhirtest.GzipCorrupt())
		a := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
		if a.err == nil || len(a.body) != len(whole.body) {
			t.Errorf("transparent: %v, %d bytes", a.err, len(a.body))
		}
		a = get(t.Context(), c, s.BaseURL()+"/Observation?patient=p", "Accept-Encoding", "gzip")
		if a.err != nil || a.header.Get("Content-Encoding") != "gzip" || len(a.body) >= len(whole.body) {
			t.Errorf("asked for: %v, %v, %d bytes", a.err, a.header, len(a.body))
		}
	})
	s := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1}))
	s.Gzip = true
	if a := get(t.Context(), s.Client(), s.BaseURL()+"/metadata", "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "gzip" || len(a.body) == 0 || a.body[0] != 0x1f {
		t.Errorf("honest gzip: %v", a.header)
	}
}

func TestResponseHeaders(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *fhirtest.Server, c *http.Client) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.BaseURL()+"/Patient/p", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", "identity")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		want := int64(len(s.Own("p")["Patient/p"]))
		if _, err := http.ParseTime(res.Header.Get("Date")); err != nil || res.ContentLength != want || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/fhir+json") {
			t.Errorf("%v %d %v", res.Header, res.ContentLength, err)
		}
	})
}

func TestForeignHosts(t *testing.T) {
	t.Parallel()
	s := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"}))
	s.Inject(fhirtest.NextForeignHost("http://10.0.66.99:8080/fhir"))
	next := page(t, s, "Observation?patient=p").link("next")
	a := get(t.Context(), s.Client(), next, "Authorization", "Bearer secret")
	if dns, ok := errors.AsType[*net.DNSError](a.err); !ok || !dns.IsNotFound {
		t.Errorf("foreign host: %v", a.err)
	}
	s.Alias("http://10.0.66.99:8080/fhir/")
	if b := page(t, s, next); len(b.Entry) != 20 {
		t.Errorf("alias: %d entries", len(b.Entry))
	}
	log := s.Requests()
	if len(log) != 3 || log[1].Interaction != fhirtest.Foreign || log[1].Header.Get("Authorization") == "" || log[1].Status != 0 ||
		log[2].Interaction != fhirtest.Foreign || log[2].URL != next || log[2].Status != 200 {
		t.Errorf("log %+v", log)
	}
}

func TestTimePassesOnlyInTheBubble(t *testing.T) {
	t.Parallel()
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"})
	synctest.Test(t, func(t *testing.T) {
		s := fhirtest.NewServer(record)
		c := s.Client()
		s.Inject(fhirtest.Slow(time.Hour).Times(1))
		start := time.Now()
		if a := get(t.Context(), c, s.BaseURL()+"/Patient/p"); a.status != 200 || time.Since(start) != time.Hour {
			t.Errorf("Slow: %d after %v", a.status, time.Since(start))
		}
		// A client that gives up, in each phase.
		for _, f := range []fhirtest.Fault{fhirtest.Hang(), fhirtest.Slow(time.Hour), fhirtest.StalledBody(), fhirtest.SlowBody(time.Minute)} {
			s.Heal()
			s.Inject(f)
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			start := time.Now()
			a := get(ctx, c, s.BaseURL()+"/Observation?patient=p")
			cancel()
			if !errors.Is(a.err, context.DeadlineExceeded) || time.Since(start) != 90*time.Second {
				t.Errorf("%s: %v after %v", f.Name, a.err, time.Since(start))
			}
		}
		// The time-out of the client itself.
		s.Heal()
		s.Inject(fhirtest.StalledBody())
		c.Timeout = time.Minute
		start = time.Now()
		a := get(t.Context(), c, s.BaseURL()+"/Observation?patient=p")
		if ne, ok := errors.AsType[net.Error](a.err); !ok || !ne.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("client time-out: %v after %v", a.err, time.Since(start))
		}
		// Closing a body that stalls ends a read that waits.
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.BaseURL()+"/Observation?patient=p", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.RoundTripper().RoundTrip(req) //nolint:bodyclose // closed below, while another goroutine reads it.
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() {
			_, err := io.Copy(io.Discard, res.Body)
			done <- err
		}()
		synctest.Wait()
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("a read on a closed body succeeds")
		}
		if n := s.Unclosed(); n != 0 {
			t.Errorf("%d bodies left open", n)
		}
		// Dates in Retry-After follow the clock of the bubble, and so does the window of a rate limit.
		s.Heal()
		s.Inject(fhirtest.TooManyRequestsUntil(1, 10*time.Minute), fhirtest.RateLimit(2, time.Minute))
		a = get(t.Context(), c, s.BaseURL()+"/Patient/p")
		until, err := http.ParseTime(a.header.Get("Retry-After"))
		date, err2 := http.ParseTime(a.header.Get("Date"))
		if err != nil || err2 != nil || until.Sub(date) < 10*time.Minute || until.Sub(date) > 10*time.Minute+time.Second {
			t.Errorf("Retry-After %v, Date %v", until, date)
		}
		var codes []int
		for range 3 {
			codes = append(codes, get(t.Context(), c, s.BaseURL()+"/Patient/p").status)
		}
		time.Sleep(time.Minute)
		codes = append(codes, get(t.Context(), c, s.BaseURL()+"/Patient/p").status)
		if codes[0] != 200 || codes[1] != 200 || codes[2] != 429 || codes[3] != 200 {
			t.Errorf("rate limit: %v", codes)
		}
	})
}

func TestHangOverASocketEndsWithTheClient(t *testing.T) {
	t.Parallel()
	s := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 1, PatientID: "p"}))
	_, stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, f := range []fhirtest.Fault{fhirtest.Hang(), fhirtest.StalledBody(), fhirtest.Slow(time.Hour), fhirtest.SlowBody(time.Hour)} {
		s.Heal()
		s.Inject(f)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		a := get(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, s.BaseURL()+"/Observation?patient=p")
		cancel()
		if !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", f.Name, a.err)
		}
	}
}
