package fhirsync

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Session is what a [Strategy] asks through. It keeps the books: asking writes the obligation into the ledger, other patients' resources
// are kept out, and what is the patient's goes to the store, all without the strategy's help. What came broken or in parts is read again,
// references are followed and answers are checked by counts: where that need not wait beside what Fetch asks, and the rest when it has returned.
//
// Its methods may be called concurrently until Fetch returns. They give an error only when the run is over (the store failed for good, the
// credentials are not accepted, the caller's context has ended), and the context given to Fetch is then cancelled with the cause: return
// it. That one type or question failed is no error: the ledger has it, go on.
type Session struct {
	r        *run
	scope    *scope
	strategy string
}

// PatientID is the logical id that is asked for now: the patient's, or one of SyncOptions.AlsoPatients, for each of which Fetch is called.
func (s *Session) PatientID() string { return s.r.asking }

// ServerName is the Key.Server of everything this sync stores, but for what [Elsewhere] brings.
func (s *Session) ServerName() string { return s.r.server.name }

// BaseURL is the normalised service base URL.
func (s *Session) BaseURL() string { return s.r.server.base.String() }

// Types are the resource types owed, in order, without Patient, which has come before Fetch is called. The slice is the caller's.
func (s *Session) Types() []string { return slices.Clone(s.r.types) }

// Capabilities is what the server says about itself. It is never nil; where the CapabilityStatement could not be had it claims nothing.
func (s *Session) Capabilities() *quirks.Capabilities { return s.r.caps }

// Query is a search for resources of one type. The patient is not among its parameters: the Session picks the form in which the patient
// is named, and tries others if need be.
//
// Without Params it asks for the whole type, and its answer settles the type. With Params it is a question of its own that settles
// nothing, unless it is a part made by [Session.Partition].
type Query struct {
	Type   string
	Params url.Values

	node *node
}

// Page is one page of an answer, for deciding what to ask next. It is valid until the next iteration; its Resources may be kept.
type Page struct {
	// Number counts from 1, Entries is how many entries the page has.
	Number, Entries int
	// Total is Bundle.total; nil where it is absent.
	Total *int
	// Resources are those of the patient that had not come before. They are on their way to the store already.
	Resources []Resource
	// Issues are those of OperationOutcomes among the entries.
	Issues []Issue
}

