package refs

import (
	"errors"
	"iter"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// Source says what kind of element a reference was found in. Its zero value
// stands for none.
type Source int

// The sources. All will learn to find more (attachments, canonicals, links in
// the narrative), so skip those you do not know.
const (
	// FromReference is the member "reference" of a Reference.
	FromReference Source = iota + 1

	// FromURI is an element of type uri or url that happens to be named
	// "reference", DetectedIssue.reference for example. It points to literature or
	// a definition, seldom to a resource of the server, and nothing says that it
	// does.
	FromURI
)

// String gives the source's name.
func (s Source) String() string {
	switch s {
	case FromReference:
		return "Reference"
	case FromURI:
		return "uri"
	}
	return "unknown"
}

// Found is one reference in a resource. Its strings are copies: a Found may be
// kept, and does not keep the resource's text alive.
type Found struct {
	// Path names the element, resource type first and without indexes:
	// "Encounter.participant.individual" for a Reference, "DetectedIssue.reference"
	// for a uri. In a contained resource it goes on from the container:
	// "Encounter.contained.managingOrganization". Without a resourceType it
	// begins with the first member's name.
	Path   string
	Source Source
	Text   string    // what the element says, decoded
	Ref    Reference // Parse(Text)

	Start, End int  // place of the string in the text, quotes included
	Contained  bool // in a contained resource
	Extension  bool // in an extension, on any level
}

// All finds the literal references of one resource, in document order: every
// string member named "reference", on any level, in contained resources and
// extensions and in R5's CodeableReference. A member of that name which is an
// object (CodeableReference.reference) is looked into like any other; one that is
// an array of strings, which FHIR does not have, counts string by string.
//
// The names of the elements tell the Source; FHIR's few elements named reference that
// are a uri are known by their path (DetectedIssue, ActorDefinition and Requirements.reference,
// Immunization.education, MedicationKnowledge.storageGuideline, Requirements.statement, and
// any Expression whose element name ends so). An Expression under another name
// (Measure.group.population.criteria) counts as a Reference, as do
// such elements in the resources of a Bundle or Parameters.
//
// The resource is validated on the way, by the rules of RFC 8259, in strict
// UTF-8, and with a limit of 500 to nesting. If it is broken the last pair has the
// error, with an empty Found, and the pairs before it are those found up to
// there: take nothing from a resource before the loop has ended. Errors hold no
// part of the resource; errors.Is(err, io.ErrUnexpectedEOF) tells one that was cut off.
//
// The sequence may be used again and by several goroutines, as long as nobody
// writes to raw.
func All(raw []byte) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		f := finder{raw: raw, yield: yield}
		if err := f.walker.Walk(raw, f.want, f.visit); err != nil && !errors.Is(err, errStop) {
			yield(Found{}, err)
		}
	}
}

// errStop ends a walk because the loop over All was left.
var errStop = errors.New("refs: stop")

// finder is one run of All.
type finder struct {
	raw    []byte
	yield  func(Found, error) bool
	walker jsonscan.Walker

	typ      string // the root's resourceType
	hasType  bool   // it has been looked for
	path     []byte // scratch
	lastPath [4]string
	next     int // of lastPath to be forgotten
}

func (f *finder) want(key []byte) bool {
	return string(key) == "reference" || !f.hasType && string(key) == "resourceType"
}

func (f *finder) visit(field *jsonscan.Field) error {
	if string(field.Key()) == "resourceType" {
		if field.Depth() == 1 {
			f.typ, f.hasType = field.Text(), true
		}
		return nil
	}
	if !f.hasType {
		// Rare: a reference stands before the resourceType.
		head, _ := jsonscan.Head(f.raw)
		f.typ, f.hasType = head.ResourceType, true
	}

	found := Found{
		Source:    FromReference,
		Text:      field.Text(),
		Start:     field.Start,
		End:       field.End,
		Contained: field.InContained(),
		Extension: field.InExtension(),
	}
	found.Ref = Parse(found.Text)
	f.path = append(f.path[:0], f.typ...)
	if f.typ != "" {
		f.path = append(f.path, '.')
	}
	f.path = field.AppendPath(f.path)
	if isURI(f.path, f.typ) {
		found.Source = FromURI
	} else if n := len(f.path) - len(".reference"); n > 0 {
		f.path = f.path[:n]
	} else {
		f.path = f.path[:0]
	}
	found.Path = f.pathString()
	if !f.yield(found, nil) {
		return errStop
	}
	return nil
}

// pathString gives f.path as a string. The same few paths come again and again
// in one resource.
func (f *finder) pathString() string {
	for _, known := range f.lastPath {
		if known == string(f.path) {
			return known
		}
	}
	path := string(f.path)
	f.lastPath[f.next] = path
	f.next = (f.next + 1) % len(f.lastPath)
	return path
}

// isURI tells whether the element of this path is a uri that is named
// reference.
func isURI(path []byte, typ string) bool {
	tail := strings.TrimPrefix(string(path), typ+".")
	contained := strings.HasPrefix(tail, "contained.")
	tail = strings.TrimPrefix(tail, "contained.")
	switch tail {
	case "reference":
		return typ != "" || contained // no resource is itself a Reference
	case "education.reference":
		return contained || typ == "Immunization"
	case "storageGuideline.reference":
		return contained || typ == "MedicationKnowledge"
	case "statement.reference":
		return contained || typ == "Requirements"
	}
	element := strings.TrimSuffix(tail, ".reference")
	return strings.HasSuffix(element, ".expression") || element == "expression" || strings.HasSuffix(element, "Expression")
}
