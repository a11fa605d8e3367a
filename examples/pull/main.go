// Command pull brings one patient's record home: every resource, into a folder of NDJSON files, with a report that says what is missing.
//
// Without flags it starts a FHIR server of its own on the loopback interface, with a synthetic patient, and pulls that one into a new
// temporary folder:
//
//	go run ./examples/pull
//
// With flags it asks a real server:
//
//	pull -base https://fhir.example.org/r4 -patient 355 -out record
//
// Run again with the same -out it goes on with a run that was interrupted, and otherwise asks everything again and writes what has changed.
//
// With -namespace every resource gets an id that no resource of another server has, and references are rewritten to it, so that records
// from several servers can be put into one place. Name and id on the server stay in meta.tag, and the report speaks of the server's ids:
//
//	pull -base https://fhir.example.org/r4 -patient 355 -namespace payer-a -out payer-a
//
// What a server needs that the library does not know of can stand in a file (see package quirks), and what such a file asks for in flags:
//
//	pull -base https://fhir.example.org/r4 -patient 355 -quirks example.json -var client-id=abc
//
// The exit status is 0 for a complete record, 4 for a restricted one, 3 for an incomplete one, 1 if nothing could be asked and 2 for
// wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// The exit statuses.
const (
	exitComplete   = 0
	exitNothing    = 1 // nothing could be asked
	exitUsage      = 2
	exitIncomplete = 3
	exitRestricted = 4
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends the sync in good order, the next one ends the program.
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. Progress and errors go to stderr, the report to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	s, err := parse(args, os.Getenv("FHIRSYNC_TOKEN"), stdout)
	switch {
	case errors.Is(err, errHelp):
		return exitComplete
	case err != nil:
		fmt.Fprintf(stderr, "pull: %v\nSee pull -help.\n", err)
		return exitUsage
	}
	if s.base == "" {
		stop, err := s.useOwnServer()
		if err != nil {
			return nothing(stderr, err)
		}
		defer stop()
		fmt.Fprintf(stderr, "No -base: pulling a synthetic patient from a server of my own at %s\n", s.base)
	}
	if err := s.addSpace(); err != nil {
		fmt.Fprintf(stderr, "pull: %v\nSee pull -help.\n", err)
		return exitUsage
	}
	client, err := fhirsync.New(fhirsync.Config{Strategy: s.strategy, Quirks: s.quirks})
	if err != nil {
		return nothing(stderr, err)
	}
	return pull(ctx, client, s, stdout, stderr)
}

// pull opens what is written to, syncs and says how it went.
func pull(ctx context.Context, client *fhirsync.Client, s *settings, stdout, stderr io.Writer) int {
	out, err := openOut(s.out)
	if err != nil {
		return nothing(stderr, err)
	}
	file, err := createReport(s.report)
	if err != nil {
		return nothing(stderr, errors.Join(err, out.close(true)))
	}
	quiet := context.AfterFunc(ctx, func() { fmt.Fprintln(stderr, "interrupted: keeping what has come (a second interrupt ends at once)") })
	defer quiet()
	shown := &progress{w: stderr}
	report, err := client.Sync(ctx, s.server(), s.patient, s.into(out.store), &fhirsync.SyncOptions{
		Types: s.types, Full: s.full, OnEvent: shown.event,
	})
	status := statusOf(report, err, shown.came)
	if report != nil && (status != exitNothing || report.Interrupted && ctx.Err() != nil) {
		fmt.Fprint(stdout, report)
	}
	if err != nil {
		fmt.Fprintf(stderr, "pull: %v\n", err)
	}
	empty := report == nil || report.Received() == 0
	for _, problem := range []error{file.write(report), out.close(empty)} {
		if problem != nil {
			status = nothing(stderr, problem)
		}
	}
	if !empty {
		fmt.Fprintf(stdout, "The files are in %s\n", out.dir)
		if report.Resumable {
			fmt.Fprintln(stdout, "Run the same with this folder as -out to go on.")
		}
	}
	return status
}

// statusOf gives the exit status: the verdict decides if anything could be asked.
func statusOf(report *fhirsync.Report, err error, came bool) int {
	switch {
	case report == nil: // an argument is wrong; nothing was sent.
		return exitUsage
	case err != nil && !errors.Is(err, fhirsync.ErrIncomplete) && !came:
		return exitNothing
	}
	switch report.Verdict {
	case fhirsync.Complete:
		return exitComplete
	case fhirsync.Restricted:
		return exitRestricted
	case fhirsync.Incomplete:
	}
	return exitIncomplete
}

func nothing(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "pull: %v\n", err)
	return exitNothing
}
