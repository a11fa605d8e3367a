package fhirsync

import (
	"bytes"
	"slices"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// redactedBy gives the code by which the server says that it has masked something in a resource (https://hl7.org/fhir/R4/security-labels.html);
// "" where it does not. resource is valid JSON.
func (r *run) redactedBy(w *jsonscan.Walker, resource []byte) (code string) {
	codes := r.server.quirks.set.Redacted
	if !slices.ContainsFunc(codes, func(c string) bool { return bytes.Contains(resource, []byte(c)) }) {
		return "" // nearly all of them.
	}
	_ = w.Walk(resource, func(key []byte) bool { return string(key) == "code" }, func(f *jsonscan.Field) error {
		if p := f.Path(); p != "meta.security.code" && p != "meta.tag.code" {
			return nil
		}
		if text := f.Text(); slices.Contains(codes, text) {
			code = text
		}
		return nil
	})
	return code
}

// maskedResources enters into the ledger of which resources something was masked.
func (r *run) maskedResources(fresh []candidate) {
	if len(r.server.quirks.set.Redacted) == 0 {
		return
	}
	var w jsonscan.Walker
	for _, c := range fresh {
		if code := r.redactedBy(&w, c.entry.Resource); code != "" {
			r.ledger.gap(Gap{Type: c.entry.ResourceType, Reason: Denied, Detail: "came with something masked by the server (" + printable(code, 64) + ")"})
		}
	}
}
