package fhirsync

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
	"github.com/fhirsync/fhirsync-go/refs"
)

// workers is how many questions of one sync are under way at once. How many requests are is for the limiter to say.
const workers = 8

// run is one sync.
type run struct {
	client    *Client
	server    *server
	id        string
	patientID string
	asking    string // the patient id that is asked for now; changed between passes only
	opts      SyncOptions
	strategy  Strategy
	trace     *traceWriter // nil: none

	ctx    context.Context //nolint:containedctx // of all requests; a run lives as long as one call of Sync.
	cancel context.CancelCauseFunc

	caps   *quirks.Capabilities // as quirks correct them; never nil
	stated *quirks.Capabilities // as the server states them; never nil
	noCaps *ServerError         // why there are none
	table  *compartment.Table   // of the server's FHIR version
	riders map[string][]string  // by type: _revinclude values for its search
	last   map[string]int       // by type: what the last finished sync of this patient brought; nil: not known
	types  []string             // that are asked for, in order
	wanted map[string]bool      // SyncOptions.Types; nil: all

	people *people
	ledger *ledger
	writer *writer

	mu          sync.Mutex
	seen        map[ident]uint16 // what has come, to the index of its type in names: see seen.go
	spilled     bool             // not all of it is in seen
	looks       looking
	names       []string
	nameIDs     map[string]uint16
	front       frontier
	follow      []refs.Source     // what is looked for in resources
	rereads     map[string]reread // resources to be read by themselves, by ref
	asides      map[string]aside  // resources without an id, by the ref that was made for them
	asideBytes  int
	prints      map[ident]uint64              // what resources say beside their ids, to short idents of these; nil: nothing has come without one
	unprinted   map[string]bool               // types of which something had come by then
	made        map[string]map[ident]struct{} // by type: matches whose ids were made of their content
	rereadBytes int                           // held of them
	kept        map[ident]bool                // went into quarantine
	undone      map[string]bool               // types of which something came that did not get to the writer
	failures    []question                    // of whole types, to be tried once more
	lastPass    bool                          // they have been
	unsure      []string                      // types whose empty answer nothing confirms, because nothing ever came
	doubts      []doubt                       // empty answers that are not believed yet
	leans       []lean                        // empty answers that are believed for what earlier syncs have shown
	heardForms  map[form]bool                 // in which this sync has found something
	disproved   map[form]bool                 // that are not understood any longer
	late        map[string]bool               // Provenance and AuditEvent whose owner shows later, by ref
	failed      error                         // of the store

	notBefore time.Time // the server wants to be left alone until then; guarded by mu

	inner      map[string]inner // answers that came in a batch, by address; guarded by mu
	innerBytes int
	beside     *beside         // what goes on beside the strategy; nil: nothing
	sources    atomic.Int32    // operations and other sources under way, which may bring anything
	probing    chan struct{}   // holds one: one probe for batches
	turn       chan struct{}   // holds one: a probe at a time of what the server is like
	probed     map[string]bool // guarded by turn

	rode sync.Map // types of which a search was answered with what rides on it

	refusedValues map[string]map[string]bool // by type and parameter: values that the server refuses; guarded by mu

	verifying atomic.Int32 // answers are being changed: see verify
	filled    atomic.Int64 // parts asked for to fill what was cut
	asked     atomic.Bool  // a whole question has been asked: the first one is never put off
	noTotals  atomic.Bool  // _total is refused
	answered  atomic.Bool  // anything at all came from the server
	heard     atomic.Bool  // an answer to a question, beside metadata
	unheard   atomic.Int64 // whole questions that were refused in every usual form
	purpose   [4]atomic.Int64
	resent    atomic.Int64

	events sync.Mutex
	report *Report

	// What is saved so that an unfinished sync can be gone on from: see state.go.
	saving         bool            // guarded by mu
	savedAt        time.Time       // guarded by mu
	answeredAll    map[string]bool // types answered to their end, those parts included by which the patient is no subject; guarded by mu
	key, rev       string          // of the state; used where the store may be called
	settled        map[string]bool // types that the sync being resumed had settled; written before others are at work
	resumedFrom    time.Time
	resumedInStore bool            // the state that is gone on from has no keys
	inStore        map[string]bool // types of which the store is asked what an earlier part of this run has put; nil: there was none
}

// purpose of a request, for the counts.
type purpose int

const (
	forMetadata purpose = iota
	forData
	forVerification
	forReferences
)

// ident is a resource's identity within the server, cut to 128 bits.
type ident [16]byte

func identOf(typ, id string) ident {
	var buf [128]byte // on the stack, for ids as they are as a rule.
	sum := sha256.Sum256(append(append(append(buf[:0], typ...), '/'), id...))
	return ident(sum[:16])
}

