package fhirsync

import (
	"errors"
	"time"
)

// ErrRetryLater says that the server asked to be left alone for longer than is waited for (Config.Limit.MaxPause, 5 minutes unless it is
// set), and that the sync was ended because of it. Report.NotBefore says when to come back.
var ErrRetryLater = errors.New("the server asks to come back later")

// Report says what a sync brought, what it did not bring and why. It survives JSON in both directions, except for the errors behind its
// gaps. It holds ids of resources; ids of people are among them.
type Report struct {
	// Run names this sync; a resumed sync keeps the name.
	Run string `json:"run"`
	// Server and PatientID are whose record it is; Strategy is how it was asked for.
	Server    string `json:"server"`
	PatientID string `json:"patientId"`
	Strategy  string `json:"strategy"`
	// AlsoPatients repeats SyncOptions.AlsoPatients.
	AlsoPatients []string `json:"alsoPatients,omitempty"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// ResumedFrom is when the unfinished sync that this one went on with had begun; zero if it began anew.
	ResumedFrom time.Time `json:"resumedFrom,omitzero"`
	// NotBefore is when the server said that it can be asked again, where it asked for a longer pause than is waited for and the sync was
	// ended because of it (ErrRetryLater). A Sync after that goes on from here if the report is Resumable and a day has not passed.
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Interrupted: the sync did not reach its end; the error of Sync says why.
	Interrupted bool `json:"interrupted,omitempty"`
	// Resumable: a later Sync with the same arguments goes on from here.
	Resumable bool `json:"resumable,omitempty"`

	Verdict Verdict `json:"verdict"`
	// Evidence is the weakest of those types that were answered.
	Evidence Evidence `json:"evidence"`
	// Scope is what the grant covered, where it is known: Server.Scope, or what the token said.
	Scope string `json:"scope,omitempty"`
	// Quirks are the ids of the entries of Config.Quirks that applied, in the order in which they were merged. What they warn of stands in
	// Notes.
	Quirks []string `json:"quirks,omitempty"`
	// Filter repeats SyncOptions.Types: what is not among them was not asked for. Empty: everything.
	Filter []string `json:"filter,omitempty"`
	// Types has every type that was asked for or came.
	Types map[string]TypeReport `json:"types"`
	// Gaps are what did not come, or not provably, in order of type, reason and ref.
	Gaps []Gap `json:"gaps"`
	// Elsewhere is what came from other servers, by host, where SyncOptions.Elsewhere had them asked: by this sync, not by one that it went
	// on with.
	Elsewhere []ElsewhereReport `json:"elsewhere,omitempty"`
	// Repairs counts what was repaired (see Repair), in resources that were received and in the pages they came on.
	Repairs map[RepairKind]int `json:"repairs,omitempty"`
	// Notes are what the server said or did that is worth knowing and is no gap.
	Notes    []Note        `json:"notes,omitempty"`
	Requests RequestCounts `json:"requests"`
}

// TypeReport is what is known of one resource type.
type TypeReport struct {
	// Received counts distinct resources of the patient's record that came, Stored those the store has accepted. Unchanged are those of
	// Stored that the store held already.
	Received  int `json:"received"`
	Stored    int `json:"stored"`
	Unchanged int `json:"unchanged,omitempty"`
	// Unattributed counts those of Received that name no patient and came as an answer to a question for this one.
	Unattributed int `json:"unattributed,omitempty"`
	// Expected is how many the server said it has for this patient; nil if it did not say.
	Expected *int `json:"expected,omitempty"`
	// Evidence says how well it is known that these are all.
	Evidence Evidence `json:"evidence"`
	// Parts names the parameter by which the type had to be asked in parts; empty otherwise.
	Parts string `json:"parts,omitempty"`
}

// Gap is something that did not reach the store, or of which it is not known.
type Gap struct {
	// Type is the resource type, Ref the resource ("Type/id") where it is about a single one.
	Type string `json:"type,omitempty"`
	Ref  string `json:"ref,omitempty"`
	// Reason decides what the gap does to the verdict.
	Reason GapReason `json:"reason"`
	// Host is the host of another server, with its port, of a gap that counts the references that lead there.
	Host string `json:"host,omitempty"`
	// Detail says more in words, for people.
	Detail string `json:"detail"`
	// Count is how many things the gap stands for; 0 if that is not known.
	Count int `json:"count,omitempty"`
	// StatusCode and Issues are the server's answer, where there was one.
	StatusCode int     `json:"statusCode,omitempty"`
	Issues     []Issue `json:"issues,omitempty"`
	// Err is the error behind it; nil where there is none and after JSON.
	Err error `json:"-"`
}

// Note is something worth knowing that is no gap.
type Note struct {
	Type   string `json:"type,omitempty"`
	Detail string `json:"detail"`
	// Count is how often it happened.
	Count int `json:"count"`
}

// RequestCounts counts requests by purpose. Every attempt counts: Retries are those that were sent again.
type RequestCounts struct {
	Metadata     int `json:"metadata"`
	Data         int `json:"data"`
	Verification int `json:"verification"`
	References   int `json:"references"`
	Retries      int `json:"retries"`
	// Minimum is what one would have sent who had known beforehand how to ask and had believed every answer: for the metadata where it was
	// asked for, for the Patient, and for each type that was asked for, as many as its pages were. References are beside it. Where batches
	// or an operation save requests, fewer are sent.
	Minimum int `json:"minimum"`
}

// Total is the sum of all.
func (c RequestCounts) Total() int {
	return c.Metadata + c.Data + c.Verification + c.References + c.Retries
}

// Received sums TypeReport.Received over all types.
func (r *Report) Received() int {
	n := 0
	for _, t := range r.Types {
		n += t.Received
	}
	return n
}
