package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Profile is what a resource must have to claim a profile, and what may be done so that it has it. It is data: [ReadProfiles] reads it.
//
// It is tried on each resource of its type that meets When or claims the profile already, in this version or in none. Its rules are carried
// out in their order. If one of them cannot be met, the resource is left as it was before them, the reasons are among the Nonconformities,
// and the claim is not made, or taken away. What a profile demands beyond its rules is not looked at: that needs a validator (see
// [Validator]).
type Profile struct {
	URL     string `json:"url"`               // canonical, without version
	Version string `json:"version,omitempty"` // the claim is URL|Version; empty: URL alone
	Type    string `json:"type"`              // resource type
	// When are codes by which a resource is one for this profile, all of these; empty: each resource of the type is.
	When  []Code        `json:"when,omitempty"`
	Rules []ProfileRule `json:"rules"`
}

// Code is a code that has to be at a place.
type Code struct {
	Path   string `json:"path"`             // of a code, Coding or CodeableConcept
	System string `json:"system,omitempty"` // empty: any
	// Codes are those of which it has to be one; empty: any. A star at the beginning or end of one stands for anything.
	Codes []string `json:"codes"`
}

// ProfileRule does one thing at one path. Paths begin below the resource, without indexes ("identifier.system"), and a rule is carried out
// in each object that the path leads to, whether it repeats or not; "effective[x]" is any of the elements that FHIR has for it.
// Just one of Require, Have, Default, Map, Coding, Remove and Extension is set.
type ProfileRule struct {
	Path string `json:"path"`
	// Unless are elements beside the last of Path, [x] allowed: where one of them is there, the rule has nothing to do.
	Unless []string `json:"unless,omitempty"`
	// If are codes that the object around the element has to have (its Path begins there), else the rule has nothing to do.
	If []Code `json:"if,omitempty"`
	// Require: the element has to be there. That its value is data-absent-reason is enough.
	Require bool `json:"require,omitempty"`
	// Have: the element has to have the code, at that Path below it; where the element repeats, one of them. "" is the element itself.
	Have *Code `json:"have,omitempty"`
	// Default fills in an element that is missing, with that and nothing else.
	Default Default `json:"default,omitempty"`
	// As is the element to fill in for a Path that ends in [x], and with Extension the name of the value: "valueString".
	As string `json:"as,omitempty"`
	// Map replaces a string. Not allowed is Coding.code and what else names a clinical code or a unit.
	Map map[string]string `json:"map,omitempty"`
	// Coding adds a coding to those of a CodeableConcept, which stay.
	Coding *CodingMap `json:"coding,omitempty"`
	// Remove takes the element away. It is in the user's hands what is lost by it; no shipped profile has it.
	Remove bool `json:"remove,omitempty"`
	// Extension is the URL of an extension into which the element's value moves, under the name As.
	Extension string `json:"extension,omitempty"`
}

// Default is what may be filled in. Nothing else may, because everything else would be an invention.
type Default string

// The defaults.
const (
	// DefaultUnknown is the code unknown, for codes whose required value set holds it.
	DefaultUnknown Default = "unknown"
	// DefaultAbsent is data-absent-reason: its code unknown as the coding of a CodeableConcept, for all else the extension.
	// https://hl7.org/fhir/R4/extension-data-absent-reason.html
	DefaultAbsent Default = "data-absent-reason"
)

// CodingMap tells which code of another system is the same as one that is there.
type CodingMap struct {
	From string            `json:"from"` // system
	To   string            `json:"to"`   // system
	Same map[string]string `json:"same"` // code of From: code of To
}

// ReadProfiles reads a JSON array of profiles. The error tells of bad JSON and of unknown members; New tells what else is wrong.
func ReadProfiles(data []byte) ([]Profile, error) {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	var ps []Profile
	if err := d.Decode(&ps); err != nil {
		return nil, fmt.Errorf("conform: reading profiles: %w", err)
	}
	return ps, nil
}

// profile is a Profile that has been looked at.
type profile struct {
	Profile
	rules []*profileRule
}

func (p *profile) name() string {
	if p.Version == "" {
		return p.URL
	}
	return p.URL + "|" + p.Version
}

