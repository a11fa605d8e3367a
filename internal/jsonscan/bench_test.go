package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// The floor for Split is a tenth of the time of encoding/json, the goal for a rewrite a twentieth. Compare
//
//	BenchmarkSplit with BenchmarkSplitEncodingJSON, and
//	BenchmarkRewrite with BenchmarkRewriteEncodingJSON.

// resources gives 100 of them without white space, which is how most servers write.
func resources(b *testing.B) [][]byte {
	b.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 100, Padding: 200})
	var out [][]byte
	for _, r := range rec.Resources {
		var compact bytes.Buffer
		if err := json.Compact(&compact, r.Raw); err != nil {
			b.Fatal(err)
		}
		out = append(out, compact.Bytes())
	}
	return out
}

func benchmarkPage(b *testing.B) []byte {
	b.Helper()
	var page bytes.Buffer
	page.WriteString(`{"resourceType":"Bundle","id":"b","type":"searchset","total":100,"link":[{"relation":"self","url":"https://h.example/fhir/Observation?patient=1"},` +
		`{"relation":"next","url":"https://h.example/fhir?page=2"}],"entry":[`)
	for i, r := range resources(b) {
		if i > 0 {
			page.WriteByte(',')
		}
		fmt.Fprintf(&page, `{"fullUrl":"https://h.example/fhir/Observation/%d","resource":%s,"search":{"mode":"match"}}`, i, r)
	}
	page.WriteString(`]}`)
	return page.Bytes()
}

func BenchmarkSplit(b *testing.B) {
	page := benchmarkPage(b)
	var bundle jsonscan.Bundle
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if err := bundle.Split(page); err != nil || len(bundle.Entries) != 100 || bundle.Entries[99].ID == "" {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitEncodingJSON(b *testing.B) {
	type bundle struct {
		ResourceType, ID, Type string
		Total                  *int
		Link                   []struct{ Relation, URL string }
		Entry                  []struct {
			FullURL  string
			Resource json.RawMessage
			Search   struct{ Mode string }
			Response struct{ Status string }
		}
	}
	type header struct {
		ResourceType, ID string
		Meta             struct {
			VersionID, LastUpdated string
			Tag                    []struct{ Code string }
		}
	}
	page := benchmarkPage(b)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		var got bundle
		if err := json.Unmarshal(page, &got); err != nil || len(got.Entry) != 100 {
			b.Fatal(err)
		}
		for _, e := range got.Entry {
			var h header
			if err := json.Unmarshal(e.Resource, &h); err != nil || h.ID == "" {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	all := resources(b)
	var w jsonscan.Walker
	var edits []jsonscan.Edit
	var out []byte
	visit := func(f *jsonscan.Field) error {
		if f.Depth() == 1 || string(f.Key()) == "reference" {
			edits = append(edits, jsonscan.Edit{Start: f.Start, End: f.End, Text: "new-" + f.Text()})
		}
		return nil
	}
	want := func(key []byte) bool { return string(key) == "reference" || string(key) == "id" }
	var size int64
	for _, raw := range all {
		size += int64(len(raw))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			edits = edits[:0]
			if err := w.Walk(raw, want, visit); err != nil {
				b.Fatal(err)
			}
			out = jsonscan.Replace(out[:0], raw, edits)
		}
	}
}

func BenchmarkRewriteEncodingJSON(b *testing.B) {
	var rename func(value any, root bool)
	rename = func(value any, root bool) {
		switch value := value.(type) {
		case map[string]any:
			for key, v := range value {
				if s, ok := v.(string); ok && (key == "reference" || root && key == "id") {
					value[key] = "new-" + s
				} else {
					rename(v, false)
				}
			}
		case []any:
			for _, v := range value {
				rename(v, false)
			}
		}
	}
	all := resources(b)
	var size int64
	for _, raw := range all {
		size += int64(len(raw))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			d := json.NewDecoder(bytes.NewReader(raw))
			d.UseNumber()
			var value map[string]any
			if err := d.Decode(&value); err != nil {
				b.Fatal(err)
			}
			rename(value, true)
			if _, err := json.Marshal(value); err != nil {
				b.Fatal(err)
			}
		}
	}
}
