package fhirtest

import (
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault is one way in which a server misbehaves. Faults come from the functions of this package (PageCap, LoginPage, ...)
// and take effect through Server.Inject. For, On, Times and After narrow a fault down; each gives a changed copy, so a
// Fault may be used for any number of servers, also at once. The zero value does nothing.
//
// A fault changes what is said, never what is true: Own and Want stay as they are. What is invented by a fault (an
// endless page, a resource of another patient) is no part of them.
type Fault struct {
	// Name says what the fault does, in the words of the call that made it: "PageCap(50).For(Observation)".
	Name string
	// Seen says where such behaviour was met, with a link where there is one; "own observation" means that the server was
	// run and watched. It is empty for damage that any network or gateway can do and for faults that complete a series.
	Seen string

	types        []string
	interactions []Interaction
	when         func(c *call) bool // nil: always
	after, times int                // times 0: without end
	refusal      *Refusal           // how it refuses; nil: in its own way

	// The hooks, in the order in which a request meets them. All are called under the server's lock.
	delay  func(rep *reply)                                    // before anything else
	answer func(s *Server, c *call) *reply                     // instead of the server; nil: the server answers
	state  func(f *injected, s *Server, c *call) *reply        // the same, for faults that keep a memory per server
	query  func(s *Server, c *call, q *query) *reply           // after the parameters were understood
	batch  func(entries []batchEntry) []batchEntry             // before the answers of a batch are written
	job    func() (polls int, nested bool)                     // $everything becomes a job
	find   func(s *Server, c *call, q *query, found *findings) // after the search ran
	size   func(s *Server, c *call, p *page)                   // before the page is cut
	page   func(s *Server, c *call, p *page) *reply            // before the page is written
	count  func(s *Server, c *call, p *page) *reply            // before a count is written
	claims func(claims []claim) []claim                        // before metadata is written
	wire   func(s *Server, c *call, rep *reply)                // before the reply is sent
	stamp  func(f *injected, rep *reply)                       // the same, for faults that keep a memory per server
}

// injected is a fault at work on one server.
type injected struct {
	Fault
	met   int            // requests that were in its scope so far
	seen  map[string]int // for faults that count by something else
	since time.Time      // for faults that count by time
}

// For limits the fault to requests for these resource types; "metadata" stands for the CapabilityStatement. Pages of a
// search count as requests for the type that was searched.
func (f Fault) For(types ...string) Fault {
	f.types = slices.Clone(types)
	f.Name += ".For(" + strings.Join(types, ",") + ")"
	return f
}

// On limits the fault to these interactions. Without it each fault picks those where it makes sense.
func (f Fault) On(what ...Interaction) Fault {
	f.interactions = slices.Clone(what)
	names := make([]string, len(what))
	for i, w := range what {
		names[i] = string(w)
	}
	f.Name += ".On(" + strings.Join(names, ",") + ")"
	return f
}

// Times limits the fault to the first n requests in its scope, after those that After lets pass. In its scope are requests
// for its types and interactions and, where the fault is about one page of a search, for the page of that number. Every
// page of a search counts as a request.
func (f Fault) Times(n int) Fault {
	f.times = max(n, 1)
	f.Name += fmt.Sprintf(".Times(%d)", n)
	return f
}

// After lets the first n requests in the fault's scope pass unharmed.
func (f Fault) After(n int) Fault {
	f.after = max(n, 0)
	f.Name += fmt.Sprintf(".After(%d)", n)
	return f
}

// Inject puts faults to work, in this order, from the next request on. Of the faults that answer in the server's place
// the first one wins, and the others do not count the request. Faults that change an answer are applied one after the
// other to what the earlier ones left.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &injected{Fault: f, seen: map[string]int{}})
	}
}

// Heal removes all faults. Sessions that a fault let expire stay expired.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// acting yields the faults that have the hook and apply to the call; it counts the call once for each.
func (s *Server) acting(c *call, has func(*Fault) bool) iter.Seq[*injected] {
	return func(yield func(*injected) bool) {
		for _, f := range s.faults {
			if has(&f.Fault) && f.hit(c) && !yield(f) {
				return
			}
		}
	}
}

// hit tells whether the fault applies to the call.
func (f *injected) hit(c *call) bool {
	if n, known := c.hits[f]; known {
		return n
	}
	c.hits[f] = false
	switch {
	case len(f.types) > 0 && !slices.Contains(f.types, c.typ):
		return false
	case len(f.interactions) > 0 && !slices.Contains(f.interactions, c.kind):
		return false
	case f.when != nil && !f.when(c):
		return false
	}
	f.met++
	if f.met <= f.after || f.times > 0 && f.met > f.after+f.times {
		return false
	}
	c.hits[f] = true
	if f.answer == nil && f.state == nil { // those are noted when they do answer.
		f.note(c)
	}
	return true
}

func (f *injected) note(c *call) { c.entry.Faults = append(c.entry.Faults, f.Name) }

// respond answers one request.
func (s *Server) respond(r *http.Request, body []byte, address string) (*reply, *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.parse(r, body)
	s.begin(c, address)
	rep := s.answer(c)
	for f := range s.acting(c, func(f *Fault) bool { return f.wire != nil }) {
		f.wire(s, c, rep)
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.stamp != nil }) {
		f.stamp(f, rep)
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.delay != nil }) {
		f.delay(rep)
	}
	return rep, c.entry
}

func (s *Server) answer(c *call) *reply {
	for f := range s.acting(c, func(f *Fault) bool { return f.answer != nil || f.state != nil }) {
		var rep *reply
		if f.state != nil {
			rep = f.state(f, s, c)
		} else {
			rep = f.answer(s, c)
		}
		if rep != nil {
			f.note(c)
			return f.refuse(rep)
		}
	}
	if c.cursor != nil && c.cursor.sess.dead {
		return refuse(http.StatusGone, "not-found", "the search has expired")
	}
	return s.serve(c)
}

// finish notes the status of an answer.
func (s *Server) finish(entry *Request, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	entry.Status = status
}
