package jsonscan_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// sample is a page with all that Split looks at, and some of what it must not be misled by.
const sample = ` {"resourceType":"Bundle","id":"p-1","meta":{"versionId":"9","lastUpdated":"2024-01-02T03:04:05Z"},"type":"searchset",
 "total": 12, "link":[{"relation":"self","url":"https://h.example/Observation?x=é"},{"relation":"next","url":"https:\/\/h.example\/?p=2"}],
 "entry" : [ {"fullUrl":"https://h.example/Observation/1","resource":{"resourceType":"Observation","id":"1",
   "meta":{"versionId":"3","lastUpdated":"2024-05-06T07:08:09.123+02:00","tag":[{"system":"s","code":"SUBSETTED"}]},
   "valueQuantity":{"value":1.50,"code":"{}[]\"\\"},"contained":[{"resourceType":"X","id":"2","meta":{"versionId":"8"}}]},
  "search":{"mode":"match","score":1}},
  {"resource":{"id":"a\u002fb","extension":[{"id":"x"}],"resourceType":"Patient"},"search":{"mode":"include"}},
  {"response":{"status":"200 OK","etag":"W/\"1\""},"x":[{"resource":{"id":"no"}}]} ] }
`

// split reads a page that must be readable.
func split(t *testing.T, page string) *jsonscan.Bundle {
	t.Helper()
	var b jsonscan.Bundle
	if err := b.Split([]byte(page)); err != nil {
		t.Fatalf("Split(%.200s): %v", page, err)
	}
	return &b
}

// bundle makes a page of the given entries.
func bundle(entries ...string) string {
	return `{"resourceType":"Bundle","entry":[` + strings.Join(entries, ",") + `]}`
}

// entryOf makes an entry of the given resource.
func entryOf(resource string) string { return `{"resource":` + resource + `}` }

// nested gives n arrays in each other.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// class tells the three kinds of errors apart, of which each error is exactly one.
func class(t *testing.T, err error) string {
	t.Helper()
	var is []string
	if err == nil {
		is = append(is, "none")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		is = append(is, "end")
	}
	if errors.Is(err, jsonscan.ErrDepth) {
		is = append(is, "depth")
	}
	if _, ok := errors.AsType[*jsonscan.SyntaxError](err); ok {
		is = append(is, "syntax")
	}
	if len(is) != 1 {
		t.Errorf("%v is of the kinds %v", err, is)
	}
	return strings.Join(is, "+")
}

// ids gives the ids of the entries, ! for those that cannot be read.
func ids(b *jsonscan.Bundle) string {
	var out []string
	for _, e := range b.Entries {
		if e.Err != nil {
			out = append(out, "!")
		} else {
			out = append(out, e.ID)
		}
	}
	return strings.Join(out, " ")
}
