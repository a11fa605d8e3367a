package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Bounds of one line, for answers that are made to hurt.
const (
	maxRefs    = 200_000 // of one page
	maxIssues  = 32
	maxClaims  = 1000 // types of a CapabilityStatement, and names of each
	maxNesting = 3    // of Bundles in entries
	maxBatch   = 1000 // requests of a batch
)

// shape looks at a body. It keeps nothing of it.
func (r *redactor) shape(body []byte) *Shape {
	if !transport.LooksJSON(body) {
		return &Shape{Kind: firstKind(body)}
	}
	b := new(jsonscan.Bundle)
	err := b.Split(body)
	repaired := false
	if err != nil {
		if fixed, _, failed := jsonrepair.Repair(body, jsonrepair.Options{}); failed == nil {
			body, repaired = fixed, true
			err = b.Split(body)
		}
	}
	s := &Shape{Damage: damage(err)}
	switch {
	case b.ResourceType == "Bundle":
		left := maxRefs
		r.bundle(s, b, maxNesting, &left)
		s.RefsLeftOut = max(0, -left)
	case b.ResourceType == "OperationOutcome":
		s.Kind, s.Issues = "outcome", issuesOf(body)
	case b.ResourceType == "CapabilityStatement" || b.ResourceType == "Conformance":
		caps, err := quirks.ParseCapabilities(body)
		if err != nil {
			return &Shape{Kind: "json", Damage: "syntax"}
		}
		s.Kind, s.Capabilities = "capabilities", r.capabilities(caps)
	case b.ResourceType != "":
		left := maxRefs
		head, err := jsonscan.Head(body)
		if s.Damage == "" {
			s.Damage = damage(err)
		}
		s.Kind, s.Resource = "resource", r.resource(&head, body, &left)
		if repaired && s.Resource.Damage == "" {
			s.Resource.Damage = "repairable"
		}
		s.RefsLeftOut = max(0, -left)
	default:
		s.Kind = "json"
	}
	return s
}

func damage(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated"
	}
	return "syntax"
}

// firstKind tells what kind of thing a body is that is not JSON.
func firstKind(body []byte) string {
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	body = bytes.TrimLeft(body, " \t\r\n")
	start := strings.ToLower(string(body[:min(len(body), 512)]))
	switch {
	case len(body) == 0:
		return "empty"
	case start[0] == '<' && (strings.Contains(start, "<html") || strings.Contains(start, "<!doctype html")):
		return "html"
	case transport.LooksXML(body):
		return "fhir-xml"
	case start[0] == '<':
		return "xml"
	case utf8.ValidString(start[:max(0, len(start)-utf8.UTFMax)]) && !strings.ContainsRune(start, 0):
		return "text"
	}
	return "binary"
}

func oneOf(list map[string]bool, word string) string {
	if word == "" || list[word] {
		return word
	}
	return "{other}"
}

// bundle describes a page.
func (r *redactor) bundle(s *Shape, b *jsonscan.Bundle, nesting int, left *int) {
	s.Kind, s.Type = "bundle", oneOf(bundleTypes, b.Type)
	if b.HasTotal {
		s.Total = &b.Total
	}
	for _, l := range b.Links {
		s.Links = append(s.Links, Link{Relation: oneOf(relations, l.Relation), URL: r.url(l.URL)})
	}
	s.Entries = make([]Entry, 0, len(b.Entries))
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.Start == e.End && i > 0 && i == len(b.Entries)-1 {
			continue // a comma after the last entry.
		}
		out := Entry{Mode: oneOf(modes, e.Mode)}
		if status := e.Status; status != "" {
			out.Status = "{other}"
			if code, _, _ := strings.Cut(status, " "); len(code) == 3 && strings.Trim(code, "0123456789") == "" {
				out.Status = code
			}
		}
		if e.Err != nil {
			out.Damage = "entry"
		}
		switch {
		case e.Resource == nil && e.ResourceType == "":
		case e.ResourceType == "Bundle" && e.Err == nil && nesting > 0:
			inner := new(jsonscan.Bundle)
			out.Bundle = &Shape{Damage: damage(inner.Split(e.Resource))}
			r.bundle(out.Bundle, inner, nesting-1, left)
		default:
			out.Resource = r.resource(&e.Header, e.Resource, left)
		}
		out.FullURL = r.fullURL(e.FullURL, e.ResourceType, e.ID)
		s.Entries = append(s.Entries, out)
	}
}

