package fhirsync

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/keyset"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// Bounds of one chain of pages. A record that goes beyond them is not one patient's.
const (
	maxPages      = 20_000
	maxEmptyPages = 100  // in a row, each with a next link
	fewEmptyPages = 5    // the same, where Bundle.total says that nothing more is to come
	maxStalePages = 5    // in a row, with entries of which none is new to the chain
	maxAgain      = 2    // pages of a chain that came before, with a next link to an address that is new
	maxRestarts   = 2    // of a chain whose page links expired
	maxQuery      = 4000 // bytes of a query, beyond which it is sent by POST
	maxForeign    = 500  // resources of other patients after which a question is given up
	// endlessUnknown is how many resources of one type are taken from an operation on a server that does not count.
	endlessUnknown = 100_000
	endlessFrom    = 400 // matches from which it is looked whether there can be so many
)

// chainAnswer is what following the pages of one question came to.
type chainAnswer struct {
	answer
	err     *ServerError // why it could not be followed to its end; nil: it ended
	foreign int          // matches of other patients
	ignored bool         // the self link shows that the filter was not used
	selfHas bool         // the self link of the first page names the parameter
	stopped bool         // yield wanted no more
	split   bool         // the server said that there is more than it gives at once
}

// chain is one question in one form and its pages.
type chain struct {
	r        *run
	q        question
	form     form
	strategy string
	yield    func(*Page) bool

	out       chainAnswer
	keys      *keyset.Set       // distinct matches
	pass      *keyset.Set       // the same since the chain was begun anew; nil as long as it was not
	fresh     int               // how many these are
	types     map[string]int    // distinct matches by type
	post      bool              // the operation is invoked by POST
	bare      bool              // nothing rides on it
	bareFor   int               // the status of the refusal because of which nothing does
	rode      bool              // the first page was asked for with riders
	hashes    map[[32]byte]bool // pages by what was on them
	text      []byte            // scratch space of hash
	urls      map[string]bool   // pages by address
	empty     int               // empty pages in a row
	again     int               // pages that came before
	held      []jsonscan.Entry  // matches that name no patient, until the chain has ended
	mended    []*mended         // what was repaired of them, by position
	heldBytes int
	stale     int      // pages without anything new in a row
	begun     *url.URL // of the first page
	entries   int      // matches on all pages so far
	branch    *branch  // what is asked beside it; nil: nothing
	lastCount chan int // the count that was asked with page countedAt; nil: none
	countedAt int
	pressing  int  // pages that are still to be asked for, as far as can be told
	untotaled bool // Bundle.total is not asked for, because the search was refused with that
	count     int  // the size of page to ask for; 0: none
	checkAt   int  // matches at which it is looked whether the chain can be true
}

// chain asks a question in one form and follows its pages to their end.
func (r *run) chain(ctx context.Context, q question, f form, yield func(*Page) bool, strategy string) *chainAnswer {
	return r.chainBeside(ctx, q, f, nil, yield, strategy)
}

// chainBeside is chain with something that may go on beside it once it has shown that it brings something.
func (r *run) chainBeside(ctx context.Context, q question, f form, x *branch, yield func(*Page) bool, strategy string) *chainAnswer {
	c := &chain{r: r, q: q, form: f, branch: x, strategy: strategy, yield: yield, keys: keyset.New(), types: map[string]int{}}
	if q.op != nil {
		c.post = q.op.Body != nil
	}
	c.out.question, c.out.form, c.out.total = q, f, -1
	c.count = r.pageSize(q.typ)
	if q.op != nil && is(r.server.quirks.set.Everything.SendCount, false) {
		c.count = 0
	}
	restarts := 0
	for {
		again := c.follow(ctx)
		switch again {
		case ended:
			c.settleHeld()
			c.capped()
			c.learn()
			c.takeCount()
			c.out.matches, c.out.keys = r.distinct(q.typ, c.keys), c.keys
			r.ledger.asked(&c.q, c.out.pages, c.out.err != nil && c.out.pages == 0)
			return &c.out
		case smaller: // c.count was lowered
		case expired:
			if restarts++; restarts > maxRestarts {
				c.settleHeld()
				c.out.matches, c.out.keys = r.distinct(q.typ, c.keys), c.keys
				return &c.out
			}
			r.ledger.note(q.typ, "page links expired, the search was begun anew")
		}
		c.out.err = nil
	}
}

