package idspace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/internal/memo"
	"github.com/fhirsync/fhirsync-go/internal/xhtml"
)

// Errors of [Space.Rewrite], told apart with errors.Is. They hold nothing of the input.
var (
	// ErrIdentity: it cannot be told which resource this is. The resourceType is missing or no type's name; or it, the id or an entry's fullUrl
	// is no string or stands twice with different values; or the id has a surrogate without its partner, which
	// is no character.
	ErrIdentity = errors.New("no single identity")
	// ErrMeta: meta, or meta.source with [MarkSource], is not what it must be, so that the marker has no place.
	ErrMeta = errors.New("no place for the marker")
	// ErrNested: Bundles or Parameters are nested deeper than 16 levels.
	ErrNested = errors.New("resources nested too deep")
)

// Pair is one identity and its id in a space. Its JSON is stable.
type Pair struct {
	Space string `json:"space"` // Options.Name
	Type  string `json:"type"`  // resource type
	ID    string `json:"id"`    // logical id on the server
	NewID string `json:"newId"` // id in the space
}

// Rewritten is what [Space.Rewrite] made.
type Rewritten struct {
	// Raw is the resource as rewritten, in memory of its own.
	Raw []byte
	// Type and ID are what the resource was, NewID its id in the space. ID and NewID are empty if it has none; it then has no marker either.
	Type, ID, NewID string
	// Pairs are, if [Options.Pairs] asks for them, all identities that were rewritten, as often as they occur: those of resources first, then
	// those in references. A [Mapping] is made of them.
	Pairs []Pair
	// Foreign counts the entries of a Bundle that were left alone because their fullUrl is another server's.
	Foreign int
}

// Rewrite rewrites a resource of this server into the space: its id, every reference to the server, and the marker that tells where it comes
// from. The package documentation says what is rewritten and what is left alone; no other byte changes. It rewrites always, also what was
// rewritten before. raw is not written to.
//
// raw must be JSON by RFC 8259 in UTF-8, with no byte order mark and nested no deeper than 500. The error is a *jsonscan.SyntaxError or
// tells of io.ErrUnexpectedEOF if it is not, else one of [ErrIdentity], [ErrMeta] and [ErrNested]. There is no other case in which a resource
// is refused, and none in which something is dropped.
func (s *Space) Rewrite(raw []byte) (Rewritten, error) {
	r := s.pool.Get().(*rewriter)
	defer s.pool.Put(r)
	return r.rewrite(raw)
}

// RewriteAll is Rewrite for many resources one after another, and faster: the results share memory. Who keeps the Raw of one of them keeps up to
// 64 kB of its neighbours alive, and who keeps an id of one up to 4 kB of theirs. There is one pair for each resource, in order; an error says
// nothing about the others.
func (s *Space) RewriteAll(raws iter.Seq[[]byte]) iter.Seq2[Rewritten, error] {
	return func(yield func(Rewritten, error) bool) {
		r := s.pool.Get().(*rewriter)
		r.share = true
		defer func() {
			r.share = false
			s.pool.Put(r)
		}()
		for raw := range raws {
			if !yield(r.rewrite(raw)) {
				return
			}
		}
	}
}

// rewriter is what one run of Rewrite needs. It is used again, but by one goroutine at a time.
type rewriter struct {
	m     mapper
	space *Space // nil: ids and references only
	raw   []byte

	walker   jsonscan.Walker
	wantFunc func([]byte) bool // nil: visFunc tells for itself, among those that are likely
	visFunc  func(*jsonscan.Field) error
	edits    []edit
	made     []byte          // the texts of edits
	share    bool            // results share memory
	room     []byte          // what is left of it, which nobody has had yet
	texts    strings.Builder // ids that results share
	contexts []context
	scratch  []byte
	escaped  bool // the last string that text was asked about has escapes
	places   jsonscan.Places
	placesOf int // where the string begins that places is for
	cursor   int // of contexts, the last one that begins before the last text
	links    []xhtml.Link
	pairs    []Pair
	known    memo.Memo[target]
	none     target      // of what is no reference
	types    [128]string // seen lately, so that their names are made once
	foreign  int
	own      parts // of the resource that is all of raw
}

