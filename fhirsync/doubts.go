package fhirsync

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// doubt is an empty answer that is not believed yet: at the end of the run more may be known about what the server understands.
type doubt struct {
	q    question
	form form
	a    *chainAnswer
}

func (r *run) putOff(d doubt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubts = append(r.doubts, d)
}

// resolveDoubts looks again at the empty answers that could not be believed when they came.
func (r *run) resolveDoubts(ctx context.Context) error {
	r.mu.Lock()
	doubts := r.doubts
	r.doubts = nil
	r.mu.Unlock()
	if len(doubts) == 0 {
		return nil
	}
	r.learnEcho(ctx)
	return each(ctx, workers, doubts, func(ctx context.Context, d doubt) error {
		if r.understood(d.q.typ, d.form, d.a.selfHas) {
			return r.foundNothing(ctx, d.q, d.form, d.a, nil, "", func(*Page) bool { return true })
		}
		others := slices.DeleteFunc(r.forms(d.q.typ), func(f form) bool { return f == d.form })
		return r.askForms(ctx, d.q, others, &tally{empty: true, answer: d.a}, true, "", func(*Page) bool { return true })
	})
}

// probe finds something out about the server, once: those who want to know it at the same time wait, and where it cannot be had they do not
// ask again in this sync. known tells whether it is known.
func (r *run) probe(ctx context.Context, name string, known func(f *facts) bool, ask func()) {
	have := func() (yes bool) {
		r.server.facts.with(func(f *facts) { yes = known(f) })
		return yes
	}
	if have() {
		return
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return
	}
	if have() || r.probed[name] {
		return
	}
	if r.probed == nil {
		r.probed = map[string]bool{}
	}
	r.probed[name] = true
	ask()
}

// saysNothing tells whether a status is the server's way of saying that nothing was found: one probe per server shows it.
func (r *run) saysNothing(ctx context.Context, status int) bool {
	r.probe(ctx, "nothing", func(f *facts) bool { return f.nothing != 0 }, func() {
		b := new(jsonscan.Bundle)
		address := r.server.address(url.Values{"_id": {impossibleID}}, "Patient")
		resp, err := r.send(ctx, "search", "Patient", forVerification, &transport.Request{Small: true, URL: address, Check: checkBundle(b)})
		defer resp.Release()
		if err == nil && resp != nil {
			r.server.facts.with(func(f *facts) { f.nothing = resp.Status })
		}
	})
	known := 0
	r.server.facts.with(func(f *facts) { known = f.nothing })
	return known == status
}

// sameForMadeUp tells whether a type that does not exist gets this status too: then it says nothing about the type that was asked for.
func (r *run) sameForMadeUp(ctx context.Context, status int) bool {
	r.probe(ctx, "made up", func(f *facts) bool { return f.madeUp != 0 }, func() {
		address := r.server.address(url.Values{"patient": {r.asking}}, "FhirsyncProbe")
		resp, err := r.send(ctx, "search", "", forVerification, &transport.Request{Small: true, URL: address})
		defer resp.Release()
		if err == nil && resp != nil {
			r.server.facts.with(func(f *facts) { f.madeUp = resp.Status })
		}
	})
	known := 0
	r.server.facts.with(func(f *facts) { known = f.madeUp })
	return known == status
}

// learnEcho finds out, once per server, what its self links are worth, and whether it refuses parameters that it does not know.
func (r *run) learnEcho(ctx context.Context) {
	r.probe(ctx, "echo", func(f *facts) bool { return f.echo != echoUnknown }, func() {
		b := new(jsonscan.Bundle)
		address := r.server.address(url.Values{"_id": {impossibleID}, probeParam: {"1"}}, "Patient")
		resp, err := r.send(ctx, "search", "Patient", forVerification, &transport.Request{Small: true, URL: address, Check: checkBundle(b)})
		defer resp.Release()
		if err != nil || resp == nil {
			return
		}
		what, rejects := echoNone, resp.Status == http.StatusBadRequest
		if resp.Status == http.StatusOK && b.ResourceType == "Bundle" {
			self := selfQuery(b)
			switch {
			case self.Has("_id") && self.Has(probeParam):
				what = echoAll
			case self.Has("_id"):
				what = echoUsed
			}
		}
		r.server.facts.with(func(f *facts) { f.echo, f.rejectsUnknown = what, rejects })
	})
}

// selfQuery gives the parameters of the self link; nil if there are none.
func selfQuery(b *jsonscan.Bundle) url.Values {
	for _, l := range b.Links {
		if l.Relation == "self" && len(l.URL) <= transport.MaxLink {
			if u, err := url.Parse(l.URL); err == nil {
				return u.Query()
			}
		}
	}
	return nil
}
