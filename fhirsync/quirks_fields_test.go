package fhirsync_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// sighting is one sync, seen from outside.
type sighting struct {
	rep      *fhirsync.Report
	err      error
	requests []fhirtest.Request
	sent     []*http.Request // as they left the client
	lost     []string
	took     time.Duration
	plan     *fhirsync.Plan
}

// asked gives the requests for a type by one interaction; "": any.
func (s *sighting) asked(typ string, what fhirtest.Interaction) []fhirtest.Request {
	var out []fhirtest.Request
	for _, r := range s.requests {
		if (typ == "" || r.Type == typ) && (what == "" || r.Interaction == what) {
			out = append(out, r)
		}
	}
	return out
}

// gap tells whether the report has a gap of a type and reason whose text has the words.
func (s *sighting) gap(typ string, reason fhirsync.GapReason, words string) bool {
	return slices.ContainsFunc(s.rep.Gaps, func(g fhirsync.Gap) bool {
		return g.Type == typ && g.Reason == reason && strings.Contains(g.Detail, words)
	})
}

func (s *sighting) note(words string) bool {
	return slices.ContainsFunc(s.rep.Notes, func(n fhirsync.Note) bool { return strings.Contains(n.Detail, words) })
}

// with tells how many of the requests have a parameter; value "": any.
func with(requests []fhirtest.Request, name, value string) int {
	n := 0
	for _, r := range requests {
		if r.Query.Has(name) && (value == "" || slices.Contains(r.Query[name], value)) {
			n++
		}
	}
	return n
}

func headed(requests []fhirtest.Request, name string) int {
	n := 0
	for _, r := range requests {
		if r.Header.Get(name) != "" {
			n++
		}
	}
	return n
}

// front stands before the server: it may answer in its place, and change its answers.
type front struct {
	next   http.RoundTripper
	answer func(r *http.Request) (status int, contentType, body string)
	change func(r *http.Request, resp *http.Response)
	ask    func(r *http.Request) *http.Request // what is asked of the server instead; nil: the same
	sent   func(r *http.Request)
}

func (f front) RoundTrip(r *http.Request) (*http.Response, error) {
	f.sent(r)
	if f.answer != nil {
		if status, typ, body := f.answer(r); status != 0 {
			return &http.Response{
				StatusCode: status, Header: http.Header{"Content-Type": {typ}}, Body: io.NopCloser(strings.NewReader(body)), Request: r, ContentLength: int64(len(body)),
			}, nil
		}
	}
	inner := r
	if f.ask != nil {
		inner = f.ask(r)
	}
	resp, err := f.next.RoundTrip(inner)
	if err == nil && f.change != nil {
		f.change(r, resp)
	}
	return resp, err
}

// judge is what a case complains to.
type judge struct{ *testing.T }

// fieldCase proves that fields change something: the same server is asked without and with a Set.
type fieldCase struct {
	fields string // JSON names, separated by spaces
	before quirks.Set
	set    quirks.Set
	vars   map[string]string
	types  []string // asked for; nil: all
	server func(s *fhirtest.Server)
	answer func(r *http.Request) (status int, contentType, body string)
	change func(r *http.Request, resp *http.Response)
	ask    func(r *http.Request) *http.Request
	way    fhirsync.Strategy // nil: SearchByType
	limit  ratelimit.Policy
	size   fhirtest.Options // beside the usual
	check  func(t judge, plain, adapted *sighting)
}

const fieldRecord = 42

func (c *fieldCase) see(t *testing.T, set quirks.Set) *sighting {
	t.Helper()
	size := c.size
	size.Seed, size.Size = fieldRecord, 160
	rec := fhirtest.Generate(size)
	srv := fhirtest.NewServer(rec)
	srv.DefaultCount = 10
	if c.server != nil {
		c.server(srv)
	}
	s := &sighting{}
	way := c.way
	if way == nil {
		way = fhirsync.SearchByType()
	}
	gate := make(chan struct{}, 1)
	rt := front{next: srv.RoundTripper(), answer: c.answer, change: c.change, ask: c.ask, sent: func(r *http.Request) {
		gate <- struct{}{}
		s.sent = append(s.sent, r)
		<-gate
	}}
	none, err := quirks.New()
	if err != nil {
		t.Fatal(err)
	}
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: rt}, Strategy: way, Quirks: none, Limit: c.limit})
	if err != nil {
		t.Fatal(err)
	}
	store := new(memstore.Store)
	to := fhirsync.Server{Name: "s", BaseURL: srv.BaseURL(), Quirks: set, Vars: c.vars}
	begun := time.Now()
	s.rep, s.err = client.Sync(t.Context(), to, rec.PatientID, store, &fhirsync.SyncOptions{Types: c.types})
	s.took = time.Since(begun)
	if s.rep == nil {
		t.Fatal(s.err)
	}
	s.requests = srv.Requests()
	s.lost, _ = missing(srv, rec.PatientID, store)
	if c.types != nil {
		s.lost = slices.DeleteFunc(s.lost, func(ref string) bool {
			typ, _, _ := strings.Cut(ref, "/")
			return !slices.Contains(c.types, typ)
		})
	}
	s.plan, _ = client.Plan(t.Context(), to, rec.PatientID, nil)
	return s
}

// outcome is a refusal in FHIR's own form.
func outcome(issue, code, text string) string {
	return fmt.Sprintf(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":%q,"details":{"coding":[{"code":%q}]},"diagnostics":%q}]}`, issue, code, text)
}

// refuses answers searches for one type, that a filter selects, with one outcome.
func refuses(typ string, status int, body string, when func(q url.Values) bool) func(r *http.Request) (int, string, string) {
	return func(r *http.Request) (int, string, string) {
		if !strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/_search"), "/"+typ) || when != nil && !when(r.URL.Query()) {
			return 0, "", ""
		}
		kind := "application/fhir+json"
		if strings.HasPrefix(body, "<") {
			kind = "text/html"
		}
		return status, kind, body
	}
}

