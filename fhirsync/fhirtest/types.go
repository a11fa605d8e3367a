package fhirtest

import "strings"

// paramKind is the type of a search parameter.
type paramKind string

const (
	kindReference paramKind = "reference"
	kindToken     paramKind = "token"
	kindDate      paramKind = "date"
)

// typeInfo is what the server understands of a type.
type typeInfo struct {
	name   string
	elem   string // the element that names the patient; empty where there is none or it is not plain
	params []typeParam
}

type typeParam struct {
	name string
	kind paramKind
}

func (t *typeInfo) param(name string) (paramKind, bool) {
	if t != nil {
		for _, p := range t.params {
			if p.name == name {
				return p.kind, true
			}
		}
	}
	return "", false
}

func (t *typeInfo) add(kind paramKind, names ...string) {
	for _, n := range names {
		if _, have := t.param(n); !have && n != "" {
			t.params = append(t.params, typeParam{n, kind})
		}
	}
}

// typeInfos gives all types the server knows, and their order.
func typeInfos() (byName map[string]*typeInfo, order []string) {
	byName = map[string]*typeInfo{}
	add := func(name string) *typeInfo {
		t := &typeInfo{name: name}
		t.add(kindToken, "_id")
		t.add(kindDate, "_lastUpdated")
		byName[name] = t
		order = append(order, name)
		return t
	}
	after := func(s string) string {
		_, param, _ := strings.Cut(s, ":")
		return param
	}
	for _, k := range append([]kind{patientKind()}, ownKinds()...) {
		t := add(k.typ)
		t.elem = k.elem
		t.add(kindReference, k.by...)
		t.add(kindReference, k.more...)
		t.add(kindDate, after(k.date))
		t.add(kindToken, after(k.status), after(k.category), after(k.code))
	}
	for _, name := range sharedTypes() {
		add(name)
	}
	return byName, order
}
