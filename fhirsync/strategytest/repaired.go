package strategytest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// repairedFrom tells whether a resource was repaired, and says all that the truth says. A server that writes Latin-1 writes other bytes, with
// escapes for what that does not have, and nothing has to be repaired then.
func repairedFrom(r fhirsync.Resource, truth []byte, faults []fhirtest.Fault) bool {
	rewritten := slices.ContainsFunc(faults, func(f fhirtest.Fault) bool { return strings.HasPrefix(f.Name, "Latin1") })
	if !rewritten && (len(r.Repairs) == 0 || r.Original == nil) {
		return false
	}
	got, ok := decode(r.Raw)
	want, ok2 := decode(truth)
	return ok && ok2 && says(got, want)
}

// withoutID finds the resource that one is whose id was made of its content.
func withoutID(r fhirsync.Resource, all map[string][]byte) (ref string, ok bool) {
	made := false
	for _, x := range r.Repairs {
		made = made || x.Kind == fhirsync.RepairContentID
	}
	got, valid := decode(r.Raw)
	if !made || !valid {
		return "", false
	}
	for ref, truth := range all {
		typ, _, _ := strings.Cut(ref, "/")
		want, valid := decode(truth)
		object, _ := want.(map[string]any)
		delete(object, "id")
		if typ == r.Type && valid && says(got, want) {
			return ref, true
		}
	}
	return "", false
}

func decode(raw []byte) (any, bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err == nil
}

// says tells whether got says what want says, and perhaps more. A character that could not be read stands for any text.
func says(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for name, v := range want {
			if !says(g[name], v) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i := range want {
			if !says(g[i], want[i]) {
				return false
			}
		}
		return true
	case string:
		g, ok := got.(string)
		return ok && (g == want || strings.ContainsRune(g, '\uFFFD'))
	}
	return got == want
}
