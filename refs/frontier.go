package refs

import (
	"cmp"
	"hash/maphash"
	"net/url"
	"slices"
	"strings"
)

// Target is something that references name: a resource, one version of it, a search that must find exactly one, or content at an address.
type Target struct {
	Type    string // resource type; empty for content that is no resource
	ID      string // logical id, opaque; empty for a search
	Version string // a named version; only where [Frontier.Versions] asks for them
	Query   string // of a conditional reference, as written, or of a canonical: what is to be asked as Type?Query
	URL     string // what an Attachment.url says, as written; beside Type and ID if it is the address of a resource

	Path  string // element that named it first, as in [Found]
	Count int    // how often it was named while it was wanted
	Hops  Hops   // how far it is, by the shortest way known
}

// Literal gives the target as a literal reference relative to the server: Type/id, Type/id/_history/version, Type?query, or the URL as written.
func (t *Target) Literal() string {
	switch {
	case t.Query != "":
		return t.Type + "?" + t.Query
	case t.Type == "":
		return t.URL
	case t.Version != "":
		return t.Type + "/" + t.ID + "/_history/" + t.Version
	}
	return t.Type + "/" + t.ID
}

// Reason says why references are not followed. Callers may have their own.
type Reason string

// The reasons a [Frontier] has.
const (
	OtherServer      Reason = "on another server"            // an absolute reference to one; Skipped.Host says which
	ContentElsewhere Reason = "content at another address"   // an Attachment.url to one; Skipped.Host says which
	Unresolved       Reason = "urn that nothing resolves"    // it is no fullUrl of what came with it
	NoResource       Reason = "names no resource"            // Invalid or Other
	TypeOmitted      Reason = "type left out by the policy"  // one of Policy.OmitTypes
	TooFar           Reason = "further than the policy goes" // beyond Policy.Hops
	TooMany          Reason = "more targets than the limit"  // beyond Frontier.Max
)

// Skipped counts references that are not followed: each one, not their targets, which nobody remembers.
type Skipped struct {
	Reason Reason
	Host   string // of OtherServer and ContentElsewhere, in lower case and with its port; empty for all hosts beyond the first 64
	Count  int
}

// Frontier is what the resources of a record refer to and what is still to be fetched. It de-duplicates: a target is wanted once, and after
// it was taken never again, whatever became of it, so that cycles end and nothing is asked twice.
//
// The zero value is ready: it follows the default Policy, holds nothing, and takes absolute references to be another server's. The fields
// are set before the first use. It is not safe for concurrent use: whoever has several goroutines brings a lock, under which the functions in
// the fields are called too. They must not use the Frontier.
//
// Memory is some 150 bytes and the strings for each target that is wanted, and about 40 bytes for each one that was taken.
type Frontier struct {
	Policy Policy

	// Here tells whether the base of an absolute reference, as written, is one of the server the resources come from. nil: none is.
	Here func(base string) bool

	// Content tells whether what an Attachment.url names, and is no resource of this server, can be fetched. url is as written, and may be
	// relative to the server's base. nil: none can.
	Content func(url string) bool

	// Held tells whether a target is held already. It is called for resources (without Version) and, with Versions, for named versions, and must not keep t.
	// nil: nothing is held.
	Held func(t *Target) bool

	// Follow is asked about what would be followed otherwise: an element of a resource of type typ. false: it is not followed, and counted under the
	// Reason unless that is empty. nil: all is followed.
	Follow func(typ string, found *Found) (Reason, bool)

	// Versions asks for the named version of a versioned reference beside the current one.
	Versions bool

	// Max bounds how many different targets are wanted, over the life of the Frontier. 0: 200,000.
	Max int

	seeds   [2]maphash.Seed
	want    map[string]*wants // by resource type
	wanting int               // targets in want
	taken   map[ident]Hops
	skipped map[skip]int
	hosts   int
	scratch Target // what Held is asked about
}

const (
	defaultMax = 200_000
	maxHosts   = 64
)

