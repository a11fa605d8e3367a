package fhirsync_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// truth is what a client has to bring of one patient from one server, found out without the code under test: from what was loaded, and by
// reading it one by one.
type truth struct {
	raw     map[string][]byte // the server's bytes, by Type/ID
	counted map[string]int    // by type: how many the server says it has for the patient
	orphans []string          // loaded, and neither naming the patient nor named by anything that does
}

// decodeJSON reads a resource with its numbers as they are written.
func decodeJSON(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%w: %.100s", err, raw)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value: %.100s", raw)
	}
	return v, nil
}

// eachReference calls fn for every object with Reference.reference, and says in which element of the resource it is.
func eachReference(v any, fn func(of map[string]any, top string)) {
	var walk func(v any, top string)
	walk = func(v any, top string) {
		switch v := v.(type) {
		case map[string]any:
			if _, text := v["reference"].(string); text {
				fn(v, top)
			}
			for k, x := range v {
				inner := top
				if inner == "" {
					inner = k
				}
				walk(x, inner)
			}
		case []any:
			for _, x := range v {
				walk(x, top)
			}
		}
	}
	walk(v, "")
}

// localRef gives Type/ID of a reference to a resource of the server, in whatever way it is written.
func localRef(v any, base string) (ref string, ok bool) {
	s, _ := v.(string)
	s = strings.TrimPrefix(s, base+"/")
	parts := strings.Split(s, "/")
	if len(parts) == 4 && parts[2] == "_history" {
		parts = parts[:2]
	}
	if len(parts) != 2 || parts[0] == "" || strings.ContainsAny(parts[0], ":?#") || strings.ContainsAny(parts[1], ":?#") || parts[1] == "" ||
		parts[0][0] < 'A' || parts[0][0] > 'Z' {
		return "", false
	}
	return parts[0] + "/" + parts[1], true
}

// references gives all references of a resource to others on its server, those that are searches as they are, and whether it names the patient in itself, contained resources
// left aside, and other patients.
func references(raw []byte, base, patientID string) (refs []string, names, others bool, err error) {
	v, err := decodeJSON(raw)
	if err != nil {
		return nil, false, false, err
	}
	eachReference(v, func(of map[string]any, top string) {
		ref, ok := localRef(of["reference"], base)
		switch {
		case !ok:
			// Synthea names what is shared by a search. A server that does not resolve it on the way in gives it like that.
			if text, _ := of["reference"].(string); strings.Contains(text, "?identifier=") && !strings.HasPrefix(text, "Patient?") {
				refs = append(refs, text)
			}
		case ref == "Patient/"+patientID:
			names = names || top != "contained"
		case strings.HasPrefix(ref, "Patient/"):
			others = true
		default:
			refs = append(refs, ref)
		}
	})
	return refs, names, others, nil
}

