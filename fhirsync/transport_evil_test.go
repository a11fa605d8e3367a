package fhirsync_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

const (
	evilBase = "https://evil.example.test/fhir"
	theToken = "s3cret-token-9f27"
	theKey   = "s3cret-key-51c0"
)

// unpaced is for tests that look at something else than the pace.
var unpaced = ratelimit.Policy{Rate: -1, Concurrency: 8}

func guarded(base string) fhirsync.Server {
	return fhirsync.Server{
		Name: "payer", BaseURL: base, TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: theToken}),
		Header: http.Header{"X-Api-Key": {theKey}},
	}
}

// baits are resources of the patient that name the other host in every place where an address can stand.
func baits(patientID string) []fhirtest.Resource {
	of := fhirtest.Of(patientID, "patient", "subject")
	subject := `"subject":{"reference":"Patient/` + patientID + `"}`
	return []fhirtest.Resource{
		{
			Type: "Observation", ID: "bait-1", Owner: patientID, Params: of,
			Raw: []byte(`{"resourceType":"Observation","id":"bait-1","status":"final","code":{"text":"x"},` + subject + `,"performer":[{"reference":"` + evilBase + `/Practitioner/1"}],` +
				`"encounter":{"reference":"//evil.example.test/fhir/Encounter/1"},"basedOn":[{"reference":"https://fhir.example.test@evil.example.test/r4/CarePlan/1"}],` +
				`"extension":[{"url":"` + evilBase + `/StructureDefinition/x","valueUri":"` + evilBase + `/x"}]}`),
		},
		{
			Type: "DocumentReference", ID: "bait-2", Owner: patientID, Params: of,
			Raw: []byte(`{"resourceType":"DocumentReference","id":"bait-2","status":"current",` + subject + `,"content":[{"attachment":{"contentType":"application/pdf","url":"` + evilBase + `/Binary/1"}}],` +
				`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><img src=\"` + evilBase + `/pixel\"/></div>"}}`),
		},
	}
}

// TestEvilHost: whatever a server says, another host sees neither the token nor the caller's header, nor any request at all.
func TestEvilHost(t *testing.T) {
	t.Parallel()
	faults := append([]fhirtest.Fault{{Name: "references and attachments"}}, fhirtest.HostileFaults(evilBase)...)
	for _, strategy := range []fhirsync.Strategy{fhirsync.Auto(), fhirsync.SearchByType(), fhirsync.Everything()} {
		for _, f := range faults {
			t.Run(strategy.Name()+" "+f.Name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rec := fhirtest.Generate(fhirtest.Options{Seed: 21, Size: 120})
					srv := fhirtest.NewServer(rec)
					srv.Put(baits(rec.PatientID)...)
					srv.Everything, srv.MaxCount = true, 10
					srv.Alias(evilBase) // it would answer, and be believed.
					srv.Alias("https://evil.example.test")
					srv.Inject(f)
					store := new(memstore.Store)
					cfg := fhirsync.Config{Strategy: strategy, MaxPage: 8 << 20, Limit: unpaced}
					start := time.Now()
					rep, err := newClient(t, srv, cfg).Sync(t.Context(), guarded(srv.BaseURL()), rec.PatientID, store, nil)
					seen := 0
					for _, r := range srv.Requests() {
						if r.Interaction == fhirtest.Foreign {
							t.Errorf("the evil host was asked: %s %.100s, token %t, header %t", r.Method, r.URL, r.Header.Get("Authorization") != "", r.Header.Get("X-Api-Key") != "")
							continue
						}
						seen++
						if r.Header.Get("Authorization") != "Bearer "+theToken || r.Header.Get("X-Api-Key") != theKey {
							t.Errorf("the server itself did not get them: %s", r.URL)
						}
					}
					lost, _ := missing(srv, rec.PatientID, store)
					if len(lost) > 0 && rep.Verdict == fhirsync.Complete {
						t.Errorf("complete, and missing: %v\n%s", lost, rep)
					}
					if d := time.Since(start); d > 2*time.Hour {
						t.Errorf("it took %v", d)
					}
					if n := srv.Unclosed(); n != 0 {
						t.Errorf("%d bodies left open", n)
					}
					t.Logf("%d requests to the server, 0 elsewhere; %d resources lost, verdict %s, %d gaps, in %v (%v)", seen, len(lost), rep.Verdict, len(rep.Gaps), time.Since(start).Round(time.Second), err)
				})
			})
		}
	}
}

