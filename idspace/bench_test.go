package idspace_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Compare BenchmarkPage with BenchmarkPageEncodingJSON. On a busy machine only processor time says something.

const benchBase = "https://h.example/fhir"

// benchPage gives a page of 100 entries without white space, which is how most servers write.
func benchPage(b *testing.B) []byte {
	b.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 100, Padding: 200})
	var page bytes.Buffer
	page.WriteString(`{"resourceType":"Bundle","id":"b","type":"searchset","total":100,"link":[{"relation":"self","url":"https://h.example/fhir/Observation?patient=1"}],"entry":[`)
	for i, r := range rec.Resources {
		if i > 0 {
			page.WriteByte(',')
		}
		raw := bytes.ReplaceAll(r.Raw, []byte(fhirtest.BasePlaceholder), []byte(benchBase))
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintf(&page, `{"fullUrl":"%s/%s/%s","resource":%s,"search":{"mode":"match"}}`, benchBase, r.Type, r.ID, compact.Bytes())
	}
	page.WriteString(`]}`)
	return page.Bytes()
}

// BenchmarkPage splits a page and rewrites its resources: ids, references and markers.
func BenchmarkPage(b *testing.B) {
	page := benchPage(b)
	space := mustSpace(b, idspace.Options{Name: "payer-a", Bases: []string{benchBase}})
	var bundle jsonscan.Bundle
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if err := bundle.Split(page); err != nil || len(bundle.Entries) != 100 {
			b.Fatal(err)
		}
		for i := range bundle.Entries {
			out, err := space.Rewrite(bundle.Entries[i].Resource)
			if err != nil || out.NewID == "" {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkPageEncodingJSON does the same by way of map[string]any: the same ids, references and tags, but it looks neither at other links
// nor for what is wrong with a resource.
func BenchmarkPageEncodingJSON(b *testing.B) {
	space := mustSpace(b, idspace.Options{Name: "payer-a", Bases: []string{benchBase}})
	var rename func(value any)
	rename = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, v := range value {
				s, ok := v.(string)
				if !ok || key != "reference" {
					rename(v)
					continue
				}
				ref := refs.Parse(s)
				if ref.Kind != refs.Relative && (ref.Kind != refs.Absolute || !space.HasBase(ref.Base)) {
					continue
				}
				s = ref.Type + "/" + space.ID(ref.Type, ref.ID)
				if ref.Version != "" {
					s += "/_history/" + ref.Version
				}
				value[key] = s
			}
		case []any:
			for _, v := range value {
				rename(v)
			}
		}
	}
	page := benchPage(b)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		var bundle struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := json.Unmarshal(page, &bundle); err != nil {
			b.Fatal(err)
		}
		for _, e := range bundle.Entry {
			d := json.NewDecoder(bytes.NewReader(e.Resource))
			d.UseNumber()
			var value map[string]any
			if err := d.Decode(&value); err != nil {
				b.Fatal(err)
			}
			rename(value)
			typ, _ := value["resourceType"].(string)
			id, _ := value["id"].(string)
			meta, _ := value["meta"].(map[string]any)
			if meta == nil {
				meta = map[string]any{}
				value["meta"] = meta
			}
			tags, _ := meta["tag"].([]any)
			meta["tag"] = append(tags,
				map[string]any{"system": idspace.SpaceSystem, "code": space.Code()},
				map[string]any{"system": idspace.OriginalSystem, "code": space.Code() + "/" + typ + "/" + id})
			value["id"] = space.ID(typ, id)
			if _, err := json.Marshal(value); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkID(b *testing.B) {
	for _, scheme := range []idspace.Scheme{idspace.Hash(), idspace.Prefix(), idspace.UUIDv5()} {
		b.Run(scheme.Name(), func(b *testing.B) {
			space := mustSpace(b, idspace.Options{Name: "payer-a", Scheme: scheme})
			b.ReportAllocs()
			for b.Loop() {
				if space.ID("Observation", "0123456789abcdef") == "" {
					b.Fatal("no id")
				}
			}
		})
	}
}

func mustSpace(tb testing.TB, o idspace.Options) *idspace.Space {
	tb.Helper()
	s, err := idspace.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
