package fhirtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Replay reads a trace, as fhirsync writes it for SyncOptions.Trace, and gives a server that answers like the one it was recorded from: a
// server that misbehaved in the field can be met again in a test.
//
//	p, err := fhirtest.Replay(file)
//	...
//	client, err := fhirsync.New(fhirsync.Config{HTTPClient: p.Client()})
//	report, err := client.Sync(ctx, fhirsync.Server{BaseURL: p.BaseURL()}, p.PatientID(), store, nil)
//
// A trace has no content, so what is served is made up around what it does have: resources of the right type, under the id that stands for
// the recorded one, with the recorded references at the recorded paths, padded to the recorded size; totals, links, modes, damage,
// OperationOutcomes, CapabilityStatements, statuses and headers as they were.
//
// A request is matched by method, path, and names and values of its parameters, whose order counts only within one name. A placeholder of
// the trace stands for the text that the answers have in its place ({id-7} for "id-7"). One that no answer has shown to the client, such as
// a date or code that the client itself asks for, is bound to what it stands for by the first request that matches but for it, and stands
// for that from then on. Requests that are alike get their answers in the order in which these were recorded, and the last one over and
// over after that. What matches nothing gets 404 with an OperationOutcome, or 401 where that was the last answer recorded, because the
// credentials were not accepted any longer; and it is listed by [Playback.Unmatched].
//
// Which of several forms of a question a client uses may depend on which answer comes first. So a search that names the patient as "id" and
// was recorded with "Patient/id" only, or the other way round, has the answer that was recorded, unless the trace shows that the server finds
// nothing in that form: then it finds nothing. A batch whose like was not recorded is put together of the answers that its requests had in other batches or by themselves.
//
// What cannot be told from a trace is not the same: ids that differed in letter case alone differ in more, compressed answers come plain, a
// body that broke is filled with white space up to where it broke, and every resource has version 1 and the same date.
//
// The error says that the trace cannot be read, with the number of the line. A trace that ends early, in the middle of a line, is used as
// far as it goes.
func Replay(trace io.Reader) (*Playback, error) {
	p := &Playback{base: "https://replay.fhirtest.example/r4", bound: map[string]string{}, values: map[string]string{}}
	dec := json.NewDecoder(trace)
	var exchanges []*exchange
	for line := 1; ; line++ {
		var x struct {
			Version int             `json:"fhirsyncTrace"`
			Patient string          `json:"patient"`
			End     json.RawMessage `json:"end"`
			exchange
		}
		err := dec.Decode(&x)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && line > 1:
			if line == 1 {
				return nil, errors.New("fhirtest: the trace is empty")
			}
			slices.SortStableFunc(exchanges, func(a, b *exchange) int { return cmp.Compare(a.N, b.N) })
			p.index(exchanges)
			return p, nil
		case err != nil:
			return nil, fmt.Errorf("fhirtest: line %d of the trace: %w", line, err)
		case line == 1 && x.Version != 1:
			return nil, fmt.Errorf("fhirtest: this is no trace of version 1 (its version: %d)", x.Version)
		case line == 1:
			p.patient = expand(x.Patient, p.plain)
		case x.Method != "":
			exchanges = append(exchanges, &x.exchange)
		}
	}
}

// Playback answers from a trace. It comes from [Replay]. Safe for concurrent use.
type Playback struct {
	// Delays makes answers take as long as they took. Set it before the first request.
	Delays bool

	mu        sync.Mutex
	base      string
	patient   string
	exchanges []*exchange             // in the order in which they were sent
	byKey     map[string][]*exchange  // the same, by what they ask
	byForm    map[string][]*exchange  // and by that without values
	inBatch   map[string][]entryShape // answers out of batches, by request
	next      map[string]int          // by key: what comes next
	bound     map[string]string       // text that a request had, to the text of the placeholder
	values    map[string]string       // the other way round
	unmatched []string
}

