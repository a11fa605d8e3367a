package fhirtest

import (
	"net/http"
	"net/url"
	"strconv"
)

// everything is the path of the operation, and what faults may name in For.
const everything = "$everything"

// jobPath is where jobs are polled.
const jobPath = "jobs"

// job is a $everything that is answered later.
type job struct {
	polls  int  // that are still answered by 202
	nested bool // the result is the first entry of a batch-response, as R5 has it
	sess   *session
}

// everything answers the operation. The caller holds the lock.
func (s *Server) everything(c *call) *reply {
	if s.byRef["Patient/"+c.id] == nil {
		return refuse(http.StatusNotFound, "not-found", "no such Patient")
	}
	q := &query{typ: everything, scope: c.id, count: s.DefaultCount, totals: true, echo: url.Values{}}
	if v := c.query.Get("_count"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return refuse(http.StatusBadRequest, "value", "_count is not a positive number")
		}
		q.count, q.counted = min(n, s.MaxCount), true
	}
	for f := range s.acting(c, func(f *Fault) bool { return f.query != nil }) {
		if rep := f.query(s, c, q); rep != nil {
			return f.refuse(rep)
		}
	}
	found := &findings{list: s.wanted(c.id)}
	found.total = len(found.list)
	for f := range s.acting(c, func(f *Fault) bool { return f.find != nil }) {
		f.find(s, c, q, found)
	}
	s.sessions++
	sess := &session{id: s.sessions, query: q, found: found, first: s.base + "/Patient/" + c.id + "/" + everything}
	for f := range s.acting(c, func(f *Fault) bool { return f.job != nil }) {
		j := &job{sess: sess}
		j.polls, j.nested = f.job()
		id := strconv.Itoa(sess.id)
		s.jobs[id] = j
		rep := newReply(http.StatusAccepted, "", nil)
		rep.header.Set("Content-Location", s.base+"/"+jobPath+"/"+id)
		return rep
	}
	return s.page(c, &cursor{sess: sess, number: 1})
}

// pollJob answers a poll of a job, or its deletion.
func (s *Server) pollJob(c *call) *reply {
	j := s.jobs[c.id]
	switch {
	case j == nil:
		return refuse(http.StatusNotFound, "not-found", "no such job")
	case c.method == http.MethodDelete:
		delete(s.jobs, c.id)
		return newReply(http.StatusAccepted, "", nil)
	case c.method != http.MethodGet:
		return refuse(http.StatusMethodNotAllowed, "not-supported", "method "+c.method)
	case j.polls != 0:
		if j.polls > 0 {
			j.polls--
		}
		rep := newReply(http.StatusAccepted, "", nil)
		rep.header.Set("Retry-After", "2")
		rep.header.Set("X-Progress", "working")
		return rep
	}
	rep := s.page(c, &cursor{sess: j.sess, number: 1})
	if j.nested && rep.status == http.StatusOK {
		body := []byte(`{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200 OK"},"resource":`)
		body = append(body, rep.body...)
		body = append(body, `}]}`...)
		rep.body = body
	}
	return rep
}

// Jobs is the number of jobs whose results are still kept, because no client has deleted them.
func (s *Server) Jobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.jobs)
}
