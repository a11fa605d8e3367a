package idspace_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// BenchmarkPage and BenchmarkPages against their fellows with EncodingJSON in the name; BenchmarkPageRatio runs both in turns and reports how many times
// faster the first is. The floor is 15. On a busy machine only the ratio says something.

const benchBase = "https://h.example/fhir"

// benchPage gives a page of 100 entries of one patient without white space, which is how most servers write.
func benchPage(b *testing.B, patient uint64) []byte {
	b.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: patient, Size: 100, Padding: 200})
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

func benchSpace(b *testing.B) *idspace.Space {
	b.Helper()
	return mustSpace(b, idspace.Options{Name: "payer-a", Bases: []string{benchBase}})
}

// rewritePage splits a page and rewrites its resources, as a sync into fhirsync.Namespaced does: ids, references and markers.
func rewritePage(b *testing.B, space *idspace.Space, bundle *jsonscan.Bundle, page []byte) {
	b.Helper()
	if err := bundle.Split(page); err != nil || len(bundle.Entries) == 0 {
		b.Fatal(err)
	}
	raws := func(yield func([]byte) bool) {
		for i := range bundle.Entries {
			if !yield(bundle.Entries[i].Resource) {
				return
			}
		}
	}
	for out, err := range space.RewriteAll(raws) {
		if err != nil || out.NewID == "" || len(out.Raw) == 0 {
			b.Fatal(err)
		}
	}
}

// rewritePageEncodingJSON does the same by way of map[string]any: the same ids, references and tags, but it looks neither at other links
// nor for what is wrong with a resource.
func rewritePageEncodingJSON(b *testing.B, space *idspace.Space, page []byte) {
	b.Helper()
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

func BenchmarkPage(b *testing.B) {
	page, space := benchPage(b, 1), benchSpace(b)
	var bundle jsonscan.Bundle
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		rewritePage(b, space, &bundle, page)
	}
}

func BenchmarkPageEncodingJSON(b *testing.B) {
	page, space := benchPage(b, 1), benchSpace(b)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		rewritePageEncodingJSON(b, space, page)
	}
}

// BenchmarkPages has so many patients that no text of one is remembered when it comes again: each of their references is hashed anew, once.
func BenchmarkPages(b *testing.B) {
	space := benchSpace(b)
	var bundle jsonscan.Bundle
	var pages [][]byte
	for patient := range uint64(64) {
		pages = append(pages, benchPage(b, patient+1))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		rewritePage(b, space, &bundle, pages[i%len(pages)])
	}
}

// BenchmarkPageRatio runs both in turns, a while each, and reports the ratio of the fastest turns, which others on the machine disturbed least.
func BenchmarkPageRatio(b *testing.B) {
	page, space := benchPage(b, 1), benchSpace(b)
	var bundle jsonscan.Bundle
	measure := func(pages int, one func()) float64 {
		runtime.GC() // so that neither pays for the other's garbage
		start := time.Now()
		for range pages {
			one()
		}
		return float64(time.Since(start)) / float64(pages)
	}
	ours, theirs := math.Inf(1), math.Inf(1)
	for b.Loop() {
		ours = min(ours, measure(100, func() { rewritePage(b, space, &bundle, page) }))
		theirs = min(theirs, measure(10, func() { rewritePageEncodingJSON(b, space, page) }))
	}
	b.ReportMetric(theirs/ours, "x")
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