// match notes a match, of which there may be very many.
func (c *chain) match(typ string, of ident) {
	key := of.short()
	isNew := c.keys.Add(key)
	if isNew && len(c.types) < maxTypeNames {
		c.types[typ]++
	}
	if c.pass != nil {
		isNew = c.pass.Add(key)
	}
	if isNew {
		c.fresh++
	}
}

// outcome of following a chain once.
type outcome int

const (
	ended   outcome = iota // or failed for good: chainAnswer.err
	expired                // its page links are dead: worth beginning anew
	smaller                // worth beginning anew with a smaller _count
)

// first gives the address of the first page.
func (c *chain) first() *url.URL {
	u := c.r.searchAddress(c.q, c.form, c.count)
	var off []string
	if c.bare {
		off = append(off, "_revinclude", "_include")
	}
	if c.untotaled {
		off = append(off, "_total")
	}
	if len(off) > 0 {
		params := u.Query()
		for _, name := range off {
			params.Del(name)
		}
		u.RawQuery = params.Encode()
	}
	c.rode = u.Query().Has("_revinclude") || u.Query().Has("_include")
	return u
}

// parameters gives the parameters of a question in one form.
func (r *run) parameters(q question, f form) url.Values {
	params := url.Values{}
	if q.op == nil {
		for name, v := range r.required(q.typ) {
			params.Set(name, v)
		}
	}
	maps.Copy(params, q.fixed)
	if f.param != "" {
		params.Set(f.param, f.value(r.asking))
	}
	return params
}

// searchAddress gives the address of the first page of a question.
func (r *run) searchAddress(q question, f form, count int) *url.URL {
	params := r.parameters(q, f)
	if count > 0 {
		params.Set(r.sizeParam(), strconv.Itoa(count))
	}
	if r.asksTotal(q) {
		params.Set("_total", "accurate")
	}
	r.ride(params, q)
	if f.path {
		return r.server.address(params, "Patient", r.asking, q.typ)
	}
	if op := q.op; op != nil {
		switch op.Level {
		case SystemLevel:
			return r.server.address(params, "$"+op.Name)
		case TypeLevel:
			return r.server.address(params, op.Type, "$"+op.Name)
		case PatientLevel:
		}
		return r.server.address(params, "Patient", r.asking, "$"+op.Name)
	}
	return r.server.address(params, q.typ)
}

// carries tells whether others ride on a question by _revinclude.
func (r *run) carries(q question) bool {
	return q.op == nil && q.via == "" && len(r.riders[q.typ])+len(r.quirk(q.typ).Includes) > 0
}

// fetched is a page on its way in.
type fetched struct {
	number int
	mapped bool // its address was not the server's own and was mapped onto its origin
	b      *jsonscan.Bundle
	reader *pageReader
	resp   *transport.Response
	err    *ServerError
	took   time.Duration
}

func (f *fetched) release(c *Client) {
	f.resp.Release()
	if f.b != nil {
		c.bundles.Put(f.b)
		f.b = nil
	}
}

