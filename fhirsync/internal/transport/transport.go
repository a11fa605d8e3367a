package transport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// How often a request is tried, and how long is waited between.
const (
	maxAttempts = 5  // of a request that fails
	maxDubious  = 4  // of one that fails in a way that is often for good: a 500, a body that is no JSON
	maxRefusals = 12 // of a request that the server asks to send later
	waitMin     = 500 * time.Millisecond
	waitMax     = 30 * time.Second

	// DefaultHeaderTimeout is how long an answer may take to begin.
	DefaultHeaderTimeout = 2 * time.Minute
	// DefaultMaxPacked is how much of a packed body is read.
	DefaultMaxPacked = 64 << 20
	// maxErrorBody is how much of an answer that is no success is read.
	maxErrorBody = 1 << 20
)

// Options make a Client.
type Options struct {
	Base          *url.URL
	Trusted       []*url.URL // further origins to which credentials may be sent
	RoundTripper  http.RoundTripper
	Limiter       *ratelimit.Limiter
	Tokens        oauth2.TokenSource // nil: none
	Renew         func(*oauth2.Token) (*oauth2.Token, error)
	Header        http.Header
	UserAgent     string
	HeaderTimeout time.Duration // 0: DefaultHeaderTimeout
	MaxPause      time.Duration // longest Retry-After that is waited for; 0: ratelimit.DefaultMaxPause
	Pool          *pagebuf.Pool
	MaxPacked     int64  // of a body as it comes over the wire; 0: DefaultMaxPacked
	Flow          string // of the requests, for the limiter: whose turn it is
	// Budget is how many times requests may be sent again, over all of this Client; refusals with a time to come back do not count.
	// 0: as many as there are requests, and 100 more.
	Budget int64
}

// Client sends requests to one server on behalf of one sync. Safe for concurrent use.
type Client struct {
	o      Options
	http   *http.Client
	tokens *tokens
	quirks Quirks

	sent, resent atomic.Int64
}

// New makes a client.
func New(o Options) *Client {
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, DefaultHeaderTimeout)
	o.MaxPause = cmp.Or(o.MaxPause, ratelimit.DefaultMaxPause)
	o.MaxPacked = cmp.Or(o.MaxPacked, DefaultMaxPacked)
	c := &Client{o: o, tokens: &tokens{source: o.Tokens, renew: o.Renew, patience: o.HeaderTimeout}}
	var rt http.RoundTripper = &deadlines{next: o.RoundTripper, header: o.HeaderTimeout}
	rt = o.Limiter.Transport(&translated{client: c, next: rt})
	rt = &guard{owns: c.Owns, header: o.Header, tokens: c.tokens, next: rt}
	c.http = &http.Client{Transport: rt, CheckRedirect: c.checkRedirect}
	return c
}

// Request is one request.
type Request struct {
	// Op is the interaction, for what a server wants with some only. Later: it is for a page after the first.
	Op    quirks.Interaction
	Later bool

	Method string // "": GET
	URL    *url.URL
	Form   url.Values // of a POST; nil: none
	Body   []byte     // of a POST that has no Form
	Accept string     // "": FHIR JSON
	Header http.Header
	// HeaderTimeout, where it is not 0, replaces that of the Client.
	HeaderTimeout time.Duration
	// Check looks at an answer of any status. Its error makes Do fail; one wrapped by Again makes it try again first, and if
	// that is of no use either, Do gives the last answer together with the error.
	Check func(*Response) error
	// Retry is told of each attempt that will be repeated.
	Retry func(Retry)
	// Waited is told of each wait for the limiter.
	Waited func(ratelimit.Wait)
	// AsIs: the body stays in the encoding in which it came, without its packing; else text of other encodings becomes UTF-8.
	AsIs bool
	// MaxLarge, where it is not 0, is how large the body of a success may be that goes into a file when it does not fit into a small page:
	// see Response.Large.
	MaxLarge int64
	// Small: the answer is a few bytes, a count say. It takes no place in the Pool, so that one who holds a page may ask, and must be
	// no larger than SmallAnswer.
	Small bool
}

// SmallAnswer is the most that the answer to a Request.Small may have, in bytes.
const SmallAnswer = 4 << 20

// Retry tells of an attempt that will be repeated.
type Retry struct {
	Attempt, StatusCode int
	Err                 error
	Wait                time.Duration
}

