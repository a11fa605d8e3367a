package fhirsync

import (
	"context"
	"net/http"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/trace"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

// traced is the transport below everything, where each attempt and each redirect is seen as it is sent. It sees to those requests whose
// context has a trace.Call.
type traced struct{ next http.RoundTripper }

// tracedCall is the key of the *trace.Call.
type tracedCall struct{}

type traceWriter = trace.Writer

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	if c, ok := r.Context().Value(tracedCall{}).(*trace.Call); ok {
		return c.RoundTrip(t.next, r)
	}
	return t.next.RoundTrip(r)
}

// beginTrace begins SyncOptions.Trace.
func (r *run) beginTrace() {
	if r.opts.Trace == nil {
		return
	}
	r.trace = trace.New(r.opts.Trace, r.server.base, r.patientID, r.strategy.Name(), r.opts.Types, []string{impossibleID, probeParam, "FhirsyncProbe"})
	if caps := r.server.facts.statement(metadataAge); caps != nil {
		r.trace.Remember(caps)
	}
}

// traceRequest makes a request seen by the trace: its attempts by the transport, its answers by Check, as long as their bytes are there.
// done is called when the request has come to its end.
func (r *run) traceRequest(ctx context.Context, req *transport.Request) (traced context.Context, done func()) {
	call := r.trace.Begin(req.Form, req.Body)
	check := req.Check
	req.Check = func(resp *transport.Response) error {
		var err error
		if check != nil {
			err = check(resp)
		}
		call.Answer(resp.Body()) // as it was read: what was repaired of it is none of the trace's.
		return err
	}
	return context.WithValue(ctx, tracedCall{}, call), call.End
}

// endTrace writes the end of the trace, which says what the report says. A trace that could not be written is worth a note and no more.
func (r *run) endTrace(rep *Report) {
	if r.trace == nil {
		return
	}
	end := trace.End{Verdict: rep.Verdict.String(), Received: map[string]int{}}
	for typ, t := range rep.Types {
		if t.Received > 0 {
			end.Received[typ] = t.Received
		}
	}
	for _, g := range rep.Gaps {
		last := len(end.Gaps) - 1
		if last >= 0 && end.Gaps[last].Type == g.Type && end.Gaps[last].Reason == string(g.Reason) {
			end.Gaps[last].Gaps++
			continue
		}
		end.Gaps = append(end.Gaps, trace.EndGap{Type: g.Type, Reason: string(g.Reason), Gaps: 1})
	}
	r.trace.Finish(end)
	if r.trace.Err() != nil {
		rep.Notes = append(rep.Notes, Note{Detail: "the trace could not be written to its end", Count: 1})
	}
}