// Search asks a query and takes in all its pages.
func (s *Session) Search(ctx context.Context, q Query) error {
	for _, err := range s.Pages(ctx, q) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Pages is Search page by page. Leaving the loop before its end leaves a gap of reason [Unasked]. The error, which comes last, is that of
// Search.
//
// An answer may be empty here and be asked for in another form after Fetch has returned, when it is known what the server understands.
// In a run that is resumed, a type that was settled before yields nothing and sends nothing.
func (s *Session) Pages(ctx context.Context, q Query) iter.Seq2[*Page, error] {
	return func(yield func(*Page, error) bool) {
		if !isTypeName(q.Type) {
			s.r.ledger.gap(Gap{Reason: Unasked, Detail: "a query without a resource type: " + printable(q.Type, 40)})
			return
		}
		x := question{typ: q.Type, fixed: q.Params, node: q.node, label: label(q.Params)}
		if x.node == nil && len(x.fixed) > 0 {
			x.node = s.r.ledger.begin(&node{typ: q.Type, label: x.label, scope: s.scope})
		}
		if q.node != nil {
			x.label = q.node.label
		}
		if x.whole() {
			s.r.ledger.owe(q.Type)
		}
		stopped := false
		err := s.r.ask(ctx, x, s.strategy, func(p *Page) bool {
			stopped = stopped || !yield(p, nil) // yield must not be called again once the loop was left.
			return !stopped
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// label names parameters for the report, without their values where those could say something about a person: a code or status is fine.
func label(params url.Values) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(params)) {
		parts = append(parts, k+"="+printable(strings.Join(params[k], ","), 60))
	}
	return printable(strings.Join(parts, " "), 120)
}

// Partition splits a query into parts that have its parameters and further ones each. Every part is owed from now on and must be asked; a
// part can be split again. A type of which all parts were answered, and which the server counts to be as many, is as good as answered
// whole; else it becomes a gap of reason [Unproven].
func (s *Session) Partition(whole Query, parts ...url.Values) []Query {
	if len(parts) == 0 {
		return nil
	}
	labels := make([]string, len(parts))
	names := map[string]bool{}
	out := make([]Query, len(parts))
	for i, p := range parts {
		labels[i] = label(p)
		all := url.Values{}
		maps.Copy(all, whole.Params)
		for k, v := range p {
			all[k] = v
			names[k] = true
		}
		out[i] = Query{Type: whole.Type, Params: all}
	}
	nodes := s.r.ledger.split(whole.node, whole.Type, strings.Join(slices.Sorted(maps.Keys(names)), ","), s.scope, labels)
	for i := range out {
		out[i].node = nodes[i]
	}
	return out
}

// Count asks how many resources the server has for a query. ok is false where it does not say, or not in a way that can be used.
func (s *Session) Count(ctx context.Context, q Query) (n int, ok bool, err error) {
	for _, f := range s.r.forms(q.Type) {
		n, ok := s.r.count(ctx, question{typ: q.Type, fixed: q.Params}, f)
		if s.r.ctx.Err() != nil {
			return 0, false, context.Cause(s.r.ctx)
		}
		if ok && (n > 0 || s.r.understood(q.Type, f, false)) {
			return n, true, nil
		}
	}
	return 0, false, nil
}

// Read reads one resource that a relative reference names, "Practitioner/17", and takes it in. A resource that has come before is not
// read again. What the server refuses is a gap; a 404 or 410 is one of reason [Dangling].
func (s *Session) Read(ctx context.Context, ref string) error {
	p := refs.Parse(ref)
	if p.Kind != refs.Relative {
		s.r.ledger.gap(Gap{Reason: Unasked, Detail: "a read of something that is no relative reference"})
		return nil
	}
	if s.r.has(p.Type, p.ID) || p.Type == "Patient" && !s.r.people.isOwn(p.ID) {
		return nil
	}
	n := s.r.ledger.begin(&node{typ: p.Type, label: "a read", scope: s.scope})
	_, err := s.r.readTarget(ctx, &refs.Target{Type: p.Type, ID: p.ID, Path: "the strategy", Count: 1})
	if err == nil {
		s.r.ledger.end(n, true)
	}
	return err
}

// Run runs another strategy within this one. If it is not supported ([errors.ErrUnsupported], which Run gives back) what it left
// unanswered is withdrawn, so that another can be tried.
func (s *Session) Run(ctx context.Context, sub Strategy) error {
	inner := &Session{r: s.r, scope: &scope{parent: s.scope}, strategy: sub.Name()}
	s.r.emit(StrategyStarted{event: s.r.event(), Strategy: sub.Name()})
	err := sub.Fetch(ctx, inner)
	unsupported := errors.Is(err, errors.ErrUnsupported)
	if unsupported {
		s.r.ledger.withdraw(inner.scope)
	}
	s.r.emit(StrategyFinished{event: s.r.event(), Strategy: sub.Name(), Supported: !unsupported})
	return err
}

// Gap enters something that the strategy knows to be missing, and why.
func (s *Session) Gap(g Gap) { s.r.ledger.gap(g) }

// Owe enters an obligation for resources of one type that come by another way than Search: out of a job's files, say. typ may be "" for a
// source of several types. It settles no type by itself.
func (s *Session) Owe(typ string) *Obligation {
	s.r.sources.Add(1)
	return &Obligation{s: s, typ: typ, expect: -1, node: s.r.ledger.begin(&node{typ: typ, label: "another source", scope: s.scope})}
}

// Obligation is something owed that a strategy brings by a way of its own. It ends with Done or with Gap; one that is left open becomes a
// gap of reason [Unasked]. Its methods must not be called concurrently.
type Obligation struct {
	s      *Session
	typ    string
	node   *node
	expect int
	got    map[ident]struct{}
	ended  bool
}

// Emit takes resources in: one JSON object each, which the caller may reuse afterwards. What cannot be read is a gap.
func (o *Obligation) Emit(ctx context.Context, raw ...[]byte) error {
	b := &jsonscan.Bundle{}
	var body []byte
	for _, one := range raw {
		start := len(body)
		body = append(body, one...)
		head, err := jsonscan.Head(one)
		b.Entries = append(b.Entries, jsonscan.Entry{Header: head, Start: start, End: len(body), Mode: "match", Err: err})
	}
	for i := range b.Entries {
		e := &b.Entries[i]
		e.Resource = trimBOM(body[e.Start:e.End])
	}
	_, err := o.s.r.takeIn(b, body, source{op: "other", typ: o.typ, strategy: o.s.strategy, unattributed: true, bare: true})
	if o.got == nil {
		o.got = map[ident]struct{}{}
	}
	for i := range b.Entries {
		// Taking it in may have repaired that there was none.
		if e := &b.Entries[i]; e.ID != "" {
			o.got[identOf(e.ResourceType, e.ID)] = struct{}{}
		}
	}
	return err
}

// Expect says how many resources the source itself says it has.
func (o *Obligation) Expect(n int) { o.expect = n }

// Done ends the obligation: everything was emitted. If fewer came than expected it is a gap of reason [Truncated].
func (o *Obligation) Done() {
	if o.ended {
		return
	}
	o.ended = true
	defer o.s.r.sources.Add(-1)
	if o.expect > len(o.got) {
		o.s.r.ledger.gap(Gap{Type: o.typ, Reason: Truncated, Count: o.expect - len(o.got), Detail: "the source says " + itoa(o.expect) + ", " + itoa(len(o.got)) + " came"})
	}
	o.s.r.ledger.end(o.node, true)
}

// Gap ends the obligation by a gap.
func (o *Obligation) Gap(reason GapReason, err error) {
	if o.ended {
		return
	}
	o.ended = true
	defer o.s.r.sources.Add(-1)
	g := Gap{Type: o.typ, Reason: reason, Detail: "a source of the strategy failed", Err: err}
	if err != nil {
		g.Detail = redact(err)
		if fail, ok := errors.AsType[*ServerError](err); ok {
			g.Detail, g.StatusCode, g.Issues = fail.reason(), fail.StatusCode, fail.Issues
		}
	}
	o.s.r.ledger.gap(g)
	o.s.r.ledger.end(o.node, false)
}
