package refs

import "strings"

// Kind says what kind of literal reference a text is.
type Kind int

// The kinds. More may come: treat one you do not know like Other.
const (
	Invalid     Kind = iota // nothing that could be looked up: see Parse
	Relative                // Patient/123, with or without /_history/4: on the server the resource came from
	Absolute                // https://host/fhir/Patient/123, with or without /_history/4
	Contained               // #p1, or # for the container itself: within the same resource
	URN                     // urn:uuid:... or urn:oid:...: a fullUrl of the same Bundle
	Conditional             // Patient?identifier=...: a search, legal in transactions only
	Other                   // any other text; perhaps a URI, but not of a FHIR resource

	// These have no literal reference: ReadReference tells them, Parse does not.
	Logical     // an identifier alone
	DisplayOnly // a display alone
)

// String gives the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case Relative:
		return "relative"
	case Absolute:
		return "absolute"
	case Contained:
		return "contained"
	case URN:
		return "urn"
	case Conditional:
		return "conditional"
	case Other:
		return "other"
	case Logical:
		return "logical"
	case DisplayOnly:
		return "display only"
	}
	return "unknown"
}

// Reference is a literal reference taken apart. The zero value is Invalid.
// Fields that a kind does not have are empty; References are comparable.
//
// An ID or Version is never empty where Type is set by Relative or Absolute,
// never "." or ".." (percent-escaped or not), and never holds a slash,
// question mark, number sign or control character. Nothing else is promised about it:
// spaces, bars, percent signs and letters of any script occur. Escape it
// before putting it into a URL.
type Reference struct {
	Kind     Kind
	Base     string // Absolute only: "https://host/fhir", as written but without slashes at its end
	Type     string // Relative, Absolute, Conditional: the resource type
	ID       string // Relative, Absolute: the logical id. URN: all of the URN but its fragment
	Version  string // Relative, Absolute: the version id after /_history/
	Fragment string // what follows the first #. Contained: the id of the contained resource, empty for the container
	Query    string // what follows the first ?. Beside Relative and Absolute it is no part of the identity
}

// Parse takes a literal reference apart. It never fails and never allocates:
// the fields are parts of s.
//
//   - Type/id and Type/id/_history/version are Relative. A slash before or
//     behind is ignored: servers that send one mean their base, not the root
//     of their host.
//   - With http:// or https:// and a host before it, it is Absolute. The last Type/id
//     of the path counts, what stands before it is the base. URLs with user
//     information are Other: none of FHIR's, and not to be used by accident.
//   - What has the form Type?query is Conditional.
//   - Type is any upper-case ASCII letter followed by ASCII letters. _history,
//     _search and names that begin with $ are interactions and operations, not ids.
//   - Invalid are: the empty text; control characters anywhere; path segments
//     "." and "..", percent-escaped or not.
//   - The rest is Other, such as a lone type, a path of more segments, mailto:
//     or an http URL without Type/id at its end.
//
// White space is not trimmed and letter case is kept, but the schemes
// http, https and urn:uuid, urn:oid are known in any case.
func Parse(s string) Reference {
	if s == "" || hasControl(s) {
		return Reference{}
	}
	ref := Reference{Kind: Other}
	path, fragment, _ := strings.Cut(s, "#")
	ref.Fragment = fragment
	if path == "" {
		ref.Kind = Contained
		return ref
	}
	if hasPrefixFold(path, "urn:uuid:") || hasPrefixFold(path, "urn:oid:") {
		if !strings.ContainsAny(path, "/?") && path[len(path)-1] != ':' {
			ref.Kind, ref.ID = URN, path
		}
		return ref
	}
	path, query, _ := strings.Cut(path, "?")
	ref.Query = query

	base, absolute, ok := authority(path)
	if hasDots(path[len(base):]) {
		return Reference{}
	}
	if !ok {
		return ref
	}
	rest := strings.TrimSuffix(path[len(base):], "/")
	if typ := strings.TrimPrefix(rest, "/"); !absolute && query != "" && isType(typ) {
		ref.Kind, ref.Type = Conditional, typ
		return ref
	}
	rest, version, versioned := cutVersion(rest)
	rest, id := cutLast(rest)
	rest, typ := cutLast(rest)
	if !isType(typ) || !isID(id) || versioned && !isID(version) {
		return ref
	}
	switch {
	case absolute:
		ref.Kind = Absolute
		ref.Base = strings.TrimRight(path[:len(base)+len(rest)], "/")
	case rest == "":
		ref.Kind = Relative
	default:
		return ref
	}
	ref.Type, ref.ID, ref.Version = typ, id, version
	return ref
}

// authority tells whether path begins with http or https and a host. If so,
// base is that beginning, up to the slash after the host. ok is false if there
// should be a host and there is none that a FHIR base can have.
func authority(path string) (base string, absolute, ok bool) {
	start := len("https://")
	if hasPrefixFold(path, "http://") {
		start = len("http://")
	} else if !hasPrefixFold(path, "https://") {
		return "", false, true
	}
	end := len(path)
	if slash := strings.IndexByte(path[start:], '/'); slash >= 0 {
		end = start + slash
	}
	if host := path[start:end]; host == "" || host[0] == ':' || strings.ContainsAny(host, "@\\ ") {
		return "", true, false
	}
	return path[:end], true, true
}

// cutVersion cuts /_history/version off the end.
func cutVersion(path string) (rest, version string, found bool) {
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return path, "", false
	}
	if rest, found = strings.CutSuffix(path[:slash], "/_history"); !found {
		return path, "", false
	}
	return rest, path[slash+1:], true
}

// cutLast cuts off the last segment of a path and the slash before it.
func cutLast(path string) (rest, segment string) {
	if slash := strings.LastIndexByte(path, '/'); slash >= 0 {
		return path[:slash], path[slash+1:]
	}
	return "", path
}

// isType tells whether a path segment looks like a resource type. There is no
// list of types to look it up in: FHIR versions bring new ones.
func isType(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// isID tells whether a path segment can be an id: it is there, and does not
// name an interaction or an operation.
func isID(s string) bool {
	return s != "" && s[0] != '$' && s != "_history" && s != "_search"
}

// hasDots tells whether a segment of path is "." or "..", which a client or
// server on the way might resolve. Escaped dots count, for the same reason.
func hasDots(path string) bool {
	for more := true; more; {
		var segment string
		segment, path, more = strings.Cut(path, "/")
		dots := 0
		for segment != "" {
			switch {
			case segment[0] == '.':
				segment = segment[1:]
			case hasPrefixFold(segment, "%2e"):
				segment = segment[len("%2e"):]
			default:
				dots, segment = 2, ""
			}
			dots++
		}
		if dots == 1 || dots == 2 {
			return true
		}
	}
	return false
}

// hasControl tells whether there are control characters of ASCII or of the
// block after it (U+0080 to U+009F).
func hasControl(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f || c == 0xc2 && i+1 < len(s) && 0x80 <= s[i+1] && s[i+1] <= 0x9f {
			return true
		}
	}
	return false
}

// hasPrefixFold is strings.HasPrefix for a prefix in lower-case ASCII, in any
// case.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
