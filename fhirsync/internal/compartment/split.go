package compartment

import (
	"slices"
	"strings"
)

// Split is a way to ask for a type in parts: one value of a search parameter at a time, or several of them with commas.
type Split struct {
	Param string
	// Values are tokens: SYSTEM|CODE where a guide names the code system, bare codes otherwise.
	Values []string
	// Exhaustive: each resource of the type has one of the values, because the element is required (1..1) and so is its binding.
	Exhaustive bool
	// Optional: as Exhaustive, but the element may be absent (0..1): together with Param:missing=true the values are the whole.
	Optional bool
	// Verbatim: the values are sent as they are.
	Verbatim bool
}

// Codes are the values without their code systems. That finds more: also what was filed under an older system or none, and a server that
// keeps US Core shall answer both (https://hl7.org/fhir/us/core/CapabilityStatement-us-core-server.html).
func (s Split) Codes() []string {
	out := slices.Clone(s.Values)
	if s.Verbatim {
		return out
	}
	for i, v := range out {
		out[i] = v[strings.LastIndexByte(v, '|')+1:]
	}
	return out
}

// all makes the split by an element that is required, with all codes of its required binding.
func all(param, codes string) Split {
	return Split{Param: param, Values: strings.Fields(codes), Exhaustive: true}
}

// allButAbsent makes the split by an element that may be absent, with all codes of its required binding.
func allButAbsent(param, codes string) Split {
	return Split{Param: param, Values: strings.Fields(codes), Optional: true}
}

// categories makes the split by category, which nothing proves to be the whole.
func categories(tokens string) Split {
	return Split{Param: "category", Values: strings.Fields(tokens)}
}