// learn reads everything that was loaded, follows all references, and asks for the server's own counts.
func (s *realServer) learn(t *testing.T, p *loadedPatient) {
	t.Helper()
	all := map[string][]byte{} // nil: the server does not have it
	var mu sync.Mutex
	read := func(refs []string) {
		t.Helper()
		err := parallel(refs, func(ref string) error {
			raw, err := s.read(t.Context(), ref)
			mu.Lock()
			defer mu.Unlock()
			all[ref] = raw
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(p.refs)
	tr := &truth{raw: map[string][]byte{}, counted: map[string]int{}}
	named := map[string]int{}
	var front []string
	for _, ref := range p.refs {
		if all[ref] == nil {
			t.Fatalf("%s: %s was accepted and cannot be read", s.name, ref)
		}
		_, names, others, err := references(all[ref], s.base, p.id)
		if err != nil {
			t.Fatal(err)
		}
		if others {
			t.Fatalf("%s: %s names another patient: the records are not apart", s.name, ref)
		}
		if names || ref == "Patient/"+p.id {
			front = append(front, ref)
			typ, _, _ := strings.Cut(ref, "/")
			named[typ]++
		}
	}
	found := map[string]string{}
	for len(front) > 0 {
		var next []string
		for _, ref := range front {
			if _, done := tr.raw[ref]; done || all[ref] == nil {
				continue
			}
			tr.raw[ref] = all[ref]
			refs, _, others, err := references(all[ref], s.base, p.id)
			if err != nil {
				t.Fatal(err)
			}
			if others {
				t.Fatalf("%s: %s, named by the patient's, names another patient: the records are not apart", s.name, ref)
			}
			next = append(next, refs...)
		}
		slices.Sort(next)
		next = s.lookUp(t, slices.Compact(next), found)
		read(slices.DeleteFunc(slices.Clone(next), func(ref string) bool { _, known := all[ref]; return known }))
		front = next
	}
	for _, ref := range p.refs {
		if tr.raw[ref] == nil {
			tr.orphans = append(tr.orphans, ref)
		}
	}
	p.truth = tr
	delete(named, "Patient")
	s.learnCounts(t, p, named)
}

// lookUp puts what the searches among references find in their place, where it is one resource; found keeps it.
func (s *realServer) lookUp(t *testing.T, refs []string, found map[string]string) []string {
	t.Helper()
	var out []string
	for _, ref := range refs {
		typ, _, search := strings.Cut(ref, "?")
		if !search {
			out = append(out, ref)
			continue
		}
		at, known := found[ref]
		if !known {
			status, body, err := s.get(t.Context(), s.base+"/"+strings.ReplaceAll(ref, "|", "%7C"))
			var b struct {
				Entry []struct {
					Resource struct{ ResourceType, ID string }
				}
			}
			if err == nil {
				err = json.Unmarshal(body, &b)
			}
			if err != nil || status != http.StatusOK {
				t.Fatalf("%s: looking up %s: %d %v", s.name, typ, status, err)
			}
			if len(b.Entry) == 1 && b.Entry[0].Resource.ResourceType == typ {
				at = typ + "/" + b.Entry[0].Resource.ID
			}
			found[ref] = at
		}
		if at != "" {
			out = append(out, at)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// learnCounts asks the server how many of each type it has, and compares with what was loaded: named are those that name the patient.
func (s *realServer) learnCounts(t *testing.T, p *loadedPatient, named map[string]int) {
	t.Helper()
	for typ, n := range named {
		said, ok, err := s.count(t.Context(), typ, "patient", p.id)
		if err == nil && (!ok || said == 0) {
			said, ok, err = s.count(t.Context(), typ, "subject", p.id)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue // the server knows neither parameter for the type.
		}
		want := n
		if p.found != nil {
			want = p.found[typ]
		}
		if said != want {
			t.Errorf("%s: %s: the server counts %d %s, and %d were loaded", s.name, p.name, said, typ, want)
		}
		p.truth.counted[typ] = said
	}
}

// compared is a store against the truth.
type compared struct {
	lost, alien, altered []string
	same                 int // to the last byte
}

func (c compared) recall(p *loadedPatient) float64 {
	return 1 - float64(len(c.lost))/float64(len(p.truth.raw))
}

// compare looks at what is in the store of the patient: each resource has to be what a read of it gives.
func (s *realServer) compare(t *testing.T, p *loadedPatient, store *memstore.Store) compared {
	t.Helper()
	var c compared
	left := maps.Clone(p.truth.raw)
	for r := range store.Patient(s.name, p.id) {
		ref := r.Type + "/" + r.ID
		want, ok := p.truth.raw[ref]
		delete(left, ref)
		switch {
		case !ok:
			c.alien = append(c.alien, ref)
		case bytes.Equal(want, r.Raw):
			c.same++
		case !sameJSON(t, want, r.Raw):
			c.altered = append(c.altered, ref)
		}
	}
	c.lost = slices.Sorted(maps.Keys(left))
	return c
}

// sameJSON tells whether two texts say the same, numbers digit for digit.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	va, err := decodeJSON(a)
	if err != nil {
		t.Fatal(err)
	}
	vb, err := decodeJSON(b)
	if err != nil {
		t.Errorf("stored: %v", err)
		return false
	}
	return reflect.DeepEqual(va, vb)
}

// expire makes HAPI forget all searches made so far: their next links answer 410 from now on.
func (s *realServer) expire(ctx context.Context) error {
	status, body, err := s.do(ctx, http.MethodPost, strings.TrimSuffix(s.base, "/fhir")+"/expire-searches", nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("expire-searches: %d %.200s", status, body)
	}
	return err
}