type skip struct {
	reason Reason
	host   string
}

// wants are the wanted targets of one type.
type wants struct {
	by    map[ident]*Target
	order []ident // as they were named; some are not wanted any longer
}

// ident stands for a target. Its hash is keyed, so that nobody can make two targets that share one.
type ident [2]uint64

// init makes the zero value usable.
func (f *Frontier) init() {
	if f.want == nil {
		f.want, f.taken, f.skipped = map[string]*wants{}, map[ident]Hops{}, map[skip]int{}
		f.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	}
}

func (f *Frontier) ident(t *Target) ident {
	f.init()
	var id ident
	for i := range id {
		var h maphash.Hash
		h.SetSeed(f.seeds[i])
		// NUL is a control character, which no reference holds.
		_, _ = h.WriteString(t.Type)
		_ = h.WriteByte(0)
		switch {
		case t.Query != "":
			_ = h.WriteByte('?')
			_, _ = h.WriteString(t.Query)
		case t.ID == "":
			_ = h.WriteByte(':')
			_, _ = h.WriteString(t.URL)
		default:
			_ = h.WriteByte('/')
			_, _ = h.WriteString(t.ID)
			_ = h.WriteByte(0)
			_, _ = h.WriteString(t.Version)
		}
		id[i] = h.Sum64()
	}
	return id
}

// Hops tells how far a resource is: 0 unless it was taken from the Frontier.
func (f *Frontier) Hops(typ, id string) Hops { return f.taken[f.ident(&Target{Type: typ, ID: id})] }

// Add notes what a resource of a type refers to. hops is how far that resource is: 0 for one that was asked for, f.Hops(typ, id) in general.
// Found of Sources that are not followed are passed over. Nothing is retained but strings of what is wanted.
func (f *Frontier) Add(typ string, hops Hops, found ...Found) {
	for i := range found {
		f.add(typ, hops+1, &found[i])
	}
}

func (f *Frontier) add(typ string, hops Hops, x *Found) {
	t := &f.scratch
	*t = Target{Path: x.Path, Count: 1, Hops: hops}
	var (
		reason Reason
		ok     bool
	)
	switch x.Source {
	case FromReference:
		reason, ok = f.reference(t, &x.Ref)
	case FromAttachment:
		reason, ok = f.attachment(t, x)
	case FromCanonical:
		ok = f.canonical(t, x)
	default:
		return
	}
	if ok && f.Follow != nil {
		reason, ok = f.Follow(typ, x)
	}
	if ok && f.Policy.Omits(t.Type) {
		reason, ok = TypeOmitted, false
	}
	if !ok {
		f.skip(reason, x)
		return
	}
	version := x.Ref.Version
	if x.Source == FromCanonical || !f.Versions {
		version = ""
	}
	f.wanted(x)
	if version != "" {
		t.Version = version
		f.wanted(x)
	}
}

// reference fills in what a Reference names.
func (f *Frontier) reference(t *Target, ref *Reference) (Reason, bool) {
	switch ref.Kind {
	case Relative:
	case Absolute:
		if f.Here == nil || !f.Here(ref.Base) {
			return OtherServer, false
		}
	case Conditional:
		t.Type, t.Query = ref.Type, ref.Query
		return "", true
	case Contained:
		return "", false
	case URN:
		return Unresolved, false
	case Invalid, Other:
		return NoResource, false
	default:
		return NoResource, false
	}
	t.Type, t.ID = ref.Type, ref.ID
	return "", true
}

// attachment fills in what an Attachment.url names.
func (f *Frontier) attachment(t *Target, x *Found) (Reason, bool) {
	if f.Policy.OmitAttachments {
		return "", false
	}
	t.URL = x.Text
	switch {
	case x.Ref.Kind == Relative, x.Ref.Kind == Absolute && f.Here != nil && f.Here(x.Ref.Base):
		t.Type, t.ID = x.Ref.Type, x.Ref.ID
		return "", true
	case x.Ref.Kind == Contained, hasPrefixFold(x.Text, "data:"):
		return "", false // it is there already
	case x.Ref.Kind != Invalid && f.Content != nil && f.Content(x.Text):
		return "", true
	case hostOf(x.Text) != "":
		return ContentElsewhere, false
	}
	return NoResource, false
}

