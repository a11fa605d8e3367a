package fhirsync

import (
	"bytes"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// attachmentURLs counts the contents of a resource that stand somewhere else: each Attachment.url (http://hl7.org/fhir/R4/datatypes.html#attachment).
// They are not fetched, so the report has to name them. resource is valid JSON.
func attachmentURLs(w *jsonscan.Walker, resource []byte) int {
	// Most resources have no attachment, and are not walked again.
	if !bytes.Contains(resource, []byte(`"url"`)) || !mentionsAttachment(resource) {
		return 0
	}
	n := 0
	var path []byte
	_ = w.Walk(resource, func(key []byte) bool { return string(key) == "url" }, func(f *jsonscan.Field) error {
		path = f.AppendPath(path[:0])
		parent, _ := bytes.CutSuffix(path, []byte(".url"))
		if isAttachment(parent[bytes.LastIndexByte(parent, '.')+1:]) && f.End-f.Start > len(`""`) {
			n++
		}
		return nil
	})
	return n
}

// The names of elements of type Attachment, in R4 and R5: attachment, valueAttachment and the like, and these.
var attachmentNames = [...]string{"presentedForm", "photo", "image", "content"}

func mentionsAttachment(resource []byte) bool {
	if bytes.Contains(resource, []byte(`ttachment"`)) {
		return true
	}
	for _, name := range attachmentNames {
		if bytes.Contains(resource, []byte(`"`+name+`"`)) {
			return true
		}
	}
	return false
}

func isAttachment(name []byte) bool {
	if bytes.HasSuffix(name, []byte("ttachment")) {
		return true
	}
	for _, n := range attachmentNames {
		if string(name) == n {
			return true
		}
	}
	return false
}