// short is an ident cut to 64 bits: enough to count distinct resources, but not to take one for having come. Two resources with the same one, by a
// chance of one in some ten million for a million of them, are counted as one: an answer then looks smaller than it is, so that what is not
// missing is looked for. A longer one would only cost more.
func (i ident) short() uint64 { return binary.LittleEndian.Uint64(i[:]) }

// Sync brings one patient's record from a server into a store.
//
// The Report is nil only if the arguments are wrong, in which case no request was sent. Otherwise it says what came and what did not,
// and the error says how the sync ended:
//
//   - nil: it reached its end and the verdict is Complete or Restricted.
//   - [*IncompleteError] ([ErrIncomplete]): it reached its end and something is missing.
//   - [ErrPatientNotFound], [ErrNotFHIR], [*VersionError], [*PatientMovedError], a [*ServerError]: nothing could be asked.
//   - [ErrRetryLater]: the server asked for a long pause; Report.NotBefore says until when, and Report.Interrupted is set.
//   - [ErrUnauthorized], [*StoreError], the cause of ctx, an error of the strategy: it was ended before its end; Report.Interrupted is set.
//
// Sync may be called concurrently, also for the same server, whose limits are then shared. Two syncs of the same patient into the same
// store at once are correct and wasteful.
func (c *Client) Sync(ctx context.Context, srv Server, patientID string, store Store, opts *SyncOptions) (*Report, error) {
	if store == nil {
		return nil, errors.New("fhirsync: no store")
	}
	if f, ok := store.(StoreFunc); ok && f == nil {
		return nil, errors.New("fhirsync: no store")
	}
	r, err := c.newRun(srv, patientID, opts)
	if err != nil {
		return nil, err
	}
	return r.sync(ctx, store)
}

// begin makes what a run needs before its first request. r.cancel must be called at its end.
func (r *run) begin(ctx context.Context) {
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.report = &Report{
		Run: r.id, Server: r.server.name, PatientID: r.patientID, Strategy: r.strategy.Name(), Started: time.Now(),
		Filter: slices.Sorted(slices.Values(r.opts.Types)), AlsoPatients: slices.Clone(r.opts.AlsoPatients),
	}
	r.ledger = newLedger(func(g Gap) { r.emit(GapFound{event: r.event(), Type: g.Type, Reason: g.Reason}) })
	r.beginTrace()
}

func (r *run) sync(ctx context.Context, store Store) (*Report, error) {
	r.begin(ctx)
	defer r.cancel(nil)
	r.ledger.owe("Patient")
	for name := range r.table.Names() { // until metadata has been read.
		if r.wants(name) {
			r.ledger.owe(name)
		}
	}
	r.writer = newWriter(r, store)
	r.front.Versions = r.writer.powers.History != nil
	storeCtx, stop := graceful(ctx)
	defer stop()
	go r.writer.loop(storeCtx)

	r.beginElsewhere()
	defer r.front.elsewhere.close()
	r.loadLearned(ctx)
	err := r.resume(storeCtx)
	if err == nil {
		err = r.fetch()
	}
	if cause := context.Cause(r.ctx); r.ctx.Err() != nil {
		err = cause
	}
	interrupted := err != nil
	r.front.elsewhere.close()
	r.ledger.close(interrupted, err)
	r.writer.close()
	if failed := r.storeErr(); failed != nil && !interrupted {
		err, interrupted = &StoreError{failed}, true
	}
	r.saveLearned(storeCtx)
	return r.finish(storeCtx, err, interrupted)
}

// graceful gives a context for the store that outlives ctx by a little, so that what has come can still be put.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	const grace = 10 * time.Second
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() {
		stop()
		cancel()
	}
}

// fetch is the sync from the first request to the last: one pass for each id of the patient.
func (r *run) fetch() error {
	if err := r.readMetadata(); err != nil {
		return err
	}
	wait := r.askAhead()
	err := r.readPatient()
	wait()
	if err != nil {
		return err
	}
	if err := r.pass(); err != nil {
		return err
	}
	for _, id := range r.opts.AlsoPatients {
		r.ledger.nextPass()
		r.asking = id
		r.chooseAgain()
		if err := r.readPatient(); err != nil {
			if r.ctx.Err() != nil || errors.Is(err, ErrUnauthorized) {
				return err
			}
			// The record of the other ids is not lost because of this one.
			r.ledger.disown()
			r.ledger.fail("Patient", Gap{Ref: "Patient/" + id, Reason: Failed, Detail: "another id of the patient: " + redact(err), Err: err})
			continue
		}
		if err := r.pass(); err != nil {
			return err
		}
	}
	r.cameAfterAll()
	for _, g := range r.unfollowed() {
		r.ledger.gap(g)
	}
	r.ridersLeftBehind()
	r.reportUnsure()
	r.reportGrant()
	return nil
}

