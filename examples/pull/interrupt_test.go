//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

func TestInterruptedAndRunAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal    os.Signal
		full      bool
		namespace string
	}{
		"interrupt": {signal: os.Interrupt},
		"terminate": {signal: syscall.SIGTERM},
		"full":      {signal: os.Interrupt, full: true},
		"namespace": {signal: os.Interrupt, namespace: "payer-a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 300, Types: []string{"Observation", "Condition", "Encounter"}})
			srv := fhirtest.NewServer(record)
			srv.MaxCount = 10
			srv.Inject(fhirtest.Slow(20 * time.Millisecond))
			base := start(t, srv)
			dir := t.TempDir()
			out, report := filepath.Join(dir, "out"), filepath.Join(dir, "report.json")
			args := []string{"-base", base, "-patient", record.PatientID, "-out", out, "-report", report}
			if c.namespace != "" {
				args = append(args, "-namespace", c.namespace)
			}

			cmd, stdout, stderr := command(t, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for pages := 0; pages < 20; {
				time.Sleep(10 * time.Millisecond)
				pages = 0
				for _, r := range srv.Requests() {
					if r.Interaction == fhirtest.Page && r.Status == 200 {
						pages++
					}
				}
				if t.Context().Err() != nil {
					t.Fatal("it does not come far enough")
				}
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			if code := status(t, cmd.Wait()); code != 3 {
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
			}
			for _, want := range []string{"INCOMPLETE", "interrupted: it did not reach its end", "The files are in " + out, "to go on"} {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("%q is not in:\n%s", want, stdout)
				}
			}
			first := reportIn(t, report)
			if !first.Interrupted || !first.Resumable || first.Received() == 0 {
				t.Errorf("interrupted %t, resumable %t, %d received", first.Interrupted, first.Resumable, first.Received())
			}
			if stored := len(linesIn(t, out)); stored == 0 || stored > first.Received() {
				t.Errorf("%d in the files, %d in the report", stored, first.Received())
			}

			if c.full {
				args = append(args, "-full")
			}
			code, again, errs := run(t, args...)
			if code != 0 {
				t.Errorf("again: status %d\n%s%s", code, again, errs)
			}
			second := reportIn(t, report)
			since := "resumed: goes on from a sync begun at " + first.Started.Format(time.RFC3339)
			if resumed := strings.Contains(again, since); resumed == c.full || second.ResumedFrom.Equal(first.Started) == c.full || (second.Run == first.Run) == c.full {
				t.Errorf("resumed from %s, %t\n%s", second.ResumedFrom, resumed, again)
			}
			if second.Verdict != fhirsync.Complete {
				t.Errorf("verdict %s", second.Verdict)
			}
			if c.namespace != "" {
				namespaced(t, srv, record, c.namespace, base, out)
			} else {
				whole(t, srv, record.PatientID, out)
			}
		})
	}
}

func TestInterruptedBeforeAnythingCame(t *testing.T) {
	t.Parallel()
	srv := fhirtest.NewServer(fhirtest.Generate(fhirtest.Options{Seed: 6}))
	srv.Inject(fhirtest.Hang())
	base := start(t, srv)
	cmd, stdout, stderr := command(t, "-base", base, "-patient", "1", "-out", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for len(srv.Requests()) == 0 && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := status(t, cmd.Wait()); code != 1 || !strings.Contains(stdout.String(), "interrupted") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}
