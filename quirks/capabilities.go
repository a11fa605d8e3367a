package quirks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Capabilities is what a server says about itself in its CapabilityStatement (http://hl7.org/fhir/R4/capabilitystatement.html).
// The zero value claims nothing and was not read. A Capabilities is not changed after it was made and may be shared.
type Capabilities struct {
	// Known is false where the statement could not be had: then nothing can be said about any type.
	Known bool
	// FHIRVersion as stated ("4.0.1"); "" where absent.
	FHIRVersion string
	// SoftwareName, SoftwareVersion and Publisher identify the product; each "" where absent.
	SoftwareName, SoftwareVersion, Publisher string
	// ImplementationDescription is implementation.description, which names the product on servers without software; "" where absent.
	ImplementationDescription string
	// ImplementationURL is the base URL that the server believes it has; "" where absent. It is information, never followed.
	ImplementationURL string
	// Formats are the media types and codes of format.
	Formats []string
	// Operations are the names of the operations listed for the whole system. Some servers list "everything" here that answer to it on a
	// Patient (WSO2, August 2026, own observation).
	Operations []string
	// Interactions are the codes listed for the whole system ("batch", "transaction").
	Interactions []string
	types        map[string]TypeCapabilities
}

// TypeCapabilities is what is claimed for one resource type.
type TypeCapabilities struct {
	// Interactions are the codes listed ("read", "search-type").
	Interactions []string
	// SearchParams are the names listed. Empty means that no list was given, which says nothing about single parameters.
	SearchParams []string
	// Operations are the names listed ("everything").
	Operations []string
	// RevIncludes are the values listed for _revinclude ("Provenance:target").
	RevIncludes []string
}

// Type gives the claims for one resource type, and whether the statement lists it at all.
func (c *Capabilities) Type(name string) (TypeCapabilities, bool) {
	if c == nil {
		return TypeCapabilities{}, false
	}
	t, ok := c.types[name]
	return t, ok
}

// Types lists the resource types named by the statement, in order.
func (c *Capabilities) Types() []string {
	if c == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(c.types))
}

// ClaimsSearch reports whether the statement lists search-type for the type together with one of params, or with no list of search
// parameters at all.
func (c *Capabilities) ClaimsSearch(name string, params ...string) bool {
	t, ok := c.Type(name)
	if !ok || !slices.Contains(t.Interactions, "search-type") {
		return false
	}
	return len(t.SearchParams) == 0 || slices.ContainsFunc(params, func(p string) bool { return slices.Contains(t.SearchParams, p) })
}

// ClaimsSearchBy reports whether the statement lists search-type for the type together with one of params by name.
func (c *Capabilities) ClaimsSearchBy(name string, params ...string) bool {
	t, ok := c.Type(name)
	return ok && slices.Contains(t.Interactions, "search-type") && slices.ContainsFunc(params, func(p string) bool { return slices.Contains(t.SearchParams, p) })
}

// ListsParam reports whether the statement names this search parameter for the type.
func (c *Capabilities) ListsParam(name, param string) bool {
	t, _ := c.Type(name)
	return slices.Contains(t.SearchParams, param)
}

// ClaimsInteraction reports whether the statement lists an interaction with the whole system.
func (c *Capabilities) ClaimsInteraction(code string) bool {
	return c != nil && slices.Contains(c.Interactions, code)
}

// ClaimsOperation reports whether the statement lists an operation by this name for the type, or for the whole system.
func (c *Capabilities) ClaimsOperation(typ, name string) bool {
	if c == nil {
		return false
	}
	return slices.Contains(c.types[typ].Operations, name) || slices.Contains(c.Operations, name)
}

// ErrNotCapabilityStatement says that a body is not a CapabilityStatement.
var ErrNotCapabilityStatement = errors.New("not a CapabilityStatement")

// ParseCapabilities reads a CapabilityStatement in JSON. Elements of a wrong form are left out rather than refused: what cannot be read
// is simply not claimed. The error is [ErrNotCapabilityStatement] or that of the JSON decoder.
func ParseCapabilities(raw []byte) (*Capabilities, error) {
	var s struct {
		ResourceType   string          `json:"resourceType"`
		FHIRVersion    lenient[string] `json:"fhirVersion"`
		Publisher      lenient[string] `json:"publisher"`
		Format         lenient[[]string]
		Software       lenient[struct{ Name, Version string }]             `json:"software"`
		Implementation lenient[struct{ URL, Description lenient[string] }] `json:"implementation"`
		Rest           lenient[[]lenient[struct {
			Mode      string
			Operation lenient[[]lenient[struct{ Name string }]]
			// Of the whole system.
			Interaction lenient[[]lenient[struct{ Code string }]]
			Resource    lenient[[]lenient[struct {
				Type        string
				Interaction lenient[[]lenient[struct{ Code string }]]
				SearchParam lenient[[]lenient[struct{ Name string }]]
				Operation   lenient[[]lenient[struct{ Name string }]]
				// Values of _revinclude.
				SearchRevInclude lenient[[]lenient[string]]
			}]]
		}]] `json:"rest"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("quirks: capability statement: %w", err)
	}
	if s.ResourceType != "CapabilityStatement" && s.ResourceType != "Conformance" {
		return nil, fmt.Errorf("quirks: %w", ErrNotCapabilityStatement)
	}
	c := &Capabilities{
		Known: true, FHIRVersion: s.FHIRVersion.v, Publisher: s.Publisher.v, Formats: s.Format.v,
		SoftwareName: s.Software.v.Name, SoftwareVersion: s.Software.v.Version, ImplementationURL: s.Implementation.v.URL.v,
		ImplementationDescription: s.Implementation.v.Description.v,
		types:                     map[string]TypeCapabilities{},
	}
	for _, rest := range s.Rest.v {
		if rest.v.Mode == "client" {
			continue
		}
		for _, i := range rest.v.Interaction.v {
			c.Interactions = append(c.Interactions, i.v.Code)
		}
		for _, o := range rest.v.Operation.v {
			c.Operations = append(c.Operations, o.v.Name)
		}
		for _, r := range rest.v.Resource.v {
			if r.v.Type == "" {
				continue
			}
			t := c.types[r.v.Type]
			for _, i := range r.v.Interaction.v {
				t.Interactions = append(t.Interactions, i.v.Code)
			}
			for _, p := range r.v.SearchParam.v {
				t.SearchParams = append(t.SearchParams, p.v.Name)
			}
			for _, o := range r.v.Operation.v {
				t.Operations = append(t.Operations, o.v.Name)
			}
			for _, v := range r.v.SearchRevInclude.v {
				t.RevIncludes = append(t.RevIncludes, v.v)
			}
			c.types[r.v.Type] = t
		}
	}
	return c, nil
}

// lenient decodes a value where it has the form of T, and is T's zero value where it has not.
type lenient[T any] struct{ v T }

func (l *lenient[T]) UnmarshalJSON(b []byte) error {
	var v T
	if json.Unmarshal(b, &v) == nil {
		l.v = v
	}
	return nil
}
