//go:build ignore

// Testreport reads the output of go test -json from its standard input and prints what a person wants to see of it:
// the line of each package as it ends, and everything that a failed test printed. It adds up what it counted in the
// file that -totals names, and ends with 1 if a test failed or was skipped that the file -expected-skips does not list.
//
//	go test -json ./... | go run .ci/testreport.go -expected-skips .ci/expected-skips -totals FILE
//	go run .ci/testreport.go -print -totals FILE
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// event is one line of go test -json: see go doc test2json and go help buildjson.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

type totals struct{ Passed, Failed, Skipped int }

func (t totals) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.Passed, t.Failed, t.Skipped)
}

type report struct {
	out      io.Writer
	expected []string
	totals   totals
	bad      int                  // failures and unexpected skips
	output   map[[2]string]string // of tests and packages (Test "") that have not ended
	builds   map[string]string    // compiler output by import path
	failed   map[string]int       // failed tests by package
	open     map[string]bool      // packages that have not ended
	packages int
}

func main() {
	skips := flag.String("expected-skips", "", "`file` with a line \"PACKAGE TEST\" for each test that may be skipped")
	sums := flag.String("totals", "", "`file` in which the counts are added up")
	show := flag.Bool("print", false, "print the totals and end")
	flag.Parse()
	if err := run(*skips, *sums, *show); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func run(skips, sums string, show bool) error {
	sum, err := readTotals(sums)
	if err != nil {
		return err
	}
	if show {
		fmt.Println(sum)
		return nil
	}
	expected, err := readSkips(skips)
	if err != nil {
		return err
	}
	r := &report{
		out: os.Stdout, expected: expected,
		output: map[[2]string]string{}, builds: map[string]string{}, failed: map[string]int{}, open: map[string]bool{},
	}
	if err := r.read(os.Stdin); err != nil {
		return err
	}
	sum.Passed += r.totals.Passed
	sum.Failed += r.totals.Failed
	sum.Skipped += r.totals.Skipped
	if sums != "" {
		text, err := json.Marshal(sum)
		if err != nil {
			return err
		}
		if err := os.WriteFile(sums, text, 0o600); err != nil {
			return err
		}
	}
	switch {
	case r.packages == 0:
		return errors.New("no package was tested")
	case r.bad > 0:
		return fmt.Errorf("%d failures and unexpected skips", r.bad)
	}
	return nil
}

func readTotals(path string) (totals, error) {
	var t totals
	if path == "" {
		return t, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	} else if err != nil {
		return t, err
	}
	return t, json.Unmarshal(text, &t)
}

func readSkips(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(r.out, "%s\n", strings.TrimRight(string(line), "\n")) // not from the tests: go itself
			} else {
				r.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	for pkg := range r.open {
		r.fail("FAIL\t%s\t(never ended)\n%s", pkg, r.output[[2]string{pkg, ""}])
	}
	return nil
}

// fail counts one failure and prints it.
func (r *report) fail(format string, args ...any) {
	r.totals.Failed++
	r.bad++
	fmt.Fprintf(r.out, format, args...)
}

func (r *report) add(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.builds[e.ImportPath] += e.Output
	case "start":
		r.packages++
		r.open[e.Package] = true
	case "output":
		r.output[key] += e.Output
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
		delete(r.output, key)
	}
}

func (r *report) endTest(e event) {
	text := r.output[[2]string{e.Package, e.Test}]
	switch e.Action {
	case "pass":
		r.totals.Passed++
	case "fail":
		r.failed[e.Package]++
		r.fail("--- FAIL: %s %s (%.2fs)\n%s", e.Package, e.Test, e.Elapsed, indent(text))
	case "skip":
		r.totals.Skipped++
		if !slices.Contains(r.expected, e.Package+" "+e.Test) {
			r.bad++
			fmt.Fprintf(r.out, "--- UNEXPECTED SKIP: %s %s\n%s", e.Package, e.Test, indent(text))
		}
	}
}

func (r *report) endPackage(e event) {
	delete(r.open, e.Package)
	text := r.output[[2]string{e.Package, ""}]
	if e.Action == "fail" && r.failed[e.Package] == 0 { // did not build, panicked outside a test, or timed out
		r.fail("--- FAIL: %s\n%s", e.Package, indent(r.builds[e.FailedBuild]+text+r.unended(e.Package)))
	}
	switch {
	case e.Action == "fail":
		fmt.Fprintf(r.out, "FAIL\t%s\t%.3fs\n", e.Package, e.Elapsed)
	case e.Action == "skip":
		fmt.Fprintf(r.out, "?   \t%s\t[no test files]\n", e.Package)
	default:
		fmt.Fprintf(r.out, "ok  \t%s\t%.3fs\n", e.Package, e.Elapsed)
	}
}

// unended is what the tests printed that were running when their package died.
func (r *report) unended(pkg string) string {
	var b strings.Builder
	for key, text := range r.output {
		if key[0] == pkg && key[1] != "" {
			fmt.Fprintf(&b, "unfinished: %s\n%s", key[1], text)
		}
	}
	return b.String()
}

// indent drops go test's own chatter, and sets the rest apart.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if bare := strings.TrimSpace(line); bare == "" || strings.HasPrefix(bare, "=== ") || strings.HasPrefix(bare, "--- ") {
			continue
		}
		b.WriteString("    " + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}