func fewer(t judge, what string, plain, adapted int) {
	t.Helper()
	if adapted >= plain {
		t.Errorf("%s: %d with the quirk, %d without", what, adapted, plain)
	}
}

func (s *sighting) whole(t judge) {
	t.Helper()
	if len(s.lost) > 0 {
		t.Errorf("lost %v\n%s", s.lost, s.rep)
	}
}

func types(name string, t quirks.Type) quirks.Set {
	return quirks.Set{Types: map[string]quirks.Type{name: t}}
}

func fieldCases() []fieldCase {
	searchOf := func(typ string) func(plain, adapted *sighting) (int, int) {
		return func(plain, adapted *sighting) (int, int) {
			return len(plain.asked(typ, fhirtest.Search)), len(adapted.asked(typ, fhirtest.Search))
		}
	}
	errorsOf := func(rules ...quirks.ErrorRule) quirks.Set { return quirks.Set{Errors: rules} }
	first := func(n int) func(*http.Request) bool {
		return func(*http.Request) bool { n--; return n >= 0 }
	}
	return []fieldCase{
		{
			fields: "headers.name headers.value",
			set:    quirks.Set{Headers: []quirks.Header{{Name: "X-Consistency", Value: "strong"}}},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.RequiredHeader("X-Consistency")) },
			check: func(t judge, plain, adapted *sighting) {
				if plain.err == nil {
					t.Error("without the header it came home")
				}
				adapted.whole(t)
				if n := headed(adapted.requests, "X-Consistency"); n != len(adapted.requests) {
					t.Errorf("%d of %d requests have the header", n, len(adapted.requests))
				}
			},
		},
		{
			fields: "headers.var",
			set:    quirks.Set{Headers: []quirks.Header{{Name: "X-Client", Var: "client"}, {Name: "X-Other", Var: "other"}}},
			vars:   map[string]string{"client": "abc"},
			check: func(t judge, _, adapted *sighting) {
				if n := headed(adapted.requests, "X-Client"); n != len(adapted.requests) || adapted.requests[0].Header.Get("X-Client") != "abc" {
					t.Errorf("%d of %d requests have the header", n, len(adapted.requests))
				}
				if headed(adapted.requests, "X-Other") > 0 || !adapted.note(`no "other"`) || !slices.ContainsFunc(adapted.plan.Warnings, func(w string) bool { return strings.Contains(w, `"other"`) }) {
					t.Errorf("a value that the caller did not give: %s", adapted.rep)
				}
			},
		},
		{
			fields: "headers.generate",
			set:    quirks.Set{Headers: []quirks.Header{{Name: "X-Request-Id", Generate: quirks.UUID}}},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.Unavailable(1, "1").For("Goal").On(fhirtest.Search)) },
			check: func(t judge, _, adapted *sighting) {
				ids := map[string][]string{}
				for _, r := range adapted.requests {
					id := r.Header.Get("X-Request-Id")
					if len(id) != 36 || id[14] != '4' || strings.Count(id, "-") != 4 {
						t.Fatalf("no UUID: %q", id)
					}
					ids[id] = append(ids[id], r.URL)
				}
				for id, urls := range ids {
					if len(slices.Compact(urls)) > 1 {
						t.Errorf("%s stands on different requests: %v", id, urls)
					}
				}
				goal := adapted.asked("Goal", fhirtest.Search)
				if len(goal) < 2 || goal[0].Header.Get("X-Request-Id") != goal[1].Header.Get("X-Request-Id") {
					t.Error("a request that was sent again has another id")
				}
			},
		},
		{
			fields: "headers.interactions",
			set:    quirks.Set{Headers: []quirks.Header{{Name: "Prefer", Value: "handling=strict", Interactions: []quirks.Interaction{quirks.Search}}}},
			check: func(t judge, _, adapted *sighting) {
				for _, r := range adapted.requests {
					want := r.Interaction == fhirtest.Search || r.Interaction == fhirtest.Page
					if has := r.Header.Get("Prefer") != ""; has != want {
						t.Errorf("%s %s: has the header: %v", r.Interaction, r.Path, has)
					}
				}
			},
		},
		{
			fields: "params.name params.var params.raw",
			set:    quirks.Set{Params: []quirks.Param{{Name: "ah-practice", Var: "practice", Raw: true}}},
			vars:   map[string]string{"practice": "Organization/a-1.Practice-7"},
			server: func(s *fhirtest.Server) {
				s.Batch = true
				s.Inject(fhirtest.QueryRequired("ah-practice", "Organization/a-1.Practice-7"))
			},
			check: func(t judge, plain, adapted *sighting) {
				if plain.err == nil {
					t.Error("without the parameter it came home")
				}
				adapted.whole(t)
				for _, r := range adapted.requests {
					if r.Interaction != fhirtest.Batch && !strings.Contains(r.URL, "ah-practice=Organization/a-1.Practice-7") {
						t.Errorf("%s lacks the parameter", r.URL)
					}
				}
			},
		},
		{
			fields: "params.value params.interactions",
			set:    quirks.Set{Params: []quirks.Param{{Name: "tenant", Value: "a b", Interactions: []quirks.Interaction{quirks.Read}}}},
			check: func(t judge, _, adapted *sighting) {
				for _, r := range adapted.requests {
					if want := r.Interaction == fhirtest.Read; r.Query.Has("tenant") != want || want && r.Query.Get("tenant") != "a b" {
						t.Errorf("%s %s: %v", r.Interaction, r.URL, r.Query["tenant"])
					}
				}
			},
		},
		{
			fields: "accept",
			set:    quirks.Set{Accept: new("application/json")},
			check: func(t judge, plain, adapted *sighting) {
				if got := adapted.requests[0].Header.Get("Accept"); got != "application/json" || plain.requests[0].Header.Get("Accept") == got {
					t.Errorf("Accept is %q", got)
				}
			},
		},
		{
			fields: "searchMethod",
			set:    quirks.Set{SearchMethod: new(quirks.Post)},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				for _, r := range adapted.asked("", fhirtest.Search) {
					if r.Method != http.MethodPost && !r.Query.Has("_id") {
						t.Errorf("%s %s", r.Method, r.Path)
					}
				}
				if plain.asked("Goal", fhirtest.Search)[0].Method != http.MethodGet {
					t.Error("a POST without the quirk")
				}
			},
		},
		{
			fields: "types.reach",
			set:    types("Goal", quirks.Type{Reach: new(quirks.ByReference)}),
			server: func(s *fhirtest.Server) {
				s.Inject(fhirtest.Status(400).For("Goal").On(fhirtest.Search, fhirtest.Count))
			},
			check: func(t judge, plain, adapted *sighting) {
				p, a := searchOf("Goal")(plain, adapted)
				if p == 0 || a != 0 {
					t.Errorf("searched %d times with the quirk, %d without", a, p)
				}
				if !adapted.gap("Goal", fhirsync.Unproven, "references alone") || adapted.rep.Verdict == fhirsync.Complete {
					t.Errorf("what was not searched is not said to be: %s", adapted.rep)
				}
			},
		},
		{
			fields: "types.claim",
			set:    types("Goal", quirks.Type{Claim: new(false)}),
			server: func(s *fhirtest.Server) {
				s.Inject(fhirtest.Status(404).For("Goal").On(fhirtest.Search, fhirtest.Count))
			},
			check: func(t judge, plain, adapted *sighting) {
				if !plain.gap("Goal", fhirsync.Refused, "") || !adapted.gap("Goal", fhirsync.Unsupported, "") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
				if len(adapted.asked("Goal", fhirtest.Search)) == 0 {
					t.Error("a false claim was not even tried")
				}
			},
		},
		{
			fields: "types.patient",
			set:    types("Goal", quirks.Type{Patient: new("subject")}),
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if with(adapted.asked("Goal", fhirtest.Search)[:1], "subject", "") != 1 || with(plain.asked("Goal", fhirtest.Search)[:1], "subject", "") != 0 {
					t.Errorf("first asked by %v", adapted.asked("Goal", fhirtest.Search)[0].Query)
				}
			},
		},
		{
			fields: "types.patientValue",
			set:    types("*", quirks.Type{PatientValue: new(quirks.TypedReference)}),
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.BareIDFindsNothing()) },
			check: func(t judge, plain, adapted *sighting) {
				plain.whole(t)
				adapted.whole(t)
				fewer(t, "requests", len(plain.requests), len(adapted.requests))
			},
		},
		{
			fields: "types.required",
			set:    types("Goal", quirks.Type{Required: map[string]string{"lifecycle-status": "active"}}),
			check: func(t judge, plain, adapted *sighting) {
				all := adapted.asked("Goal", fhirtest.Search)
				if with(all, "lifecycle-status", "active") != len(all) || len(all) == 0 {
					t.Errorf("%d of %d searches have the parameter", with(all, "lifecycle-status", "active"), len(all))
				}
				if !adapted.gap("Goal", fhirsync.Unproven, "lifecycle-status") || plain.gap("Goal", fhirsync.Unproven, "") {
					t.Errorf("a part was taken for the whole: %s", adapted.rep)
				}
			},
		},
		{
			fields: "types.fanOut.param types.fanOut.values",
			set:    types("Observation", quirks.Type{FanOut: quirks.FanOut{Param: new("category"), Values: []string{"laboratory", "vital-signs", "survey", "social-history"}}}),
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.ParamRequired("category").For("Observation")) },
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				refused := func(s *sighting) (n int) {
					for _, r := range s.asked("Observation", fhirtest.Search) {
						if r.Status == 400 {
							n++
						}
					}
					return n
				}
				fewer(t, "refusals", refused(plain), refused(adapted))
				if with(adapted.asked("Observation", fhirtest.Search), "category", "laboratory,vital-signs,survey,social-history") == 0 {
					t.Error("not asked by the values")
				}
			},
		},
		{
			fields: "types.further",
			set:    types("Goal", quirks.Type{Further: []map[string]string{{"_source": "other"}}}),
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if with(adapted.asked("Goal", fhirtest.Search), "_source", "other") == 0 || with(plain.asked("Goal", fhirtest.Search), "_source", "") > 0 {
					t.Error("the further question was not asked")
				}
				if with(adapted.asked("Goal", fhirtest.Search), "_source", "") == len(adapted.asked("Goal", fhirtest.Search)) {
					t.Error("the whole was not asked for")
				}
			},
		},
		{
			fields: "types.avoid",
			set:    types("Observation", quirks.Type{Avoid: map[string][]string{"category": {"procedure", "therapy", "activity"}}}),
			server: func(s *fhirtest.Server) {
				s.Inject(fhirtest.ParamRequired("category").For("Observation"),
					fhirtest.ParamValues("category", "laboratory", "vital-signs", "survey", "social-history", "imaging", "exam").For("Observation"))
			},
			check: func(t judge, plain, adapted *sighting) {
				if !adapted.gap("Observation", fhirsync.Unproven, "category") {
					t.Errorf("what was not asked for is not said to be: %s", adapted.rep)
				}
				for _, r := range adapted.asked("Observation", "") {
					if c := r.Query.Get("category"); strings.Contains(c, "therapy") {
						t.Errorf("asked for %s", c)
					}
				}
				p, a := searchOf("Observation")(plain, adapted)
				fewer(t, "searches", p, a)
			},
		},
		{
			fields: "types.includes",
			set:    types("Goal", quirks.Type{Includes: []string{"Goal:subject"}}),
			check: func(t judge, plain, adapted *sighting) {
				if with(adapted.asked("Goal", fhirtest.Search), "_include", "Goal:subject") == 0 || with(plain.requests, "_include", "") > 0 {
					t.Error("_include was not sent")
				}
			},
		},
		{
			fields: "types.revIncludes",
			set:    types("*", quirks.Type{RevIncludes: []string{"Provenance:target"}}),
			server: func(s *fhirtest.Server) {
				s.RevInclude = true
				s.Inject(fhirtest.MetadataWithoutParams(), fhirtest.Status(404).For("Provenance").On(fhirtest.Search, fhirtest.Count))
				s.Claims = nil
			},
			check: func(t judge, _, adapted *sighting) {
				if with(adapted.asked("Goal", fhirtest.Search), "_revinclude", "Provenance:target") == 0 {
					t.Error("_revinclude was not sent")
				}
			},
		},
		{
			fields: "types.pageSize",
			set:    types("Observation", quirks.Type{PageSize: new(5)}),
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if with(adapted.asked("Observation", fhirtest.Search), "_count", "5") == 0 || with(adapted.asked("Goal", fhirtest.Search), "_count", "5") > 0 {
					t.Error("the size of page is not that of the quirk")
				}
				fewer(t, "pages saved", len(adapted.asked("Observation", fhirtest.Page)), len(plain.asked("Observation", fhirtest.Page)))
			},
		},
		{
			fields: "paging.style paging.pageParam",
			set:    quirks.Set{Paging: quirks.Paging{Style: new(quirks.Offset), PageParam: new("_offset")}, Types: map[string]quirks.Type{"*": {PageSize: new(10)}}},
			before: types("*", quirks.Type{PageSize: new(10)}),
			types:  []string{"Observation"},
			ask:    wholeAnswers,
			change: pagesByOffset,
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if with(adapted.sentQueries(), "_offset", "10") == 0 {
					t.Error("pages were not asked for by offset")
				}
				fewer(t, "requests", len(plain.sent), len(adapted.sent))
			},
		},
		{
			fields: "paging.sizeParam",
			set:    quirks.Set{Paging: quirks.Paging{SizeParam: new("_maxresults")}},
			check: func(t judge, _, adapted *sighting) {
				if with(adapted.asked("Goal", fhirtest.Search), "_maxresults", "200") == 0 || with(adapted.requests, "_count", "") > 0 {
					t.Error("the parameter for the size is not that of the quirk")
				}
			},
		},
		{
			fields: "paging.relativeTo",
			set:    quirks.Set{Paging: quirks.Paging{RelativeTo: new(quirks.ToBase)}, Types: map[string]quirks.Type{"*": {PageSize: new(10)}}},
			before: types("*", quirks.Type{PageSize: new(10)}),
			change: func(r *http.Request, resp *http.Response) {
				editNext(resp, func(next string) string { // "/Observation?..." or "?...", below a base with a path.
					_, rest, _ := strings.Cut(next, "/r4")
					return "/" + strings.TrimPrefix(rest, "/")
				})
			},
			server: func(s *fhirtest.Server) { s.Links.Typed = true },
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				fewer(t, "requests", len(plain.sent), len(adapted.sent))
			},
		},
		{
			fields: "paging.stop",
			set:    quirks.Set{Paging: quirks.Paging{Stop: new(quirks.EmptyPage), Total: new(quirks.TotalUntrusted)}},
			before: quirks.Set{Paging: quirks.Paging{Total: new(quirks.TotalUntrusted)}},
			types:  []string{"Observation"},
			change: neverLast,
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if adapted.err != nil {
					t.Errorf("%v\n%s", adapted.err, adapted.rep)
				}
				fewer(t, "requests", len(plain.sent), len(adapted.sent))
			},
		},
		{
			fields: "paging.total",
			set:    quirks.Set{Paging: quirks.Paging{Total: new(quirks.TotalLastPage)}, Types: map[string]quirks.Type{"*": {PageSize: new(10)}}},
			before: types("*", quirks.Type{PageSize: new(10)}),
			types:  []string{"Observation"},
			change: func(_ *http.Request, resp *http.Response) {
				editBundle(resp, func(b map[string]any) {
					if hasNext(b) {
						b["total"] = 5000
					}
				})
			},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if adapted.rep.Verdict != fhirsync.Complete {
					t.Errorf("%s", adapted.rep)
				}
				if e := adapted.rep.Types["Observation"].Expected; e == nil || *e == 5000 {
					t.Error("the estimate was believed")
				}
				_ = plain
			},
		},
		{
			fields: "paging.askTotal",
			set:    quirks.Set{Paging: quirks.Paging{AskTotal: new(true)}},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.TotalOnRequest(), fhirtest.CountUnsupported()) },
			check: func(t judge, plain, adapted *sighting) {
				if with(adapted.asked("Goal", fhirtest.Search), "_total", "accurate") == 0 {
					t.Error("the total was not asked for")
				}
				if plain.rep.Types["Goal"].Expected != nil || adapted.rep.Types["Goal"].Expected == nil {
					t.Errorf("with:\n%s", adapted.rep)
				}
			},
		},
		{
			fields: "paging.cap",
			set:    quirks.Set{Paging: quirks.Paging{Cap: new(5)}},
			types:  []string{"ExplanationOfBenefit"},
			server: func(s *fhirtest.Server) {
				s.Inject(fhirtest.PageCap(5).For("ExplanationOfBenefit"), fhirtest.CountUnsupported(), fhirtest.NoTotal())
			},
			check: func(t judge, plain, adapted *sighting) {
				if plain.rep.Verdict == fhirsync.Complete && len(plain.lost) == 0 {
					t.Error("nothing was cut")
				}
				if len(adapted.lost) > 0 && adapted.rep.Verdict == fhirsync.Complete {
					t.Error("complete, and something is lost")
				}
				fewer(t, "lost", len(plain.lost), len(adapted.lost))
			},
		},
		{
			fields: "metadata",
			set:    quirks.Set{Metadata: new(quirks.MetadataSkip)},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.MetadataMissing(404)) },
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				// Once for the sync, and once more for the plan after it.
				if p, a := len(plain.sentTo("/metadata")), len(adapted.sentTo("/metadata")); p != 2 || a != 1 {
					t.Errorf("asked for %d times with the quirk, %d without", a, p)
				}
			},
		},
		{
			fields: "everything.supported",
			set:    quirks.Set{Everything: quirks.Everything{Supported: new(false)}},
			way:    fhirsync.Auto(),
			server: func(s *fhirtest.Server) {
				s.Everything = true
				s.Inject(fhirtest.EverythingPatientAlone())
			},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if len(adapted.asked("", fhirtest.Operation)) > 0 || len(plain.asked("", fhirtest.Operation)) == 0 {
					t.Error("the operation was invoked")
				}
			},
		},
		{
			fields: "everything.sendCount",
			set:    quirks.Set{Everything: quirks.Everything{SendCount: new(false)}},
			way:    fhirsync.Auto(),
			server: func(s *fhirtest.Server) {
				s.Everything = true
				s.Inject(fhirtest.EverythingCountFatal(400))
			},
			check: func(t judge, plain, adapted *sighting) {
				if with(adapted.asked("", fhirtest.Operation), "_count", "") > 0 || with(plain.asked("", fhirtest.Operation), "_count", "") == 0 {
					t.Error("_count was sent")
				}
			},
		},
		{
			fields: "everything.omits",
			set:    quirks.Set{Everything: quirks.Everything{Omits: []string{"Goal"}}},
			way:    fhirsync.Auto(),
			server: func(s *fhirtest.Server) { s.Everything = true },
			check: func(t judge, plain, adapted *sighting) {
				p, a := searchOf("Goal")(plain, adapted)
				if p != 0 || a == 0 {
					t.Errorf("searched %d times with the quirk, %d without", a, p)
				}
			},
		},
		{
			fields: "batch.supported",
			set:    quirks.Set{Batch: quirks.Batch{Supported: new(false)}},
			server: func(s *fhirtest.Server) { s.Batch = true },
			check: func(t judge, plain, adapted *sighting) {
				if len(plain.asked("", fhirtest.Batch)) == 0 || len(adapted.asked("", fhirtest.Batch)) > 0 {
					t.Error("a batch was sent")
				}
			},
		},
		{
			fields: "batch.maxEntries",
			set:    quirks.Set{Batch: quirks.Batch{MaxEntries: new(4)}},
			server: func(s *fhirtest.Server) { s.Batch = true },
			check: func(t judge, plain, adapted *sighting) {
				if p, a := len(plain.asked("", fhirtest.Batch)), len(adapted.asked("", fhirtest.Batch)); a <= p {
					t.Errorf("%d batches with the quirk, %d without", a, p)
				}
				adapted.whole(t)
			},
		},
		{
			fields: "counts",
			set:    quirks.Set{Counts: new(false)},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if len(plain.asked("", fhirtest.Count)) == 0 || len(adapted.asked("", fhirtest.Count)) > 0 {
					t.Error("a count was asked for")
				}
				if adapted.rep.Evidence > plain.rep.Evidence {
					t.Error("without counts the evidence became better")
				}
			},
		},
		{
			fields: "errors.interactions errors.types errors.status errors.class",
			set:    errorsOf(quirks.ErrorRule{Interactions: []quirks.Interaction{quirks.Search}, Types: []string{"Goal"}, Status: []int{500}, Class: quirks.Permanent}),
			before: errorsOf(quirks.ErrorRule{Interactions: []quirks.Interaction{quirks.Read}, Types: []string{"Goal"}, Status: []int{500}, Class: quirks.Permanent}, quirks.ErrorRule{Types: []string{"Task"}, Status: []int{500}, Class: quirks.Permanent}, quirks.ErrorRule{Status: []int{501}, Class: quirks.Permanent}),
			answer: refuses("Goal", 500, outcome("exception", "", ""), nil),
			check: func(t judge, plain, adapted *sighting) {
				fewer(t, "attempts", len(plain.sentTo("/Goal")), len(adapted.sentTo("/Goal")))
				if !adapted.gap("Goal", fhirsync.Failed, "") {
					t.Errorf("%s", adapted.rep)
				}
			},
		},
		{
			fields: "errors.issue",
			set:    errorsOf(quirks.ErrorRule{Issue: "required", Class: quirks.Absent}),
			before: errorsOf(quirks.ErrorRule{Issue: "invalid", Class: quirks.Absent}),
			answer: refuses("Goal", 500, outcome("required", "", ""), nil),
			check: func(t judge, plain, adapted *sighting) {
				if !plain.gap("Goal", fhirsync.Failed, "") || !adapted.gap("Goal", fhirsync.Refused, "") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
			},
		},
		{
			fields: "errors.code",
			set:    errorsOf(quirks.ErrorRule{Code: "4118", Class: quirks.Denied}),
			before: errorsOf(quirks.ErrorRule{Code: "4119", Class: quirks.Denied}),
			answer: refuses("Goal", 400, outcome("processing", "4118", ""), nil),
			check: func(t judge, plain, adapted *sighting) {
				if plain.gap("Goal", fhirsync.Denied, "") || !adapted.gap("Goal", fhirsync.Denied, "") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
			},
		},
		{
			fields: "errors.body",
			set:    errorsOf(quirks.ErrorRule{Status: []int{404}, Body: quirks.HTMLBody, Class: quirks.Transient}),
			before: errorsOf(quirks.ErrorRule{Status: []int{404}, Body: quirks.XMLBody, Class: quirks.Transient}),
			answer: refuses("Goal", 404, "<html><body>gateway</body></html>", nil),
			check: func(t judge, plain, adapted *sighting) {
				if p, a := len(plain.sentTo("/Goal")), len(adapted.sentTo("/Goal")); a <= p {
					t.Errorf("%d attempts with the quirk, %d without", a, p)
				}
			},
		},
		{
			fields: "errors.contains",
			set:    errorsOf(quirks.ErrorRule{Contains: "HAS EXPIRED", Class: quirks.Transient}),
			before: errorsOf(quirks.ErrorRule{Contains: "something else", Class: quirks.Transient}),
			answer: func() func(r *http.Request) (int, string, string) {
				once := first(2) // once for each of the two syncs... the first of which is without.
				return func(r *http.Request) (int, string, string) {
					if !strings.HasSuffix(r.URL.Path, "/Goal") || r.URL.Query().Has("_summary") || !once(r) {
						return 0, "", ""
					}
					return 405, "application/fhir+json", outcome("invalid", "", "the session has expired")
				}
			}(),
			check: func(t judge, plain, adapted *sighting) {
				if !plain.gap("Goal", fhirsync.Refused, "") || adapted.gap("Goal", fhirsync.Refused, "") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
				adapted.whole(t)
			},
		},
		{
			fields: "outcomes",
			set:    quirks.Set{Outcomes: map[string]quirks.Outcome{"4119": quirks.Normal}},
			server: func(s *fhirtest.Server) {
				s.Inject(fhirtest.OutcomeEntry("warning", "incomplete", "4119"), fhirtest.CountUnsupported())
			},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if plain.rep.Verdict != fhirsync.Incomplete || adapted.rep.Verdict == fhirsync.Incomplete || !adapted.note("4119") {
					t.Errorf("without:\n%s\nwith:\n%s", plain.rep, adapted.rep)
				}
			},
		},
		{
			fields: "rate.perSecond",
			set:    quirks.Set{Rate: quirks.Rate{PerSecond: new(1.0)}},
			check: func(t judge, plain, adapted *sighting) {
				if n := time.Duration(len(adapted.requests)-15) * time.Second; adapted.took < n || plain.took > n {
					t.Errorf("%d requests took %s with the quirk, %s without", len(adapted.requests), adapted.took, plain.took)
				}
			},
		},
		{
			fields: "rate.concurrency",
			set:    quirks.Set{Rate: quirks.Rate{Concurrency: new(1)}},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.Slow(3 * time.Second)) },
			check: func(t judge, plain, adapted *sighting) {
				if least := time.Duration(len(adapted.requests)) * 3 * time.Second; adapted.took < least || plain.took >= least {
					t.Errorf("%d requests of 3 s took %s with the quirk, %s without", len(adapted.requests), adapted.took, plain.took)
				}
			},
		},
		{
			fields: "rate.limits.requests rate.limits.per",
			set:    quirks.Set{Rate: quirks.Rate{Limits: []quirks.Limit{{Requests: 10, Per: quirks.Duration(time.Minute)}}}},
			check: func(t judge, plain, adapted *sighting) {
				if least := time.Duration(len(adapted.requests)/10-1) * time.Minute; adapted.took < least || plain.took >= least {
					t.Errorf("%d requests took %s with the quirk, %s without", len(adapted.requests), adapted.took, plain.took)
				}
			},
		},
		{
			fields: "rate.limits.aligned",
			before: quirks.Set{Rate: quirks.Rate{Limits: []quirks.Limit{{Requests: 10, Per: quirks.Duration(time.Hour)}}}},
			set:    quirks.Set{Rate: quirks.Rate{Limits: []quirks.Limit{{Requests: 10, Per: quirks.Duration(time.Hour), Aligned: true}}}},
			check: func(t judge, plain, adapted *sighting) {
				if adapted.took == plain.took {
					t.Errorf("both took %s", plain.took)
				}
			},
		},
		{
			fields: "rate.limits.classes",
			before: quirks.Set{Rate: quirks.Rate{Limits: []quirks.Limit{{Requests: 10, Per: quirks.Duration(time.Minute)}}}},
			set:    quirks.Set{Rate: quirks.Rate{Limits: []quirks.Limit{{Requests: 10, Per: quirks.Duration(time.Minute), Classes: []string{"read"}}}}},
			check: func(t judge, plain, adapted *sighting) {
				if adapted.took >= plain.took {
					t.Errorf("%s with the quirk, %s without", adapted.took, plain.took)
				}
			},
		},
		{
			fields: "rate.waitHeaders.name rate.waitHeaders.unit",
			set:    quirks.Set{Rate: quirks.Rate{WaitHeaders: []quirks.WaitHeader{{Name: "X-Come-Back", Unit: quirks.Milliseconds}}}},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.TooManyRequests(1, "").On(fhirtest.Search).For("Goal")) },
			change: func(_ *http.Request, resp *http.Response) {
				if resp.StatusCode == http.StatusTooManyRequests {
					resp.Header.Set("X-Come-Back", "100000")
				}
			},
			check: func(t judge, plain, adapted *sighting) {
				if plain.took > 100*time.Second || adapted.took < 100*time.Second {
					t.Errorf("%s with the quirk, %s without", adapted.took, plain.took)
				}
			},
		},
		{
			fields: "rate.quotaHeaders",
			set:    quirks.Set{Rate: quirks.Rate{QuotaHeaders: new(false)}},
			change: func(_ *http.Request, resp *http.Response) {
				resp.Header.Set("X-Ratelimit-Limit", "100")
				resp.Header.Set("X-Ratelimit-Remaining", "0")
				resp.Header.Set("X-Ratelimit-Reset", "60")
			},
			check: func(t judge, plain, adapted *sighting) {
				if adapted.took > time.Minute || plain.took < 10*time.Minute {
					t.Errorf("%s with the quirk, %s without", adapted.took, plain.took)
				}
			},
		},
		{
			fields: "timeouts",
			set:    quirks.Set{Timeouts: map[quirks.Interaction]quirks.Duration{quirks.Search: quirks.Duration(10 * time.Minute)}},
			types:  []string{"Goal"},
			server: func(s *fhirtest.Server) { s.Inject(fhirtest.Slow(5 * time.Minute).On(fhirtest.Search)) },
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if !plain.gap("Goal", fhirsync.Failed, "") {
					t.Errorf("a slow answer was waited for without: %s", plain.rep)
				}
			},
		},
		{
			fields: "silentFilters",
			set:    quirks.Set{SilentFilters: []quirks.Filter{"sensitive appointments"}},
			check: func(t judge, plain, adapted *sighting) {
				if !adapted.note("sensitive appointments") || plain.note("sensitive") || len(adapted.plan.Warnings) != 1 {
					t.Errorf("%s\n%v", adapted.rep, adapted.plan)
				}
			},
		},
		{
			fields: "redacted",
			set:    quirks.Set{Redacted: []string{"HIDDEN-PARTS"}},
			server: func(s *fhirtest.Server) {
				s.Put(fhirtest.Resource{
					Type: "Goal", ID: "masked", Owner: fieldPatient(), Params: []fhirtest.Param{{Name: "patient", Value: "Patient/" + fieldPatient()}},
					Raw: []byte(`{"resourceType":"Goal","id":"masked","meta":{"security":[{"code":"HIDDEN-PARTS"}]},"subject":{"reference":"Patient/` + fieldPatient() + `"}}`),
				})
			},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if !adapted.gap("Goal", fhirsync.Denied, "masked") || plain.gap("Goal", fhirsync.Denied, "") || adapted.rep.Verdict != fhirsync.Restricted {
					t.Errorf("%s", adapted.rep)
				}
			},
		},
		{
			fields: "types.idsPerSearch",
			set:    types("*", quirks.Type{IDsPerSearch: new(1)}),
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				lists := func(s *sighting) (n int) {
					for _, r := range s.asked("", fhirtest.Search) {
						if strings.Contains(r.Query.Get("_id"), ",") {
							n++
						}
					}
					return n
				}
				if lists(plain) == 0 || lists(adapted) > 0 {
					t.Errorf("%d lists of ids with the quirk, %d without", lists(adapted), lists(plain))
				}
			},
		},
		{
			fields: "references.deniedAfter",
			set:    quirks.Set{References: quirks.References{DeniedAfter: new(1)}},
			server: func(s *fhirtest.Server) {
				var members []string
				for i := range 60 {
					members = append(members, fmt.Sprintf(`{"member":{"reference":"Practitioner/many-%d"}}`, i))
				}
				s.Put(fhirtest.Resource{
					Type: "CareTeam", ID: "large", Owner: fieldPatient(), Params: []fhirtest.Param{{Name: "patient", Value: "Patient/" + fieldPatient()}},
					Raw: []byte(`{"resourceType":"CareTeam","id":"large","subject":{"reference":"Patient/` + fieldPatient() + `"},"participant":[` + strings.Join(members, ",") + `]}`),
				})
				s.Inject(fhirtest.Status(403).For("Practitioner"))
			},
			check: func(t judge, plain, adapted *sighting) {
				fewer(t, "reads", len(plain.asked("Practitioner", fhirtest.Read)), len(adapted.asked("Practitioner", fhirtest.Read)))
				if !adapted.gap("Practitioner", fhirsync.Denied, "not asked for any longer") {
					t.Errorf("%s", adapted.rep)
				}
			},
		},
		{
			fields: "references.contents",
			set:    quirks.Set{References: quirks.References{Contents: new(quirks.AsItself)}},
			size:   fhirtest.Options{Attachments: 3},
			check: func(t judge, plain, adapted *sighting) {
				accepts := func(s *sighting) (raw int) {
					for _, r := range s.asked("Binary", "") {
						if r.Header.Get("Accept") != "application/fhir+json" {
							raw++
						}
					}
					return raw
				}
				if accepts(plain) > 0 || accepts(adapted) == 0 {
					t.Errorf("%d asked for as bytes with the quirk, %d without", accepts(adapted), accepts(plain))
				}
			},
		},
		{
			fields: "references.contents",
			set:    quirks.Set{References: quirks.References{Contents: new(quirks.NoContents)}},
			size:   fhirtest.Options{Attachments: 3},
			check: func(t judge, plain, adapted *sighting) {
				plain.whole(t)
				if len(plain.asked("Binary", "")) == 0 || len(adapted.asked("Binary", "")) > 0 {
					t.Errorf("%d contents asked for with the quirk, %d without", len(adapted.asked("Binary", "")), len(plain.asked("Binary", "")))
				}
				if !adapted.gap("Binary", fhirsync.Unproven, "not asked for") || adapted.rep.Verdict == fhirsync.Complete {
					t.Errorf("%s", adapted.rep)
				}
			},
		},
		{
			fields: "references.bases",
			set:    quirks.Set{References: quirks.References{Bases: []string{"http://internal.test:8080/fhir"}}},
			server: func(s *fhirtest.Server) {
				s.Put(fhirtest.Resource{
					Type: "Goal", ID: "points", Owner: fieldPatient(), Params: []fhirtest.Param{{Name: "patient", Value: "Patient/" + fieldPatient()}},
					Raw:   []byte(`{"resourceType":"Goal","id":"points","subject":{"reference":"Patient/` + fieldPatient() + `"},"expressedBy":{"reference":"http://internal.test:8080/fhir/Practitioner/far"}}`),
					Links: []string{"Practitioner/far"},
				}, fhirtest.Resource{Type: "Practitioner", ID: "far", Raw: []byte(`{"resourceType":"Practitioner","id":"far"}`)})
			},
			check: func(t judge, plain, adapted *sighting) {
				adapted.whole(t)
				if !slices.Contains(plain.lost, "Practitioner/far") {
					t.Error("followed without the quirk")
				}
				for _, r := range adapted.sent {
					if r.URL.Host == "internal.test:8080" {
						t.Errorf("sent to %s", r.URL.Host)
					}
				}
			},
		},
	}
}