// TestEvilHostOverSockets is the same with two servers that listen, and the library's own transport.
func TestEvilHostOverSockets(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var caught []string
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		caught = append(caught, r.URL.String())
		w.Header().Set("Content-Type", "application/fhir+json")
		_, _ = io.WriteString(w, `{"resourceType":"Bundle","type":"searchset","entry":[]}`)
	}))
	defer evil.Close()
	for _, f := range []fhirtest.Fault{
		fhirtest.Redirect(evil.URL), fhirtest.Redirect(evil.URL).For("Observation"), fhirtest.Redirect(evil.URL).On(fhirtest.Page),
		fhirtest.NextForeignHost(evil.URL), fhirtest.NextVerbatim(evil.URL + "/?page=2"), fhirtest.AcceptedAt(evil.URL + "/job"),
	} {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 22, Size: 60})
		srv := fhirtest.NewServer(rec)
		srv.MaxCount, srv.Everything = 10, true
		for _, r := range baits(rec.PatientID) {
			r.Raw = []byte(strings.ReplaceAll(string(r.Raw), evilBase, evil.URL))
			srv.Put(r)
		}
		base, stop, err := srv.Start()
		if err != nil {
			t.Fatal(err)
		}
		srv.Inject(f)
		c, err := fhirsync.New(fhirsync.Config{Limit: unpaced})
		if err != nil {
			t.Fatal(err)
		}
		store := new(memstore.Store)
		rep, err := c.Sync(t.Context(), guarded(base), rec.PatientID, store, nil)
		if lost, _ := missing(srv, rec.PatientID, store); rep == nil || len(lost) > 0 && rep.Verdict == fhirsync.Complete {
			t.Errorf("%s: %v, lost %v", f.Name, err, lost)
		}
		stop()
	}
	mu.Lock()
	defer mu.Unlock()
	if len(caught) > 0 {
		t.Errorf("the evil host was asked: %q", caught)
	}
}

// The guard against private addresses is for strangers: a server there that the caller has named is reached. (That a public server cannot
// lead into a private network is tested with the transport.)
func TestNamedServerAtPrivateAddress(t *testing.T) {
	t.Parallel()
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 23, Size: 30}))
	base, stop, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Capabilities(t.Context(), fhirsync.Server{BaseURL: base}); err != nil {
		t.Errorf("a server that the caller has named: %v", err)
	}
}

