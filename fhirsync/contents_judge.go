package fhirsync

// Whether an answer is the content that was named, and whole.

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// isBrokenBinary tells whether bytes are the Binary that was asked for, in JSON that has to be repaired, whatever the server calls them.
func isBrokenBinary(body []byte, t *refs.Target) bool {
	found, err := jsonrepair.Scan(body, jsonrepair.Options{})
	if err != nil || len(found.Values) != 1 || len(found.Edits) == 0 {
		return false
	}
	head, err := jsonscan.Head(jsonrepair.Apply(body, found.Edits))
	return err == nil && head.ResourceType == "Binary" && (head.ID == t.ID || !named(t))
}

// binaryData gives the content of a Binary resource.
func binaryData(raw []byte) ([]byte, error) {
	for p, err := range jsonscan.Properties(raw, 0) {
		if err != nil {
			return nil, err
		}
		if string(p.Name) != "data" && string(p.Name) != "content" || p.Kind != '"' { // content: STU3
			continue
		}
		text := strings.Map(func(c rune) rune {
			if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
				return -1
			}
			return c
		}, p.Text())
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			data, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		}
		if err != nil {
			return nil, errNotContent
		}
		return append([]byte{}, data...), nil
	}
	// HAPI keeps large contents elsewhere, and gives Binaries without data: https://github.com/hapifhir/hapi-fhir-jpaserver-starter/issues/179
	return nil, errNoContent
}

// mediaType gives a media type without parameters; "" for what is none.
func mediaType(text string) string {
	mt, _, err := mime.ParseMediaType(text)
	if err != nil {
		mt, _, _ = strings.Cut(strings.ToLower(text), ";")
	}
	return strings.TrimSpace(mt)
}

func isFHIRType(mt string) bool {
	return mt == "application/fhir+json" || mt == "application/fhir+xml" || mt == "application/json+fhir" || mt == "application/xml+fhir"
}

// plausible tells whether an answer can be the content that an attachment describes; begin is how it begins, if not all of it. Gateways answer with
// their own pages.
func plausible(a *attachment, got *brought, resourceType string, begin []byte) bool {
	if a.Hash != "" && got.fits(a.Hash) {
		return true
	}
	want, typ := mediaType(a.ContentType), mediaType(got.typ)
	switch {
	case isHTML(typ) || beginsAsHTML(begin):
		// Nothing but a hash tells a page that was meant from one that asks for a password.
		return isHTML(want) && !asksForPassword(begin)
	case resourceType != "":
		return strings.Contains(want, "json") // a document of FHIR
	case isBinaryXML(begin):
		return false // the content is inside of it.
	case isFHIRType(typ) && typ != want:
		return false // a Binary that cannot be read, or one in another format
	}
	return true
}

// isBinaryXML tells whether bytes begin like a Binary in FHIR's XML.
func isBinaryXML(begin []byte) bool {
	if !transport.LooksXML(begin) {
		return false
	}
	for rest := begin; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+1 >= len(rest) {
			return false
		}
		rest = rest[i+1:]
		if rest[0] != '?' && rest[0] != '!' { // no prolog, and no comment.
			return bytes.HasPrefix(rest, []byte("Binary"))
		}
	}
}

func isHTML(mt string) bool { return mt == "text/html" || mt == "application/xhtml+xml" }

// beginsAsHTML tells whether bytes are a page, whatever their sender calls them.
func beginsAsHTML(begin []byte) bool {
	begin = bytes.ToLower(bytes.TrimSpace(bytes.TrimPrefix(begin[:min(len(begin), 1024)], []byte(byteOrderMark))))
	return bytes.HasPrefix(begin, []byte("<!doctype html")) || bytes.HasPrefix(begin, []byte("<html"))
}

// asksForPassword tells whether a page has a field for a password, or hands on to where there is one, as login pages do and documents of a record do
// not.
func asksForPassword(page []byte) bool {
	page = bytes.ToLower(page)
	for _, mark := range []string{`type="password"`, `type='password'`, `type=password`, `name="samlrequest"`, `name='samlrequest'`} {
		if bytes.Contains(page, []byte(mark)) {
			return true
		}
	}
	return false
}

// fits compares the content with Attachment.hash. Some write it in hex, some take SHA-256.
func (b *brought) fits(hash string) bool {
	one, two, err := b.sums()
	if err != nil {
		return false
	}
	for _, decode := range []func(string) ([]byte, error){base64.StdEncoding.DecodeString, hex.DecodeString} {
		if sum, err := decode(hash); err == nil && (subtle.ConstantTimeCompare(sum, one[:]) == 1 || subtle.ConstantTimeCompare(sum, two[:]) == 1) {
			return true
		}
	}
	return false
}

// differs says in what a content is not the one that an attachment describes; "" if it is.
func differs(a *attachment, got *brought) string {
	switch {
	case !got.there() && (a.Size > 0 || a.Hash != ""):
		return "did not come with the Binary"
	case !got.there():
		return ""
	case a.Hash != "" && !got.fits(a.Hash):
		return "has another hash than the attachment says"
	case a.Hash == "" && a.Size >= 0 && a.Size != got.body().Size():
		return "has another size than the attachment says"
	}
	return ""
}