func fieldPatient() string {
	return fhirtest.Generate(fhirtest.Options{Seed: fieldRecord, Size: 160}).PatientID
}

// sentTo gives the requests whose path ends so.
func (s *sighting) sentTo(suffix string) []*http.Request {
	var out []*http.Request
	for _, r := range s.sent {
		if strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/_search"), suffix) {
			out = append(out, r)
		}
	}
	return out
}

func (s *sighting) sentQueries() []fhirtest.Request {
	var out []fhirtest.Request
	for _, r := range s.sent {
		out = append(out, fhirtest.Request{Query: r.URL.Query()})
	}
	return out
}

// editBundle changes the Bundle of an answer.
func editBundle(resp *http.Response, edit func(b map[string]any)) {
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var b map[string]json.RawMessage
	if d.Decode(&b) == nil && string(b["resourceType"]) == `"Bundle"` {
		m := map[string]any{}
		for k, v := range b {
			m[k] = v
		}
		edit(m)
		raw, _ = json.Marshal(m)
	}
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(raw))), int64(len(raw))
	resp.Header.Del("Content-Length")
}

// editBytes changes the body of an answer.
func editBytes(resp *http.Response, edit func(raw string) string) {
	raw, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return
	}
	text := edit(string(raw))
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
}

func linksOf(b map[string]any) []map[string]string {
	var links []map[string]string
	raw, _ := b["link"].(json.RawMessage)
	_ = json.Unmarshal(raw, &links)
	return links
}

