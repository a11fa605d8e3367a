// Package xhtml finds the links in a narrative (http://hl7.org/fhir/R4/narrative.html) without building a tree of it.
package xhtml

import (
	"html"
	"strings"
)

// Link is the value of an href or src.
type Link struct {
	Start, End int    // place in the narrative, without quotes and the white space in them
	Text       string // the value as it stands there, or, if Odd, with its character references decoded
	Odd        bool   // there are some before any question mark
	Bare       bool   // there are no quotes around it
}

// Links appends the values of href and src in XHTML to found. What is no attribute, such as text and comments, is passed over.
func Links(div string, found []Link) []Link {
	for i := 0; i < len(div); {
		n := strings.IndexByte(div[i:], '<')
		if n < 0 {
			return found
		}
		i += n + 1
		rest := div[i:]
		switch {
		case strings.HasPrefix(rest, "!--"):
			i += behind(rest, "-->")
		case strings.HasPrefix(rest, "![CDATA["):
			i += behind(rest, "]]>")
		case rest == "" || !isLetter(rest[0]):
			// The end of an element, an instruction, or a bare bracket.
		default:
			i, found = tag(div, i, found)
		}
	}
	return found
}

// behind gives the place behind the first occurrence of end in s, or s's own end.
func behind(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

// tag goes through the attributes of the tag whose name begins at i.
func tag(div string, i int, found []Link) (int, []Link) {
	for i < len(div) && !isSpace(div[i]) && div[i] != '>' && div[i] != '/' {
		i++
	}
	for {
		for i < len(div) && (isSpace(div[i]) || div[i] == '/') {
			i++
		}
		if i >= len(div) || div[i] == '>' || div[i] == '<' {
			return i, found
		}
		start := i
		for i++; i < len(div) && !isSpace(div[i]) && strings.IndexByte("=>/<", div[i]) < 0; {
			i++
		}
		name := div[start:i]
		for i < len(div) && isSpace(div[i]) {
			i++
		}
		if i >= len(div) || div[i] != '=' {
			continue
		}
		for i++; i < len(div) && isSpace(div[i]); {
			i++
		}
		if i >= len(div) {
			return i, found
		}
		var value Link
		if quote := div[i]; quote == '"' || quote == '\'' {
			n := strings.IndexByte(div[i+1:], quote)
			if n < 0 {
				return len(div), found
			}
			value.Start, value.End = i+1, i+1+n
			i = value.End + 1
		} else {
			value.Start, value.Bare = i, true
			for i < len(div) && !isSpace(div[i]) && div[i] != '>' {
				i++
			}
			value.End = i
		}
		if name == "href" || name == "src" {
			found = append(found, value.read(div))
		}
	}
}

// read gives the link whose value stands at a place.
func (l Link) read(div string) Link {
	for l.Start < l.End && isSpace(div[l.Start]) {
		l.Start++
	}
	for l.Start < l.End && isSpace(div[l.End-1]) {
		l.End--
	}
	l.Text = div[l.Start:l.End]
	if strings.IndexByte(l.Text, '&') >= 0 {
		path, _, _ := strings.Cut(l.Text, "?")
		// Behind a question mark they are in nobody's way.
		if strings.IndexByte(path, '&') >= 0 {
			l.Text, l.Odd = html.UnescapeString(l.Text), true
		}
	}
	return l
}

func isSpace(c byte) bool  { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }
func isLetter(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }
