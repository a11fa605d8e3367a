package trace

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/refs"
)

// maxValues bounds the values that are told apart. What comes after them shares one placeholder of its kind.
const maxValues = 1 << 20

// redactor takes values out of names, addresses and headers. Not safe for concurrent use.
type redactor struct {
	base     *url.URL
	basePath string
	literals map[string]bool // the library's own constants, kept as they are

	known map[[16]byte]int // kind and value, to the number. The hash only saves memory: no part of it is written
	last  map[string]int   // by kind

	// What the server's metadata names, which is no secret.
	types, params, operations map[string]bool
}

func newRedactor(base *url.URL, literals []string) *redactor {
	r := &redactor{
		base: base, basePath: strings.TrimRight(base.EscapedPath(), "/"), literals: map[string]bool{}, known: map[[16]byte]int{}, last: map[string]int{},
		types: map[string]bool{}, params: map[string]bool{}, operations: map[string]bool{},
	}
	for _, l := range literals {
		r.literals[l] = true
	}
	return r
}

func keyOf(kind, value string) [16]byte {
	sum := sha256.Sum256([]byte(kind + "\x00" + value))
	return [16]byte(sum[:16])
}

// of gives the placeholder of a value.
func (r *redactor) of(kind, value string) string {
	key := keyOf(kind, value)
	n, ok := r.known[key]
	if !ok && len(r.known) < maxValues {
		r.last[kind]++
		n = r.last[kind]
		r.known[key] = n
	}
	return "{" + kind + "-" + strconv.Itoa(n) + "}"
}

func (r *redactor) id(value string) string {
	if value == "" || r.literals[value] {
		return value
	}
	return r.of("id", value)
}

func (r *redactor) isID(value string) bool {
	_, ok := r.known[keyOf("id", value)]
	return ok
}

// typ gives a resource type: its name where that is one of FHIR's or of the server's metadata.
func (r *redactor) typ(name string) string {
	if name == "" || r.isType(name) {
		return name
	}
	return r.of("type", name)
}

func (r *redactor) isType(name string) bool {
	return resourceTypes[name] || r.types[name] || r.literals[name]
}

// param gives the name of a parameter with its modifier.
func (r *redactor) param(name string) string {
	plain, modifier, has := strings.Cut(name, ":")
	out := plain
	if !r.isParam(plain) {
		out = r.of("param", plain)
	}
	if has {
		if !modifiers[modifier] && !r.isType(modifier) {
			modifier = r.of("modifier", modifier)
		}
		out += ":" + modifier
	}
	return out
}

func (r *redactor) isParam(name string) bool {
	return params[name] || r.params[name] || r.literals[name]
}

// value takes the value out of a parameter; its form stays.
func (r *redactor) value(name, value string) string {
	plain, modifier, _ := strings.Cut(name, ":")
	switch {
	case value == "" || r.literals[value]:
		return value
	case modifier == "missing" && (value == "true" || value == "false"):
		return value
	case harmless[plain] != nil && harmless[plain].MatchString(value):
		return value
	case !r.isParam(plain):
		return r.of("value", value)
	case plain == "_include" || plain == "_revinclude":
		if m := include.FindStringSubmatch(value); m != nil && r.isType(m[1]) && (m[2] == "*" || r.isParam(m[2])) && (m[3] == "" || r.isType(m[3][1:])) {
			return value
		}
	}
	parts := strings.Split(value, ",")
	if len(parts) > 50 {
		return r.of("value", value)
	}
	for i, part := range parts {
		parts[i] = r.part(plain, part)
	}
	return strings.Join(parts, ",")
}

// part takes the value out of one of several alternatives.
func (r *redactor) part(name, v string) string {
	typ, id, typed := strings.Cut(v, "/")
	date := fhirDate.FindStringSubmatch(v)
	switch {
	case v == "" || r.literals[v]:
		return v
	case name == "_type":
		return r.typ(v)
	case strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"):
		if strings.Contains(v, "|") {
			return r.of("code", v)
		}
		return r.url(v)
	case typed && r.isType(typ) && !strings.Contains(id, "/"):
		return typ + "/" + r.id(id)
	case name == "_id" || r.isID(v):
		return r.id(v)
	case date != nil:
		return date[1] + r.of("date", date[2])
	case name == "patient" || name == "subject":
		return r.id(v)
	}
	return r.of("value", v)
}