func hasNext(b map[string]any) bool {
	return slices.ContainsFunc(linksOf(b), func(l map[string]string) bool { return l["relation"] == "next" })
}

func editNext(resp *http.Response, edit func(next string) string) {
	editBundle(resp, func(b map[string]any) {
		links := linksOf(b)
		for _, l := range links {
			if l["relation"] == "next" {
				l["url"] = edit(l["url"])
			}
		}
		b["link"] = links
	})
}

// neverLast gives every page a next link, as some servers do, and pages beyond the last one are empty.
func neverLast(r *http.Request, resp *http.Response) {
	beyond := r.URL.Query().Has("beyond")
	editBundle(resp, func(b map[string]any) {
		if b["type"] == nil || hasNext(b) || r.URL.Query().Has("_summary") {
			return
		}
		links := linksOf(b)
		next := *r.URL
		q := next.Query()
		q.Set("beyond", q.Get("beyond")+"x")
		next.RawQuery = q.Encode()
		if beyond {
			delete(b, "entry")
		}
		b["link"] = append(links, map[string]string{"relation": "next", "url": next.String()})
	})
}

// pagesByOffset makes pages of ten without links, and _offset is understood.
func pagesByOffset(r *http.Request, resp *http.Response) {
	if !r.URL.Query().Has("_count") {
		return
	}
	editBundle(resp, func(b map[string]any) {
		var entries []json.RawMessage
		raw, _ := b["entry"].(json.RawMessage)
		_ = json.Unmarshal(raw, &entries)
		from, _ := strconv.Atoi(r.URL.Query().Get("_offset"))
		from = min(from, len(entries))
		b["entry"] = entries[from:min(from+10, len(entries))]
		delete(b, "total")
	})
}

