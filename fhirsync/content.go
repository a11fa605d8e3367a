package fhirsync

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
)

// ContentStore takes the contents that attachments name as the bytes that they are: a C-CDA document, a PDF, a series of images. With it they do
// not come to Put as Binary resources, and may be as large as Config.MaxContent.
type ContentStore interface {
	// PutContent stores one content. What comes is whole: its size, and the hash that the Attachment names, have been looked at before.
	// The rules are those of Store.Put: nil means that it is accepted, the same content may come again and is an upsert by Content.Key, a
	// [*RejectError] means that it never will be accepted and is a gap, and any other error is tried again a few times and then ends the sync.
	// A content of which PutContent gave an error must not be read as if it were there: the one before is, or none. It is not called at the
	// same time as another method of the store.
	PutContent(ctx context.Context, c Content) error
}

// Content is what an Attachment (http://hl7.org/fhir/R4/datatypes.html#Attachment) of a resource of the record names.
type Content struct {
	// Run, Server and PatientID are as in Batch.
	Run, Server, PatientID string
	// Key is that of the Binary; where the address is not that of one, the ID is made of the address.
	Key Key
	// URL is the address as the Attachment has it, by which the resource that names it is found; "" where a Reference named the Binary.
	URL string
	// ContentType is the media type that the Attachment names, else the one the server sent it with.
	ContentType string
	// Body has the bytes as they are, without any packing, and stands at their beginning; Body.Size says how many they are. Large ones
	// come from a file: copy them piece by piece (io.Copy) rather than all at once. It may be read only until PutContent returns.
	Body *io.SectionReader
	// Digest is the SHA-256 of the bytes.
	Digest [32]byte
}

// NewContent gives a Content that has these bytes, and their digest; for stores that hand contents back, and for tests of stores. The bytes are kept.
func NewContent(key Key, data []byte) Content {
	return Content{Key: key, Body: io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), Digest: sha256.Sum256(data)}
}

// Size is how many bytes the content has.
func (c *Content) Size() int64 {
	if c.Body == nil {
		return 0
	}
	return c.Body.Size()
}

// Bytes gives all of the content, in memory of its own, wherever Body stands. For contents that are known to be small: one may have Config.MaxContent bytes.
func (c *Content) Bytes() ([]byte, error) {
	out := make([]byte, c.Size())
	if len(out) == 0 {
		return out, nil
	}
	if _, err := c.Body.ReadAt(out, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return out, nil
}

// rewound gives the content as it was before anybody read from it, so that each store and each try has a Body of its own.
func (c *Content) rewound() Content {
	out := *c
	if c.Body != nil {
		out.Body = io.NewSectionReader(c.Body, 0, c.Body.Size())
	}
	return out
}