// profileRule is a rule with what FHIR says about its place.
type profileRule struct {
	ProfileRule
	parents []string
	names   []string // of the element: several for [x]
	unless  []string
	element *element // what is filled in
	as      string
}

func (c *Conformer) profile(p Profile) (*profile, error) {
	made := &profile{Profile: p}
	wrong := func(i int, why string) error {
		return fmt.Errorf("conform: profile %s, rule %d: %s", made.name(), i+1, why)
	}
	if p.URL == "" || p.Type == "" {
		return nil, errors.New("conform: a profile without URL or type")
	}
	if c.table == nil {
		return nil, errors.New("conform: profiles need the table of elements, which this FHIRVersion does not have")
	}
	info := c.table.types[p.Type]
	if info == nil || !info.resource {
		return nil, fmt.Errorf("conform: profile %s: %q is no resource type", made.name(), p.Type)
	}
	for i, r := range p.Rules {
		rule, why := c.profileRule(info, r)
		if why != "" {
			return nil, wrong(i, why)
		}
		made.rules = append(made.rules, rule)
	}
	return made, nil
}

func (c *Conformer) profileRule(info *typeInfo, r ProfileRule) (rule *profileRule, why string) {
	doing := 0
	for _, set := range []bool{r.Require, r.Have != nil, r.Default != "", r.Map != nil, r.Coding != nil, r.Remove, r.Extension != ""} {
		if set {
			doing++
		}
	}
	if doing != 1 {
		return nil, "it does not do just one thing"
	}
	path := strings.Split(r.Path, ".")
	rule = &profileRule{ProfileRule: r, parents: path[:len(path)-1]}
	at := info
	typ := ""
	for _, name := range rule.parents {
		e := at.elements[name]
		if e == nil || e.info == nil {
			return nil, "FHIR has no such path"
		}
		at, typ = e.info, e.typ
	}
	last := path[len(path)-1]
	rule.names, rule.as = at.choice(last), last
	if r.As != "" && r.Extension == "" {
		if !slices.Contains(rule.names, r.As) {
			return nil, "As is none of the elements of Path"
		}
		rule.as = r.As
	}
	for _, other := range r.Unless {
		names := at.choice(other)
		if len(names) == 0 || at.elements[names[0]] == nil {
			return nil, "FHIR has no such element as Unless names"
		}
		rule.unless = append(rule.unless, names...)
	}
	rule.element = at.elements[rule.as]
	known := rule.element != nil
	switch {
	case r.Extension != "":
		value := c.table.types["Extension"].elements[r.As]
		if value == nil || !strings.HasPrefix(r.As, "value") {
			return nil, "As is no value of an extension"
		}
		rule.element = value
	case !known && r.Require && len(rule.names) > 0:
	case !known && r.Remove:
	case !known:
		return nil, "FHIR has no such element"
	}
	switch {
	case r.Default == DefaultUnknown:
		if !rule.element.set.has("unknown") || rule.element.many {
			return nil, "unknown is not in the required value set"
		}
	case r.Default == DefaultAbsent:
		if rule.element.typ == "Resource" || rule.element.typ == "xhtml" {
			return nil, "the element can have no extension"
		}
	case r.Default != "":
		return nil, "nothing but unknown and data-absent-reason may be filled in"
	case r.Map != nil:
		if !rule.element.primitive() || isClinicalCode(typ, last) {
			return nil, "the element is no string, or a code that may not be changed"
		}
	case r.Coding != nil:
		if rule.element.typ != "CodeableConcept" {
			return nil, "the element is no CodeableConcept"
		}
	}
	return rule, ""
}

// isClinicalCode tells of elements that say what was found, measured or done.
func isClinicalCode(typ, name string) bool {
	switch typ {
	case "Coding", "Quantity", "Age", "Count", "Distance", "Duration", "Money":
		return true
	}
	return name == "unit" || name == "value"
}