// fullURL describes Entry.fullUrl.
func (r *redactor) fullURL(text, typ, id string) string {
	switch text {
	case "":
		return ""
	case r.base.String() + "/" + typ + "/" + id:
		return Own
	}
	return r.url(text)
}

// resource describes one resource.
func (r *redactor) resource(h *jsonscan.Header, raw []byte, left *int) *Resource {
	out := &Resource{
		Type: r.typ(h.ResourceType), ID: r.id(h.ID), Version: h.VersionID != "", Updated: h.LastUpdated != "", Subsetted: h.Subsetted, Size: len(raw),
	}
	if h.ResourceType == "OperationOutcome" {
		out.Issues = issuesOf(raw)
		return out
	}
	if jsonscan.Valid(bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF"))) != nil {
		if fixed, _, err := jsonrepair.Repair(raw, jsonrepair.Options{}); err == nil {
			raw, out.Damage = fixed, "repairable"
		}
	}
	for f, err := range refs.All(bytes.TrimPrefix(raw, []byte("\xEF\xBB\xBF")), refs.FromReference, refs.FromURI) {
		if err != nil {
			out.Damage = "json"
			break
		}
		if *left--; *left >= 0 {
			out.Refs = append(out.Refs, r.reference(&f))
		}
	}
	return out
}

// issuesOf reads the issues of an OperationOutcome, without their texts.
func issuesOf(raw []byte) []Issue {
	var o struct{ Issue []json.RawMessage }
	_ = json.Unmarshal(raw, &o) // what can be read of it.
	out := []Issue{}
	for i, one := range o.Issue {
		if i == maxIssues {
			break
		}
		var is struct {
			Severity, Code string
			Details        struct{ Coding []struct{ Code string } }
		}
		_ = json.Unmarshal(one, &is) // the same.
		issue := Issue{Severity: oneOf(severities, is.Severity), Code: oneOf(issueCodes, is.Code)}
		for _, c := range is.Details.Coding {
			if vendorCode.MatchString(c.Code) && len(issue.Codes) < 8 {
				issue.Codes = append(issue.Codes, c.Code)
			}
		}
		out = append(out, issue)
	}
	return out
}

// capabilities describes a CapabilityStatement, and learns the names in it.
func (r *redactor) capabilities(c *quirks.Capabilities) *Capabilities {
	names := func(list []string, ok func(string) bool, learn map[string]bool) []string {
		var out []string
		for _, n := range list {
			if ok(n) && len(out) < maxClaims {
				out = append(out, n)
				if learn != nil && len(learn) < maxClaims*10 {
					learn[n] = true
				}
			}
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	out := &Capabilities{Software: printable(c.SoftwareName), Version: printable(c.SoftwareVersion), Types: map[string]TypeCaps{}}
	if fhirVersion.MatchString(c.FHIRVersion) {
		out.FHIRVersion = c.FHIRVersion
	}
	out.Interactions = names(c.Interactions, paramName.MatchString, nil)
	out.Operations = names(c.Operations, paramName.MatchString, r.operations)
	for _, typ := range c.Types() {
		if !typeName.MatchString(typ) || len(out.Types) >= maxClaims {
			continue
		}
		r.types[typ] = true
		t, _ := c.Type(typ)
		out.Types[typ] = TypeCaps{
			Interactions: names(t.Interactions, paramName.MatchString, nil),
			Params:       names(t.SearchParams, paramName.MatchString, r.params),
			Operations:   names(t.Operations, paramName.MatchString, r.operations),
		}
	}
	return out
}

// printable cuts a product's name to what can be printed.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '{' || c == '}' {
			return -1
		}
		return c
	}, s)
	return s[:min(len(s), 80)]
}

// requestBody describes the body of a POST.
func (r *redactor) requestBody(body []byte) *RequestBody {
	out := &RequestBody{Size: len(body)}
	var b struct {
		ResourceType string
		Entry        []struct {
			Request struct{ Method, URL string }
		}
	}
	if json.Unmarshal(body, &b) != nil {
		return out
	}
	out.Type = r.typ(b.ResourceType)
	for i, e := range b.Entry {
		if i == maxBatch {
			break
		}
		out.Requests = append(out.Requests, methodOf(e.Request.Method)+" "+r.url(e.Request.URL))
	}
	return out
}

func methodOf(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodOptions:
		return m
	}
	return "OTHER"
}