func TestTrustedOrigins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pages = "https://pages.example.test"
		rec := fhirtest.Generate(fhirtest.Options{Seed: 24, Size: 100})
		for _, trusted := range []bool{true, false} {
			srv := fhirtest.NewServer(rec)
			srv.Alias(pages + "/r4")
			redirect := fhirtest.Redirect(pages + "/r4").For("Observation")
			if trusted {
				redirect = redirect.Times(1) // else the second name of the server redirects to itself.
			}
			srv.Inject(redirect)
			server := guarded(srv.BaseURL())
			if trusted {
				server.TrustedOrigins = []string{pages}
			}
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, new(memstore.Store), nil)
			reached := false
			for _, r := range srv.Requests() {
				if r.Interaction == fhirtest.Foreign {
					reached = true
					if r.Header.Get("Authorization") != "Bearer "+theToken || r.Header.Get("X-Api-Key") != theKey {
						t.Error("a trusted origin did not get the credentials")
					}
				}
			}
			if reached != trusted || (err == nil) != trusted {
				t.Errorf("trusted %t, reached %t: %v\n%s", trusted, reached, err, rep)
			}
		}
		for _, trusted := range []bool{true, false} {
			srv := fhirtest.NewServer(rec)
			srv.MaxCount = 10
			srv.Alias(pages + "/r4")
			srv.Inject(fhirtest.NextForeignHost(pages + "/r4"))
			server := guarded(srv.BaseURL())
			if trusted {
				server.TrustedOrigins = []string{pages}
			}
			store := new(memstore.Store)
			rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), server, rec.PatientID, store, nil)
			if lost, _ := missing(srv, rec.PatientID, store); err != nil || len(lost) > 0 {
				t.Errorf("next links to a trusted (%t) origin: lost %v, %v\n%s", trusted, lost, err, rep)
			}
			reached := false
			for _, r := range srv.Requests() {
				if r.Interaction == fhirtest.Foreign {
					reached = true
					if r.Header.Get("Authorization") != "Bearer "+theToken {
						t.Error("a trusted origin did not get the token")
					}
				}
			}
			if reached != trusted {
				t.Errorf("trusted %t, next link followed there %t", trusted, reached)
			}
		}
		c := newClient(t, fhirtest.NewServer(), fhirsync.Config{})
		for _, bad := range []string{"", "pages.example.test", "http://pages.example.test", "https://u:p@pages.example.test", "https://pages.example.test/path", "file:///"} {
			server := guarded("https://fhir.example.test/r4")
			server.TrustedOrigins = []string{bad}
			if rep, err := c.Sync(t.Context(), server, "1", new(memstore.Store), nil); err == nil || rep != nil {
				t.Errorf("%q was taken for an origin", bad)
			}
		}
	})
}

func TestNotBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault fhirtest.Fault
		want  time.Duration
		most  int // requests after the refusal
	}{
		{"two hours, in the middle", fhirtest.TooManyRequests(0, "7200").After(20), 2 * time.Hour, 12},
		{"at once", fhirtest.Unavailable(0, "7200"), 2 * time.Hour, 1},
		{"absurd", fhirtest.TooManyRequests(0, "1e300").After(20), 365 * 24 * time.Hour, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 25, Size: 300})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(c.fault)
				store := new(memstore.Store)
				client := newClient(t, srv, fhirsync.Config{})
				server := fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}
				rep, err := client.Sync(t.Context(), server, rec.PatientID, store, nil)
				if !errors.Is(err, fhirsync.ErrRetryLater) || !rep.Interrupted || rep.Verdict != fhirsync.Incomplete || !rep.Resumable {
					t.Fatalf("%v\n%s", err, rep)
				}
				if d := time.Until(rep.NotBefore); d < c.want-time.Minute || d > c.want {
					t.Errorf("not before %v from now, want %v", d, c.want)
				}
				if !strings.Contains(rep.String(), "until "+rep.NotBefore.Format(time.RFC3339)) {
					t.Errorf("the text does not say when to come back:\n%s", rep)
				}
				refused := 0
				for _, r := range srv.Requests() {
					if r.Status >= 400 {
						refused++
					}
				}
				if refused > c.most {
					t.Errorf("the server had to refuse %d times", refused)
				}
				raw, err := json.Marshal(rep)
				var back fhirsync.Report
				if err != nil || json.Unmarshal(raw, &back) != nil || !back.NotBefore.Equal(rep.NotBefore) {
					t.Errorf("NotBefore does not survive JSON: %v", err)
				}
				// Before its time it is not asked again by this process; after it, the sync goes on.
				n := len(srv.Requests())
				if _, err := client.Sync(t.Context(), server, rec.PatientID, store, nil); !errors.Is(err, fhirsync.ErrRetryLater) || len(srv.Requests()) != n {
					t.Errorf("%v, and %d requests more", err, len(srv.Requests())-n)
				}
				if c.want > 24*time.Hour {
					return
				}
				srv.Heal()
				time.Sleep(time.Until(rep.NotBefore))
				again, err := client.Sync(t.Context(), server, rec.PatientID, store, nil)
				if err != nil || again.Run != rep.Run || !again.NotBefore.IsZero() {
					t.Errorf("%v\n%s", err, again)
				}
				if lost, alien := missing(srv, rec.PatientID, store); len(lost)+len(alien) > 0 {
					t.Errorf("lost %v, not to be there %v", lost, alien)
				}
			})
		})
	}
}
