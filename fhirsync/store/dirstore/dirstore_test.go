package dirstore_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

func open(tb testing.TB, dir string, opts *dirstore.Options) *dirstore.Store {
	tb.Helper()
	s, err := dirstore.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func mustClose(tb testing.TB, s *dirstore.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// dirOf remembers where a store is, for harnesses that open it again.
type dirOf struct {
	*dirstore.Store
	dir string
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*dirstore.Options{
		"plain":         {History: true, Contents: true},
		"gzip":          {Gzip: true, History: true, Contents: true},
		"small-no-sync": dirstore.Small(dirstore.Options{NoSync: true}),
		"small-gzip":    dirstore.Small(dirstore.Options{Gzip: true}),
	} {
		for crash, reopen := range map[string]func(tb testing.TB, prev fhirsync.Store) fhirsync.Store{
			"closed": func(tb testing.TB, prev fhirsync.Store) fhirsync.Store {
				tb.Helper()
				p := prev.(*dirOf)
				mustClose(tb, p.Store)
				checkFiles(tb, p.dir)
				return &dirOf{open(tb, p.dir, opts), p.dir}
			},
			"crashed": func(tb testing.TB, prev fhirsync.Store) fhirsync.Store {
				tb.Helper()
				dir := crashed(tb, prev.(*dirOf).dir)
				return &dirOf{open(tb, dir, opts), dir}
			},
		} {
			t.Run(name+"/"+crash, func(t *testing.T) {
				t.Parallel()
				storetest.Run(t, storetest.Harness{
					Open: func(tb testing.TB) fhirsync.Store {
						tb.Helper()
						dir := tb.TempDir()
						return &dirOf{open(tb, dir, opts), dir}
					},
					Get: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
						return s.(*dirOf).Get(ctx, key)
					},
					Reopen: reopen,
					Len:    func(_ context.Context, s fhirsync.Store) (int, error) { return s.(*dirOf).Len(), nil },
					Quarantined: func(_ context.Context, s fhirsync.Store) ([]fhirsync.Quarantined, error) {
						return quarantined(s.(*dirOf).Store)
					},
					Version: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error) {
						return s.(*dirOf).Version(ctx, key, version)
					},
					Content: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
						return contentOf(ctx, s.(*dirOf).Store, key)
					},
					DropsSpace: true,
					OneServer:  true,
				})
			})
		}
	}
}

func contentOf(ctx context.Context, s *dirstore.Store, key fhirsync.Key) ([]byte, error) {
	c, closeFile, err := s.Content(ctx, key)
	if err != nil {
		return nil, err
	}
	data, err := c.Bytes()
	return data, errors.Join(err, closeFile())
}

// crashed copies a folder as it is, which is what a kill leaves behind: the store knows nothing of it.
func crashed(tb testing.TB, dir string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "crashed")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		tb.Fatal(err)
	}
	return to
}

func quarantined(s *dirstore.Store) ([]fhirsync.Quarantined, error) {
	var out []fhirsync.Quarantined
	for q, err := range s.Quarantined() {
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// linesIn reads a data file the way other programs do.
func linesIn(tb testing.TB, path string) []string {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") && len(raw) > 0 {
		zr, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			tb.Fatal(err)
		}
		if raw, err = io.ReadAll(zr); err != nil {
			tb.Fatal(err)
		}
	}
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		tb.Fatalf("%s does not end with a line break", filepath.Base(path))
	}
	var out []string
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		out = append(out, sc.Text())
	}
	return out
}

