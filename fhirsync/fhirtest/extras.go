package fhirtest

import (
	"strconv"
	"strings"
)

// begin writes the members that come before the content of any resource, finish those that come after, and the bytes.

func (p *plan) begin(typ, id string, n int) *making {
	m := &making{plan: p, n: n, turn: p.made, res: Resource{Type: typ, ID: id}}
	p.made++
	if !m.has(0, 7) {
		var meta obj
		if !m.has(1, 6) {
			m.res.VersionID = strconv.Itoa(1 + m.rnd.n(3))
			meta = append(meta, kv{"versionId", q(m.res.VersionID)})
		}
		if !m.has(2, 6) {
			m.res.LastUpdated = m.instant()
			meta = append(meta, kv{"lastUpdated", q(m.res.LastUpdated)})
		}
		if m.has(3, 5) {
			meta = append(meta, kv{"source", q("urn:fhirtest:" + p.tag + "#s1")})
		}
		if m.has(4, 9) {
			meta = append(meta, kv{"tag", list{obj{{"system", q("https://codes.fhirtest.example/tag")}, {"code", q("synthetic")}}}})
		}
		if m.has(5, 8) {
			meta = append(meta, kv{"security", list{obj{{"code", q("HTEST")}}}}, kv{"profile", list{q("https://profiles.fhirtest.example/" + typ)}})
		}
		if len(meta) > 0 {
			m.add("meta", meta)
		}
	}
	if p.padding > 0 {
		words := strings.Repeat("filler ", p.padding/7+1)[:p.padding]
		m.add("text", obj{{"status", q("generated")}, {"div", q("<div xmlns=\"http://www.w3.org/1999/xhtml\">" + words + "</div>")}})
	} else if m.has(3, 6) {
		m.add("text", obj{{"status", q("generated")}, {"div", m.str("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"Practitioner/not-a-reference\">" + pick(&m.rnd, displays()) + "</a></div>")}})
	}
	return m
}

// contain adds a contained resource "#c1". It may itself point to resources outside, which is easily overlooked.
func (m *making) contain() {
	var inner obj
	if m.rnd.oneIn(2) {
		inner = obj{{"resourceType", q("Practitioner")}, {"id", q("c1")}, {"name", list{obj{{"text", m.str(pick(&m.rnd, displays()))}}}}}
	} else {
		inner = obj{{"resourceType", q("PractitionerRole")}, {"id", q("c1")}, {"practitioner", m.shares("Practitioner")}, {"organization", m.organization()}}
	}
	m.add("contained", list{inner})
}

func (m *making) extensions(contained bool) {
	var ext list
	add := func(name, key string, val any) {
		ext = append(ext, obj{{"url", q("https://extensions.fhirtest.example/" + name)}, {key, val}})
	}
	if contained {
		add("who", "valueReference", obj{{"reference", q("#c1")}})
	}
	if m.has(1, 5) {
		add("seen-by", "valueReference", m.shares("Practitioner"))
	}
	if m.has(2, 9) {
		add("elsewhere", "valueReference", obj{{"reference", q("https://elsewhere.fhirtest.example/fhir/Practitioner/9")}})
	}
	if m.has(3, 8) {
		add("unnamed", "valueReference", obj{{"identifier", m.identifier("member")}})
	}
	if m.has(4, 9) {
		add("score", "valueDecimal", m.decimal())
	}
	if m.has(5, 10) {
		add("nested", "extension", list{obj{{"url", q("inner")}, {"valueReference", m.organization()}}})
	}
	if len(ext) > 0 {
		m.add("extension", ext)
	}
}

// oddities adds what a strict model would drop: unknown members, siblings of primitives, very long numbers.
func (m *making) oddities() {
	if m.has(1, 6) {
		m.add("futureElement", obj{{"big", lit("123456789012345678901234567")}, {"list", list{lit("1.0"), lit("true"), lit("null"), m.text()}}})
	}
	if m.has(2, 7) {
		m.add("language", q("en-x-fhirtest"))
		m.add("_language", obj{{"extension", list{obj{{"url", q("https://extensions.fhirtest.example/why")}, {"valueString", m.text()}}}}})
	}
	if m.has(3, 11) {
		m.add("x\\u002dstrange \\\"key\\\"", list{})
	}
	if m.has(4, 10) {
		m.add("implicitRules", q("https://rules.fhirtest.example/none"))
	}
}

// finish puts type and id into place and writes the bytes. The id stands before any other member called "id", so that
// the faults that touch it find it; resourceType may stand anywhere.
func (m *making) finish() Resource {
	head := obj{{"resourceType", q(m.res.Type)}, {"id", q(m.res.ID)}}
	all := m.members
	switch {
	case m.has(6, 9):
		all = append(append(obj{head[1]}, all...), head[0])
	case m.has(3, 8):
		all = append(obj{head[1], head[0]}, all...)
	case m.has(4, 10) && len(all) > 0 && all[0].key == "meta":
		all = append(obj{head[0], all[0], head[1]}, all[1:]...)
	default:
		all = append(head, all...)
	}
	m.res.Raw = layouts(&m.rnd).write(nil, all, 0)
	return m.res
}
