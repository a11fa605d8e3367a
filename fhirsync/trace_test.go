package fhirsync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// replayed is what a replay must have in common with the sync it is of.
type replayed struct {
	Verdict  string
	Received map[string]int
	Gaps     map[string]int // by type and reason
}

func replayedOf(rep *fhirsync.Report) replayed {
	o := replayed{Verdict: rep.Verdict.String(), Received: map[string]int{}, Gaps: map[string]int{}}
	for typ, t := range rep.Types {
		if t.Received > 0 {
			o.Received[typ] = t.Received
		}
	}
	for _, g := range rep.Gaps {
		o.Gaps[strings.TrimSpace(g.Type+" "+string(g.Reason))]++
	}
	return o
}

// deviations are faults of which a replay can give another report, and why. The verdict is the same all the same.
var deviations = map[string]string{
	"TokenDies(5)": "the sync ends in the middle, and which of the questions under way were answered before is chance",
	"IDListCut(2)": "which ids come first in a list, and so are found, depends on the ids, which are others in a replay",
}

// searching are faults under which there is very much to ask or to read for each type; one type shows it as well as all.
var searching = []string{"EntryWithoutID", "EndlessPages", "CountWrong(+2)", "WrongTotal(+3)", "HugePage(1048576)"}

// replay pulls from a server with a trace, and then from the trace.
func replay(t *testing.T, srv *fhirtest.Server, patientID string, types []string) (first, second *fhirsync.Report, p *fhirtest.Playback) {
	t.Helper()
	var trace bytes.Buffer
	// Where something is missing the error says so too; the reports are compared.
	first, _ = newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, patientID, new(memstore.Store),
		&fhirsync.SyncOptions{Types: types, Trace: &trace})
	p, err := fhirtest.Replay(&trace)
	if err != nil {
		t.Fatal(err)
	}
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: p.Client()})
	if err != nil {
		t.Fatal(err)
	}
	second, _ = client.Sync(t.Context(), fhirsync.Server{BaseURL: p.BaseURL()}, p.PatientID(), new(memstore.Store), &fhirsync.SyncOptions{Types: types})
	return first, second, p
}

// TestReplay pulls from a server with each fault, and then from the trace of that: the report must be the same. What a sync asks beside its
// longest search depends on what has come by then: where the second one asked what the first had not, it has gone another way, and the trace
// cannot tell. Then both are done anew.
func TestReplay(t *testing.T) {
	t.Parallel()
	const tries = 8
	of := func(everything bool, faults []fhirtest.Fault) {
		for _, f := range faults {
			t.Run(f.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					for try := 1; ; try++ {
						diff, unmatched := replayDiffers(t, everything, f)
						if diff == "" {
							return
						}
						if len(unmatched) == 0 || try == tries {
							t.Fatalf("the replay differs (-recorded +replayed):\n%s\nno answer to:\n%s", diff, strings.Join(unmatched, "\n"))
						}
					}
				})
			})
		}
	}
	of(false, fhirtest.Faults())
	of(true, fhirtest.EverythingFaults())
}

// replayDiffers gives in what a replay differs, and what was asked that the trace has no answer for.
func replayDiffers(t *testing.T, everything bool, f fhirtest.Fault) (diff string, unmatched []string) {
	t.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 11, Size: 110, Dangling: 2, Secondary: 3})
	srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 12, Size: 110}))
	srv.MaxCount = 20
	srv.Everything = everything
	srv.Inject(f)
	var types []string
	if slices.Contains(searching, f.Name) {
		types = []string{"Observation"}
	}
	first, second, p := replay(t, srv, rec.PatientID, types)
	want, got := replayedOf(first), replayedOf(second)
	if why, ok := deviations[f.Name]; ok {
		t.Log("only the verdict is compared:", why)
		want, got = replayed{Verdict: want.Verdict}, replayed{Verdict: got.Verdict}
	}
	return cmp.Diff(want, got), p.Unmatched()
}