// newRewriter makes a rewriter for a Space, or with none for the ids and references that m knows.
func newRewriter(s *Space, m mapper) *rewriter {
	r := &rewriter{m: m, space: s}
	r.visFunc = r.visit
	r.walker.Listed = partNames
	if s != nil && s.canon {
		r.wantFunc = r.want
	} else {
		r.walker.Likely = likely
	}
	return r
}

const maxScratch = 64 << 10

// edit puts made[from:to], as it stands in JSON, in the place of raw[start:end]. Without pointers the collector has nothing to do with them.
type edit struct{ start, end, from, to int }

// replace notes an edit. Where several texts are put at one place they stand there in the order of the calls.
func (r *rewriter) replace(start, end int, text string) {
	from := len(r.made)
	if len(text) <= cap(r.made)-from {
		r.made = r.made[:from+len(text)] // which writes no pointer
		copy(r.made[from:], text)
	} else {
		r.made = append(r.made, text...)
	}
	r.note(start, end, from)
}

// note notes an edit whose text is what was appended to made behind from.
func (r *rewriter) note(start, end, from int) {
	if n := len(r.edits) - 1; n >= 0 && start == end && r.edits[n].end == start && r.edits[n].to == from {
		r.edits[n].to = len(r.made) // goes on where the last one ended
		return
	}
	r.edits = append(r.edits, edit{start, end, from, len(r.made)})
}

// rewrite rewrites one resource. What it writes to r are as few pointers as can be: while the collector runs, each costs as much as a short string.
func (r *rewriter) rewrite(raw []byte) (Rewritten, error) {
	r.raw = raw
	r.edits, r.made, r.contexts = r.edits[:0], r.made[:0], r.contexts[:0]
	r.foreign, r.placesOf, r.cursor = 0, -1, -1
	defer func() {
		r.raw = nil
		if r.placesOf >= 0 {
			r.places = jsonscan.Places{}
		}
	}()
	members, found, err := r.walk()
	if err != nil {
		return Rewritten{}, fmt.Errorf("idspace: %w", err)
	}
	at := skipSpace(raw, 0)
	if raw[at] != '{' {
		return Rewritten{}, fmt.Errorf("idspace: not an object: %w", ErrIdentity)
	}
	if r.space != nil && r.space.pairs {
		r.pairs = make([]Pair, 0, len(found)+1)
	}
	own, err := r.top(members)
	if err != nil {
		return Rewritten{}, fmt.Errorf("idspace: %w", err)
	}
	// Now that it is known which entry of a Bundle is where, the rest can be looked at.
	if r.wantFunc != nil {
		if err := r.walker.Walk(raw, r.wantFunc, r.visFunc); err != nil {
			return Rewritten{}, fmt.Errorf("idspace: %w", err)
		}
	}
	for i := range found {
		r.met(&found[i], nil)
	}
	r.sort()
	out := Rewritten{Type: own.Type, ID: own.ID, NewID: own.NewID, Raw: r.splice(), Pairs: r.pairs, Foreign: r.foreign}
	if cap(r.edits) > 1<<14 || cap(r.made) > 1<<20 {
		r.edits, r.made, r.contexts = nil, nil, nil // one huge resource shall not be paid for ever after.
	}
	return out, nil
}

// walk validates all of raw, gives the members that part knows, with a few others, and the strings that may have to be rewritten; but with
// Options.Canonicals these have to be looked for in another way.
func (r *rewriter) walk() ([]jsonscan.Member, []jsonscan.Found, error) {
	if r.wantFunc != nil {
		members, err := r.walker.WalkMembers(r.raw, nil, nil)
		return members, nil, err
	}
	return r.walker.Find(r.raw)
}

// likely are the names that met knows without Options.Canonicals.
var likely = jsonscan.NewNames("reference", "url", "valueUri", "valueUrl", "div", "fullUrl", "location", "system")

// want chooses the strings that can hold references or look like a marker, with Options.Canonicals.
func (r *rewriter) want(key []byte) bool {
	switch string(key) {
	case "reference", "url", "valueUri", "valueUrl", "div", "fullUrl", "location", "system":
		return true
	}
	_, ok := canonicals[string(key)]
	return ok
}

// visit looks at a string that want has chosen.
func (r *rewriter) visit(f *jsonscan.Field) error {
	found := f.Found()
	r.met(&found, f)
	return nil
}

