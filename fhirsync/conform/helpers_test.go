package conform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
)

func conformer(tb testing.TB, o conform.Options) *conform.Conformer {
	tb.Helper()
	c, err := conform.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// apply carries the rules out, twice, and checks what holds of everything: the input is not written to, and a second time changes nothing.
func apply(tb testing.TB, c *conform.Conformer, raw string) conform.Result {
	tb.Helper()
	in := []byte(raw)
	out, err := c.Apply(in)
	if err != nil {
		tb.Fatalf("%v: %.300s", err, raw)
	}
	if string(in) != raw {
		tb.Fatalf("the input was written to: %.300s", raw)
	}
	if len(out.Changes) == 0 && string(out.Raw) != raw {
		tb.Errorf("without a change it became %.300s", out.Raw)
	}
	if !json.Valid(out.Raw) {
		tb.Fatalf("no JSON any more: %.300s", out.Raw)
	}
	again, err := c.Apply(out.Raw)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.Equal(again.Raw, out.Raw) || len(again.Changes) > 0 {
		tb.Errorf("a second time changes %v:\n%.500s\n%.500s", again.Changes, out.Raw, again.Raw)
	}
	return out
}

// lines writes changes and nonconformities down.
func lines(out conform.Result) (changes, wrong string) {
	var a, b []string
	for _, c := range out.Changes {
		a = append(a, string(c.Rule)+" "+c.Path)
	}
	for _, n := range out.Nonconformities {
		b = append(b, string(n.Rule)+" "+n.Path)
	}
	return strings.Join(a, "; "), strings.Join(b, "; ")
}

func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// differences gives the paths at which two values differ, as Change has them: with the indexes of the first one. Arrays are compared element
// by element after those have been taken out of the first that a change says have gone.
func differences(a, b any, path string, gone map[string]bool, out map[string]bool) {
	switch a := a.(type) {
	case map[string]any:
		other, ok := b.(map[string]any)
		if !ok {
			out[path] = true
			return
		}
		for _, k := range slices.Sorted(maps.Keys(a)) {
			v, there := other[k]
			if p := join(path, k); !there {
				out[p] = true
			} else {
				differences(a[k], v, p, gone, out)
			}
		}
		for k := range other {
			if _, there := a[k]; !there {
				out[join(path, k)] = true
			}
		}
	case []any:
		list, ok := b.([]any)
		if !ok {
			out[path] = true
			return
		}
		j := 0
		for i, v := range a {
			p := fmt.Sprintf("%s[%d]", path, i)
			if len(a)-i > len(list)-j && (gone[p] || gone[other(p)]) {
				out[p] = true
				continue
			}
			if j >= len(list) {
				out[p] = true
				continue
			}
			differences(v, list[j], p, gone, out)
			j++
		}
		if j < len(list) {
			out[path] = true
		}
	default:
		if a != b {
			out[path] = true
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// recorded checks that a resource differs from what it was by nothing but the changes that are recorded.
func recorded(tb testing.TB, raw []byte, out conform.Result) {
	tb.Helper()
	before, err := decode(raw)
	if err != nil {
		return // what encoding/json does not read: nested deeper than it likes
	}
	after, err := decode(out.Raw)
	if err != nil {
		tb.Fatal(err)
	}
	typ, _ := before.(map[string]any)["resourceType"].(string)
	changed := map[string]bool{}
	for _, c := range out.Changes {
		changed[c.Path] = true
	}
	found := map[string]bool{}
	differences(before, after, typ, changed, found)
	for p := range found {
		if !covered(p, changed) {
			tb.Errorf("%s changed, and no change says so: %v\n%.300s\n%.300s", p, out.Changes, raw, out.Raw)
			return
		}
	}
}

// covered tells whether a change is recorded for the path: for itself, for what it stands in or (where all in it has gone) for what stands in
// it. A name may come in as the other half of a primitive, and an extension is where elements that are moved go.
func covered(path string, changed map[string]bool) bool {
	for c := range changed {
		for _, p := range []string{c, other(c), parent(c) + ".extension", parent(c) + "._" + last(c)} {
			if p == path || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[") {
				return true
			}
		}
		if strings.HasPrefix(c, path+".") || strings.HasPrefix(c, path+"[") || strings.HasPrefix(other(c), path) {
			return true
		}
	}
	return false
}

func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// other gives the path of the other half of a primitive.
func other(path string) string {
	if name := last(path); !strings.HasPrefix(name, "_") {
		return parent(path) + "._" + name
	}
	return parent(path) + "." + last(path)[1:]
}