// query redacts a query or a form, keeping its order.
func (r *redactor) query(raw string) string {
	if raw == "" {
		return ""
	}
	pieces := strings.Split(raw, "&")
	for i, piece := range pieces {
		k, v, has := strings.Cut(piece, "=")
		name, value := unescape(k), unescape(v)
		out := r.param(name)
		if has {
			out += "=" + r.value(name, value)
		}
		pieces[i] = out
	}
	return strings.Join(pieces, "&")
}

func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// path redacts a path, segment by segment.
func (r *redactor) path(escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		if out, err := url.PathUnescape(s); err == nil {
			s = out
		}
		name, operation := strings.CutPrefix(s, "$")
		switch {
		case s == "" || words[s] || r.isType(s) || r.literals[s]:
		case operation && (operations[name] || r.operations[name]):
		case operation:
			s = "$" + r.of("operation", name)
		default:
			s = r.of("id", s)
		}
		segments[i] = s
	}
	return strings.Join(segments, "/")
}

// pathAndQuery redacts what follows a host.
func (r *redactor) pathAndQuery(text string) string {
	text, _, _ = strings.Cut(text, "#")
	path, query, has := strings.Cut(text, "?")
	out := r.path(path)
	if has {
		out += "?" + r.query(query)
	}
	return out
}

// rooted redacts the path and query of an address whose path may be below that of the base.
func (r *redactor) rooted(path, query string) string {
	out := ""
	if rest, ok := r.belowBase(path); ok && r.basePath != "" {
		out, path = "{path}", rest
	}
	out += r.path(path)
	if query != "" {
		out += "?" + r.query(query)
	}
	return out
}

func (r *redactor) belowBase(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, r.basePath)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// url redacts an address of any kind.
func (r *redactor) url(text string) string {
	switch {
	case text == "":
		return ""
	case len(text) > transport.MaxLink:
		return "{unreadable}"
	}
	u, err := url.Parse(text)
	if err != nil {
		scheme, rest, ok := strings.Cut(text, "://")
		i := strings.IndexAny(rest, "/?")
		if !ok || i < 0 || scheme != "http" && scheme != "https" {
			return "{unreadable}"
		}
		path, query, _ := strings.Cut(rest[i:], "?")
		return "{broken}" + r.rooted(path, query)
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	switch {
	case u.Scheme == "" && u.Host == "":
		if first, rest, _ := strings.Cut(u.EscapedPath(), "/"); first != "" && strings.EqualFold(first, r.base.Host) {
			return "{host}" + r.rooted("/"+rest, u.RawQuery)
		}
		if strings.HasPrefix(text, "/") {
			return r.rooted(u.EscapedPath(), u.RawQuery)
		}
		return r.pathAndQuery(text)
	case u.Opaque != "" || u.Host == "":
		if kind, id, ok := strings.Cut(u.Opaque, ":"); ok && u.Scheme == "urn" && (kind == "uuid" || kind == "oid") {
			return "urn:" + kind + ":" + r.id(id)
		}
		return "{unreadable}"
	case u.Scheme == "":
		u.Scheme = r.base.Scheme
	}
	rest, below := r.belowBase(u.EscapedPath())
	sameHost := host == strings.ToLower(r.base.Hostname())
	switch {
	case transport.Origin(u) == transport.Origin(r.base) && below:
		return "{base}" + r.tail(rest, u.RawQuery)
	case transport.Origin(u) == transport.Origin(r.base):
		return "{origin}" + r.tail(u.EscapedPath(), u.RawQuery)
	case sameHost && port == "" && below && u.Scheme == "http":
		return "{base-http}" + r.tail(rest, u.RawQuery)
	case sameHost && port == "" && below && u.Scheme == "https":
		return "{base-https}" + r.tail(rest, u.RawQuery)
	}
	return r.of("origin", transport.Origin(u)) + r.rooted(u.EscapedPath(), u.RawQuery)
}

func (r *redactor) tail(path, query string) string {
	if query == "" {
		return r.path(path)
	}
	return r.path(path) + "?" + r.query(query)
}

// reference redacts a reference.
func (r *redactor) reference(f *refs.Found) Ref {
	out := Ref{Path: r.elements(f.Path), Kind: f.Ref.Kind.String(), URI: f.Source != refs.FromReference}
	local := func() string {
		s := r.typ(f.Ref.Type) + "/" + r.id(f.Ref.ID)
		if f.Ref.Version != "" {
			s += "/_history/" + r.of("version", f.Ref.Version)
		}
		return s
	}
	switch f.Ref.Kind {
	case refs.Relative:
		out.To = local()
	case refs.Absolute:
		if u, err := url.Parse(f.Ref.Base); err == nil && transport.SameServer(r.base, u) {
			out.To = "{base}/" + local()
		} else if err == nil {
			out.To = r.url(f.Ref.Base) + "/" + local()
		} else {
			out.To = "{other}"
		}
	case refs.Contained:
		out.To = "#" + r.id(f.Ref.Fragment)
	case refs.URN:
		kind := "uuid"
		if strings.HasPrefix(strings.ToLower(f.Ref.ID), "urn:oid:") {
			kind = "oid"
		}
		out.To = "urn:" + kind + ":" + r.id(f.Ref.ID[min(len(f.Ref.ID), len("urn:"+kind+":")):])
	case refs.Conditional:
		out.To = r.typ(f.Ref.Type) + "?" + r.query(f.Ref.Query)
	default:
		out.To = "{other}"
	}
	return out
}

// elements gives a path without the type in front. Names that no element can have are left out.
func (r *redactor) elements(path string) string {
	_, rest, ok := strings.Cut(path, ".")
	if !ok {
		rest = path
	}
	names := strings.Split(rest, ".")
	for i, n := range names {
		if !elementName.MatchString(n) {
			names[i] = "element"
		}
	}
	return strings.Join(names, ".")
}

// header gives the names of response headers, with the values that may be seen.
func (r *redactor) header(h http.Header, now time.Time) map[string]string {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		now = t
	}
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h)) { // in order, for the sake of the numbers of placeholders.
		text := strings.Join(h[name], ", ")
		switch {
		case name == "Content-Type":
			text = contentType(text)
		case name == "Content-Encoding":
			if !slices.Contains([]string{"gzip", "deflate", "br", "zstd", "identity"}, text) {
				text = "{other}"
			}
		case name == "Location" || name == "Content-Location":
			text = r.url(text)
		case name == "Retry-After" || name == "Retry-After-Ms" || name == "X-Retry-After" || name == "X-Ms-Retry-After-Ms":
			text = moment(text, now)
		case strings.HasPrefix(name, "Ratelimit") || strings.HasPrefix(name, "X-Ratelimit") || strings.HasPrefix(name, "X-Rate-Limit"):
			text = limits(text, now)
		default:
			text = ""
		}
		out[name] = text
	}
	return out
}

