package jsonscan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func TestSplitReadsAPage(t *testing.T) {
	t.Parallel()
	got := split(t, sample)
	want := &jsonscan.Bundle{
		Header: jsonscan.Header{ResourceType: "Bundle", ID: "p-1", VersionID: "9", LastUpdated: "2024-01-02T03:04:05Z"},
		Type:   "searchset", Total: 12, HasTotal: true,
		Links: []jsonscan.Link{{"self", "https://h.example/Observation?x=é"}, {"next", "https://h.example/?p=2"}},
		Entries: []jsonscan.Entry{
			{
				Header: jsonscan.Header{
					ResourceType: "Observation", ID: "1", VersionID: "3", LastUpdated: "2024-05-06T07:08:09.123+02:00", Subsetted: true,
				},
				FullURL: "https://h.example/Observation/1", Mode: "match",
			},
			{Header: jsonscan.Header{ResourceType: "Patient", ID: "a/b"}, Mode: "include"},
			{Status: "200 OK"},
		},
	}
	place := cmpopts.IgnoreFields(jsonscan.Entry{}, "Start", "End", "Resource")
	if diff := cmp.Diff(want, got, place, cmpopts.IgnoreUnexported(jsonscan.Bundle{})); diff != "" {
		t.Errorf("Split (-want +got):\n%s", diff)
	}
	for i, e := range got.Entries {
		text := sample[e.Start:e.End]
		if text[0] != '{' || text[len(text)-1] != '}' || (i < 2) != (len(e.Resource) > 0) {
			t.Errorf("entry %d is %s", i, text)
		}
		if i < 2 && !strings.Contains(text, `"resource":`+string(e.Resource)) {
			t.Errorf("resource %d is %s", i, e.Resource)
		}
	}
}

func TestSplitSharesTheMemoryOfThePage(t *testing.T) {
	t.Parallel()
	page := []byte(bundle(entryOf(`{"id":"one"}`), entryOf(`{"id":"two"}`)))
	var b jsonscan.Bundle
	if err := b.Split(page); err != nil {
		t.Fatal(err)
	}
	first := b.Entries[0]
	if at := bytes.Index(page, []byte(`{"id":"one"}`)); &page[at] != &first.Resource[0] {
		t.Error("the resource is a copy")
	}
	before := string(page)
	_ = append(first.Resource, "overwritten"...)
	if string(page) != before {
		t.Error("appending to a resource writes into the page")
	}
	for i := range page {
		page[i] = 0xDB
	}
	if first.ID != "one" || b.Entries[1].ID != "two" {
		t.Errorf("ids are %q and %q after the page was overwritten", first.ID, b.Entries[1].ID)
	}
}

func TestSplitUsedAgainKeepsNothing(t *testing.T) {
	t.Parallel()
	b := split(t, sample)
	kept := b.Entries[0].FullURL
	for _, page := range []string{bundle(), `{"resourceType":"OperationOutcome","entry":[{}],"link":[{}],"total":1,"type":"x"}`, `[`, `x`, ``} {
		err := b.Split([]byte(page))
		if len(b.Entries) != 0 || len(b.Links) != 0 || b.HasTotal || b.Total != 0 || b.Type != "" || b.ID != "" || b.LastUpdated != "" {
			t.Errorf("after %q (%v): %+v", page, err, b)
		}
		for _, e := range b.Entries[:cap(b.Entries)] {
			if e.Resource != nil || e.Err != nil || e.FullURL != "" {
				t.Errorf("%q leaves %+v in memory", page, e)
			}
		}
	}
	if kept != "https://h.example/Observation/1" {
		t.Errorf("a string taken from it is now %q", kept)
	}
}

func TestSplitOfOtherResources(t *testing.T) {
	t.Parallel()
	b := split(t, `{"resourceType":"OperationOutcome","id":"o","entry":[{}],"total":3,"link":[{}],"type":"searchset"}`)
	if b.ResourceType != "OperationOutcome" || b.ID != "o" || b.HasTotal || len(b.Entries)+len(b.Links) > 0 || b.Type != "" {
		t.Errorf("got %+v", b)
	}
	for _, page := range []string{`{}`, `{"entry":[{}]}`, `{"resourceType":null,"entry":[{}]}`, `{"resourceType":"bundle","entry":[{}]}`} {
		if b := split(t, page); len(b.Entries) > 0 {
			t.Errorf("%s has entries", page)
		}
	}
	if b := split(t, `{"entry":[{}],"resourceType":"Bundl\u0065"}`); b.ResourceType != "Bundle" || len(b.Entries) != 1 {
		t.Errorf("got %+v", b)
	}
}

