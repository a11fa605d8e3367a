package fhirsync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

const claims = "ExplanationOfBenefit"

// tampering answers in the server's place where mod gives a body, and changes its Bundles by edit. Faults of fhirtest are what servers were
// seen to do; these are what they could do to fool a client.
type tampering struct {
	base http.RoundTripper
	mod  func(typ string, q url.Values) (status int, body string)
	edit func(typ string, q url.Values, bundle map[string]any)
}

func (p tampering) RoundTrip(req *http.Request) (*http.Response, error) {
	typ := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	if p.mod != nil {
		if status, body := p.mod(typ, req.URL.Query()); status != 0 {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: req,
			}, nil
		}
	}
	resp, err := p.base.RoundTrip(req)
	if err != nil || p.edit == nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	raw, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		return nil, errors.Join(err, cerr)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var bundle map[string]any
	if d.Decode(&bundle) == nil && bundle["resourceType"] == "Bundle" {
		before, _ := json.Marshal(bundle)
		p.edit(typ, req.URL.Query(), bundle)
		if after, _ := json.Marshal(bundle); !bytes.Equal(before, after) {
			raw = after
		}
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return resp, nil
}

const refusal = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"%s"}]}`

// TestTamperedAnswersNeverLookComplete: each of these once ended Complete with something missing.
func TestTamperedAnswersNeverLookComplete(t *testing.T) {
	t.Parallel()
	cutTo := func(n int, fill func(i int) any) func(string, url.Values, map[string]any) {
		return func(typ string, q url.Values, b map[string]any) {
			e, _ := b["entry"].([]any)
			if typ != claims || q.Has("_summary") || len(e) <= n {
				return
			}
			all := len(e)
			e = e[:n:n]
			for i := n; fill != nil && i < all; i++ {
				e = append(e, fill(i))
			}
			b["entry"], b["link"] = e, []any{}
			delete(b, "total")
		}
	}
	match := func(typ, id, patient string) any {
		return map[string]any{
			"resource": map[string]any{"resourceType": typ, "id": id, "patient": map[string]any{"reference": "Patient/" + patient}},
			"search":   map[string]any{"mode": "match"},
		}
	}
	for name, c := range map[string]struct {
		faults []fhirtest.Fault
		mod    func(typ string, q url.Values) (int, string)
		edit   func(id string) func(typ string, q url.Values, b map[string]any)
	}{
		"matches of another type fill up the count": {
			edit: func(id string) func(string, url.Values, map[string]any) {
				return cutTo(7, func(i int) any { return match("Claim", fmt.Sprint("other-", i), id) })
			},
		},
		"other patients fill up the count of the parts": {
			edit: func(string) func(string, url.Values, map[string]any) {
				return cutTo(7, func(i int) any { return match(claims, fmt.Sprint("other-", i), "somebody-else") })
			},
		},
		"one form finds nothing and the other is refused": {
			faults: []fhirtest.Fault{fhirtest.BareIDFindsNothing()},
			mod: func(typ string, q url.Values) (int, string) {
				if typ == claims && strings.HasPrefix(q.Get("patient"), "Patient/") {
					return http.StatusForbidden, fmt.Sprintf(refusal, "forbidden")
				}
				return 0, ""
			},
		},
		"an empty page with a total": {
			faults: []fhirtest.Fault{fhirtest.CountUnsupported()},
			mod: func(typ string, _ url.Values) (int, string) {
				if typ == claims {
					return http.StatusOK, `{"resourceType":"Bundle","type":"searchset","total":7}`
				}
				return 0, ""
			},
		},
		"one type that refuses counts speaks for no other": {
			mod: func(typ string, q url.Values) (int, string) {
				if typ == "Account" && q.Has("_summary") {
					return http.StatusBadRequest, fmt.Sprintf(refusal, "not-supported")
				}
				return 0, ""
			},
			edit: func(string) func(string, url.Values, map[string]any) { return cutTo(5, nil) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 600})
				srv := fhirtest.NewServer(rec)
				srv.Inject(c.faults...)
				p := tampering{base: srv.RoundTripper(), mod: c.mod}
				if c.edit != nil {
					p.edit = c.edit(rec.PatientID)
				}
				client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: p}, Strategy: fhirsync.SearchByType()})
				if err != nil {
					t.Fatal(err)
				}
				store := new(memstore.Store)
				rep, _ := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
				lost, _ := missing(srv, rec.PatientID, store)
				if len(lost) > 0 && rep.Verdict == fhirsync.Complete {
					t.Errorf("complete, and missing %d\n%s", len(lost), rep)
				}
				for r := range store.All() {
					if strings.HasPrefix(r.ID, "other-") && r.Type == claims {
						t.Errorf("another patient's %s is in the store", r.ID)
					}
				}
			})
		})
	}
}

// TestUnattributedWaitsForTheLastPage: that the filter is ignored may show on a later page only.
func TestUnattributedWaitsForTheLastPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 4, Size: 100})
		srv := fhirtest.NewServer(rec)
		p := tampering{base: srv.RoundTripper(), mod: func(typ string, q url.Values) (int, string) {
			page := func(id, subject, next string) (int, string) {
				self := `{"relation":"self","url":"` + srv.BaseURL() + `/Flag?` + q.Encode() + `"}`
				if next != "" {
					self += `,{"relation":"next","url":"` + srv.BaseURL() + next + `"}`
				}
				return http.StatusOK, `{"resourceType":"Bundle","type":"searchset","link":[` + self + `],"entry":[{"resource":{"resourceType":"Flag","id":"` +
					id + `","subject":` + subject + `},"search":{"mode":"match"}}]}`
			}
			switch {
			case typ != "Flag":
				return 0, ""
			case q.Has("_summary"):
				return http.StatusBadRequest, fmt.Sprintf(refusal, "not-supported")
			case q.Get("page") == "2":
				return page("second", `{"reference":"Patient/other"}`, "")
			}
			return page("first", `{"identifier":{"value":"of somebody else"}}`, "/Flag?page=2")
		}}
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: p}})
		if err != nil {
			t.Fatal(err)
		}
		store := new(memstore.Store)
		rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "s", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		if _, there := store.Get(fhirsync.Key{Server: "s", Type: "Flag", ID: "first"}); there || err == nil {
			t.Errorf("a stranger's Flag in the store: %v, error %v\n%s", there, err, rep)
		}
	})
}