// Response is an answer whose body was read whole.
type Response struct {
	Status int
	Header http.Header
	URL    *url.URL // where it came from, after redirects
	// RetryAfter is what the server said; Later whether it said so.
	RetryAfter time.Duration
	Later      bool

	// Class is what a Check has found the answer to mean. One that has a class is not asked for again because of its status.
	Class string
	// Source is what the body was, where it was made readable; nil: the body is what came.
	Source *jsonrepair.Source

	// Inside: it came inside of another answer, a batch.
	Inside bool

	buf   *pagebuf.Buffer
	body  []byte // instead of buf
	large *Large // all of it, where buf has the beginning
}

// Body gives the bytes, valid until Release.
func (r *Response) Body() []byte {
	switch {
	case r == nil:
		return nil
	case r.buf == nil:
		return r.body
	}
	return r.buf.Bytes()
}

// Answer makes a Response of bytes that came in another way.
func Answer(status int, address *url.URL, body []byte) *Response {
	return &Response{Status: status, Header: http.Header{}, URL: address, body: body}
}

// Replace puts other bytes in the place of the body, and gives the memory of the old ones back.
func (r *Response) Replace(body []byte) {
	r.Release()
	r.buf, r.body, r.Source = nil, body, nil
}

// Mend puts what repairs made of the body in its place. Source tells from then on what it was.
func (r *Response) Mend(found *jsonrepair.Result) {
	before := r.Body()
	if r.buf != nil {
		before = bytes.Clone(before)
	}
	source := r.Source
	if source == nil {
		source = new(jsonrepair.Source)
	}
	source.Text, source.Edits, source.Fixes = before, found.Edits, found.Fixes
	r.Replace(jsonrepair.Apply(before, found.Edits))
	r.Source = source
}

// Came gives the bytes as they came, unpacked. They are valid as long as those of Body.
func (r *Response) Came() []byte {
	switch {
	case r == nil || r.Source == nil:
		return r.Body()
	case r.Source.Came != nil:
		return r.Source.Came
	}
	return r.Source.Text
}

// Release gives the memory of the body back. Calling it again does nothing.
func (r *Response) Release() {
	if r == nil {
		return
	}
	r.large.Close()
	if r.buf != nil {
		r.buf.Release()
	}
}

// Attempts tells how many attempts were made so far, and how many of them were repetitions.
func (c *Client) Attempts() (sent, resent int64) { return c.sent.Load(), c.resent.Load() }

