package main_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestWithoutFlags(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	cmd, out, errs := command(t)
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp, "TMP="+tmp)
	if code := status(t, cmd.Run()); code != 0 {
		t.Fatalf("status %d\n%s%s", code, out, errs)
	}
	stdout := out.String()
	if !strings.Contains(stdout, "COMPLETE") || strings.Contains(stdout, "INCOMPLETE") || !strings.Contains(stdout, "    dangling ") {
		t.Errorf("the report:\n%s", stdout)
	}
	if strings.Count(errs.String(), "\n") < 3 {
		t.Errorf("progress:\n%s", errs)
	}
	where := regexp.MustCompile(`(?m)^The files are in (.*)$`).FindStringSubmatch(stdout)
	if where == nil || filepath.Dir(where[1]) != tmp {
		t.Fatalf("where the files are: %q\n%s", where, stdout)
	}
	count := regexp.MustCompile(`(\d+) resources of`).FindStringSubmatch(stdout)
	if count == nil {
		t.Fatal(stdout)
	}
	if n := len(linesIn(t, where[1])); strconv.Itoa(n) != count[1] {
		t.Errorf("%d in the files, %s in the report", n, count[1])
	}
}

func TestTheVerdictDecidesTheExitStatus(t *testing.T) {
	t.Parallel()
	record := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 120, Dangling: 2})
	few := []string{"-types", "Observation,Goal,Condition"}
	for _, c := range []struct {
		name    string
		faults  []fhirtest.Fault
		args    []string
		patient string
		want    int
		out     string // in the report
		errs    string
	}{
		{name: "everything there", want: 0, out: "COMPLETE"},
		{name: "search by type", args: []string{"-strategy", "search-by-type"}, want: 0, out: "COMPLETE"},
		{name: "everything alone", args: []string{"-strategy", "everything"}, want: 4, out: "unproven"},
		{name: "some types", args: few, want: 0, out: "only asked for: Condition, Goal, Observation"},
		{name: "one type denied", args: few, faults: []fhirtest.Fault{fhirtest.Status(403).For("Goal")}, want: 4, out: "denied"},
		{name: "one type lost", args: few, faults: []fhirtest.Fault{fhirtest.Redirect("http://127.0.0.1:1").For("Goal")}, want: 3, out: "failed"},
		{name: "token dies", args: append([]string{"-token", "t"}, few...), faults: []fhirtest.Fault{fhirtest.TokenDies(4)}, want: 3, out: "INCOMPLETE", errs: "not authorized"},
		{name: "token dead", args: append([]string{"-token", "t"}, few...), faults: []fhirtest.Fault{fhirtest.Status(401)}, want: 1, errs: "not authorized"},
		{name: "login page", args: few, faults: []fhirtest.Fault{fhirtest.MetadataHTML(), fhirtest.LoginPage()}, want: 1, errs: "not a FHIR server"},
		{name: "unknown patient", args: few, patient: "nobody", want: 1, errs: "patient not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := fhirtest.NewServer(record)
			srv.Everything = true
			srv.Inject(c.faults...)
			base := start(t, srv)
			dir := t.TempDir()
			out, report := filepath.Join(dir, "out"), filepath.Join(dir, "report.json")
			patient := record.PatientID
			if c.patient != "" {
				patient = c.patient
			}
			code, stdout, stderr := run(t, append([]string{"-base", base, "-patient", patient, "-out", out, "-report", report}, c.args...)...)
			if code != c.want || !strings.Contains(stdout, c.out) || !strings.Contains(stderr, c.errs) {
				t.Errorf("status %d, not %d\n%s%s", code, c.want, stdout, stderr)
			}
			rep := reportIn(t, report)
			if verdict := map[int]fhirsync.Verdict{0: fhirsync.Complete, 4: fhirsync.Restricted}[c.want]; rep.Verdict != verdict {
				t.Errorf("verdict %s in the JSON", rep.Verdict)
			}
			if stored := len(linesIn(t, out)); stored != rep.Received() {
				t.Errorf("%d in the files, %d in the report", stored, rep.Received())
			}
			if c.want == 0 && c.args == nil {
				whole(t, srv, record.PatientID, out)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	code, stdout, stderr := run(t, "-base", gone.URL, "-patient", "1", "-out", t.TempDir())
	if code != 1 || stdout != "" || !strings.Contains(stderr, "connection refused") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

func TestSecretsReachTheServerAndNobodyElse(t *testing.T) {
	t.Parallel()
	const token, key = "synthetic-token-4711", "synthetic-key-0815"
	for _, way := range []string{"flag", "environment"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			var elsewhere atomic.Int64
			other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			t.Cleanup(other.Close)
			record := fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 120})
			srv := fhirtest.NewServer(record)
			srv.MaxCount = 20
			srv.Inject(fhirtest.Redirect(other.URL).For("Goal"), fhirtest.NextForeignHost(other.URL).For("Observation"))
			base := start(t, srv)
			dir := t.TempDir()
			args := []string{
				"-base", base, "-patient", record.PatientID, "-out", filepath.Join(dir, "out"), "-report", filepath.Join(dir, "report.json"),
				"-types", "Observation,Goal", "-header", "X-Api-Key: " + key, "-header", "X-Second: 2",
			}
			if way == "flag" {
				args = append(args, "-token", token)
			}
			cmd, stdout, stderr := command(t, args...)
			if way == "environment" {
				cmd.Env = append(cmd.Env, "FHIRSYNC_TOKEN="+token)
			}
			code := status(t, cmd.Run())
			if code != 3 { // Goals could not be had.
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
			}
			if n := elsewhere.Load(); n != 0 {
				t.Errorf("%d requests went to another origin", n)
			}
			for _, r := range srv.Requests() {
				if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Api-Key") != key || r.Header.Get("X-Second") != "2" {
					t.Errorf("%s came without the token or a header", r.Path)
				}
			}
			written := stdout.String() + stderr.String()
			err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				written += string(raw)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{token, key} {
				if strings.Contains(written, secret) {
					t.Errorf("%s was written somewhere", secret)
				}
			}
		})
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 3}))
	base := start(t, srv)
	const secret = "synthetic-secret"
	for name, args := range map[string][]string{
		"unknown flag":          {"-bases", base},
		"no patient":            {"-base", base},
		"no base":               {"-patient", "1"},
		"header without colon":  {"-base", base, "-patient", "1", "-header", secret},
		"header with a space":   {"-base", base, "-patient", "1", "-header", "X Key: " + secret},
		"header with a break":   {"-base", base, "-patient", "1", "-header", "X-Key: " + secret + "\r\nX-Other: 1"},
		"header without quotes": {"-base", base, "-patient", "1", "-header", "Authorization:", "Bearer", secret},
		"header of the library": {"-base", base, "-patient", "1", "-header", "Host: " + secret},
		"token twice":           {"-base", base, "-patient", "1", "-token", secret, "-header", "Authorization: " + secret},
		"odd flag":              {"---token=" + secret},
		"strategy":              {"-base", base, "-patient", "1", "-strategy", "magic"},
		"type":                  {"-base", base, "-patient", "1", "-types", "not-a-type"},
		"reference":             {"-base", base, "-patient", "Patient/1"},
		"scheme":                {"-base", "ftp://fhir.example.org", "-patient", "1"},
		"name of a space":       {"-base", base, "-patient", "1", "-namespace", "payer\na"},
		"base of a space":       {"-base", "https://fhir.example.org?" + secret, "-patient", "1", "-namespace", "payer-a"},
		"credentials in a URL":  {"-base", "https://user:" + secret + "@fhir.example.org", "-patient", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmp := t.TempDir()
			cmd, stdout, stderr := command(t, args...)
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp, "TMP="+tmp)
			code := status(t, cmd.Run())
			if code != 2 || stdout.Len() > 0 || stderr.Len() == 0 || strings.Contains(stderr.String(), secret) {
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(srv.Requests()); n > 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestHelp(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run(t, "-help")
	if code != 0 || stderr != "" {
		t.Errorf("status %d\n%s", code, stderr)
	}
	for _, flag := range []string{"base", "patient", "out", "report", "token", "header", "strategy", "types", "full", "namespace"} {
		if !strings.Contains(stdout, "  -"+flag) {
			t.Errorf("-%s is not explained:\n%s", flag, stdout)
		}
	}
}

func TestWhereNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 4}))
	base := start(t, srv)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"the folder is a file":             {"-out", file},
		"the report's folder is not there": {"-out", filepath.Join(dir, "out"), "-report", filepath.Join(dir, "none", "report.json")},
	} {
		code, stdout, stderr := run(t, append(args, "-base", base, "-patient", "1")...)
		if code != 1 || stdout != "" || stderr == "" {
			t.Errorf("%s: status %d\n%s%s", name, code, stdout, stderr)
		}
	}
	if n := len(srv.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}
