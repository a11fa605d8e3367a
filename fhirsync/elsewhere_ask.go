package fhirsync

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/refs"
)

// How much other servers may hold a sync up.
const (
	elsewhereWorkers  = 4
	elsewherePause    = 10 * time.Second // the longest Retry-After that is waited for
	elsewhereWait     = 15 * time.Minute // for all of them, once all else has come
	elsewhereFailures = 3                // failures of connections in a row, until a host is not asked any longer
	maxElsewhere      = 10_000           // addresses that are remembered to have come
)

// elsewhere asks other servers, for one sync. All its methods are for a nil one too, which asks nobody.
type elsewhere struct {
	r      *run
	o      Elsewhere
	http   *transport.Elsewhere
	ctx    context.Context //nolint:containedctx // of all requests; it lives as long as the run.
	cancel context.CancelFunc

	// No other lock is taken under mu; it may be taken under run.mu.
	mu       sync.Mutex
	queue    []string // texts of frontier.away whose contents are to be fetched
	busy     int      // goroutines that empty it
	idle     sync.Cond
	texts    map[string]bool // came
	hosts    map[string]*ElsewhereReport
	failures map[string]int // by host: in a row
	requests int
	bytes    int64 // that came
	limits   map[string]http.RoundTripper
	fetches  map[Key]*fetching
}

// Reasons why what other servers have did not come.
var (
	errManyHosts    = errors.New("more hosts than are asked in one sync")
	errManyRequests = errors.New("more requests than are sent elsewhere in one sync")
	errManyBytes    = errors.New("more bytes than are fetched elsewhere in one sync")
	errHostOmitted  = errors.New("the options leave this host out")
	errHostFails    = errors.New("connections to it have failed")
	errLate         = errors.New("did not come in time")
	errNamesPatient = errors.New("names a patient")
	errOfPatients   = errors.New("of a type that belongs to patients")
	errOwnSync      = errors.New("of a server that is synced by itself")
	errOtherContent = errors.New("is not what the attachment describes")
	errParts        = errors.New("only parts of it came")
)

// beginElsewhere makes what is needed to ask other servers, where the options say so.
func (r *run) beginElsewhere() {
	o := r.opts.Elsewhere
	if len(o.parts()) == 0 {
		return
	}
	e := &elsewhere{
		r: r, o: *o, texts: map[string]bool{}, hosts: map[string]*ElsewhereReport{}, failures: map[string]int{}, limits: map[string]http.RoundTripper{}, fetches: map[Key]*fetching{},
	}
	e.idle.L = &e.mu
	e.o.MaxHosts, e.o.MaxRequests = cmp.Or(o.MaxHosts, elsewhereHosts), cmp.Or(o.MaxRequests, elsewhereRequests)
	e.o.MaxBytes = cmp.Or(o.MaxBytes, elsewhereBytes)
	e.o.Hosts = slices.Clone(o.Hosts)
	e.ctx, e.cancel = context.WithCancel(r.ctx)
	e.http = transport.NewElsewhere(transport.ElsewhereOptions{
		Own: r.server.http.Owns, Admit: e.admit, Limit: e.limit, Permit: o.Permit, Roots: o.RootCAs, Pool: r.client.pool,
	})
	r.front.elsewhere = e
}

// close ends what is under way, and waits for it.
func (e *elsewhere) close() {
	if e == nil {
		return
	}
	e.cancel()
	e.mu.Lock()
	for e.busy > 0 {
		e.idle.Wait()
	}
	e.mu.Unlock()
	e.http.Close()
}

// report gives what came, by host.
func (e *elsewhere) report() []ElsewhereReport {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []ElsewhereReport
	for _, h := range e.hosts {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b ElsewhereReport) int { return strings.Compare(a.Host, b.Host) })
	return out
}

// came tells whether what is at an address has come.
func (e *elsewhere) came(text string) bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.texts[text]
}

// soon has a content fetched without waiting for anything else: its address may be good for minutes only.
func (e *elsewhere) soon(text string) {
	if e == nil || !e.o.Contents || e.r.opts.References.OmitAttachments {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, text)
	if e.busy < elsewhereWorkers && e.ctx.Err() == nil {
		e.busy++
		go e.work()
	}
}

// work empties the queue.
func (e *elsewhere) work() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) > 0 && e.ctx.Err() == nil {
		text := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		e.one(e.ctx, text)
		e.mu.Lock()
	}
	if e.busy--; e.busy == 0 {
		e.idle.Broadcast()
	}
}

