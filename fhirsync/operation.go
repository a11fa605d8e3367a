package fhirsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// OperationLevel is what an operation is invoked on (http://hl7.org/fhir/R4/operations.html). The zero value is the patient.
type OperationLevel int

// The levels.
const (
	PatientLevel OperationLevel = iota // Patient/ID/$name
	TypeLevel                          // Type/$name
	SystemLevel                        // $name
)

// Operation is an operation that gives resources of the patient, in pages like a search or as a job.
type Operation struct {
	// Name is its name without the dollar sign.
	Name string
	// Level is what it is invoked on; Type is the resource type for TypeLevel.
	Level OperationLevel
	Type  string
	// Params are sent in the URL.
	Params url.Values
	// Body, where it is not nil, makes it a POST with this Parameters resource.
	Body []byte
	// Prefetch: it only saves requests. It owes nothing, settles nothing, and that it fails or does not exist is no gap.
	Prefetch bool
}

// Operation invokes an operation and takes in what it gives. What came before a failure is kept.
//
// An operation is no proof of anything: of the types it brings nothing is known to be the whole, which the report says in one gap of
// reason [Unproven] unless searches or counts ([Session.Confirm]) settle them. The error is that the run is over, or
// [errors.ErrUnsupported] where the server does not have the operation and it is no prefetch.
func (s *Session) Operation(ctx context.Context, op Operation) error {
	r := s.r
	typ := op.Type
	if op.Level == PatientLevel {
		typ = "Patient"
	}
	q := question{typ: typ, op: &op, fixed: op.Params, label: "$" + printable(op.Name, 40)}
	if !op.Prefetch {
		q.node = r.ledger.begin(&node{label: q.label, scope: s.scope})
	}
	r.sources.Add(1)
	a := r.chain(ctx, q, form{}, func(*Page) bool { return true }, s.strategy)
	r.sources.Add(-1)
	r.beside.kick()
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	r.learnOperation(op.Name, a)
	if op.Prefetch {
		if a.err != nil {
			r.ledger.note("", q.label+" did not come to its end: "+a.err.reason())
		}
		if a.foreign > 0 {
			r.ledger.note("", q.label+" gave resources of other patients, which were not stored")
		}
		return nil
	}
	if a.err != nil && a.pages == 0 && unsupportedOperation(a.err) {
		r.ledger.withdrawOne(q.node)
		return fmt.Errorf("fhirsync: %s: %w", q.label, errors.ErrUnsupported)
	}
	if a.pages > 0 {
		r.ledger.cover()
	}
	switch {
	case a.err != nil && a.err.StatusCode == http.StatusUnauthorized && r.unauthorized(ctx, a.err):
		return context.Cause(r.ctx)
	case a.err != nil && a.pages > 0:
		g := r.gapOf(Failed, a.err)
		if isTooLarge(a.err.Err) {
			g.Reason = Limited
		}
		g.Type, g.Detail = "", q.label+": page "+itoa(a.pages+1)+" was lost after "+counted(a.matches, "resource")+": "+a.err.reason()
		r.ledger.gap(g)
	case a.err != nil:
		reason := Failed
		switch {
		case isTooLarge(a.err.Err):
			reason = Limited
		case a.err.refusal() == refusedGrant:
			reason = Denied
		}
		g := r.gapOf(reason, a.err)
		g.Type, g.Detail = "", q.label+": "+a.err.reason()
		r.ledger.gap(g)
	case a.foreign > 0:
		r.ledger.gap(Gap{Reason: Foreign, Count: a.foreign, Detail: q.label + " gave resources of other patients; they were not stored"})
	case a.hadTotal && a.total > a.matches || a.early:
		r.ledger.gap(Gap{Reason: Truncated, Detail: q.label + ": " + truncatedText(&a.answer, -1)})
	}
	if a.partial {
		r.ledger.gap(Gap{Reason: Truncated, Detail: q.label + ": the server says that the answer is partial"})
	}
	if a.withheld {
		r.ledger.gap(Gap{Reason: Denied, Detail: q.label + ": the server says that it holds something back"})
	}
	r.ledger.end(q.node, a.err == nil)
	return nil
}

