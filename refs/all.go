package refs

import (
	"bytes"
	"errors"
	"html"
	"iter"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/internal/memo"
	"github.com/fhirsync/fhirsync-go/internal/xhtml"
)

// Source says what kind of element a reference was found in. Its zero value
// stands for none.
type Source int

// The sources. More may come, so skip those you do not know.
const (
	// FromReference is the member "reference" of a Reference.
	FromReference Source = iota + 1

	// FromURI is an element of type uri or url, valueUri or Bundle.entry.fullUrl for example. Few of them point to a resource of the server, and
	// nothing says which do. Some are named "reference", as in a Reference: DetectedIssue.reference.
	FromURI

	// FromAttachment is Attachment.url: content that stands somewhere else. It may be relative to the server's base.
	FromAttachment

	// FromCanonical is an element of type canonical, the name of a definition: QuestionnaireResponse.questionnaire, meta.profile. See [ParseCanonical].
	FromCanonical

	// FromNarrative is an href or src in the narrative.
	FromNarrative

	sources = iota + 1
)

// String gives the source's name.
func (s Source) String() string {
	switch s {
	case FromReference:
		return "Reference"
	case FromURI:
		return "uri"
	case FromAttachment:
		return "Attachment"
	case FromCanonical:
		return "canonical"
	case FromNarrative:
		return "narrative"
	}
	return "unknown"
}

// sourceSet has a bit for each Source.
type sourceSet uint

const every sourceSet = 1<<sources - 2

func setOf(list ...Source) (set sourceSet) {
	for _, s := range list {
		if s > 0 && s < sources {
			set |= 1 << s
		}
	}
	return set
}

func (set sourceSet) has(s Source) bool { return set&(1<<s) != 0 }

// Found is one reference in a resource. Its strings are copies: a Found may be
// kept, and does not keep the resource's text alive.
type Found struct {
	// Path names the element, resource type first and without indexes:
	// "Encounter.participant.individual" for a Reference, "DiagnosticReport.presentedForm" for
	// an Attachment, "DetectedIssue.reference" for a uri, "QuestionnaireResponse.questionnaire" for a canonical,
	// "Patient.text.div" for a link in the narrative. In a contained resource it goes on from the container:
	// "Encounter.contained.managingOrganization". Without a resourceType it
	// begins with the first member's name. What is longer than 4,096 bytes is cut.
	Path   string
	Source Source
	Text   string    // what the element says, decoded
	Ref    Reference // Parse(Text)

	// Start and End are the place of the string in the text, quotes included. For a link in the narrative, which is but a part of a string, they
	// are the place of the link's value in it, without quotes.
	Start, End int

	Contained bool // in a contained resource
	Extension bool // in an extension, on any level

	// Object is where the object begins that the string is a member of: the Reference or the Attachment. See [ReadReference] and [ReadAttachment].
	// -1 where there is none.
	Object int
}

// All finds what one resource points to, in document order: the References and, if they are among the sources, what else there is. No sources
// means all of them; asking for few is faster.
//
//   - [FromReference]: every string member named "reference", on any level, in contained resources and
//     extensions and in R5's CodeableReference. A member of that name which is an
//     object (CodeableReference.reference) is looked into like any other; one that is
//     an array of strings, which FHIR does not have, counts string by string.
//   - [FromAttachment]: the member "url" of what has the name of an Attachment: attachment, valueAttachment and the like, content, document, file, form,
//     formatted, image, photo, presentedForm.
//   - [FromCanonical] and [FromURI]: members with names that FHIR gives to such elements. Where the same name means other things in other places,
//     only what looks like an absolute URI counts. Where a name is a canonical in one version or type and a uri in another (QuestionnaireResponse.item.definition),
//     it counts as a canonical. Not found is what only names something: system, Extension.url, the url of a definition.
//   - [FromNarrative]: href and src in the XHTML of a Narrative. Links in markdown are not found.
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
func All(raw []byte, sources ...Source) iter.Seq2[Found, error] {
	set := setOf(sources...)
	if len(sources) == 0 {
		set = every
	}
	return func(yield func(Found, error) bool) {
		err := find(raw, set, func(x *Found) bool { return yield(*x, nil) })
		if err != nil && !errors.Is(err, errStop) {
			yield(Found{}, err)
		}
	}
}

// Append appends to dst what [All] finds, and is faster. If the resource is broken it gives dst as it was, and the error.
func Append(dst []Found, raw []byte, sources ...Source) ([]Found, error) {
	all, _, err := AppendPlain(dst, raw, sources...)
	return all, err
}

