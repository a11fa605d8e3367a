package conform

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
)

const xhtml = "http://www.w3.org/1999/xhtml"

// What a narrative may hold, by invariant txt-1. https://hl7.org/fhir/R4/narrative.html#xhtml
var (
	xhtmlElements = words(`a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li
		ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var`)
	xhtmlAttributes = words(`abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset
		cite class colspan compact coords dir frame headers height href hreflang hspace id lang longdesc name nowrap rel rev rowspan rules scope
		shape span src start style summary tabindex title type valign value vspace width`)
	// Elements that say nothing to a reader go with what is in them.
	xhtmlGone = words("script style head noscript template")
	// Of these only the tags go. What is not here and not allowed (del and s, which unsay their text; forms, whose state is no text) is
	// left alone.
	xhtmlUnwrapped = words(`html body section article header footer main nav figure figcaption center font u ins mark label`)
	xhtmlEmpty     = words("br col hr img")
)

func words(text string) map[string]bool {
	set := map[string]bool{}
	for w := range strings.FieldsSeq(text) {
		set[w] = true
	}
	return set
}

// narrative cleans the div of a resource's text.
func (p *pass) narrative(n *node, f *frame) {
	text := n.get("text")
	if text == nil || text.kind != '{' {
		return
	}
	div := text.get("div")
	s, ok := div.str(p.raw)
	if !ok || legalNarrative(s) {
		return
	}
	at := f.in("text").in("div")
	clean, ok := cleanNarrative(s)
	if !ok || !p.on(RuleNarrative) || !legalNarrative(clean) {
		p.fault(RuleNarrative, at)
		return
	}
	p.changed(RuleNarrative, at, div)
	div.set('"', quote(clean))
}

// legalNarrative tells whether a text is one well-formed div with nothing in it that may not be there.
func legalNarrative(s string) bool {
	d := xml.NewDecoder(strings.NewReader(s))
	depth, said := 0, false
	for first := true; ; first = false {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return !first && depth == 0 && said
		}
		if err != nil {
			return false
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 && (!first || t.Name.Local != "div") || t.Name.Space != xhtml || !xhtmlElements[t.Name.Local] {
				return false
			}
			for _, a := range t.Attr {
				if !legalAttribute(a) {
					return false
				}
			}
			said = said || t.Name.Local == "img"
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			if depth == 0 {
				return false
			}
			said = said || strings.TrimSpace(string(t)) != ""
		case xml.Comment:
			if depth == 0 {
				return false
			}
		default:
			return false
		}
	}
}

func legalAttribute(a xml.Attr) bool {
	switch {
	case a.Name.Local == "xmlns" && a.Name.Space == "":
		return a.Value == xhtml
	case a.Name.Local == "lang" && (a.Name.Space == "xml" || a.Name.Space == "http://www.w3.org/XML/1998/namespace"):
		return true
	case a.Name.Space != "" || !xhtmlAttributes[a.Name.Local]:
		return false
	case a.Name.Local == "href" || a.Name.Local == "src":
		return !runs(a.Value)
	}
	return true
}

// runs tells whether an address is a program. Browsers read over white space and control characters in it.
func runs(address string) bool {
	address = strings.ToLower(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, address))
	return strings.HasPrefix(address, "javascript:") || strings.HasPrefix(address, "vbscript:") || strings.HasPrefix(address, "data:text/html")
}

// cleanNarrative makes one div of a text, whose words stay the same. ok is false if that cannot be done without a guess.
func cleanNarrative(s string) (clean string, ok bool) {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Strict, d.Entity = false, xml.HTMLEntity
	var out strings.Builder
	var open []string // elements that are written
	gone := 0         // how many elements are open of those that go
	wrapped := false
	start := func(name string, attrs []xml.Attr) {
		out.WriteString("<" + name)
		if len(open) == 0 {
			out.WriteString(` xmlns="` + xhtml + `"`)
		}
		seen := map[string]bool{}
		for _, a := range attrs {
			a.Name.Local = strings.ToLower(a.Name.Local)
			full := a.Name.Local
			if a.Name.Space != "" {
				full = a.Name.Space + ":" + full
			}
			if a.Name.Local == "xmlns" || !legalAttribute(a) || seen[full] {
				continue
			}
			seen[full] = true
			out.WriteString(" " + full + `="`)
			_ = xml.EscapeText(&out, []byte(a.Value)) // a Builder does not fail.
			out.WriteString(`"`)
		}
	}
	wrap := func() {
		if len(open) == 0 {
			start("div", nil)
			out.WriteString(">")
			open = append(open, "div")
			wrapped = true
		}
	}
	for {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", false
		}
		switch t := t.(type) {
		case xml.StartElement:
			name := strings.ToLower(t.Name.Local)
			switch {
			case t.Name.Space != "":
				return "", false
			case gone > 0 || xhtmlGone[name]:
				if !xhtmlEmpty[name] {
					gone++
				}
			case xhtmlElements[name]:
				if len(open) == 0 && (name != "div" || out.Len() > 0) {
					if out.Len() > 0 {
						return "", false // something behind the div
					}
					wrap()
				}
				start(name, t.Attr)
				if xhtmlEmpty[name] {
					out.WriteString("/>")
				} else {
					out.WriteString(">")
					open = append(open, name)
				}
			case !xhtmlUnwrapped[name]:
				return "", false
			}
		case xml.EndElement:
			name := strings.ToLower(t.Name.Local)
			switch {
			case gone > 0:
				if !xhtmlEmpty[name] {
					gone--
				}
			case xhtmlEmpty[name] || !xhtmlElements[name]:
			default:
				open = closeTo(&out, open, name, wrapped)
			}
		case xml.CharData:
			if gone > 0 {
				continue
			}
			if len(open) == 0 {
				if strings.TrimSpace(string(t)) == "" {
					continue
				}
				if out.Len() > 0 {
					return "", false
				}
				wrap()
			}
			out.WriteString(textEscaper.Replace(string(t)))
		}
	}
	if gone > 0 {
		return "", false // what follows an element that is never closed would be lost
	}
	for _, name := range slices.Backward(open) {
		out.WriteString("</" + name + ">")
	}
	return out.String(), out.Len() > 0
}

// closeTo closes the innermost element of a name and what is open in it. An end without a beginning is left out.
func closeTo(out *strings.Builder, open []string, name string, wrapped bool) []string {
	last := 0
	if wrapped {
		last = 1
	}
	for i := len(open) - 1; i >= last; i-- {
		if open[i] != name {
			continue
		}
		for j := len(open) - 1; j >= i; j-- {
			out.WriteString("</" + open[j] + ">")
		}
		return open[:i]
	}
	return open
}

var textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