// checkFiles reads all data files of a closed folder: each line is JSON, and none with an id of its own stands twice. It gives the lines.
func checkFiles(tb testing.TB, dir string) (lines []string) {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, path := range files {
		seen := map[string]bool{}
		for _, line := range linesIn(tb, path) {
			var head struct{ ResourceType, ID string }
			if err := json.Unmarshal([]byte(line), &head); err != nil {
				tb.Fatalf("%s holds a line that is not JSON: %.80q", filepath.Base(path), line)
			}
			if seen[line] && head.ID != "" && head.ID != "a" { // storetest has one id in two resources.
				tb.Fatalf("%s holds a line twice: %.80q", filepath.Base(path), line)
			}
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return lines
}

func keyOf(typ, id string) fhirsync.Key { return fhirsync.Key{Server: "payer", Type: typ, ID: id} }

func resource(typ, id, text string) fhirsync.Resource {
	return rawResource(typ, id, fmt.Sprintf(`{"resourceType":%q,"id":%q,"meta":{"versionId":"7","lastUpdated":"2024-02-29T12:00:00.5+02:00"},"text":%q}`, typ, id, text))
}

func rawResource(typ, id, raw string) fhirsync.Resource {
	return fhirsync.Resource{Key: keyOf(typ, id), VersionID: "7", LastUpdated: updated, Raw: []byte(raw), Digest: sha256.Sum256([]byte(raw))}
}

var updated = time.Date(2024, 2, 29, 12, 0, 0, 500_000_000, time.FixedZone("", 2*60*60))

func put(tb testing.TB, s *dirstore.Store, rs ...fhirsync.Resource) {
	tb.Helper()
	if err := s.Put(context.Background(), fhirsync.Batch{Run: "r", Server: "payer", PatientID: "p", Resources: rs}); err != nil {
		tb.Fatal(err)
	}
}

func holds(tb testing.TB, s *dirstore.Store, rs ...fhirsync.Resource) {
	tb.Helper()
	for _, want := range rs {
		got, err := s.Get(context.Background(), want.Key)
		if err != nil {
			tb.Fatalf("%s/%s: %v", want.Type, want.ID, err)
		}
		if string(got.Raw) != string(want.Raw) {
			tb.Fatalf("%s/%s is %.200q, want %.200q", want.Type, want.ID, got.Raw, want.Raw)
		}
	}
}

func TestFilesAreForOthersToRead(t *testing.T) {
	t.Parallel()
	for _, form := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "deep", "er")
		s := open(t, dir, &dirstore.Options{Gzip: form})
		a1, a2 := resource("Observation", "a", "one"), resource("Observation", "a", "two")
		b := rawResource("Observation", "b", "{\r\n  \"resourceType\": \"Observation\",\n\t\"id\": \"b\", \"x\":\"a\\nb  c\"\n}\n")
		p := resource("Patient", "p", "one")
		put(t, s, a1, b)
		put(t, s, a2, p)
		mustClose(t, s)
		suffix := map[bool]string{false: ".ndjson", true: ".ndjson.gz"}[form]
		want := []string{"{  \"resourceType\": \"Observation\",\t\"id\": \"b\", \"x\":\"a\\nb  c\"}", string(a2.Raw)}
		if diff := cmp.Diff(want, linesIn(t, filepath.Join(dir, "Observation"+suffix))); diff != "" {
			t.Errorf("Observation (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{string(p.Raw)}, linesIn(t, filepath.Join(dir, "Patient"+suffix))); diff != "" {
			t.Errorf("Patient (-want +got):\n%s", diff)
		}
		err := filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has the permissions %o", path, info.Mode().Perm())
			}
			if strings.HasSuffix(path, ".new") || strings.HasSuffix(path, ".tmp") {
				t.Errorf("%s was left behind", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestResourcesComeBackWhole(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	r, bare := resource("Observation", "a", "one"), rawResource("Observation", "b", `{"resourceType":"Observation"}`)
	bare.VersionID, bare.LastUpdated = "", time.Time{}
	put(t, s, r, bare)
	got, err := s.Get(t.Context(), r.Key)
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = s.Get(t.Context(), bare.Key)
	if diff := cmp.Diff(bare, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, key := range []fhirsync.Key{keyOf("Observation", "A"), keyOf("Patient", "a"), {Server: "", Type: "Observation", ID: "a"}, {}} {
		if _, err := s.Get(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: %v", key, err)
		}
	}
}

func TestWhatIsRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	good := resource("Observation", "a", "one")
	bad := []fhirsync.Resource{
		rawResource("Observation", "b", ``),
		rawResource("Observation", "b", `[1]`),
		rawResource("Observation", "b", `5`),
		rawResource("Observation", "b", `{"a":"`+"\n"+`"}`),
		rawResource("Observation", "b", "\xef\xbb\xbf{}"),
		rawResource("Observation", "b", `{}{}`),
		rawResource("Observation", "", `{}`),
		rawResource("Observation", strings.Repeat("x", 1<<20), `{}`),
	}
	for _, typ := range []string{"", "observation", "../Observation", "Observation/x", "Obs.x", "O\x00", "Ñ", "Con", "NUL", strings.Repeat("X", 65), "A1"} {
		bad = append(bad, rawResource(typ, "b", `{}`))
	}
	for _, r := range bad {
		batch := fhirsync.Batch{Server: "payer", Resources: []fhirsync.Resource{good, r, good}}
		reject, ok := errors.AsType[*fhirsync.RejectError](s.Put(t.Context(), batch))
		if !ok || len(reject.Rejected) != 1 || reject.Rejected[1] == nil {
			t.Errorf("%.20s/%.20s %.20q: %v", r.Type, r.ID, r.Raw, reject)
		}
	}
	if s.Len() != 0 {
		t.Error("something of a rejected batch was kept")
	}
	put(t, s, good)
	files, _ := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	if len(files) != 1 {
		t.Errorf("files: %v", files)
	}
}

func TestTypesOfOneName(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	put(t, s, resource("Observation", "a", ""))
	err := s.Put(t.Context(), fhirsync.Batch{Resources: []fhirsync.Resource{resource("OBSERVATION", "a", "")}})
	if err == nil || !strings.Contains(err.Error(), "case does not count") {
		t.Error(err)
	}
}

func TestOneServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	put(t, s, resource("Observation", "a", "mine"))
	theirs := resource("Observation", "a", "theirs")
	theirs.Server = "other"
	for range 2 {
		for _, rs := range [][]fhirsync.Resource{{theirs}, {resource("Observation", "b", ""), theirs}} {
			if err := s.Put(t.Context(), fhirsync.Batch{Resources: rs}); !errors.Is(err, dirstore.ErrOtherServer) {
				t.Error(err)
			}
		}
		mustClose(t, s)
		s = open(t, dir, nil)
	}
	holds(t, s, resource("Observation", "a", "mine"))
	for _, name := range []string{"", "\xff"} {
		r := theirs
		r.Server = name
		if err := open(t, t.TempDir(), nil).Put(t.Context(), fhirsync.Batch{Resources: []fhirsync.Resource{r}}); err == nil {
			t.Errorf("server %q", name)
		}
	}
}

func TestUnchangedCostsNothing(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir, &dirstore.Options{Gzip: gz})
		a, b := resource("Observation", "a", "one"), resource("Observation", "b", "one")
		put(t, s, a, b)
		before := snapshot(t, dir)
		put(t, s, a, b)
		put(t, s, b)
		if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
			t.Errorf("something was written (-before +after):\n%s", diff)
		}
		mustClose(t, s)
	}
}