// pass asks for the record under one id.
func (r *run) pass() error {
	s := &Session{r: r, scope: &scope{}, strategy: r.strategy.Name()}
	r.beside = r.goBeside()
	err := s.Run(r.ctx, r.strategy)
	if failed := r.beside.close(); err == nil {
		err = failed
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		// Nothing was asked: the open obligations say so.
		r.ledger.gap(Gap{Reason: Refused, Detail: "the server does not support the strategy " + printable(r.strategy.Name(), 64), Err: err})
	case err != nil:
		return err
	}
	return r.complete(r.ctx)
}

// complete does what follows the strategy: answers that were doubted, resources that have to be read by themselves, references, and the
// check of what came. Each can bring something that calls for another.
func (r *run) complete(ctx context.Context) error {
	const rounds = 10 // two are usual; the rest is for servers that change under our eyes.
	for range rounds {
		for _, step := range []func(context.Context) error{r.resolveDoubts, r.confirmForms, r.tryAgain, r.readAgain, r.decide, r.lookAgain, r.followReferences, r.askElsewhere, r.verify, r.takeAsides} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		r.mu.Lock()
		done := len(r.doubts)+len(r.leans)+len(r.rereads)+len(r.late)+len(r.failures)+len(r.asides)+r.front.Len() == 0
		r.mu.Unlock()
		done = done && !r.ledger.unchecked()
		if done {
			return nil
		}
	}
	r.ledger.gap(Gap{Reason: Limited, Detail: "there was always something more to ask for"})
	return nil
}

// reportUnsure enters that the questions may not have been understood: all of them found nothing, and none has found anything in this sync.
func (r *run) reportUnsure() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.unsure) > 0 && len(r.heardForms) == 0 {
		r.ledger.gap(Gap{
			Reason: Unproven, Count: len(r.unsure),
			Detail: "every question found nothing, and nothing has come that shows that the server understands them",
		})
	}
}

// maxTypeNames bounds the types that are told apart.
const maxTypeNames = 1000

// gapOf makes a gap of what a server answered.
func (r *run) gapOf(reason GapReason, e *ServerError) Gap {
	return Gap{Type: e.Type, Reason: reason, Detail: e.reason(), StatusCode: e.StatusCode, Issues: e.Issues, Err: e}
}

// storeFailed ends the run because of the store.
func (r *run) storeFailed(err error) {
	r.mu.Lock()
	if r.failed == nil {
		r.failed = err
	}
	r.mu.Unlock()
	r.cancel(&StoreError{err})
}

func (r *run) storeErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// stored counts what the store has accepted. held are those of which it said that only now; nil: none.
func (r *run) stored(resources []Resource, held map[Key]bool, took time.Duration) {
	bytes := 0
	r.ledger.mu.Lock()
	for i := range resources {
		res := &resources[i]
		e := r.ledger.typ(res.Type)
		e.Stored++
		if res.Unchanged || held[res.Key] {
			e.Unchanged++
		}
		bytes += len(res.Raw)
	}
	r.ledger.mu.Unlock()
	r.nowInStore(resources)
	r.emit(BatchStored{event: r.event(), Resources: len(resources), Bytes: bytes, Took: took})
}

func (r *run) event() event { return event{Run: r.id} }

func (r *run) emit(e Event) {
	if r.opts.OnEvent == nil {
		return
	}
	r.events.Lock()
	defer r.events.Unlock()
	r.opts.OnEvent(e)
}

// send sends one request and counts it.
func (r *run) send(ctx context.Context, op, typ string, why purpose, req *transport.Request) (*transport.Response, error) {
	if resp, ok := r.fromBatch(req); ok {
		return resp, nil
	}
	r.purpose[why].Add(1)
	req.Op = quirks.Interaction(op)
	if d := time.Duration(r.server.quirks.set.Timeouts[req.Op]); d > 0 {
		req.HeaderTimeout = d
	}
	r.classed(req, typ)
	req.Retry = func(again transport.Retry) {
		r.resent.Add(1)
		reason := "status"
		if again.Err != nil {
			reason = redact(again.Err)
		}
		r.emit(RetryScheduled{
			event: r.event(), Op: op, Type: typ, Attempt: again.Attempt, StatusCode: again.StatusCode, Reason: reason, Wait: again.Wait,
		})
	}
	req.Waited = func(w ratelimit.Wait) {
		r.emit(Waited{event: r.event(), Op: op, Type: typ, Reason: string(w.Reason), Wait: w.Length})
	}
	if r.trace != nil {
		watched, done := r.traceRequest(ctx, req)
		defer done()
		ctx = watched
	}
	r.askForJSON(req, false)
	resp, err := r.server.http.Do(ctx, req)
	if errors.Is(err, transport.ErrXML) && r.askForJSON(req, true) {
		resp.Release()
		r.purpose[why].Add(1)
		resp, err = r.server.http.Do(ctx, req)
		r.server.facts.with(func(f *facts) {
			f.format = formatHelps
			if errors.Is(err, transport.ErrXML) {
				f.format = formatUseless
			}
		})
		r.ledger.note("", "answers came in XML, and JSON was asked for by _format")
	}
	if resp != nil && resp.Status != 0 {
		r.answered.Store(true)
		if resp.Status == http.StatusOK && why != forMetadata {
			r.heard.Store(true)
		}
	}
	if pause, ok := errors.AsType[*transport.PauseError](err); ok {
		r.comeBack(op, typ, req, resp, pause)
	}
	return resp, err
}

