package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// seeds are texts of all kinds, good and bad.
func seeds() [][]byte {
	out := [][]byte{[]byte(sample), []byte(nested(500)), []byte(nested(501)), []byte(bundle(entryOf(`{"id":"1","x":` + nested(500) + `}`)))}
	for _, s := range []string{
		``, ` `, `{}`, `[]`, `"é\ud83d\ude00\ud800"`, `[1.50,-0,1e400,123456789012345678901234567890]`, `01`, `1e`, `[1,]`, `{"a":1,}`, `tru`, `nul `,
		"\xEF\xBB\xBF{}", "\"\xff\"", "\"\xe2\x82", `"\u12`, `"\x"`, `[}`, "\"\x01\"", `{"a":{"b":[["x"],{"c":"d"}]},"":""}`,
		`{"\u0061":"b","a":"c","refer\u0065nce":"Patient\/1"}`,
		`{"resourceType":"Bundle","resourceType":"Bundle","id":7,"total":"12","entry":{"resource":{"id":"1","id":"\u0031"}},"entry":[null,5,{}]}`,
		`{"resourceType":"Bundle","total":1.20e1,"link":[{"relation":"next","url":"u"},null,5,{"url":"a","url":5}],"link":{"relation":"self"}}`,
		`{"resourceType":"Bundle","entry":[{"resource":{},"resource":{}},{"resource":[]},{"resource":null},{"resource":{"id":"1","id":"2"}}]}`,
		`{"resourceType":"Bundle","entry":[{"search":{"mode":"a"},"search":{"mode":"b"},"search":5,"response":{"status":200},"response":{"status":"x"}}]}`,
		`{"resourceType":"Bundle","entry":[{"resource":{"meta":{"tag":{"code":"SUBSETTED"},"versionId":1},"meta":{"lastUpdated":"2"}}}]}`,
		`{"resourceType":"Bundle","entry":[,{},]}`, `{"resourceType":"Bundle","entry":[{} {}]}`, `{"resourceType":"A","resourceType":"B"}`,
		`{"resourceType":"Bundle","entry":[{"fullUrl":"\q"},{"resource":{"id":"\u12"}},{"search":{"mode":}}],"meta":{"versionId":"1"}}`,
		`{"resourceType":"Bundle","type":"x`, `{"resourceType":"Bundle","id":"x`, `{"meta":{"versionId":"x`, `{"resourceType":"Bundle","entry":[{"fullUrl":"x`,
	} {
		out = append(out, []byte(s))
	}
	return out
}

// FuzzValid compares with json.Valid. The known differences: we want UTF-8 to be right, and no more than MaxDepth levels.
func FuzzValid(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		err := jsonscan.Valid(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the text was written to")
		}
		kind := class(t, err)
		tooDeep := depth(raw) > jsonscan.MaxDepth
		if want := json.Valid(raw) && utf8.Valid(raw) && !tooDeep; want != (err == nil) {
			t.Fatalf("want valid %t, got %v", want, err)
		}
		if json.Valid(raw) && utf8.Valid(raw) && tooDeep && kind != "depth" {
			t.Errorf("too deep, got %v", err)
		}
		if utf8.Valid(raw) && !tooDeep && (kind == "end") != cutOff(raw) {
			t.Errorf("cut off: %t, got %v", cutOff(raw), err)
		}
		var syntax *jsonscan.SyntaxError
		if errors.As(err, &syntax) && (syntax.Offset < 0 || syntax.Offset >= len(raw)) {
			t.Errorf("the place is %d of %d", syntax.Offset, len(raw))
		}
		if err != nil || len(raw) == 0 {
			return
		}
		// What is cut off may be whole by chance (12 of 123), but never wrong.
		for _, n := range []int{len(raw) - 1, len(raw) / 2, len(raw) / 3} {
			if err := jsonscan.Valid(raw[:n]); class(t, err) != "end" && (err != nil || !json.Valid(raw[:n])) {
				t.Errorf("cut off at %d: %v", n, err)
			}
		}
	})
}

