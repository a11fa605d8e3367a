package jsonscan_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func TestOneBrokenEntryCostsOnlyItself(t *testing.T) {
	t.Parallel()
	for broken, want := range map[string]string{
		`5`:                         "syntax",
		``:                          "syntax", // two commas
		`nonsense`:                  "syntax",
		`{"resource":"x"}`:          "syntax",
		`{"resource":[{"id":"x"}]}`: "syntax",
		`{"resource":{"id":"x"},"resource":null}`:                  "syntax",
		`{"resource":{"id":5}}`:                                    "syntax",
		`{"resource":{"resourceType":{}}}`:                         "syntax",
		`{"resource":{"id":"x","id":"y"}}`:                         "syntax",
		`{"resource":{"id":"\x"}}`:                                 "syntax",
		`{"resource":{"id":"\u12"}}`:                               "syntax",
		`{"resource":{"resourceType":"\x"}}`:                       "syntax",
		`{"resource":{"meta":{"versionId":"\x"}}}`:                 "syntax",
		`{"fullUrl":"\x"}`:                                         "syntax",
		`{"search":{"mode":"\x"}}`:                                 "syntax",
		`{"response":{"status":"\x"}}`:                             "syntax",
		`{"resource":}`:                                            "syntax",
		`{"resource":,"x":1}`:                                      "syntax",
		`{"fullUrl":,"x":1}`:                                       "syntax",
		`{"search":{"mode":}}`:                                     "syntax",
		`{"search":{"mode":"match",}}`:                             "syntax",
		`{"search":{"score":,"mode":"match"}}`:                     "syntax",
		`{"resource":{"id":"x"},}`:                                 "syntax",
		`{,"resource":{"id":"x"}}`:                                 "syntax",
		`{"resource" {"id":"x"}}`:                                  "syntax",
		`{"resource":{"id":"x"} "search":{}}`:                      "syntax",
		`{resource:{"id":"x"}}`:                                    "syntax",
		`{:"resource":{"id":"x"}}`:                                 "syntax",
		entryOf(`{"x":` + nested(500) + `}`):                       "depth",
		entryOf(`{"x":` + nested(20_000) + `}`):                    "depth",
		entryOf(`{"meta":` + nested(500) + `}`):                    "depth",
		entryOf(`{"meta":{"versionId":` + nested(499) + `}}`):      "depth",
		entryOf(`{"meta":{"lastUpdated":` + nested(499) + `}}`):    "depth",
		entryOf(`{"meta":{"x":` + nested(499) + `}}`):              "depth",
		entryOf(`{"meta":{"tag":[` + nested(498) + `]}}`):          "depth",
		entryOf(`{"meta":{"tag":[{"code":` + nested(497) + `}]}}`): "depth",
		entryOf(`{"meta":{"tag":{"code":` + nested(498) + `}}}`):   "depth",
		`{"fullUrl":` + nested(500) + `}`:                          "depth",
		`{"search":` + nested(500) + `}`:                           "depth",
		`{"search":{"mode":` + nested(499) + `}}`:                  "depth",
		`{"x":` + nested(500) + `}`:                                "depth",
	} {
		b := split(t, bundle(entryOf(`{"id":"1"}`), broken, entryOf(`{"id":"2"}`)))
		if got := ids(b); got != "1 ! 2" {
			t.Errorf("%.60s: got %q", broken, got)
			continue
		}
		e := b.Entries[1]
		if got := class(t, e.Err); got != want {
			t.Errorf("%.60s: %v is %s, want %s", broken, e.Err, got, want)
		}
		if strings.Contains(e.Err.Error(), "x") && strings.Contains(e.Err.Error(), `"`) {
			t.Errorf("%.60s: the error holds input: %v", broken, e.Err)
		}
		if page := bundle(entryOf(`{"id":"1"}`), broken, entryOf(`{"id":"2"}`)); page[e.Start:e.End] != broken {
			t.Errorf("%.60s: it stands at %.60s", broken, page[e.Start:e.End])
		}
	}
}

