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

// A version has one table, made when it is first asked for, so that tables can be compared. R4B has what R4 has: nothing that belongs to
// a patient differs between them.
var (
	stu3Table = sync.OnceValue(func() *Table {
		return newTable("3.0", differ(r4, stu3, stu3Gone), differ(dates, datesSTU3, nil), differ(splitsR4, splitsSTU3, nil))
	})
	r4Table  = sync.OnceValue(func() *Table { return newTable("4.0", r4, dates, splitsR4) })
	r4bTable = sync.OnceValue(func() *Table { return newTable("4.3", r4, dates, splitsR4) })
	r5Table  = sync.OnceValue(func() *Table {
		return newTable("5.0", differ(r4, r5, r5Gone), differ(dates, datesR5, nil), differ(splitsR4, splitsR5, nil))
	})
)

// For finds the table of a FHIR version as CapabilityStatement.fhirVersion gives it, "4.0.1" for example. A server that says nothing is
// taken for R4. There is none for DSTU2, which has no Patient compartment, and for versions that are not known.
func For(fhirVersion string) (*Table, bool) {
	if fhirVersion == "" {
		return r4Table(), true
	}
	major, rest, _ := strings.Cut(fhirVersion, ".")
	minor, _, _ := strings.Cut(rest, ".")
	switch major + "." + minor {
	case "3.0":
		return stu3Table(), true
	case "4.0":
		return r4Table(), true
	case "4.1", "4.3": // 4.1.0 was R4B's ballot.
		return r4bTable(), true
	case "5.0":
		return r5Table(), true
	}
	return nil, false
}

// differ gives base with the changes made to it.
func differ[V any](base, changed map[string]V, gone []string) map[string]V {
	out := maps.Clone(base)
	maps.Copy(out, changed)
	for _, name := range gone {
		delete(out, name)
	}
	return out
}

func newTable(version string, types map[string]Type, dates map[string]string, splits map[string][]Split) *Table {
	t := &Table{version: version, types: make(map[string]Type, len(types))}
	for name, typ := range types {
		typ.Date = dates[name]
		typ.Splits = splits[name]
		// US Core: servers shall answer _revinclude=Provenance:target, and need not search for it
		// (https://hl7.org/fhir/us/core/CapabilityStatement-us-core-server.html).
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
