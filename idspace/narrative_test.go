package idspace //nolint:testpackage // what it tests is not exported.

import (
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/internal/xhtml"
)

// FuzzMayLink: no narrative with links in it is passed over.
func FuzzMayLink(f *testing.F) {
	for _, s := range []string{`<a href=\"x\">`, `<img src\n = 'x'>`, `<a hre\u0066='x'>`, `<a href\f=x>`, `<p class=\"href\">=`, `<a\thref  =\r\n x>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		if jsonscan.Valid([]byte(`"`+inside+`"`)) != nil {
			return
		}
		text, _ := appendUnquoted(nil, []byte(inside))
		if len(xhtml.Links(string(text), nil)) > 0 && !mayLink([]byte(inside)) {
			t.Fatalf("%s has links", inside)
		}
	})
}
