package jsonscan //nolint:testpackage // what it tests is not exported.

import (
	"strings"
	"testing"
)

// checkQuick compares quickHead with head, which is slower and takes more.
func checkQuick(t *testing.T, raw []byte) (quick bool) {
	t.Helper()
	first := scanner{buf: raw}
	first.pos = skipSpace(raw, 0)
	if first.pos >= len(raw) || raw[first.pos] != '{' {
		return false
	}
	var got, want head
	second := first
	start := first.pos
	if !first.quickHead(&got) {
		if first.pos != start || got != (head{}) {
			t.Fatalf("%q: gave up at %d with %+v", raw, first.pos, got)
		}
		return false
	}
	if err := second.head(&want); err != nil || first.pos != second.pos || got != want {
		t.Fatalf("%q: quick to %d with %+v, else to %d with %+v, %v", raw, first.pos, got, second.pos, want, err)
	}
	return true
}

func TestQuickHead(t *testing.T) {
	t.Parallel()
	nested := strings.Repeat(`{"a":[`, quickDepth) + strings.Repeat(`]}`, quickDepth)
	for raw, want := range map[string]bool{
		`{}`: true,
		`{"resourceType":"Patient","id":"1","meta":{"versionId":"2","lastUpdated":"3","tag":[{"code":"SUBSETTED"}]}}`:                       true,
		` { "id" : "1" , "a" : [ 1 , { "b" : "c\"]" } , [ ] ] , "resourceType" : "Patient" } , `:                                            true,
		`{"\u0069d":"\u0031","x":-1.5e3,"y":null}`:                                                                                          true,
		`{"meta":null,"meta":{"versionId":"1"},"meta":7}`:                                                                                   true,
		`{"meta":{"versionId":1,"versionId":"a","lastUpdated":"b"},"meta":[{"versionId":"no"}],"x":{"versionId":"no"}}`:                     true,
		`{"meta":{"versionId":"a"},"meta":{"versionId":{"tag":{"code":"SUBSETTED"}},"tag":{"code":"SUBSETTED"}}}`:                           true,
		`{"meta":{"versionId":"a","x":[1],"y":"z","tag":{"code":"SUBSETTED"},"lastUpdated":"b"},"meta":{"versionId":"\u0061","n":1},"x":1}`: true,
		`{"id":"1","id":"1"}`: false, // which of them counts, head knows
		`{"id":7}`:            false, `{"id":null}`: false, `{"a" "b"}`: false, `{"a":}`: false, `{"a":1,}`: false, `{"meta":}`: false, `{"a":[}]}`: false,
		`{"a":"b`: false, `{"a":[1`: false, `{"a\`: false, `{"a":"\`: false, `{`: false, `{"id":"1`: false, `{"meta":{]}`: false, `{"a":{"b"}}`: true, `{"a":[1 2,,{]}`: false,
		nested: false,
	} {
		if got := checkQuick(t, []byte(raw)); got != want {
			t.Errorf("%s: quick is %t", raw, got)
		}
	}
}

// FuzzQuickHead: what it takes, it takes as head does, and of anything else it leaves no trace.
func FuzzQuickHead(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Patient","id":"1","meta":{"versionId":"2","tag":[{"code":"SUBSETTED"}]},"a":[{"b":"c\"]"},[],{}],"n":-1.5e3}}`,
		`{"meta":{"versionId":1,"versionId":"a","lastUpdated":"b","tag":[{"code":"SUBSETTED"}],"x":{"versionId":"no"}},"meta":[{"versionId":"no"}],"versionId":"no"}`,
		`{"meta":{"lastUpdated":null,"tag":}}`, `{"meta":{"versionId":"a"},"x":{"versionId":"no"},"meta":{"versionId":{"tag":{"code":"SUBSETTED"}}}}`,
		`{"id":"1","id":"2","meta":[],"meta":{"tag":{"code":"x"}},"\u0069d":"1"}`, `{"a\`, `{"a":"\`, `{"meta":{"a":[}]}}`, `{"a":[1,2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { checkQuick(t, raw) })
}
