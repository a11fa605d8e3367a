package dirstore_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

// TestTornAnywhere cuts the data, the rows, or both at every byte of the last record, in a folder that was closed and in one that was not.
func TestTornAnywhere(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		t.Run(fmt.Sprint("gzip=", gz), func(t *testing.T) {
			t.Parallel()
			tornAnywhere(t, gz)
		})
	}
}

func tornAnywhere(t *testing.T, gz bool) {
	t.Helper()
	opts := dirstore.Small(dirstore.Options{Gzip: gz, NoSync: true})
	first := []fhirsync.Resource{resource("Patient", "a", "one"), resource("Patient", "b", "two")}
	last := rawResource("Patient", "c", `{"resourceType":"Patient","x":"without an id of its own"}`)
	dir := t.TempDir()
	s := open(t, dir, opts)
	put(t, s, first...)
	before := snapshot(t, dir)
	put(t, s, last)
	open1 := snapshot(t, dir)
	mustClose(t, s)
	closed := snapshot(t, dir)
	data := map[bool]string{false: "Patient.ndjson", true: "Patient.ndjson.gz"}[gz]
	rows := ".fhirsync/Patient.rows"
	for name, files := range map[string]map[string]string{"open": open1, "closed": closed} {
		for n := len(before[data]); n <= len(files[data]); n++ {
			torn := maps.Clone(files)
			torn[data] = files[data][:n]
			afterTear(t, fmt.Sprint(name, " data at ", n), torn, opts, first, last)
			torn[rows] = before[rows] // the row was lost too, and the line is one that nobody knows.
			afterTear(t, fmt.Sprint(name, " data without rows at ", n), torn, opts, first, last)
		}
		for n := len(before[rows]); n <= len(files[rows]); n++ {
			torn := maps.Clone(files)
			torn[rows] = files[rows][:n]
			afterTear(t, fmt.Sprint(name, " rows at ", n), torn, opts, first, last)
			torn[data] = before[data] // rows are written first.
			afterTear(t, fmt.Sprint(name, " rows without data at ", n), torn, opts, first, last)
		}
	}
}

func afterTear(t *testing.T, what string, files map[string]string, opts *dirstore.Options, first []fhirsync.Resource, last fhirsync.Resource) {
	t.Helper()
	dir := restore(t, files)
	s, err := dirstore.Open(dir, opts)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer s.Close()
	holds(t, s, first...)
	if got, err := s.Get(t.Context(), last.Key); err == nil && string(got.Raw) != string(last.Raw) {
		t.Errorf("%s: half a resource: %q", what, got.Raw)
	}
	put(t, s, last)
	holds(t, s, append(first, last)...)
	mustClose(t, s)
	if lines := checkFiles(t, dir); len(lines) != 3 {
		t.Errorf("%s: %q", what, lines)
	}
}

// many gives a folder with resources that all have ids of their own, and those resources.
func many(tb testing.TB, opts *dirstore.Options) (map[string]string, []fhirsync.Resource) {
	tb.Helper()
	dir := tb.TempDir()
	s := open(tb, dir, opts)
	var rs []fhirsync.Resource
	for i := range 40 {
		rs = append(rs, resource("Patient", fmt.Sprintf("r%02d", i), strings.Repeat("x", i%7*20)))
	}
	for part := range slices.Chunk(rs, 7) {
		put(tb, s, part...)
	}
	mustClose(tb, s)
	return snapshot(tb, dir), rs
}

func TestHiddenFolderLost(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		opts := dirstore.Small(dirstore.Options{Gzip: gz})
		files, rs := many(t, opts)
		for name := range files {
			if strings.HasPrefix(name, ".fhirsync") {
				delete(files, name)
			}
		}
		dir := restore(t, files)
		s := open(t, dir, opts)
		if s.Len() != len(rs) {
			t.Errorf("%d resources", s.Len())
		}
		keys, digests := []fhirsync.Key{rs[3].Key}, [][32]byte{rs[3].Digest}
		put(t, s, rs[0]) // says whose they are.
		if is, err := s.Holds(t.Context(), keys, digests); err != nil || is[0] {
			t.Errorf("a digest that was never heard of is held: %v %v", is, err)
		}
		holds(t, s, rs...)
		got, err := s.Get(t.Context(), rs[3].Key)
		if err != nil || got.VersionID != "7" || !got.LastUpdated.Equal(updated) {
			t.Errorf("%q %v %v", got.VersionID, got.LastUpdated, err)
		}
		put(t, s, rs...)
		if is, err := s.Holds(t.Context(), keys, digests); err != nil || !is[0] {
			t.Errorf("%v %v", is, err)
		}
		mustClose(t, s)
		if lines := checkFiles(t, dir); len(lines) != len(rs) {
			t.Errorf("%d lines", len(lines))
		}
	}
}

