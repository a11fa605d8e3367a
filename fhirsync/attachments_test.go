package fhirsync_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// What an Attachment.url names is not fetched, and the report says how much that is; a url that is no attachment's is none.
func TestAttachmentsElsewhereAreCounted(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 41, Size: 30})
	sync := func(resources ...string) int {
		srv := fhirtest.NewServer(rec)
		for i, text := range resources {
			typ, rest, _ := strings.Cut(text, " ")
			id := fmt.Sprintf("att-%d", i)
			srv.Put(fhirtest.Resource{
				Type: typ, ID: id, Owner: rec.PatientID, Params: fhirtest.Of(rec.PatientID, "patient", "subject"),
				Raw: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"subject":{"reference":"Patient/%s"},%s}`, typ, id, rec.PatientID, rest),
			})
		}
		rep, err := newClient(t, srv, fhirsync.Config{Limit: unpaced}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, new(memstore.Store), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, rep)
		}
		n := 0
		for _, g := range rep.Gaps {
			if g.Reason == fhirsync.Skipped && strings.Contains(g.Detail, "Attachment.url") {
				n += max(g.Count, 1)
			}
		}
		return n
	}
	if n := sync(
		`DocumentReference "status":"current","content":[{"attachment":{"url":"Binary/1"}},{"attachment":{"url":"https://other.example/x.pdf"}}]`,
		`DiagnosticReport "status":"final","code":{"text":"x"},"presentedForm":[{"contentType":"application/pdf","url":"Binary/2"},{"data":"YQ=="}]`,
	); n != 3 {
		t.Errorf("counted %d, want 3", n)
	}
	if n := sync(`DocumentReference "status":"current","content":[{"attachment":{"data":"YQ==","extension":[{"url":"https://x.example/e","valueString":"x"}]}}]`); n != 0 {
		t.Errorf("counted %d of none", n)
	}
}
