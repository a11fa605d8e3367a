package quirks

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Apply gives the capabilities of a server as the Set corrects them, in both directions. caps is not changed; nil stands for one that says
// nothing. What is corrected is not known for that: Known stays as it is.
func (s Set) Apply(caps *Capabilities) *Capabilities {
	out := &Capabilities{}
	if caps != nil {
		c := *caps
		out = &c
	}
	out.types = maps.Clone(out.types)
	if out.types == nil {
		out.types = map[string]TypeCapabilities{}
	}
	for name, own := range s.Types {
		if name == "*" {
			continue
		}
		if own.Claim != nil {
			out.claim(name, s.Type(name), *own.Claim)
		}
	}
	patient := out.types["Patient"]
	if b := s.Everything.Supported; b != nil {
		patient.Operations = with(patient.Operations, "everything", *b)
		out.Operations = with(out.Operations, "everything", *b && slices.Contains(out.Operations, "everything"))
		out.types["Patient"] = patient
	}
	if b := s.Batch.Supported; b != nil {
		out.Interactions = with(out.Interactions, "batch", *b)
		if !*b {
			out.Interactions = with(out.Interactions, "transaction", false)
		}
	}
	return out
}

// claim makes the statement list a search for a type by patient, or not.
func (c *Capabilities) claim(name string, t Type, yes bool) {
	x, listed := c.types[name]
	x.Interactions = with(x.Interactions, "search-type", yes)
	param := "patient"
	if t.Patient != nil {
		param = *t.Patient
	}
	if yes && param != "none" && (len(x.SearchParams) > 0 || !listed) {
		x.SearchParams = with(x.SearchParams, param, true)
	}
	c.types[name] = x
}

// with gives a list with or without a word.
func with(list []string, word string, yes bool) []string {
	if slices.Contains(list, word) == yes {
		return list
	}
	if yes {
		return append(slices.Clone(list), word)
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == word })
}

// text gives a value as JSON, for people.
func text(v reflect.Value) string {
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return fmt.Sprint(v.Interface())
	}
	return string(b)
}
