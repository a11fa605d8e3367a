package conform

import (
	"regexp"
	"strings"

	"github.com/fhirsync/fhirsync-go/refs"
)

// jsonNumber is what JSON has as a number.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// jsonInteger is what FHIR has as an integer. https://hl7.org/fhir/R4/datatypes.html#integer
var jsonInteger = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// number makes a number of a string that says one. Its digits stay as they are.
func (p *pass) number(v *node, typ string, f *frame) {
	if v.kind == '0' {
		return
	}
	s, ok := v.str(p.raw)
	if !ok {
		p.fault(RuleShape, f)
		return
	}
	if s == "" && p.on(RuleEmpty) {
		return // it will be taken away
	}
	form := jsonInteger
	if typ == "decimal" {
		form = jsonNumber
	}
	s = strings.TrimSpace(s)
	switch {
	case !form.MatchString(s) || strings.HasPrefix(s, "-") && strings.HasSuffix(typ, "Int"):
		p.fault(RuleShape, f)
	case p.on(RuleNumbers):
		p.changed(RuleNumbers, f, v)
		v.set('0', s)
	default:
		p.fault(RuleShape, f)
	}
}

// boolean makes a boolean of a string that says one.
func (p *pass) boolean(v *node, f *frame) {
	if v.kind == 't' || v.kind == 'f' {
		return
	}
	s, _ := v.str(p.raw)
	if v.kind == '"' && s == "" && p.on(RuleEmpty) {
		return
	}
	s = strings.ToLower(strings.TrimSpace(s))
	if v.kind != '"' || s != "true" && s != "false" || !p.on(RuleBooleans) {
		p.fault(RuleShape, f)
		return
	}
	p.changed(RuleBooleans, f, v)
	v.set(s[0], s)
}

// code puts letter case and white space right where the required value set has exactly one code that is the same but for these.
func (p *pass) code(v *node, set *valueSet, f *frame) {
	s, _ := v.str(p.raw)
	if set == nil || set.has(s) || s == "" && p.on(RuleEmpty) {
		return
	}
	if code, ok := set.match(s); ok && p.on(RuleCodes) {
		p.changed(RuleCodes, f, v)
		v.set('"', quote(code))
		return
	}
	p.fault(RuleCodes, f)
}

// legalID is FHIR's own rule. https://hl7.org/fhir/R4/datatypes.html#id
var legalID = regexp.MustCompile(`^[A-Za-z0-9\-.]{1,64}$`)

func (p *pass) id(v *node, f *frame) {
	if s, _ := v.str(p.raw); !legalID.MatchString(s) && (s != "" || !p.on(RuleEmpty)) {
		p.fault(RuleIDs, f)
	}
}

// reference puts the form of a literal reference right. What it refers to stays the same.
func (p *pass) reference(v *node, f *frame) {
	s, ok := v.str(p.raw)
	if !ok || s == "" || !p.on(RuleReferences) {
		return
	}
	to := strings.TrimSpace(s)
	r := refs.Parse(to)
	for _, base := range p.c.bases {
		if r.Kind == refs.Absolute && strings.EqualFold(base, r.Base) && strings.HasPrefix(to, r.Base+"/") {
			if rest := strings.TrimPrefix(to, r.Base+"/"); refs.Parse(rest).Kind == refs.Relative {
				to, r = rest, refs.Parse(rest)
			}
		}
	}
	if bare := strings.Trim(to, "/"); r.Kind == refs.Relative && refs.Parse(bare) == r && strings.TrimSpace(bare) == bare {
		to = bare
	}
	if to != s && to != "" {
		p.changed(RuleReferences, f, v)
		v.set('"', quote(to))
	}
}
