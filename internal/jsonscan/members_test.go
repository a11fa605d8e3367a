package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// checkMembers compares the members of the root with what encoding/json finds.
func checkMembers(t *testing.T, w *jsonscan.Walker, raw []byte) {
	t.Helper()
	members, err := w.WalkMembers(raw, nil, nil)
	if plain := jsonscan.Valid(raw); (plain == nil) != (err == nil) || plain != nil && plain.Error() != err.Error() {
		t.Fatalf("%.200s: %v, but Valid says %v", raw, err, plain)
	}
	n := 0
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, _ := d.Token(); err == nil && open == json.Delim('{') {
		for ; d.More(); n++ {
			key, err := d.Token()
			if err != nil {
				t.Fatal(err)
			}
			keyEnd := int(d.InputOffset())
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				t.Fatal(err)
			}
			if n >= len(members) {
				t.Fatalf("%.200s: only %d members", raw, n)
			}
			m := members[n]
			var name string
			if err := json.Unmarshal(raw[m.KeyStart:m.KeyEnd], &name); err != nil || name != key || m.KeyEnd != keyEnd {
				t.Fatalf("%.200s: the name of member %d is %s (%v), not %q", raw, n, raw[m.KeyStart:m.KeyEnd], err, key)
			}
			if m.End != jsonscan.ValueEnd(raw, m.Start) || m.End != int(d.InputOffset()) || !bytes.Equal(raw[m.Start:m.End], value) {
				t.Fatalf("%.200s: member %d is %q, not %q", raw, n, raw[m.Start:m.End], value)
			}
			if m.Escaped != bytes.Contains(raw[m.KeyStart:m.KeyEnd], []byte(`\`)) {
				t.Fatalf("%.200s: member %d: escaped is %t", raw, n, m.Escaped)
			}
		}
	}
	if len(members) != n {
		t.Fatalf("%.200s: %d members, not %d", raw, len(members), n)
	}
}

func TestWalkMembers(t *testing.T) {
	t.Parallel()
	var w jsonscan.Walker
	many := `{` + strings.Repeat(`"a" : [ {"b":1} ] ,`, 5000) + `"":""}`
	for _, raw := range []string{
		``, `5`, `[]`, `[{"a":1}]`, `{}`, ` { } `, `{"a":1`, `{"a":1}x`,
		`{"a":null,"a":{"a":{"b":[]}},"\u0061":"x\"}","b":[1,{"c":2}],"":-1.5e3}`,
		" {\n\t\"a\" : true ,\r\n \"b\" : { \"c\" : 1 } , \"d\" : [ ] \n} \n", many, `{"z":0}`,
		`{"deep":` + strings.Repeat(`{"a":`, 60) + `1` + strings.Repeat(`}`, 60) + `,"after":[[1]]}`,
	} {
		checkMembers(t, &w, []byte(raw))
	}
}

// Not parallel: it counts the allocations of the whole process.
func TestWalkMembersAllocatesNothing(t *testing.T) {
	var w jsonscan.Walker
	raw := []byte(`{"a":1,"b":2}`)
	if n := testing.AllocsPerRun(10, func() { _, _ = w.WalkMembers(raw, nil, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// With Listed, the members asked for are the same, and of others no more than there are.
func checkListed(t *testing.T, raw []byte) {
	t.Helper()
	names := []string{"a", "id", "resourceType", ""}
	var all, some jsonscan.Walker
	some.Listed = jsonscan.NewNames(names...)
	want, wantErr := all.WalkMembers(raw, nil, nil)
	got, gotErr := some.WalkMembers(raw, nil, nil)
	if (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("%.200s: %v, %v", raw, wantErr, gotErr)
	}
	for _, m := range want {
		if len(got) > 0 && got[0] == m {
			got = got[1:]
			continue
		}
		if m.Escaped || slices.Contains(names, string(raw[m.KeyStart+1:m.KeyEnd-1])) {
			t.Fatalf("%.200s: %s is not listed", raw, raw[m.KeyStart:m.KeyEnd])
		}
	}
	if len(got) > 0 {
		t.Fatalf("%.200s: %v is none", raw, got)
	}
}

func FuzzWalkMembers(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var w jsonscan.Walker
		for range 2 {
			checkMembers(t, &w, raw)
			checkListed(t, raw)
		}
	})
}
