package fhirsync

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// maxIssues is how many issues of one OperationOutcome are looked at.
const maxIssues = 32

// issuesOf reads the issues of an OperationOutcome; nil if the body is none.
func issuesOf(body []byte) []Issue {
	if !transport.LooksJSON(body) {
		return nil
	}
	var o struct {
		ResourceType string
		Issue        []json.RawMessage
	}
	if json.Unmarshal(body, &o) != nil || o.ResourceType != "OperationOutcome" {
		return nil
	}
	var out []Issue
	for i, raw := range o.Issue {
		if i == maxIssues {
			break
		}
		var is struct {
			Severity, Code, Diagnostics string
			Details                     struct {
				Text   string
				Coding []struct{ Code string }
			}
		}
		_ = json.Unmarshal(raw, &is) // what can be read of it is better than nothing.
		issue := Issue{Severity: is.Severity, Code: is.Code, Diagnostics: is.Diagnostics}
		if issue.Diagnostics == "" {
			issue.Diagnostics = is.Details.Text
		}
		for _, c := range is.Details.Coding {
			if c.Code != "" {
				issue.Details = append(issue.Details, printable(c.Code, 32))
			}
		}
		out = append(out, issue)
	}
	return out
}

// Groups of issue codes (http://hl7.org/fhir/R4/valueset-issue-type.html).
var (
	transientCodes = []string{"transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"}
	partialCodes   = []string{"incomplete", "too-costly", "limited-filter", "timeout", "throttled"}
	refusalCodes   = []string{"not-supported"}
	securityCodes  = []string{"login", "unknown", "expired"}
)

func anyCode(issues []Issue, codes []string) bool {
	return slices.ContainsFunc(issues, func(i Issue) bool { return slices.Contains(codes, i.Code) })
}

// errorIssues are those that are no mere warning.
func errorIssues(issues []Issue) []Issue {
	return slices.DeleteFunc(slices.Clone(issues), func(i Issue) bool {
		return i.Severity == "warning" || i.Severity == "information" || i.Severity == "success"
	})
}

var (
	errOutcome = errors.New("OperationOutcome in the place of an answer")
	errKind    = errors.New("not what was asked for")
	errOtherID = errors.New("came back under another id")
)

// errEarlyEnd is what a truncated answer comes to.
var errEarlyEnd = fmt.Errorf("answer ended early: %w", io.ErrUnexpectedEOF)

func isEarlyEnd(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }

// checkRefusal asks again where an outcome says that the trouble is passing, whatever the status. Statuses that say so themselves are left
// to the transport, which knows what to make of Retry-After.
func checkRefusal(resp *transport.Response) error {
	switch s := resp.Status; {
	case s < http.StatusBadRequest, s >= http.StatusInternalServerError, s == http.StatusTooManyRequests:
		return nil
	case anyCode(errorIssues(issuesOf(resp.Body())), transientCodes):
		return transport.Again(errOutcome)
	}
	return nil
}

// asNotFHIR makes the error that callers know of one of the transport.
func asNotFHIR(err error) error {
	if errors.Is(err, transport.ErrNotJSON) || errors.Is(err, errKind) {
		return fmt.Errorf("%w: %w", ErrNotFHIR, err)
	}
	return err
}

// isOutcome tells whether a body is an OperationOutcome. Those are small: a page is not read twice for it.
func isOutcome(body []byte) bool {
	const largest = 1 << 20
	// Nearly all pages are told by this, which is many times faster; an escape could spell the name in another way.
	if len(body) > largest || beginsAsOther(body) || !bytes.Contains(body, []byte("OperationOutcome")) && !bytes.Contains(body, []byte(`\u`)) {
		return false
	}
	head, _ := jsonscan.Head(body) // what can be told of a broken one.
	return head.ResourceType == "OperationOutcome"
}

// beginsAsOther tells whether the first member of a body is a resourceType other than OperationOutcome, as most servers begin. false: that is
// not known.
func beginsAsOther(body []byte) bool {
	const longest = 256 // white space, and any type.
	rest := bytes.TrimLeft(body[:min(len(body), longest)], " \t\r\n")
	for _, token := range []string{"{", `"resourceType"`, ":", `"`} {
		var found bool
		if rest, found = bytes.CutPrefix(rest, []byte(token)); !found {
			return false
		}
		if token != `"` {
			rest = bytes.TrimLeft(rest, " \t\r\n")
		}
	}
	name, _, ended := bytes.Cut(rest, []byte(`"`))
	return ended && isTypeName(string(name)) && string(name) != "OperationOutcome"
}

// serverError makes the error of an exchange; nil if it brought what was asked for.
func serverError(op, typ, address string, resp *transport.Response, err error) *ServerError {
	e := &ServerError{Op: op, Type: typ, URL: address, Err: asNotFHIR(err)}
	outcome := false
	if resp != nil {
		outcome = err == nil && resp.Status == http.StatusOK && isOutcome(resp.Body())
		e.StatusCode, e.RetryAfter, e.class = resp.Status, resp.RetryAfter, quirks.Class(resp.Class)
		if err != nil || resp.Status != http.StatusOK || outcome {
			e.Issues = issuesOf(resp.Body())
		}
	}
	switch {
	case err != nil:
		return e
	case resp == nil:
		e.Err = errKind
		return e
	case resp.Status != http.StatusOK, e.class != "":
		return e
	}
	if outcome {
		// An OperationOutcome with status 200 in the place of the answer.
		e.Err = errOutcome
		return e
	}
	return nil
}

// refusal sorts a ServerError.
type refusal int

const (
	refusedOnce  refusal = iota // this question was refused: another form may do
	refusedType                 // the type is not there, definitely
	refusedGrant                // 401 or 403
	refusedBadly                // it failed in a way that says nothing about the question
)

func (e *ServerError) refusal() refusal {
	switch e.class {
	case quirks.Absent, quirks.Empty:
		return refusedType
	case quirks.Denied:
		return refusedGrant
	case quirks.BadQuestion:
		return refusedOnce
	case quirks.Permanent, quirks.Transient, quirks.Restart, quirks.Split:
		return refusedBadly
	}
	issues := errorIssues(e.Issues)
	switch e.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusGone:
		return refusedType
	case http.StatusUnauthorized, http.StatusForbidden:
		return refusedGrant
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusNotAcceptable:
		if anyCode(issues, refusalCodes) {
			return refusedType
		}
		return refusedOnce
	case http.StatusOK:
		switch {
		case anyCode(issues, refusalCodes):
			return refusedType
		case anyCode(issues, append([]string{"forbidden", "suppressed", "security"}, securityCodes...)):
			return refusedGrant
		case anyCode(issues, []string{"not-found", "invalid", "required", "value", "processing", "business-rule", "code-invalid"}):
			return refusedOnce
		}
	}
	return refusedBadly
}