// FuzzSplit compares with encoding/json what a page gives that is valid, and looks for harm done by one that is not.
func FuzzSplit(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		before := bytes.Clone(page)
		var b, again jsonscan.Bundle
		if err := again.Split([]byte(sample)); err != nil {
			t.Fatal(err)
		}
		err, errAgain := b.Split(page), again.Split(page)
		if !bytes.Equal(page, before) {
			t.Fatal("the page was written to")
		}
		checkSame(t, &b, &again, err, errAgain)
		checkPlaces(t, page, &b)
		kind := class(t, err)
		head, errHead := jsonscan.Head(page)
		if kind := class(t, errHead); kind == "none" && head.ResourceType != b.ResourceType && err == nil {
			t.Errorf("Head says %q, Split %q", head.ResourceType, b.ResourceType)
		}
		if !json.Valid(page) || !utf8.Valid(page) {
			return
		}
		if bytes.TrimSpace(page)[0] != '{' {
			if kind != "syntax" {
				t.Errorf("not an object: %v", err)
			}
			return
		}
		for _, n := range []int{len(bytes.TrimRight(page, " \t\r\n")) - 1, len(page) / 2, len(page) / 3} {
			if len(bytes.TrimRight(page, " \t\r\n")) <= n {
				continue
			}
			var cut jsonscan.Bundle
			if err := cut.Split(page[:n]); class(t, err) != "end" {
				t.Errorf("cut off at %d: %v", n, err)
			}
		}
		compare(t, page, &b, err)
		if want, ok := wantHeader(t, page, false); ok != (errHead == nil) || ok && want != head {
			t.Errorf("Head gives %+v, %v, want %+v, %t", head, errHead, want, ok)
		}
	})
}

// checkSame looks for traces of the page that a Bundle held before.
func checkSame(t *testing.T, a, b *jsonscan.Bundle, errA, errB error) {
	t.Helper()
	if !reflect.DeepEqual(errA, errB) || a.Header != b.Header || a.Type != b.Type || a.Total != b.Total || a.HasTotal != b.HasTotal ||
		len(a.Links) != len(b.Links) || len(a.Entries) != len(b.Entries) {
		t.Fatalf("used again it gives %+v, %v, at first %+v, %v", b, errB, a, errA)
	}
	for i := range a.Links {
		if a.Links[i] != b.Links[i] {
			t.Errorf("used again: link %+v, at first %+v", b.Links[i], a.Links[i])
		}
	}
	for i := range a.Entries {
		if !reflect.DeepEqual(a.Entries[i], b.Entries[i]) {
			t.Errorf("used again: entry %+v, at first %+v", b.Entries[i], a.Entries[i])
		}
	}
}

// checkPlaces checks what holds of the entries of any page.
func checkPlaces(t *testing.T, page []byte, b *jsonscan.Bundle) {
	t.Helper()
	if !b.HasTotal && b.Total != 0 || b.Total < 0 {
		t.Errorf("total %d, %t", b.Total, b.HasTotal)
	}
	at := 0
	for i, e := range b.Entries {
		if e.Start < at || e.End < e.Start || e.End > len(page) {
			t.Fatalf("entry %d stands at %d to %d, the one before ends at %d", i, e.Start, e.End, at)
		}
		at = e.End
		if e.Err != nil {
			class(t, e.Err)
		}
		if e.Resource == nil {
			if e.Header != (jsonscan.Header{}) {
				t.Errorf("entry %d: header %+v without a resource", i, e.Header)
			}
			continue
		}
		if !bytes.Contains(page[e.Start:e.End], e.Resource) || e.Resource[0] != '{' || e.Resource[len(e.Resource)-1] != '}' || cap(e.Resource) != len(e.Resource) {
			t.Errorf("entry %d: resource %s", i, e.Resource)
		}
		if h, err := jsonscan.Head(e.Resource); e.Err == nil && (err != nil || h != e.Header) {
			t.Errorf("entry %d: Head of the resource gives %+v, %v, not %+v", i, h, err, e.Header)
		}
	}
}

// compare compares with encoding/json.
func compare(t *testing.T, page []byte, b *jsonscan.Bundle, err error) {
	t.Helper()
	want, ok := wantHeader(t, page, true)
	all, _ := members(t, page)
	var links []jsonscan.Link
	var entries []json.RawMessage
	var typ string
	var total json.RawMessage
	for _, m := range all {
		switch m.name {
		case "type":
			typ = text(m.raw)
		case "total":
			total = m.raw
		case "link":
			for _, raw := range elements(t, m.raw) {
				var l jsonscan.Link
				link, _ := members(t, raw)
				for _, m := range link {
					switch m.name {
					case "relation":
						l.Relation = text(m.raw)
					case "url":
						l.URL = text(m.raw)
					}
				}
				links = append(links, l)
			}
		case "entry":
			entries = append(entries, elements(t, m.raw)...)
		}
	}
	if max(len(links), len(entries)) > 4096 {
		return // may be refused
	}
	if ok != (err == nil) {
		t.Fatalf("want good %t, got %v", ok, err)
	}
	if !ok {
		return
	}
	if want != b.Header {
		t.Errorf("header %+v, want %+v", b.Header, want)
	}
	if want.ResourceType != "Bundle" {
		if b.Type != "" || b.HasTotal || len(b.Entries)+len(b.Links) > 0 {
			t.Errorf("not a Bundle, but %+v", b)
		}
		return
	}
	if b.Type != typ || len(b.Links) != len(links) || len(b.Entries) != len(entries) {
		t.Fatalf("type %q, %d links, %d entries, want %q, %d, %d", b.Type, len(b.Links), len(b.Entries), typ, len(links), len(entries))
	}
	for i, l := range b.Links {
		if l != links[i] {
			t.Errorf("link %+v, want %+v", l, links[i])
		}
	}
	if b.HasTotal {
		if got, ok := new(big.Rat).SetString(strings.Trim(string(total), `"`)); ok && got.Cmp(new(big.Rat).SetInt64(int64(b.Total))) != 0 {
			t.Errorf("total %d of %s", b.Total, total)
		}
	} else if n := 0; json.Unmarshal(total, &n) == nil && n >= 0 && total[0] != 'n' && total[0] != '-' && len(total) < 24 {
		t.Errorf("no total of %s", total)
	}
	for i, got := range b.Entries {
		want, ok := wantEntry(t, entries[i])
		if string(page[got.Start:got.End]) != string(entries[i]) || string(got.Resource) != string(want.Resource) && (ok || got.Resource != nil) {
			t.Errorf("entry %d is %s with %s, want %s", i, page[got.Start:got.End], got.Resource, entries[i])
		}
		if ok != (got.Err == nil) {
			t.Errorf("entry %s: want good %t, got %v", entries[i], ok, got.Err)
		}
		if ok && (got.Header != want.Header || got.FullURL != want.FullURL || got.Mode != want.Mode || got.Status != want.Status) {
			t.Errorf("entry %s: got %+v, want %+v", entries[i], got, want)
		}
	}
}

