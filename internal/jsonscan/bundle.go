package jsonscan

import (
	"strconv"
	"strings"
)

// Link is one of Bundle.link. A link that is there but cannot be read (it is
// not an object, or has no relation or url that is a string) is listed all the
// same with what is missing left empty: a page with an unreadable link is not
// a last page.
type Link struct{ Relation, URL string }

// Entry is one of Bundle.entry.
type Entry struct {
	Header            // of the resource; zero when Resource is nil
	Start, End int    // place of the entry's value in the page
	FullURL    string // empty unless it is a string
	Mode       string // search.mode; empty unless it is a string
	Status     string // response.status; a number is taken as it is written
	Resource   []byte // span of the page, not a copy; nil when absent or null

	// Err says that this entry cannot be read, and nothing about the others.
	// Its bytes are page[Start:End], which is empty where two commas follow one
	// another. Header and Resource then hold what could be read, for a report
	// or a quarantine only.
	Err error
}

// Bundle is one page, cut into its entries by [Bundle.Split].
//
// The zero value is ready. A Bundle may be used again and again, which saves
// memory, but not by several goroutines at once.
type Bundle struct {
	Header
	Type     string // Bundle.type
	Total    int    // Bundle.total
	HasTotal bool   // false too if total is no natural number, or one that no int can hold
	Links    []Link
	Entries  []Entry
	Object   bool // entry was an object in the place of an array of one

	w writer
}

// Split reads a page. What b held before is gone: its slices are used again,
// while strings taken from it stay good. The Resource of each entry shares
// memory with page.
//
// It is structural (see the package comment), and one pass. A byte order mark
// before the page is skipped. If the top value is an object but not a Bundle,
// the Header is filled and nothing else. An entry that is not what it should
// be gets an Err, and the rest of the page stands:
//
//   - it is not an object, or is missing between two commas;
//   - its resource is not an object, or there are two;
//   - resourceType or id of its resource is not a string, or stands twice with
//     different values, or a text of the header has a broken escape;
//   - it is nested beyond [MaxDepth] (errors.Is [ErrDepth]);
//   - its own members, not those of its resource, break JSON's grammar.
//
// A single object in the place of the array entry or link is taken as an array
// of one, and both count if entry or link stands twice. Where another
// member stands twice the last one counts.
//
// Split fails if the page as such cannot be followed: with io.ErrUnexpectedEOF
// if it ends too early, else with a [*SyntaxError]: brackets that do not
// match, members of the Bundle that break the grammar, data after it, two
// different resourceTypes. b then holds what stood before that place, whole
// entries only, and nothing must be concluded from what it does not hold.
// A page that has far more entries than its size allows for is refused, so
// that memory stays within a few times the size of the page.
func (b *Bundle) Split(page []byte) error {
	// Cleared, so that what was read before keeps no page alive.
	clear(b.Links)
	clear(b.Entries)
	*b = Bundle{Links: b.Links[:0], Entries: b.Entries[:0], w: b.w}
	defer b.w.trim()

	p := pageReader{b: b, s: scanner{buf: page}}
	err := p.s.document(p.page)
	if err == nil {
		err = p.h.bad
	}
	// A text of the page itself that cannot be read is as good as absent.
	_, _ = b.w.header(&b.Header, page, &p.h, &token{})
	b.Type, _ = b.w.name(page, &p.typ)
	if b.ResourceType != "Bundle" && (err == nil || b.ResourceType != "") {
		clear(b.Links)
		clear(b.Entries)
		*b = Bundle{Header: b.Header, Links: b.Links[:0], Entries: b.Entries[:0], w: b.w}
	}
	return err
}

// most is how many entries or links a page may have. The shortest entry with
// a resource is longer than 40 bytes; answers of a batch may be shorter.
func most(page []byte) int { return 4096 + len(page)/40 }

// pageReader reads one page into a Bundle.
type pageReader struct {
	b   *Bundle
	s   scanner
	h   head
	typ token
}

