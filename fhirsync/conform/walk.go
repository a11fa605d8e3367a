package conform

import "strings"

// resource goes through a resource, or one inside of another.
func (p *pass) resource(n *node, f *frame) {
	typ, ok := n.get("resourceType").str(p.raw)
	if f == nil {
		f = &frame{name: typ, index: -1}
	}
	if p.c.table == nil {
		p.object(n, nil, f)
		p.narrative(n, f)
		p.inner(n, f)
		return
	}
	info := p.c.table.types[typ]
	if !ok || info == nil || !info.resource {
		p.fault(RuleUnknown, f.in("resourceType"))
		return
	}
	p.object(n, info, f)
	p.narrative(n, f)
	p.inner(n, f)
	p.status(n, info, f)
	p.required(n, info, f)
}

// object goes through the elements of an object. info is nil where there is no table: then every element is taken for a known one.
func (p *pass) object(n *node, info *typeInfo, f *frame) {
	seen := make(map[string]bool, len(n.members))
	var twice map[string]bool
	for i := range n.members {
		name := n.members[i].name
		if n.members[i].gone {
			continue
		}
		if seen[name] {
			if twice == nil {
				twice = map[string]bool{}
			}
			twice[name], twice[partner(name)] = true, true
		} else {
			seen[name] = true
		}
	}
	for i := range n.members {
		m := &n.members[i]
		if m.gone {
			continue
		}
		if twice[m.name] {
			if seen[m.name] {
				p.fault(RuleDuplicates, f.in(m.name))
				delete(seen, m.name) // said once
			}
			continue
		}
		if m.name == "resourceType" {
			continue
		}
		base, isPartner := strings.CutPrefix(m.name, "_")
		e := p.element(info, base)
		if e == nil || isPartner && info != nil && !e.primitive() {
			continue // see below
		}
		if isPartner {
			e = p.c.partnerOf(e)
		}
		p.values(&m.val, e, f.in(m.name))
	}
	for _, partners := range [...]bool{false, true} { // values first: what becomes of the other half depends on them
		for i := range n.members {
			m := &n.members[i]
			base, isPartner := strings.CutPrefix(m.name, "_")
			if isPartner != partners || m.gone || twice[m.name] || m.name == "resourceType" {
				continue
			}
			if e := p.element(info, base); e != nil && (!isPartner || info == nil || e.primitive()) {
				p.tidy(n, m, e, isPartner, f.in(m.name))
			}
		}
	}
	for i := range n.members { // when it is known whether there are extensions
		m := &n.members[i]
		if m.gone || twice[m.name] || m.name == "resourceType" {
			continue
		}
		base, isPartner := strings.CutPrefix(m.name, "_")
		if e := p.element(info, base); e == nil || isPartner && info != nil && !e.primitive() {
			p.unknown(n, i, info, f)
		}
	}
	if info != nil && !info.resource {
		p.required(n, info, f)
	}
}

// unknown deals with an element that FHIR does not have.
func (p *pass) unknown(n *node, i int, info *typeInfo, f *frame) {
	m := &n.members[i]
	there := n.get("extension")
	if p.c.opts.Unknowns == KeepUnknowns || info.elements["extension"] == nil || info == p.c.table.types["Extension"] || there != nil && there.kind != '[' || m.name == "" {
		p.fault(RuleUnknown, f.in(m.name))
		return
	}
	m.gone = true
	p.changed(RuleUnknown, f.in(m.name), &m.val)
	p.extend(n, object(field{"url", str(UnknownExtension)}, field{"extension", list(
		object(field{"url", str("name")}, field{"valueString", str(m.name)}),
		object(field{"url", str("json")}, field{"valueString", str(string(m.val.write(nil, p.raw)))}),
	)}))
}

// anything stands for each element where there is no table.
var anything = &element{}

// partner gives the name of the other half of a primitive.
func partner(name string) string {
	if base, ok := strings.CutPrefix(name, "_"); ok {
		return base
	}
	return "_" + name
}

func (p *pass) element(info *typeInfo, name string) *element {
	if info == nil {
		return anything
	}
	return info.elements[name]
}

