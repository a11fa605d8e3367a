package fhirsync

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/refs"
)

// frontier is what the record refers to and what became of it. It is guarded by run.mu.
type frontier struct {
	refs.Frontier
	elsewhere *elsewhere // nil: no other server is asked

	// away are absolute references, as written, to bases that are not known to be this server's. Another page can still show that they are.
	away map[string]*away
	// look are resources to be read again for the addresses in them, which a saved state does not keep: by Type/id.
	look []string
	// open are targets that were taken and have not come: a saved state must not forget them.
	open map[string]refs.Target
	// gone are those that were not there when they were read by themselves, in this sync or lately, by Type/id.
	gone map[string]*missing
	lost int // of gone: in this sync

	searched      map[ident]bool        // targets that a search for many has not brought
	unread        map[string]unread     // by type: see unread.go
	denied        map[string]int        // by type: reads that were refused
	contents      map[string]attachment // by Attachment.url: what the attachment says of it
	versions      map[ident]string      // the current version of what has come, where named versions are asked for
	versionMisses int                   // named versions in a row that were not there
	naming        naming                // who names what
	lately        lately
	lists         map[string]int // by type: ids of one search, where that was lowered in this sync
}

// away is an absolute reference and how often it was met.
type away struct {
	typ   string // of the resource that holds it
	hops  refs.Hops
	found refs.Found
	count int

	from  string // Type/id of a resource that holds it, where it is an attachment's
	tried bool   // it was asked for elsewhere, and why says why it did not come
	why   refs.Reason
}

// missing is a target that is not there.
type missing struct {
	path  string // of an element that names it
	at    time.Time
	named bool // in this sync
	told  bool // the ledger has it
}

// maxAway bounds the memory for references to elsewhere; more than these are counted at once.
const maxAway = 2000

// Reasons of ours why a reference is not followed.
const (
	otherPatient refs.Reason = "references to other patients"
	ofGroup      refs.Reason = "references of a Group or Person"
	ofLink       refs.Reason = "references of Patient.link"
)

func newFrontier(r *run) frontier {
	return frontier{
		Frontier: refs.Frontier{Policy: r.opts.References, Here: r.people.here, Held: r.held, Follow: r.follows, Content: func(url string) bool {
			_, ok := r.contentURL(url)
			return ok
		}},
		away: map[string]*away{}, open: map[string]refs.Target{}, gone: map[string]*missing{}, denied: map[string]int{}, unread: map[string]unread{}, searched: map[ident]bool{}, lists: map[string]int{}, contents: map[string]attachment{}, versions: map[ident]string{},
	}
}

// lately are targets of which was found lately that they have come: the same encounter is named again and again, and to look costs more than to compare.
type lately [256]target

type target struct{ typ, id string }

// at gives the place of a target.
func (l *lately) at(t *refs.Target) *target {
	var h byte
	for i := max(0, len(t.ID)-4); i < len(t.ID); i++ {
		h = h*31 + t.ID[i]
	}
	return &l[h]
}

// held tells whether a target need not be asked for: it has come, or was found not to be there. The caller holds run.mu.
func (r *run) held(t *refs.Target) bool {
	if t.Version != "" {
		return r.front.versions[identOf(t.Type, t.ID)] == t.Version
	}
	known := r.front.lately.at(t)
	if known.id == t.ID && known.typ == t.Type {
		return true
	}
	if r.isHere(identOf(t.Type, t.ID)) {
		*known = target{t.Type, t.ID}
		return true
	}
	m := r.front.gone[t.Type+"/"+t.ID]
	if m != nil {
		m.named, m.path = true, cmp.Or(t.Path, m.path)
	}
	return m != nil
}

// follows decides whether a reference may be followed at all. The caller holds run.mu.
func (r *run) follows(typ string, x *refs.Found) (refs.Reason, bool) {
	to := x.Ref.Type
	switch {
	case to == "Patient" && x.Ref.Kind != refs.Conditional && r.people.isOwn(x.Ref.ID):
		return "", false
	case to == "Patient":
		return otherPatient, false
	case typ == "Group" || typ == "Person":
		return ofGroup, false // they lead to other people.
	case strings.HasPrefix(x.Path, "Patient.link."):
		return ofLink, false
	case x.Ref.Kind == refs.Conditional && !searchable(x.Ref.Query):
		return refs.NoResource, false
	}
	return "", r.wants(cmp.Or(to, "Binary"))
}

// goneAge is how long it is believed of a target that it is not there.
const goneAge = 3 * 24 * time.Hour

// note notes the references of a resource that was accepted. urns are what names an entry of the page it came on. The caller holds run.mu.
func (f *frontier) note(typ, id string, urns map[string]bool, found []refs.Found) {
	hops := f.Hops(typ, id)
	f.naming.resource(typ)
	for i := range found {
		x := &found[i]
		switch {
		case x.Ref.Kind == refs.URN && urns[x.Ref.ID]:
			continue // it is on the same page.
		case x.Ref.Kind == refs.Absolute && !f.Here(x.Ref.Base) && (x.Source == refs.FromReference || x.Source == refs.FromAttachment && !f.Content(x.Text)) && f.hold(typ, id, hops, x):
			continue
		case f.elsewhere != nil && x.Source == refs.FromAttachment && x.Ref.Kind != refs.Relative && !f.Content(x.Text) && hostIn(x.Text) != "" && f.hold(typ, id, hops, x):
			continue
		}
		before := f.Len()
		f.Add(typ, hops, found[i:i+1]...)
		f.naming.note(typ, x.Ref.Type, f.Len() > before)
	}
}

// hold keeps a reference to elsewhere until all pages have come.
func (f *frontier) hold(typ, id string, hops refs.Hops, x *refs.Found) bool {
	if known := f.away[x.Text]; known != nil {
		known.count++
		known.hops = min(known.hops, hops)
		return true
	}
	if f.elsewhere.came(x.Text) {
		return true
	}
	if len(f.away) >= maxAway {
		return false
	}
	a := &away{typ: typ, hops: hops, found: *x, count: 1}
	f.away[x.Text] = a
	if x.Source == refs.FromAttachment {
		a.from = typ + "/" + id
		f.elsewhere.soon(x.Text)
	}
	return true
}

// settleAway follows those references to elsewhere of which it has turned out that they lead to this server, or, at the end, counts all.
func (f *frontier) settleAway(all bool) {
	for text, a := range f.away {
		here := f.Here(a.found.Ref.Base) || a.tried && f.Content(text)
		switch {
		case !all && !here:
			continue
		case a.why != "" && !here:
			f.Skip(refs.Skipped{Reason: a.why, Host: hostIn(text), Count: a.count})
		default:
			for range a.count {
				f.Add(a.typ, a.hops, a.found)
			}
		}
		delete(f.away, text)
	}
}

// waveOf sorts types by how likely resources of other types still name them: who is named by everybody is asked for last, when all are known.
var waveOf = map[string]int{
	"": -1, "Binary": -1, // addresses of contents may be good for minutes only.
	"PractitionerRole": 1, "OrganizationAffiliation": 1, "HealthcareService": 2, "Practitioner": 3, "Location": 3, "Organization": 4, "Endpoint": 5,
}

// waveRank is waveOf for a target. Old versions come last: most are current when all has come.
func waveRank(t *refs.Target) int {
	if t.Version != "" {
		return len(waveOf)
	}
	return waveOf[t.Type]
}

// maxDeferred bounds the targets among which some are left for later: sorting them again and again has its cost.
const maxDeferred = 20_000

// takeWave gives what is to be asked for next, and whether it is all there is for now.
func (r *run) takeWave() []refs.Target {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.front
	f.settleAway(false)
	all := f.Take()
	if len(all) == 0 {
		return nil
	}
	wave := all
	if len(all) <= maxDeferred {
		first := waveRank(&all[0])
		for i := range all {
			first = min(first, waveRank(&all[i]))
		}
		types := map[string]int{}
		for i := range all {
			types[all[i].Type]++
		}
		var later []refs.Target
		wave = nil
		for _, t := range all {
			if waveRank(&t) == first || t.Version == "" && f.naming.isFinal(t.Type, nil, types) {
				wave = append(wave, t)
			} else {
				later = append(later, t)
			}
		}
		f.Put(later...)
	}
	for _, t := range wave {
		f.open[t.Literal()] = t
	}
	return wave
}

// expect notes a resource that has come and is not with the writer yet: whoever looks for it from now on takes it for held. It is one that only
// references bring. The caller holds run.mu.
func (f *frontier) expect(typ, id string) {
	t := refs.Target{Type: typ, ID: id, Path: "a resource that had come", Count: 1}
	if _, open := f.open[t.Literal()]; !open {
		f.open[t.Literal()] = t
	}
}

// came notes that a target has come, or that it need not.
func (r *run) came(t *refs.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.front.open, t.Literal())
}

// notThere notes that a target was not there when it was read by itself.
func (r *run) notThere(t *refs.Target) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.front.lost++
	delete(r.front.open, t.Literal())
	r.front.gone[t.Literal()] = &missing{path: t.Path, at: time.Now(), named: true, told: true}
}

// isOpen tells whether a target was asked for and has not come.
func (f *frontier) isOpen(literal string) bool {
	_, open := f.open[literal]
	return open
}

// missed gives how many targets of this sync were not there.
func (r *run) missed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.front.lost
}

// skippedTexts say in the report why references were not followed.
var skippedTexts = map[refs.Reason]string{
	refs.Unresolved:       "references by urn that nothing on the page resolved",
	refs.NoResource:       "references that name no resource",
	refs.TypeOmitted:      "references to types that the options leave out",
	refs.TooFar:           "references further than the options go",
	refs.TooMany:          "more references than are followed",
	refs.OtherServer:      "references to other servers",
	refs.ContentElsewhere: "contents on other servers",
}

// unfollowed gives what was not followed.
func (r *run) unfollowed() []Gap {
	gaps := r.notFollowed()
	return slices.DeleteFunc(gaps, func(g Gap) bool {
		typ, id := cutRef(g.Ref)
		return g.Ref != "" && r.has(typ, id)
	})
}

func (r *run) notFollowed() []Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.front
	var gaps []Gap
	f.settleAway(true)
	for _, s := range f.Skipped() {
		g := Gap{Reason: Skipped, Detail: cmp.Or(skippedTexts[s.Reason], string(s.Reason)), Count: s.Count}
		if s.Reason == refs.TooMany {
			g.Reason = Limited
		}
		g.Host = s.Host
		gaps = append(gaps, g)
	}
	for ref, m := range f.gone {
		if m.named && !m.told {
			typ, _ := cutRef(ref)
			gaps = append(gaps, Gap{
				Type: typ, Ref: ref, Reason: Dangling,
				Detail: "was not there when it was last asked for, on " + m.at.UTC().Format(time.DateOnly) + ", named by " + m.path,
			})
		}
	}
	return gaps
}