// wholeAnswers asks for all that a search finds on one page.
func wholeAnswers(r *http.Request) *http.Request {
	q := r.URL.Query()
	if !q.Has("_count") {
		return r
	}
	out := r.Clone(r.Context())
	q.Set("_count", "200")
	q.Del("_offset")
	out.URL.RawQuery = q.Encode()
	return out
}

// TestEachFieldOfASetActs asks the same server without and with a quirk, for each field.
func TestEachFieldOfASetActs(t *testing.T) {
	t.Parallel()
	proven := map[string]bool{}
	for _, c := range fieldCases() {
		for f := range strings.FieldsSeq(c.fields) {
			proven[f] = true
		}
		t.Run(c.fields, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if err := c.set.Validate(); err != nil {
					t.Fatal(err)
				}
				plain := c.see(t, c.before)
				adapted := c.see(t, c.set)
				c.check(judge{t}, plain, adapted)
			})
		})
	}
	for _, f := range leaves(reflect.TypeFor[quirks.Set](), "") {
		if !proven[f] {
			t.Errorf("nothing proves that %s changes anything", f)
		}
		delete(proven, f)
	}
	for f := range proven {
		t.Errorf("there is no field %s", f)
	}
}

// leaves gives the paths of all fields that hold a value.
func leaves(t reflect.Type, path string) []string {
	switch t.Kind() {
	case reflect.Struct:
		var out []string
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			out = append(out, leaves(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
		}
		return out
	case reflect.Map, reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return leaves(t.Elem(), path)
		}
	default: // a value.
	}
	return []string{path}
}