// partnerOf gives the element of the objects that extend a primitive.
func (c *Conformer) partnerOf(e *element) *element {
	if c.table == nil {
		return anything
	}
	return &element{typ: "Element", info: c.table.types["Element"], many: e.many}
}

// values goes through the value of a member, or the values of an array.
func (p *pass) values(v *node, e *element, f *frame) {
	if v.kind != '[' {
		if e.many && e.typ != "" && v.kind != 'n' {
			p.fault(RuleShape, f)
		}
		p.value(v, e, f)
		return
	}
	if !e.many && e.typ != "" {
		p.fault(RuleShape, f)
		return
	}
	for i := range v.items {
		switch item := &v.items[i].val; {
		case v.items[i].gone:
		case item.kind == '[' && e.typ != "":
			p.fault(RuleShape, f.at(i))
		case item.kind == '[':
			p.values(item, e, f.at(i))
		default:
			p.value(item, e, f.at(i))
		}
	}
}

// value puts one value right that is no array.
func (p *pass) value(v *node, e *element, f *frame) {
	switch {
	case v.kind == 'n': // tidy knows what becomes of it
	case e.typ == "": // no table
		if v.kind == '{' {
			if typ, ok := v.get("resourceType").str(p.raw); ok && typ != "" {
				p.resource(v, f)
				return
			}
			p.object(v, nil, f)
		} else if f.name == "reference" {
			p.reference(v, f)
		}
	case e.typ == "Resource":
		if v.kind != '{' {
			p.fault(RuleShape, f)
			return
		}
		p.resource(v, f)
	case e.info != nil:
		if v.kind != '{' {
			p.fault(RuleShape, f)
			return
		}
		p.object(v, e.info, f)
	default:
		p.primitive(v, e, f)
	}
}

func (p *pass) primitive(v *node, e *element, f *frame) {
	switch e.typ {
	case "decimal", "integer", "positiveInt", "unsignedInt":
		p.number(v, e.typ, f)
		return
	case "boolean":
		p.boolean(v, f)
		return
	}
	if v.kind != '"' {
		p.fault(RuleShape, f)
		return
	}
	switch e.typ {
	case "date", "dateTime", "instant", "time":
		p.date(v, e.typ, f)
	case "code":
		p.code(v, e.set, f)
	case "id":
		p.id(v, f)
	case "string":
		if f.name == "reference" {
			p.reference(v, f)
		}
	}
}

// tidy takes away what is empty. What stands in it has been gone through.
func (p *pass) tidy(n *node, m *member, e *element, isPartner bool, f *frame) {
	v := &m.val
	if e.typ == "Resource" && v.kind != '[' {
		return // a resource is never removed
	}
	if v.kind == '[' {
		if isPartner {
			if other := n.get(partner(m.name)); other != nil && other.kind == '[' {
				return // done together with the values
			}
		}
		p.tidyArray(n, m, e, f)
		if v.live() == 0 && p.on(RuleEmpty) {
			m.gone = true
			p.changed(RuleEmpty, f, v)
		}
		if other := n.get(partner(m.name)); !isPartner && other != nil && other.kind == '[' && other.live() == 0 && p.on(RuleEmpty) {
			p.changed(RuleEmpty, f.outer.in(partner(m.name)), other)
			n.drop(partner(m.name))
		}
		return
	}
	switch {
	case v.kind == 'n' && !p.nothing(n.get(partner(m.name))):
		p.fault(RuleNulls, f)
	case v.kind == 'n' && p.on(RuleNulls):
		m.gone = true
		p.changed(RuleNulls, f, v)
	case v.kind == 'n':
	case p.empty(v) && p.on(RuleEmpty):
		m.gone = true
		p.changed(RuleEmpty, f, v)
	}
}

// empty tells whether a value says nothing at all.
func (p *pass) empty(v *node) bool {
	switch v.kind {
	case '{', '[':
		return v.live() == 0
	case '"':
		return v.json(p.raw) == `""`
	}
	return false
}

