package fhirtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

type check = func(t *testing.T, f fhirtest.Fault)

// all runs several checks.
func all(checks ...check) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		for _, c := range checks {
			c(t, f)
		}
	}
}

// pages looks at the first pages of the search for Observations.
func pages(ok func(pages []*bundle) bool) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		got := chain(t, faulty(f), obs, 8)
		if !ok(got) {
			t.Errorf("%d matches on %d pages", len(matches(got)), len(got))
			for i, b := range got {
				t.Logf("page %d: %d entries, total %v, links %v", i+1, len(b.Entry), b.Total, b.Link)
			}
		}
	}
}

// length expects distinct matches on a number of pages; eight pages mean that there may be more.
func length(n, on int) check {
	return pages(func(p []*bundle) bool { return len(matches(p)) == n && len(p) == on })
}

func first(ok func(b *bundle) bool) check {
	return pages(func(p []*bundle) bool { return ok(p[0]) })
}

// nextIs looks at the next link of the first page without following it.
func nextIs(ok func(s *fhirtest.Server, next string) bool) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		s := faulty(f)
		if next := page(t, s, obs).link("next"); !ok(s, next) {
			t.Errorf("next is %s", next)
		}
	}
}

// totals expects these totals on the pages; -1: none.
func totals(want ...int) check {
	return pages(func(p []*bundle) bool {
		var got []int
		for _, b := range p {
			if b.Total == nil {
				got = append(got, -1)
			} else {
				got = append(got, *b.Total)
			}
		}
		return slices.Equal(got, want)
	})
}

// counted expects this count, -1 for a Bundle without a total, and honest pages.
func counted(n int) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		s := faulty(f)
		got := -1
		if b := page(t, s, obs+"&_summary=count"); b.Total != nil {
			got = *b.Total
		}
		if got != n {
			t.Errorf("count %d, want %d", got, n)
		}
	}
}

// answers expects a status and a text in the body for a path.
func answers(path string, status int, contains string, header ...string) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		a := ask(t, faulty(f), path, header...)
		if a.err != nil || a.status != status || !bytes.Contains(a.body, []byte(contains)) {
			t.Errorf("%s: %d %v %.300s", path, a.status, a.err, a.body)
		}
	}
}

// finds expects a number of matches, and the same as a count.
func finds(query string, n int) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		s := faulty(f)
		if got := *page(t, s, query+"&_summary=count").Total; got != n {
			t.Errorf("%s: count %d, want %d", query, got, n)
		}
		if got := matches(chain(t, s, query, 20)); len(got) != n {
			t.Errorf("%s: found %d, want %d", query, len(got), n)
		}
	}
}

// claims expects types to be in metadata or not, as lists of parameters; nil: not there.
func claims(typ string, ok func(params []string, there bool) bool) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		var m struct {
			Rest []struct {
				Resource []struct {
					Type        string
					SearchParam []struct{ Name string }
				}
			}
		}
		if err := json.Unmarshal(ask(t, faulty(f), "metadata").body, &m); err != nil {
			t.Fatal(err)
		}
		var params []string
		there := false
		for _, r := range m.Rest[0].Resource {
			if r.Type == typ {
				there = true
				for _, p := range r.SearchParam {
					params = append(params, p.Name)
				}
			}
		}
		if !ok(params, there) {
			t.Errorf("%s: %v, %v", typ, there, params)
		}
	}
}

// byName picks a check by the full name of the fault.
func byName(checks map[string]check) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		if c := checks[f.Name]; c != nil {
			c(t, f)
			return
		}
		t.Errorf("no check for %s", f.Name)
	}
}

func unreadable(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	if a := ask(t, faulty(f), obs); a.err == nil && json.Valid(a.body) {
		t.Error("a valid answer came")
	}
}

func slow(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	start := time.Now()
	if a := ask(t, faulty(f), obs); a.status != http.StatusOK || time.Since(start) < 5*time.Millisecond {
		t.Errorf("%d after %v", a.status, time.Since(start))
	}
}

func stuck(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	s := faulty(f)
	if a := get(ctx, s.Client(), s.BaseURL()+"/"+obs); a.err == nil {
		t.Error("an answer came")
	}
}

// busy expects a status and a Retry-After header.
func busy(status int, ok func(after string) bool) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		a := ask(t, faulty(f), "metadata")
		if after := a.header.Get("Retry-After"); a.status != status || !ok(after) {
			t.Errorf("%d, Retry-After %q", a.status, after)
		}
	}
}

func exactly(want string) func(string) bool { return func(got string) bool { return got == want } }

func isDate(s string) bool {
	_, err := http.ParseTime(s)
	return err == nil
}

// outcomes counts the OperationOutcome entries of a page and finds a text in them.
func outcomes(b *bundle, contains string) int {
	n := 0
	for _, e := range b.Entry {
		if e.Search.Mode == "outcome" && bytes.Contains(e.Resource, []byte("OperationOutcome")) && bytes.Contains(e.Resource, []byte(contains)) {
			n++
		}
	}
	return n
}