// fetch asks for one page.
func (c *chain) fetch(ctx context.Context, address *url.URL, number int) *fetched {
	b, ok := c.r.client.bundles.Get().(*jsonscan.Bundle)
	if !ok {
		b = new(jsonscan.Bundle)
	}
	f := &fetched{number: number, b: b, reader: &pageReader{b: b, loose: true, due: c.askedType()}}
	start := time.Now()
	req := &transport.Request{URL: address, Later: number > 1, Check: f.reader.check}
	if c.q.op != nil {
		req.HeaderTimeout = slowOperation
		if number == 1 && c.post {
			req.Method, req.Body = http.MethodPost, c.q.op.Body
			if req.Body == nil {
				req.Body = []byte(`{"resourceType":"Parameters"}`)
			}
		}
	}
	method := deref(c.r.server.quirks.set.SearchMethod)
	if number == 1 && c.q.op == nil && method != quirks.Get && (c.form.post || method == quirks.Post || len(address.RawQuery) > maxQuery) {
		postSearch(req)
	}
	resp, err := c.r.send(ratelimit.WithPriority(ctx, c.pressing), c.op(), c.q.typ, forData, req)
	if err == nil && resp.Status == http.StatusAccepted {
		resp, err = c.r.awaitJob(ctx, c.op(), c.q.typ, resp, b)
	}
	f.took = time.Since(start)
	f.resp = resp
	f.err = serverError(c.op(), c.q.typ, address.String(), resp, err)
	return f
}

// postSearch makes a POST of a search by GET. The parameters go into the form alone: some servers ignore either the body or the address
// where there are parameters in both.
func postSearch(req *transport.Request) {
	post := *req.URL
	post.Path, post.RawPath, post.RawQuery = post.Path+"/_search", "", ""
	req.Method, req.Form, req.URL = http.MethodPost, req.URL.Query(), &post
}

// op names the interaction.
func (c *chain) op() string {
	if c.q.op != nil {
		return "operation"
	}
	return "search"
}

// maxHeld bounds the bytes of resources that are held back.
const maxHeld = 8 << 20

// hold keeps a match that names no patient until the chain has shown nobody else's; where there are too many, it is read by itself then.
func (c *chain) hold(x candidate, src source) {
	if c.heldBytes += len(x.entry.Resource); c.heldBytes > maxHeld {
		c.r.readLater(x.entry.ResourceType, x.id, "held back until the answer had ended", src)
		return
	}
	e := *x.entry
	e.Resource = slices.Clone(e.Resource)
	e.Start, e.End = 0, 0
	c.held, c.mended = append(c.held, e), append(c.mended, x.mended)
}

// settleHeld takes in what was held back, if nobody else's has come.
func (c *chain) settleHeld() {
	held, mended := c.held, c.mended
	c.held, c.mended, c.heldBytes = nil, nil, 0
	switch {
	case len(held) == 0:
	case c.out.foreign > 0 || c.out.ignored:
		c.out.foreign += len(held)
	default:
		// An error here means that the run is over.
		_, err := c.r.takeIn(&jsonscan.Bundle{Entries: held}, nil, source{op: c.op(), typ: c.askedType(), strategy: c.strategy, unattributed: true, mended: mended})
		if err != nil && c.out.err == nil {
			c.out.err = &ServerError{Op: c.op(), Type: c.q.typ, Err: err}
		}
	}
}

// follow asks for the first page and goes on to the last.
func (c *chain) follow(ctx context.Context) outcome {
	c.out.pages, c.empty, c.stale, c.again, c.entries = 0, 0, 0, 0, 0
	if c.begun != nil {
		c.pass = keyset.New()
	}
	c.fresh = 0
	c.hashes, c.urls = map[[32]byte]bool{}, map[string]bool{}
	c.out.asked = c.count
	address := c.first()
	c.begun = address
	c.urls[address.String()] = true
	c.press(nil)
	page := c.await(c.begin(ctx, address, 1, false))
	for {
		if page.err != nil {
			return c.broken(page)
		}
		next, mapped, verdict := c.next(page)
		// The next page is asked for as soon as this one is known to be intact: what follows here goes on beside it.
		var coming <-chan *fetched
		pageCtx, cancel := context.WithCancel(ctx)
		number := page.number + 1
		if next != nil {
			c.press(page)
			c.countWithLast(ctx)
			if !c.q.lazy {
				coming = c.begin(pageCtx, next, number, mapped)
			}
		}
		more := c.take(ctx, page, next != nil)
		page.release(c.r.client)
		if !more || next == nil {
			cancel()
			if coming != nil {
				(<-coming).release(c.r.client)
			}
			if more {
				verdict()
			}
			return ended
		}
		if coming == nil {
			coming = c.begin(pageCtx, next, number, mapped)
		}
		page = c.await(coming)
		cancel()
	}
}