// unsupportedOperation tells whether a refusal means that the server does not have the operation.
func unsupportedOperation(e *ServerError) bool {
	switch e.refusal() {
	case refusedType, refusedOnce:
		return true
	case refusedGrant, refusedBadly:
	}
	return false
}

// learnOperation remembers whether a server has an operation.
func (r *run) learnOperation(name string, a *chainAnswer) {
	r.server.facts.with(func(f *facts) {
		switch {
		case a.err == nil:
			delete(f.operations, name)
		case a.pages == 0 && unsupportedOperation(a.err):
			f.operations[name]++
		}
	})
}

// Offers tells whether it makes sense to try an operation on the patient: the server claims it or could not say, and has not been seen to
// refuse it.
func (s *Session) Offers(name string) bool {
	refused := 0
	s.r.server.facts.with(func(f *facts) { refused = f.operations[name] })
	if is(s.r.server.quirks.caller.Everything.Supported, true) && name == "everything" {
		return true
	}
	if is(s.r.server.quirks.set.Everything.Supported, false) && name == "everything" {
		return false
	}
	return refused == 0 && (s.r.noCaps != nil || s.r.caps.ClaimsOperation("Patient", name))
}

// Confirm asks the server how many resources of a type are about the patient. If as many have come already, by whatever way, the type is
// settled by it as [Counted], and settled is true; else nothing changes, and the type is best searched.
func (s *Session) Confirm(ctx context.Context, typ string) (settled bool, err error) {
	r := s.r
	if !isTypeName(typ) || len(r.opts.AlsoPatients) > 0 {
		return false, nil // what came may be about another id of the patient.
	}
	// What came of it by another parameter, authored by the patient say, is not counted: it could make up for something that is missing.
	received, unattributed := 0, 0
	r.ledger.with(typ, func(e *typeEntry) { received, unattributed = e.subject, e.Unattributed })
	if received == 0 || unattributed > 0 || len(r.required(typ)) > 0 || len(r.furtherOf(typ)) > 0 || r.reach(typ) != quirks.BySearch || len(r.riders[typ]) > 0 || !r.claims(typ) && r.noCaps == nil || r.wasSettled(typ) {
		return r.wasSettled(typ), nil
	}
	for _, f := range r.forms(typ)[:2] {
		n, ok := r.count(ctx, question{typ: typ}, f)
		if r.ctx.Err() != nil {
			return false, context.Cause(r.ctx)
		}
		if !ok || n == 0 {
			continue
		}
		if n != received || n >= 1000 && isRound(n) {
			return false, nil
		}
		r.server.facts.with(func(k *facts) {
			k.agreed++
			k.largest = max(k.largest, n)
		})
		a := &chainAnswer{answer: answer{question: question{typ: typ}, form: f, matches: n, total: n, hadTotal: true}}
		r.worked(typ, f, false) // as many as have come, and not none: the form was understood.
		r.ledger.settle(typ, Counted, &a.answer)
		r.ledger.with(typ, func(e *typeEntry) { e.Expected, e.checked, e.verified = &n, true, true })
		return true, r.askVias(ctx, question{typ: typ}, nil, s.strategy, func(*Page) bool { return true })
	}
	return false, nil
}

// received tells whether resources of a type have come.
func (s *Session) received(typ string) bool {
	n := 0
	s.r.ledger.with(typ, func(e *typeEntry) { n = e.Received - e.receivedThen })
	return n > 0
}

// cover notes that an operation brought what it has of all types.
func (l *ledger) cover() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.types {
		e.covered = true
	}
}

// withdrawOne forgets an obligation.
func (l *ledger) withdrawOne(n *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.ended = true
	delete(l.open, n)
}

// Bounds of a job.
const (
	jobPatience = 30 * time.Minute
	jobPoll     = time.Second
	jobPollMax  = 30 * time.Second
	jobNesting  = 3
)

