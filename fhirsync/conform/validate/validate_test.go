package validate_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform/validate"
)

var _ conform.Validator = (*validate.Server)(nil)

func TestValidate(t *testing.T) {
	t.Parallel()
	const body = `{"resourceType":"Patient","name":[{"family":"Secret"}]}`
	const outcome = `{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"structure","details":{"coding":[{"code":"x-1"}],"text":"told"}},{"severity":"warning","code":"invalid","diagnostics":"why"}]}`
	issues := []fhirsync.Issue{{Severity: "error", Code: "structure", Details: []string{"x-1"}, Diagnostics: "told"}, {Severity: "warning", Code: "invalid", Diagnostics: "why"}}
	for name, c := range map[string]struct {
		status int
		answer string
		want   []fhirsync.Issue
		err    string
	}{
		"valid":        {200, `{"resourceType":"OperationOutcome","issue":[{"severity":"information","code":"informational"}]}`, []fhirsync.Issue{{Severity: "information", Code: "informational"}}, ""},
		"invalid":      {200, outcome, issues, ""},
		"precondition": {412, outcome, issues, ""},
		"unreadable":   {400, "\uFEFF" + outcome, issues, ""},
		"not FHIR":     {200, `<html>Secret</html>`, nil, "no OperationOutcome"},
		"other":        {200, `{"resourceType":"Patient"}`, nil, "no OperationOutcome"},
		"denied":       {403, outcome, nil, "status 403"},
		"elsewhere":    {302, "", nil, "status 302"},
		"down":         {503, outcome, nil, "status 503"},
		"too much":     {200, strings.Repeat(" ", 8<<20+1), nil, "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil || string(got) != body || r.Method != http.MethodPost || r.URL.Path != "/fhir/Patient/$validate" || r.URL.Query().Get("profile") != "https://example.org/p|1" {
					t.Errorf("%s %s: %s, %v", r.Method, r.URL, got, err)
				}
				if c.status == 302 {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			}))
			defer srv.Close()
			v := &validate.Server{BaseURL: srv.URL + "/fhir/", Profile: "https://example.org/p|1"}
			got, err := v.Validate(t.Context(), "Patient", []byte(body))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err == nil) != (c.err == "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "Secret")) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

func TestValidateCannotAsk(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "ftp://a.example", "Patient", "http://%zz"} {
		if _, err := (&validate.Server{BaseURL: base}).Validate(t.Context(), "Patient", []byte(`{}`)); err == nil {
			t.Errorf("%q: no error", base)
		}
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	base := srv.URL
	srv.Close()
	_, err := (&validate.Server{BaseURL: base}).Validate(t.Context(), "Patient", []byte(`{}`))
	if err == nil || strings.Contains(err.Error(), "$validate") {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&validate.Server{BaseURL: base}).Validate(ctx, "Patient", []byte(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
	a, b := &validate.Server{BaseURL: "https://a.example/"}, &validate.Server{BaseURL: "https://a.example", Profile: "p"}
	if a.Fingerprint() == b.Fingerprint() || a.Fingerprint() != (&validate.Server{BaseURL: "https://a.example"}).Fingerprint() {
		t.Errorf("fingerprints %q and %q", a.Fingerprint(), b.Fingerprint())
	}
}