// canonical fills in what a canonical names.
func (f *Frontier) canonical(t *Target, x *Found) bool {
	if len(f.Policy.Canonicals) == 0 {
		return false
	}
	c := ParseCanonical(x.Text)
	if c.Ref.Type == "" || !slices.Contains(f.Policy.Canonicals, c.Ref.Type) {
		return false
	}
	t.Type = c.Ref.Type
	if c.Ref.Kind == Relative || c.Ref.Kind == Absolute && f.Here != nil && f.Here(c.Ref.Base) {
		t.ID = c.Ref.ID
		return true
	}
	// http://hl7.org/fhir/R4/search.html#escaping
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `|`, `\|`, `$`, `\$`)
	t.Query = "url=" + url.QueryEscape(escape.Replace(c.URL))
	if c.Version != "" {
		t.Query += "&version=" + url.QueryEscape(escape.Replace(c.Version))
	}
	return true
}

// wanted notes the target in scratch, unless it is held, known, or too much.
func (f *Frontier) wanted(x *Found) {
	t := &f.scratch
	id := f.ident(t)
	if known := f.find(t.Type, id); known != nil {
		known.Count++
		known.Hops = min(known.Hops, t.Hops)
		if known.URL == "" {
			known.URL = t.URL
		}
		return
	}
	if _, done := f.taken[id]; done {
		return
	}
	if f.Held != nil && t.ID != "" && f.Held(t) {
		return
	}
	limit := f.Max
	if limit == 0 {
		limit = defaultMax
	}
	switch {
	case !f.Policy.Reaches(t.Hops):
		f.skip(TooFar, x)
	case f.wanting+len(f.taken) >= limit:
		f.skip(TooMany, x)
	default:
		added := *t
		f.keep(id, &added)
	}
}

// find gives a wanted target; nil: it is not wanted.
func (f *Frontier) find(typ string, id ident) *Target {
	if w := f.want[typ]; w != nil {
		return w.by[id]
	}
	return nil
}

// keep wants a target.
func (f *Frontier) keep(id ident, t *Target) {
	w := f.want[t.Type]
	if w == nil {
		w = &wants{by: map[ident]*Target{}}
		f.want[t.Type] = w
	}
	if w.by[id] == nil {
		f.wanting++
		const slack = 64
		if len(w.order) > 2*len(w.by)+slack {
			w.order = slices.DeleteFunc(w.order, func(id ident) bool { return w.by[id] == nil })
		}
		w.order = append(w.order, id)
	}
	w.by[id] = t
}

// forget wants a target no longer.
func (f *Frontier) forget(typ string, id ident) {
	w := f.want[typ]
	if w == nil || w.by[id] == nil {
		return
	}
	f.wanting--
	if delete(w.by, id); len(w.by) == 0 {
		delete(f.want, typ)
	}
}

// Len tells how many targets are wanted.
func (f *Frontier) Len() int { return f.wanting }

// Types tells how many targets of each type are wanted. The map is the caller's.
func (f *Frontier) Types() map[string]int {
	out := make(map[string]int, len(f.want))
	for typ, w := range f.want {
		out[typ] = len(w.by)
	}
	return out
}

// Wanted gives the targets that are wanted, in the order that Take has, and leaves them wanted: for saving them.
func (f *Frontier) Wanted() []Target {
	out := make([]Target, 0, f.wanting)
	for _, w := range f.want {
		for _, t := range w.by {
			out = append(out, *t)
		}
	}
	slices.SortFunc(out, compare)
	return out
}