// begin asks for a page beside what follows.
func (c *chain) begin(ctx context.Context, address *url.URL, number int, mapped bool) <-chan *fetched {
	coming := make(chan *fetched, 1)
	go func() {
		f := c.fetch(ctx, address, number)
		f.mapped = mapped
		coming <- f
	}()
	return coming
}

// hash tells pages apart by which resources are on them.
func (c *chain) hash(b *jsonscan.Bundle) [32]byte {
	text := c.text[:0]
	keys := sha256.New()
	for i := range b.Entries {
		e := &b.Entries[i]
		text = append(append(text, e.ResourceType...), 0)
		text = append(append(text, e.ID...), 0)
		text = append(append(text, e.FullURL...), 0)
		if e.ID == "" && e.FullURL == "" { // nothing else tells them apart.
			_, _ = keys.Write(text) // a hash does not fail.
			_, _ = keys.Write(e.Resource)
			text = text[:0]
		}
		if text = append(text, '\n'); len(text) > 1<<12 {
			_, _ = keys.Write(text)
			text = text[:0]
		}
	}
	_, _ = keys.Write(text)
	c.text = text
	return [32]byte(keys.Sum(nil))
}

// next decides where the chain goes after an intact page: to another page, or to its end, and then done says what the end is worth.
func (c *chain) next(page *fetched) (next *url.URL, mapped bool, done func()) {
	nothing := func() {}
	b := page.b
	c.out.pages++
	c.entries += matchesOf(b)
	hash := c.hash(b)
	link, has := "", false
	for _, l := range b.Links {
		if l.Relation == "next" || l.Relation == "" && l.URL == "" {
			link, has = l.URL, true // a link that cannot be read may be a next link.
		}
	}
	seen := len(b.Entries) > 0 && c.hashes[hash]
	c.hashes[hash] = true
	sign := func(why string) func() {
		return func() { c.out.early, c.out.why = true, why }
	}
	if seen {
		c.again++
	}
	paging := &c.r.server.quirks.set.Paging
	if style := deref(paging.Style); c.q.op == nil && style != "" && style != quirks.Links {
		if seen {
			return nil, false, sign("a page came again")
		}
		return c.counted(page, style, sign)
	}
	// A server that pages by offset gives a page again when something is written meanwhile. What follows it is still worth having; whether
	// the page took the place of another one shows at the end.
	switch {
	case seen && (!has || c.again > maxAgain):
		return nil, false, sign("a page came again")
	case !has && c.again > 0:
		return nil, false, func() {
			if !c.out.hadTotal || c.out.totals || c.out.total != c.fresh {
				sign("a page came again")()
			}
		}
	case !has:
		return nil, false, nothing
	}
	if deref(paging.Stop) == quirks.EmptyPage && isEmpty(b) {
		return nil, false, nothing // that is how this server says that there is no more.
	}
	if deref(paging.RelativeTo) == quirks.ToBase {
		link = onBaseURL(c.r.server.base, link)
	}
	if len(b.Entries) == 0 {
		switch c.empty++; {
		case c.empty > maxEmptyPages:
			return nil, false, sign("empty pages without end")
		case c.empty > fewEmptyPages && b.HasTotal && b.Total <= c.keys.Len() && deref(paging.Total) != quirks.TotalUntrusted:
			return nil, false, nothing
		}
	} else {
		c.empty = 0
	}
	if page.number >= maxPages {
		return nil, false, sign("more pages than are followed")
	}
	next, mapped, ok := c.r.server.http.NextLink(page.resp.URL, link)
	if !ok {
		return nil, false, sign("a next link that leads nowhere")
	}
	if c.urls[next.String()] {
		return nil, false, sign("a next link that leads back")
	}
	if mapped {
		c.r.ledger.note(c.q.typ, "next links led to another origin and were followed on the server's own")
	}
	c.urls[next.String()] = true
	c.r.server.facts.with(func(f *facts) { f.shownNext = true })
	return next, mapped, nothing
}

