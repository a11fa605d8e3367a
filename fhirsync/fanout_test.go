package fhirsync_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// TestALostPageOfAPartIsALoss: a type that is asked for in parts, of which one loses a page, is not merely unproven.
func TestALostPageOfAPartIsALoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fieldCase{types: []string{"Observation"}}
		f.server = func(s *fhirtest.Server) {
			s.MaxCount = 10
			s.Inject(fhirtest.ParamRequired("category").For("Observation"))
		}
		f.answer = func(r *http.Request) (int, string, string) {
			if strings.Contains(r.URL.RawQuery, "_getpages") {
				return http.StatusNotImplemented, "text/plain", ""
			}
			return 0, "", ""
		}
		s := f.see(t, quirks.Set{})
		if len(s.lost) == 0 {
			t.Fatal("nothing was lost: the test shows nothing")
		}
		if s.rep.Verdict != fhirsync.Incomplete || !s.gap("Observation", fhirsync.Truncated, "") {
			t.Errorf("%d lost\n%s", len(s.lost), s.rep)
		}
	})
}