// contentType keeps a media type and the parameters that matter.
func contentType(text string) string {
	kind, with, err := mime.ParseMediaType(text)
	if err != nil || !mediaType.MatchString(kind) {
		return "{other}"
	}
	kept := map[string]string{}
	for _, name := range []string{"charset", "fhirversion"} {
		if v := with[name]; shortWord.MatchString(v) {
			kept[name] = v
		}
	}
	return cmp.Or(mime.FormatMediaType(kind, kept), kind)
}

var number = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,6})?$`)

// moment gives a time to come back at: seconds as they are, points in time by how far off they are.
func moment(text string, now time.Time) string {
	text = strings.TrimSpace(text)
	if number.MatchString(text) {
		n, err := strconv.ParseFloat(text, 64)
		const epoch, epochMillis = 1e9, 1e12
		switch {
		case err != nil:
			return "{other}"
		case n > epochMillis:
			return "{epoch+" + strconv.FormatInt(int64(n/1000)-now.Unix(), 10) + "s}"
		case n > epoch:
			return "{epoch+" + strconv.FormatInt(int64(n)-now.Unix(), 10) + "s}"
		}
		return text
	}
	if t, err := http.ParseTime(text); err == nil {
		return "{date+" + strconv.FormatInt(t.Unix()-now.Unix(), 10) + "s}"
	}
	if text == "" {
		return ""
	}
	return "{other}"
}

var quota = regexp.MustCompile(`\b(limit|remaining|reset|r|t|q|w)=([0-9]{1,12})\b`)

// limits keeps the numbers of a rate limit, and no names of who is limited.
func limits(text string, now time.Time) string {
	if out := moment(text, now); out != "{other}" {
		return out
	}
	var parts []string
	for item := range strings.SplitSeq(text, ",") {
		var kept []string
		if first, _, _ := strings.Cut(strings.TrimSpace(item), ";"); number.MatchString(first) {
			kept = append(kept, first)
		} else if strings.HasPrefix(first, `"`) {
			kept = append(kept, `"policy"`)
		}
		kept = append(kept, quota.FindAllString(item, 8)...)
		if len(kept) > 0 && len(parts) < 8 {
			parts = append(parts, strings.Join(kept, ";"))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "{other}")
}