// take takes a page in; false: the chain ends here.
func (c *chain) take(ctx context.Context, page *fetched, more bool) bool {
	b := page.b
	if page.number == 1 {
		c.self(ctx, b)
		c.out.inside = page.resp.Inside
	} else {
		c.out.inside = false // it had a next link.
	}
	if hasTotal := c.believeTotal(b, more); hasTotal {
		if c.out.total >= 0 && c.out.total != b.Total && c.out.pages > 1 && c.out.hadTotal {
			c.out.totals = true
		}
		c.out.total, c.out.hadTotal = b.Total, true
	}
	before := c.fresh
	c.repaired(page)
	got, err := c.r.takeIn(b, page.resp.Body(), source{
		op: c.op(), typ: c.askedType(), strategy: c.strategy, chain: c, more: more, before: page.resp.Source, address: page.resp.URL, plain: c.q.op == nil && !c.r.carries(c.q),
		unattributed: !c.out.ignored && (c.form.param == "patient" || c.form.typed || c.form.param == "" || c.form.path),
	})
	if err != nil {
		// The run is over; should it not be, the page is lost.
		c.out.err = &ServerError{Op: c.op(), Type: c.q.typ, Err: err}
		return false
	}
	if c.fresh == before && len(b.Entries) > 0 {
		c.stale++
	} else {
		c.stale = 0
	}
	var total *int
	if b.HasTotal {
		n := b.Total
		total = &n
	}
	c.r.emit(PageFetched{
		event: c.r.event(), Op: c.op(), Type: c.q.typ, Page: page.number, Entries: len(b.Entries), New: len(got.resources),
		Bytes: len(page.resp.Body()), Took: page.took, Total: total,
	})
	p := &Page{Number: page.number, Entries: len(b.Entries), Total: total, Resources: got.resources, Issues: got.issues}
	page.release(c.r.client)
	if !c.yield(p) {
		c.out.stopped = true
		return false
	}
	switch {
	case c.stale >= maxStalePages:
		c.out.early, c.out.why = true, "pages without anything new"
		return false
	case c.out.foreign > maxForeign && c.out.foreign > c.keys.Len()/2:
		return false
	case c.endless(ctx):
		c.out.early, c.out.why = true, "pages without end"
		return false
	}
	if more && c.out.foreign == 0 && !c.out.ignored && c.keys.Len() > 0 {
		c.branch.offer()
	}
	return true
}

// repaired notes what was repaired of a page, and what that says of it.
func (c *chain) repaired(page *fetched) {
	p := page.reader
	c.r.noteBOM(page.resp.Came())
	if p.object {
		c.r.ledger.repaired(RepairEntry)
	}
	if p.comma {
		c.r.ledger.repaired(RepairComma)
	}
	for range p.nested {
		c.r.ledger.repaired(RepairNested)
	}
	switch {
	case p.unbound:
		c.r.ledger.repaired(RepairBundle)
		c.out.early, c.out.why = true, "resources came where a Bundle was due"
	case p.cut:
		c.out.early, c.out.why = true, "several Bundles in one, each with a next link"
	}
}

// askedType is the type that matches have; "" for an operation, which brings all types.
func (c *chain) askedType() string {
	if c.q.op != nil {
		return ""
	}
	return c.q.typ
}