// Do sends a request and gives the answer, whatever its status: the caller releases it. An error means that there is no answer to be
// had, or that Check did not like it; in the second case the answer is given too.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	var body any
	switch {
	case r.Form != nil:
		body = []byte(c.form(r))
	case r.Body != nil:
		body = r.Body
	}
	req, err := retryablehttp.NewRequestWithContext(withHeaderLimit(ctx, r.HeaderTimeout), cmp.Or(r.Method, http.MethodGet), c.Address(r).String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Accept", cmp.Or(r.Accept, c.quirks.Accept, "application/fhir+json, application/json;q=0.9"))
	if c.o.UserAgent != "" {
		req.Header.Set("User-Agent", c.o.UserAgent)
	}
	switch {
	case r.Form != nil:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case r.Body != nil:
		req.Header.Set("Content-Type", "application/fhir+json")
	}
	c.addHeaders(req.Header, r)
	maps.Copy(req.Header, r.Header)
	k := &call{c: c, r: r, safe: isSafe(r)}
	inner := ratelimit.WithFlow(context.WithValue(req.Context(), callKey{}, k), c.o.Flow)
	if r.Waited != nil {
		inner = ratelimit.OnWait(inner, r.Waited)
	}
	req = req.WithContext(inner)
	req.SetResponseHandler(k.handle)
	retry := retryablehttp.Client{
		HTTPClient: c.http, RetryMax: maxRefusals + maxAttempts, RetryWaitMin: waitMin, RetryWaitMax: waitMax,
		CheckRetry: k.check, Backoff: k.backoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	resp, err := retry.Do(req)
	if resp != nil {
		_ = resp.Body.Close() // read already, or of no use.
	}
	if ctx.Err() != nil {
		k.drop()
		return nil, context.Cause(ctx)
	}
	if k.last != nil {
		// The answer together with what is wrong with it.
		return k.last, k.err
	}
	if k.err != nil {
		return nil, k.err
	}
	return nil, err
}

// isSafe tells whether a request may be sent again although it is not known what became of it: a read in one form or another.
func isSafe(r *Request) bool {
	return r.Method != http.MethodPost || path.Base(r.URL.Path) == "_search" || r.Form == nil && isBatch(r.Body)
}

// isBatch tells whether a body is a Bundle of requests that only read.
func isBatch(body []byte) bool {
	if !bytes.Contains(body[:min(len(body), 256)], []byte(`"Bundle"`)) {
		return false
	}
	for _, method := range []string{`"POST"`, `"PUT"`, `"PATCH"`, `"DELETE"`} {
		if bytes.Contains(body, []byte(method)) {
			return false
		}
	}
	return true
}

type callKey struct{}

// sent notes the token that an attempt carries.
func sent(r *http.Request, token *oauth2.Token) {
	if k, ok := r.Context().Value(callKey{}).(*call); ok {
		k.token = token
	}
}

// call is one request and its attempts. Its methods are called from one goroutine.
type call struct {
	c *Client
	r *Request

	safe              bool // it may be sent again
	attempt, failures int
	renewed           bool
	token             *oauth2.Token
	wait              time.Duration // before the next attempt, where the server said so
	waitSet           bool

	handled bool      // the body of the newest attempt was read, or reading it was tried
	last    *Response // the answer of the newest attempt; nil where there was none
	err     error     // of the newest attempt
}

func (k *call) drop() {
	k.last.Release()
	k.last = nil
}

// handle reads the answer of one attempt.
func (k *call) handle(resp *http.Response) error {
	defer resp.Body.Close()
	k.handled = true
	k.drop()
	ctx := resp.Request.Context()
	pool := k.c.o.Pool
	if k.r.Small {
		pool = pagebuf.New(0, SmallAnswer)
	}
	buf, err := pool.Get(ctx)
	if err != nil {
		return err
	}
	packed := k.c.o.MaxPacked
	if k.r.Small {
		packed = SmallAnswer
	}
	source, large, err := k.fill(ctx, buf, resp, max(packed, k.r.MaxLarge))
	if err != nil {
		buf.Release()
		if errors.Is(err, pagebuf.ErrTooLarge) || errors.Is(err, ErrEncoding) || errors.Is(err, errTempFile) {
			return err
		}
		return Again(err)
	}
	now := time.Now()
	out := &Response{Status: resp.StatusCode, Header: resp.Header, URL: resp.Request.URL, Source: source, buf: buf, large: large}
	out.RetryAfter, out.Later = ratelimit.RetryAfter(resp.Header, now)
	if s := resp.StatusCode; !out.Later && (s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable) {
		out.RetryAfter, out.Later = ratelimit.Delay(resp.Header, now)
	}
	k.last = out
	// Check is asked whatever the status is, and what the status says goes first.
	var checked error
	if k.r.Check != nil {
		checked = k.r.Check(out)
	}
	verdict := k.judge(ctx, out)
	if out.Class != "" && out.Status != http.StatusUnauthorized {
		verdict = nil
	}
	var marked *again
	if verdict == nil && errors.As(checked, &marked) {
		verdict = checked
	}
	if errors.As(verdict, &marked) && out.Later && out.RetryAfter > 0 && out.Status != http.StatusUnauthorized {
		if out.RetryAfter > k.c.o.MaxPause {
			return &PauseError{Until: now.Add(out.RetryAfter)}
		}
		k.wait, k.waitSet = out.RetryAfter, true
	}
	if checked != nil && !errors.As(checked, &marked) {
		return checked
	}
	return verdict
}

// fill reads a body into a buffer, or into a file what is too large for one and may be.
func (k *call) fill(ctx context.Context, buf *pagebuf.Buffer, resp *http.Response, packed int64) (source *jsonrepair.Source, large *Large, err error) {
	body, err := unpacked(resp, packed)
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	switch {
	case err != nil:
		return nil, nil, err
	case success && k.r.MaxLarge > 0:
		large, err = fillLarge(ctx, buf, body, k.r.MaxLarge)
	case success:
		err = buf.Fill(ctx, body)
	default:
		err = buf.Fill(ctx, io.LimitReader(body, maxErrorBody))
	}
	if err == nil && !k.r.AsIs {
		source, err = toUTF8(ctx, buf, resp.Header.Get("Content-Type"))
	}
	return source, large, err
}

// judge tells by its status whether an answer is worth asking for again.
func (k *call) judge(ctx context.Context, out *Response) error {
	s := out.Status
	if s != http.StatusUnauthorized {
		k.c.tokens.accepted(k.token, k.renewed)
	}
	switch {
	case s == http.StatusUnauthorized && k.renewed:
		k.c.tokens.useless()
	case s == http.StatusUnauthorized:
		replaced, err := k.c.tokens.replace(ctx, k.token)
		if err != nil && k.retryable(err) {
			return Again(err)
		}
		if replaced {
			k.renewed, k.wait, k.waitSet = true, 0, true
			return Again(errStatus)
		}
	case passing[s], s == http.StatusForbidden && out.Later: // gateways say 403, too, when they throttle.
		return Again(errStatus)
	}
	return nil
}

// passing are the statuses that say nothing about the question: 409 to a read or search is a conflict inside the server (HAPI 8.8.0:
// HAPI-0550), the others are of the server's trouble, of gateways (520 to 530 are Cloudflare's, 598 and
// 599 of proxies), of quotas.
var passing = map[int]bool{
	408: true, 409: true, 425: true, 429: true, 500: true, 502: true, 503: true, 504: true, 507: true, 509: true,
	520: true, 521: true, 522: true, 523: true, 524: true, 527: true, 529: true, 530: true, 598: true, 599: true,
}

// errStatus says that the answer's status is the reason to try again. It never leaves Do.
var errStatus = errors.New("status")

// check decides whether an attempt is repeated. It is asked before the body was read (with no error) and after.
func (k *call) check(ctx context.Context, resp *http.Response, err error) (bool, error) {
	handled := k.handled
	k.handled = false
	if err == nil {
		if handled {
			k.note(nil)
		}
		return false, nil // if it was not, the body is read next.
	}
	if !handled {
		k.drop()
	}
	k.note(err)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if !k.retryable(err) || !k.safe && !k.unsent(err) {
		return false, nil
	}
	k.failures++
	limit := maxAttempts
	switch {
	case k.waitSet:
		limit = maxRefusals
	case errors.Is(err, ErrNotJSON), k.last != nil && k.last.Status == http.StatusInternalServerError:
		limit = maxDubious
	}
	if !k.waitSet && !k.c.afford() {
		return false, nil
	}
	if k.failures >= limit {
		return false, nil
	}
	return true, nil
}

// unsent tells whether an attempt that failed had no effect on the server, whatever it was.
func (k *call) unsent(err error) bool {
	return errors.Is(err, ErrToken) || k.last != nil && k.last.Status == http.StatusUnauthorized
}

// note counts the attempt and keeps its error.
func (k *call) note(err error) {
	k.attempt++
	k.c.sent.Add(1)
	if k.attempt > 1 {
		k.c.resent.Add(1)
	}
	if errors.Is(err, errStatus) {
		err = nil // the answer says it.
	}
	if wrapped, ok := errors.AsType[*again](err); ok {
		err = wrapped.err
	}
	if pause, ok := errors.AsType[*ratelimit.PauseError](err); ok {
		err = &PauseError{Until: pause.Until}
	}
	k.err = classify(err)
}

// afford takes one repetition from the budget.
func (c *Client) afford() bool {
	sent, resent := c.Attempts()
	if c.o.Budget > 0 {
		return resent < c.o.Budget
	}
	return resent < sent-resent+100
}

func (k *call) retryable(err error) bool {
	err = classify(err)
	var (
		marked  *again
		pause   *ratelimit.PauseError
		address *url.Error
	)
	switch {
	case errors.As(err, &marked):
		return true
	case errors.Is(err, ErrToken):
		return !isFinal(err)
	case errors.As(err, &pause):
		return false
	}
	for _, final := range []error{ErrForeignOrigin, ErrRedirects, ErrRedirect, ErrHeaders, ErrTLS, ErrPrivate, ErrEncoding} {
		if errors.Is(err, final) {
			return false
		}
	}
	// What http.Client.Do returns is a url.Error: the connection failed in one way or another. All else came from Check.
	return errors.As(err, &address) && !strings.Contains(address.Err.Error(), "unsupported protocol scheme")
}

// backoff gives the wait before the next attempt: what the server asked for, else capped exponential with full jitter.
func (k *call) backoff(low, high time.Duration, _ int, _ *http.Response) time.Duration {
	wait := k.wait
	if !k.waitSet {
		wait = min(high, low<<min(k.failures, 10))
		wait = rand.N(wait) + low/2 //nolint:gosec // not for secrets.
	}
	k.waitSet, k.wait = false, 0
	if k.r.Retry != nil {
		status := 0
		if k.last != nil {
			status = k.last.Status
		}
		k.r.Retry(Retry{Attempt: k.attempt, StatusCode: status, Err: k.err, Wait: wait})
	}
	return wait
}

// LooksXML tells whether a body begins like FHIR's XML (http://hl7.org/fhir/R4/xml.html).
func LooksXML(body []byte) bool {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF")), " \t\r\n")
	return len(body) > 0 && body[0] == '<' && bytes.Contains(body[:min(len(body), 1024)], []byte(`"http://hl7.org/fhir"`))
}

// LooksJSON tells whether a body begins like JSON, byte order mark and white space aside.
func LooksJSON(body []byte) bool {
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	body = bytes.TrimLeft(body, " \t\r\n")
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}