// metadata is what a server says about itself.
func metadata(t *testing.T, srv *fhirtest.Server) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.BaseURL()+"/metadata", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := fhirtest.NewServer().Client().Do(req) // of a server without faults.
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// stringsIn collects the string values of a JSON text, and gives the names of its members.
func stringsIn(t *testing.T, raw []byte, into map[string]bool) (names []string) {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			into[v] = true
		case json.Number:
			into[v.String()] = true
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for name, e := range v {
				names = append(names, name)
				walk(e)
			}
		}
	}
	walk(v)
	return names
}

// TestTraceHoldsNothing looks for everything that a server was told and said in the trace of that.
func TestTraceHoldsNothing(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]fhirtest.Fault{
		"honest":  nil,
		"links":   {fhirtest.NextForeignHost("http://10.0.66.99:8080/secret")},
		"cut":     {fhirtest.PageCap(3), fhirtest.CountUnsupported()},
		"foreign": {fhirtest.ForeignMixed(2), fhirtest.SelfVerbatim()},
		"absolute": {
			fhirtest.BareIDFindsNothing(), fhirtest.TypedIDFindsNothing(), fhirtest.Redirect("https://elsewhere.fhirtest.example/secret").For("Goal"),
		},
		"broken":  {fhirtest.BrokenEntry("NaN"), fhirtest.TruncatedJSON().Times(1), fhirtest.EntryWithoutID().For("Goal"), fhirtest.WrongIDOnRead().For("Location")},
		"refused": {fhirtest.ParamRequired("category").For("Observation"), fhirtest.LoginPage().After(9).Times(2), fhirtest.OutcomeEntry("warning", "incomplete", "4119")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 31, Size: 150, Dangling: 3, Secondary: 4, Attachments: 2})
				other := fhirtest.Generate(fhirtest.Options{Seed: 32, Size: 110})
				srv := fhirtest.NewServer(rec, other)
				srv.MaxCount = 20
				srv.Everything = name == "links"
				srv.Inject(faults...)
				var trace bytes.Buffer
				server := fhirsync.Server{
					Name: "a-name-of-the-caller", BaseURL: srv.BaseURL(), Header: http.Header{"X-Client": {"secret-of-a-header"}},
					TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "secret-of-a-token"}),
				}
				_, _ = newClient(t, srv, fhirsync.Config{UserAgent: "secret-agent"}).Sync(t.Context(), server, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{Trace: &trace})

				values := map[string]bool{"a-name-of-the-caller": true, "secret": true, "fhir.example.test": true, "10.0.66.99": true, "elsewhere": true}
				ids := map[string]bool{}
				// What the trace may hold although some element has it as its value: names of types, parameters and elements, and words of
				// the format itself.
				words := []string{"text/html fhirsync-0-none outcome information incomplete received failed", metadata(t, srv)}
				for _, r := range slices.Concat(rec.Resources, rec.Referenced, other.Resources, other.Referenced) {
					values[r.ID], ids[r.ID] = true, true
					words = append(words, stringsIn(t, r.Raw, values)...)
					for _, p := range r.Params {
						values[p.Value] = true
					}
				}
				for _, ref := range rec.Dangling {
					_, id, _ := strings.Cut(ref, "/")
					values[id] = true
				}
				for _, q := range srv.Requests() {
					for name, list := range q.Query {
						for _, v := range list {
							if name != "_count" && name != "_summary" && name != "_total" && !strings.Contains(name, ":missing") {
								values[v] = true
							}
						}
					}
				}
				// Numbers of bytes, milliseconds and placeholders look like years.
				text := regexp.MustCompile(`((?:":|\{[a-z]+-))[0-9]+\b`).ReplaceAllString(trace.String(), `${1}0`)
				allowed := strings.Join(words, "\n")
				for v := range values {
					if at := strings.Index(text, v); len(v) > 3 && at >= 0 && (ids[v] || !strings.Contains(allowed, v)) {
						t.Errorf("%q is there: …%s…", v, text[max(0, at-60):min(len(text), at+60)])
					}
				}
				if n := bytes.Count(trace.Bytes(), []byte("\n")); n < 40 || len(values) < 500 {
					t.Errorf("only %d lines and %d values were looked at", n, len(values))
				}
			})
		})
	}
}

