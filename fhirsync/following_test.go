package fhirsync_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/refs"
)

// web is a server whose resources are made by hand, so that every reference is known. The patient is "p".
type web struct{ *fhirtest.Server }

func newWeb() web {
	w := web{fhirtest.NewServer()}
	w.put("Patient/p", true, `"active":true`)
	return w
}

// put puts a resource on the server: the patient's own, or nobody's. Its references are said twice, in members and in links.
func (w web) put(ref string, own bool, members string, links ...string) {
	typ, id, _ := strings.Cut(ref, "/")
	r := fhirtest.Resource{Type: typ, ID: id, Links: links}
	about := ""
	if own {
		r.Owner = "p"
		if typ != "Patient" {
			r.Params = fhirtest.Of("p", "patient", "subject")
			about = `,"subject":{"reference":"Patient/p"}`
		}
	}
	if members != "" {
		members = "," + members
	}
	r.Raw = fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s%s}`, typ, id, about, members)
	w.Put(r)
}

// sync runs a sync and checks that all that is wanted came.
func (w web) sync(t *testing.T, c *fhirsync.Client, store fhirsync.Store, o *fhirsync.SyncOptions) *fhirsync.Report {
	t.Helper()
	rep, err := c.Sync(t.Context(), fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, o)
	if err != nil && !errors.Is(err, fhirsync.ErrIncomplete) {
		t.Fatalf("%v\n%s", err, rep)
	}
	return rep
}

func (w web) complete(t *testing.T, store *memstore.Store, rep *fhirsync.Report) {
	t.Helper()
	if lost, alien := missing(w.Server, "p", store); len(lost)+len(alien) > 0 || rep.Verdict != fhirsync.Complete {
		t.Errorf("lost %v, not to be there %v\n%s", lost, alien, rep)
	}
}

// asked gives the requests for references since the log was emptied, in order: those for what is not the patient's.
func (w web) asked(types ...string) []string {
	var out []string
	for _, q := range w.Requests() {
		if slices.Contains(types, q.Type) && (q.Interaction == fhirtest.Read || q.Query.Has("_id")) {
			what := q.Path
			if id := q.Query.Get("_id"); id != "" {
				what += "?" + strconv.Itoa(len(strings.Split(id, ",")))
			}
			out = append(out, what)
		}
	}
	return out
}

func gapsOf(rep *fhirsync.Report, reason fhirsync.GapReason) []string {
	var out []string
	for _, g := range rep.Gaps {
		if g.Reason == reason && g.Detail != "not claimed, and an empty answer proves nothing" {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s %d", g.Ref, g.Detail, g.Host, g.Count)))
		}
	}
	return out
}

// unpacedClient makes a client that is not held back.
func (w web) client(t *testing.T) *fhirsync.Client {
	t.Helper()
	return newClient(t, w.Server, fhirsync.Config{Limit: unpaced})
}

// A record with hundreds of references costs a handful of requests, and each kind of reference ends where it should.
func TestReferencesCostWhatTheyMust(t *testing.T) {
	t.Parallel()
	w := newWeb()
	const practitioners, chain = 30, 30
	for i := range 400 {
		to := fmt.Sprintf("Practitioner/pr-%d", i%practitioners)
		text := to
		switch i % 5 {
		case 1:
			text = w.BaseURL() + "/" + to
		case 2:
			text = to + "/_history/3"
		case 3:
			text = "HTTP://FHIR.Example.test:80/r4/" + to // the same server in another spelling.
		}
		w.put(fmt.Sprintf("Observation/o-%d", i), true, fmt.Sprintf(`"performer":[{"reference":%q}]`, text), to)
	}
	for i := range practitioners {
		w.put(fmt.Sprintf("Practitioner/pr-%d", i), false, `"qualification":[{"issuer":{"reference":"Organization/0"}}]`, "Organization/0")
	}
	for i := range chain {
		next := fmt.Sprintf("Organization/%d", i+1)
		w.put(fmt.Sprintf("Organization/%d", i), false, fmt.Sprintf(`"partOf":{"reference":%q}`, next), next)
	}
	w.put(fmt.Sprintf("Organization/%d", chain), false, `"name":"the end"`)
	w.put("Location/a", false, `"partOf":{"reference":"Location/b"}`, "Location/b")
	w.put("Location/b", false, `"partOf":{"reference":"Location/c"}`, "Location/c")
	w.put("Location/c", false, `"partOf":{"reference":"Location/a"}`, "Location/a")
	w.put("Encounter/e", true, `"contained":[{"resourceType":"Location","id":"l"}],"location":[{"location":{"reference":"#l"}},{"location":{"reference":"Location/a"}}],`+
		`"serviceProvider":{"reference":"https://other.example/fhir/Organization/9"},"participant":[{"individual":{"reference":"Practitioner?_id=nobody"}},`+
		`{"individual":{"reference":"urn:uuid:3fdc72f4-a11d-4a9d-9260-a9f745779e1d"}},{"individual":{"display":"only a name"}},{"individual":{"identifier":{"value":"1"}}},`+
		`{"individual":{"reference":"javascript:alert(1)"}},{"individual":{"reference":"Practitioner/../../x"}},{"individual":{"reference":"Patient/somebody"}}]`, "Location/a")
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	w.complete(t, store, rep)
	// One list of practitioners, three hops around the cycle, and 31 organizations one by one, because each is known when the last has come.
	want := 1 + 3 + (chain + 1)
	if most := want * 105 / 100; rep.Requests.References > most {
		t.Errorf("%d requests for references, want %d: %v", rep.Requests.References, want, w.asked("Practitioner", "Organization", "Location"))
	}
	for _, q := range w.Requests() {
		if strings.Contains(q.URL, "somebody") || q.Interaction == fhirtest.Foreign {
			t.Errorf("asked for %s", q.URL)
		}
	}
	t.Logf("%d requests for references\n%v", rep.Requests.References, gapsOf(rep, fhirsync.Skipped))
}

// Lists are as long as addresses may be, and what came by one question is not asked for again.
func TestListsOfIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		n      int
		id     string
		faults []fhirtest.Fault
		most   int // requests for references
	}{
		{"200 in lists of 50", 200, "p%d", nil, 4},
		{"long ids make shorter lists", 100, "a-very-long-identifier-of-sixty-characters-or-so-it-goes-on-%04d", nil, 4},
		{"pages shorter than the list", 100, "p%d", []fhirtest.Fault{fhirtest.PageSizeCap(20)}, 6},
		{"no _count allowed", 40, "p%d", []fhirtest.Fault{fhirtest.CountRejected(0)}, 2},
		{"lists find nothing", 20, "p%d", []fhirtest.Fault{fhirtest.IDListFindsNothing()}, 21},
		{"lists are refused", 20, "p%d", []fhirtest.Fault{fhirtest.IDListRefused(1)}, 21},
		{"lists are cut", 60, "p%d", []fhirtest.Fault{fhirtest.IDListCut(10)}, 9},
		{"ids are ignored", 20, "p%d", []fhirtest.Fault{fhirtest.IDIgnored()}, 21},
		{"the parameter is ignored", 20, "p%d", []fhirtest.Fault{fhirtest.ParamIgnored("_id")}, 21},
		{"odd ids one by one", 6, "a b/%%2F,ü|%d", nil, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			for i := range c.n {
				ref := "Organization/" + fmt.Sprintf(c.id, i)
				if strings.Contains(c.id, "/") {
					ref = "Organization/" + strings.ReplaceAll(fmt.Sprintf(c.id, i), "/", "_")
				}
				w.put(fmt.Sprintf("Observation/o%d", i), true, fmt.Sprintf(`"performer":[{"reference":%q}]`, ref), ref)
				w.put(ref, false, `"active":true`)
			}
			for i := range 100 { // of whom nobody speaks
				w.put(fmt.Sprintf("Organization/other-%d", i), false, `"active":false`)
			}
			w.Inject(c.faults...)
			client := w.client(t)
			store := new(memstore.Store)
			rep := w.sync(t, client, store, nil)
			w.complete(t, store, rep)
			if rep.Requests.References > c.most {
				t.Errorf("%d requests for references, at most %d: %v", rep.Requests.References, c.most, w.asked("Organization"))
			}
			// The second patient's record (here the same one's) costs no more than what was learned allows.
			w.ResetRequests()
			again := w.sync(t, client, new(memstore.Store), nil)
			if again.Requests.References > rep.Requests.References {
				t.Errorf("%d requests when it was known, %d before", again.Requests.References, rep.Requests.References)
			}
			t.Logf("%d, then %d requests", rep.Requests.References, again.Requests.References)
		})
	}
}

// What is not there is asked for once, by itself, and not again for a while.
func TestDanglingReferences(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		for i := range 20 {
			ref := fmt.Sprintf("Practitioner/p%d", i)
			if i%4 != 0 {
				w.put(ref, false, "")
			}
			w.put(fmt.Sprintf("Observation/o%d", i), true, fmt.Sprintf(`"performer":[{"reference":%q}]`, ref), ref)
		}
		w.Delete("Practitioner/p1")
		client, store := w.client(t), new(memstore.Store)
		rep := w.sync(t, client, store, nil)
		w.complete(t, store, rep)
		gone := gapsOf(rep, fhirsync.Dangling)
		want := []string{
			"Practitioner/p0 404 not-found, named by Observation.performer 1", "Practitioner/p1 410 deleted, named by Observation.performer 1",
			"Practitioner/p12 404 not-found, named by Observation.performer 1", "Practitioner/p16 404 not-found, named by Observation.performer 1",
			"Practitioner/p4 404 not-found, named by Observation.performer 1", "Practitioner/p8 404 not-found, named by Observation.performer 1",
		}
		if d := cmp.Diff(want, gone); d != "" {
			t.Error(d)
		}
		if n := len(w.asked("Practitioner")); n != 7 {
			t.Errorf("%v", w.asked("Practitioner"))
		}
		time.Sleep(48 * time.Hour)
		w.ResetRequests()
		rep = w.sync(t, client, store, nil)
		w.complete(t, store, rep)
		if n := len(w.asked("Practitioner")); n != 1 || len(gapsOf(rep, fhirsync.Dangling)) != 6 {
			t.Errorf("after two days %v\n%s", w.asked("Practitioner"), rep)
		}
		w.put("Practitioner/p4", false, "")
		time.Sleep(48 * time.Hour)
		rep = w.sync(t, client, store, nil)
		w.complete(t, store, rep)
		if n := len(gapsOf(rep, fhirsync.Dangling)); n != 5 {
			t.Errorf("after four days %d are missing\n%s", n, rep)
		}
	})
}

// Thousands of targets that are not there are no flood of requests, and nobody says that all is well.
func TestTooManyDanglingReferences(t *testing.T) {
	t.Parallel()
	w := newWeb()
	for i := range 60 {
		var names []string
		for j := range 50 {
			names = append(names, fmt.Sprintf(`{"reference":"Practitioner/gone-%d-%d"}`, i, j))
		}
		w.put(fmt.Sprintf("Observation/o%d", i), true, `"performer":[`+strings.Join(names, ",")+`]`)
	}
	rep := w.sync(t, w.client(t), new(memstore.Store), nil)
	limited := gapsOf(rep, fhirsync.Limited)
	if rep.Verdict != fhirsync.Incomplete || len(limited) != 1 || rep.Requests.References > 1200 || len(gapsOf(rep, fhirsync.Dangling)) < 1000 {
		t.Errorf("%d requests, %v, %s", rep.Requests.References, limited, rep.Verdict)
	}
}

// A type that may not be read is not asked for on and on.
func TestDeniedReferences(t *testing.T) {
	t.Parallel()
	w := newWeb()
	for i := range 40 {
		ref := fmt.Sprintf("Practitioner/p%d", i)
		w.put(ref, false, "")
		w.put(fmt.Sprintf("Observation/o%d", i), true, fmt.Sprintf(`"performer":[{"reference":%q}],"device":{"reference":"Location/l"}`, ref), ref, "Location/l")
	}
	w.put("Location/l", false, "")
	w.Inject(fhirtest.Status(http.StatusForbidden).For("Practitioner"))
	rep := w.sync(t, w.client(t), new(memstore.Store), nil)
	n := 0
	for _, g := range rep.Gaps {
		if g.Type == "Practitioner" && g.Reason == fhirsync.Denied {
			n += g.Count
		}
	}
	if asked := w.asked("Practitioner"); len(asked) > 14 || n != 40 || rep.Verdict != fhirsync.Restricted || rep.Types["Location"].Stored != 1 {
		t.Errorf("%d refused, asked for %v\n%s", n, asked, rep)
	}
}

// What comes back as something else than what was asked for is refused and named.
func TestTargetsThatAreSomethingElse(t *testing.T) {
	t.Parallel()
	for _, f := range []fhirtest.Fault{fhirtest.WrongIDOnRead().For("Practitioner"), fhirtest.WrongTypeOnRead().For("Practitioner")} {
		w := newWeb()
		w.put("Practitioner/1", false, "")
		w.put("Observation/o", true, `"performer":[{"reference":"Practitioner/1"}]`, "Practitioner/1")
		w.Inject(f)
		store := new(memstore.Store)
		rep := w.sync(t, w.client(t), store, nil)
		lost, alien := missing(w.Server, "p", store)
		if rep.Verdict != fhirsync.Incomplete || len(alien) > 0 || !slices.Equal(lost, []string{"Practitioner/1"}) ||
			!slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Ref == "Practitioner/1" && g.Reason == fhirsync.Failed }) {
			t.Errorf("%s: lost %v, not to be there %v\n%s", f.Name, lost, alien, rep)
		}
	}
}

// Nothing is followed to other people, out of what leads to them, or out of what was refused.
func TestOtherPeopleAreNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.put("Patient/p", true, `"link":[{"other":{"reference":"RelatedPerson/linked"},"type":"seealso"},{"other":{"reference":"Patient/also"},"type":"seealso"}]`)
	w.put("Observation/o", true, `"focus":[{"reference":"Group/g"},{"reference":"Person/n"},{"reference":"Observation/theirs"},{"reference":"Patient/x"},`+
		`{"reference":"Patient?identifier=a|b"},{"reference":"`+w.BaseURL()+`/Patient/y"}]`, "Group/g", "Person/n")
	w.put("Group/g", false, `"managingEntity":{"reference":"Organization/of-the-group"},"member":[{"entity":{"reference":"Practitioner/one-of-them"}}]`)
	w.put("Person/n", false, `"managingOrganization":{"reference":"Organization/of-the-person"},"link":[{"target":{"reference":"Practitioner/same"}}]`)
	w.Put(fhirtest.Resource{Type: "Observation", ID: "theirs", Owner: "x", Raw: []byte(`{"resourceType":"Observation","id":"theirs","subject":{"reference":"Patient/x"},"performer":[{"reference":"Practitioner/theirs"}]}`)})
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	if lost, alien := missing(w.Server, "p", store); len(lost)+len(alien) > 0 {
		t.Errorf("lost %v, not to be there %v\n%s", lost, alien, rep)
	}
	for _, q := range w.Requests() {
		for _, never := range []string{"linked", "also", "/x", "Patient/y", "a%7Cb", "a|b", "of-the-group", "one-of-them", "of-the-person", "same", "Practitioner/theirs"} {
			if strings.Contains(q.URL, never) {
				t.Errorf("asked for %s", q.URL)
			}
		}
	}
	if n := len(gapsOf(rep, fhirsync.Shared)); n != 1 {
		t.Errorf("%d shared\n%s", n, rep)
	}
}

// What the server calls itself in fullUrl and self links is the same server; requests go to the base URL all the same.
func TestAliasesOfTheServer(t *testing.T) {
	t.Parallel()
	const inside = "http://10.0.66.99:8080/fhir"
	w := newWeb()
	w.put("Patient/p", true, `"managingOrganization":{"reference":"`+inside+`/Organization/o"}`, "Organization/o") // before any page has shown the name.
	w.put("Organization/o", false, "")
	w.put("Practitioner/d", false, "")
	w.put("Observation/o", true, `"performer":[{"reference":"`+inside+`/Practitioner/d"},{"reference":"https://elsewhere.example/fhir/Practitioner/e"},`+
		`{"reference":"https://elsewhere.example/fhir/Practitioner/f"}]`, "Practitioner/d")
	w.Inject(fhirtest.OtherName(inside))
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	w.complete(t, store, rep)
	for _, q := range w.Requests() {
		if q.Interaction == fhirtest.Foreign || !strings.HasPrefix(q.URL, w.BaseURL()) {
			t.Errorf("asked for %s", q.URL)
		}
	}
	if d := cmp.Diff([]string{"references to other serverselsewhere.example 2"}, gapsOf(rep, fhirsync.Skipped)); d != "" {
		t.Error(d)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.put("Observation/o", true, `"performer":[{"reference":"Practitioner/1"},{"reference":"Organization/1"}]`)
	w.put("Practitioner/1", false, `"qualification":[{"issuer":{"reference":"Organization/2"}}]`)
	w.put("Organization/1", false, `"partOf":{"reference":"Organization/3"}`)
	w.put("Organization/2", false, "")
	w.put("Organization/3", false, "")
	for _, c := range []struct {
		name    string
		policy  refs.Policy
		want    string
		skipped []string
	}{
		{"closure", refs.Policy{}, "1 2 3 P", nil},
		{"none", refs.Policy{Hops: refs.None}, "", []string{"references further than the options go 2"}},
		{"one hop", refs.Policy{Hops: refs.OneHop}, "1 P", []string{"references further than the options go 2"}},
		{"no organizations", refs.Policy{OmitTypes: []string{"Organization"}}, "P", []string{"references to types that the options leave out 2"}},
	} {
		store := new(memstore.Store)
		rep := w.sync(t, w.client(t), store, &fhirsync.SyncOptions{References: c.policy})
		var got []string
		for r := range store.All() {
			if r.Type == "Organization" {
				got = append(got, r.ID)
			}
		}
		if _, has := store.Get(fhirsync.Key{Server: "web", Type: "Practitioner", ID: "1"}); has {
			got = append(got, "P")
		}
		if strings.Join(got, " ") != c.want || rep.Verdict != fhirsync.Complete {
			t.Errorf("%s: %v\n%s", c.name, got, rep)
		}
		if d := cmp.Diff(c.skipped, gapsOf(rep, fhirsync.Skipped)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

// Whatever stands in a reference, it ends: in a gap, or in nothing.
func TestOddReferences(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.put("Observation/o", true, `"a":{"reference":5},"b":{"reference":{"reference":"Practitioner/1"}},"c":{"reference":""},"d":{"reference":"`+strings.Repeat("x", 10<<20)+`"},`+
		`"e":{"reference":"javascript:alert(1)"},"f":{"reference":"Patient/../../x"},"g":{"reference":"Practitioner/a%2Fb"},"h":{"reference":"Practitioner/a b"},`+
		`"i":{"reference":"Practitioner/ä"},"j":{"reference":null},"k":[{"reference":["Practitioner/2"]}],"l":{"reference":"http://"},"m":{"reference":"Practitioner/%2e%2e"}`, "Practitioner/1", "Practitioner/2")
	w.put("Practitioner/1", false, "")
	w.put("Practitioner/2", false, "")
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	w.complete(t, store, rep)
	for _, q := range w.Requests() {
		if strings.Contains(q.URL, "..") || strings.Contains(q.URL, "/x") {
			t.Errorf("asked for %s", q.URL)
		}
	}
	var gone []string
	for _, g := range rep.Gaps {
		if g.Reason == fhirsync.Dangling {
			gone = append(gone, g.Ref)
		}
	}
	if d := cmp.Diff([]string{"Practitioner/a b", "Practitioner/a%2Fb", "Practitioner/ä"}, gone); d != "" {
		t.Error(d)
	}
}

// A sync that was interrupted in the middle of references has forgotten none of them.
func TestReferencesSurviveAnInterruption(t *testing.T) {
	t.Parallel()
	for _, stop := range []time.Duration{30 * time.Second, 32 * time.Second, 34 * time.Second, 36 * time.Second, 40 * time.Second, 50 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			for i := range 30 {
				w.put(fmt.Sprintf("Organization/%d", i), false, fmt.Sprintf(`"partOf":{"reference":"Organization/%d"}`, i+1), fmt.Sprintf("Organization/%d", i+1))
				w.put(fmt.Sprintf("Observation/%d", i), true, fmt.Sprintf(`"performer":[{"reference":"Practitioner/%d"},{"reference":"Organization/0"},{"reference":"https://other.example/fhir/Practitioner/1"}]`, i),
					fmt.Sprintf("Practitioner/%d", i), "Organization/0")
				w.put(fmt.Sprintf("Practitioner/%d", i), false, "")
			}
			w.Inject(fhirtest.Slow(2 * time.Second))
			store := new(memstore.Store)
			ctx, cancel := context.WithTimeout(t.Context(), stop)
			first, err := w.client(t).Sync(ctx, fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !first.Resumable {
				t.Fatalf("%v\n%s", err, first)
			}
			before := store.Len()
			rep := w.sync(t, w.client(t), store, nil)
			if rep.ResumedFrom.IsZero() {
				t.Error("not resumed")
			}
			w.complete(t, store, rep)
			if d := cmp.Diff([]string{"references to other serversother.example 30"}, gapsOf(rep, fhirsync.Skipped)); d != "" {
				t.Error(d)
			}
			t.Logf("stopped with %d resources", before)
		})
	}
}
