package fhirsync

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// A search by _id=a,b,c brings many resources in one request (http://hl7.org/fhir/R4/search.html#id). Servers that take the list for one id,
// ignore it or cut it answer 200 all the same: what counts is which of the ids came.

// listsRefused is how many types must refuse lists until a server is taken not to understand them at all.
const listsRefused = 3

// listLength gives how many ids a search for the type may have; less than 2: lists are of no use.
func (r *run) listLength(typ string) int {
	most := r.following().listIDs
	if n := r.quirk(typ).IDsPerSearch; n != nil {
		most = min(most, *n)
	}
	if r.reach(typ) != quirks.BySearch {
		return 0
	}
	if c, listed := r.caps.Type(typ); r.noCaps == nil && listed && len(c.Interactions) > 0 && !slices.Contains(c.Interactions, "search-type") {
		return 0
	}
	r.mu.Lock()
	now, lowered := r.front.lists[typ]
	r.mu.Unlock()
	if lowered {
		return min(now, most)
	}
	if id := identOf(typ, r.asking); id[0]%recheckOneIn == 0 {
		return most // a share tries again what has not worked.
	}
	r.server.facts.with(func(f *facts) {
		refused := 0
		for _, n := range f.listMost {
			if n < 2 {
				refused++
			}
		}
		n, lowered := f.listMost[typ]
		switch {
		case f.commas < 0 && !f.lists[typ], refused >= listsRefused && len(f.lists) == 0:
			most = 0
		case lowered:
			most = min(n, most)
		}
	})
	return most
}

// lowerLists notes that a search for the type may have n ids at most.
func (r *run) lowerLists(typ string, n int) {
	r.mu.Lock()
	if now, lowered := r.front.lists[typ]; !lowered || n < now {
		r.front.lists[typ] = n
	}
	r.mu.Unlock()
	r.server.facts.with(func(f *facts) {
		f.listMost[typ] = max(n, 1)
		if n < 2 {
			delete(f.lists, typ)
		}
	})
}

// listsWork notes that a search with n ids has brought them all.
func (r *run) listsWork(typ string, n int) {
	r.server.facts.with(func(f *facts) {
		f.lists[typ] = true
		if most, lowered := f.listMost[typ]; lowered && n > most {
			delete(f.listMost, typ)
		}
		f.confirm("lists "+typ, "list-most "+typ)
	})
}

// isPlainID tells whether an id can stand in a list as it is: nothing in it is escaped, in a URL or in a list.
func isPlainID(id string) bool {
	return id != "" && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") == ""
}

// listAddress gives the address of a search for as many of the targets as it may name, at most n, and how many these are.
func (r *run) listAddress(typ string, targets []refs.Target, n int) (*url.URL, int) {
	address := r.server.address(nil, typ)
	room := r.following().listAddress - len(address.String()) - len("?_id=&_count=50")
	ids := make([]string, 0, min(n, len(targets)))
	for i := range targets {
		if room -= len(targets[i].ID) + 1; len(ids) == n || room < 0 && len(ids) > 0 {
			break
		}
		ids = append(ids, targets[i].ID)
	}
	address.RawQuery = "_id=" + strings.Join(ids, ",")
	if size := r.pageSize(typ); size > 0 {
		address.RawQuery += "&" + url.QueryEscape(r.sizeParam()) + "=" + itoa(min(size, len(ids)))
	}
	return address, len(ids)
}

// list is one search for several targets.
type list struct {
	targets []refs.Target
	missing []refs.Target
	fail    *ServerError
}

// lists asks for targets of one type in searches, and gives those that did not come.
func (w *wave) lists(ctx context.Context, typ string, targets []refs.Target) (rest []left, err error) {
	var pending []refs.Target
	for _, t := range targets {
		if isPlainID(t.ID) {
			pending = append(pending, t)
		} else {
			rest = append(rest, left{Target: t})
		}
	}
	proven := false
	w.server.facts.with(func(f *facts) { proven = f.lists[typ] })
	for len(pending) > 1 {
		n := w.listLength(typ)
		if n < 2 || w.givenUp(typ) {
			break
		}
		// The first list shows whether lists work here; the others may then be asked for at once.
		var chunks []*list
		for len(pending) > 1 && (proven || len(chunks) == 0) {
			_, k := w.listAddress(typ, pending, n)
			chunks = append(chunks, &list{targets: pending[:k:k]})
			pending = pending[k:]
		}
		err := each(ctx, workers, chunks, func(ctx context.Context, l *list) error {
			if len(l.targets) < 2 { // so long an id
				l.missing = l.targets
				return nil
			}
			return w.list(ctx, typ, l)
		})
		if err != nil {
			return nil, err
		}
		again, more, err := w.looked(ctx, typ, chunks)
		if err != nil {
			return nil, err
		}
		proven = true
		rest, pending = append(rest, more...), append(again, pending...)
	}
	for _, t := range pending {
		rest = append(rest, left{Target: t})
	}
	return rest, nil
}

