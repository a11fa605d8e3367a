package fhirsync

import (
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/refs"
)

// arrival is how a resource came.
type arrival int

const (
	asMatch     arrival = iota // it answers a question for the patient's resources
	asCompanion                // it came along: included, or read because something of the patient's names it
	asLate                     // it came as a match before, and is read again now that all searches have ended
)

// ownership is whose a resource is.
type ownership int

const (
	ours         ownership = iota
	unattributed           // names no patient, and came as a match: ours if the question was understood
	shared                 // another patient's; it may mention ours
	linked                 // of a Patient that is said to be the same person
	foreign                // another patient's, and came as a match: the filter was ignored
	undecided              // Provenance and AuditEvent: whose it is depends on its targets
)

// people knows which Patient ids are ours, on which server.
type people struct {
	base  *url.URL
	table *compartment.Table

	mu     sync.Mutex
	own    map[string]bool
	linked map[string]bool // named by our own Patient's link
	bases  map[string]bool // base URLs as references write them: this server's or not
	names  []*url.URL      // other base URLs by which the server means itself
}

func newPeople(base *url.URL, id string) *people {
	table, _ := compartment.For("")
	return &people{base: base, table: table, own: map[string]bool{id: true}, linked: map[string]bool{}, bases: map[string]bool{}}
}

// maxBases bounds the memory for spellings of base URLs.
const maxBases = 1024

// here tells whether a base URL, as a reference writes it, is this server's.
func (p *people) here(base string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.bases[base]; ok {
		return known
	}
	u, err := url.Parse(base)
	same := err == nil && (transport.SameServer(p.base, u) || slices.ContainsFunc(p.names, func(name *url.URL) bool { return transport.SameServer(name, u) }))
	if len(p.bases) < maxBases {
		p.bases[base] = same
	}
	return same
}

// maxAliases bounds the other names that a server is known by.
const maxAliases = 8

// alias notes a base URL under which the server names a resource of its own: gateways pass on what the server behind them calls itself. It
// decides what a reference means and no more: requests go to the base URL.
func (p *people) alias(base string) {
	if p.here(base) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if u, err := url.Parse(base); err == nil && u.Host != "" && u.User == nil && len(p.names) < maxAliases {
		p.names = append(p.names, u)
		clear(p.bases)
	}
}

// patient tells which Patient a reference names, if it names one, and whether that one is ours. The Patient of another server is ours if
// it has our id: the reference is in an answer of this server, whose own name for itself may be another than ours.
func (p *people) patient(ref refs.Reference) (id string, own, is bool) {
	if ref.Type != "Patient" || ref.Kind != refs.Relative && ref.Kind != refs.Absolute {
		return "", false, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return ref.ID, p.own[ref.ID], true
}

// owns tells whether a resource names our patient as the one it is about, so that the plain question for its type must find it.
func (p *people) owns(typ string, found []refs.Found) bool {
	info, primary := p.primaryOf(typ)
	for i := range found {
		f := &found[i]
		if _, own, is := p.patient(f.Ref); is && own && f.Source == refs.FromReference && !f.Contained && !f.Extension && (info.AnyMention || isPrimary(f.Path, typ, primary)) {
			return true
		}
	}
	return false
}

func (p *people) isOwn(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.own[id]
}

// link notes the Patients that our own Patient names as the same person.
func (p *people) link(found []refs.Found) {
	for _, f := range found {
		if f.Path == "Patient.link.other" && f.Source == refs.FromReference {
			if id, own, ok := p.patient(f.Ref); ok && !own {
				p.mu.Lock()
				p.linked[id] = true
				p.mu.Unlock()
			}
		}
	}
}

// primaryOf gives the elements that say whose a resource is. Types that no table knows are judged by the names FHIR uses for it.
func (p *people) primaryOf(typ string) (t compartment.Type, primary []string) {
	t, known := p.table.Lookup(typ)
	if known {
		return t, t.Primary
	}
	return t, []string{"subject", "patient", "beneficiary", "individual", "for"}
}

// judge tells whose a resource is. It is the only place that decides it.
func (p *people) judge(typ, id string, found []refs.Found, how arrival) ownership {
	if typ == "Patient" {
		return p.judgePatient(id, found, how)
	}
	info, primary := p.primaryOf(typ)
	var primaryOwn, primaryOther, own, other bool
	for i := range found {
		f := &found[i]
		if f.Contained || f.Source != refs.FromReference {
			continue
		}
		_, mine, is := p.patient(f.Ref)
		if !is {
			continue
		}
		own = own || mine
		if f.Extension {
			continue // who else is mentioned there does not make it somebody else's.
		}
		other = other || !mine
		if isPrimary(f.Path, typ, primary) {
			primaryOwn = primaryOwn || mine
			primaryOther = primaryOther || !mine
		}
	}
	group := typ == "Group"
	follows := typ == "Provenance" || typ == "AuditEvent"
	switch {
	case primaryOwn && (!group || !primaryOther):
		return ours
	case primaryOwn:
		return shared
	case info.AnyMention && own:
		return ours
	case primaryOther && own && !follows:
		return shared
	case follows && own:
		return ours
	case own && !other:
		return ours
	case own:
		return shared
	case other && how == asCompanion:
		return shared
	case other && follows:
		return undecided
	case other:
		return foreign
	case how == asMatch:
		return unattributed
	}
	return ours
}

func (p *people) judgePatient(id string, found []refs.Found, how arrival) ownership {
	if p.isOwn(id) {
		return ours
	}
	p.mu.Lock()
	same := p.linked[id]
	p.mu.Unlock()
	for _, f := range found {
		if f.Path == "Patient.link.other" {
			_, own, _ := p.patient(f.Ref)
			same = same || own
		}
	}
	switch {
	case same:
		return linked
	case how == asMatch:
		return foreign
	}
	return shared
}

// isPrimary tells whether path is one of the elements of the type.
func isPrimary(path, typ string, elements []string) bool {
	rest, ok := strings.CutPrefix(path, typ+".")
	if !ok {
		return false
	}
	return slices.Contains(elements, rest)
}