// exchange is a line of the trace: see package fhirsync/internal/trace, which writes them.
type exchange struct {
	N       int               `json:"n"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Form    string            `json:"form"`
	Body    *requestShape     `json:"body"`
	MS      int64             `json:"ms"`
	Status  int               `json:"status"`
	Header  map[string]string `json:"header"`
	Size    int64             `json:"size"`
	Failure string            `json:"failure"`
	Shape   *shape            `json:"shape"`

	asked  question
	key    string   // of asked, and
	pieces []string // its pieces: they are looked at often
}

type requestShape struct {
	Type     string   `json:"type"`
	Requests []string `json:"requests"`
}

// index makes the exchanges findable.
func (p *Playback) index(exchanges []*exchange) {
	p.exchanges = exchanges
	p.byKey, p.byForm, p.inBatch, p.next = map[string][]*exchange{}, map[string][]*exchange{}, map[string][]entryShape{}, map[string]int{}
	for _, x := range exchanges {
		var body []string
		if x.Body != nil {
			body = x.Body.Requests
		}
		x.asked = recorded(x.Method, x.URL, x.Form, body)
		x.key, x.pieces = x.asked.key(), x.asked.pieces()
		form := x.asked.form()
		p.byKey[x.key] = append(p.byKey[x.key], x)
		p.byForm[form] = append(p.byForm[form], x)
		if s := x.Shape; s != nil && len(x.asked.batch) == len(s.Entries) {
			for i, request := range x.asked.batch {
				p.inBatch[request] = append(p.inBatch[request], s.Entries[i])
			}
		}
	}
}

// BaseURL is the service base URL, without a slash at the end.
func (p *Playback) BaseURL() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.base
}

// SetBaseURL sets the service base URL, for use as an http.Handler: requests must come below its path, and links lead there.
func (p *Playback) SetBaseURL(base string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = strings.TrimRight(base, "/")
}

// PatientID is what stands for the logical id of the patient whose record was pulled.
func (p *Playback) PatientID() string { return p.patient }

// Unmatched lists the requests that the trace has no answer for, in order of arrival: "GET Observation?patient=id-1".
func (p *Playback) Unmatched() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.unmatched)
}

// Unused lists the recorded requests that were not made again, in the order in which they were recorded.
func (p *Playback) Unused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, x := range p.exchanges {
		if slices.Index(p.byKey[x.key], x) >= p.next[x.key] {
			out = append(out, x.key)
		}
	}
	return out
}

// RoundTripper gives a transport that answers without sockets, like [Server.RoundTripper]. Requests to other origins fail like a host name
// that nobody knows.
func (p *Playback) RoundTripper() http.RoundTripper { return playbackTripper{p} }

// Client gives an http.Client over RoundTripper, without a timeout.
func (p *Playback) Client() *http.Client { return &http.Client{Transport: p.RoundTripper()} }

type playbackTripper struct{ p *Playback }

func (t playbackTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	var sent []byte
	if r.Body != nil {
		var err error
		sent, err = io.ReadAll(r.Body)
		_ = r.Body.Close() // a transport must close it, and has read all there was.
		if err != nil {
			return nil, err
		}
	}
	base, err := url.Parse(t.p.BaseURL())
	if err != nil || !sameOrigin(base, r.URL) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
	}
	rep := t.p.respond(r, sent)
	switch {
	case rep.hang:
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case wait(ctx, rep.delay) != nil:
		return nil, context.Cause(ctx)
	case rep.lost:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	// As http.Transport would have made it. A Server that holds nothing does it.
	return new(Server).response(r, rep), nil
}

// ServeHTTP answers over a socket. SetBaseURL must have said where.
func (p *Playback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		http.Error(w, "request body", http.StatusRequestEntityTooLarge)
		return
	}
	rep := p.respond(r, sent)
	ctx := r.Context()
	switch {
	case rep.hang:
		<-ctx.Done()
		return
	case wait(ctx, rep.delay) != nil:
		return
	case rep.lost:
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), rep.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(rep.body)))
	w.WriteHeader(rep.status)
	send := rep.body
	if rep.cut >= 0 {
		send = send[:min(rep.cut, len(send))]
	}
	_, _ = w.Write(send) // the client may be gone.
	if rep.stall {
		_ = http.NewResponseController(w).Flush() // where flushing is not possible the body comes later, not otherwise.
		<-ctx.Done()
	}
}

// respond finds the answer to a request.
func (p *Playback) respond(r *http.Request, sent []byte) *reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.incoming(r, sent)
	x := p.match(q)
	if x == nil && len(q.batch) > 0 {
		return p.compose(q)
	}
	if x == nil {
		if rep := p.byID(q); rep != nil {
			return rep
		}
		p.unmatched = append(p.unmatched, q.key())
		if n := len(p.exchanges); n > 0 && p.exchanges[n-1].Status == http.StatusUnauthorized {
			return p.reply(p.exchanges[n-1])
		}
		return refuse(http.StatusNotFound, "not-found", "the trace has no answer to this request")
	}
	rep := p.reply(x)
	if p.Delays {
		rep.delay = time.Duration(x.MS) * time.Millisecond
	}
	return rep
}

// compose makes the answer to a batch out of the answers that its requests had elsewhere. The caller holds the lock.
func (p *Playback) compose(q question) *reply {
	out := &shape{Kind: "bundle", Type: "batch-response"}
	for _, request := range q.batch {
		if list := p.inBatch[request]; len(list) > 0 {
			i := p.next["batch "+request]
			p.next["batch "+request]++
			out.Entries = append(out.Entries, list[min(i, len(list)-1)])
			continue
		}
		e := entryShape{Status: "404", Resource: &resourceShape{Type: "OperationOutcome", Issues: []issueShape{{Severity: "error", Code: "not-found"}}}}
		list := p.byKey[request]
		if len(list) == 0 {
			p.unmatched = append(p.unmatched, "in a batch: "+request)
		} else if x := list[min(p.next[request], len(list)-1)]; x.Shape != nil {
			p.next[request]++
			e = entryShape{Status: strconv.Itoa(x.Status), Resource: x.Shape.Resource}
			switch x.Shape.Kind {
			case "bundle":
				e.Bundle = x.Shape
			case "outcome":
				e.Resource = &resourceShape{Type: "OperationOutcome", Issues: x.Shape.Issues}
			}
		}
		out.Entries = append(out.Entries, e)
	}
	return newReply(http.StatusOK, fhirJSON, p.body(out, 0))
}

// match finds the exchange that answers a question, and takes it. The caller holds the lock.
func (p *Playback) match(q question) *exchange {
	key := q.key()
	if len(p.byKey[key]) == 0 {
		x := p.bind(q)
		if other := q.otherwise(p.patient); x == nil && len(p.byKey[other.key()]) > 0 {
			x = cmp.Or(p.barren(q), p.byKey[other.key()][0])
		}
		if x == nil {
			return nil
		}
		key = x.key
	}
	list := p.byKey[key]
	i := p.next[key]
	p.next[key] = i + 1
	return list[min(i, len(list)-1)]
}

// barren finds an empty answer to a search in the form of this one if that form has brought nothing in the whole trace, and the other form
// has: the server does not understand it, and must not seem to. It is nil where that cannot be said.
func (p *Playback) barren(q question) *exchange {
	mine := q.patientForm(p.patient)
	var empty *exchange
	others := false
	for _, x := range p.exchanges {
		s := x.Shape
		if s == nil || s.Kind != "bundle" || x.Status != http.StatusOK {
			continue
		}
		form := x.asked.patientForm(p.patient)
		brought := len(s.Entries) > 0 || s.Total != nil && *s.Total > 0
		switch {
		case form == "":
		case form != mine:
			others = others || brought
		case brought:
			return nil
		case empty == nil:
			empty = x
		}
	}
	if !others {
		return nil
	}
	return empty
}

// bind finds an exchange that asks the same but for values that have not been met, and binds its placeholders to them.
func (p *Playback) bind(q question) *exchange {
	var late *exchange // one that was answered already: better than none
	pieces := q.pieces()
	for _, x := range p.byForm[q.form()] {
		asked := p.next[x.key] > 0
		if asked && late != nil || !fits(x.pieces, pieces, p.free, nil) {
			continue
		}
		late = x
		if !asked {
			break
		}
	}
	if late != nil {
		fits(late.pieces, pieces, p.free, func(placeholder, value string) {
			p.bound[value] = placeholder
			p.values[placeholder] = value
		})
	}
	return late
}

// free tells whether the text of a placeholder has not been bound.
func (p *Playback) free(placeholder string) bool {
	_, taken := p.values[placeholder]
	return !taken
}
