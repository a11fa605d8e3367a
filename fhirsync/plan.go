package fhirsync

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// Plan is what [Auto] means to ask, made from what the server says about itself, what was learned about it, and the specification. It is
// a plan, not a promise: the sync asks otherwise where the server surprises it.
type Plan struct {
	// Steps are in the order in which they begin; most of them go on side by side.
	Steps []PlanStep `json:"steps"`
	// Quirks are the ids of the entries of Config.Quirks that apply, and Warnings what they say that the caller should know: what this
	// server leaves out without a sign, what is missing in Server.Vars, where the service has moved to.
	Quirks   []string `json:"quirks,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// PlanStep is one question.
type PlanStep struct {
	// Op is "read", "operation" or "search"; Type the resource type, where it is about one.
	Op   string `json:"op"`
	Type string `json:"type,omitempty"`
	// Form is how the patient is named, without the id: "patient=id".
	Form string `json:"form,omitempty"`
	// Why says what speaks for it.
	Why string `json:"why"`
	// prefetch marks the operation that comes first.
	prefetch bool
}

// String gives one line a step.
func (p *Plan) String() string {
	var b strings.Builder
	if len(p.Quirks) > 0 {
		fmt.Fprintf(&b, "%-52s %s\n", "quirks", strings.Join(p.Quirks, ", "))
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "%-52s %s\n", "note", w)
	}
	for _, s := range p.Steps {
		what := s.Op
		if s.Type != "" {
			what += " " + s.Type
		}
		if s.Form != "" {
			what += " by " + s.Form
		}
		fmt.Fprintf(&b, "%-52s %s\n", what, s.Why)
	}
	return b.String()
}

// Plan gives what Auto would ask for the patient on this server now. It asks the server for its CapabilityStatement if that is not known,
// and for nothing else.
func (c *Client) Plan(ctx context.Context, srv Server, patientID string, opts *SyncOptions) (*Plan, error) {
	r, err := c.newRun(srv, patientID, opts)
	if err != nil {
		return nil, err
	}
	r.begin(ctx)
	defer r.cancel(nil)
	if err := r.readMetadata(); err != nil {
		return nil, err
	}
	return (&Session{r: r, scope: &scope{}}).Plan(), nil
}

// Plan gives what [Auto] would ask now.
func (s *Session) Plan() *Plan {
	r := s.r
	p := &Plan{
		Steps:  []PlanStep{{Op: "read", Type: "Patient", Why: "whose record it is"}},
		Quirks: r.server.quirks.names(), Warnings: slices.Clone(r.server.quirks.warnings),
	}
	if s.Offers("everything") {
		why := "the server claims it; it saves requests, and proves nothing"
		if r.noCaps != nil {
			why = "metadata could not be read; it may be there"
		}
		p.Steps = append(p.Steps, PlanStep{Op: "operation", Type: "Patient", Form: "$everything", Why: why, prefetch: true})
	}
	for _, typ := range longestFirst(s) {
		step := PlanStep{Op: "search", Type: typ}
		if forms := r.forms(typ); len(forms) > 0 {
			step.Form = forms[0].name()
		}
		known, absent, split := false, false, r.knownSplit(typ)
		way := r.reach(typ)
		r.server.facts.with(func(f *facts) {
			_, known = f.forms[typ]
			absent = f.absent[typ]
		})
		_, listed := r.caps.Type(typ)
		switch {
		case way != quirks.BySearch:
			step.Why = "not searched: on this server it is reached otherwise (" + string(way) + ")"
		case r.wasSettled(typ):
			step.Why = "answered in the sync that this one goes on from: not asked"
		case split != "":
			step.Form += " and each " + split
			step.Why = "this server does not answer for the whole type"
		case known:
			step.Why = "has worked on this server"
		case absent && !listed:
			step.Why = "not claimed, and refused before: not asked"
		case r.noCaps != nil:
			step.Why = "metadata could not be read: asked in all forms"
		case r.claims(typ):
			step.Why = "claimed by metadata"
		case listed:
			step.Why = "listed by metadata, without a search for the patient's: asked once"
		default:
			step.Why = "not claimed: asked once"
		}
		switch covers(r.granted(), typ) {
		case notAtAll:
			step.Why += "; the granted scope does not cover it"
		case partly:
			step.Why += "; the granted scope covers a part of it"
		case unknownCoverage, wholly:
		}
		p.Steps = append(p.Steps, step)
	}
	return p
}