// snapshot reads all files of a folder.
func snapshot(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[name] = string(raw)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// restore writes a folder as it was.
func restore(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func TestAll(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		s := open(t, t.TempDir(), dirstore.Small(dirstore.Options{Gzip: gz}))
		want := map[string]string{}
		for i := range 300 {
			r := resource("Observation", strconv.Itoa(i%200), fmt.Sprint("round ", i/200))
			put(t, s, r, resource("Patient", strconv.Itoa(i), ""))
			want[r.ID] = string(r.Raw)
		}
		if diff := cmp.Diff([]string{"Observation", "Patient"}, s.Types()); diff != "" {
			t.Error(diff)
		}
		got := map[string]string{}
		for r, err := range s.All("Observation") {
			if err != nil {
				t.Fatal(err)
			}
			if got[r.ID] != "" {
				t.Errorf("%s comes twice", r.ID)
			}
			got[r.ID] = string(r.Raw)
			holds(t, s, r) // the loop may use the store.
			put(t, s, resource("Condition", r.ID, ""))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, err := range s.All("Procedure") {
			t.Error("something of a type that is not there", err)
		}
		n := 0
		for _, err := range s.All("Observation") {
			if err != nil {
				t.Error(err)
			}
			n++
			break
		}
		if n != 1 {
			t.Error(n)
		}
		// Replaced in the loop: everything comes, as it was or as it is.
		ids := map[string]bool{}
		for r, err := range s.All("Observation") {
			if err != nil {
				t.Fatal(err)
			}
			if !ids[r.ID] {
				put(t, s, resource("Observation", r.ID, "replaced while it is read"))
			}
			ids[r.ID] = true
		}
		if len(ids) != 200 {
			t.Errorf("%d of 200", len(ids))
		}
		var last error
		for _, err := range s.All("Condition") {
			mustClose(t, s)
			last = err
		}
		if !errors.Is(last, fs.ErrClosed) && last != nil {
			t.Error(last)
		}
	}
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), nil)
	put(t, s, resource("Observation", "a", ""))
	mustClose(t, s)
	mustClose(t, s)
	_, errGet := s.Get(t.Context(), keyOf("Observation", "a"))
	_, errHolds := s.Holds(t.Context(), []fhirsync.Key{keyOf("Observation", "a")}, make([][32]byte, 1))
	_, _, errLoad := s.LoadState(t.Context(), "k")
	_, errSave := s.SaveState(t.Context(), "k", []byte("x"), "")
	_, errQuarantined := quarantined(s)
	var errAll error
	for _, err := range s.All("Observation") {
		errAll = err
	}
	for i, err := range []error{
		s.Put(t.Context(), fhirsync.Batch{}), errGet, errHolds, errLoad, errSave, errQuarantined, errAll,
		s.Quarantine(t.Context(), []fhirsync.Quarantined{{}}),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestHoldsWantsAsManyDigestsAsKeys(t *testing.T) {
	t.Parallel()
	if _, err := open(t, t.TempDir(), nil).Holds(t.Context(), make([]fhirsync.Key, 2), nil); err == nil {
		t.Error("no error")
	}
}

func TestOtherForm(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var rs []fhirsync.Resource
	for i := range 50 {
		rs = append(rs, resource("Observation", strconv.Itoa(i), strings.Repeat("x", i)))
	}
	odd := rawResource("Observation", "from-url", `{"resourceType":"Observation"}`)
	rs = append(rs, odd)
	s := open(t, dir, nil)
	put(t, s, rs...)
	put(t, s, resource("Observation", "7", "old"))
	put(t, s, rs...)
	for _, gz := range []bool{true, false, true} {
		mustClose(t, s)
		s = open(t, dir, dirstore.Small(dirstore.Options{Gzip: gz}))
		holds(t, s, rs...)
		files, _ := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
		if want := map[bool]string{false: "Observation.ndjson", true: "Observation.ndjson.gz"}[gz]; len(files) != 1 || filepath.Base(files[0]) != want {
			t.Errorf("files: %v", files)
		}
		keys := []fhirsync.Key{odd.Key}
		if is, err := s.Holds(t.Context(), keys, [][32]byte{odd.Digest}); err != nil || !is[0] {
			t.Errorf("%v %v", is, err)
		}
	}
	mustClose(t, s)
	if lines := checkFiles(t, dir); len(lines) != len(rs) {
		t.Errorf("%d lines", len(lines))
	}
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	dir := restore(t, map[string]string{".fhirsync/format.json": `{"format":2,"server":"payer","more":true}`, "Patient.ndjson": "{}\n"})
	before := snapshot(t, dir)
	if _, err := dirstore.Open(dir, nil); !errors.Is(err, dirstore.ErrNewer) {
		t.Error(err)
	}
	after := snapshot(t, dir)
	delete(after, ".fhirsync/lock")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("it was changed:\n%s", diff)
	}
	for _, damaged := range []string{"", "{", "[]", `{"format":0}`, `{"format":"1"}`} {
		dir := restore(t, map[string]string{".fhirsync/format.json": damaged})
		if _, err := dirstore.Open(dir, nil); err == nil || !strings.Contains(err.Error(), "format.json is damaged") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}

func TestFoldersThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"a file in its place":         {"d": ""},
		"a file as the hidden folder": {"d/.fhirsync": ""},
		"a folder as the lock":        {"d/.fhirsync/lock/x": ""},
		"a folder as the rows":        {"d/.fhirsync/Patient.rows/x": "", "d/Patient.ndjson": ""},
		"both forms":                  {"d/Patient.ndjson": "", "d/Patient.ndjson.gz": ""},
		"somebody else's file":        {"d/Patient.ndjson": "notes\n"},
		"another type":                {"d/Patient.ndjson": `{"resourceType":"Observation","id":"a"}` + "\n"},
		"somebody else's gzip":        {"d/Patient.ndjson.gz": "PK"},
	} {
		dir := restore(t, files)
		before := snapshot(t, dir)
		s, err := dirstore.Open(filepath.Join(dir, "d"), nil)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
			continue
		}
		t.Logf("%s: %v", name, err)
		after := snapshot(t, dir)
		for file, content := range before {
			if after[file] != content {
				t.Errorf("%s: %s was changed", name, file)
			}
		}
	}
}

func TestOtherFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	files := map[string]string{"notes.ndjson": "notes\n", "Patient.json": "{", "Patient.ndjson/x": "", "A-B.ndjson": "x\n"}
	dir := restore(t, files)
	s := open(t, dir, nil)
	put(t, s, resource("Observation", "a", ""))
	mustClose(t, s)
	after := snapshot(t, dir)
	for name, content := range files {
		if got, is := after[name]; !is || got != content {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestQuarantineIsKeptOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	item := fhirsync.Quarantined{Run: "1", Server: "payer", PatientID: "p", Type: "Observation", ID: "a", Reason: "not valid JSON", Raw: []byte("{\x00\xff")}
	again, other := item, item
	again.Run = "2"
	other.Raw = []byte("{")
	s := open(t, dir, nil)
	for round := range 3 {
		if err := s.Quarantine(t.Context(), []fhirsync.Quarantined{item, again, other, other}); err != nil {
			t.Fatal(err)
		}
		got, err := quarantined(s)
		if diff := cmp.Diff([]fhirsync.Quarantined{item, other}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if round == 1 { // half a line, as a crash leaves it, and one that was damaged.
			mustClose(t, s)
			f, err := os.OpenFile(filepath.Join(dir, ".fhirsync", "quarantine.ndjson"), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString("damaged\n" + `{"run":"3","re`)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, nil)
		}
	}
	item.Reason = "other"
	if err := s.Quarantine(t.Context(), []fhirsync.Quarantined{item}); err != nil {
		t.Fatal(err)
	}
	if got, err := quarantined(s); err != nil || len(got) != 3 {
		t.Errorf("%d %v", len(got), err)
	}
}

func TestDamagedStateIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	if _, err := s.SaveState(t.Context(), "k", []byte("state"), ""); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, ".fhirsync", "state", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, damaged := range [][]byte{whole[:i], append(slices.Clone(whole[:i]), append([]byte{whole[i] ^ 1}, whole[i+1:]...)...)} {
			if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			state, rev, err := s.LoadState(t.Context(), "k")
			if err != nil || state != nil || rev != "" {
				t.Fatalf("damaged at %d: %q %q %v", i, state, rev, err)
			}
		}
	}
	rev, err := s.SaveState(t.Context(), "k", []byte("anew"), "")
	if err != nil {
		t.Fatal(err)
	}
	if state, got, err := s.LoadState(t.Context(), "k"); err != nil || string(state) != "anew" || got != rev {
		t.Errorf("%q %q %v", state, got, err)
	}
}