func tokenDies(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	use := func(token string, want int) {
		t.Helper()
		if a := ask(t, s, "Patient/p", "Authorization", token); a.status != want || (want == http.StatusUnauthorized) != (a.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d, want %d", token, a.status, want)
		}
	}
	for range 5 {
		use("Bearer a", http.StatusOK)
	}
	use("Bearer a", http.StatusUnauthorized)
	use("Bearer b", http.StatusOK)
	use("Bearer a", http.StatusUnauthorized)
}

func subsetted(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	own := s.Own("p")
	for _, e := range page(t, s, obs).Entry {
		ref := refOf(e.Resource)
		if !bytes.Contains(e.Resource, []byte("SUBSETTED")) || !bytes.Contains(e.Resource, []byte(`"Patient/p"`)) || len(e.Resource) >= len(own[ref]) {
			t.Errorf("%s is whole: %s", ref, e.Resource)
		}
		if a := ask(t, s, ref); string(a.body) != string(own[ref]) {
			t.Errorf("the read of %s differs", ref)
		}
	}
}

func brokenEntry(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	a := ask(t, s, obs)
	if json.Valid(a.body) && utf8.Valid(a.body) || !bytes.Contains(a.body, []byte(`,"broken":`)) {
		t.Errorf("%.300s", a.body)
	}
	honest := ask(t, faulty(), obs)
	if len(a.body) <= len(honest.body) {
		t.Error("something is missing")
	}
	if next := matches(chain(t, faulty(), obs, 1))[0]; string(ask(t, s, next).body) != string(s.Own("p")[next]) {
		t.Error("the read is broken too")
	}
}

func oddBundle(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	got := map[string][]byte{}
	for _, b := range chain(t, s, obs, 8) {
		for _, e := range b.Entry {
			got[refOf(e.Resource)] = e.Resource
		}
	}
	for ref, raw := range got {
		if string(s.Own("p")[ref]) != string(raw) {
			t.Errorf("%s has other bytes", ref)
		}
	}
	page(t, s, "Observation?patient=nobody")
	if len(got) != 60 {
		t.Errorf("%d found", len(got))
	}
}

func redirect(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	c := s.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := get(t.Context(), c, s.BaseURL()+"/"+obs)
	if to := a.header.Get("Location"); a.status != http.StatusTemporaryRedirect || to != "https://elsewhere.fhirtest.example/fhir/"+obs {
		t.Errorf("%d to %s", a.status, to)
	}
	s.Alias("https://elsewhere.fhirtest.example/fhir")
	a = ask(t, s, obs)
	if a.err == nil { // the alias is the same server and redirects again.
		t.Errorf("%d", a.status)
	}
}

func rateLimit(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	s := faulty(f)
	for i := range 21 {
		if a := ask(t, s, "Patient/p"); (a.status == http.StatusTooManyRequests) != (i >= 20) || i >= 20 && a.header.Get("Retry-After") != "1" {
			t.Errorf("request %d: %d", i+1, a.status)
		}
	}
}

func rateLimitByClock(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(700 * time.Millisecond) // the bubble's clock begins at a full second.
		s := faulty(f)
		for i := range 21 {
			if a := ask(t, s, "Patient/p"); (a.status == http.StatusTooManyRequests) != (i >= 20) || a.header.Get("Retry-After") != "" {
				t.Errorf("request %d: %d", i+1, a.status)
			}
		}
		time.Sleep(299 * time.Millisecond)
		before := ask(t, s, "Patient/p")
		time.Sleep(time.Millisecond)
		if after := ask(t, s, "Patient/p"); before.status != http.StatusTooManyRequests || after.status != http.StatusOK {
			t.Errorf("before the full second %d, then %d", before.status, after.status)
		}
	})
}

func rateHeaders(t *testing.T, f fhirtest.Fault) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := faulty(f)
		ask(t, s, "Patient/p")
		time.Sleep(1500 * time.Millisecond)
		h := ask(t, s, obs).header
		got := []string{h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset")}
		if want := []string{"100", "98", "58.500000"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// required expects that searches for Observations need the parameter.
func required(name string) check {
	return all(answers(obs, 400, name), answers(obs+"&"+name+":missing=true", 200, "Bundle"), answers("Observation?_id=1", 200, "Bundle"))
}

func escaped(s string) string { return url.QueryEscape(s) }

func fmtName(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// contents reads a Binary with this Accept, and looks for the beginning of a media type and for a text in the answer.
func contents(accept, mediaType, contains string) check {
	return func(t *testing.T, f fhirtest.Fault) {
		t.Helper()
		rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 2, PatientID: "p", Attachments: 2})
		s := fhirtest.NewServer(rec)
		s.Inject(f)
		i := slices.IndexFunc(rec.Referenced, func(r fhirtest.Resource) bool { return bytes.Contains(r.Content, []byte("Latin-1")) })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.BaseURL()+"/"+rec.Referenced[i].Ref(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if got := resp.Header.Get("Content-Type"); err != nil || !strings.HasPrefix(got, mediaType) || !bytes.Contains(body, []byte(contains)) {
			t.Errorf("Accept %s: %s, %v, %.200s", accept, got, err, body)
		}
	}
}
