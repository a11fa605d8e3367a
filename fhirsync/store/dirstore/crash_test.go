package dirstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

// Helper processes are this test binary again, told by the environment what to do.
const (
	helperEnv = "DIRSTORE_TEST_HELPER" // what to do
	helperDir = "DIRSTORE_TEST_DIR"
	helperArg = "DIRSTORE_TEST_ARG"
	killsEnv  = "FHIRSYNC_KILLS"
)

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "":
		os.Exit(m.Run())
	case "write":
		writeForever()
	case "hold":
		holdOpen()
	case "full":
		fillDisk()
	}
}

// helper starts a helper process. Its standard output is read by the caller, and it ends at the latest with the test.
func helper(tb testing.TB, what, dir, arg string) (*exec.Cmd, *bufio.Reader, io.WriteCloser) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), self)
	cmd.Env = append(os.Environ(), helperEnv+"="+what, helperDir+"="+dir, helperArg+"="+arg)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return cmd, bufio.NewReader(out), in
}

// batchNo gives the resources of one batch, the same in all processes: some of 90 ids, which later batches replace, and one of its own.
func batchNo(n int) []fhirsync.Resource {
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	byKey := map[fhirsync.Key]fhirsync.Resource{}
	for range 1 + rng.IntN(12) {
		typ := []string{"Condition", "Observation", "Patient"}[rng.IntN(3)]
		id := fmt.Sprint("shared-", rng.IntN(30))
		text := strings.Repeat(fmt.Sprintf("batch %d ", n), rng.IntN(40))
		r := resource(typ, id, text)
		switch rng.IntN(8) {
		case 0: // without an id of its own
			r = rawResource(typ, "from-url-"+id, fmt.Sprintf(`{"resourceType":%q,"x":%q}`, typ, text))
		case 1: // with line breaks
			r = rawResource(typ, id, fmt.Sprintf("{\n \"resourceType\": %q,\r\n \"id\": %q,\n \"x\": %q\n}\n", typ, id, text))
		}
		byKey[r.Key] = r
	}
	own := resource("Observation", fmt.Sprint("own-", n), "")
	byKey[own.Key] = own
	return slices.SortedFunc(maps.Values(byKey), func(a, b fhirsync.Resource) int {
		return strings.Compare(a.Type+"/"+a.ID, b.Type+"/"+b.ID)
	})
}

func optionsOf(name string) *dirstore.Options {
	return dirstore.Small(dirstore.Options{Gzip: strings.Contains(name, "gzip"), NoSync: strings.Contains(name, "no-sync")})
}

// writeForever puts batch after batch, says which were accepted, and closes the folder now and then, so that kills come at all times.
func writeForever() {
	how, from, _ := strings.Cut(os.Getenv(helperArg), " ")
	n, err := strconv.Atoi(from)
	for err == nil {
		var s *dirstore.Store
		if s, err = dirstore.Open(os.Getenv(helperDir), optionsOf(how)); err != nil {
			break
		}
		for range 1 + n%7 {
			if err = s.Put(context.Background(), fhirsync.Batch{Run: "r", Server: "payer", PatientID: "p", Resources: batchNo(n)}); err != nil {
				break
			}
			if n%3 == 0 {
				var rev string
				if _, rev, err = s.LoadState(context.Background(), "k"); err == nil {
					_, err = s.SaveState(context.Background(), "k", []byte(strconv.Itoa(n)), rev)
				}
			}
			fmt.Println(n)
			n++
		}
		if err == nil {
			err = s.Close()
		}
	}
	fmt.Fprintln(os.Stderr, "helper:", err)
	os.Exit(1)
}

// TestKilled kills a process that writes, at random moments, and looks at what it has left: everything accepted is there as it was put, a new
// run goes on and ends with whole files.
func TestKilled(t *testing.T) {
	t.Parallel()
	kills := 20
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	for _, how := range []string{"plain", "gzip", "plain no-sync"} {
		t.Run(strings.ReplaceAll(how, " ", "-"), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "records")
			next, finished := 0, 0
			for kill := range kills {
				next = killed(t, dir, how, next, kill)
				finished = afterKill(t, dir, how, next)
				if t.Failed() {
					t.Fatalf("after kill %d", kill)
				}
			}
			t.Logf("%d kills, %d batches accepted, %d resources in the end", kills, next, finished)
		})
	}
}