// TestEditedByHand changes the files in the ways people do.
func TestEditedByHand(t *testing.T) {
	t.Parallel()
	files, rs := many(t, nil)
	sorted := strings.SplitAfter(files["Patient.ndjson"], "\n")
	slices.Reverse(sorted)
	edited := strings.Replace(files["Patient.ndjson"], `"id":"r05"`, `"active":true,"id":"r05"`, 1)
	added := `{"resourceType":"Patient","id":"new"}`
	for name, c := range map[string]struct {
		content string
		live    int
		changed string // id of what is another one now
	}{
		"sorted":              {strings.Join(sorted, ""), 40, ""},
		"edited":              {edited, 40, "r05"},
		"added":               {files["Patient.ndjson"] + added + "\n", 41, ""},
		"added without break": {files["Patient.ndjson"] + added, 41, ""},
		"added in front":      {added + "\n" + files["Patient.ndjson"], 41, ""},
		"blank lines":         {"\n\n" + strings.ReplaceAll(files["Patient.ndjson"], "\n", "\n \n"), 40, ""},
		"Windows lines":       {strings.ReplaceAll(files["Patient.ndjson"], "\n", "\r\n"), 40, ""},
		"emptied":             {"", 0, ""},
		"twice":               {files["Patient.ndjson"] + files["Patient.ndjson"], 40, ""},
	} {
		changed := maps.Clone(files)
		changed["Patient.ndjson"] = c.content
		dir := restore(t, changed)
		s := open(t, dir, nil)
		if s.Len() != c.live {
			t.Errorf("%s: %d resources", name, s.Len())
		}
		for _, r := range rs {
			if c.live == 0 {
				break
			}
			got, err := s.Get(t.Context(), r.Key)
			if err != nil || (strings.TrimSuffix(string(got.Raw), "\r") != string(r.Raw)) != (r.ID == c.changed) {
				t.Errorf("%s: %s: %v %q", name, r.ID, err, got.Raw)
			}
		}
		if items, err := quarantined(s); err != nil || len(items) > 0 {
			t.Errorf("%s: %d in quarantine, %v", name, len(items), err)
		}
		if name == "sorted" { // their digests are still known.
			if is, err := s.Holds(t.Context(), []fhirsync.Key{rs[9].Key}, [][32]byte{rs[9].Digest}); err != nil || !is[0] {
				t.Error(is, err)
			}
		}
		mustClose(t, s)
		if lines := checkFiles(t, dir); len(lines) != c.live {
			t.Errorf("%s: %d lines", name, len(lines))
		}
	}
}

func TestUnpackedByHand(t *testing.T) {
	t.Parallel()
	files, rs := many(t, dirstore.Small(dirstore.Options{Gzip: true}))
	dir := restore(t, files)
	text := strings.Join(linesIn(t, filepath.Join(dir, "Patient.ndjson.gz")), "\n") + "\n"
	delete(files, "Patient.ndjson.gz")
	files["Patient.ndjson"] = text
	for _, gz := range []bool{true, false} {
		s := open(t, restore(t, files), &dirstore.Options{Gzip: gz})
		holds(t, s, rs...)
		mustClose(t, s)
	}
}

