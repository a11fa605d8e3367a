package conform_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// spoil does to a resource, here and there, what servers do to theirs.
func spoil(rnd *rand.Rand, v any, key string) any {
	if s, ok := v.(string); ok && rnd.IntN(60) == 0 && s != "" {
		return ""
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k != "resourceType" {
				v[k] = spoil(rnd, v[k], k)
			}
		}
	case []any:
		for i := range v {
			v[i] = spoil(rnd, v[i], key)
		}
	}
	return spoilHere(rnd, v, key)
}

// spoilForm spoils only what the rules put right wherever it is.
func spoilForm(rnd *rand.Rand, v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k != "resourceType" {
				v[k] = spoilForm(rnd, v[k], k)
			}
		}
	case []any:
		for i := range v {
			v[i] = spoilForm(rnd, v[i], key)
		}
	}
	return spoilHere(rnd, v, key)
}

// spoilHere spoils one value.
func spoilHere(rnd *rand.Rand, v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		switch n := rnd.IntN(12); {
		case v["url"] != nil: // an extension has none of these
		case n == 0:
			if v["extension"] == nil {
				v["extension"] = []any{}
			}
		case n == 1:
			if v["display"] == nil {
				v["display"] = ""
			}
		case n == 2:
			if v["text"] == nil {
				v["text"] = nil
			}
		case n == 3:
			if v["note"] == nil {
				v["note"] = []any{nil, map[string]any{}}
			}
		}
	case []any:
		if rnd.IntN(8) == 0 {
			return slices.Insert(v, rnd.IntN(len(v)+1), any(nil))
		}
	case string:
		switch {
		case rnd.IntN(6) > 0:
		case key == "status" || key == "gender" || key == "use":
			return " " + strings.ToUpper(v)
		case key == "reference" && !strings.Contains(v, ":") && !strings.HasPrefix(v, "#"):
			return "/" + v
		case len(v) > 18 && v[4] == '-' && v[10] == 'T':
			return strings.Replace(v, "T", " ", 1)
		}
	case json.Number:
		if rnd.IntN(3) == 0 {
			return string(v)
		}
	case bool:
		if rnd.IntN(3) == 0 {
			return map[bool]string{true: "True", false: "false"}[v]
		}
	}
	return v
}

// TestNothingElseChanges: generated resources, whole and spoiled, differ from what they were by what is recorded and by nothing else,
// decimals and unknown elements among it.
func TestNothingElseChanges(t *testing.T) {
	t.Parallel()
	all := map[string]*conform.Conformer{
		"default": conformer(t, conform.Options{}),
		"most":    conformer(t, conform.Options{Versions: conform.DropVersions, Claims: conform.ReplaceClaims, Profiles: append(conform.USCore6(), conform.USCore8()...)}),
		"none":    conformer(t, conform.Options{Rules: []conform.Rule{}}),
		"R5":      conformer(t, conform.Options{FHIRVersion: "5.0.0"}),
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rec := fhirtest.Generate(fhirtest.Options{Seed: 5, Size: 250})
	changes := map[conform.Rule]int{}
	for _, r := range slices.Concat(rec.Resources, rec.Referenced) {
		v, err := decode(r.Raw)
		if err != nil {
			t.Fatal(err)
		}
		var spoiled bytes.Buffer
		enc := json.NewEncoder(&spoiled)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(spoil(rnd, v, "")); err != nil {
			t.Fatal(err)
		}
		for name, c := range all {
			for _, raw := range []string{string(r.Raw), spoiled.String()} {
				out := apply(t, c, raw)
				recorded(t, []byte(raw), out)
				for _, ch := range out.Changes {
					changes[ch.Rule]++
				}
				if name == "none" && string(out.Raw) != raw {
					t.Errorf("no rule changed %s", raw)
				}
				if t.Failed() {
					t.Fatalf("%s: %s", name, r.Ref())
				}
			}
		}
		// Whole resources are no business of the rules. Some that are generated have no status, or an empty string.
		if out := apply(t, all["default"], string(r.Raw)); slices.ContainsFunc(out.Changes, func(c conform.Change) bool { return c.Rule != conform.RuleStatus && c.Rule != conform.RuleEmpty }) {
			t.Errorf("%s was changed: %v", r.Ref(), out.Changes)
		}
	}
	for _, r := range []conform.Rule{conform.RuleEmpty, conform.RuleNulls, conform.RuleDates, conform.RuleNumbers, conform.RuleBooleans, conform.RuleCodes, conform.RuleReferences, conform.RuleMeta, conform.RuleProfile} {
		if changes[r] == 0 {
			t.Errorf("%s had nothing to do", r)
		}
	}
}