// killed lets a process write from batch from on, kills it, and gives the first batch that was not accepted.
func killed(t *testing.T, dir, how string, from, kill int) int {
	t.Helper()
	cmd, out, _ := helper(t, "write", dir, strings.ReplaceAll(how, " ", "-")+" "+strconv.Itoa(from))
	first, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err, cmd.Wait())
	}
	timer := time.AfterFunc(time.Duration(rand.IntN(120_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	last := from - 1
	for line := first; ; {
		if n, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
			last = n
		}
		if line, err = out.ReadString('\n'); err != nil {
			break
		}
	}
	_ = cmd.Wait() // it was killed.
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("kill %d: the helper ended by itself with %d", kill, code)
	}
	return last + 1
}

// afterKill looks at a folder of which the batches before next were accepted, and that with the number next may be there in part.
func afterKill(t *testing.T, dir, how string, next int) int {
	t.Helper()
	want := map[fhirsync.Key]fhirsync.Resource{}
	for n := range next {
		for _, r := range batchNo(n) {
			want[r.Key] = r
		}
	}
	inFlight := map[fhirsync.Key]fhirsync.Resource{}
	for _, r := range batchNo(next) {
		inFlight[r.Key] = r
	}
	s := open(t, dir, optionsOf(how))
	for key, r := range want {
		got, err := s.Get(t.Context(), key)
		if err != nil {
			t.Errorf("%s/%s was accepted: %v", key.Type, key.ID, err)
			continue
		}
		if line := string(got.Raw); line != oneLine(r) && (inFlight[key].ID == "" || line != oneLine(inFlight[key])) {
			t.Errorf("%s/%s is %.100q, want %.100q", key.Type, key.ID, line, oneLine(r))
		}
	}
	if state, _, err := s.LoadState(t.Context(), "k"); err != nil {
		t.Error(err)
	} else if n, _ := strconv.Atoi(string(state)); n > next {
		t.Errorf("the state speaks of batch %d, only those before %d were put", n, next)
	}
	if items, err := quarantined(s); err != nil || len(items) > 0 {
		t.Errorf("%d things in quarantine, error %v", len(items), err)
	}
	// A new run to the end: the batch that was under way comes again.
	rs := batchNo(next)
	put(t, s, rs...)
	for _, r := range rs {
		want[r.Key] = r
	}
	mustClose(t, s)
	wantLines, gotLines := map[string]int{}, map[string]int{}
	for _, r := range want {
		wantLines[r.Type+" "+oneLine(r)]++
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		typ, _, _ := strings.Cut(filepath.Base(path), ".")
		for _, line := range linesIn(t, path) {
			gotLines[typ+" "+line]++
		}
	}
	if !maps.Equal(wantLines, gotLines) {
		t.Errorf("the files do not hold each Key once: %d lines that differ, want %d", len(gotLines), len(wantLines))
	}
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".new") || strings.HasSuffix(path, ".tmp") && !strings.Contains(path, "state") {
			t.Errorf("%s was left behind", filepath.Base(path))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	return len(want)
}

func oneLine(r fhirsync.Resource) string {
	return strings.NewReplacer("\n", "", "\r", "").Replace(string(r.Raw))
}

// holdOpen opens a folder and keeps it open until its input ends.
func holdOpen() {
	s, err := dirstore.Open(os.Getenv(helperDir), nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	put(t, s, resource("Observation", "a", ""))
	if _, err := dirstore.Open(dir, nil); !errors.Is(err, dirstore.ErrLocked) {
		t.Errorf("in one process: %v", err)
	}
	cmd, out, _ := helper(t, "hold", dir, "")
	if line, _ := out.ReadString('\n'); line != dirstore.ErrLocked.Error()+"\n" {
		t.Errorf("a second process says %q", line)
	}
	_ = cmd.Wait() // it ends with 1.
	mustClose(t, s)

	for _, end := range []string{"closed", "killed"} {
		cmd, out, in := helper(t, "hold", dir, "")
		if line, err := out.ReadString('\n'); line != "open\n" {
			t.Fatalf("%q %v", line, err)
		}
		if _, err := dirstore.Open(dir, nil); !errors.Is(err, dirstore.ErrLocked) {
			t.Errorf("in use by another process: %v", err)
		}
		if end == "killed" {
			err := cmd.Process.Kill()
			if err != nil {
				t.Error(err)
			}
		}
		in.Close()
		_ = cmd.Wait() // killed or not
		s := open(t, dir, nil)
		holds(t, s, resource("Observation", "a", ""))
		mustClose(t, s)
	}
}
