package fhirtest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestHostileFaultsAreListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range fhirtest.HostileFaults("https://evil.example/fhir") {
		if f.Name == "" || seen[f.Name] {
			t.Errorf("name %q is empty or repeated", f.Name)
		}
		seen[f.Name] = true
	}
}

func TestHostileFaultsHaveTheirEffect(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 200})
	for _, c := range []struct {
		fault fhirtest.Fault
		seen  func(resp *http.Response, body string) bool
	}{
		{fhirtest.RedirectTo(303, "file:///x"), func(r *http.Response, _ string) bool {
			return r.StatusCode == http.StatusSeeOther && r.Header.Get("Location") == "file:///x"
		}},
		{fhirtest.RedirectChain(), func(r *http.Response, _ string) bool {
			return r.StatusCode == http.StatusTemporaryRedirect && strings.HasSuffix(r.Header.Get("Location"), "/Observation?step=1")
		}},
		{fhirtest.NextVerbatim("https://evil.example/n"), func(_ *http.Response, b string) bool { return strings.Contains(b, `"https://evil.example/n"`) }},
		{fhirtest.AcceptedAt("https://evil.example/j"), func(r *http.Response, _ string) bool {
			return r.StatusCode == http.StatusAccepted && r.Header.Get("Content-Location") == "https://evil.example/j"
		}},
		{fhirtest.HeaderFlood(50), func(r *http.Response, _ string) bool { return r.Header.Get("X-Flood-49") != "" }},
		{fhirtest.GzipBomb(3 << 20), func(r *http.Response, b string) bool { return r.Uncompressed && len(b) == 3<<20 }},
		{fhirtest.Encoding("br"), func(r *http.Response, _ string) bool { return r.Header.Get("Content-Encoding") == "br" }},
	} {
		srv := fhirtest.NewServer(rec)
		srv.Inject(c.fault)
		client := srv.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.BaseURL()+"/Observation?patient="+rec.PatientID+"&_count=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Errorf("%s: %v", c.fault.Name, err)
		}
		if !c.seen(resp, string(body)) {
			t.Errorf("%s: %d %v", c.fault.Name, resp.StatusCode, resp.Header)
		}
	}
}
