package fhirsync

import (
	"bytes"
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// source says how a page or a resource came.
type source struct {
	op, typ  string
	strategy string
	// chain, where there is one, learns which matches came.
	chain *chain
	// unattributed: a match that names no patient is ours, because the question can be trusted.
	unattributed bool
	// companion: nothing on it is an answer to a question for the patient; what names nobody is ours all the same.
	companion bool
	// read: it is the answer to a read, so that reading it again is of no use.
	read bool
	// more: further pages follow.
	more bool
	// last: resources without an id wait no longer.
	last bool
	// late: all searches have ended, so that the owner of a Provenance can be told by its targets.
	late bool
	// mended are repairs that were made of the entries before, by position; nil: none.
	mended []*mended
	// before is what the page was before it was made readable; nil: nothing else.
	before *jsonrepair.Source
	// inside counts what was repaired of the page in its resources.
	inside map[jsonrepair.Kind]int
	latin1 *bool // see isLatin1; nil: it is not known yet
	// bare: the entries are the resources themselves and not Bundle.entry.
	bare bool
	// plain: matches can be of the type asked for only, and nothing else was asked to come with them.
	plain bool
	// address is where it came from; nil where that is not known.
	address *url.URL
}

// taken is what came of a page.
type taken struct {
	resources []Resource // new ones, on their way to the store
	issues    []Issue    // of OperationOutcomes among the entries
	own       int        // of resources: those that are the patient's and name him as the one they are about
}

// candidate is an entry that may go to the store.
type candidate struct {
	entry    *jsonscan.Entry
	id       string
	key      ident
	from, to int // its references among all
	owner    ownership
	named    bool // it names our patient as the one it is about
	plain    bool // see refs.AppendPlain
	mended   *mended
}

// takeIn goes through the entries of a page: it finds out whose each resource is, hands the patient's own to the writer, and enters into the
// ledger whatever cannot be taken. The error means that the run is over.
func (r *run) takeIn(b *jsonscan.Bundle, body []byte, src source) (taken, error) {
	var (
		out       taken
		outsiders int
	)
	defer r.writer.begin()()
	mem := r.client.scratch()
	defer r.client.giveBack(mem)
	candidates, found := mem.candidates, mem.found
	defer func() { mem.candidates, mem.found = candidates, found }()
	ms := src.mended
	if ms == nil {
		ms = r.mendAll(b, body, &src)
	}
	defer r.endLook(r.beginLook())
	come, idents, err := r.comeBefore(b)
	if err != nil {
		return out, err
	}
	urns := r.page(b)
	for i := range b.Entries {
		e := &b.Entries[i]
		// What is called a match and is of another type than the question is for answers it no more than an include does.
		match := !src.companion && (e.Mode == "match" || e.Mode == "") && (e.ResourceType == src.typ || src.typ == "")
		if e.ResourceType == "OperationOutcome" {
			issues := issuesOf(e.Resource)
			out.issues = append(out.issues, issues...)
			r.outcomeEntry(src, issues)
			continue
		}
		id := r.identify(e)
		key := idents[i]
		if id != e.ID {
			key = identOf(e.ResourceType, id)
		}
		if match && src.chain != nil && id != "" {
			src.chain.match(e.ResourceType, key)
			if ms != nil && ms[i].hasMadeID() {
				r.madeID(e.ResourceType, id)
			}
		}
		switch {
		case e.Err != nil || e.Resource == nil || e.ID == "":
			r.unreadable(e, id, body, src)
			continue
		case !isTypeName(e.ResourceType):
			r.quarantine(e.ResourceType, id, "resourceType is missing or is none", body[e.Start:e.End], src)
			continue
		case come[i]:
			continue
		}
		c := candidate{entry: e, id: id, key: key, from: len(found)}
		if ms != nil {
			c.mended = ms[i]
		}
		var whole bool
		if found, c.plain, whole = appendRefs(found, e.Resource, r.follow); !whole && src.mended == nil {
			if more := r.mendJSON(e, body, &src); more != nil && isTypeName(e.ResourceType) && r.identify(e) == id {
				if c.mended == nil {
					c.mended = new(mended)
				}
				c.mended.join(more)
				c.key = identOf(e.ResourceType, id)
				found, c.plain, whole = appendRefs(found, e.Resource, r.follow)
			}
		}
		switch {
		case !whole:
			r.unreadable(e, id, body, src)
			continue
		case isResults(e):
			r.quarantine(src.typ, "", "search results within others, which could not be opened", body[e.Start:e.End], src)
			continue
		}
		c.to = len(found)
		how := asCompanion
		if match {
			how = asMatch
		}
		c.owner = r.people.judge(e.ResourceType, id, found[c.from:c.to], how)
		if c.owner == undecided && src.late {
			c.owner = shared
			if r.holdsAny(found[c.from:c.to]) {
				c.owner = ours
			}
		}
		if c.owner == foreign {
			outsiders++
		}
		c.named = r.people.owns(e.ResourceType, found[c.from:c.to])
		candidates = append(candidates, c)
	}
	r.outside(&src)
	switch {
	case src.chain != nil:
		src.chain.out.foreign += outsiders
	case outsiders > 0:
		r.ledger.gap(Gap{Type: src.typ, Reason: Foreign, Count: outsiders, Detail: "resources of other patients where only ours were due; not stored"})
	}
	trusted := src.unattributed && outsiders == 0 && (src.chain == nil || src.chain.out.foreign == 0)
	accepted := candidates[:0]
	for _, c := range candidates {
		if c.entry.Subsetted && (c.owner == ours || c.owner == unattributed || c.owner == undecided) {
			r.readLater(c.entry.ResourceType, c.id, "only parts of it came (SUBSETTED)", src)
			continue
		}
		if r.isHollow(&c, &src) {
			r.readLater(c.entry.ResourceType, c.id, "came without what it holds", src)
			continue
		}
		switch c.owner {
		case ours:
			accepted = append(accepted, c)
		case unattributed:
			switch {
			case trusted && src.chain != nil && src.more:
				// A later page may show that the filter is ignored.
				src.chain.hold(c, src)
			case trusted:
				accepted = append(accepted, c)
			case src.chain != nil:
				src.chain.out.foreign++
			default:
				r.ledger.gap(Gap{
					Type: c.entry.ResourceType, Ref: c.entry.ResourceType + "/" + c.id, Reason: Foreign,
					Detail: "names no patient and came together with resources of others; not stored",
				})
			}
		case shared:
			r.ledger.gap(Gap{
				Type: c.entry.ResourceType, Ref: c.entry.ResourceType + "/" + c.id, Reason: Shared,
				Detail: "belongs to another patient; not stored",
			})
		case linked:
			r.ledger.gap(Gap{Type: "Patient", Ref: "Patient/" + c.id, Reason: Linked, Detail: "said to be the same person; its record was not asked for"})
		case undecided:
			r.decideLater(c.entry.ResourceType + "/" + c.id)
		case foreign: // counted above, never stored.
		}
	}
	out.resources, out.own, err = r.accept(accepted, found, urns, src)
	return out, err
}

// scratch is what takeIn needs for the time of one page: the references on it, above all. Nobody keeps any of it.
type scratch struct {
	candidates []candidate
	found      []refs.Found
}

// scratch gives one that is empty.
func (c *Client) scratch() *scratch {
	mem, ok := c.scratches.Get().(*scratch)
	if !ok {
		mem = new(scratch)
	}
	return mem
}

// giveBack takes it back, unless it has become so large that it is not to be kept.
func (c *Client) giveBack(mem *scratch) {
	const most = 1 << 14
	if cap(mem.candidates) > most || cap(mem.found) > most {
		return
	}
	clear(mem.candidates)
	clear(mem.found)
	mem.candidates, mem.found = mem.candidates[:0], mem.found[:0]
	c.scratches.Put(mem)
}

// appendRefs adds the references of a resource; whole is false where it is not JSON.
func appendRefs(found []refs.Found, resource []byte, sources []refs.Source) (all []refs.Found, plain, whole bool) {
	all, plain, err := refs.AppendPlain(found, resource, sources...)
	return all, plain, err == nil
}

// identify gives the logical id of an entry's resource: its own, else the one in its fullUrl.
func (r *run) identify(e *jsonscan.Entry) string {
	if e.ID != "" {
		return e.ID
	}
	ref := refs.Parse(e.FullURL)
	if (ref.Kind == refs.Absolute || ref.Kind == refs.Relative) && (e.ResourceType == "" || ref.Type == e.ResourceType) {
		return ref.ID
	}
	return ""
}

// holdsAny tells whether the target of any of the references has come.
func (r *run) holdsAny(found []refs.Found) bool {
	for _, f := range found {
		if !f.Contained && f.Ref.Type != "" && f.Ref.Type != "Patient" && (f.Ref.Kind == refs.Relative || f.Ref.Kind == refs.Absolute && r.people.here(f.Ref.Base)) &&
			isPrimary(f.Path, "Provenance", []string{"target"}) || isPrimary(f.Path, "AuditEvent", []string{"entity.what"}) {
			if r.has(f.Ref.Type, f.Ref.ID) {
				return true
			}
		}
	}
	return false
}

// decideLater notes a resource whose owner is known only when the searches have ended.
func (r *run) decideLater(ref string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late[ref] = true
}

// outcomeEntry reads an OperationOutcome among the entries of a page.
func (r *run) outcomeEntry(src source, issues []Issue) {
	for _, is := range issues {
		means, known := r.outcomeMeans(is)
		switch {
		case src.chain == nil:
		case known:
			src.chain.out.partial = src.chain.out.partial || means == quirks.Partial
			src.chain.out.withheld = src.chain.out.withheld || means == quirks.Withheld
		case is.Code == "suppressed":
			src.chain.out.withheld = true
		case anyCode([]Issue{is}, partialCodes):
			src.chain.out.partial = true
		}
		r.ledger.note(src.typ, "the server says: "+printable(is.Severity, 16)+" "+is.text())
	}
}

// outcomeMeans gives what quirks say about an issue by its vendor's codes.
func (r *run) outcomeMeans(is Issue) (quirks.Outcome, bool) {
	for _, code := range is.Details {
		if o, ok := r.server.quirks.set.Outcomes[code]; ok {
			return o, true
		}
	}
	return "", false
}

// accept copies resources off the page, notes what they refer to, and hands them to the writer.
func (r *run) accept(accepted []candidate, found []refs.Found, urns map[string]bool, src source) (resources []Resource, own int, err error) {
	if err := r.lookUpTargets(accepted, found); err != nil {
		return nil, 0, err
	}
	before, err := r.putBefore(accepted)
	if err != nil {
		return nil, 0, err
	}
	fresh := accepted[:0]
	size := 0
	r.mu.Lock()
	if src.typ == "" && src.chain != nil {
		r.beginPrints() // an operation brings what searches bring again, and they may forget an id where it has not.
	}
	for _, c := range accepted {
		typ := c.entry.ResourceType
		if !r.wants(typ) {
			continue
		}
		key := c.key
		if _, have := r.seen[key]; have || r.putAside(&c, found, urns, &src) {
			continue
		}
		r.mark(typ, key)
		r.front.Drop(typ, c.id)
		fresh = append(fresh, c)
		size += len(c.entry.Resource)
		if typ == "Patient" {
			r.people.link(found[c.from:c.to])
		}
		if r.front.Versions && c.entry.VersionID != "" {
			r.front.versions[key] = c.entry.VersionID
		}
		if !src.last {
			r.front.note(typ, c.id, urns, r.front.noteContents(c.entry.Resource, found[c.from:c.to]))
		}
		if c.named && c.owner == ours {
			own++
		}
	}
	r.ledger.mu.Lock() // what is marked is counted, for whoever saves both.
	for _, c := range fresh {
		e := r.ledger.typ(c.entry.ResourceType)
		if !e.owed {
			r.front.expect(c.entry.ResourceType, c.id)
		}
		if e.restored > 0 && before[c.key] {
			e.Received, e.Stored, e.restored = e.Received-1, e.Stored-1, e.restored-1 // it was counted then.
		}
		e.Received++
		if c.owner == unattributed {
			e.Unattributed++
		}
		if c.named && c.owner == ours {
			e.subject++
		}
	}
	r.ledger.mu.Unlock()
	r.mu.Unlock()
	if len(fresh) == 0 {
		return nil, 0, nil
	}
	defer r.beside.kick()
	r.maskedResources(fresh)
	for _, c := range fresh {
		r.fingerprint(c.entry.ResourceType, c.id, c.entry.Resource)
	}
	now := time.Now()
	all := make([]byte, 0, size)
	resources = make([]Resource, len(fresh))
	plain := make([]bool, len(fresh))
	for i, c := range fresh {
		start := len(all)
		plain[i] = c.plain
		all = append(all, c.entry.Resource...)
		var m mended
		if c.mended != nil {
			m = *c.mended
		}
		updated, err := time.Parse(time.RFC3339Nano, c.entry.LastUpdated)
		if err != nil {
			updated = time.Time{}
		}
		resources[i] = Resource{
			Key:       Key{Server: r.server.name, Type: c.entry.ResourceType, ID: c.id},
			VersionID: c.entry.VersionID, LastUpdated: updated, Raw: all[start:len(all):len(all)],
			Original: m.original, Repairs: m.repairs, Digest: m.digest(c.entry.Resource),
			Origin: Origin{Strategy: src.strategy, Op: src.op, Received: now},
		}
	}
	if err := r.writer.deliver(r.ctx, resources, plain); err != nil {
		r.undo(resources)
		return nil, 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	for i := range resources {
		res := &resources[i]
		r.seen[fresh[i].key] &^= onItsWay
		if len(r.front.open) > 0 || len(r.rereads) > 0 {
			delete(r.front.open, res.Type+"/"+res.ID)
			delete(r.rereads, res.Type+"/"+res.ID)
		}
		if len(res.Repairs) > 0 {
			addRepairs(&r.ledger.typ(res.Type).repairs, res.Repairs)
		}
	}
	return resources, own, nil
}

// page looks at what a page says beside its resources: under which other base URL the server knows itself, and which entries a urn names.
func (r *run) page(b *jsonscan.Bundle) (urns map[string]bool) {
	base := "" // that is known
	for i := range b.Entries {
		e := &b.Entries[i]
		if e.FullURL == "" || e.Err != nil || base != "" && isAt(e.FullURL, base, e.ResourceType, e.ID) {
			continue
		}
		ref := refs.Parse(e.FullURL)
		switch {
		case ref.Kind == refs.URN && e.ID != "":
			if urns == nil {
				urns = map[string]bool{}
			}
			urns[ref.ID] = true
		case ref.Kind == refs.Absolute && ref.Type == e.ResourceType && ref.ID == e.ID:
			r.people.alias(ref.Base)
			base = ref.Base
		}
	}
	for _, l := range b.Links {
		if l.Relation == "self" && len(l.URL) <= transport.MaxLink {
			if u, err := url.Parse(l.URL); err == nil && u.User == nil && u.Host != "" {
				u.RawQuery, u.Fragment = "", ""
				if base, typ, ok := cutLastSegment(strings.TrimRight(u.String(), "/")); ok && isTypeName(typ) && !strings.HasSuffix(base, "/Patient/"+r.asking) {
					r.people.alias(base)
				}
			}
		}
	}
	return urns
}

// isAt tells whether an address is that of a resource below a base URL, as it is written.
func isAt(address, base, typ, id string) bool {
	rest, ok := strings.CutPrefix(address, base)
	if !ok || len(rest) != len(typ)+len(id)+len("//") {
		return false
	}
	return rest[0] == '/' && rest[1:1+len(typ)] == typ && rest[1+len(typ)] == '/' && rest[2+len(typ):] == id
}

// cutLastSegment cuts a path at its last slash.
func cutLastSegment(path string) (before, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// forget makes that a resource has not come after all. The caller holds mu.
func (r *run) forget(key ident) {
	delete(r.seen, key)
	r.front.lately = lately{}
}

// undo forgets resources that did not get on their way to the store. Others may have seen them by then, and ended without them: a saved state
// asks again for their types, and for those that only references bring, which stay open.
func (r *run) undo(resources []Resource) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	for i := range resources {
		r.forget(identOf(resources[i].Type, resources[i].ID))
		r.ledger.typ(resources[i].Type).Received--
		r.undone[resources[i].Type] = true
	}
}

// read reads one resource and takes it in. It gives how many resources came, which is 0 for one that is another patient's or has come
// before; and why it could not be read.
func (r *run) read(ctx context.Context, typ, id string, why purpose, how arrival) (int, *ServerError) {
	got, fail := r.readFull(ctx, typ, id, why, how)
	return len(got.resources), fail
}

func (r *run) readFull(ctx context.Context, typ, id string, why purpose, how arrival) (taken, *ServerError) {
	return r.readFrom(ctx, typ, id, why, source{
		op: "read", typ: typ, strategy: r.strategy.Name(), read: true, late: how == asLate, companion: how == asCompanion, unattributed: true,
	})
}

func (r *run) readFrom(ctx context.Context, typ, id string, why purpose, src source) (taken, *ServerError) {
	address := r.server.address(nil, typ, id)
	var head jsonscan.Header
	start := time.Now()
	resp, err := r.send(ctx, "read", typ, why, &transport.Request{URL: address, Check: checkResource(&head)})
	defer resp.Release()
	if fail := serverError("read", typ, address.String(), resp, err); fail != nil {
		r.keepUnread(typ, resp, fail)
		return taken{}, fail
	}
	fail := &ServerError{Op: "read", Type: typ, StatusCode: resp.Status, URL: address.String(), Err: errKind}
	switch {
	case head.ResourceType != typ && (head.ResourceType != "" || head.ID != id):
		r.keepUnread(typ, resp, fail)
		return taken{}, fail
	case head.ID != id && head.ID != "":
		fail.Err = errOtherID
		if typ == "Patient" {
			fail.Err = &PatientMovedError{ID: head.ID}
		}
		return taken{}, fail
	}
	body := resp.Body()
	r.noteBOM(resp.Came())
	b := &jsonscan.Bundle{Entries: []jsonscan.Entry{{Header: head, End: len(body), Resource: trimBOM(body), Mode: "match", FullURL: typ + "/" + id}}}
	src.bare, src.before, src.address = true, resp.Source, resp.URL
	got, err := r.takeIn(b, body, src)
	if err != nil {
		fail.Err = err
		return taken{}, fail
	}
	r.emit(PageFetched{event: r.event(), Op: "read", Type: typ, Page: 1, Entries: 1, New: len(got.resources), Bytes: len(body), Took: time.Since(start)})
	return got, nil
}

const byteOrderMark = "\xEF\xBB\xBF"

// trimBOM gives a resource without a byte order mark and white space around it, which are no part of it.
func trimBOM(body []byte) []byte {
	body = bytes.TrimPrefix(body, []byte(byteOrderMark))
	start, end := 0, len(body)
	for start < end && isSpace(body[start]) {
		start++
	}
	for end > start && isSpace(body[end-1]) {
		end--
	}
	return body[start:end]
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