// page reads the Bundle that opens at pos.
func (p *pageReader) page() error {
	s := &p.s
	s.pos++
	var l list
	for {
		name, more, err := s.member(&l)
		if err == nil && l.bad != nil {
			err = l.bad
		}
		if err != nil || !more {
			return err
		}
		start := s.pos
		switch string(s.text(name)) {
		case "resourceType":
			err = s.identity(&p.h, &p.h.typ)
		case "id":
			err = s.last(nil, 2, &p.h.id) // a page's own id means nothing
		case "meta":
			err = s.meta(&p.h)
		case "type":
			err = s.last(nil, 2, &p.typ)
		case "total":
			err = p.total()
		case "link":
			err = p.each(p.link)
		case "entry":
			p.b.Object = p.b.Object || p.s.at('{')
			err = p.each(p.entry)
		default:
			_, err = s.value(2)
		}
		if err != nil {
			return err
		}
		if s.pos == start {
			return syntaxAt(start, "value missing")
		}
	}
}

// each calls read for the values of an array, or for the one value that
// stands in its place; null counts as an absent array.
func (p *pageReader) each(read func(missing bool) error) error {
	s := &p.s
	if !s.at('[') {
		start := s.pos
		t, err := s.value(2)
		if err != nil || t.isNull(s.buf) || t.kind == 0 {
			return err
		}
		s.pos = start
		return read(false)
	}
	s.pos++
	var l list
	for {
		more, missing, err := s.element(&l)
		if err == nil && l.bad != nil {
			err = l.bad
		}
		if err != nil || !more {
			return err
		}
		if err := read(missing); err != nil {
			return err
		}
	}
}

// total reads the value of Bundle.total.
func (p *pageReader) total() error {
	t, err := p.s.value(2)
	if err != nil {
		return err
	}
	p.b.Total, p.b.HasTotal = 0, false
	switch t.kind {
	case '"':
		p.b.Total, p.b.HasTotal = natural(p.s.text(t), false)
	case '0':
		p.b.Total, p.b.HasTotal = natural(t.bytes(p.s.buf), true)
	}
	return nil
}

// natural reads a natural number. Written as a JSON number it may be 12.0 or
// 1e2 as well, which is how some languages print it.
func natural(text []byte, number bool) (int, bool) {
	const longest = 24 // digits; what is longer is no count of anything
	if len(text) > longest {
		return 0, false
	}
	digits := string(text)
	if number && !isDigits(text) {
		// By its digits and not as a float, which would round what is no
		// natural number to one.
		mantissa, exponent := digits, 0
		if e := strings.IndexAny(digits, "eE"); e >= 0 {
			var err error
			if exponent, err = strconv.Atoi(digits[e+1:]); err != nil || exponent < -longest || exponent > longest {
				return 0, false
			}
			mantissa = digits[:e]
		}
		whole, fraction, _ := strings.Cut(mantissa, ".")
		digits = strings.Repeat("0", longest) + whole + fraction + strings.Repeat("0", longest)
		point := longest + len(whole) + exponent
		if whole == "" || strings.Trim(digits[point:], "0") != "" {
			return 0, false
		}
		digits = digits[:point]
	}
	if !isDigits([]byte(digits)) {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, false // Atoi gives the largest int beside its error
	}
	return n, true
}

// link reads one link.
func (p *pageReader) link(missing bool) error {
	s, b := &p.s, p.b
	if len(b.Links) >= most(s.buf) {
		return syntaxAt(s.pos, "too many links")
	}
	var relation, url token
	switch {
	case missing:
	case !s.at('{'):
		if _, err := s.value(3); err != nil {
			return err
		}
	default:
		s.pos++
		var l list
		for {
			name, more, err := s.member(&l)
			if err == nil && l.bad != nil {
				err = l.bad
			}
			if err != nil {
				return err
			}
			if !more {
				break
			}
			switch string(s.text(name)) {
			case "relation":
				err = s.last(nil, 4, &relation)
			case "url":
				err = s.last(nil, 4, &url)
			default:
				_, err = s.value(4)
			}
			if err != nil {
				return err
			}
		}
	}
	var link Link
	link.Relation, _ = b.w.name(s.buf, &relation)
	link.URL, _ = b.w.string(s.buf, &url)
	b.Links = append(b.Links, link)
	return nil
}