// failing is a writer that fails after some lines.
type failing struct {
	lines, calls int
	err          error // nil: it writes too little
}

func (f *failing) Write(p []byte) (int, error) {
	if f.calls++; f.calls > f.lines {
		return len(p) / 2, f.err
	}
	return len(p), nil
}

func TestTraceThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, w := range []*failing{{0, 0, errors.New("disk full")}, {7, 0, errors.New("disk full")}, {3, 0, nil}} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 5})
			srv := fhirtest.NewServer(rec)
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, &fhirsync.SyncOptions{Trace: w})
			if err != nil || rep.Verdict != fhirsync.Complete {
				t.Errorf("%v\n%s", err, rep)
			}
			if w.calls != w.lines+1 {
				t.Errorf("written to %d times, %d were good", w.calls, w.lines)
			}
			if !slices.ContainsFunc(rep.Notes, func(n fhirsync.Note) bool {
				return strings.Contains(n.Detail, "trace") && !strings.Contains(n.Detail, "disk")
			}) {
				t.Errorf("nothing says so:\n%s", rep)
			}
		})
	}
}

// TestTraceChangesNothing compares a sync with and without.
func TestTraceChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 6, Size: 150, Dangling: 2, Secondary: 3})
		reports := map[bool]*fhirsync.Report{}
		for _, traced := range []bool{false, true} {
			srv := fhirtest.NewServer(rec)
			srv.MaxCount = 15
			srv.Gzip = true
			srv.Inject(fhirtest.TooManyRequests(2, "3"), fhirtest.TruncatedBody().Times(2), fhirtest.Slow(20*time.Millisecond))
			opts := &fhirsync.SyncOptions{}
			if traced {
				opts.Trace = io.Discard
			}
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, opts)
			if err != nil {
				t.Error(err)
			}
			if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
				t.Errorf("lost %v, not to be there %v", lost, alien)
			}
			if n := srv.Unclosed(); n != 0 {
				t.Errorf("%d bodies were not closed", n)
			}
			reports[traced] = rep
		}
		if diff := cmp.Diff(replayedOf(reports[false]), replayedOf(reports[true])); diff != "" {
			t.Errorf("(-without +with)\n%s", diff)
		}
	})
}

// A Client that knows the server's metadata does not ask for it again. The trace has it all the same.
func TestTraceOfALaterSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 8})
		srv := fhirtest.NewServer(rec)
		client := newClient(t, srv, fhirsync.Config{})
		if _, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil); err != nil {
			t.Fatal(err)
		}
		var trace bytes.Buffer
		if _, err := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{Trace: &trace}); err != nil {
			t.Fatal(err)
		}
		p, err := fhirtest.Replay(&trace)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := fhirsync.New(fhirsync.Config{HTTPClient: p.Client()})
		if err != nil {
			t.Fatal(err)
		}
		caps, err := fresh.Capabilities(t.Context(), fhirsync.Server{BaseURL: p.BaseURL()})
		if err != nil || len(caps.Types()) < 40 || !caps.ListsParam("Observation", "patient") || caps.SoftwareName != "fhirtest" {
			t.Errorf("%v %+v", err, caps)
		}
	})
}

// A sync that is ended in the middle leaves a trace that can be read.
func TestTraceOfAnInterruptedSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 9, Size: 200})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.Slow(time.Second))
		var trace bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 7500*time.Millisecond)
		defer cancel()
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(ctx, fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), &fhirsync.SyncOptions{Trace: &trace})
		if err == nil || !rep.Interrupted {
			t.Fatalf("%v\n%s", err, rep)
		}
		text := trace.String()
		if !strings.Contains(text, `"failure":"cancelled"`) || !strings.Contains(text, `"ms":1000`) {
			t.Errorf("not as it was:\n%s", text)
		}
		for _, cut := range []int{len(text), len(text) - 20} {
			p, err := fhirtest.Replay(strings.NewReader(text[:cut]))
			if err != nil || p.PatientID() != "id-1" {
				t.Errorf("cut at %d of %d: %v", cut, len(text), err)
			}
		}
	})
}
