package fhirtest

import (
	"net/http"
	"slices"
	"strings"
)

// What a client asks for by ids depends on what it knows at the time: the same resources are asked for in other lists, or one by one. What the
// trace shows of each of them answers that too.

// known is what a trace shows of the resources of one type.
type knownOf struct {
	there map[string]*resourceShape
	gone  map[string]bool
	lists bool // a search by several ids has brought one
}

// byID answers a read, or a search by ids, from what is known of each of them; nil where something is not. The caller holds the lock.
func (p *Playback) byID(q question) *reply {
	typ, id, _ := strings.Cut(strings.TrimPrefix(q.path, "{base}/"), "/")
	ids := q.ids()
	if q.method != http.MethodGet || !strings.HasPrefix(q.path, "{base}/") || strings.Contains(id, "/") || (id == "") == (len(ids) == 0) {
		return nil
	}
	known := p.knownOf(typ)
	if id != "" {
		switch r := known.there[id]; {
		case r != nil:
			return newReply(http.StatusOK, fhirJSON, p.body(&shape{Kind: "resource", Resource: r}, 0))
		case known.gone[id]:
			return refuse(http.StatusNotFound, "not-found", "it was not there")
		}
		return nil
	}
	if len(ids) > 1 && !known.lists {
		return nil // nothing shows that the server understands several.
	}
	out := &shape{Kind: "bundle", Type: "searchset"}
	for _, id := range ids {
		switch r := known.there[id]; {
		case r != nil:
			out.Entries = append(out.Entries, entryShape{Mode: "match", Resource: r})
		case !known.gone[id]:
			return nil
		}
	}
	return newReply(http.StatusOK, fhirJSON, p.body(out, 0))
}

// knownOf collects what the trace shows of a type.
func (p *Playback) knownOf(typ string) knownOf {
	out := knownOf{there: map[string]*resourceShape{}, gone: map[string]bool{}}
	for _, x := range p.exchanges {
		rest, ok := strings.CutPrefix(x.asked.path, "{base}/"+typ)
		if !ok || x.Method != http.MethodGet {
			continue
		}
		s := x.Shape
		if id, isRead := strings.CutPrefix(rest, "/"); isRead && !strings.Contains(id, "/") {
			switch {
			case x.Status == http.StatusOK && s != nil && s.Resource != nil && s.Resource.Damage == "" && s.Resource.Type == typ:
				out.there[id] = s.Resource
			case x.Status == http.StatusNotFound || x.Status == http.StatusGone:
				out.gone[id] = true
			}
			continue
		}
		ids := x.asked.ids()
		if rest != "" || len(ids) == 0 || x.Status != http.StatusOK || s == nil || s.Kind != "bundle" {
			continue
		}
		brought := 0
		for i := range s.Entries {
			e := &s.Entries[i]
			if r := e.Resource; r != nil && r.Type == typ && r.Damage == "" && e.Damage == "" && r.ID != "" {
				if id := expand(r.ID, p.plain); slices.Contains(ids, id) {
					out.there[id] = r
					brought++
				}
			}
		}
		out.lists = out.lists || len(ids) > 1 && brought > 0
		if !slices.ContainsFunc(s.Links, func(l linkShape) bool { return l.Relation == "next" }) && (len(ids) == 1 || brought > 0) {
			for _, id := range ids {
				out.gone[id] = true // unless it is there
			}
		}
	}
	return out
}

// ids gives the ids that a search is for; none where it is for something else.
func (q question) ids() []string {
	for _, x := range q.params {
		if x.name == "_id" && x.value != "" {
			return strings.Split(x.value, ",")
		}
	}
	return nil
}