func TestSplitEscapedNames(t *testing.T) {
	t.Parallel()
	b := split(t, `{"\u0072esourceType":"Bundle","typ\u0065":"search\u0073et","tota\u006C":3,"lin\u006b":{"relatio\u006e":"n\u0065xt","ur\u006c":"a\/b"},
		"entr\u0079":[{"full\u0055rl":"\u0061","res\u006furce":{"resource\u0054ype":"P\u0061tient","i\u0064":"\u0031","met\u0061":{"v\u0065rsionId":"\u0032",
		"l\u0061stUpdated":"\u0033","ta\u0067":{"cod\u0065":"\u0053UBSETTED"}}},"sear\u0063h":{"mod\u0065":"m\u0061tch"},"respons\u0065":{"\u0073tatus":"\u0032"}}]}`)
	h := jsonscan.Header{ResourceType: "Patient", ID: "1", VersionID: "2", LastUpdated: "3", Subsetted: true}
	want := jsonscan.Entry{Header: h, FullURL: "a", Mode: "match", Status: "2"}
	if len(b.Entries) != 1 || len(b.Links) != 1 {
		t.Fatalf("got %+v", b)
	}
	if diff := cmp.Diff(want, b.Entries[0], cmpopts.IgnoreFields(jsonscan.Entry{}, "Start", "End", "Resource")); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	if b.Type != "searchset" || b.Total != 3 || b.Links[0] != (jsonscan.Link{"next", "a/b"}) {
		t.Errorf("got %+v", b)
	}
	// Names that only look alike are others.
	b = split(t, `{"resourceType":"Bundle","Entry":[{}],"ENTRY":[{}],"entry ":[{}],"entry\u0000":[{}],"":[{}],"entry\\":[{}]}`)
	if len(b.Entries) > 0 {
		t.Errorf("entries under other names: %d", len(b.Entries))
	}
}