// looked learns from what lists brought. again are targets to be asked for in shorter lists, rest those to be read by themselves.
func (w *wave) looked(ctx context.Context, typ string, chunks []*list) (again []refs.Target, rest []left, err error) {
	for _, l := range chunks {
		asked, came := len(l.targets), len(l.targets)-len(l.missing)
		switch {
		case l.fail != nil:
			switch s := l.fail.StatusCode; {
			case s == http.StatusRequestURITooLong || s == http.StatusRequestEntityTooLarge || s == http.StatusRequestHeaderFieldsTooLarge:
				w.lowerLists(typ, asked/2)
				again = append(again, l.missing...)
				continue
			case l.fail.refusal() != refusedBadly:
				w.lowerLists(typ, 1)
			default:
				w.mu.Lock()
				w.front.lists[typ] = 1 // for now
				w.mu.Unlock()
			}
		case len(l.missing) == 0:
			w.listsWork(typ, asked)
			continue
		case came > 0:
			// Some are not there, or the list was cut: one of them, which has to be read by itself anyhow, shows it.
			there, err := w.single(ctx, &l.missing[0])
			if err != nil {
				return nil, nil, err
			}
			if there {
				w.lowerLists(typ, came)
				again = append(again, l.missing[1:]...)
				continue
			}
			l.missing = l.missing[1:]
			w.server.facts.with(func(f *facts) { f.lists[typ] = true })
		}
		for _, t := range l.missing {
			rest = append(rest, left{Target: t, asked: asked, came: came})
		}
	}
	return again, rest, nil
}

// list asks for one list, page by page, and takes in what was asked for. The error means that the run is over.
func (w *wave) list(ctx context.Context, typ string, l *list) error {
	address, _ := w.listAddress(typ, l.targets, len(l.targets))
	open := map[string]bool{}
	for i := range l.targets {
		open[l.targets[i].ID] = true
	}
	l.missing = l.targets
	seen := map[string]bool{}
	// A page brings at least one of them, but for a few; what does not come is read by itself.
	for page := 1; len(open) > 0 && address != nil && !seen[address.String()] && page <= len(l.targets)+fewEmptyPages; page++ {
		seen[address.String()] = true
		next, fail, err := w.listPage(ctx, typ, address, page, open)
		if err != nil {
			return err
		}
		if fail != nil {
			if page == 1 {
				l.fail = fail
			}
			break
		}
		address = next
	}
	l.missing = nil
	for i := range l.targets {
		if t := &l.targets[i]; open[t.ID] {
			l.missing = append(l.missing, *t)
			if l.fail == nil {
				w.mu.Lock()
				w.front.searched[identOf(t.Type, t.ID)] = true
				w.mu.Unlock()
			}
		} else {
			w.done(t, true)
		}
	}
	return nil
}

// listPage asks for one page and takes what came off the list of those that are open. next is nil after the last page, and after one that
// shows that the ids were not looked at.
func (w *wave) listPage(ctx context.Context, typ string, address *url.URL, number int, open map[string]bool) (next *url.URL, fail *ServerError, err error) {
	b := new(jsonscan.Bundle)
	start := time.Now()
	resp, sendErr := w.send(ctx, "search", typ, forReferences, &transport.Request{URL: address, Check: checkBundle(b)})
	defer resp.Release()
	if w.ctx.Err() != nil {
		return nil, nil, context.Cause(w.ctx)
	}
	if fail := serverError("search", typ, address.String(), resp, sendErr); fail != nil {
		if fail.StatusCode == http.StatusUnauthorized && w.unauthorized(ctx, fail) {
			return nil, nil, context.Cause(w.ctx)
		}
		return nil, fail, nil
	}
	asked := &jsonscan.Bundle{Links: b.Links}
	others := false
	for i := range b.Entries {
		e := &b.Entries[i]
		id := w.identify(e)
		switch {
		case e.ResourceType == typ && open[id]:
			asked.Entries = append(asked.Entries, *e)
			delete(open, id)
		case e.ResourceType == typ && e.Mode != "include" && e.Mode != "outcome":
			others = true // one that came twice, or one that nobody asked for.
		case e.ResourceType == "OperationOutcome":
			asked.Entries = append(asked.Entries, *e)
		}
	}
	got, takeErr := w.takeIn(asked, resp.Body(), source{
		op: "search", typ: typ, strategy: w.strategy.Name(), companion: true, unattributed: true, before: resp.Source, address: resp.URL,
	})
	if takeErr != nil {
		return nil, nil, takeErr
	}
	w.closes(typ, got.own)
	w.emit(PageFetched{
		event: w.event(), Op: "search", Type: typ, Page: number, Entries: len(b.Entries), New: len(got.resources), Bytes: len(resp.Body()), Took: time.Since(start),
	})
	if others && len(asked.Entries) == 0 {
		return nil, nil, nil
	}
	for _, l := range b.Links {
		if l.Relation == "next" {
			next, _, ok := w.server.http.NextLink(resp.URL, l.URL)
			if ok {
				return next, nil, nil
			}
		}
	}
	return nil, nil, nil
}
