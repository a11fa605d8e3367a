package fhirsync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/compartment"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

// readMetadata reads the CapabilityStatement, or finds out that there is none, and chooses the types.
func (r *run) readMetadata() error {
	caps, err := r.server.capabilities(r.ctx, func(req *transport.Request) (*transport.Response, error) {
		return r.send(r.ctx, "metadata", "", forMetadata, req)
	})
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	var noCaps *ServerError
	switch {
	case errors.As(err, &noCaps):
		r.noCaps = noCaps
		r.ledger.note("", "metadata could not be read: "+noCaps.reason())
		r.caps = r.server.quirks.set.Apply(nil)
	case err != nil:
		return err
	default:
		r.server.adapt(caps)
		r.stated, r.caps = caps, r.server.quirks.set.Apply(caps)
		table, ok := compartment.For(caps.FHIRVersion)
		if !ok {
			return &VersionError{Version: caps.FHIRVersion}
		}
		if table != r.table {
			r.table = table
			r.people.table = table
			r.ledger.disown()
		}
	}
	for _, b := range r.server.quirks.set.References.Bases {
		if u, err := url.Parse(b); err == nil {
			r.people.names = append(r.people.names, u)
		}
	}
	for _, w := range r.server.quirks.warnings {
		r.ledger.note("", w)
	}
	r.chooseTypes()
	return nil
}

// readPatient brings the Patient: by read, and where that is refused, by search.
func (r *run) readPatient() error {
	got, fail := r.read(r.ctx, "Patient", r.asking, forData, asMatch)
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if fail == nil {
		return r.patientCame(got)
	}
	if moved, ok := errors.AsType[*PatientMovedError](fail.Err); ok {
		return moved
	}
	switch {
	case fail.StatusCode == http.StatusUnauthorized || errors.Is(fail.Err, transport.ErrToken):
		return fmt.Errorf("%w: %w", ErrUnauthorized, fail)
	case fail.StatusCode == 0 && !r.answered.Load():
		return fail
	}
	// Epic and others answer a read of a merged or hidden Patient with 404 and still find it.
	found, searched := r.searchPatient()
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if found {
		return nil
	}
	notFHIR := errors.Is(fail.Err, ErrNotFHIR) || fail.StatusCode == http.StatusNotFound && r.noCaps != nil && len(fail.Issues) == 0
	switch {
	case notFHIR && r.noCaps != nil:
		return fmt.Errorf("%w: %w", ErrNotFHIR, fail)
	case fail.status() == http.StatusNotFound || fail.StatusCode == http.StatusGone:
		if searched {
			return fmt.Errorf("%w: %w", ErrPatientNotFound, fail)
		}
		r.ledger.fail("Patient", r.gapOf(Failed, fail))
	case fail.status() == http.StatusForbidden:
		r.ledger.fail("Patient", r.gapOf(Denied, fail))
	default:
		r.ledger.fail("Patient", r.gapOf(Failed, fail))
	}
	return nil
}

// patientCame settles the obligation for the Patient itself.
func (r *run) patientCame(got int) error {
	if got == 0 && !r.has("Patient", r.asking) {
		r.ledger.fail("Patient", Gap{Reason: Failed, Detail: "what came was not the Patient"})
		return nil
	}
	r.ledger.settle("Patient", Counted, nil)
	return nil
}

// searchPatient asks for the Patient by _id. searched tells whether the answer can be believed.
func (r *run) searchPatient() (found, searched bool) {
	q := question{typ: "Patient", fixed: url.Values{"_id": {r.asking}}}
	a := r.chain(r.ctx, q, form{}, func(*Page) bool { return true }, "")
	if r.has("Patient", r.asking) {
		r.ledger.settle("Patient", Counted, nil)
		return true, true
	}
	return false, a.err == nil || a.err.StatusCode == http.StatusNotFound
}