// AppendPlain is Append, and tells whether the resource says the same to every reader of JSON: no object in it has two members of one name, and no
// escape is half of a character. plain may be false where that is so, and is never true where it is not.
func AppendPlain(dst []Found, raw []byte, sources ...Source) (found []Found, plain bool, err error) {
	set := setOf(sources...)
	if len(sources) == 0 {
		set = every
	}
	f := finders.Get().(*finder)
	f.into = dst
	f.walker.Watch = true
	err = f.run(raw, set)
	plain = err == nil && f.walker.Plain(raw)
	f.walker.Watch = false
	found, f.into = f.into, nil
	finders.Put(f)
	if err != nil {
		return dst, false, err
	}
	return found, plain, nil
}

// errStop ends a walk because the loop over All was left.
var errStop = errors.New("refs: stop")

// finder is what one run of All or Rewrite needs. It is used again, but by one run at a time.
type finder struct {
	raw       []byte
	set       sourceSet
	yield     func(*Found) bool // gets what is found; nil: it goes into into
	into      []Found
	walker    jsonscan.Walker
	wantFunc  func([]byte) bool
	visitFunc func(*jsonscan.Field) error

	typ     string            // the root's resourceType
	hasType bool              // it has been looked for
	named   bool              // it is letters alone, so that a path says where it ends
	names   map[string]string // paths and types, of which the same few come again and again
	places  map[string]*place // the same of paths that begin with such a type
	texts   memo.Memo[literal]
	path    []byte // scratch
	links   []xhtml.Link
	found   Found
}

// place is what a path says of the References that stand there.
type place struct {
	path  string // without the name reference
	isURI bool
}

// literal is what the text of a Reference says.
type literal struct {
	text string
	ref  Reference
}

var finders = sync.Pool{New: func() any {
	f := &finder{names: map[string]string{}, places: map[string]*place{}}
	f.wantFunc, f.visitFunc = f.want, f.visit
	return f
}}

// find calls yield for what raw points to, until that gives false. It gives errStop then.
func find(raw []byte, set sourceSet, yield func(*Found) bool) error {
	f := finders.Get().(*finder)
	f.yield = yield
	err := f.run(raw, set)
	f.yield = nil
	finders.Put(f)
	return err
}

func (f *finder) run(raw []byte, set sourceSet) error {
	f.raw, f.set, f.typ, f.hasType, f.named = raw, set, "", false, false
	f.walker.Likely = nil
	if set&^(1<<FromReference|1<<FromAttachment) == 0 {
		f.walker.Likely = fewNames
	}
	err := f.walker.Walk(raw, f.wantFunc, f.visitFunc)
	f.raw, f.found = nil, Found{}
	clear(f.links)
	if cap(f.links) > 1<<10 {
		f.links = nil // one huge narrative shall not be paid for ever after
	}
	return err
}

// fewNames are those that want accepts if only References and Attachments are asked for.
var fewNames = jsonscan.NewNames("reference", "resourceType", "url")

func (f *finder) want(name []byte) bool {
	switch string(name) {
	case "reference":
		return f.set&setOf(FromReference, FromURI) != 0
	case "resourceType":
		return !f.hasType
	}
	const few = 1<<FromReference | 1<<FromAttachment
	if f.set&^few == 0 && string(name) != "url" {
		return false // which spares the look at all the names
	}
	return f.set&classOf(name).sources() != 0
}

func (f *finder) visit(field *jsonscan.Field) error {
	name := field.Key()
	c := classOf(name)
	if c == classNone { // resourceType
		if field.Depth() == 1 && !f.hasType {
			f.hasType = true
			if inside, escaped := field.Inside(); escaped {
				f.typ = field.Text()
			} else {
				f.typ = f.known(inside)
			}
			f.named = isType(f.typ)
		}
		return nil
	}
	var source Source
	switch c {
	case classReference:
		return f.reference(field)
	case classURL:
		source = urlOf(field.Parent())
	case classCanonical, classMaybeCanonical:
		source = FromCanonical
	case classMaybeURI:
		source = namedOf(field.Parent())
	case classURI:
		source = FromURI
	case classLocation:
		if string(field.Parent()) == "response" {
			source = FromURI
		}
	case classNarrative:
		if string(field.Parent()) == "text" {
			return f.narrative(field)
		}
	case classNone:
	}
	if !f.set.has(source) {
		return nil
	}
	text := field.Text()
	switch {
	case (c == classMaybeCanonical || c == classMaybeURI) && !looksLikeURI(text):
		return nil
	case text == "":
		return nil
	}
	path := f.at(field)
	if source == FromAttachment {
		path = parentOf(path, "url")
	}
	return f.give(field, source, f.known(path), text, Parse(text), field.Start, field.End)
}

