package fhirsync_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/refs"
)

// By whatever way a record or its server leads to another server: that one never sees the token or a header that was set, and without the option it
// sees nothing at all. What it is asked is looked at in pull.
func TestWaysToOtherServers(t *testing.T) {
	t.Parallel()
	type said struct {
		at     string // end of the path
		status int
		header map[string]string // TO is the other server
		body   string
	}
	redirect := func(path string) said {
		return said{at: path, status: http.StatusTemporaryRedirect, header: map[string]string{"Location": "TO/x.pdf?Signature=" + signature + "&Expires=1"}}
	}
	for _, c := range []struct {
		name   string
		put    func(w web, to string)
		answer said
		asked  bool // with the option
	}{
		{name: "a reference", asked: true, put: func(w web, to string) {
			w.put("Observation/o", true, `"performer":[{"reference":"`+to+`/fhir/Practitioner/1"}]`)
		}},
		{name: "a reference to a Binary", asked: true, put: func(w web, to string) {
			w.put("Observation/o", true, `"extension":[{"url":"x","valueReference":{"reference":"`+to+`/fhir/Binary/1"}}]`)
		}},
		{name: "a conditional reference", put: func(w web, to string) {
			w.put("Observation/o", true, `"performer":[{"reference":"`+to+`/fhir/Practitioner?identifier=x|y"}]`)
		}},
		{name: "a reference to a patient", put: func(w web, to string) {
			w.put("Observation/o", true, `"focus":[{"reference":"`+to+`/fhir/Patient/p"},{"reference":"`+to+`/fhir/Patient/x"}]`)
		}},
		{name: "an attachment", asked: true, put: func(w web, to string) {
			w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"`+to+`/x.pdf?Signature=`+signature+`&Expires=1"}}]`)
		}},
		{name: "a photo", asked: true, put: func(w web, to string) {
			w.put("Practitioner/1", false, `"photo":[{"url":"`+to+`/x.pdf"}]`)
			w.put("Observation/o", true, `"performer":[{"reference":"Practitioner/1"}]`, "Practitioner/1")
		}},
		{name: "a url, a canonical, a link in the narrative", put: func(w web, to string) {
			w.put("Observation/o", true, `"instantiatesCanonical":"`+to+`/fhir/ObservationDefinition/1","extension":[{"url":"`+to+`/x","valueUrl":"`+to+`/x.pdf"}],`+
				`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><img src=\"`+to+`/x.pdf\"/></div>"}`)
		}},
		{name: "the context of a Binary", put: func(w web, to string) {
			w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1"}}]`, "Binary/1")
			w.put("Binary/1", false, `"contentType":"text/plain","data":"eA==","securityContext":{"reference":"`+to+`/fhir/DocumentReference/1"}`)
		}},
		{name: "a link in the headers of a Binary", put: func(w web, _ string) {
			w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1"}}]`)
		}, answer: said{"/Binary/1", http.StatusOK, map[string]string{
			"Content-Type": "text/plain", "Link": "<TO/x.pdf>; rel=next", "Content-Location": "TO/x.pdf", "Refresh": "0; url=TO/x.pdf",
		}, "content"}},
		{name: "a redirect of a Binary", asked: true, put: func(w web, _ string) {
			w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1"}}]`)
		}, answer: redirect("/Binary/1")},
		{name: "a redirect of a read", put: func(w web, _ string) {
			w.put("Observation/o", true, `"performer":[{"reference":"Practitioner/1"}]`)
		}, answer: redirect("/Practitioner/1")},
		{name: "a redirect of a search", put: func(w web, _ string) {
			w.put("Observation/o", true, "")
		}, answer: redirect("/Observation")},
		{name: "a redirect of metadata", put: func(web, string) {}, answer: redirect("/metadata")},
		{name: "a next link", put: func(w web, _ string) { w.put("Observation/o", true, "") }, answer: said{
			"/Observation", http.StatusOK,
			map[string]string{"Content-Type": "application/fhir+json"},
			`{"resourceType":"Bundle","type":"searchset","link":[{"relation":"next","url":"TO/r4/Observation?page=2"}],` +
				`"entry":[{"resource":{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"}}}]}`,
		}},
	} {
		for _, on := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", c.name, on), func(t *testing.T) {
				t.Parallel()
				o := newOther(t, answers(map[string]string{
					"/x.pdf": "%PDF", "/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1"}`, "/fhir/Binary/1": `{"resourceType":"Binary","id":"1","data":"eA=="}`,
				}))
				w := newWeb()
				c.put(w, o.URL)
				rt := &spy{answer: func(r *http.Request) *http.Response {
					if c.answer.at == "" || !strings.HasSuffix(r.URL.Path, c.answer.at) || r.URL.Query().Has("page") {
						return nil
					}
					header := http.Header{}
					for name, text := range c.answer.header {
						header.Set(name, strings.ReplaceAll(text, "TO", o.URL))
					}
					body := io.NopCloser(strings.NewReader(strings.ReplaceAll(c.answer.body, "TO", o.URL)))
					return &http.Response{StatusCode: c.answer.status, Header: header, Body: body, ContentLength: -1}
				}}
				var elsewhere *fhirsync.Elsewhere
				if on {
					elsewhere = open(o)
				}
				options := &fhirsync.SyncOptions{Elsewhere: elsewhere, References: refs.Policy{Canonicals: []string{"ObservationDefinition"}}}
				rep, err := w.pullAs(t, new(memstore.Archive), options, rt, o)
				if asked := len(o.paths()) > 0; asked != (on && c.asked) {
					t.Errorf("asked: %v, %v\n%s", o.paths(), err, rep)
				}
			})
		}
	}
}
