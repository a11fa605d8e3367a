package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// program is the built program: it is run as a user would.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pull-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "pull.exe") // the suffix matters to Windows alone.
	code := 1
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// command is the program with arguments, without a token of whoever runs the tests.
func command(t *testing.T, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "FHIRSYNC_TOKEN=")
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// status gives the exit status of a command that has ended.
func status(t *testing.T, err error) int {
	t.Helper()
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// run runs the program to its end.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd, out, errs := command(t, args...)
	code = status(t, cmd.Run())
	return code, out.String(), errs.String()
}

// start serves records on the loopback interface.
func start(t *testing.T, srv *fhirtest.Server) (base string) {
	t.Helper()
	base, stop, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return base
}

// reportIn reads a report as JSON.
func reportIn(t *testing.T, path string) *fhirsync.Report {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	report := new(fhirsync.Report)
	if err := json.Unmarshal(raw, report); err != nil {
		t.Fatal(err)
	}
	return report
}

// linesIn reads the NDJSON files of a folder: "Type/id" to the JSON without white space between its tokens.
func linesIn(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var head struct{ ResourceType, ID string }
			if err := json.Unmarshal(lines.Bytes(), &head); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := strings.TrimSuffix(filepath.Base(name), ".ndjson"); head.ResourceType != want {
				t.Errorf("a %s in %s", head.ResourceType, name)
			}
			ref := head.ResourceType + "/" + head.ID
			if _, twice := out[ref]; twice {
				t.Errorf("%s is there twice", ref)
			}
			out[ref] = compact(t, lines.Bytes())
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// whole checks that a folder holds the whole record and nothing else.
func whole(t *testing.T, srv *fhirtest.Server, patientID, dir string) {
	t.Helper()
	got := linesIn(t, dir)
	for ref, raw := range srv.Want(patientID) {
		switch line, ok := got[ref]; {
		case !ok:
			t.Errorf("%s is missing", ref)
		case line != compact(t, raw):
			t.Errorf("%s is not what the server has:\n%s\n%s", ref, line, raw)
		}
		delete(got, ref)
	}
	for ref := range got {
		t.Errorf("%s does not belong there", ref)
	}
}