// TestJunkGoesToQuarantine: what cannot be read is kept, and out of the file that others read.
func TestJunkGoesToQuarantine(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		opts := dirstore.Small(dirstore.Options{Gzip: gz})
		files, rs := many(t, opts)
		name := map[bool]string{false: "Patient.ndjson", true: "Patient.ndjson.gz"}[gz]
		for _, junk := range []string{"junk\n", `{"resourceType":"Observation","id":"x"}` + "\n", `{"resourceType":"Patient"}` + "\n"} {
			damaged := maps.Clone(files)
			if gz {
				damaged[name] = files[name] + junk + files[name]
			} else {
				damaged[name] = files[name][:strings.IndexByte(files[name], '\n')+1] + junk + files[name][strings.IndexByte(files[name], '\n')+1:]
			}
			dir := restore(t, damaged)
			for range 2 {
				s := open(t, dir, opts)
				holds(t, s, rs...)
				items, err := quarantined(s)
				if err != nil || len(items) != 1 || !strings.HasPrefix(junk, string(items[0].Raw)) || items[0].Type != "Patient" {
					t.Fatalf("%q: %v, %d in quarantine", junk, err, len(items))
				}
				mustClose(t, s)
				if lines := checkFiles(t, dir); len(lines) != len(rs) {
					t.Errorf("%q: %d lines", junk, len(lines))
				}
			}
		}
	}
}

