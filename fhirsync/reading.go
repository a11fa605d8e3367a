package fhirsync

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// pageReader reads the answer to a question for several resources. What a strict reader refuses is repaired, and only then.
type pageReader struct {
	b *jsonscan.Bundle
	// loose: resources may come where the Bundle was due, and Bundles inside of it are opened. due is the type that was asked for; "": any.
	loose bool
	due   string

	// Of the last answer:
	unbound bool // there was no Bundle around the resources, so that nothing tells whether these are all
	nested  int  // Bundles that were opened
	cut     bool // more next links than one can follow
	object  bool // entry was an object
	comma   bool // a comma stood after the last entry
}

// checkBundle makes a check that reads a page into b. What ends early, is no JSON or says that the trouble is passing is asked again.
func checkBundle(b *jsonscan.Bundle) func(*transport.Response) error {
	return (&pageReader{b: b}).check
}

func (p *pageReader) check(resp *transport.Response) error {
	p.unbound, p.nested, p.cut, p.object, p.comma = false, 0, false, false, false
	if resp.Status != http.StatusOK {
		return checkRefusal(resp)
	}
	if err := p.read(resp); err != nil {
		return err
	}
	switch p.b.ResourceType {
	case "OperationOutcome":
		if anyCode(errorIssues(issuesOf(resp.Body())), transientCodes) {
			return transport.Again(errOutcome)
		}
		return nil // an answer of its own kind, for the caller to read.
	case "Bundle":
	default:
		return errKind
	}
	if p.loose && !p.open(resp.Body()) {
		// One of them is broken inside, which does not show from outside.
		found, err := scanBody(resp, nil, jsonrepair.Options{})
		if err != nil || len(found.Values) != 1 {
			return nil //nolint:nilerr // it is no resource, and will be a gap.
		}
		fixed := jsonrepair.Apply(resp.Body(), found.Edits)
		if err := p.b.Split(fixed); err != nil {
			return err
		}
		resp.Mend(found)
		p.nested = 0
		p.open(resp.Body())
	}
	return nil
}

// read splits the page, which is repaired where that is needed for it.
func (p *pageReader) read(resp *transport.Response) error {
	err := transport.ErrNotJSON
	if transport.LooksJSON(resp.Body()) {
		if err = p.b.Split(resp.Body()); err == nil && !p.stray(p.b.Header) {
			return nil
		}
	}
	found, failed := scanBody(resp, err, jsonrepair.Options{Many: p.loose})
	if failed != nil {
		return failed
	}
	fixed := jsonrepair.Apply(resp.Body(), found.Edits)
	one := len(found.Values) == 1
	if err = p.b.Split(fixed); one && (err != nil || !p.stray(p.b.Header)) {
		if err != nil {
			return err
		}
		resp.Mend(found)
		return nil
	}
	if !p.bind(resp, found) {
		if err == nil {
			err = errKind
		}
		return err
	}
	return p.b.Split(resp.Body())
}

// stray tells whether a resource came that can be one of those that were asked for.
func (p *pageReader) stray(h jsonscan.Header) bool {
	switch h.ResourceType {
	case "Bundle", "OperationOutcome", "Parameters", "CapabilityStatement":
		return false
	}
	return p.loose && isTypeName(h.ResourceType) && (p.due == "" || p.due == h.ResourceType)
}

// bind puts a Bundle around resources that came without one.
func (p *pageReader) bind(resp *transport.Response, found *jsonrepair.Result) bool {
	values := found.Values
	for _, v := range values {
		if resp.Body()[v.Start] != '{' {
			return false
		}
	}
	if len(values) == 1 && !p.stray(p.b.Header) {
		return false
	}
	around := make([]jsonrepair.Edit, 0, 2*len(values)+len(found.Edits))
	for i, v := range values {
		head, tail := `,{"resource":`, `}`
		if i == 0 {
			head = `{"resourceType":"Bundle","type":"searchset","entry":[{"resource":`
		}
		if i == len(values)-1 {
			tail = `}]}`
		}
		around = append(around, jsonrepair.Edit{Start: v.Start, End: v.Start, Text: head}, jsonrepair.Edit{Start: v.End, End: v.End, Text: tail})
	}
	found.Edits = append(around, found.Edits...)
	slices.SortStableFunc(found.Edits, func(a, b jsonrepair.Edit) int { return cmp.Compare(a.Start, b.Start) })
	resp.Mend(found)
	p.unbound = true
	return true
}

// maxNesting is how deep Bundles are opened.
const maxNesting = 3