// profiles tries all profiles that the resource might meet, and settles its claims.
func (p *pass) profiles(root *node) *node {
	typ, _ := root.get("resourceType").str(p.raw)
	var candidates []*profile
	for _, prof := range p.c.profiles {
		if prof.Type != typ {
			continue
		}
		if !p.codes(root, prof.When) && !p.claimed(root, prof) {
			continue
		}
		candidates = append(candidates, prof)
		before, wrongBefore := len(p.changes), len(p.wrong)
		p.profile = prof.name()
		at := &frame{name: typ, index: -1}
		tried := root.clone()
		for _, r := range prof.rules {
			p.inParents(&tried, r, r.parents, at)
		}
		p.profile = ""
		if len(p.wrong) > wrongBefore {
			p.changes = p.changes[:before]
			continue
		}
		root = &tried
		p.met = append(p.met, prof.name())
	}
	p.claims(root, candidates)
	return root
}

// claimed tells whether the resource claims the profile, of this version or of none.
func (p *pass) claimed(root *node, prof *profile) bool {
	meta := root.get("meta")
	if meta == nil {
		return false
	}
	list := meta.get("profile")
	if list == nil {
		return false
	}
	for i := range list.items {
		if s, ok := list.items[i].val.str(p.raw); ok && !list.items[i].gone && (s == prof.URL || s == prof.name()) {
			return true
		}
	}
	return false
}

// codes tells whether an object has all the codes.
func (p *pass) codes(n *node, codes []Code) bool {
	for _, c := range codes {
		if !p.hasCode(n, strings.Split(c.Path, "."), c) {
			return false
		}
	}
	return true
}

func (c Code) matches(s string) bool {
	return len(c.Codes) == 0 || slices.ContainsFunc(c.Codes, func(code string) bool {
		end, anyBegin := strings.CutPrefix(code, "*")
		middle, anyEnd := strings.CutSuffix(end, "*")
		switch {
		case anyBegin && anyEnd:
			return strings.Contains(s, middle)
		case anyBegin:
			return strings.HasSuffix(s, end)
		case anyEnd:
			return strings.HasPrefix(s, middle)
		}
		return s == code
	})
}

// hasCode looks for a code at a path.
func (p *pass) hasCode(n *node, path []string, c Code) bool {
	switch n.kind {
	case '[':
		return slices.ContainsFunc(n.items, func(it item) bool { return !it.gone && p.hasCode(&it.val, path, c) })
	case '"':
		s, _ := n.str(p.raw)
		return len(path) == 0 && c.matches(s)
	case '{':
	default:
		return false
	}
	if len(path) > 0 {
		next := n.get(path[0])
		return next != nil && p.hasCode(next, path[1:], c)
	}
	if codings := n.get("coding"); codings != nil {
		return p.hasCode(codings, nil, c)
	}
	system, _ := n.get("system").str(p.raw)
	code := n.get("code")
	return code != nil && (c.System == "" || c.System == system) && code.kind == '"' && p.hasCode(code, nil, c)
}

// inParents carries a rule out in each object that its path leads to.
func (p *pass) inParents(n *node, r *profileRule, path []string, f *frame) {
	switch {
	case n.kind == '[':
		for i := range n.items {
			if !n.items[i].gone {
				p.inParents(&n.items[i].val, r, path, f.at(i))
			}
		}
	case n.kind != '{':
	case len(path) > 0:
		if next := n.get(path[0]); next != nil {
			p.inParents(next, r, path[1:], f.in(path[0]))
		}
	default:
		p.rule(n, r, f)
	}
}

// rule carries a rule out in one object.
func (p *pass) rule(n *node, r *profileRule, f *frame) {
	if len(r.If) > 0 && !p.codes(n, r.If) {
		return
	}
	for _, other := range r.unless {
		if has(n, other) {
			return
		}
	}
	switch {
	case r.Require:
		if !r.there(n) {
			p.wrong = append(p.wrong, Nonconformity{Path: f.in(r.last()).String(), Rule: RuleProfile, Profile: p.profile})
		}
	case r.Have != nil:
		v := n.get(r.as)
		var path []string
		if r.Have.Path != "" {
			path = strings.Split(r.Have.Path, ".")
		}
		if v == nil || !p.hasCode(v, path, *r.Have) {
			p.wrong = append(p.wrong, Nonconformity{Path: f.in(r.as).String(), Rule: RuleProfile, Profile: p.profile})
		}
	case r.Default != "":
		if !r.there(n) && !p.fill(n, r, f) {
			p.wrong = append(p.wrong, Nonconformity{Path: f.in(r.last()).String(), Rule: RuleProfile, Profile: p.profile})
		}
	case r.Map != nil:
		p.mapStrings(n.get(r.as), r, f.in(r.as))
	case r.Coding != nil:
		p.addCodings(n.get(r.as), r.Coding, f.in(r.as))
	case r.Remove:
		for _, name := range append(r.names, r.as) {
			if v := n.get(name); v != nil {
				p.changed(RuleProfile, f.in(name), v)
				n.drop(name)
				n.drop("_" + name)
			}
		}
	case r.Extension != "":
		p.move(n, r, f)
	}
}

