package refs

import (
	"fmt"
	"strconv"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Element is a Reference as an element: the literal reference and what may stand in its place.
// http://hl7.org/fhir/R4/references.html#Reference
type Element struct {
	// Kind is that of the literal reference, if there is one: it wins over the rest. Else it is [Logical] or [DisplayOnly]; [Invalid] if there is
	// none of these, or only something that is not a string.
	Kind Kind
	Ref  Reference // Parse(Text)

	Text       string // reference
	Type       string // type, such as Patient
	Display    string // display
	Identifier Identifier
}

// Identifier is the business identifier of a logical reference.
type Identifier struct{ System, Value string }

// ReadReference reads the Reference that opens at raw[at]: 0 where raw is one, Found.Object where [All] found it. It needs no valid JSON around it.
func ReadReference(raw []byte, at int) (Element, error) {
	var e Element
	for p, err := range jsonscan.Properties(raw, at) {
		if err != nil {
			return Element{}, fmt.Errorf("refs: %w", err)
		}
		switch string(p.Name) {
		case "reference":
			e.Text = p.Text()
		case "type":
			e.Type = p.Text()
		case "display":
			e.Display = p.Text()
		case "identifier":
			if p.Kind != '{' {
				continue
			}
			if e.Identifier, err = readIdentifier(raw, p.Start); err != nil {
				return Element{}, err
			}
		}
	}
	e.Ref = Parse(e.Text)
	switch {
	case e.Text != "":
		e.Kind = e.Ref.Kind
	case e.Identifier != Identifier{}:
		e.Kind = Logical
	case e.Display != "":
		e.Kind = DisplayOnly
	}
	return e, nil
}

func readIdentifier(raw []byte, at int) (Identifier, error) {
	var id Identifier
	for p, err := range jsonscan.Properties(raw, at) {
		if err != nil {
			return Identifier{}, fmt.Errorf("refs: %w", err)
		}
		switch string(p.Name) {
		case "system":
			id.System = p.Text()
		case "value":
			id.Value = p.Text()
		}
	}
	return id, nil
}

// Attachment is what an Attachment says about its content. http://hl7.org/fhir/R4/datatypes.html#Attachment
type Attachment struct {
	URL         string // may be relative to the server's base
	ContentType string // as written
	Hash        string // SHA-1 of the content, in base64
	Size        int64  // of the content in bytes; -1 if it is not said, or is no natural number
	HasData     bool   // the content is here as well: with both, they are the same
}

// ReadAttachment reads the Attachment that opens at raw[at]: 0 where raw is one, Found.Object where [All] found it. The content itself is not looked at.
func ReadAttachment(raw []byte, at int) (Attachment, error) {
	a := Attachment{Size: -1}
	for p, err := range jsonscan.Properties(raw, at) {
		if err != nil {
			return Attachment{}, fmt.Errorf("refs: %w", err)
		}
		switch string(p.Name) {
		case "url":
			a.URL = p.Text()
		case "contentType":
			a.ContentType = p.Text()
		case "hash":
			a.Hash = p.Text()
		case "size":
			text := p.Text() // a string in R5: http://hl7.org/fhir/R5/datatypes.html#integer64
			if p.Kind == '0' {
				text = string(p.Raw())
			}
			a.Size = -1
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
				a.Size = n
			}
		case "data":
			a.HasData = p.Kind == '"' && p.End-p.Start > len(`""`)
		}
	}
	return a, nil
}