type strategyFunc func(ctx context.Context, s *fhirsync.Session) error

func (strategyFunc) Name() string                                           { return "func" }
func (f strategyFunc) Fetch(ctx context.Context, s *fhirsync.Session) error { return f(ctx, s) }

// TestLeavingPagesEarly is a gap, wherever in the answer it happens: also in what is asked beside the type, or in its parts.
func TestLeavingPagesEarly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ    string
		page   int
		faults []fhirtest.Fault
	}{
		"by a parameter for others": {"Communication", 2, nil},
		"in parts":                  {"Observation", 1, []fhirtest.Fault{fhirtest.ParamRequired("category").For("Observation")}},
		"at once":                   {"Observation", 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: 3, Size: 300, Secondary: 20})
				srv := fhirtest.NewServer(rec)
				srv.MaxCount = 20
				srv.Inject(c.faults...)
				stops := strategyFunc(func(ctx context.Context, s *fhirsync.Session) error {
					for _, typ := range s.Types() {
						n := 0
						for _, err := range s.Pages(ctx, fhirsync.Query{Type: typ}) {
							if err != nil {
								return err
							}
							if n++; typ == c.typ && n == c.page {
								break
							}
						}
					}
					return nil
				})
				rep, err := newClient(t, srv, fhirsync.Config{Strategy: stops}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
				unasked := false
				for _, g := range rep.Gaps {
					unasked = unasked || g.Type == c.typ && g.Reason == fhirsync.Unasked
				}
				if !errors.Is(err, fhirsync.ErrIncomplete) || !unasked {
					t.Errorf("%v\n%s", err, rep)
				}
			})
		})
	}
}

// choosy rejects one type for good.
type choosy struct {
	*memstore.Store
	typ string
}

func (p choosy) Put(ctx context.Context, batch fhirsync.Batch) error {
	rejected := map[int]error{}
	for i, r := range batch.Resources {
		if r.Type == p.typ {
			rejected[i] = errors.New("not wanted")
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected}
	}
	return p.Store.Put(ctx, batch)
}

// TestResumeForgetsNothing: what was rejected, and what was still to be read by itself, when a sync was interrupted.
func TestResumeForgetsNothing(t *testing.T) {
	t.Parallel()
	for after := 4 * time.Second; after <= 44*time.Second; after += 4 * time.Second {
		for name, fault := range map[string]fhirtest.Fault{"rejected": {}, "to be read": fhirtest.Subsetted().For(claims)} {
			t.Run(fmt.Sprint(name, " after ", after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 300})
					srv := fhirtest.NewServer(rec)
					srv.Inject(fault, fhirtest.Slow(500*time.Millisecond))
					kept := new(memstore.Store)
					var store fhirsync.Store = kept
					if name == "rejected" {
						store = choosy{kept, "AllergyIntolerance"}
					}
					server := fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}
					cfg := fhirsync.Config{Limit: ratelimit.Policy{Rate: 4, Concurrency: 4, Fixed: true}, Strategy: fhirsync.SearchByType()}
					ctx, cancel := context.WithTimeout(t.Context(), after)
					_, _ = newClient(t, srv, cfg).Sync(ctx, server, rec.PatientID, store, nil)
					cancel()
					rep, _ := newClient(t, srv, cfg).Sync(t.Context(), server, rec.PatientID, store, nil)
					lost, _ := missing(srv, rec.PatientID, kept)
					if len(lost) > 0 && rep.Verdict == fhirsync.Complete {
						t.Errorf("complete, and missing %v\n%s", lost, rep)
					}
					if name == "to be read" && (len(lost) > 0 || rep.Verdict == fhirsync.Incomplete) {
						t.Errorf("lost %d\n%s", len(lost), rep)
					}
				})
			})
		}
	}
}
