package fhirsync

import (
	"encoding"
	"fmt"
	"slices"
)

// Verdict is what a [Report] concludes about a patient's record. Its zero value claims nothing, and the smaller of two verdicts is the
// more careful one, so that the builtin min folds many into one.
type Verdict int

// The verdicts, from worst to best.
const (
	// Incomplete: something is known to be missing, or there was a sign of loss that could not be cleared up.
	Incomplete Verdict = iota
	// Restricted: nothing is known to be lost, but the server or the grant kept us from seeing or proving all.
	Restricted
	// Complete: everything that was owed has come, or has an end that needs no more than a line in the report.
	// What an Attachment.url names on another server is not owed: it is counted under [Skipped].
	Complete
)

// Evidence says how well it is known that all resources of a type have come. Its zero value is none at all; the builtin min gives the weaker.
type Evidence int

// The grades of evidence, from weak to strong.
const (
	// None: nothing was asked, or nothing can be concluded from the answer.
	None Evidence = iota
	// Partitioned: the type could be asked in parts only. Each part ended, but nothing proves that the parts are the whole.
	Partitioned
	// Ended: the pages ended as the protocol says, without an unexplained sign of truncation.
	Ended
	// Counted: an independent statement of the server agrees with what came.
	Counted
)

var (
	verdictNames  = []string{"incomplete", "restricted", "complete"}
	evidenceNames = []string{"none", "partitioned", "ended", "counted"}
)

// String gives the verdict in lower case, as it stands in JSON.
func (v Verdict) String() string { return nameOf(verdictNames, int(v)) }

// MarshalText gives what String gives; it is an error for a value that is no Verdict.
func (v Verdict) MarshalText() ([]byte, error) { return marshalName(verdictNames, int(v), "verdict") }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(text []byte) error {
	i, err := parseName(verdictNames, text, "verdict")
	*v = Verdict(i)
	return err
}

// String gives the evidence in lower case, as it stands in JSON.
func (e Evidence) String() string { return nameOf(evidenceNames, int(e)) }

// MarshalText gives what String gives; it is an error for a value that is no Evidence.
func (e Evidence) MarshalText() ([]byte, error) {
	return marshalName(evidenceNames, int(e), "evidence")
}

// UnmarshalText reads what MarshalText wrote.
func (e *Evidence) UnmarshalText(text []byte) error {
	i, err := parseName(evidenceNames, text, "evidence")
	*e = Evidence(i)
	return err
}

var (
	_ encoding.TextMarshaler   = Verdict(0)
	_ encoding.TextUnmarshaler = (*Verdict)(nil)
	_ encoding.TextMarshaler   = Evidence(0)
	_ encoding.TextUnmarshaler = (*Evidence)(nil)
)

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("unknown(%d)", i)
	}
	return names[i]
}

func marshalName(names []string, i int, what string) ([]byte, error) {
	if i < 0 || i >= len(names) {
		return nil, fmt.Errorf("fhirsync: %d is no %s", i, what)
	}
	return []byte(names[i]), nil
}

func parseName(names []string, text []byte, what string) (int, error) {
	if i := slices.Index(names, string(text)); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("fhirsync: unknown %s", what)
}

// GapReason says why something is in the report instead of in the store. The text of a reason is stable. More may come: treat one you do
// not know like Failed.
type GapReason string

// Reasons that make a sync Incomplete.
const (
	// Failed: asked, and not answered in a way that could be used, after all retries.
	Failed GapReason = "failed"
	// Truncated: the server has more than came, or showed a sign of it that could not be cleared up.
	Truncated GapReason = "truncated"
	// Limited: a cap of this library stopped it.
	Limited GapReason = "limited"
	// Foreign: the server answered with resources of other patients, in every form of the question. None of them was stored.
	Foreign GapReason = "foreign"
	// Unasked: the strategy never asked, or left the question in the middle.
	Unasked GapReason = "unasked"
)

// Reasons that make a sync Restricted.
const (
	// Denied: the server has it and does not let us see it.
	Denied GapReason = "denied"
	// Refused: the server says in its CapabilityStatement that it has the type, and refused every question for it.
	Refused GapReason = "refused"
	// Unproven: what came may be the whole, but nothing proves it.
	Unproven GapReason = "unproven"
)

// Reasons that are listed and leave the verdict alone.
const (
	// Unsupported: the server does not have the type.
	Unsupported GapReason = "unsupported"
	// Dangling: a reference whose target is not on this server (404 or 410).
	Dangling GapReason = "dangling"
	// Skipped: a reference that is not followed: to another server, to another patient, or of a form that names no single resource.
	Skipped GapReason = "skipped"
	// Shared: a resource of another patient that only mentions ours. It was not stored.
	Shared GapReason = "shared"
	// Linked: a resource of another Patient that is said to be the same person. It was not stored.
	Linked GapReason = "linked"
)

// Verdict is what a gap of this reason lets a sync claim at most.
func (r GapReason) Verdict() Verdict {
	switch r {
	case Unsupported, Dangling, Skipped, Shared, Linked:
		return Complete
	case Denied, Refused, Unproven:
		return Restricted
	case Failed, Truncated, Limited, Foreign, Unasked:
		return Incomplete
	}
	return Incomplete
}
