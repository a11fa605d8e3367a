package fhirsync

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// coverage is how much of a resource type a grant lets its holder search for.
type coverage int

const (
	unknownCoverage coverage = iota // the grant does not speak of resource types
	wholly
	partly // for reading only, or for some categories (patient/Observation.rs?category=...)
	notAtAll
)

// covers tells what a scope grants for a type, by SMART's syntax of both versions ("patient/Observation.read", "user/*.cruds"):
// https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html. Scopes of other kinds say nothing.
func covers(scope, typ string) coverage {
	speaks := false
	out := notAtAll
	for word := range strings.FieldsSeq(scope) {
		level, rest, _ := strings.Cut(word, "/")
		name, actions, ok := strings.Cut(rest, ".")
		if !ok || level != "patient" && level != "user" && level != "system" || name != "*" && !isTypeName(name) {
			continue
		}
		speaks = true
		if name != "*" && name != typ {
			continue
		}
		actions, narrowed, _ := strings.Cut(actions, "?")
		search := actions == "read" || actions == "*" || isActions(actions) && strings.Contains(actions, "s")
		switch {
		case search && narrowed == "":
			return wholly
		case search || isActions(actions) && strings.Contains(actions, "r"):
			out = partly
		}
	}
	if !speaks {
		return unknownCoverage
	}
	return out
}

// isActions tells whether letters are those of version 2: create, read, update, delete, search.
func isActions(s string) bool { return s != "" && strings.Trim(s, "cruds") == "" }

// granted is the scope as far as it is known.
func (r *run) granted() string { return cmp.Or(r.server.scope, r.server.http.Scope()) }

// reportGrant enters the types that the grant keeps from us although the server has not said so: it may answer what it may not show with
// nothing at all. A type of which something came in spite of the grant is left alone.
func (r *run) reportGrant() {
	scope := r.granted()
	if scope == "" {
		return
	}
	var outside, part []string
	r.ledger.mu.Lock()
	for name, e := range r.ledger.types {
		if !e.owed || !e.settled || name == "Patient" {
			continue
		}
		switch covers(scope, name) {
		case notAtAll:
			if e.Received == 0 {
				outside = append(outside, name)
			}
		case partly:
			part = append(part, name)
		case unknownCoverage, wholly:
		}
	}
	r.ledger.mu.Unlock()
	for _, g := range []struct {
		types []string
		why   string
	}{
		{outside, "answered with nothing, which proves nothing, because the granted scope does not cover"},
		{part, "the granted scope covers only a part of"},
	} {
		if len(g.types) > 0 {
			slices.Sort(g.types)
			r.ledger.gap(Gap{Reason: Denied, Count: len(g.types), Detail: fmt.Sprintf("%s: %s", g.why, strings.Join(g.types, ", "))})
		}
	}
}
