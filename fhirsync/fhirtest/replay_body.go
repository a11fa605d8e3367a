package fhirtest

import (
	"bytes"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The shapes of a trace, as they are read.
type (
	shape struct {
		Kind         string             `json:"kind"`
		Damage       string             `json:"damage"`
		Type         string             `json:"type"`
		Total        *int               `json:"total"`
		Links        []linkShape        `json:"links"`
		Entries      []entryShape       `json:"entries"`
		Resource     *resourceShape     `json:"resource"`
		Issues       []issueShape       `json:"issues"`
		Capabilities *capabilitiesShape `json:"capabilities"`
	}
	linkShape struct {
		Relation string `json:"rel"`
		URL      string `json:"url"`
	}
	entryShape struct {
		FullURL  string         `json:"fullUrl"`
		Mode     string         `json:"mode"`
		Status   string         `json:"status"`
		Damage   string         `json:"damage"`
		Resource *resourceShape `json:"resource"`
		Bundle   *shape         `json:"bundle"`
	}
	resourceShape struct {
		Type      string       `json:"type"`
		ID        string       `json:"id"`
		Version   bool         `json:"version"`
		Updated   bool         `json:"updated"`
		Subsetted bool         `json:"subsetted"`
		Size      int          `json:"size"`
		Damage    string       `json:"damage"`
		Refs      []refShape   `json:"refs"`
		Issues    []issueShape `json:"issues"`
	}
	refShape struct {
		Path string `json:"path"`
		Kind string `json:"kind"`
		To   string `json:"to"`
		URI  bool   `json:"uri"`
	}
	issueShape struct {
		Severity string   `json:"severity"`
		Code     string   `json:"code"`
		Codes    []string `json:"codes"`
	}
	capabilitiesShape struct {
		FHIRVersion  string                `json:"fhirVersion"`
		Software     string                `json:"software"`
		Version      string                `json:"version"`
		Interactions []string              `json:"interactions"`
		Operations   []string              `json:"operations"`
		Types        map[string]typeClaims `json:"types"`
	}
	typeClaims struct {
		Interactions []string `json:"interactions"`
		Params       []string `json:"params"`
		Operations   []string `json:"operations"`
	}
)

// unreadMore is what a body that the client did not want to the end is longer than what it read.
const unreadMore = 64 << 10

// reply makes the answer that was recorded. The caller holds the lock.
func (p *Playback) reply(x *exchange) *reply {
	rep := newReply(x.Status, "", nil)
	for name, value := range x.Header {
		if value != "" && name != "Content-Encoding" {
			rep.header.Set(name, p.headerValue(value))
		}
	}
	size := int(min(x.Size, 256<<20))
	switch x.Failure {
	case "connection":
		rep.lost = true
	case "cancelled":
		rep.lost, rep.delay = true, time.Duration(x.MS)*time.Millisecond
	case "timeout":
		rep.hang = true
	case "stalled":
		rep.stall, rep.cut, rep.body = true, size, filler(size+1)
	case "cut", "corrupt":
		rep.cut, rep.body = size, filler(size+1)
	case "unread":
		rep.body = filler(size + unreadMore)
	default:
		if x.Shape != nil {
			rep.body = p.body(x.Shape, size)
		}
	}
	return rep
}

// filler is the beginning of a page, and white space.
func filler(size int) []byte {
	b := []byte(`{"resourceType":"Bundle"`)
	b = append(b, bytes.Repeat([]byte(" "), max(0, size-len(b)))...)
	return b[:size]
}

var relativeTime = regexp.MustCompile(`^\{(date|epoch)\+(-?[0-9]+)s\}$`)

func (p *Playback) headerValue(value string) string {
	if m := relativeTime.FindStringSubmatch(value); m != nil {
		n, _ := strconv.ParseInt(m[2], 10, 64) // digits, by the expression above.
		at := time.Now().Add(time.Duration(n) * time.Second)
		if m[1] == "date" {
			return at.UTC().Format(http.TimeFormat)
		}
		return strconv.FormatInt(at.Unix(), 10)
	}
	return expand(value, p.full)
}

// body makes a body of a shape, padded to its size.
func (p *Playback) body(s *shape, size int) []byte {
	var b []byte
	switch s.Kind {
	case "bundle":
		b = p.bundle(s)
	case "resource":
		if s.Resource != nil {
			b = p.resource(s.Resource)
		}
	case "outcome":
		b = outcomeOf(s.Issues)
	case "capabilities":
		if s.Capabilities != nil {
			b = s.Capabilities.statement()
		}
	case "json":
		b = []byte(`{}`)
	case "html":
		b = htmlPage("replayed")
	case "fhir-xml":
		b = []byte(`<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"/>`)
	case "xml":
		b = []byte(`<?xml version="1.0"?><replayed/>`)
	case "text":
		b = []byte("replayed")
	case "binary":
		b = []byte{0, 1, 2, 3}
	}
	switch s.Damage {
	case "truncated":
		b = b[:max(0, len(b)-2)]
	case "syntax":
		b = append(b[:max(0, len(b)-1)], ']')
	}
	return padded(b, size)
}

// padded puts white space before the last byte until b has the size.
func padded(b []byte, size int) []byte {
	if len(b) == 0 || len(b) >= size {
		return b
	}
	last := b[len(b)-1]
	b = append(b[:len(b)-1], bytes.Repeat([]byte(" "), size-len(b))...)
	return append(b, last)
}

func (p *Playback) bundle(s *shape) []byte {
	b := append([]byte(nil), `{"resourceType":"Bundle"`...)
	if s.Type != "" {
		b = appendString(append(b, `,"type":`...), s.Type)
	}
	if s.Total != nil {
		b = strconv.AppendInt(append(b, `,"total":`...), int64(*s.Total), 10)
	}
	for i, l := range s.Links {
		b = append(b, separator(i, `,"link":[`)...)
		b = append(b, `{"relation":`...)
		b = appendString(b, l.Relation)
		b = appendString(append(b, `,"url":`...), expand(l.URL, p.full))
		b = append(b, '}')
	}
	if len(s.Links) > 0 {
		b = append(b, ']')
	}
	for i, e := range s.Entries {
		b = append(b, separator(i, `,"entry":[`)...)
		b = p.entry(b, &e)
	}
	if len(s.Entries) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

func (p *Playback) entry(b []byte, e *entryShape) []byte {
	var raw []byte
	switch {
	case e.Bundle != nil:
		raw = p.body(e.Bundle, 0)
	case e.Resource != nil:
		raw = p.resource(e.Resource)
	}
	b = append(b, '{')
	n := 0
	member := func(name string) {
		b = append(b, separator(n, "")...)
		n++
		b = append(appendString(b, name), ':')
	}
	switch {
	case e.FullURL == "own" && e.Resource != nil:
		member("fullUrl")
		b = appendString(b, expand("{base}/"+e.Resource.Type+"/"+e.Resource.ID, p.full))
	case e.FullURL != "":
		member("fullUrl")
		b = appendString(b, expand(e.FullURL, p.full))
	}
	if raw != nil {
		member("resource")
		b = append(b, raw...)
	}
	if e.Damage != "" {
		member("resource") // a second one: the entry cannot be read.
		b = append(b, `{}`...)
	}
	if e.Mode != "" {
		member("search")
		b = append(appendString(append(b, `{"mode":`...), e.Mode), '}')
	}
	if e.Status != "" {
		member("response")
		b = append(appendString(append(b, `{"status":`...), e.Status), '}')
	}
	return append(b, '}')
}

// resource makes a resource of the recorded size that holds nothing but references.
func (p *Playback) resource(r *resourceShape) []byte {
	if r.Type == "OperationOutcome" {
		return padded(outcomeOf(r.Issues), r.Size)
	}
	b := []byte{'{'}
	n := 0
	member := func(name string) {
		b = append(b, separator(n, "")...)
		n++
		b = append(appendString(b, name), ':')
	}
	if r.Type != "" {
		member("resourceType")
		b = appendString(b, expand(r.Type, p.full))
	}
	if r.ID != "" {
		member("id")
		b = appendString(b, expand(r.ID, p.full))
	}
	if r.Version || r.Updated || r.Subsetted {
		member("meta")
		m := 0
		for _, x := range []struct {
			is   bool
			text string
		}{
			{r.Version, `"versionId":"1"`},
			{r.Updated, `"lastUpdated":"2000-01-01T00:00:00Z"`},
			{r.Subsetted, `"tag":[{"code":"SUBSETTED"}]`},
		} {
			if x.is {
				b = append(append(b, separator(m, "{")...), x.text...)
				m++
			}
		}
		b = append(b, '}')
	}
	root := new(element)
	for _, ref := range r.Refs {
		at := root
		for name := range strings.SplitSeq(ref.Path, ".") {
			at = at.child(name)
		}
		at.refs = append(at.refs, refValue{expand(ref.To, p.full), ref.URI})
	}
	for _, c := range root.children {
		member(c.name)
		b = c.write(b)
	}
	switch r.Damage {
	case "":
	case "repairable":
		b = append(b, ',')
	default:
		member("damaged")
		b = append(b, `NaN`...)
	}
	return padded(append(b, '}'), r.Size)
}

// element is a part of a resource on the way to a reference.
type element struct {
	name     string
	refs     []refValue
	children []*element
}

type refValue struct {
	text string
	uri  bool // the element itself is the reference
}

func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	c := &element{name: name}
	e.children = append(e.children, c)
	return c
}

// write writes the value: an array if it has several references, whose first element then has what is below.
func (e *element) write(b []byte) []byte {
	var values []string
	for _, r := range e.refs {
		if r.uri {
			values = append(values, string(appendString(nil, r.text)))
		}
	}
	below := func(b []byte, n int) []byte {
		for _, c := range e.children {
			b = append(b, separator(n, "")...)
			b = append(appendString(b, c.name), ':')
			b = c.write(b)
			n++
		}
		return b
	}
	first := true
	for _, r := range e.refs {
		if r.uri {
			continue
		}
		v := appendString([]byte(`{"reference":`), r.text)
		if first {
			v = below(v, 1)
		}
		first = false
		values = append(values, string(append(v, '}')))
	}
	if first && len(e.children) > 0 {
		values = append(values, string(append(below([]byte{'{'}, 0), '}')))
	}
	if len(values) == 1 {
		return append(b, values[0]...)
	}
	return append(append(append(b, '['), strings.Join(values, ",")...), ']')
}

func outcomeOf(issues []issueShape) []byte {
	b := []byte(`{"resourceType":"OperationOutcome"`)
	for i, is := range issues {
		b = append(b, separator(i, `,"issue":[`)...)
		b = appendString(append(b, `{"severity":`...), is.Severity)
		b = appendString(append(b, `,"code":`...), is.Code)
		for j, c := range is.Codes {
			b = append(b, separator(j, `,"details":{"coding":[`)...)
			b = append(appendString(append(b, `{"code":`...), c), '}')
		}
		if len(is.Codes) > 0 {
			b = append(b, `]}`...)
		}
		b = append(b, '}')
	}
	if len(issues) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// statement makes a CapabilityStatement.
func (c *capabilitiesShape) statement() []byte {
	b := []byte(`{"resourceType":"CapabilityStatement","status":"active","kind":"instance"`)
	if c.FHIRVersion != "" {
		b = appendString(append(b, `,"fhirVersion":`...), c.FHIRVersion)
	}
	b = appendString(append(b, `,"software":{"name":`...), c.Software)
	b = appendString(append(b, `,"version":`...), c.Version)
	b = append(b, `},"rest":[{"mode":"server"`...)
	named := func(member, key string, list []string) {
		for i, name := range list {
			b = append(b, separator(i, `,"`+member+`":[`)...)
			b = append(appendString(append(b, `{"`+key+`":`...), name), '}')
		}
		if len(list) > 0 {
			b = append(b, ']')
		}
	}
	named("interaction", "code", c.Interactions)
	named("operation", "name", c.Operations)
	for i, typ := range slices.Sorted(maps.Keys(c.Types)) {
		b = append(b, separator(i, `,"resource":[`)...)
		b = appendString(append(b, `{"type":`...), typ)
		t := c.Types[typ]
		named("interaction", "code", t.Interactions)
		named("searchParam", "name", t.Params)
		named("operation", "name", t.Operations)
		b = append(b, '}')
	}
	if len(c.Types) > 0 {
		b = append(b, ']')
	}
	return append(b, `}]}`...)
}
