package jsonscan_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// What encoding/json makes of the same bytes. It is used token by token, because its decoding into structs ignores the
// case of names, and its maps lose duplicates and order.

// cutOff tells whether raw is the beginning of something valid. At the end encoding/json looks what a space would do,
// and where that breaks an escape, a number or a literal it complains of a space that is not there.
func cutOff(raw []byte) bool {
	var syntax *json.SyntaxError
	if !errors.As(json.Unmarshal(raw, new(json.RawMessage)), &syntax) {
		return false
	}
	return syntax.Error() == "unexpected end of JSON input" ||
		strings.HasPrefix(syntax.Error(), "invalid character ' '") && syntax.Offset == int64(len(raw)) && !bytes.HasSuffix(raw, []byte(" "))
}

// depth is how deep the brackets outside of strings go, for valid and cut off texts.
func depth(raw []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// token is one of encoding/json's, and where it ends.
type token struct {
	value any
	end   int
}

func tokens(t *testing.T, raw []byte) []token {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var out []token
	for {
		value, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		out = append(out, token{value, int(d.InputOffset())})
	}
}

// named is a string value that stands under a name.
type named struct {
	path, text string
	end        int
}

// namedStrings gives them in the order of the text.
func namedStrings(t *testing.T, raw []byte) []named {
	t.Helper()
	type level struct {
		object, value bool // value: a value comes next, not a name
		name          string
		hasName       bool
	}
	var open []level
	var out []named
	for _, tok := range tokens(t, raw) {
		if tok.value == json.Delim('}') || tok.value == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		var top level
		if len(open) > 0 {
			l := &open[len(open)-1]
			if text, ok := tok.value.(string); ok && l.object && !l.value {
				l.name, l.value, l.hasName = text, true, true
				continue
			}
			l.value = false
			top = *l
		}
		switch value := tok.value.(type) {
		case json.Delim:
			next := level{object: value == '{'}
			if !next.object {
				next.name, next.hasName = top.name, top.hasName
			}
			open = append(open, next)
		case string:
			if top.hasName {
				var names []string
				for _, l := range open {
					if l.object {
						names = append(names, l.name)
					}
				}
				out = append(out, named{strings.Join(names, "."), value, tok.end})
			}
		}
	}
	return out
}

// member is one of an object's.
type member struct {
	name string
	raw  json.RawMessage
}

// members gives those of the object raw, in order and with duplicates; nothing if raw is no object.
func members(t *testing.T, raw []byte) (out []member, ok bool) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		name, err := d.Token()
		var m member
		if err == nil {
			m.name = name.(string)
			err = d.Decode(&m.raw)
		}
		if err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		out = append(out, m)
	}
	return out, true
}

// elements gives those of the array raw; raw itself if it is something else, and nothing if it is null.
func elements(t *testing.T, raw []byte) []json.RawMessage {
	t.Helper()
	switch raw[0] {
	case 'n':
		return nil
	case '[':
		var out []json.RawMessage
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		return out
	}
	return []json.RawMessage{raw}
}

// text gives what a JSON string says, and nothing for other values.
func text(raw []byte) (s string) {
	if raw[0] == '"' {
		_ = json.Unmarshal(raw, &s)
	}
	return s
}

// identity takes the value of resourceType or id; false if there are two, or one that is no string.
func identity(raw []byte, known *string, has *bool) bool {
	switch {
	case raw[0] == 'n':
	case raw[0] != '"' || *has && *known != text(raw):
		return false
	default:
		*known, *has = text(raw), true
	}
	return true
}

// wantHeader gives what the header of the object raw must be; false if it must be an error. Of a page the id does not matter.
func wantHeader(t *testing.T, raw []byte, page bool) (h jsonscan.Header, ok bool) {
	t.Helper()
	all, ok := members(t, raw)
	ok = ok && (page || depth(raw) <= jsonscan.MaxDepth)
	var hasType, hasID bool
	for _, m := range all {
		switch m.name {
		case "resourceType":
			ok = identity(m.raw, &h.ResourceType, &hasType) && ok
		case "id":
			if page {
				h.ID = text(m.raw)
			} else {
				ok = identity(m.raw, &h.ID, &hasID) && ok
			}
		case "meta":
			ok = ok && depth(m.raw) < jsonscan.MaxDepth
			meta, _ := members(t, m.raw)
			for _, m := range meta {
				switch m.name {
				case "versionId":
					h.VersionID = text(m.raw)
				case "lastUpdated":
					h.LastUpdated = text(m.raw)
				case "tag":
					for _, tag := range elements(t, m.raw) {
						coding, _ := members(t, tag)
						h.Subsetted = h.Subsetted || slices.ContainsFunc(coding, func(m member) bool { return m.name == "code" && text(m.raw) == "SUBSETTED" })
					}
				}
			}
		}
	}
	return h, ok
}

// wantEntry gives what must come of an entry; false if it must have an error.
func wantEntry(t *testing.T, raw []byte) (e jsonscan.Entry, ok bool) {
	t.Helper()
	all, ok := members(t, raw)
	resources := 0
	for _, m := range all {
		switch m.name {
		case "fullUrl":
			e.FullURL = text(m.raw)
		case "resource":
			if resources++; m.raw[0] == '{' {
				e.Resource = m.raw
			} else if m.raw[0] != 'n' {
				ok = false
			}
		case "search":
			inner, _ := members(t, m.raw)
			for _, m := range inner {
				if m.name == "mode" {
					e.Mode = text(m.raw)
				}
			}
		case "response":
			inner, _ := members(t, m.raw)
			for _, m := range inner {
				if m.name != "status" {
					continue
				}
				if e.Status = text(m.raw); strings.Trim(string(m.raw), "0123456789") == "" {
					e.Status = string(m.raw)
				}
			}
		}
		if m.name != "resource" && depth(m.raw) >= jsonscan.MaxDepth {
			ok = false
		}
	}
	if resources > 1 {
		e.Resource = nil // there is none to choose
		return e, false
	}
	if e.Resource != nil {
		var good bool
		e.Header, good = wantHeader(t, e.Resource, false)
		ok = ok && good
	}
	return e, ok
}
