package fhirsync

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// unreadable deals with an entry that cannot be used as it came: where its identity is known the resource is read by itself, and if that
// is of no use either, it is a gap.
func (r *run) unreadable(e *jsonscan.Entry, id string, body []byte, src source) {
	typ := e.ResourceType
	if typ == "" {
		if ref := refs.Parse(e.FullURL); ref.Kind == refs.Absolute || ref.Kind == refs.Relative {
			typ = ref.Type
		}
	}
	if id == "" && e.FullURL != "" {
		id = refs.Parse(e.FullURL).ID
		if !isTypeName(typ) || refs.Parse(e.FullURL).Kind == refs.URN {
			id = ""
		}
	}
	why := "not valid JSON"
	if refused, ok := errors.AsType[*jsonrepair.RefusedError](e.Err); ok {
		why += ": " + refused.Reason
	}
	switch {
	case e.Resource == nil && e.Err == nil:
		why = "an entry without a resource"
	case e.Err == nil && e.ID == "":
		why = "a resource without an id"
	}
	if id != "" && isTypeName(typ) && !src.read {
		if !r.has(typ, id) {
			r.readLater(typ, id, why, src)
			r.hold(typ, id, body[e.Start:e.End], src.address)
		}
		return
	}
	r.quarantine(typ, id, why, body[e.Start:e.End], src)
}

// quarantine enters something unreadable into the ledger, and keeps its bytes where the store can. What comes again is the same gap.
func (r *run) quarantine(typ, id, why string, raw []byte, src source) {
	if !r.firstTime(typ, id, raw) {
		return
	}
	g := Gap{Type: src.typ, Reason: Failed, Detail: why}
	if isTypeName(typ) {
		g.Type = typ
		if id != "" {
			g.Ref = typ + "/" + id
		}
	}
	r.ledger.gap(g)
	r.keep(typ, id, why, raw, src.address)
}

// keepOnce is keep, of the same bytes once.
func (r *run) keepOnce(typ, id, why string, raw []byte, address *url.URL) {
	if len(raw) > 0 && r.firstTime(typ, id, raw) {
		r.keep(typ, id, why, raw, address)
	}
}

// firstTime tells whether something unreadable has not come before.
func (r *run) firstTime(typ, id string, raw []byte) bool {
	sum := ident(hashOf([]byte(typ), []byte{0}, []byte(id), []byte{0}, raw))
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.kept[sum]
	if r.kept == nil {
		r.kept = map[ident]bool{}
	}
	if len(r.kept) < maxKept {
		r.kept[sum] = true
	}
	return !known
}

// keep puts bytes that could not be read into quarantine.
func (r *run) keep(typ, id, why string, raw []byte, address *url.URL) {
	if r.writer == nil || r.writer.powers.Quarantine == nil {
		return
	}
	item := Quarantined{
		Run: r.id, Server: r.server.name, PatientID: r.patientID, Type: typ, ID: id, Reason: why, Query: r.server.query(address), Raw: slices.Clone(raw),
	}
	// A store that fails here ends the run; a run that is over needs no quarantine.
	if err := r.writer.do(r.ctx, func(ctx context.Context) error { return r.writer.quarantine(ctx, []Quarantined{item}) }); err != nil && r.ctx.Err() == nil {
		r.storeFailed(err)
	}
}

// keepUnread puts the body of an answer into quarantine that came and could not be read.
func (r *run) keepUnread(typ string, resp *transport.Response, fail *ServerError) {
	if resp == nil || resp.Status != http.StatusOK || fail.Err == nil {
		return
	}
	body := resp.Came()
	_, syntax := errors.AsType[*jsonscan.SyntaxError](fail.Err)
	_, refused := errors.AsType[*jsonrepair.RefusedError](fail.Err)
	if syntax || refused || errors.Is(fail.Err, transport.ErrXML) || errors.Is(fail.Err, errKind) || isEarlyEnd(fail.Err) || errors.Is(fail.Err, jsonscan.ErrDepth) {
		r.keepOnce(typ, "", fail.reason(), body, resp.URL)
	}
}

// maxKept bounds the memory for what could not be read: what goes beyond may be counted and kept twice.
const maxKept = 10_000

func hashOf(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(p) // a hash does not fail.
	}
	return h.Sum(nil)[:len(ident{})]
}

// query says what was asked for, without what may be secret or clinical: the names of parameters, and no values or ids.
func (s *server) query(address *url.URL) string {
	if address == nil {
		return ""
	}
	path := strings.Trim(strings.TrimPrefix(address.Path, s.base.Path), "/")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if !isTypeName(p) && !strings.HasPrefix(p, "$") && p != "_search" && p != "metadata" {
			parts[i] = "{id}"
			continue
		}
		if !strings.HasPrefix(p, "_") && !strings.HasPrefix(p, "$") {
			parts[i] = printable(p, 40)
		}
	}
	var out strings.Builder
	out.WriteString(strings.Join(parts[:min(len(parts), 8)], "/"))
	const most = 20 // parameters that are named
	for i, name := range slices.Sorted(maps.Keys(address.Query())) {
		switch i {
		case most:
			return out.String()
		case 0:
			out.WriteByte('?')
		default:
			out.WriteByte('&')
		}
		out.WriteString(printable(name, 40) + "=")
	}
	return out.String()
}

// readLater notes that a resource is to be read by itself.
func (r *run) readLater(typ, id, why string, src source) {
	if src.read {
		r.ledger.gap(Gap{Type: typ, Ref: typ + "/" + id, Reason: Failed, Detail: why})
		return
	}
	if !r.wants(typ) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rereads[typ+"/"+id] = reread{why: why, from: src}
}

// reread is a resource that is to be read by itself, because it came broken or in parts.
type reread struct {
	why     string
	from    source
	raw     []byte // as it came, where that could not be read
	address *url.URL
}

// maxRereadBytes bounds what is held of resources that are to be read by themselves. What goes beyond goes into quarantine at once.
const maxRereadBytes = 8 << 20

// hold keeps the bytes of a resource that is to be read by itself, in case that is of no use.
func (r *run) hold(typ, id string, raw []byte, address *url.URL) {
	if r.writer == nil || r.writer.powers.Quarantine == nil {
		return
	}
	r.mu.Lock()
	x, ok := r.rereads[typ+"/"+id]
	fits := ok && x.raw == nil && r.rereadBytes+len(raw) <= maxRereadBytes
	if fits {
		x.raw, x.address = slices.Clone(raw), address
		r.rereads[typ+"/"+id] = x
		r.rereadBytes += len(raw)
	}
	r.mu.Unlock()
	if ok && !fits && x.raw == nil {
		r.keepOnce(typ, id, x.why, raw, address)
	}
}

// trusted tells whether the question it came by has turned out to be answered with the patient's resources alone.
func (x reread) trusted() bool {
	c := x.from.chain
	return x.from.unattributed && (c == nil || c.out.foreign == 0 && !c.out.ignored)
}