func TestSplitByteOrderMark(t *testing.T) {
	t.Parallel()
	const bom = "\xEF\xBB\xBF"
	if got := ids(split(t, bom+"\n "+bundle(entryOf(`{"id":"1"}`)))); got != "1" {
		t.Errorf("got %q", got)
	}
	var b jsonscan.Bundle
	if err := b.Split([]byte(bom + bom + bundle())); class(t, err) != "syntax" {
		t.Errorf("two of them: %v", err)
	}
	if err := b.Split([]byte(bundle() + bom)); class(t, err) != "syntax" {
		t.Errorf("at the end: %v", err)
	}
	for n := range len(bom) + 1 {
		if err := b.Split([]byte(bom[:n])); class(t, err) != "end" {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

func TestSplitEntryShapes(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		`"entry":[]`:                           "",
		`"entry":null`:                         "",
		`"x":1`:                                "",
		`"entry":{"resource":{"id":"1"}}`:      "1",
		`"entry":{}`:                           "",
		`"entry":5`:                            "!",
		`"entry":"x"`:                          "!",
		`"entry":[[{"resource":{"id":"1"}}]]`:  "!",
		`"entry":[null,5,"x",true]`:            "! ! ! !",
		`"entry":[{"resource":{"id":"1"}},{}]`: "1 ",
		`"entry":[{"resource":null}]`:          "",
		`"entry":[{"resource":{"id":null}}]`:   "",
		`"entry":[{"resource":{"id":"1"}}],"entry":[{"resource":{"id":"2"}}]`: "1 2",
		`"entry":[{"resource":{"id":"1"}}],"entry":{"resource":{"id":"2"}}`:   "1 2",
		`"entry":[{"resource":{"id":"1"}}],"entry":null`:                      "1",
		`"entry":[{"resource":{"id":"1"},"resource":{"id":"1"}}]`:             "!",
		`"entry":[{"resource":{"id":"1","id":"1"}}]`:                          "1",
		`"entry":[{"resource":{"id":"1","id":"\u0031"}}]`:                     "1",
		`"entry":[{"resource":{"id":"1","id":null}}]`:                         "1",
		`"entry":[{"resource":{"id":"1","id":"2"}}]`:                          "!",
	} {
		b := split(t, `{"resourceType":"Bundle",`+page+`}`)
		if got := ids(b); got != want {
			t.Errorf("%s: got %q, want %q", page, got, want)
		}
		for _, e := range b.Entries {
			if e.Err != nil && class(t, e.Err) != "syntax" {
				t.Errorf("%s: %v", page, e.Err)
			}
		}
	}
}

func TestSplitGivesNoneOfTwoResources(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		`{"resource":{"resourceType":"A","id":"1"},"resource":{"resourceType":"B","id":"2"}}`,
		`{"resource":{"resourceType":"A","id":"1"},"fullUrl":"u","resource":null}`,
		`{"resource":null,"resource":{"resourceType":"A","id":"1"}}`,
	} {
		e := split(t, bundle(entry)).Entries[0]
		if e.Err == nil || e.Resource != nil || e.Header != (jsonscan.Header{}) {
			t.Errorf("%s: got %+v", entry, e)
		}
	}
}

func TestSplitLastOfDuplicatesCounts(t *testing.T) {
	t.Parallel()
	b := split(t, `{"resourceType":"Bundle","resourceType":"Bundle","type":"a","type":"b","total":1,"total":2,"entry":[{"fullUrl":"a","fullUrl":"b",
		"search":{"mode":"a","mode":"match"},"search":{"mode":"include"},"resource":{"meta":{"versionId":"1","versionId":"2"},"meta":{"lastUpdated":"3"}}}]}`)
	e := b.Entries[0]
	if b.Type != "b" || b.Total != 2 || e.FullURL != "b" || e.Mode != "include" || e.VersionID != "2" || e.LastUpdated != "3" || e.Err != nil {
		t.Errorf("got %+v", b)
	}
}

func TestSplitStringsThatAreNone(t *testing.T) {
	t.Parallel()
	b := split(t, `{"resourceType":"Bundle","type":5,"id":{},"entry":[{"fullUrl":[],"search":{"mode":1},"response":{"status":{}},
		"resource":{"meta":{"versionId":3,"lastUpdated":null,"tag":["SUBSETTED",{"code":"subsetted"},{"x":"SUBSETTED"}]}}},
		{"search":"match","response":200,"resource":{"meta":"x"}}, {"response":{"status":201}}, {"response":{"status":"2\ud800"}}]}`)
	for i, want := range []string{"", "", "201", "2\uFFFD"} {
		e := b.Entries[i]
		if e.Err != nil || e.Status != want || e.FullURL+e.Mode+e.VersionID+e.LastUpdated != "" || e.Subsetted {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if b.Type+b.ID != "" {
		t.Errorf("got %+v", b)
	}
}

func TestSplitLinks(t *testing.T) {
	t.Parallel()
	for page, want := range map[string][]jsonscan.Link{
		`"link":[]`:                            nil,
		`"link":null`:                          nil,
		`"link":{"relation":"next","url":"u"}`: {{"next", "u"}},
		`"link":[{"url":"u","relation":"next"}],"link":[{"relation":"self","url":"s"}]`:              {{"next", "u"}, {"self", "s"}},
		`"link":[{"relation":"next"},{"url":"u"},{},null,5,"x",["y"]]`:                               {{"next", ""}, {"", "u"}, {}, {}, {}, {}, {}},
		`"link":[{"relation":{"x":"next"},"url":["u"]}]`:                                             {{}},
		`"link":[{"relation":"next","url":null}]`:                                                    {{"next", ""}},
		`"link":[{"relation":"next","url":"a","url":"b"}]`:                                           {{"next", "b"}},
		`"link":[{"relation":"next","url":"a","url":7}]`:                                             {{"next", ""}},
		`"link":[{"relation":"next","url":"\u003cé\ud83d\ude00\/"}]`:                                 {{"next", "<é\U0001F600/"}},
		`"link":[{"relation":"next","url":"bad \x escape"}]`:                                         {{"next", ""}},
		`"link":[,{"relation":"next","url":"u"},]`:                                                   {{}, {"next", "u"}, {}},
		`"link":"https://h.example"`:                                                                 {{}},
		`"entry":[],"link":[{"extension":[{"relation":"x","url":"y"}],"relation":"next","url":"u"}]`: {{"next", "u"}},
	} {
		if diff := cmp.Diff(want, split(t, `{"resourceType":"Bundle",`+page+`}`).Links, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", page, diff)
		}
	}
}

func TestSplitTotal(t *testing.T) {
	t.Parallel()
	const none = -1
	for total, want := range map[string]int{
		`0`: 0, `7`: 7, `"7"`: 7, `"\u0037"`: 7, `12.0`: 12, `12.000`: 12, `1e2`: 100, `1E+2`: 100, `1.5e1`: 15, `120e-1`: 12, `0e5`: 0, `0.0`: 0,
		`9223372036854775807`: 9223372036854775807, `9007199254740993`: 9007199254740993, `"007"`: 7, `900719925474099300e-2`: 9007199254740993,
		`9223372036854775808`: none, `18446744073709551617`: none, `123456789012345678901234567890`: none,
		`-1`: none, `-0`: none, `1.5`: none, `1e400`: none, `1e-400`: none, `1e-2`: none, `15e-1`: none, `0.00000000000000000001`: none,
		`1.00000000000000000001`: none, `1e25`: none, `1e99999999999999999999`: none,
		`"x"`: none, `""`: none, `" 7"`: none, `"-1"`: none, `"+7"`: none, `"1e2"`: none, `"7.0"`: none, `"\x"`: none,
		`null`: none, `true`: none, `[7]`: none, `{"value":7}`: none, `NaN`: none, `0x10`: none, `1_0`: none, `1e`: none, `.5`: none, `7,"total":null`: none, `7,"total":{}`: none,
		`"x","total":5`: 5,
	} {
		b := split(t, `{"resourceType":"Bundle","total":`+total+`}`)
		got := b.Total
		if !b.HasTotal {
			got = none
			if b.Total != 0 {
				t.Errorf("%s: no total, but %d", total, b.Total)
			}
		}
		if got != want {
			t.Errorf("%s: got %d, want %d", total, got, want)
		}
	}
	if b := split(t, bundle()); b.HasTotal {
		t.Error("a total out of nothing")
	}
}

func TestSplitHugeString(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat(`x{["\\\"é`, 20<<20/10)
	page := bundle(entryOf(`{"id":"1","data":"`+strings.ReplaceAll(strings.ReplaceAll(huge, `\`, `\\`), `"`, `\"`)+`"}`), entryOf(`{"id":"2"}`))
	b := split(t, page)
	if got := ids(b); got != "1 2" || len(b.Entries[0].Resource) < 20<<20 {
		t.Errorf("got %q, %d bytes", got, len(b.Entries[0].Resource))
	}
	if err := jsonscan.Valid(b.Entries[0].Resource); err != nil {
		t.Error(err)
	}
	if err := b.Split([]byte(page[:len(page)-30])); class(t, err) != "end" {
		t.Errorf("cut off: %v", err)
	}
	b = split(t, bundle(entryOf(`{"id":"`+strings.Repeat(`\u0061`, 4<<20)+`"}`)))
	if len(b.Entries[0].ID) != 4<<20 {
		t.Errorf("an id of %d bytes", len(b.Entries[0].ID))
	}
}

func TestSplitKeepsBytesAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		`{"v":[1.50,0.10,1E+2,-0,1e400,123456789012345678901234567890,0.123456789012345678901234567890123]}`,
		`{ "a" :` + "\r\n\t" + `"\u003c<\/\u00e9é\ud83d\ude00\ud800\u2028\u0000" , "a":null,"b":{},"c":[] }`,
		"{\"bad\":\"\xff\xfe\x01\"}", // not JSON, which is not for Split to say
		`{"bad":01,"worse":nonsense,"x":"\q"}`,
	} {
		b := split(t, bundle(`{}`, entryOf(" "+resource+" ")))
		if got := string(b.Entries[1].Resource); got != resource || b.Entries[1].Err != nil {
			t.Errorf("got %s (%v), want %s", got, b.Entries[1].Err, resource)
		}
	}
}