// reference looks at a string named reference: that of a Reference, or a uri, which the path tells.
func (f *finder) reference(field *jsonscan.Field) error {
	path, isURI := f.place(f.at(field))
	source := FromReference
	if isURI {
		source = FromURI
	}
	if !f.set.has(source) {
		return nil
	}
	var text string
	var ref Reference
	if inside, escaped := field.Inside(); escaped {
		text = field.Text()
		ref = Parse(text)
	} else if known := f.texts.Find(inside); known != nil {
		text, ref = known.text, known.ref
	} else {
		text = string(inside)
		ref = Parse(text)
		f.texts.Add(text, &literal{text, ref})
	}
	return f.give(field, source, path, text, ref, field.Start, field.End)
}

// place tells where a string named reference stands, and whether that is the place of a uri.
func (f *finder) place(path []byte) (element string, uri bool) {
	if p, ok := f.places[string(path)]; ok && f.named {
		return p.path, p.isURI
	}
	p := &place{isURI: isURI(path, f.typ)}
	if p.isURI {
		p.path = f.known(path)
	} else {
		p.path = f.known(parentOf(path, "reference"))
	}
	// Other types hold dots, or are none, so that one path could stand for two places.
	if f.named && len(path) <= longestName {
		if len(f.places) >= maxNames {
			clear(f.places)
		}
		f.places[string(path)] = p
	}
	return p.path, p.isURI
}

// at gives the path of a string, in scratch space.
func (f *finder) at(field *jsonscan.Field) []byte {
	if !f.hasType {
		// Rare: a reference stands before the resourceType.
		head, _ := jsonscan.Head(f.raw)
		f.typ, f.hasType, f.named = head.ResourceType, true, isType(head.ResourceType)
	}
	f.path = append(f.path[:0], f.typ...)
	if f.typ != "" {
		f.path = append(f.path, '.')
	}
	f.path = field.AppendPath(f.path)
	return f.path
}

// parentOf cuts the last name, which is known, off a path.
func parentOf(path []byte, name string) []byte {
	path = bytes.TrimSuffix(path, []byte(name)) // it is not there where the path was too long
	return bytes.TrimSuffix(path, []byte("."))
}

func (f *finder) give(field *jsonscan.Field, source Source, path, text string, ref Reference, start, end int) error {
	x := &f.found
	if f.yield == nil {
		f.into = append(f.into, Found{})
		x = &f.into[len(f.into)-1]
	}
	x.Path, x.Source, x.Text, x.Ref, x.Start, x.End = path, source, text, ref, start, end
	x.Contained, x.Extension, x.Object = field.InContained(), field.InExtension(), field.Object()
	if f.yield != nil && !f.yield(x) {
		return errStop
	}
	return nil
}

// narrative looks for the links in a narrative.
func (f *finder) narrative(field *jsonscan.Field) error {
	inside, escaped := field.Inside()
	if !escaped && !mayLink(string(inside)) {
		return nil
	}
	text := field.Text()
	if !mayLink(text) {
		return nil
	}
	f.links = xhtml.Links(text, f.links[:0])
	if len(f.links) == 0 {
		return nil
	}
	path := f.at(field)
	places := jsonscan.NewPlaces(inside)
	for _, l := range f.links {
		if !l.Odd {
			l.Text = html.UnescapeString(l.Text)
		}
		if l.Text == "" {
			continue
		}
		start, end := l.Start, l.End
		if escaped {
			start = places.Of(start)
			end = places.Of(end)
		}
		first := field.Start + len(`"`)
		link := strings.Clone(l.Text)
		if err := f.give(field, FromNarrative, f.known(path), link, Parse(link), first+start, first+end); err != nil {
			return err
		}
	}
	return nil
}

func mayLink(div string) bool { return strings.Contains(div, "href") || strings.Contains(div, "src") }

// known gives a text as a string, without making a new one if it can.
func (f *finder) known(text []byte) string {
	if s, ok := f.names[string(text)]; ok {
		return s
	}
	s := string(text)
	if len(s) <= longestName {
		if len(f.names) >= maxNames {
			clear(f.names)
		}
		f.names[s] = s
	}
	return s
}

// Paths and types that are longer than this, or beyond this many, are not remembered: what they are is for the input to choose.
const (
	longestName = 200
	maxNames    = 512
)
