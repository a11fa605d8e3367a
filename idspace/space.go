package idspace

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Options say what a [Space] is. Only Name must be set.
type Options struct {
	// Name is the caller's own stable name for the server, and part of every id: it must never change, and no two servers may have the
	// same. At most 128 bytes of UTF-8 without control characters.
	Name string
	// Bases are all service base URLs under which the server is known, also internal ones that it lets slip. None: only relative
	// references are known to be the server's. They may change without any id changing.
	Bases []string
	// Scheme makes the ids; nil: [Hash].
	Scheme Scheme
	// Mark is where the original identity is kept; the zero value is [MarkTag].
	Mark Mark
	// Pairs has Rewrite tell all that it mapped, for a [Mapping]. It costs memory for each reference.
	Pairs bool
	// Canonicals has canonical URLs that are RESTful URLs of this server rewritten too, and with them the url of the resources that they
	// name. Their base stays.
	Canonicals bool
}

// Mark says where a resource's original identity is kept.
type Mark int

const (
	// MarkTag keeps it in meta.tag.
	MarkTag Mark = iota
	// MarkSource keeps it in meta.source: [SourcePrefix] and the identity. What stood there before becomes its fragment, percent-escaped.
	// No tag is added.
	MarkSource
	// MarkIdentifier keeps it as a business identifier where the type has an array of them; the tag that names the space is added all the
	// same. Other types are marked as by MarkTag.
	MarkIdentifier
)

// Space is the ids of one server. It is safe for concurrent use. The zero value is not usable: see [New].
type Space struct {
	name   string
	scheme Scheme
	mark   Mark
	canon  bool
	pairs  bool
	bases  map[string]struct{} // normalised
	code   string              // the name, escaped
	// hashed is what all that is hashed begins with; nil with another scheme than Hash.
	hashed []byte
	// markHead is what is written into meta, up to the type.
	markHead string
	pool     sync.Pool // of *rewriter
}

// New makes a Space. The error says what is wrong with the Options.
func New(o Options) (*Space, error) {
	bad := func(why string) error { return errors.New("idspace: Options." + why) }
	switch {
	case o.Name == "":
		return nil, bad("Name is empty")
	case len(o.Name) > maxName:
		return nil, bad(fmt.Sprintf("Name is longer than %d bytes", maxName))
	case !utf8.ValidString(o.Name) || strings.ContainsFunc(o.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, bad("Name is not UTF-8 or holds control characters")
	case o.Mark < MarkTag || o.Mark > MarkIdentifier:
		return nil, bad("Mark is none of the constants")
	}
	if o.Scheme == nil {
		o.Scheme = Hash()
	}
	if o.Scheme.Name() == "" {
		return nil, bad("Scheme has no name")
	}
	if c, ok := o.Scheme.(interface{ Check(space string) error }); ok {
		if err := c.Check(o.Name); err != nil {
			return nil, fmt.Errorf("idspace: Options.Scheme %s: %w", o.Scheme.Name(), err)
		}
	}
	s := &Space{name: o.Name, scheme: o.Scheme, mark: o.Mark, canon: o.Canonicals, pairs: o.Pairs, bases: map[string]struct{}{}, code: escape(o.Name)}
	if _, ok := s.scheme.(hashScheme); ok {
		s.hashed = appendPart(appendPart(nil, idLabel), s.name)
	}
	s.markHead = spaceTag(s.code) + `,{"system":"` + OriginalSystem + `","code":"` + s.code + `/`
	if s.mark == MarkSource {
		s.markHead = `"` + SourcePrefix + s.code + `/`
	}
	for i, base := range o.Bases {
		key, ok := normalBase(base)
		if !ok || strings.ContainsAny(base, "?#") {
			return nil, bad(fmt.Sprintf("Bases[%d] is not an http or https URL of a server", i))
		}
		s.bases[key] = struct{}{}
	}
	s.pool.New = func() any { return newRewriter(s, s.target) }
	return s, nil
}

const maxName = 128

// Name gives Options.Name.
func (s *Space) Name() string { return s.name }

// Code gives the code of the tag that all resources of this space have: [SpaceSystem]|Code finds them.
func (s *Space) Code() string { return s.code }

// Fingerprint names all that decides what Rewrite makes of a resource. Bytes rewritten under different fingerprints may differ.
func (s *Space) Fingerprint() string {
	var b strings.Builder
	for _, part := range append([]string{s.name, s.scheme.Name(), fmt.Sprint(int(s.mark), s.canon)}, slices.Sorted(maps.Keys(s.bases))...) {
		fmt.Fprintf(&b, "%d:%s,", len(part), part)
	}
	return b.String()
}

// Elsewhere gives the space for what another server has, whose base URL is an https or http one, and which has no Space of its own: its name is
// "elsewhere " and that URL (its SHA-256, if it is too long), its ids are those of [Hash], and it marks resources as s does.
func (s *Space) Elsewhere(base string) (*Space, error) {
	name := "elsewhere " + base
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(base))
		name = "elsewhere " + hex.EncodeToString(sum[:])
	}
	return New(Options{Name: name, Bases: []string{base}, Mark: s.mark, Canonicals: s.canon})
}

// HasBase tells whether a URL is one of the space's bases, in any spelling.
func (s *Space) HasBase(url string) bool {
	key, ok := normalBase(url)
	if !ok {
		return false
	}
	_, ok = s.bases[key]
	return ok
}

// ID gives the id that the resource typ/id of this server has in this space. It takes any text: what is neither a type nor an id gets an id
// too, and one of its own. It never fails and is the same in every process, for ever.
func (s *Space) ID(typ, id string) string {
	if s.hashed != nil {
		var buf [hashLen]byte
		return string(appendHashID(buf[:0], s.hashed, typ, id))
	}
	out := s.scheme.ID(s.name, typ, id)
	if !usable(out) || hashShaped(out) {
		return hashScheme{}.ID(s.name, typ, id)
	}
	return out
}

// normalBase gives a base URL in the one spelling by which bases are compared: without scheme, because FHIR has http and https as the same,
// with the host in lower case, without the scheme's default port, and without slashes at its end.
func normalBase(base string) (string, bool) {
	scheme, rest, ok := strings.Cut(base, "://")
	var port string
	switch {
	case !ok:
		return "", false
	case strings.EqualFold(scheme, "http"):
		port = ":80"
	case strings.EqualFold(scheme, "https"):
		port = ":443"
	default:
		return "", false
	}
	host, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], strings.TrimRight(rest[slash:], "/")
	}
	if strings.ContainsAny(host, "@\\ ?#") {
		return "", false
	}
	host = strings.TrimSuffix(strings.ToLower(host), port)
	host = strings.TrimSuffix(host, ":") // RFC 3986 allows a port that is empty
	host = strings.TrimSuffix(host, ".")
	if host == "" || host[0] == ':' {
		return "", false
	}
	return host + path, true
}
