package fhirsync

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Conditional references (http://hl7.org/fhir/R4/http.html#trules) are legal in transactions only, and some exports leave them behind:
// "Practitioner?identifier=system|value". What exactly one resource answers to is what they mean. Canonicals are looked up likewise, by url.

// maxConditional bounds the length of a conditional reference that is looked up.
const maxConditional = 1500

// searchable tells whether a query that stands in a resource may be asked: by what a resource is, never by whose it is or for more than
// the resource itself.
func searchable(query string) bool {
	params, err := url.ParseQuery(query)
	if err != nil || len(params) == 0 || len(query) > maxConditional {
		return false
	}
	for full, values := range params {
		name, _, _ := strings.Cut(full, ":")
		if name == "" || name[0] == '_' && name != "_id" || name == "patient" || name == "subject" || strings.ContainsAny(full, ".$/") {
			return false
		}
		for _, v := range values {
			if v == "" || strings.Contains(v, "Patient/") {
				return false
			}
		}
	}
	return true
}

// queryAddress gives the address of a search that a reference stands for.
func (r *run) queryAddress(t *refs.Target) *url.URL {
	params, _ := url.ParseQuery(t.Query) // searchable has looked at it.
	if r.pageSize(t.Type) > 0 {
		params.Set(r.sizeParam(), "2")
	}
	return r.server.address(params, t.Type)
}

// query looks for the one resource that a reference means, and ends its obligation. The error means that the run is over.
func (w *wave) query(ctx context.Context, t refs.Target) error {
	b := new(jsonscan.Bundle)
	address := w.queryAddress(&t)
	start := time.Now()
	resp, sendErr := w.send(ctx, "search", t.Type, forReferences, &transport.Request{URL: address, Check: checkBundle(b)})
	defer resp.Release()
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	what := "conditional reference"
	if slices.Contains(w.opts.References.Canonicals, t.Type) && strings.HasPrefix(t.Query, "url=") {
		what = "canonical"
	}
	g := Gap{Type: t.Type, Count: 1}
	if fail := serverError("search", t.Type, address.String(), resp, sendErr); fail != nil {
		g = w.gapOf(Failed, fail)
		g.Type = t.Type
		g.Detail = "a " + what + ", named by " + t.Path + ": " + g.Detail
		switch fail.refusal() {
		case refusedGrant:
			if fail.StatusCode == http.StatusUnauthorized && w.unauthorized(ctx, fail) {
				return context.Cause(w.ctx)
			}
			g.Reason = Denied
		case refusedOnce, refusedType:
			g.Reason = Skipped
		case refusedBadly:
		}
		w.ledger.gap(g)
		w.done(&t, false)
		return nil
	}
	var found []jsonscan.Entry
	more, odd := false, false
	for i := range b.Entries {
		e := &b.Entries[i]
		odd = odd || w.isOdd(e, &t)
		if e.ResourceType == t.Type && (e.Mode == "match" || e.Mode == "") && e.Err == nil && w.identify(e) != "" && answersTo(e.Resource, t.Query) &&
			!slices.ContainsFunc(found, func(x jsonscan.Entry) bool { return w.identify(&x) == w.identify(e) }) {
			found = append(found, *e)
		}
	}
	for _, l := range b.Links {
		more = more || l.Relation == "next"
	}
	w.emit(PageFetched{
		event: w.event(), Op: "search", Type: t.Type, Page: 1, Entries: len(b.Entries), New: len(found), Bytes: len(resp.Body()), Took: time.Since(start),
	})
	switch {
	case odd && (len(found) != 1 || more && b.Total != 1):
		// What was meant may be among it, or the question was not understood.
		g.Reason, g.Detail = Unproven, "a "+what+" that was answered with something else, or with what cannot be read, named by "+t.Path
	case len(found) == 0 && !more:
		g.Reason, g.Detail = Dangling, "a "+what+" that nothing answers to, named by "+t.Path
	case len(found) != 1 || more && b.Total != 1:
		g.Reason, g.Detail = Skipped, "a "+what+" that more than one resource may answer to, named by "+t.Path
	default:
		w.mu.Lock()
		w.front.Exclude(refs.Target{Type: t.Type, ID: w.identify(&found[0]), Hops: t.Hops})
		w.mu.Unlock()
		got, err := w.takeIn(&jsonscan.Bundle{Entries: found}, resp.Body(), source{
			op: "search", typ: t.Type, strategy: w.strategy.Name(), companion: true, unattributed: true,
		})
		if err != nil {
			return err
		}
		w.closes(t.Type, got.own)
		w.done(&t, true)
		return nil
	}
	w.ledger.gap(g)
	w.done(&t, true) // it was asked once, and has its answer.
	return nil
}

// isOdd tells whether an entry is no answer to a query, and does not say that there is none either.
func (r *run) isOdd(e *jsonscan.Entry, t *refs.Target) bool {
	switch {
	case e.ResourceType == "OperationOutcome":
		return len(errorIssues(issuesOf(e.Resource))) > 0
	case e.Mode == "include" || e.Mode == "outcome":
		return false
	}
	return e.Err != nil || e.ResourceType != t.Type || r.identify(e) == "" || !answersTo(e.Resource, t.Query)
}

// answersTo tells whether a resource answers to a query, as far as that can be seen: servers ignore parameters that they do not know.
func answersTo(raw []byte, query string) bool {
	params, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	var r struct {
		ID         string
		URL        string
		Version    string
		Identifier json.RawMessage
	}
	if json.Unmarshal(raw, &r) != nil {
		return false
	}
	if v := params.Get("_id"); v != "" && v != r.ID {
		return false
	}
	unescape := strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\|`, `|`, `\$`, `$`)
	if v := params.Get("url"); v != "" && r.URL != unescape.Replace(v) {
		return false
	}
	if v := params.Get("version"); v != "" && r.Version != "" && r.Version != unescape.Replace(v) {
		return false
	}
	token := params.Get("identifier")
	if token == "" {
		return true
	}
	type identifier struct{ System, Value string }
	var all []identifier
	var one identifier
	if json.Unmarshal(r.Identifier, &all) != nil && json.Unmarshal(r.Identifier, &one) == nil {
		all = []identifier{one}
	}
	system, value, both := strings.Cut(token, "|")
	return slices.ContainsFunc(all, func(x identifier) bool {
		if !both {
			return x.Value == unescape.Replace(token)
		}
		return x.System == unescape.Replace(system) && (value == "" || x.Value == unescape.Replace(value))
	})
}
