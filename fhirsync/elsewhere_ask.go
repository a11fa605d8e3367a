package fhirsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/ratelimit"
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

// failed tells whether it has ended and not come: another address may bring it, with a signature that is still good, say.
func (f *fetching) failed() bool {
	select {
	case <-f.done:
		return f.err != nil
	default:
		return false
	}
}

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

// fetching is what was asked for once, by whatever addresses.
type fetching struct {
	done chan struct{}
	err  error
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

// fetch brings what is at one address into the store. The error says why it did not come; it has no address in it.
func (e *elsewhere) fetch(ctx context.Context, text string, a *away, known *attachment) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > transport.MaxLink || len(u.Host) > longestHost {
		return transport.ErrNotHTTPS
	}
	if isContentElsewhere(a) {
		return e.content(ctx, u, a, known)
	}
	return e.resource(ctx, a)
}

// once has a thing asked for once in a sync: several addresses can lead to it.
func (e *elsewhere) once(ctx context.Context, key Key, fetch func() error) error {
	mine := &fetching{done: make(chan struct{})}
	for {
		e.mu.Lock()
		f := e.fetches[key]
		if f == nil || f.failed() {
			e.fetches[key] = mine
			e.mu.Unlock()
			break
		}
		e.mu.Unlock()
		select {
		case <-f.done:
			if f.err == nil {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	mine.err = fetch()
	close(mine.done)
	return mine.err
}

// admit decides whether one more request may be sent, and counts it.
func (e *elsewhere) admit(u *url.URL) error {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	known := e.hosts[host]
	switch {
	case e.o.Hosts != nil && !slices.Contains(e.o.Hosts, host):
		return errHostOmitted
	case known == nil && len(e.hosts) >= e.o.MaxHosts:
		return errManyHosts
	case e.requests >= e.o.MaxRequests:
		return errManyRequests
	case e.bytes >= e.o.MaxBytes:
		return errManyBytes
	case e.failures[host] >= elsewhereFailures:
		return errHostFails
	}
	if known == nil {
		known = &ElsewhereReport{Host: host}
		e.hosts[host] = known
	}
	known.Requests++
	e.requests++
	e.r.purpose[forReferences].Add(1)
	return nil
}

// limit gives what holds the requests to an origin back: each other server is asked as politely as the one that is synced.
func (e *elsewhere) limit(origin string, next http.RoundTripper) http.RoundTripper {
	e.mu.Lock()
	defer e.mu.Unlock()
	rt := e.limits[origin]
	if rt == nil {
		policy := e.r.client.cfg.Limit
		policy.Shared, policy.Limits, policy.MaxPause = nil, nil, elsewherePause // those are of the server itself.
		rt = ratelimit.New(policy).Transport(next)
		e.limits[origin] = rt
	}
	return rt
}

// get asks for what is at an address, once more where that may help. Its answer has the status 200, and is released by the caller.
func (e *elsewhere) get(ctx context.Context, typ string, u *url.URL, accept string, most int64, large bool) (*transport.Response, error) {
	for attempt := 1; ; attempt++ {
		start := time.Now()
		resp, err := e.http.Get(ctx, u, accept, most, large)
		if err == nil && resp.Status == http.StatusOK {
			size := len(resp.Body())
			if l := resp.Large(); l != nil {
				size = int(min(l.Size(), math.MaxInt))
			}
			e.note(u, false)
			e.mu.Lock()
			e.bytes += int64(size)
			e.mu.Unlock()
			e.r.emit(PageFetched{event: e.r.event(), Op: "read", Type: typ, Page: 1, Entries: 1, New: 1, Bytes: size, Took: time.Since(start)})
			return resp, nil
		}
		passing := err != nil && isPassing(err)
		if err == nil {
			passing = resp.Status >= http.StatusInternalServerError || resp.Status == http.StatusTooManyRequests
			err = &ServerError{Op: "read", Type: typ, StatusCode: resp.Status}
			resp.Release()
			e.note(u, false)
		} else {
			e.note(u, passing)
		}
		if !passing || attempt == 2 || ctx.Err() != nil {
			return nil, err
		}
		e.r.resent.Add(1)
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// isPassing tells whether an error is one of the connection.
func isPassing(err error) bool {
	for _, final := range []error{
		errManyHosts, errManyRequests, errManyBytes, errHostOmitted, errHostFails, transport.ErrNotHTTPS, transport.ErrOwnOrigin, transport.ErrPrivate, transport.ErrTLS,
		transport.ErrRedirect, transport.ErrRedirects, transport.ErrEncoding, transport.ErrHeaders, pagebuf.ErrTooLarge, errLate, context.Canceled,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// note keeps count of connections that fail.
func (e *elsewhere) note(u *url.URL, failed bool) {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	if failed {
		e.failures[host]++
	} else {
		delete(e.failures, host)
	}
}

// hostOf gives the host of an address as reports have it.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && (port != "443" || u.Scheme != "https") {
		host += ":" + port
	}
	return host
}

// longestHost is the length of a host and its port (http://www.rfc-editor.org/rfc/rfc1035#section-2.3.4).
const longestHost = 255 + len(":65535")

// hostIn is hostOf for an address as it was written; "" where there is none.
func hostIn(text string) string {
	u, err := url.Parse(text)
	if err != nil || len(u.Host) > longestHost {
		return ""
	}
	return hostOf(u)
}

// resource brings a resource that belongs to no patient.
func (e *elsewhere) resource(ctx context.Context, a *away) error {
	ref := a.found.Ref
	if !e.r.belongsToNobody(ref.Type) {
		return errOfPatients
	}
	base, err := normalBase(ref.Base)
	if err != nil {
		return transport.ErrNotHTTPS
	}
	if e.r.client.knows(base.String()) {
		return errOwnSync
	}
	key := Key{Server: base.String(), Type: ref.Type, ID: ref.ID}
	return e.once(ctx, key, func() error { return e.bringResource(ctx, base, key) })
}

// bringResource reads a resource and puts it into the store.
func (e *elsewhere) bringResource(ctx context.Context, base *url.URL, key Key) error {
	at := server{base: base}
	resp, err := e.get(ctx, key.Type, at.address(nil, key.Type, key.ID), "application/fhir+json, application/json;q=0.9", transport.SmallAnswer, false)
	if err != nil {
		return err
	}
	defer resp.Release()
	raw := trimBOM(resp.Body())
	head, err := jsonscan.Head(raw)
	switch {
	case err != nil:
		return errBroken
	case head.ResourceType != key.Type, head.ID != key.ID:
		return errOtherID
	case head.Subsetted:
		return errParts
	}
	if err := namesNoPatient(raw); err != nil {
		return err
	}
	res := e.foreign(key, slices.Clone(raw), "read")
	res.VersionID = head.VersionID
	if res.LastUpdated, err = time.Parse(time.RFC3339Nano, head.LastUpdated); err != nil {
		res.LastUpdated = time.Time{}
	}
	if err := e.putResource(ctx, res); err != nil {
		return err
	}
	e.count(base, func(h *ElsewhereReport) { h.Resources++ })
	return nil
}

// belongsToNobody tells whether resources of a type are no patient's.
func (r *run) belongsToNobody(typ string) bool {
	switch typ {
	case "Patient", "Person", "RelatedPerson", "Group", "List", "Bundle", "Parameters", "Composition", "OperationOutcome", "Binary", "Consent", "Contract", "Linkage":
		return false
	}
	_, in := r.table.Lookup(typ)
	return !in && isTypeName(typ)
}

// namesNoPatient makes sure that a resource of another server is nobody's in particular.
func namesNoPatient(raw []byte) error {
	for x, err := range refs.All(raw, refs.FromReference, refs.FromAttachment) {
		if err != nil {
			return errBroken
		}
		switch x.Ref.Type {
		case "Patient", "Person", "RelatedPerson", "Group":
			return errNamesPatient
		}
	}
	contained, err := containedTypes(raw)
	if err != nil {
		return errBroken
	}
	for _, typ := range contained {
		if typ == "Patient" || typ == "Person" || typ == "RelatedPerson" || typ == "Group" {
			return errNamesPatient
		}
	}
	return nil
}

// foreign makes a resource of what another server gave.
func (e *elsewhere) foreign(key Key, raw []byte, op string) Resource {
	return Resource{Key: key, Raw: raw, Digest: sha256.Sum256(raw), Origin: Origin{Strategy: e.r.strategy.Name(), Op: op, Received: time.Now()}}
}

// count changes what the report says of a host.
func (e *elsewhere) count(u *url.URL, change func(*ElsewhereReport)) {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.hosts[host]; h != nil {
		change(h)
	}
}

// putResource puts a resource of another server by itself: what is known of the server's own goes by type and id alone.
func (e *elsewhere) putResource(ctx context.Context, res Resource) error {
	w := e.r.writer
	held, err := e.r.client.inFlight.enter(ctx, size(&res))
	if err != nil {
		return err
	}
	defer e.r.client.inFlight.leave(held)
	batch := Batch{Run: e.r.id, Server: e.r.server.name, PatientID: e.r.patientID, Resources: []Resource{res}}
	return e.put(res.Type, res.Server, func(ctx context.Context) error { return w.store.Put(ctx, batch) })
}

// put calls the store.
func (e *elsewhere) put(typ, from string, call func(ctx context.Context) error) error {
	w := e.r.writer
	err := w.do(e.r.ctx, func(ctx context.Context) error {
		return w.try(ctx, func() error { return call(ctx) })
	})
	rejected, is := errors.AsType[*RejectError](err)
	switch {
	case e.r.ctx.Err() != nil:
		return context.Cause(e.r.ctx)
	case is:
		// It was at hand, and is lost here and not there.
		e.r.ledger.gap(Gap{Type: typ, Host: hostIn(from), Reason: Failed, Detail: "from another server, rejected by the store", Err: rejected})
		return nil
	case err != nil:
		if !errors.Is(err, errEnded) {
			e.r.storeFailed(err)
		}
		return err
	}
	return nil
}

// content brings a content.
func (e *elsewhere) content(ctx context.Context, u *url.URL, a *away, known *attachment) error {
	// Elsewhere an address of a resource is no content but for a Binary: it could be anybody's.
	if typ := a.found.Ref.Type; typ != "" && typ != "Binary" {
		return errOfPatients
	}
	key := Key{Server: originOf(u), Type: "Binary", ID: ContentID(a.found.Text)}
	if e.r.client.knows(key.Server) {
		return errOwnSync
	}
	return e.once(ctx, key, func() error { return e.bringContent(ctx, u, key, known) })
}

// bringContent fetches a content and hands it to the store.
func (e *elsewhere) bringContent(ctx context.Context, u *url.URL, key Key, known *attachment) error {
	id := "" // of a Binary, where the address says it.
	if binary := refs.Parse(u.String()); binary.Type == "Binary" && binary.Kind == refs.Absolute {
		id = binary.ID
	}
	got, err := e.bring(ctx, u, id, known)
	if err != nil {
		return err
	}
	defer got.close()
	bareURL := *u
	bareURL.RawQuery, bareURL.ForceQuery, bareURL.Fragment, bareURL.RawFragment = "", false, "", ""
	if store := e.r.writer.powers.Content; store != nil {
		_, digest, err := got.sums()
		if err != nil {
			return err
		}
		held, err := e.r.client.inFlight.enter(ctx, int64(len(got.data)))
		if err != nil {
			return err
		}
		defer e.r.client.inFlight.leave(held)
		c := Content{
			Run: e.r.id, Server: e.r.server.name, PatientID: e.r.patientID, Key: key, URL: bareURL.String(), ContentType: got.contentType(known),
			Body: got.body(), Digest: digest,
		}
		err = e.put("Binary", key.Server, func(ctx context.Context) error { return store.PutContent(ctx, c.rewound()) })
		if err != nil {
			return err
		}
	} else {
		raw, err := makeBinary(key.ID, bareURL.String(), got.contentType(known), got.data)
		if err != nil {
			return err
		}
		if err := e.putResource(ctx, e.foreign(key, raw, "content")); err != nil {
			return err
		}
	}
	e.count(u, func(h *ElsewhereReport) { h.Contents++ })
	return nil
}

// originOf gives the origin of an address as a base URL.
func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + hostOf(u)
}

// bring fetches a content and makes sure that it is the one that was meant.
func (e *elsewhere) bring(ctx context.Context, u *url.URL, id string, known *attachment) (*brought, error) {
	large := e.r.writer.powers.Content != nil
	most := e.r.client.cfg.MaxPage
	if large {
		most = e.r.client.cfg.MaxContent
	}
	if known.Size > most {
		return nil, pagebuf.ErrTooLarge
	}
	resp, err := e.get(ctx, "Binary", u, acceptFor(known), most, large)
	if err != nil {
		return nil, err
	}
	defer resp.Release()
	got := &brought{typ: resp.Header.Get("Content-Type"), large: resp.TakeLarge()}
	body := resp.Body()
	if err := e.take(got, id, known, body); err != nil {
		got.close()
		return nil, err
	}
	return got, nil
}

// take makes a content of an answer. What is FHIR, and no Binary, could be about anybody: only a hash tells that it was meant.
func (e *elsewhere) take(got *brought, id string, known *attachment, body []byte) error {
	if got.large == nil {
		got.data = append([]byte{}, body...)
	}
	if got.large == nil && transport.LooksJSON(body) && (known.Hash == "" || !got.fits(known.Hash)) {
		switch head, err := jsonscan.Head(body); {
		case err != nil || head.ResourceType == "":
		case head.ResourceType != "Binary":
			return errOtherContent
		case id != "" && head.ID != "" && head.ID != id:
			return errOtherID
		default:
			binary := brought{binary: trimBOM(body)}
			if err := namesNoPatient(binary.binary); err != nil {
				return err
			}
			if got.data, err = binaryData(binary.binary); err != nil {
				return err
			}
			got.typ, got.summed = binary.contentType(&attachment{}), false
			body = got.data
		}
	}
	if !plausible(known, got, "", body) || differs(known, got) != "" {
		return errOtherContent
	}
	return nil
}

// redirected fetches a content of this server from where it redirects to, without what is for this server; nil where it does not, or that did not
// bring it.
func (w *wave) redirected(ctx context.Context, a *attachment, why *ServerError) *brought {
	e := w.front.elsewhere
	leads, is := errors.AsType[*transport.ForeignError](why.Err)
	if !is || e == nil || !e.o.Contents {
		return nil
	}
	got, err := e.bring(ctx, leads.To, "", a)
	if err != nil {
		return nil // what the server itself answered stays the reason.
	}
	e.count(leads.To, func(h *ElsewhereReport) { h.Contents++ })
	return got
}

// containedTypes gives the types of contained resources.
func containedTypes(raw []byte) ([]string, error) {
	var in struct {
		Contained []struct {
			ResourceType string `json:"resourceType"`
		} `json:"contained"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	out := make([]string, len(in.Contained))
	for i, c := range in.Contained {
		out[i] = c.ResourceType
	}
	return out, nil
}
