package compartment

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Table has the types of one FHIR version. It is not to be changed, and neither are the slices of the types in it.
type Table struct {
	version string
	types   map[string]Type
}

// r4Table and its like are made when first asked for, and only once: a version has one table, so that tables can be compared.
var r4Table = sync.OnceValue(func() *Table { return newTable("4.0", r4, dates, splitsR4) })

// For finds the table of a FHIR version as CapabilityStatement.fhirVersion gives it, "4.0.1" for example. A server that says nothing is
// taken for R4. There is none for DSTU2, which has no Patient compartment, and for versions that are not known.
func For(fhirVersion string) (*Table, bool) {
	switch {
	case fhirVersion == "" || strings.HasPrefix(fhirVersion, "4.0"):
		return r4Table(), true
	}
	return nil, false
}

func newTable(version string, types map[string]Type, dates map[string]string, splits map[string][]Split) *Table {
	t := &Table{version: version, types: make(map[string]Type, len(types))}
	for name, typ := range types {
		typ.Date = dates[name]
		typ.Splits = splits[name]
		// US Core: servers shall answer _revinclude=Provenance:target, and need not search for it
		// (https://hl7.org/fhir/us/core/basic-provenance.html).
		typ.Revincluded = name == "Provenance"
		t.types[name] = typ
	}
	return t
}

// Version is the first two numbers of the FHIR version, "4.0" for example.
func (t *Table) Version() string { return t.version }

// Lookup finds a type.
func (t *Table) Lookup(name string) (Type, bool) {
	typ, ok := t.types[name]
	return typ, ok
}

// Names yields the types in order, without Patient itself.
func (t *Table) Names() iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(t.types)))
}
