package refs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Compare each with the one of the same name and EncodingJSON behind it, which does the same by way of map[string]any. On a busy machine only processor
// time says something.

// benchResources gives the resources of a patient without white space, which is how most servers write.
func benchResources(b *testing.B) (all [][]byte, size int64) {
	b.Helper()
	for _, r := range fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 100, Padding: 200}).Resources {
		var compact bytes.Buffer
		if err := json.Compact(&compact, r.Raw); err != nil {
			b.Fatal(err)
		}
		all = append(all, compact.Bytes())
		size += int64(compact.Len())
	}
	return all, size
}

func benchAll(b *testing.B, sources ...refs.Source) {
	b.Helper()
	all, size := benchResources(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, raw := range all {
			for _, err := range refs.All(raw, sources...) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		if n < len(all) {
			b.Fatal(n)
		}
	}
}

func BenchmarkAll(b *testing.B)           { benchAll(b) }
func BenchmarkAllReferences(b *testing.B) { benchAll(b, refs.FromReference) }

// mapReferences walks a decoded resource and calls fn for the references.
func mapReferences(value any, fn func(object map[string]any, text string)) {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if text, ok := v.(string); ok && key == "reference" {
				fn(value, text)
				continue
			}
			mapReferences(v, fn)
		}
	case []any:
		for _, v := range value {
			mapReferences(v, fn)
		}
	}
}

func decode(b *testing.B, raw []byte) (value map[string]any) {
	b.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		b.Fatal(err)
	}
	return value
}

func BenchmarkAllEncodingJSON(b *testing.B) {
	all, size := benchResources(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, raw := range all {
			mapReferences(decode(b, raw), func(_ map[string]any, text string) {
				if refs.Parse(text).Kind != refs.Invalid {
					n++
				}
			})
		}
		if n < len(all) {
			b.Fatal(n)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	all, size := benchResources(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			out, err := refs.Rewrite(raw, func(f *refs.Found) string { return renamed(f.Text, f.Ref) }, refs.FromReference)
			if err != nil || len(out) == 0 {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRewriteEncodingJSON(b *testing.B) {
	all, size := benchResources(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			value := decode(b, raw)
			mapReferences(value, func(object map[string]any, text string) { object["reference"] = renamed(text, refs.Parse(text)) })
			if _, err := json.Marshal(value); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func renamed(text string, ref refs.Reference) string {
	if ref.Kind != refs.Relative {
		return text
	}
	return ref.Type + "/x-" + ref.ID
}

func BenchmarkFrontier(b *testing.B) {
	var found []refs.Found
	for i := range 10_000 {
		text := fmt.Sprintf("Practitioner/%d", i%100)
		found = append(found, refs.Found{Source: refs.FromReference, Path: "Observation.performer", Text: text, Ref: refs.Parse(text)})
	}
	b.ReportAllocs()
	for b.Loop() {
		f := refs.Frontier{Held: func(t *refs.Target) bool { return len(t.ID) == 1 }}
		for resource := range slices.Chunk(found, 5) {
			f.Add("Observation", 0, resource...)
		}
		if f.Len() != 90 {
			b.Fatal(f.Len())
		}
	}
}
