package fhirtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Generate makes a record. It depends on the Options alone: not on the time, the machine or the version of Go. All names
// and values are invented. It may be called concurrently, and what it returns is not shared.
func Generate(o Options) *Record {
	size := o.Size
	if size <= 0 {
		size = 100
	}
	id := o.PatientID
	switch {
	case id != "":
	case o.ID != nil:
		id = o.ID("Patient", 0)
	default:
		id = "pat-" + tag(o.Seed, "")
	}
	p := &plan{
		rnd: random{state: mix(o.Seed) ^ 0x0ddba11}, tag: tag(o.Seed, id), name: o.ID, patientID: id, padding: max(o.Padding, 0),
		own: map[string][]string{"Patient": {id}},
	}
	p.shared = p.sharedIDs(size)

	chosen := choose(o.Types, size-1)
	secondary := make([]kind, 0, max(o.Secondary, 0))
	for i := range max(o.Secondary, 0) {
		all := secondaryKinds()
		secondary = append(secondary, all[i%len(all)])
	}
	var documents []kind
	for i := range max(o.Attachments, 0) {
		documents = append(documents, attachedDocument(i))
	}
	kinds := slices.Concat(chosen, secondary, documents)
	ids := make([]string, len(kinds))
	for i, k := range kinds {
		ids[i] = p.ownID(k.typ, len(p.own[k.typ]))
		p.own[k.typ] = append(p.own[k.typ], ids[i])
	}

	rec := &Record{PatientID: id}
	for i := range max(o.Dangling, 0) {
		rec.Dangling = append(rec.Dangling, fmt.Sprintf("%s/gone-%s-%d", []string{"Practitioner", "Organization", "Observation", "Location", "Encounter"}[i%5], p.tag, i+1))
	}
	dangling := func(i int) []string { // spreads the dangling references evenly over the resources
		var out []string
		for j := i; j < len(rec.Dangling); j += len(kinds) + 1 {
			out = append(out, rec.Dangling[j])
		}
		return out
	}
	rec.Resources = append(rec.Resources, p.make(patientKind(), id, 0, dangling(0)))
	count := map[string]int{}
	for i, k := range kinds {
		rec.Resources = append(rec.Resources, p.make(k, ids[i], count[k.typ], dangling(i+1)))
		count[k.typ]++
	}
	for i := range rec.Resources {
		rec.Resources[i].Owner = id
	}
	rec.Referenced = reachable(rec.Resources, slices.Concat(p.makeShared(), p.binaries(o.Attachments), commonResources()))
	return rec
}

// choose gives the types of n own resources: half Observations, and of the others first one each, then by weight.
func choose(only []string, n int) []kind {
	all := ownKinds()
	if len(only) > 0 {
		var chosen []kind
		for _, k := range all {
			for _, name := range only {
				if name == k.typ {
					chosen = append(chosen, k)
				}
			}
		}
		all = chosen
		out := make([]kind, 0, max(n, 0))
		for i := 0; i < n && len(all) > 0; i++ {
			out = append(out, all[i%len(all)])
		}
		return out
	}
	observation, others := all[0], all[1:]
	round := slices.Clone(others)
	for w := 2; w <= 8; w++ {
		for _, k := range others {
			if k.weight >= w {
				round = append(round, k)
			}
		}
	}
	var out []kind
	for i := range max(n, 0) {
		if i%2 == 0 {
			out = append(out, observation)
		} else {
			out = append(out, round[i/2%len(round)])
		}
	}
	// By type, as servers tend to hold them, without disturbing the order of the kinds.
	slices.SortStableFunc(out, func(a, b kind) int {
		at := func(k kind) int { return slices.IndexFunc(all, func(x kind) bool { return x.typ == k.typ }) }
		return at(a) - at(b)
	})
	return out
}

// ownID gives ids that clash on purpose where FHIR allows it: the same id in different types, ids that differ in case only.
func (p *plan) ownID(typ string, n int) string {
	switch {
	case p.name != nil:
		return p.name(typ, n)
	case typ == "Observation" && n == 1:
		return p.tag + "-CASE"
	case typ == "Observation" && n == 2:
		return p.tag + "-case"
	case n%9 == 4:
		h := mix(p.rnd.next())
		return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", h>>32, h>>16&0xffff, h>>8&0xfff, h&0xfff, p.rnd.next()>>16)
	case n%9 == 7:
		return p.tag + "." + strconv.Itoa(n) + "." + strings.Repeat("long-", 9) + "z"
	default:
		return p.tag + "-" + strconv.Itoa(n)
	}
}