var (
	errJob         = errors.New("a job was announced and its result could not be had")
	errJobPatience = errors.New("a job did not end in time")
)

// awaitJob polls the job that a 202 announced (http://hl7.org/fhir/R5/async-bundle.html, http://hl7.org/fhir/R4/async.html) until its result
// is there, and reads the result into b. The job is deleted at the end. A 202 without an address on the server's own origin is an error.
func (r *run) awaitJob(ctx context.Context, op, typ string, resp *transport.Response, b *jsonscan.Bundle) (*transport.Response, error) {
	accepted := resp
	status, ok := r.onOrigin(accepted.URL, accepted.Header.Get("Content-Location"))
	wait := pollWait(accepted, jobPoll)
	accepted.Release()
	if !ok {
		return nil, errJob
	}
	defer r.deleteJob(ctx, op, typ, status)
	begun := time.Now()
	for pause := jobPoll; ; {
		if time.Since(begun) > jobPatience {
			return nil, errJobPatience
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		resp, err := r.send(ctx, op, typ, forData, &transport.Request{URL: status, Accept: "application/fhir+json, application/json", Check: checkJob(b)})
		if err != nil || resp.Status != http.StatusAccepted {
			if err == nil && resp.Status == http.StatusOK {
				return r.jobResult(resp, b)
			}
			return resp, err
		}
		pause = min(2*pause, jobPollMax)
		wait = pollWait(resp, pause)
		resp.Release()
	}
}

// pollWait is how long to wait before the next poll.
func pollWait(resp *transport.Response, otherwise time.Duration) time.Duration {
	if resp.Later && resp.RetryAfter > 0 {
		// Helios asks for two minutes for a job that is done within a second; nobody is hurt by a poll in half a minute.
		return min(resp.RetryAfter, jobPollMax)
	}
	return otherwise
}

// onOrigin resolves an address that a header named. Anything that is neither on the server's own origin nor on one the caller trusts is
// refused.
func (r *run) onOrigin(from *url.URL, address string) (*url.URL, bool) {
	if address == "" || len(address) > transport.MaxLink {
		return nil, false
	}
	u, err := from.Parse(address)
	if err != nil || !r.server.http.Owns(u) {
		return nil, false
	}
	u.Fragment = ""
	return u, true
}

// checkJob makes a check for the answer to a poll: whatever JSON it is when it is there.
func checkJob(b *jsonscan.Bundle) func(*transport.Response) error {
	check := checkBundle(b)
	return func(resp *transport.Response) error {
		err := check(resp)
		if errors.Is(err, errKind) {
			return nil // a manifest, perhaps.
		}
		return err
	}
}

// jobResult unwraps the result of a job: a searchset as it is, or as the first entry of a batch-response.
func (r *run) jobResult(resp *transport.Response, b *jsonscan.Bundle) (*transport.Response, error) {
	for range jobNesting {
		if b.ResourceType != "Bundle" {
			return resp, errJob
		}
		if b.Type == "searchset" || len(b.Entries) == 0 || b.Entries[0].ResourceType != "Bundle" && b.Entries[0].Status == "" {
			return resp, nil
		}
		first := b.Entries[0]
		if first.Status != "" && !strings.HasPrefix(first.Status, "2") {
			return resp, fmt.Errorf("%w: its status is %s", errJob, printable(first.Status, 16))
		}
		if first.ResourceType != "Bundle" || first.Resource == nil || len(b.Entries) > 1 {
			return resp, errJob
		}
		inner := bytes.Clone(first.Resource)
		if err := b.Split(inner); err != nil {
			return resp, err
		}
		resp.Replace(inner)
	}
	return resp, errJob
}

// deleteJob tells the server that a job's result is not needed any longer. It is a courtesy: what comes of it does not matter.
func (r *run) deleteJob(ctx context.Context, op, typ string, status *url.URL) {
	if ctx.Err() != nil {
		return
	}
	resp, _ := r.send(ctx, op, typ, forData, &transport.Request{Method: http.MethodDelete, URL: status, Small: true})
	resp.Release()
}