func TestDepthAsDeepAsAllowed(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		entryOf(`{"x":` + nested(499) + `}`),
		entryOf(`{"meta":` + nested(499) + `}`),
		entryOf(`{"meta":{"versionId":` + nested(498) + `}}`),
		entryOf(`{"meta":{"x":` + nested(498) + `}}`),
		entryOf(`{"meta":{"tag":[` + nested(497) + `]}}`),
		entryOf(`{"meta":{"tag":[{"code":` + nested(496) + `}]}}`),
		entryOf(`{"meta":{"tag":{"code":` + nested(497) + `}}}`),
		`{"fullUrl":` + nested(499) + `}`,
		`{"search":` + nested(499) + `}`,
		`{"search":{"mode":` + nested(498) + `}}`,
		`{"x":` + nested(499) + `}`,
	} {
		b := split(t, bundle(entry))
		if err := b.Entries[0].Err; err != nil {
			t.Errorf("%.40s: %v", entry, err)
		}
		if r := b.Entries[0].Resource; r != nil {
			if _, err := jsonscan.Head(r); err != nil {
				t.Errorf("%.40s: Head: %v", entry, err)
			}
			if err := jsonscan.Valid(r); err != nil {
				t.Errorf("%.40s: Valid: %v", entry, err)
			}
		}
	}
}

func TestPagesThatCannotBeFollowed(t *testing.T) {
	t.Parallel()
	good := entryOf(`{"id":"1"}`)
	for page, entries := range map[string]string{
		``: "", ` `: "", `x`: "", `[]`: "", `"x"`: "", `null`: "", `5`: "", "\x00": "", "<html>": "",
		bundle(good) + `x`:                                                            "1",
		bundle(good) + bundle(good):                                                   "1",
		`{"resourceType":"Bundle","entry":[` + good + `,{]}]}`:                        "1",
		`{"resourceType":"Bundle","entry":[` + good + `,{"x":[}]}]}`:                  "1",
		`{"resourceType":"Bundle","entry":[` + good + `,{"resource":{"a":[1}}]}`:      "1",
		`{"resourceType":"Bundle","entry":[` + good + `}`:                             "1",
		`{"resourceType":"Bundle","entry":[` + good + " " + good + `]}`:               "1",
		`{"resourceType":"Bundle","entry":[` + good + `:` + good + `]}`:               "1",
		`{"resourceType":"Bundle","entry":[` + good + `]]`:                            "1",
		`{"resourceType":"Bundle","entry":[` + good + `],}`:                           "1",
		`{"resourceType":"Bundle","entry":[` + good + `] "x":1}`:                      "1",
		`{"resourceType":"Bundle","entry":[` + good + `],"x" 1}`:                      "1",
		`{"resourceType":"Bundle","entry":[` + good + `],"x":}`:                       "1",
		`{"resourceType":"Bundle","entry":[` + good + `],x:1}`:                        "1",
		`{"resourceType":"Bundle","entry":[` + good + `],,"x":1}`:                     "1",
		`{"resourceType":"Bundle","entry":[` + good + `],"link":[{"url":"u" "x":1}]}`: "1",
		`{"resourceType":"Bundle","entry":[` + good + `],"link":[{"url":]}]}`:         "1",
		`{"resourceType":"Bundle","entry":[` + good + `],"resourceType":"Patient"}`:   "1",
		`{"entry":[` + good + `],"resourceType":5}`:                                   "1",
		`{"resourceType":"Bundle","entry":}`:                                          "",
		`{"resourceType":"Bundle","total":,"entry":[` + good + `]}`:                   "",
		`{,"resourceType":"Bundle"}`:                                                  "",
	} {
		var b jsonscan.Bundle
		err := b.Split([]byte(page))
		if got, want := class(t, err), map[bool]string{true: "end", false: "syntax"}[strings.TrimSpace(page) == ""]; got != want {
			t.Errorf("%s: %v", page, err)
		}
		if got := ids(&b); got != entries {
			t.Errorf("%s: entries %q, want %q", page, got, entries)
		}
	}
}

