package jsonscan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"member%d":[{"a":1,"b":2},{"a":1,"b":2}]`, i)
	}
	for text, want := range map[string]bool{
		`{}`: true, `{"a":1,"b":{"a":2},"c":["a","a",{"a":3}]}`: true, `{"a":"\u00e9\ud83d\ude00\\ud800\""}`: true, "{" + strings.Join(many[:12], ",") + "}": true,
		`{"a":1,"a":1}`: false, `{"x":[{"a":{"b":1,"c":{},"b":2}}]}`: false, `{"a":1,"b":[1,{"c":2}],"a":3}`: false, `{"extensionOne":1,"x":{"y":[]},"extensionOne":2}`: false,
		`{"a":1,"\u0061":2}`: false, `{"\u0061":1,"b":2,"a":2}`: false, `{"\u0061b":1,"c":{"ab":2},"\u0061c":2}`: true,
		`{"a":"\ud800"}`: false, `{"a":["\udc00"]}`: false, `{"a":"\ud800\u0041"}`: false, `{"a":"\ud83d\\ude00"}`: false,
		"{" + strings.Join(append(many[:12:12], many[3]), ",") + "}": false,
		"{" + strings.Join(many, ",") + "}":                          true, // some of the names look like others at first.
		"{" + strings.Join(append(many[:40:40], many[3]), ",") + "}": false,
		`{"x":{` + strings.Join(many, ",") + `},"member3":1}`:        true,
	} {
		if got := jsonscan.Plain([]byte(text)); got != want {
			t.Errorf("%.80s: %v", text, got)
		}
		w := jsonscan.Walker{Watch: true}
		if err := w.Walk([]byte(text), nil, nil); err != nil || w.Plain([]byte(text)) && !want {
			t.Errorf("%.80s: the Walker takes it for plain, %v", text, err)
		}
	}
}

// What is not plain is never taken for plain; what breaks the grammar may be either.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `{"a":{"b":"\ud800"}}`, `[{"a":1},{"a":2}]`, `{"a":"\\","b":[]}`, `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if jsonscan.Valid(raw) != nil {
			_ = jsonscan.Plain(raw)
			return
		}
		if w := (jsonscan.Walker{Watch: true}); w.Walk(raw, nil, nil) == nil && w.Plain(raw) && !jsonscan.Plain(raw) {
			t.Error("plain for a Walker alone")
		}
		found, err := jsonrepair.Scan(raw, jsonrepair.Options{Names: true})
		if err == nil && len(found.Fixes) > 0 && jsonscan.Plain(raw) {
			t.Errorf("plain, but %+v", found.Fixes)
		}
	})
}

func BenchmarkPlain(b *testing.B) {
	all := resources(b)
	var size int64
	doubts := 0
	for _, raw := range all {
		size += int64(len(raw))
		if !jsonscan.Plain(raw) {
			doubts++
		}
	}
	b.SetBytes(size)
	b.ReportAllocs()
	b.ReportMetric(float64(doubts), "doubts")
	for b.Loop() {
		for _, raw := range all {
			jsonscan.Plain(raw)
		}
	}
}

// How often a Walker doubts what is plain: each time costs as much as Plain.
func BenchmarkWatch(b *testing.B) {
	all := resources(b)
	var size int64
	doubts := 0
	w := jsonscan.Walker{Watch: true}
	for _, raw := range all {
		size += int64(len(raw))
		if err := w.Walk(raw, nil, nil); err != nil || !w.Plain(raw) {
			doubts++
		}
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			_ = w.Walk(raw, nil, nil)
		}
	}
	b.ReportMetric(float64(doubts)/float64(len(all)), "doubts/resource")
}

func BenchmarkValid(b *testing.B) {
	all := resources(b)
	var w jsonscan.Walker
	var size int64
	for _, raw := range all {
		size += int64(len(raw))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, raw := range all {
			if err := w.Walk(raw, nil, nil); err != nil {
				b.Fatal(err)
			}
		}
	}
}
