package fhirsync

import (
	"net/url"
	"slices"
	"strings"
)

// form is how the patient is named in a question: by which parameter, and whether as "Patient/ID" or "ID". The zero form names nobody.
type form struct {
	param string
	typed bool
	path  bool // by compartment: Patient/ID/Type (http://hl7.org/fhir/R4/search.html#2.21.1.2)
	post  bool // by POST to Type/_search
}

// name is the form without the id.
func (f form) name() string {
	name := f.param + "=id"
	switch {
	case !f.names():
		name = "grant"
	case f.path:
		return "compartment"
	case f.typed:
		name = f.param + "=Patient/id"
	}
	if f.post {
		return "POST " + name
	}
	return name
}

// parseForm reads what name wrote.
func parseForm(name string) (f form, ok bool) {
	if name == "compartment" {
		return form{path: true}, true
	}
	name, f.post = strings.CutPrefix(name, "POST ")
	if name == "grant" {
		return f, true // the grant alone says whose resources come.
	}
	param, id, ok := strings.Cut(name, "=")
	f.param, f.typed = param, id == "Patient/id"
	return f, ok
}

// plain tells whether a form proves itself by what others of its style have brought: the id alone is understood under "patient" and perhaps
// nowhere else.
func (f form) plain() bool { return f.typed || f.param == "patient" }

// names tells whether the form names the patient at all.
func (f form) names() bool { return f.param != "" || f.path }

func (f form) value(patientID string) string {
	// A comma, bar, dollar sign or backslash in the id would mean something else (http://hl7.org/fhir/R4/search.html#escaping).
	id := escapeValue(patientID)
	if f.typed {
		return "Patient/" + id
	}
	return id
}

func escapeValue(v string) string {
	var out []byte
	for i := range len(v) {
		switch v[i] {
		case ',', '|', '$', '\\':
			out = append(out, '\\')
		}
		out = append(out, v[i])
	}
	return string(out)
}

// question is one search. Its form says how the patient is named; fixed are parameters that are there in every form.
type question struct {
	typ     string
	fixed   url.Values
	node    *node  // the part or question of a strategy that it answers; nil: the whole type
	via     string // the whole type, but by a parameter under which the patient is not the subject
	label   string
	op      *Operation // not a search but an operation
	lazy    bool       // the next page is asked for when the one before has been taken in: nobody holds one who waits for others
	further bool       // beside the whole type, because quirks say that the answer to that is not all
}

// whole tells whether the question is for all resources of the type.
func (q question) whole() bool {
	return q.node == nil && q.via == "" && len(q.fixed) == 0 && q.op == nil
}

// forms gives the forms in which a type is asked for, the most promising first.
func (r *run) forms(typ string) []form {
	info, _ := r.table.Lookup(typ)
	params := slices.Clone(info.Params)
	if len(params) == 0 {
		params = []string{"patient", "subject"}
	}
	// What metadata lists comes first; the order is otherwise kept.
	slices.SortStableFunc(params, func(a, b string) int {
		return rank(r.caps.ListsParam(typ, b)) - rank(r.caps.ListsParam(typ, a))
	})
	var out []form
	add := func(f form) {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for _, f := range r.preferred(r.server.quirks.ownOf(typ), params) {
		add(f)
	}
	known := r.preferred(r.quirk(typ), params)
	r.server.facts.with(func(f *facts) {
		if learned, ok := f.forms[typ]; ok {
			add(learned)
		}
		for _, f := range known {
			add(f)
		}
		// Only "Patient/ID" has brought anything here: begin with it.
		typedFirst := f.styles[true] && !f.styles[false]
		for _, p := range params {
			// Parameters that can name other things than patients need the type: actor=123 may find Practitioner/123.
			typed := typedFirst || p != "patient"
			add(form{param: p, typed: typed})
			add(form{param: p, typed: !typed})
		}
	})
	return out
}

func rank(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// vias gives the parameters by which the patient can own resources of the type without being their subject. Those that the server's list
// of parameters lacks are left out, where it has given a list.
func (r *run) vias(typ string) []string {
	info, _ := r.table.Lookup(typ)
	t, listed := r.caps.Type(typ)
	if r.noCaps != nil || !listed || len(t.SearchParams) == 0 {
		return info.Via
	}
	return slices.DeleteFunc(slices.Clone(info.Via), func(p string) bool { return !r.caps.ListsParam(typ, p) })
}

// claims tells whether the server says that it can be asked for the type: metadata lists search-type and a parameter that names the
// patient, or the type was answered before.
func (r *run) claims(typ string) bool {
	info, known := r.table.Lookup(typ)
	params := append(slices.Clone(info.Params), info.Via...)
	if !known {
		params = []string{"patient", "subject"}
	}
	if p := r.quirk(typ).Patient; p != nil {
		params = append(params, *p)
	}
	if r.caps.ClaimsSearch(typ, params...) {
		return true
	}
	answered := false
	r.server.facts.with(func(f *facts) { _, answered = f.forms[typ] })
	return answered
}

// otherParam gives another parameter of the same meaning by which an empty answer is checked; false where there is none, or where enough
// was checked. Servers were seen to find DocumentReferences by subject and not by patient (Spark), with nothing to show for it. As long as
// the form has never brought anything of the type, the doubt is paid for by the first patients of a server, and by some later ones.
func (r *run) otherParam(typ string, f form) (form, bool) {
	const firstPatients, oneIn = 3, 8
	for _, other := range r.forms(typ) {
		if other.param == f.param || r.noCaps == nil && !r.caps.ListsParam(typ, other.param) {
			continue
		}
		ask := false
		id := identOf(typ, r.asking)
		r.server.facts.with(func(k *facts) {
			if k.brought[typ+" "+f.name()] {
				return
			}
			k.doubled[typ]++
			ask = k.doubled[typ] <= firstPatients || id[0]%oneIn == 0
		})
		return other, ask
	}
	return form{}, false
}

// understood tells whether an empty answer to the question in this form can be believed: whether it is known that the server understands
// it. selfHas says whether the self link of the answer names the parameter.
func (r *run) understood(typ string, f form, selfHas bool) bool {
	r.mu.Lock()
	disproved := isAlike(r.disproved, f)
	r.mu.Unlock()
	if disproved {
		return false
	}
	understood := false
	r.server.facts.with(func(k *facts) {
		understood = k.brought[typ+" "+f.name()] ||
			k.styles[f.typed] && f.plain() && (r.caps.ListsParam(typ, f.param) || k.rejectsUnknown) ||
			k.styles[f.typed] && f.plain() && selfHas && k.echo == echoUsed
	})
	return understood
}
