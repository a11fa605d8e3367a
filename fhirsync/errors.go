package fhirsync

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// Errors by which the outcome of a sync is told apart with errors.Is.
var (
	// ErrIncomplete: the sync reached its end, and the report's verdict is Incomplete. The error is an [*IncompleteError].
	ErrIncomplete = errors.New("record incomplete")
	// ErrUnauthorized: the server does not accept the credentials, or they could not be renewed.
	ErrUnauthorized = errors.New("not authorized")
	// ErrPatientNotFound: the server says that it has no such Patient.
	ErrPatientNotFound = errors.New("patient not found")
	// ErrNotFHIR: what answers at the base URL is not a FHIR server (a login page with status 200, say).
	ErrNotFHIR = errors.New("not a FHIR server")
	// ErrVersion: the server speaks a version of FHIR that is not supported. The error is a [*VersionError].
	ErrVersion = errors.New("FHIR version not supported")
	// ErrServerName: one Server.Name was used with two base URLs.
	ErrServerName = errors.New("server name used with two base URLs")
	// ErrStateConflict: a [StateStore] was given a stale revision; somebody else has saved in between.
	ErrStateConflict = errors.New("state was changed by somebody else")
)

// ServerError is what a server answered, or that it did not, to one request.
type ServerError struct {
	// Op is the interaction ("search", "read", "metadata", "count", "operation"), Type the resource type, where there is one.
	Op, Type string
	// StatusCode is the HTTP status; 0 where no answer came.
	StatusCode int
	// Issues are those of the OperationOutcome in the answer.
	Issues []Issue
	// RetryAfter is how long the server asked to be left alone; 0: it did not say.
	RetryAfter time.Duration
	// URL is the address of the request. It can hold ids and is not part of the message.
	URL string
	// Err is the cause where no answer came or where the answer could not be used; nil otherwise.
	Err error

	class quirks.Class // what quirks say it means; "": nothing
}

// Error gives operation, type, status and issue codes, and nothing from the address or the answer's texts.
func (e *ServerError) Error() string {
	var b strings.Builder
	b.WriteString("fhirsync: ")
	b.WriteString(e.Op)
	if e.Type != "" {
		b.WriteString(" " + e.Type)
	}
	b.WriteString(": " + e.reason())
	return b.String()
}

// reason is the message without what was asked.
func (e *ServerError) reason() string {
	var parts []string
	if e.StatusCode != 0 {
		parts = append(parts, strconv.Itoa(e.StatusCode))
	}
	for i, is := range e.Issues {
		if i == 3 {
			break
		}
		parts = append(parts, is.text())
	}
	if e.Err != nil {
		parts = append(parts, redact(e.Err))
	}
	if len(parts) == 0 {
		return "no answer"
	}
	return strings.Join(parts, " ")
}

// Unwrap gives the cause.
func (e *ServerError) Unwrap() error { return e.Err }

// Issue is one issue of an OperationOutcome (http://hl7.org/fhir/R4/operationoutcome.html).
type Issue struct {
	Severity string `json:"severity,omitempty"` // fatal, error, warning, information
	Code     string `json:"code,omitempty"`     // of the issue-type code system
	// Details are the codes of details.coding, where vendors put their own.
	Details []string `json:"details,omitempty"`
	// Diagnostics is the server's own text. It can hold anything, ids and names among it, and so it is in no message and in no JSON.
	Diagnostics string `json:"-"`
}

func (i Issue) text() string {
	t := i.Code
	if len(i.Details) > 0 {
		t += "(" + strings.Join(i.Details, ",") + ")"
	}
	return printable(t, 64)
}

// StoreError says that the caller's store failed, for good.
type StoreError struct{ Err error }

// Error gives the store's own message.
func (e *StoreError) Error() string { return "fhirsync: store: " + e.Err.Error() }

// Unwrap gives the store's error.
func (e *StoreError) Unwrap() error { return e.Err }

// IncompleteError is the error of a sync that reached its end with the verdict Incomplete. errors.Is finds [ErrIncomplete].
type IncompleteError struct {
	// Gaps are those of the report that make it incomplete.
	Gaps []Gap
}

// Error counts the gaps.
func (e *IncompleteError) Error() string {
	if len(e.Gaps) == 1 {
		g := e.Gaps[0]
		g.Ref = "" // no ids in messages.
		return "fhirsync: record incomplete: 1 gap: " + g.line()
	}
	return fmt.Sprintf("fhirsync: record incomplete: %d gaps", len(e.Gaps))
}

// Is makes errors.Is(err, ErrIncomplete) true.
func (e *IncompleteError) Is(target error) bool { return target == ErrIncomplete }

// VersionError names the FHIR version that a server speaks and this library does not. errors.Is finds [ErrVersion].
type VersionError struct{ Version string }

// Error names the version.
func (e *VersionError) Error() string {
	return "fhirsync: FHIR version " + printable(e.Version, 16) + " is not supported; R4 (4.0) is"
}

// Is makes errors.Is(err, ErrVersion) true.
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

// PatientMovedError says that the server answered with another Patient than the one asked for: records were merged, most likely. Nothing
// was stored. Whether the other is the same person is for the caller to decide.
type PatientMovedError struct {
	// ID is the logical id of the Patient that came. It is not part of the message.
	ID string
}

// Error does not name the id.
func (e *PatientMovedError) Error() string {
	return "fhirsync: the server answered with another Patient id than the one asked for"
}

// printable keeps letters, digits and a little punctuation of a text that a server chose, so that it can stand in a message.
func printable(s string, most int) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-_.,()/ ", r):
			return r
		}
		return '?'
	}, s)
	if len(clean) > most {
		clean = clean[:most] + "..."
	}
	return clean
}