// make writes one own resource.
func (p *plan) make(k kind, id string, n int, dangling []string) Resource {
	m := p.begin(k.typ, id, n)
	contained := k.typ != "Patient" && m.has(2, 6)
	if contained {
		m.contain()
	}
	m.extensions(contained)
	if k.status != "" && !m.has(5, 13) {
		m.status(k)
	}
	if k.category != "" && !m.has(6, 12) {
		m.category(k)
	}
	if k.code != "" {
		m.code(k)
	}
	if k.elem != "" {
		if elem, ok := strings.CutSuffix(k.elem, "[]"); ok {
			m.add(elem, list{m.patientRef()})
		} else {
			m.add(k.elem, m.patientRef())
		}
	}
	m.res.Params = append(m.res.Params, Of(p.patientID, k.by...)...)
	if k.typ == "Patient" {
		m.res.Params = nil
	}
	if k.date != "" && !m.has(8, 14) {
		m.dated(k)
	}
	if k.fill != nil {
		k.fill(m)
	}
	var lost list
	for _, d := range dangling {
		m.link(d)
		lost = append(lost, obj{{"url", q("https://extensions.fhirtest.example/lost")}, {"valueReference", obj{{"reference", m.slashes(d)}}}})
	}
	if len(lost) > 0 {
		m.add("modifierExtension", lost)
	}
	m.oddities()
	return m.finish()
}

func (m *making) status(k kind) {
	elem, param, _ := strings.Cut(k.status, ":")
	code := pick(&m.rnd, k.states)
	if e, ok := strings.CutSuffix(elem, "{}"); ok {
		m.add(e, concept("status", code, code))
	} else {
		m.add(elem, q(code))
	}
	m.param(param, "https://codes.fhirtest.example/status|"+code)
}

func (m *making) category(k kind) {
	elem, param, _ := strings.Cut(k.category, ":")
	code := pick(&m.rnd, k.categories)
	e, many := strings.CutSuffix(elem, "[]")
	switch {
	case many:
		m.add(e, list{concept("category", code, code)})
	case k.typ == "Encounter":
		m.add(e, obj{{"system", q("https://codes.fhirtest.example/category")}, {"code", q(code)}})
	default:
		m.add(e, concept("category", code, code))
	}
	m.param(param, "https://codes.fhirtest.example/category|"+code)
}

func (m *making) code(k kind) {
	elem, param, _ := strings.Cut(k.code, ":")
	code := fmt.Sprintf("%s-%d", strings.ToLower(k.typ[:3]), m.rnd.n(9))
	m.add(elem, concept("code", code, "Invented "+k.typ))
	m.param(param, "https://codes.fhirtest.example/code|"+code)
}

func (m *making) dated(k kind) {
	elem, param, _ := strings.Cut(k.date, ":")
	switch {
	case elem == "period" || strings.HasSuffix(elem, "Period"):
		start := m.date()
		if m.rnd.oneIn(4) {
			m.add(elem, obj{{"start", q(start)}})
			m.param(param, start+"..")
		} else {
			end := start[:8] + "28"
			m.add(elem, obj{{"start", q(start)}, {"end", q(end)}})
			m.param(param, start+".."+end)
		}
	case elem == "recorded" || elem == "start":
		v := m.instant()
		m.add(elem, q(v))
		m.param(param, v)
	case elem == "startDate":
		v := m.date()
		m.add(elem, q(v))
		m.param(param, v)
	default:
		v := m.dateTime()
		m.add(elem, m.str(v))
		m.param(param, v)
	}
}

// reachable keeps of the pool what the given resources reach by links, in the order of the pool.
func reachable(from, pool []Resource) []Resource {
	byRef := make(map[string]Resource, len(pool))
	for _, r := range pool {
		byRef[r.Ref()] = r
	}
	seen := map[string]bool{}
	var queue []string
	for _, r := range from {
		queue = append(queue, r.Links...)
	}
	for len(queue) > 0 {
		ref := queue[0]
		queue = queue[1:]
		if r, ok := byRef[ref]; ok && !seen[ref] {
			seen[ref] = true
			queue = append(queue, r.Links...)
		}
	}
	return slices.DeleteFunc(slices.Clone(pool), func(r Resource) bool { return !seen[r.Ref()] })
}