// met looks at a string that may have to be rewritten. With Options.Canonicals, more is to be known of where it stands: f.
func (r *rewriter) met(s *jsonscan.Found, f *jsonscan.Field) {
	token := span{s.Start, s.End}
	switch key := s.Key(r.raw); string(key) {
	case "reference":
		r.add(token, 0, r.aim(token, s.Escaped), false)
	case "fullUrl":
		r.add(token, 0, r.aim(token, s.Escaped), true)
	case "url", "valueUri", "valueUrl", "location":
		if t := r.aim(token, s.Escaped); t.hit && t.known && isAddress(string(key), s.Parent(r.raw)) {
			r.add(token, 0, t, false)
		} else if f != nil && string(key) == "url" && isName(f) {
			r.canonical(token)
		}
	case "div":
		r.narrative(token)
	case "system":
		if r.space != nil {
			r.disown(token)
		}
	default:
		if f != nil {
			r.canonical(token)
		}
	}
}

// isAddress tells whether a string of this name is the address of something. Others are names that look like one. parent is the name that the
// object stands under.
func isAddress(key string, parent []byte) bool {
	switch key {
	case "location":
		return string(parent) == "response"
	case "url":
		switch string(parent) {
		case "", "contained", "resource", "extension", "modifierExtension", "link":
			return false
		}
	}
	return true
}

// isName tells whether a url is that of a resource.
func isName(f *jsonscan.Field) bool {
	switch path := f.Path(); {
	case path == "url", path == "contained.url", strings.HasSuffix(path, ".resource.url"):
		return true
	}
	return false
}

// text gives what a string says, valid until the next call. lone tells of a surrogate without its partner.
func (r *rewriter) text(token span) (text []byte, lone bool) {
	inside := r.raw[token.start+1 : token.end-1]
	if r.escaped = hasBackslash(inside); !r.escaped {
		return inside, false
	}
	text, lone = appendUnquoted(r.scratch[:0], inside)
	if cap(text) <= maxScratch {
		r.scratch = text
	}
	return text, lone
}

// aim finds out what becomes of a string, from memory if it can: strings are remembered as they are written, and the places in the target are those
// in there.
func (r *rewriter) aim(token span, escaped bool) *target {
	r.escaped = false
	inside := r.raw[token.start+1 : token.end-1]
	if t := r.known.Find(inside); t != nil {
		return t
	}
	if !escaped {
		return r.aimNew(inside)
	}
	text, lone := r.text(token)
	t := aim(string(text), lone, r.m)
	p := jsonscan.NewPlaces(inside)
	t.whole.start = p.Of(t.whole.start)
	t.id.start = p.Of(t.id.start)
	t.id.end = p.Of(t.id.end)
	t.whole.end = p.Of(t.whole.end)
	r.escaped = false
	return r.remember(string(inside), &t)
}

// aimText does it for a text in a string.
func (r *rewriter) aimText(text []byte) *target {
	if hasBackslash(text) { // as strings have that are written with escapes
		t := aim(string(text), false, r.m)
		return &t
	}
	if t := r.known.Find(text); t != nil {
		return t
	}
	return r.aimNew(text)
}

// aimNew finds out what becomes of a text that is not known, and remembers it.
func (r *rewriter) aimNew(text []byte) *target {
	own := string(text)
	t := aim(own, false, r.m)
	return r.remember(own, &t)
}

// remember keeps what becomes of a text. All that nothing becomes of share one target.
func (r *rewriter) remember(text string, t *target) *target {
	at := &r.none
	if t.hit {
		at = new(target)
		*at = *t
	}
	r.known.Add(text, at)
	return at
}

// add notes the edit for a text, if it is to be rewritten and its surroundings do not forbid it. token is its string with the quotes, at where in
// the decoded string the text begins.
func (r *rewriter) add(token span, at int, t *target, keepBase bool) {
	if !t.hit {
		return
	}
	if len(r.contexts) > 0 {
		for r.cursor+1 < len(r.contexts) && r.contexts[r.cursor+1].start <= token.start {
			r.cursor++
		}
		if c := r.around(r.cursor, token.start); c != nil {
			if c.foreign && !t.absolute {
				return // relative to another server
			}
			keepBase = keepBase || c.keepBase
		}
	}
	place, text := t.whole, t.newWhole
	if keepBase || r.space == nil {
		place, text = t.id, t.newID
	}
	start, end := at+place.start, at+place.end
	if r.escaped {
		if r.placesOf != token.start {
			r.placesOf = token.start
			r.places = jsonscan.NewPlaces(r.raw[token.start+1 : token.end-1])
		}
		start = r.places.Of(start)
		end = r.places.Of(end)
	}
	first := token.start + len(`"`)
	r.replace(first+start, first+end, text)
	if r.pairs != nil {
		r.pairs = append(r.pairs, t.pair)
	}
}