// askForJSON asks for JSON in the URL as well, on a server that is known to want that (http://hl7.org/fhir/R4/http.html#parameters), or to
// try whether it does. false: it is no use.
func (r *run) askForJSON(req *transport.Request, try bool) bool {
	known := formatUnknown
	r.server.facts.with(func(f *facts) { known = f.format })
	if known == formatUseless || known == formatUnknown && !try || req.AsIs || req.URL.Query().Has("_format") || req.Form.Has("_format") {
		return false
	}
	if req.Form != nil {
		req.Form = maps.Clone(req.Form)
		req.Form.Set("_format", "json")
		return true
	}
	u := *req.URL
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "_format=json"
	req.URL = &u
	return true
}

// comeBack ends the run because the server wants to be left alone for long: what is asked next would be refused like this, one question
// after the other.
func (r *run) comeBack(op, typ string, req *transport.Request, resp *transport.Response, pause *transport.PauseError) {
	fail := &ServerError{Op: op, Type: typ, URL: req.URL.String(), Err: pause}
	if resp != nil {
		fail.StatusCode, fail.RetryAfter, fail.Issues = resp.Status, resp.RetryAfter, issuesOf(resp.Body())
	}
	r.mu.Lock()
	if pause.Until.After(r.notBefore) {
		r.notBefore = pause.Until
	}
	r.mu.Unlock()
	r.cancel(fmt.Errorf("%w: %w", ErrRetryLater, fail))
}

// unauthorized finds out whether a 401 is about one thing or about everything: the Patient is asked for, which had been given before. If
// that is refused too, the run is over.
func (r *run) unauthorized(ctx context.Context, fail *ServerError) bool {
	if r.ctx.Err() != nil {
		return true
	}
	resp, err := r.send(ctx, "read", "Patient", forVerification, &transport.Request{Small: true, URL: r.server.address(nil, "Patient", r.asking)})
	defer resp.Release()
	if resp != nil && resp.Status == http.StatusUnauthorized || errors.Is(err, transport.ErrToken) {
		r.cancel(fmt.Errorf("%w: %w", ErrUnauthorized, fail))
		return true
	}
	return false
}

// finish writes the report.
func (r *run) finish(ctx context.Context, err error, interrupted bool) (*Report, error) {
	rep := r.report
	r.ledger.report(rep)
	rep.Finished = time.Now()
	rep.ResumedFrom = r.resumedFrom
	rep.Quirks = r.server.quirks.names()
	rep.Interrupted = interrupted
	rep.Elsewhere = r.front.elsewhere.report()
	rep.Scope = r.granted()
	r.mu.Lock()
	rep.NotBefore = r.notBefore
	r.mu.Unlock()
	rep.Requests = RequestCounts{
		Metadata: int(r.purpose[forMetadata].Load()), Data: int(r.purpose[forData].Load()),
		Verification: int(r.purpose[forVerification].Load()), References: int(r.purpose[forReferences].Load()), Retries: int(r.resent.Load()),
		Minimum: r.ledger.minimum(),
	}
	if rep.Requests.Minimum > 0 && rep.Requests.Metadata > 0 {
		rep.Requests.Minimum++
	}
	lost := 0
	for _, t := range rep.Types {
		lost += max(0, t.Received-t.Stored)
	}
	if interrupted || lost > 0 {
		rep.Verdict = Incomplete
	}
	rep.Resumable = r.saveLast(ctx, interrupted)
	r.endTrace(rep)
	switch {
	case interrupted:
		return rep, err
	case rep.Verdict == Incomplete:
		var gaps []Gap
		for _, g := range rep.Gaps {
			if g.Reason.Verdict() == Incomplete {
				gaps = append(gaps, g)
			}
		}
		return rep, &IncompleteError{Gaps: gaps}
	}
	return rep, nil
}