// nothing tells whether a value is null, or will be taken away.
func (p *pass) nothing(v *node) bool {
	if v.isNull() {
		return true
	}
	if !p.on(RuleEmpty) {
		return false
	}
	for i := range v.items {
		if it := &v.items[i]; !it.gone && (it.val.kind == 'n' && !p.on(RuleNulls) || !p.nothing(&it.val)) {
			return false
		}
	}
	return v.kind == '[' || p.empty(v)
}

// tidyArray takes away the elements that are empty, and for primitives the objects in the same places beside them.
func (p *pass) tidyArray(n *node, m *member, e *element, f *frame) {
	v := &m.val
	resources := e.typ == "Resource" || m.name == "contained" // these are never removed
	beside := n.get(partner(m.name))
	if beside != nil && beside.kind != '[' {
		beside = nil
	}
	companion := func(i int) *node {
		if beside == nil || i >= len(beside.items) {
			return nil
		}
		return &beside.items[i].val
	}
	// An object beside a value holds its place, so that one that is empty becomes null.
	for i := 0; beside != nil && i < len(beside.items); i++ {
		if c := &beside.items[i].val; c.kind == '{' && !beside.items[i].gone && p.empty(c) && p.on(RuleEmpty) {
			p.changed(RuleEmpty, f.outer.in(partner(m.name)).at(i), c)
			c.set('n', "null")
		}
	}
	for i := range v.items {
		it := &v.items[i]
		if it.gone {
			continue
		}
		rule := RuleEmpty
		if it.val.kind == 'n' {
			rule = RuleNulls
		} else if resources || !p.empty(&it.val) {
			continue
		}
		c := companion(i)
		switch {
		case !p.on(rule):
		case c.isNull():
			p.changed(rule, f.at(i), &it.val)
			it.gone = true
			if c != nil {
				beside.items[i].gone = true
			}
		case rule == RuleEmpty: // null keeps the place of what stands beside it
			p.changed(rule, f.at(i), &it.val)
			it.val.set('n', "null")
		}
	}
}

// has tells whether an element is there, with a value or with extensions in its place.
func has(n *node, name string) bool {
	for _, name := range [...]string{name, "_" + name} {
		if v := n.get(name); !v.isNull() && (v.kind != '{' && v.kind != '[' || v.live() > 0) {
			return true
		}
	}
	return false
}

// required looks for elements that have to be there.
func (p *pass) required(n *node, info *typeInfo, f *frame) {
	for _, r := range info.required {
		found := false
		for _, name := range r.names {
			found = found || has(n, name)
		}
		if !found {
			p.fault(RuleRequired, f.in(r.name))
		}
	}
	if p.c.table != nil && info == p.c.table.types["Extension"] {
		p.extension(n, f)
	}
}

// extension looks for what an extension has to have: a value or extensions, and not both (invariant ext-1).
func (p *pass) extension(n *node, f *frame) {
	value := false
	for i := range n.members {
		if m := &n.members[i]; !m.gone && strings.HasPrefix(strings.TrimPrefix(m.name, "_"), "value") {
			value = true
		}
	}
	switch inner := n.get("extension") != nil; {
	case value && inner:
		p.fault(RuleShape, f)
	case !value && !inner:
		p.fault(RuleRequired, f.in("value[x]"))
	}
}

// dataAbsent makes the extension that says that a value is not known.
// https://hl7.org/fhir/R4/extension-data-absent-reason.html
func dataAbsent() node {
	return object(field{"url", str("http://hl7.org/fhir/StructureDefinition/data-absent-reason")}, field{"valueCode", str("unknown")})
}

// status fills in a status that FHIR requires: unknown, if it is one of its codes, else the extension that says so.
func (p *pass) status(n *node, info *typeInfo, f *frame) {
	e := info.elements["status"]
	if e == nil || e.set == nil || !p.on(RuleStatus) || has(n, "status") || n.get("status") != nil || n.get("_status") != nil {
		return
	}
	for _, r := range info.required {
		if r.name != "status" {
			continue
		}
		if e.set.has("unknown") {
			n.add("status", str("unknown"))
		} else {
			n.add("_status", object(field{"extension", list(dataAbsent())}))
		}
		p.changed(RuleStatus, f.in("status"), &node{})
	}
}
