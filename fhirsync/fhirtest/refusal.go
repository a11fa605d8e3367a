package fhirtest

import (
	"maps"
	"net/http"
)

// Refusal is how a server refuses: servers differ in status, severity, issue code and codes of their own.
type Refusal struct {
	// Status is the HTTP status. 0: that of the fault.
	Status int
	// Severity and Code are the issue's. Empty: "error", and a code that fits the status.
	Severity, Code string
	// Details are the codes of details.coding, System their code system.
	Details []string
	System  string
	// Text is the issue's diagnostics. Empty: the text of the status.
	Text string
	// ContentType and Body stand in the place of the OperationOutcome where the server does not answer with one. A Body needs a
	// ContentType; a ContentType alone leaves the body empty.
	ContentType, Body string
	// Header are further headers.
	Header http.Header
}

// Refusing makes a fault refuse in this way. It does nothing for faults that never refuse.
func (f Fault) Refusing(r Refusal) Fault {
	f.refusal = &r
	return f
}

// refuse gives the reply of a fault the form that Refusing asked for.
func (f *injected) refuse(rep *reply) *reply {
	r := f.refusal
	if r == nil || rep.status < http.StatusBadRequest {
		return rep
	}
	if r.Status != 0 {
		rep.status = r.Status
	}
	maps.Copy(rep.header, r.Header)
	if r.ContentType != "" {
		rep.header.Set("Content-Type", r.ContentType)
		rep.body = []byte(r.Body)
		return rep
	}
	severity, code, text := r.Severity, r.Code, r.Text
	if severity == "" {
		severity = "error"
	}
	if code == "" {
		code = issueCode(rep.status)
	}
	if text == "" {
		text = http.StatusText(rep.status)
	}
	system := r.System
	if system == "" {
		system = ownCodes
	}
	rep.header.Set("Content-Type", fhirJSON)
	rep.body = codedOutcome(severity, code, text, system, r.Details)
	return rep
}