// FuzzReplace compares what Walk finds, and what Replace makes of it, with encoding/json. Bit i of which says whether the
// i-th string is edited.
func FuzzReplace(f *testing.F) {
	for i, s := range seeds() {
		f.Add(s, "new \"text\"\n<é>\xff", uint64(i)*0x9e3779b9)
	}
	f.Fuzz(func(t *testing.T, raw []byte, text string, which uint64) {
		if jsonscan.Valid(raw) != nil {
			return
		}
		before := bytes.Clone(raw)
		strs := namedStrings(t, raw)
		var w jsonscan.Walker
		var all []jsonscan.Edit
		for range 2 { // the second time with what is left of the first
			all = all[:0]
			err := w.Walk(raw, every, func(f *jsonscan.Field) error {
				n := len(all)
				if n >= len(strs) || f.Path() != strs[n].path || f.Text() != strs[n].text || f.End != strs[n].end {
					t.Fatalf("string %d is %q %q at %d, want %+v", n, f.Path(), f.Text(), f.End, strs)
				}
				all = append(all, jsonscan.Edit{Start: f.Start, End: f.End, Text: f.Text()})
				return nil
			})
			if err != nil || len(all) != len(strs) {
				t.Fatalf("%d strings (%v), want %d", len(all), err, len(strs))
			}
		}

		if got := jsonscan.Replace(nil, raw, nil); !bytes.Equal(got, before) {
			t.Fatal("changed without an edit")
		}
		// The same text in the place of itself: only how it is escaped may change.
		got := jsonscan.Replace(nil, raw, all)
		if !bytes.ContainsRune(raw, '\\') && !bytes.Equal(got, before) {
			t.Errorf("the same texts make another: %s", got)
		}
		sameTokens(t, tokens(t, raw), tokens(t, got))

		want := tokens(t, raw)
		var some []jsonscan.Edit
		for i, e := range all {
			if which>>(i%64)&1 == 0 {
				continue
			}
			some = append(some, jsonscan.Edit{Start: e.Start, End: e.End, Text: text})
			for j := range want {
				if want[j].end == e.End {
					want[j].value = string([]rune(text)) // what is not UTF-8 is replaced
				}
			}
		}
		got = jsonscan.Replace([]byte("x"), raw, some)
		if got[0] != 'x' {
			t.Fatal("not appended")
		}
		got = got[1:]
		if err := jsonscan.Valid(got); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		sameTokens(t, want, tokens(t, got))
		if !bytes.Equal(raw, before) {
			t.Fatal("the text was written to")
		}
		// Between the edits, every byte is the same.
		rest := got
		from := 0
		for _, e := range some {
			gap := raw[from:e.Start]
			if !bytes.HasPrefix(rest, gap) {
				t.Fatalf("before the edit at %d: %q", e.Start, rest)
			}
			rest = rest[len(gap):]
			end := 1
			for rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			rest, from = rest[end+1:], e.End
		}
		if !bytes.Equal(rest, raw[from:]) {
			t.Errorf("after the last edit: %q, want %q", rest, raw[from:])
		}
	})
}

func sameTokens(t *testing.T, want, got []token) {
	t.Helper()
	values := func(all []token) (out []any) {
		for _, tok := range all {
			out = append(out, tok.value)
		}
		return out
	}
	if diff := cmp.Diff(values(want), values(got)); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}