// canonical rewrites a canonical, if it names a resource of the server by its address.
func (r *rewriter) canonical(token span) {
	text, lone := r.text(token)
	if t := aimCanonical(string(text), lone, r.m); t.hit && t.known {
		r.add(token, 0, &t, true)
	}
}

// narrative looks for links in XHTML.
func (r *rewriter) narrative(token span) {
	if !mayLink(r.raw[token.start+1 : token.end-1]) {
		return
	}
	decoded, lone := r.text(token)
	r.links = xhtml.Links(string(decoded), r.links[:0])
	for i := range r.links {
		l := &r.links[i]
		var t *target
		if lone {
			one := aim(strings.Clone(l.Text), lone, r.m)
			t = &one
		} else {
			t = r.aimText([]byte(l.Text))
		}
		if t.hit && t.known {
			r.add(token, l.Start, t.inNarrative(l), false)
		}
		l.Text = "" // does not keep the narrative
	}
}

// mayLink tells whether there may be an href or src in XHTML, as it stands in JSON. Nearly all narratives have some other attributes, and few those.
func mayLink(inside []byte) bool {
	if bytes.Contains(inside, []byte(`\u`)) {
		return true // which may stand for any letter
	}
	for {
		i := bytes.IndexByte(inside, '=')
		if i < 0 {
			return false
		}
		name := inside[:i]
		for len(name) > 0 && name[len(name)-1] == ' ' {
			name = name[:len(name)-1]
		}
		if n := len(name); n >= 2 {
			switch {
			case name[n-1] == 'f' && bytes.HasSuffix(name, []byte("href")), name[n-1] == 'c' && bytes.HasSuffix(name, []byte("src")):
				return true
			case name[n-2] == '\\': // white space that is escaped in JSON, as \n or \t
				return true
			}
		}
		inside = inside[i+1:]
	}
}

// sort puts edits in order of place, and leaves those of one place in the order in which they were noted. Nearly always there are few, and
// nearly in order.
func (r *rewriter) sort() {
	if len(r.edits) > 64 {
		slices.SortStableFunc(r.edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
		return
	}
	for i := 1; i < len(r.edits); i++ {
		for j := i; j > 0 && r.edits[j].start < r.edits[j-1].start; j-- {
			r.edits[j], r.edits[j-1] = r.edits[j-1], r.edits[j]
		}
	}
}

// around gives the innermost entry at a place, of which the last one that begins before it is known; nil if there is none.
func (r *rewriter) around(last, at int) *context {
	for last >= 0 {
		c := &r.contexts[last]
		if at < c.end {
			return c
		}
		last = c.outer
	}
	return nil
}

// splice makes the new text.
func (r *rewriter) splice() []byte {
	size := len(r.raw) + len(r.made)
	for i := range r.edits {
		size -= r.edits[i].end - r.edits[i].start
	}
	out := r.memory(size)
	raw, made := r.raw, r.made
	at, n := 0, 0
	for i := range r.edits {
		e := &r.edits[i]
		n += copy(out[n:], raw[at:e.start])
		n += copy(out[n:], made[e.from:e.to])
		at = e.end
	}
	copy(out[n:], raw[at:])
	return out
}

// shared is how much memory is taken at once for results that share it, and sharedTexts how much for their ids.
const (
	shared      = 64 << 10
	sharedTexts = 4 << 10
)

// memory gives memory for one result.
func (r *rewriter) memory(size int) []byte {
	if !r.share || size > shared/8 {
		return make([]byte, size)
	}
	if size > len(r.room) {
		r.room = make([]byte, shared)
	}
	out := r.room[:size:size]
	r.room = r.room[size:]
	return out
}

// keep makes a string for a result.
func (r *rewriter) keep(text []byte) string {
	if !r.share || len(text) > sharedTexts/8 {
		return string(text)
	}
	if r.texts.Cap()-r.texts.Len() < len(text) {
		r.texts.Reset() // the strings made so far have what it was
		r.texts.Grow(sharedTexts)
	}
	from := r.texts.Len()
	r.texts.Write(text)
	return r.texts.String()[from:]
}
