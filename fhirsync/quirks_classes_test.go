package fhirsync_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// vendorCode is how the server of these tests refuses, whatever it means.
const vendorCode = "X-77"

// TestEachClassOfErrorActs gives the same refusal each of its meanings.
func TestEachClassOfErrorActs(t *testing.T) {
	t.Parallel()
	count := func(s *sighting) int { return len(s.sentTo("/Goal")) }
	cases := map[quirks.Class]struct {
		status int
		when   func(q url.Values) bool
		check  func(t judge, plain, adapted *sighting)
	}{
		quirks.Empty: {400, nil, func(t judge, plain, adapted *sighting) {
			if plain.rep.Verdict != fhirsync.Incomplete || !adapted.gap("", fhirsync.Skipped, "") && adapted.gap("Goal", fhirsync.Failed, "") {
				t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
			}
			if e := adapted.rep.Types["Goal"].Evidence; e != fhirsync.Ended {
				t.Errorf("evidence %s", e)
			}
			fewer(t, "requests", count(plain), count(adapted))
		}},
		quirks.Absent: {400, nil, func(t judge, plain, adapted *sighting) {
			if !plain.gap("Goal", fhirsync.Failed, "") || !adapted.gap("Goal", fhirsync.Refused, "") {
				t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
			}
			fewer(t, "requests", count(plain), count(adapted))
		}},
		quirks.Denied: {400, nil, func(t judge, _, adapted *sighting) {
			if !adapted.gap("Goal", fhirsync.Denied, "") {
				t.Errorf("%s", adapted.rep)
			}
		}},
		quirks.BadQuestion: {404, func(q url.Values) bool { return !q.Has("lifecycle-status") && !q.Has("lifecycle-status:not") }, func(t judge, plain, adapted *sighting) {
			if !plain.gap("Goal", fhirsync.Refused, "") || len(plain.lost) == 0 {
				t.Errorf("%s", plain.rep)
			}
			if count(adapted) <= count(plain) {
				t.Errorf("no other form was tried: %d requests, %d without", count(adapted), count(plain))
			}
		}},
		quirks.Permanent: {503, nil, func(t judge, plain, adapted *sighting) {
			if !adapted.gap("Goal", fhirsync.Failed, "") {
				t.Errorf("%s", adapted.rep)
			}
			fewer(t, "attempts", count(plain), count(adapted))
		}},
		quirks.Split: {413, func(q url.Values) bool { return !strings.Contains(q.Encode(), "date") && !q.Has("_lastUpdated") }, func(t judge, plain, adapted *sighting) {
			if len(plain.lost) == 0 {
				t.Errorf("%s", plain.rep)
			}
			adapted.whole(t)
			if len(adapted.lost) > 0 && adapted.rep.Verdict == fhirsync.Complete {
				t.Error("complete, and something is lost")
			}
		}},
		quirks.Transient: {404, firstTimes(1), func(t judge, plain, adapted *sighting) {
			if !plain.gap("Goal", fhirsync.Refused, "") {
				t.Errorf("%s", plain.rep)
			}
			adapted.whole(t)
		}},
	}
	for _, class := range []quirks.Class{quirks.Empty, quirks.Absent, quirks.Denied, quirks.BadQuestion, quirks.Permanent, quirks.Split, quirks.Transient} {
		c, ok := cases[class]
		if !ok {
			t.Errorf("nothing proves what %s does", class)
			continue
		}
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				see := func(set quirks.Set) *sighting {
					f := &fieldCase{types: []string{"Goal", "Condition"}}
					f.answer = refuses("Goal", c.status, outcome("processing", vendorCode, ""), c.when)
					return f.see(t, set)
				}
				plain := see(quirks.Set{})
				if class == quirks.Transient {
					c.when = firstTimes(1)
				}
				adapted := see(quirks.Set{Errors: []quirks.ErrorRule{{Code: vendorCode, Class: class}}})
				c.check(judge{t}, plain, adapted)
				if class != quirks.Empty && len(adapted.lost) > 0 && adapted.rep.Verdict == fhirsync.Complete {
					t.Errorf("complete, and %v is lost\n%s", adapted.lost, adapted.rep)
				}
			})
		})
	}
}

