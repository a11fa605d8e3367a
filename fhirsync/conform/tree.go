package conform

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// ErrTooLarge says that a resource has more than a million values. Nothing that is one patient's comes near; it is a limit to memory.
var ErrTooLarge = errors.New("conform: more than a million values")

const maxValues = 1_000_000

// node is one value of the text, or one that came in.
type node struct {
	kind       byte // '{', '[', '"', 't', 'f', 'n', or '0' for a number
	start, end int  // of the source; both 0 for what came in
	text       string
	written    bool // text is what is written in the place of the source
	members    []member
	items      []item
	tail       int // where the white space before the closing bracket begins
}

// member is one of an object. lead is where the white space before its key begins.
type member struct {
	name             string // decoded
	lead             int
	keyStart, keyEnd int // 0 for what came in
	val              node
	gone             bool
}

type item struct {
	lead int
	val  node
	gone bool
}

// parse makes a tree of a text. What it accepts is what [jsonscan.Valid] does.
func parse(raw []byte) (*node, error) {
	if err := jsonscan.Valid(raw); err != nil {
		return nil, err
	}
	r := reader{raw: raw}
	root, err := r.value(r.space(0))
	if err != nil {
		return nil, err
	}
	return &root, nil
}

// reader reads a text that is known to be valid, and nested no deeper than [jsonscan.MaxDepth].
type reader struct {
	raw    []byte
	values int
}

func (r *reader) space(i int) int {
	for i < len(r.raw) && r.raw[i] <= ' ' {
		i++
	}
	return i
}

