package fhirsync_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// renewing is a token source whose tokens must show nowhere, and which fails in the end with a body full of secrets.
type renewing struct {
	n    atomic.Int32
	most int32
}

func (r *renewing) Token() (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: theToken + strings.Repeat("x", int(r.n.Load())), RefreshToken: theToken}, nil
}

func (r *renewing) Renew(*oauth2.Token) (*oauth2.Token, error) {
	if r.n.Add(1) > r.most {
		return nil, &oauth2.RetrieveError{
			ErrorCode: "invalid_grant", ErrorDescription: theToken, Body: []byte(theToken),
			Response: &http.Response{StatusCode: http.StatusBadRequest, Status: "400 " + theToken},
		}
	}
	return r.Token()
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestNothingPrivateIsEmitted looks at all that leaves the library besides the store and the report, in whole runs under every fault: logs,
// events, traces, the messages of errors. None of it may hold a token, a caller's header, an id or a value of a query.
func TestNothingPrivateIsEmitted(t *testing.T) {
	t.Parallel()
	faults := append(fhirtest.Faults(), fhirtest.HostileFaults(evilBase)...)
	faults = append(faults, fhirtest.TooManyRequests(0, "7200").After(30), fhirtest.TokenDies(7), fhirtest.TokenDies(0),
		fhirtest.ConnectionLost().On(fhirtest.Search).Times(4), fhirtest.ConnectionLost().For("Observation"), fhirtest.ConnectionLost().After(3), fhirtest.Hang().For("Observation"))
	for _, f := range faults {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 31, Size: 40, Dangling: 2, PatientID: "private-patient-77"})
				other := fhirtest.Generate(fhirtest.Options{Seed: 32, Size: 30})
				srv := fhirtest.NewServer(rec, other)
				srv.Put(baits(rec.PatientID)...)
				srv.MaxCount = 20
				srv.Inject(f)
				var out lockedBuffer // the log and the trace are written at the same time.
				emit := func(kind, text string) { _, _ = io.WriteString(&out, kind+": "+text+"\n") }
				server := guarded(srv.BaseURL())
				server.TokenSource = &renewing{most: 3}
				cfg := fhirsync.Config{MaxPage: 8 << 20, Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
				events := 0
				rep, err := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{
					OnEvent: func(e fhirsync.Event) {
						events++
						raw, err := json.Marshal(e)
						if err != nil {
							t.Error(err)
						}
						emit(e.Kind(), string(raw))
					},
					Trace: &out,
				})
				if err != nil {
					emit("error", err.Error())
				}
				for _, g := range rep.Gaps {
					emit("detail", g.Detail)
					for e := g.Err; e != nil; e = errors.Unwrap(e) {
						// Only what this library says itself: an error of net/http below it is for who looks for it by type.
						if fail, ok := errors.AsType[*fhirsync.ServerError](e); ok {
							emit("gap", fail.Error())
							break
						}
					}
				}
				if events == 0 {
					t.Error("no events")
				}
				secrets := map[string]string{theToken: "the token", theKey: "the header", rec.PatientID: "the patient id", "evil.example.test": "another host"}
				for ref := range srv.Want(rec.PatientID) {
					if _, id, _ := strings.Cut(ref, "/"); len(id) > 5 {
						secrets[id] = "an id"
					}
				}
				for ref := range srv.Own(other.PatientID) {
					if _, id, _ := strings.Cut(ref, "/"); len(id) > 5 {
						secrets[id] = "another's id"
					}
				}
				text := out.String()
				for secret, what := range secrets {
					if i := strings.Index(text, secret); i >= 0 {
						t.Errorf("%s (%s) is in: %.300s", what, secret, line(text, i))
					}
				}
			})
		})
	}
}

func line(text string, at int) string {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	rest, _, _ := strings.Cut(text[start:], "\n")
	return rest
}

// TestEveryWaitIsTold: what a sync waits for, its events say, with the reason and the length.
func TestEveryWaitIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 33, Size: 120})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.TooManyRequests(1, "40").After(10), fhirtest.ConnectionLost().After(20).Times(1))
		reasons := map[string]int{}
		retries := map[string]fhirsync.RetryScheduled{}
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{
			OnEvent: func(e fhirsync.Event) {
				switch e := e.(type) {
				case fhirsync.Waited:
					reasons[e.Reason]++
					if e.Wait <= 0 || e.Op == "" {
						t.Errorf("%+v", e)
					}
				case fhirsync.RetryScheduled:
					retries[e.Reason] = e
				}
			},
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		if reasons["rate"] == 0 || reasons["pause"] == 0 {
			t.Errorf("waits by reason: %v", reasons)
		}
		if r := retries["status"]; r.StatusCode != http.StatusTooManyRequests || r.Wait.Seconds() != 40 || r.Attempt != 1 {
			t.Errorf("retries: %+v", retries)
		}
		if r := retries["connection lost"]; r.Wait <= 0 {
			t.Errorf("retries: %+v", retries)
		}
	})
}

// TestBadInputIsATypedError: each kind of nonsense ends in its own words, soon, and as a gap.
func TestBadInputIsATypedError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault fhirtest.Fault
		want  string // in the gap for Observation
	}{
		{fhirtest.RedirectChain(), "too many redirects"},
		{fhirtest.Redirect("https://fhir.example.test/r4"), "too many redirects"},
		{fhirtest.Redirect(evilBase), "leads to another origin"},
		{fhirtest.RedirectTo(http.StatusFound, "file:///etc/passwd"), "leads to another origin"},
		{fhirtest.RedirectTo(http.StatusFound, "https://%zz"), "redirect that cannot be followed"},
		{fhirtest.RedirectTo(http.StatusFound, strings.Repeat("a", 1<<20)), "redirect that cannot be followed"},
		{fhirtest.RedirectTo(http.StatusMultipleChoices, evilBase), "300"},
		{fhirtest.Encoding("br"), "content encoding not supported"},
		{fhirtest.GzipBomb(32 << 20), "body larger than the size cap"},
		{fhirtest.Hang(), "no answer in time"},
		{fhirtest.StalledBody(), "answer too slow"},
		{fhirtest.HTMLError(http.StatusBadGateway), "502"},
		{fhirtest.HTMLError(http.StatusTooManyRequests), "429"},
		{fhirtest.LoginPage(), "not a FHIR server"},
		{fhirtest.ConnectionLost(), "connection lost"},
	} {
		t.Run(c.fault.Name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 34, Size: 60, Types: []string{"Observation", "Condition"}})
				srv := fhirtest.NewServer(rec)
				srv.Inject(c.fault.For("Observation"))
				rep, err := newClient(t, srv, fhirsync.Config{MaxPage: 8 << 20, Strategy: fhirsync.SearchByType()}).Sync(
					t.Context(), guarded(srv.BaseURL()), rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{Types: []string{"Observation", "Condition"}})
				if !errors.Is(err, fhirsync.ErrIncomplete) || rep.Types["Condition"].Stored == 0 {
					t.Errorf("%v\n%s", err, rep)
				}
				found := false
				for _, g := range rep.Gaps {
					found = found || g.Type == "Observation" && strings.Contains(g.Detail, c.want)
				}
				if !found {
					t.Errorf("no gap says %q\n%s", c.want, rep)
				}
				if d := rep.Finished.Sub(rep.Started); d.Hours() > 2 {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}