// firstTimes selects the first n searches.
func firstTimes(n int) func(url.Values) bool {
	return func(q url.Values) bool {
		if q.Has("_summary") {
			return false
		}
		n--
		return n >= 0
	}
}

// TestAnExpiredSessionIsBegunAnew: a page is refused with a status that says something else, and a code that says what it means.
func TestAnExpiredSessionIsBegunAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		see := func(set quirks.Set) *sighting {
			f := &fieldCase{types: []string{"Observation"}, before: types("*", quirks.Type{PageSize: new(10)})}
			expired := false
			f.answer = func(r *http.Request) (int, string, string) {
				if r.URL.Query().Has("_getpages") && !expired {
					expired = true
					return 403, "application/fhir+json", outcome("processing", "4113", "")
				}
				return 0, "", ""
			}
			return f.see(t, set.Merge(types("*", quirks.Type{PageSize: new(10)})))
		}
		plain := see(quirks.Set{})
		adapted := see(quirks.Set{Errors: []quirks.ErrorRule{{Code: "4113", Class: quirks.Restart}}})
		adapted.whole(judge{t})
		if !adapted.note("begun anew") || plain.note("begun anew") || adapted.err != nil {
			t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
		}
	})
}

// TestRulesNeverReadTheRecord: what a resource or a page of them says is not what the server says.
func TestRulesNeverReadTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fieldCase{types: []string{"Goal", "Condition"}}
		s := f.see(t, quirks.Set{Errors: []quirks.ErrorRule{{Contains: "resource", Class: quirks.Empty}, {Status: []int{200}, Class: quirks.Denied}}})
		s.whole(judge{t})
		if s.err != nil {
			t.Errorf("%v\n%s", s.err, s.rep)
		}
	})
}

func TestOutcomesAmongTheEntries(t *testing.T) {
	t.Parallel()
	for means, want := range map[quirks.Outcome]fhirsync.GapReason{quirks.Partial: fhirsync.Truncated, quirks.Withheld: fhirsync.Denied} {
		t.Run(string(means), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fieldCase{types: []string{"Goal"}, server: func(s *fhirtest.Server) {
					s.Inject(fhirtest.OutcomeEntry("information", "informational", "4119").For("Goal"), fhirtest.CountUnsupported())
				}}
				plain := f.see(t, quirks.Set{})
				adapted := f.see(t, quirks.Set{Outcomes: map[string]quirks.Outcome{"4119": means}})
				if plain.gap("Goal", want, "") || !adapted.gap("Goal", want, "") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
			})
		})
	}
}

func TestPagesByNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fieldCase{types: []string{"Observation"}, ask: wholeAnswers, change: pagesByOffset}
		f.ask = func(r *http.Request) *http.Request {
			out := wholeAnswers(r)
			q := out.URL.Query()
			q.Del("page")
			if out != r {
				out.URL.RawQuery = q.Encode()
			}
			return out
		}
		f.change = func(r *http.Request, resp *http.Response) {
			at := r.Clone(r.Context())
			q := at.URL.Query()
			if p := q.Get("page"); p != "" {
				n := int(p[0]-'0')*10 - 10
				if len(p) > 1 {
					n = (int(p[0]-'0')*10+int(p[1]-'0'))*10 - 10
				}
				q.Set("_offset", strconv.Itoa(n))
			}
			at.URL.RawQuery = q.Encode()
			pagesByOffset(at, resp)
		}
		s := f.see(t, quirks.Set{
			Paging: quirks.Paging{Style: new(quirks.PageNumber), PageParam: new("page")}, Types: map[string]quirks.Type{"*": {PageSize: new(10)}},
		})
		s.whole(judge{t})
		if with(s.sentQueries(), "page", "3") == 0 {
			t.Error("not asked for by page")
		}
	})
}