// stringEnd gives the place behind the string whose quote stands at i.
func (r *reader) stringEnd(i int) int {
	for i++; r.raw[i] != '"'; i++ {
		if r.raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (r *reader) value(i int) (node, error) {
	if r.values++; r.values > maxValues {
		return node{}, ErrTooLarge
	}
	n := node{kind: r.raw[i], start: i}
	switch n.kind {
	case '"':
		n.end = r.stringEnd(i)
		return n, nil
	case '{', '[':
		return n, r.inside(&n)
	case 't', 'f', 'n':
	default:
		n.kind = '0'
	}
	for i < len(r.raw) && r.raw[i] > ' ' && r.raw[i] != ',' && r.raw[i] != ']' && r.raw[i] != '}' {
		i++
	}
	n.end = i
	return n, nil
}

// inside reads what stands between the brackets of n.
func (r *reader) inside(n *node) error {
	lead := n.start + 1
	for first := true; ; first = false {
		i := r.space(lead)
		if c := r.raw[i]; c == '}' || c == ']' {
			if n.tail == 0 {
				n.tail = lead
			}
			n.end = i + 1
			return nil
		}
		if !first { // the comma
			lead = i + 1
			i = r.space(lead)
		}
		var err error
		if n.kind == '{' {
			m := member{lead: lead, keyStart: i, keyEnd: r.stringEnd(i)}
			m.name = decode(r.raw[m.keyStart:m.keyEnd])
			if m.val, err = r.value(r.space(r.space(m.keyEnd) + 1)); err != nil {
				return err
			}
			lead = m.val.end
			n.members = append(n.members, m)
		} else {
			it := item{lead: lead}
			if it.val, err = r.value(i); err != nil {
				return err
			}
			lead = it.val.end
			n.items = append(n.items, it)
		}
		n.tail = lead
	}
}

// write appends the text of n. Everything that stays is copied with the white space around it.
func (n *node) write(dst, raw []byte) []byte {
	switch {
	case n.written:
		return append(dst, n.text...)
	case n.kind != '{' && n.kind != '[':
		return append(dst, raw[n.start:n.end]...)
	}
	first := true
	comma := func() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
	}
	dst = append(dst, n.kind)
	for i := range n.members {
		m := &n.members[i]
		if m.gone {
			continue
		}
		comma()
		if m.keyEnd == 0 {
			dst = strconv.AppendQuote(dst, m.name) // a name of ours: letters, and nothing that Go quotes otherwise than JSON.
			dst = append(dst, ':')
		} else {
			dst = append(dst, raw[m.lead:m.keyStart]...)
			dst = append(dst, raw[m.keyStart:m.keyEnd]...)
			if m.val.end > 0 {
				dst = append(dst, raw[m.keyEnd:m.val.start]...)
			} else {
				dst = append(dst, ':')
			}
		}
		dst = m.val.write(dst, raw)
	}
	for i := range n.items {
		it := &n.items[i]
		if it.gone {
			continue
		}
		comma()
		if it.val.end > 0 {
			dst = append(dst, raw[it.lead:it.val.start]...)
		}
		dst = it.val.write(dst, raw)
	}
	if n.end > 0 {
		return append(dst, raw[n.tail:n.end]...)
	}
	return append(dst, n.kind+2) // ']' is '['+2, '}' is '{'+2
}

// clone gives a copy that can be changed by itself.
func (n *node) clone() node {
	c := *n
	if n.members != nil {
		c.members = make([]member, len(n.members), len(n.members)+2)
		for i := range n.members {
			c.members[i] = n.members[i]
			c.members[i].val = n.members[i].val.clone()
		}
	}
	if n.items != nil {
		c.items = make([]item, len(n.items), len(n.items)+1)
		for i := range n.items {
			c.items[i] = n.items[i]
			c.items[i].val = n.items[i].val.clone()
		}
	}
	return c
}

// get gives the member of a name that is there, the last one of several.
func (n *node) get(name string) *node {
	for i := len(n.members) - 1; i >= 0; i-- {
		if m := &n.members[i]; m.name == name && !m.gone {
			return &m.val
		}
	}
	return nil
}

// drop takes the members of a name away.
func (n *node) drop(name string) {
	for i := range n.members {
		if n.members[i].name == name {
			n.members[i].gone = true
		}
	}
}

// add puts a member behind the others and gives its value.
func (n *node) add(name string, val node) *node {
	n.members = append(n.members, member{name: name, val: val})
	return &n.members[len(n.members)-1].val
}

// push puts an element behind the others.
func (n *node) push(val node) { n.items = append(n.items, item{val: val}) }

// live tells how many members or elements are there.
func (n *node) live() (count int) {
	for i := range n.members {
		if !n.members[i].gone {
			count++
		}
	}
	for i := range n.items {
		if !n.items[i].gone {
			count++
		}
	}
	return count
}

// isNull tells whether the value is null, or there is none.
func (n *node) isNull() bool { return n == nil || n.kind == 'n' }

// set replaces a value by what json says; kind is the kind of that.
func (n *node) set(kind byte, json string) {
	n.kind, n.text, n.written = kind, json, true
	n.members, n.items = nil, nil
}

// str gives what a string says; ok is false if it is none.
func (n *node) str(raw []byte) (s string, ok bool) {
	if n == nil || n.kind != '"' {
		return "", false
	}
	if n.written {
		return decode([]byte(n.text)), true
	}
	return decode(raw[n.start:n.end]), true
}

// json gives a scalar as it is written.
func (n *node) json(raw []byte) string {
	if n.written {
		return n.text
	}
	return string(raw[n.start:n.end])
}

// str, list and object make what comes in.
func str(s string) node { return node{kind: '"', text: quote(s), written: true} }

func list(values ...node) node {
	n := node{kind: '['}
	for _, v := range values {
		n.items = append(n.items, item{val: v})
	}
	return n
}

func object(fields ...field) node {
	n := node{kind: '{'}
	for _, f := range fields {
		n.members = append(n.members, member{name: f.name, val: f.value})
	}
	return n
}

// field is a member of what comes in.
type field struct {
	name  string
	value node
}

// decode gives what a JSON string with its quotes says. A surrogate without its partner becomes U+FFFD.
func decode(token []byte) string {
	inside := token[1 : len(token)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside)
	}
	text, _ := jsonscan.AppendText(make([]byte, 0, len(inside)), inside)
	return string(text)
}

// quote gives a text as JSON, with no more escapes than JSON needs.
func quote(s string) string {
	return string(jsonscan.Replace(nil, []byte(`""`), []jsonscan.Edit{{Start: 0, End: 2, Text: s}}))
}