func TestPageCutOffAnywhere(t *testing.T) {
	t.Parallel()
	whole := split(t, sample)
	compare := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(jsonscan.Entry{}, "Resource")}
	var b jsonscan.Bundle
	for n := range len(strings.TrimSpace(sample)) + 1 { // the space before it makes up for the last byte
		page := []byte(sample[:n])
		err := b.Split(page)
		if class(t, err) != "end" {
			t.Errorf("cut at %d: %v", n, err)
			continue
		}
		if len(b.Entries) > len(whole.Entries) {
			t.Fatalf("cut at %d: %d entries", n, len(b.Entries))
		}
		for _, e := range b.Entries {
			if e.End > n {
				t.Errorf("cut at %d: an entry reaches to %d", n, e.End)
			}
		}
		if diff := cmp.Diff(whole.Entries[:len(b.Entries)], b.Entries, compare...); diff != "" {
			t.Errorf("cut at %d, entries (-whole +cut):\n%s", n, diff)
		}
		if _, err := jsonscan.Head(page); class(t, err) != "end" {
			t.Errorf("Head, cut at %d: %v", n, err)
		}
		if err := jsonscan.Valid(page); class(t, err) != "end" {
			t.Errorf("Valid, cut at %d: %v", n, err)
		}
	}
}

func TestTooManyEntriesOrLinks(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"entries": `{"resourceType":"Bundle","entry":[{}` + strings.Repeat(",{}", 100_000) + `]}`,
		"missing": `{"resourceType":"Bundle","entry":[` + strings.Repeat(",", 100_000) + `]}`,
		"links":   `{"resourceType":"Bundle","link":[5` + strings.Repeat(",5", 100_000) + `]}`,
	} {
		var b jsonscan.Bundle
		if err := b.Split([]byte(page)); class(t, err) != "syntax" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b := split(t, `{"resourceType":"Bundle","entry":[{}`+strings.Repeat(",{}", 4000)+`]}`); len(b.Entries) != 4001 {
		t.Errorf("%d entries", len(b.Entries))
	}
}

// Not parallel: it looks at the memory of the whole process.
func TestNestingNeedsNoStackAndNoMemory(t *testing.T) {
	for name, open := range map[string]string{"arrays": "[", "objects": `{"a":`} {
		const n = 1_000_000
		shut := map[string]string{"[": "]", `{"a":`: "}"}[open]
		deep := []byte(`{"id":"1","a":` + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) + `}`)
		page := []byte(bundle(entryOf(`{"id":"0"}`), entryOf(string(deep)), entryOf(`{"id":"2"}`)))
		var b jsonscan.Bundle
		var w jsonscan.Walker
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		errSplit := b.Split(page)
		_, errHead := jsonscan.Head(deep)
		errWalk := w.Walk(deep, nil, nil)
		runtime.ReadMemStats(&after)
		if errSplit != nil || ids(&b) != "0 ! 2" || class(t, b.Entries[1].Err) != "depth" {
			t.Errorf("%s: Split: %v, %q", name, errSplit, ids(&b))
		}
		if class(t, errHead) != "depth" || class(t, errWalk) != "depth" {
			t.Errorf("%s: Head: %v, Walk: %v", name, errHead, errWalk)
		}
		if grown := int64(after.StackInuse) - int64(before.StackInuse); grown > 256<<10 {
			t.Errorf("%s: the stack grew by %d bytes", name, grown)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 256<<10 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
}

func TestBracketsAreMatchedDeepDown(t *testing.T) {
	t.Parallel()
	// Kinds are kept 64 to a word: the edges of the words are where they could be mixed up.
	for _, n := range []int{1, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 193, 320, 447, 448, 449, 490} {
		for _, kinds := range []string{"[", "{", "[{", "{[[", "[[{{{"} {
			var open, shut string
			for i := range n {
				if kinds[i%len(kinds)] == '[' {
					open, shut = open+"[", "]"+shut
				} else {
					open, shut = open+`{"a":`, "}"+shut
				}
			}
			if got := ids(split(t, bundle(`{"x":`+open+"1"+shut+`}`, entryOf(`{"id":"1"}`)))); got != " 1" {
				t.Errorf("%d of %s: got %q", n, kinds, got)
			}
			for at := range n { // one bracket of the other kind
				wrong := []byte(shut)
				wrong[at] ^= ']' ^ '}'
				var b jsonscan.Bundle
				if err := b.Split([]byte(bundle(`{"x":` + open + "1" + string(wrong) + `}`))); class(t, err) != "syntax" {
					t.Fatalf("%d of %s, bracket %d is wrong: %v", n, kinds, at, err)
				}
			}
		}
	}
}