// open takes the entries out of Bundles of search results that are entries themselves. whole is false where one of these cannot be read.
func (p *pageReader) open(body []byte) (whole bool) {
	whole = true
	b := p.b
	p.object = b.Object
	p.comma = dropLast(b, body)
	nexts := map[string]bool{}
	for _, l := range b.Links {
		if l.Relation == "next" {
			nexts[l.URL] = true
		}
	}
	for level := range maxNesting {
		if !slices.ContainsFunc(b.Entries, func(e jsonscan.Entry) bool { return isNested(&e) }) {
			break
		}
		entries := make([]jsonscan.Entry, 0, len(b.Entries))
		for i := range b.Entries {
			e := &b.Entries[i]
			var inner jsonscan.Bundle
			nested := isNested(e)
			if nested && inner.Split(e.Resource) != nil {
				nested, whole = false, false
			}
			// Those that came one after the other are the answer, whatever they call themselves.
			answer := inner.Type == "searchset" || p.unbound && (level == 0 || inner.Type == "")
			if !nested || !answer {
				entries = append(entries, *e)
				continue
			}
			p.nested++
			p.comma = dropLast(&inner, e.Resource) || p.comma
			start := e.Start + max(bytes.Index(body[e.Start:e.End], e.Resource), 0)
			for _, x := range inner.Entries {
				x.Start, x.End = x.Start+start, x.End+start
				entries = append(entries, x)
			}
			for _, l := range inner.Links {
				if l.Relation == "next" {
					nexts[l.URL] = true
				}
			}
			b.Links = append(b.Links, inner.Links...)
			if inner.HasTotal && !b.HasTotal {
				b.Total, b.HasTotal = inner.Total, true
			}
		}
		b.Entries = entries
	}
	p.cut = len(nexts) > 1 && p.nested > 0
	return whole
}

// dropLast drops what a comma after the last entry makes: an entry of nothing.
func dropLast(b *jsonscan.Bundle, body []byte) bool {
	n := len(b.Entries)
	if n < 2 || b.Entries[n-1].Start != b.Entries[n-1].End || body[b.Entries[n-1].Start] != ']' {
		return false
	}
	b.Entries = b.Entries[:n-1]
	return true
}

// isResults tells whether an entry is a Bundle of search results, which is no resource of anybody's.
func isResults(e *jsonscan.Entry) bool {
	if !isNested(e) {
		return false
	}
	var inner jsonscan.Bundle
	return inner.Split(e.Resource) == nil && inner.Type == "searchset"
}

func isNested(e *jsonscan.Entry) bool {
	return e.ResourceType == "Bundle" && e.Err == nil && e.Resource != nil
}

// scanBody looks what would have to be repaired of a body that was refused for a reason. The error says what becomes of the answer.
func scanBody(resp *transport.Response, reason error, o jsonrepair.Options) (*jsonrepair.Result, error) {
	body := resp.Body()
	switch {
	case transport.LooksXML(body):
		return nil, transport.ErrXML
	case !transport.LooksJSON(body) && !beginsWithComment(body):
		return nil, transport.Again(transport.ErrNotJSON)
	}
	found, err := jsonrepair.Scan(body, o)
	switch {
	case isEarlyEnd(err), isEarlyEnd(reason) && err != nil:
		return nil, transport.Again(errEarlyEnd)
	case err != nil && reason != nil && !errors.Is(reason, transport.ErrNotJSON):
		return nil, reason
	}
	return found, err
}

func beginsWithComment(body []byte) bool {
	body = trimBOM(body)
	return bytes.HasPrefix(body, []byte("//")) || bytes.HasPrefix(body, []byte("/*"))
}

// checkResource makes a check that reads the head of a single resource.
func checkResource(head *jsonscan.Header) func(*transport.Response) error {
	return func(resp *transport.Response) error {
		if resp.Status != http.StatusOK {
			return checkRefusal(resp)
		}
		if err := readHead(head, resp); err != nil {
			return err
		}
		if head.ResourceType == "OperationOutcome" && anyCode(errorIssues(issuesOf(resp.Body())), transientCodes) {
			return transport.Again(errOutcome)
		}
		return nil
	}
}

// readHead reads the head of a single resource, which is repaired where that is needed for it.
func readHead(head *jsonscan.Header, resp *transport.Response) error {
	err := transport.ErrNotJSON
	if transport.LooksJSON(resp.Body()) {
		if *head, err = jsonscan.Head(resp.Body()); err == nil {
			return nil
		}
	}
	found, failed := scanBody(resp, err, jsonrepair.Options{})
	if failed != nil {
		return failed
	}
	if *head, err = jsonscan.Head(jsonrepair.Apply(resp.Body(), found.Edits)); err != nil {
		return err
	}
	resp.Mend(found)
	return nil
}
