package jsonscan_test

import (
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

func TestHead(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]jsonscan.Header{
		`{}`: {},
		`{"resourceType":"Patient","id":"1","meta":{"versionId":"2","lastUpdated":"3","tag":[{"code":"SUBSETTED"}]}}`: {"Patient", "1", "2", "3", true},
		"\xEF\xBB\xBF \r\n{\"id\":\"1\"}\t ":                                {ID: "1"}, //nolint:gocritic // white space is what is tested.
		`{"id":null,"resourceType":null,"meta":null}`:                       {},
		`{"id":null,"id":"1"}`:                                              {ID: "1"},
		`{"meta":{"versionId":7,"lastUpdated":{},"tag":null}}`:              {},
		`{"meta":[{"versionId":"7"}]}`:                                      {},
		`{"a":{"id":"no","meta":{"versionId":"no"}},"id":"1"}`:              {ID: "1"},
		`{"contained":[{"resourceType":"X","id":"no"}],"resourceType":"A"}`: {ResourceType: "A"},
		`{"meta":{"tag":[{"code":"other"},{"display":"SUBSETTED"}]}}`:       {},
		`{"meta":{"tag":[5,{"code":"SUBSETTED"}],"tag":[]}}`:                {Subsetted: true},
		`{"meta":{"tag":{"code":"SUBSETTED"}}}`:                             {Subsetted: true},
		`{"meta":{"security":[{"code":"SUBSETTED"}]}}`:                      {},
		`{"meta":{"versionId":"1"},"meta":{"lastUpdated":"2"}}`:             {VersionID: "1", LastUpdated: "2"},
		`{"id":"\ud83d\ude00\ud83dx\ude00"}`:                                {ID: "\U0001F600\uFFFDx\uFFFD"},
		`{"id":"\ud83d\ud83d\ude00"}`:                                       {ID: "\uFFFD\U0001F600"},
		`{"id":"\ud83d"}`:                                                   {ID: "\uFFFD"},
		"{\"id\":\"a\xffb\"}":                                               {ID: "a\xffb"},
		`{"id":"\"\\\/\b\f\n\r\t\u00E9\u00e9"}`:                             {ID: "\"\\/\b\f\n\r\téé"},
		`{"id":"1","x":01,"y":nonsense}`:                                    {ID: "1"}, // structural
	} {
		got, err := jsonscan.Head([]byte(raw))
		if err != nil || got != want {
			t.Errorf("Head(%s) = %+v, %v, want %+v", raw, got, err, want)
		}
	}
}

func TestHeadErrors(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``: "end", ` `: "end", "\xEF\xBB": "end", "\xEF\xBB\xBF": "end", `{`: "end", `{"id":"1"`: "end", `{"id":"1","x":"\"}`: "end",
		`[]`: "syntax", `"x"`: "syntax", `null`: "syntax", `5`: "syntax", `}`: "syntax", `{]`: "syntax", `{"a":[}`: "syntax",
		`{} {}`: "syntax", `{}x`: "syntax", "{}\x00": "syntax", "\u00a0{}": "syntax",
		`{"id":5}`: "syntax", `{"id":"1","id":"2"}`: "syntax", `{"id":"1","id":2}`: "syntax", `{"resourceType":[]}`: "syntax",
		`{"resourceType":"A","resourceType":"B"}`: "syntax", `{"id":"\u00g0"}`: "syntax", `{"id":"\u00"}`: "syntax",
		`{"id":"\ud83d\u12"}`: "syntax", `{"meta":{"lastUpdated":"\q"}}`: "syntax",
		`{"id":"\q","id":"\q"}`:     "syntax",
		`{"a":` + nested(500) + `}`: "depth", `{"a":` + nested(20_000) + `}`: "depth", strings.Repeat(`{"a":`, 501) + "1" + strings.Repeat("}", 501): "depth",
	} {
		if _, err := jsonscan.Head([]byte(raw)); class(t, err) != want {
			t.Errorf("Head(%.60q): %v, want %s", raw, err, want)
		}
	}
	// What else could be read is there, for messages.
	got, err := jsonscan.Head([]byte(`{"resourceType":"A","id":"1","id":"2","meta":{"versionId":"3"}}`))
	if err == nil || got != (jsonscan.Header{ResourceType: "A", VersionID: "3"}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