// TestChangedWhileOpen: a line that is not what was written is an error, not somebody else's bytes, and the next Open repairs.
func TestChangedWhileOpen(t *testing.T) {
	t.Parallel()
	for _, gz := range []bool{false, true} {
		dir := t.TempDir()
		opts := &dirstore.Options{Gzip: gz}
		s := open(t, dir, opts)
		a, b := resource("Patient", "a", "one"), resource("Patient", "b", "two")
		put(t, s, a)
		put(t, s, b)
		path := filepath.Join(dir, map[bool]string{false: "Patient.ndjson", true: "Patient.ndjson.gz"}[gz])
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[30] ^= 1 // in a
		if err := errors.Join(os.WriteFile(path, raw, 0o600), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), a.Key); err == nil {
			t.Errorf("got %q", got.Raw)
		}
		var seen error
		for _, err := range s.All("Patient") {
			seen = err
		}
		if seen == nil {
			t.Error("the loop says nothing")
		}
		holds(t, s, b)
		_ = s.Close() // may say so or not.
		s = open(t, dir, opts)
		holds(t, s, b)
		put(t, s, a, b)
		holds(t, s, a, b)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestInterruptedSwitch stops the replacement of the files after each of its steps.
func TestInterruptedSwitch(t *testing.T) {
	t.Parallel()
	old, rs := many(t, nil)
	packed := func() map[string]string {
		dir := restore(t, old)
		s := open(t, dir, &dirstore.Options{Gzip: true})
		mustClose(t, s)
		return snapshot(t, dir)
	}()
	const data, rows, index = ".fhirsync/Patient.data.new", ".fhirsync/Patient.rows.new", ".fhirsync/Patient.index.new"
	step := maps.Clone(old)
	var steps []map[string]string
	next := func(change func(m map[string]string)) {
		step = maps.Clone(step)
		change(step)
		steps = append(steps, step)
	}
	next(func(m map[string]string) { m[data] = packed["Patient.ndjson.gz"][:50] })
	next(func(m map[string]string) { m[rows+".tmp"] = packed[".fhirsync/Patient.rows"][:50] })
	next(func(m map[string]string) {
		m[data], m[rows+".tmp"], m[index] = packed["Patient.ndjson.gz"], packed[".fhirsync/Patient.rows"], packed[".fhirsync/Patient.index"]
	})
	next(func(m map[string]string) { m[rows] = m[rows+".tmp"]; delete(m, rows+".tmp") })
	next(func(m map[string]string) { m["Patient.ndjson.gz"] = m[data]; delete(m, data) })
	next(func(m map[string]string) { delete(m, "Patient.ndjson") })
	next(func(m map[string]string) { m[".fhirsync/Patient.index"] = m[index]; delete(m, index) })
	next(func(m map[string]string) { m[".fhirsync/Patient.rows"] = m[rows]; delete(m, rows) })
	for i, files := range steps {
		for _, gz := range []bool{true, false} {
			dir := restore(t, files)
			s, err := dirstore.Open(dir, &dirstore.Options{Gzip: gz})
			if err != nil {
				t.Errorf("step %d: %v", i, err)
				continue
			}
			holds(t, s, rs...)
			keys, digests := []fhirsync.Key{rs[3].Key}, [][32]byte{rs[3].Digest}
			if is, err := s.Holds(t.Context(), keys, digests); err != nil || !is[0] {
				t.Errorf("step %d: %v %v", i, is, err)
			}
			mustClose(t, s)
			if lines := checkFiles(t, dir); len(lines) != len(rs) {
				t.Errorf("step %d: %d lines", i, len(lines))
			}
		}
	}
}

// linesBefore counts the lines of the gzip members that end before an offset.
func linesBefore(tb testing.TB, whole string, offset int) int {
	tb.Helper()
	r := bytes.NewReader([]byte(whole)) // gzip reads no more of it than it needs.
	n := 0
	for r.Len() > 0 {
		zr, err := gzip.NewReader(r)
		if err != nil {
			tb.Fatal(err)
		}
		zr.Multistream(false)
		text, err := io.ReadAll(zr)
		if err != nil {
			tb.Fatal(err)
		}
		if len(whole)-r.Len() > offset {
			break
		}
		n += bytes.Count(text, []byte{'\n'})
	}
	return n
}

// FuzzDamage replaces a piece of one of the files by something else. Nothing may panic, and what is not damaged stays.
func FuzzDamage(f *testing.F) {
	kinds := []map[string]string{}
	var rs []fhirsync.Resource
	for _, gz := range []bool{false, true} {
		files, all := many(f, dirstore.Small(dirstore.Options{Gzip: gz}))
		kinds, rs = append(kinds, files), all
	}
	f.Add(byte(0), false, uint16(0), uint16(0), []byte("x"))
	f.Add(byte(0), false, uint16(151), uint16(1), []byte("0")) // r01 becomes a second r00
	f.Add(byte(0), true, uint16(100), uint16(1), []byte("\n"))
	f.Add(byte(0), false, uint16(700), uint16(60000), []byte{})
	f.Add(byte(0), true, uint16(200), uint16(10), []byte{0x1f, 0x8b, 8, 0})
	f.Add(byte(1), false, uint16(0), uint16(60000), []byte{})
	f.Add(byte(1), false, uint16(38), uint16(4), []byte{0xff, 0xff, 0xff, 0x7f})
	f.Add(byte(1), true, uint16(293), uint16(60000), []byte{}) // between two rows of one member
	f.Add(byte(1), true, uint16(500), uint16(1), []byte("zz"))
	f.Add(byte(2), false, uint16(40), uint16(8), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Add(byte(2), true, uint16(120), uint16(0), []byte("entries"))
	f.Add(byte(3), false, uint16(3), uint16(1), []byte("\""))
	f.Add(byte(4), true, uint16(0), uint16(0), []byte("fhirsync rows 1\n"))
	f.Fuzz(func(t *testing.T, which byte, gz bool, at, cut uint16, insert []byte) {
		kind, data := 0, "Patient.ndjson"
		if gz {
			kind, data = 1, "Patient.ndjson.gz"
		}
		files := maps.Clone(kinds[kind])
		name := []string{data, ".fhirsync/Patient.rows", ".fhirsync/Patient.index", ".fhirsync/format.json", ".fhirsync/Patient.rows.new"}[int(which)%5]
		whole := files[name]
		from := min(int(at), len(whole))
		to := min(from+int(cut), len(whole))
		files[name] = whole[:from] + string(insert) + whole[to:]
		dir := restore(t, files)
		s, err := dirstore.Open(dir, dirstore.Small(dirstore.Options{Gzip: gz, NoSync: true}))
		if err != nil {
			if name != ".fhirsync/format.json" {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		defer s.Close()
		// Everything whose bytes, or whose member, end before the damage; with damage elsewhere everything.
		safe := len(rs)
		if name == data {
			safe = bytes.Count([]byte(whole[:from]), []byte{'\n'})
			if gz {
				safe = linesBefore(t, whole, from)
			}
		}
		if name == ".fhirsync/format.json" && files[name] != whole {
			return // its server may be another one now.
		}
		for _, r := range rs[:safe] {
			got, err := s.Get(context.Background(), r.Key)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, r.ID, err)
			}
			// Damage can make the id of one resource that of another, whose line is then the later one.
			again := strings.Count(files[data], r.ID) > strings.Count(kinds[kind][data], r.ID) || strings.Contains(string(insert), r.ID)
			if string(got.Raw) != string(r.Raw) && !again {
				t.Fatalf("%s: %s is %q", name, r.ID, got.Raw)
			}
		}
		if err := s.Put(context.Background(), fhirsync.Batch{Resources: rs}); err != nil {
			t.Fatal(err)
		}
		holds(t, s, rs...)
		mustClose(t, s)
		checkFiles(t, dir)
	})
}