// askElsewhere asks other servers for what the record names there, when all else has come, and waits for what was asked for before. The error
// means that the run is over.
func (r *run) askElsewhere(ctx context.Context) error {
	e := r.front.elsewhere
	if e == nil {
		return nil
	}
	wait, cancel := context.WithTimeoutCause(ctx, elsewhereWait, errLate)
	defer cancel()
	stop := context.AfterFunc(wait, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.idle.Broadcast()
	})
	defer stop()
	e.mu.Lock()
	for e.busy > 0 && wait.Err() == nil {
		e.idle.Wait()
	}
	e.mu.Unlock()
	var texts []string
	r.mu.Lock()
	for text, a := range r.front.away {
		// A content that is still here was interrupted, or has waited in a saved state.
		if !a.tried && e.wants(a) && !r.front.Here(a.found.Ref.Base) {
			texts = append(texts, text)
		}
	}
	r.mu.Unlock()
	slices.Sort(texts)
	if err := each(wait, elsewhereWorkers, texts, func(ctx context.Context, text string) error {
		e.one(ctx, text)
		return nil
	}); err != nil && r.ctx.Err() == nil && ctx.Err() == nil {
		e.giveUp(texts)
	}
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	return nil
}

// giveUp notes that what has not come will not be waited for.
func (e *elsewhere) giveUp(texts []string) {
	e.r.mu.Lock()
	defer e.r.mu.Unlock()
	for _, text := range texts {
		if a := e.r.front.away[text]; a != nil && !a.tried {
			a.tried, a.why = true, e.reason(a, errLate)
		}
	}
}

// one asks for what is at one address, and notes what became of it.
func (e *elsewhere) one(ctx context.Context, text string) {
	r := e.r
	r.mu.Lock()
	a := r.front.away[text]
	if a == nil || a.tried || !e.wants(a) || r.front.Here(a.found.Ref.Base) {
		r.mu.Unlock()
		return
	}
	known, described := r.front.contents[text]
	from := *a
	r.mu.Unlock()
	if !described {
		known = attachment{Size: -1}
	}
	err := e.fetch(ctx, text, &from, &known)
	if r.ctx.Err() != nil {
		return // it is asked for by whoever goes on.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a = r.front.away[text]; a == nil {
		return
	}
	if err != nil {
		a.tried, a.why = true, e.reason(a, err)
		return
	}
	delete(r.front.away, text)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.texts) < maxElsewhere {
		e.texts[strings.Clone(text)] = true
	}
}

// wants tells whether a reference is followed elsewhere at all. The caller holds run.mu.
func (e *elsewhere) wants(a *away) bool {
	policy := &e.r.opts.References
	typ := cmp.Or(a.found.Ref.Type, "Binary")
	if _, ok := e.r.follows(a.typ, &a.found); !ok || !policy.Reaches(a.hops+1) || policy.Omits(typ) {
		return false
	}
	if isContentElsewhere(a) {
		return e.o.Contents && (a.found.Source != refs.FromAttachment || !policy.OmitAttachments)
	}
	return e.o.References && a.found.Source == refs.FromReference
}

// isContentElsewhere tells a content from a resource.
func isContentElsewhere(a *away) bool {
	return a.found.Source == refs.FromAttachment || a.found.Ref.Type == "Binary"
}

// reason says in the report why something did not come.
func (e *elsewhere) reason(a *away, err error) refs.Reason {
	what := "references to other servers, which were asked"
	if isContentElsewhere(a) {
		what = "contents on other servers, which were asked"
	}
	for _, unasked := range []error{errManyHosts, errManyRequests, errManyBytes, errHostOmitted, errHostFails, errNamesPatient, errOfPatients, errOwnSync, transport.ErrNotHTTPS, transport.ErrPrivate} {
		if errors.Is(err, unasked) {
			what = strings.TrimSuffix(what, ", which were asked")
			break
		}
	}
	why := redact(err)
	for _, plain := range []error{
		errManyHosts, errManyRequests, errManyBytes, errHostOmitted, errHostFails, errLate, errNamesPatient, errOfPatients, errOwnSync, errOtherContent, errParts,
		transport.ErrNotHTTPS, transport.ErrOwnOrigin,
	} {
		if errors.Is(err, plain) {
			why = plain.Error()
		}
	}
	if refused, ok := errors.AsType[*ServerError](err); ok && refused.StatusCode != http.StatusOK {
		why = refused.reason()
	}
	return refs.Reason(what + "; " + why)
}