// TestSkippedTypesAreNeverComplete: whatever way a quirk names, a type that the server claims and that is not searched shows in the verdict.
func TestSkippedTypesAreNeverComplete(t *testing.T) {
	t.Parallel()
	for _, way := range []quirks.Reach{quirks.ByReference, quirks.ByRevInclude, quirks.Nowhere} {
		for _, claimed := range []bool{true, false} {
			t.Run(string(way), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					f := &fieldCase{types: []string{"Goal"}}
					if !claimed {
						f.server = func(s *fhirtest.Server) { s.Inject(fhirtest.MetadataDenies("Goal")) }
					}
					s := f.see(t, types("Goal", quirks.Type{Reach: &way, Claim: new(false)}))
					if len(s.asked("Goal", fhirtest.Search)) > 0 {
						t.Error("searched")
					}
					if complete := s.rep.Verdict == fhirsync.Complete; complete == claimed {
						t.Errorf("claimed %v:\n%s", claimed, s.rep)
					}
					if !slices.ContainsFunc(s.rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == "Goal" }) {
						t.Errorf("no gap:\n%s", s.rep)
					}
				})
			})
		}
	}
}

// TestQuirksNeverRaiseARate: the caller's limits stand, whatever a quirk says.
func TestQuirksNeverRaiseARate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fieldCase{types: []string{"Observation", "Goal", "Condition", "Encounter"}}
		f.limit.Rate, f.limit.Burst, f.limit.Concurrency = 0.5, 1, 1
		s := f.see(t, quirks.Set{Rate: quirks.Rate{PerSecond: new(1000.0), Concurrency: new(100), Limits: []quirks.Limit{{Requests: 1e6, Per: quirks.Duration(time.Second)}}}})
		if least := time.Duration(len(s.sent)-2) * 2 * time.Second; s.took < least {
			t.Errorf("%d requests took %s, less than %s", len(s.sent), s.took, least)
		}
	})
}

// TestQuirksNeverTouchCredentials: neither a Set that was made in Go nor a header of the caller's is overridden.
func TestQuirksNeverTouchCredentials(t *testing.T) {
	t.Parallel()
	client, err := fhirsync.New(fhirsync.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Authorization", "host", "Cookie", "Proxy-Authorization", "X-Forwarded-Host", "Content-Length"} {
		srv := fhirsync.Server{BaseURL: "https://fhir.example.test", Quirks: quirks.Set{Headers: []quirks.Header{{Name: name, Value: "x"}}}}
		if _, err := client.Capabilities(t.Context(), srv); err == nil || !strings.Contains(err.Error(), "cannot set") {
			t.Errorf("%s: %v", name, err)
		}
	}
	srv := fhirsync.Server{BaseURL: "https://fhir.example.test", Vars: map[string]string{"a": "x\r\nAuthorization: y"}}
	if _, err := client.Capabilities(t.Context(), srv); err == nil || !strings.Contains(err.Error(), "control character") {
		t.Errorf("a variable with a line break: %v", err)
	}
}

// TestTheCallersHeaderGoesFirst: Server.Header wins over a quirk.
func TestTheCallersHeaderGoesFirst(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 10, Types: []string{"Goal"}})
	srv := fhirtest.NewServer(rec)
	client := newClient(t, srv, fhirsync.Config{})
	_, err := client.Capabilities(t.Context(), fhirsync.Server{
		BaseURL: srv.BaseURL(), Header: http.Header{"X-A": {"mine"}}, Quirks: quirks.Set{Headers: []quirks.Header{{Name: "x-a", Value: "theirs"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := srv.Requests()[0].Header.Values("X-A"); !slices.Equal(got, []string{"mine"}) {
		t.Errorf("X-A: %v", got)
	}
}