func (r *profileRule) last() string { return r.Path[strings.LastIndexByte(r.Path, '.')+1:] }

func (r *profileRule) there(n *node) bool {
	return slices.ContainsFunc(r.names, func(name string) bool { return has(n, name) })
}

// fill writes a default. It gives false where something stands in the way: a null, or another shape.
func (p *pass) fill(n *node, r *profileRule, f *frame) bool {
	for _, name := range [...]string{r.as, "_" + r.as} {
		if n.get(name) != nil {
			return false
		}
	}
	e := r.element
	name, value := r.as, object(field{"extension", list(dataAbsent())})
	switch {
	case r.Default == DefaultUnknown:
		value = str("unknown")
	case e.typ == "CodeableConcept":
		value = object(field{"coding", list(object(
			field{"system", str("http://terminology.hl7.org/CodeSystem/data-absent-reason")}, field{"code", str("unknown")}, field{"display", str("Unknown")},
		))})
	case e.primitive():
		name = "_" + r.as
	}
	if e.many {
		value = list(value)
	}
	n.add(name, value)
	p.changed(RuleProfile, f.in(r.as), &node{})
	return true
}

// mapStrings replaces strings.
func (p *pass) mapStrings(v *node, r *profileRule, f *frame) {
	if v == nil {
		return
	}
	for i := range v.items {
		if !v.items[i].gone {
			p.mapStrings(&v.items[i].val, r, f.at(i))
		}
	}
	s, ok := v.str(p.raw)
	if to, mapped := r.Map[s]; ok && mapped && to != s {
		p.changed(RuleProfile, f, v)
		v.set('"', quote(to))
	}
}

// addCodings adds codings that say the same in another system.
func (p *pass) addCodings(v *node, m *CodingMap, f *frame) {
	if v == nil {
		return
	}
	for i := range v.items {
		if !v.items[i].gone {
			p.addCodings(&v.items[i].val, m, f.at(i))
		}
	}
	if v.kind != '{' {
		return
	}
	codings := v.get("coding")
	if codings == nil || codings.kind != '[' {
		return
	}
	for i := range len(codings.items) {
		coding := &codings.items[i].val
		if coding.kind != '{' || codings.items[i].gone {
			continue
		}
		system, _ := coding.get("system").str(p.raw)
		code, _ := coding.get("code").str(p.raw)
		to, ok := m.Same[code]
		if system != m.From || !ok || p.hasCode(codings, nil, Code{System: m.To, Codes: []string{to}}) {
			continue
		}
		p.changed(RuleProfile, f.in("coding"), codings)
		codings.push(object(field{"system", str(m.To)}, field{"code", str(to)}))
	}
}

// move makes an extension of an element.
func (p *pass) move(n *node, r *profileRule, f *frame) {
	name := r.last()
	v := n.get(name)
	if v == nil {
		return
	}
	fits := v.kind == '{'
	if r.element.primitive() {
		switch r.element.typ {
		case "decimal", "integer", "positiveInt", "unsignedInt":
			fits = v.kind == '0'
		case "boolean":
			fits = v.kind == 't' || v.kind == 'f'
		default:
			fits = v.kind == '"' && !p.empty(v)
		}
	}
	extension := node{kind: '{'}
	extension.add("url", str(r.Extension))
	// The value moves with its bytes, and loses the white space before it.
	moved := v.clone()
	extension.members = append(extension.members, member{name: r.As, val: moved})
	if !fits || n.get("_"+name) != nil || !p.extend(n, extension) {
		p.wrong = append(p.wrong, Nonconformity{Path: f.in(name).String(), Rule: RuleProfile, Profile: p.profile})
		return
	}
	p.changed(RuleProfile, f.in(name), n.get(name))
	n.drop(name)
}