// Take gives the targets that are wanted and still not held, ordered by type, id, version, query and URL, and empties the Frontier. What it gave is
// not wanted again unless it is put back.
func (f *Frontier) Take() []Target {
	out := f.Wanted()
	out = slices.DeleteFunc(out, func(t Target) bool { return f.Held != nil && t.ID != "" && f.Held(&t) })
	for i := range out {
		f.taken[f.ident(&out[i])] = out[i].Hops
	}
	clear(f.want)
	f.wanting = 0
	return out
}

// TakeSome is Take for one type, and for n targets at most: of those that ok picks, the ones that were named first, in that order. ok must not keep
// t; nil picks all.
func (f *Frontier) TakeSome(typ string, n int, ok func(t *Target) bool) []Target {
	w := f.want[typ]
	if w == nil {
		return nil
	}
	var out []Target
	rest := w.order[:0]
	for i, id := range w.order {
		t := w.by[id]
		switch {
		case len(out) >= n:
			rest = append(rest, w.order[i:]...)
		case t == nil:
			continue
		case f.Held != nil && t.ID != "" && f.Held(t):
			f.forget(typ, id)
			continue
		case ok != nil && !ok(t):
			rest = append(rest, id)
			continue
		default:
			out = append(out, *t)
			f.taken[id] = t.Hops
			f.forget(typ, id)
			continue
		}
		break
	}
	w.order = rest
	return out
}

// Put wants targets, held or not and beyond Max: those that were taken and could not be asked for, or that an earlier run had left.
func (f *Frontier) Put(targets ...Target) {
	for i := range targets {
		t := targets[i]
		id := f.ident(&t)
		delete(f.taken, id)
		f.keep(id, &t)
	}
}

// Drop makes that a resource is not wanted any longer, because it has come by another way. Whether it is wanted when it is named again is for Held to
// say. A named version stays wanted.
func (f *Frontier) Drop(typ, id string) {
	if f.want[typ] != nil {
		f.forget(typ, f.ident(&Target{Type: typ, ID: id}))
	}
}

// Exclude makes that a target is not wanted, now or later: as if it had been taken.
func (f *Frontier) Exclude(t Target) {
	id := f.ident(&t)
	f.forget(t.Type, id)
	f.taken[id] = t.Hops
}

// Skipped gives what was not followed, in order of reason and host.
func (f *Frontier) Skipped() []Skipped {
	out := make([]Skipped, 0, len(f.skipped))
	for s, n := range f.skipped {
		out = append(out, Skipped{Reason: s.reason, Host: s.host, Count: n})
	}
	slices.SortFunc(out, func(a, b Skipped) int {
		return cmp.Or(cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Host, b.Host))
	})
	return out
}

// Skip adds to what was not followed: what an earlier run counted, or what the caller finds out only later.
func (f *Frontier) Skip(s Skipped) {
	f.init()
	f.count(skip{s.Reason, s.Host}, s.Count)
}

func (f *Frontier) skip(reason Reason, x *Found) {
	if reason == "" {
		return
	}
	f.init()
	s := skip{reason: reason}
	if reason == OtherServer || reason == ContentElsewhere {
		s.host = hostOf(x.Text)
	}
	f.count(s, 1)
}

func (f *Frontier) count(s skip, n int) {
	if _, known := f.skipped[s]; !known && s.host != "" {
		if f.hosts == maxHosts {
			s.host = ""
		} else {
			f.hosts++
		}
	}
	f.skipped[s] += n
}

func compare(a, b Target) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Query, b.Query), cmp.Compare(a.URL, b.URL),
	)
}

// hostOf gives the host and port of an http address, in lower case and without the user's name; empty for anything else.
func hostOf(text string) string {
	switch {
	case hasPrefixFold(text, "https://"):
		text = text[len("https://"):]
	case hasPrefixFold(text, "http://"):
		text = text[len("http://"):]
	default:
		return ""
	}
	if i := strings.IndexAny(text, "/?#\\"); i >= 0 {
		text = text[:i]
	}
	text = text[strings.LastIndexByte(text, '@')+1:]
	const longest = 255 // http://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
	if len(text) > longest || hasControl(text) {
		return ""
	}
	return strings.ToLower(text)
}
