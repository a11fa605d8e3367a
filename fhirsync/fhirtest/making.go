package fhirtest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// plan is what a record will consist of, decided before the first resource is written, so that resources can name each other.
type plan struct {
	rnd       random
	tag       string
	name      func(typ string, n int) string // makes ids; nil: those that clash on purpose
	patientID string
	padding   int
	own       map[string][]string // ids of own resources by type
	shared    map[string][]string // ids of shared resources by type
	serial    int                 // of identifiers
	made      int                 // resources so far
}

// making is one resource in the making: its members so far and what is true of it.
type making struct {
	*plan
	res     Resource
	n       int // which one of its type this is
	turn    int // which one of the record this is
	members obj
}

func (m *making) add(key string, val any) { m.members = append(m.members, kv{key, val}) }

// has tells whether the resource is the one in so many that gets a feature. Unlike chance, a rotation leaves no feature out.
func (m *making) has(n, of int) bool { return m.turn%of == n%of }

func (m *making) param(name, value string) {
	if name != "" {
		m.res.Params = append(m.res.Params, Param{Name: name, Value: value})
	}
}

func (m *making) link(ref string) {
	if !slices.Contains(m.res.Links, ref) {
		m.res.Links = append(m.res.Links, ref)
	}
}

func (m *making) quoting() quoting {
	if m.rnd.n(3) > 0 {
		return 0
	}
	return quoting(m.rnd.n(32)) //nolint:gosec // below 32.
}

func (m *making) str(text string) lit { return quote(text, m.quoting()) }

// slashes quotes an identity: the only oddity is the escaped slash, because the placeholder must stay in one piece.
func (m *making) slashes(text string) lit {
	if m.rnd.oneIn(8) {
		return quote(text, escapeSlash)
	}
	return q(text)
}

// ref writes a reference that can be followed and notes it as a link.
func (m *making) ref(target string) obj {
	m.link(target)
	switch m.rnd.n(12) {
	case 0:
		return obj{{"reference", m.slashes(BasePlaceholder + "/" + target)}}
	case 1:
		return obj{{"reference", m.slashes(target + "/_history/" + strconv.Itoa(1+m.rnd.n(3)))}}
	case 2:
		return obj{{"display", m.str(pick(&m.rnd, displays()))}, {"reference", m.slashes(target)}}
	case 3:
		typ, _, _ := strings.Cut(target, "/")
		return obj{{"reference", m.slashes(target)}, {"type", q(typ)}, {"identifier", m.identifier("ref")}}
	case 4:
		return obj{{"reference", m.slashes(BasePlaceholder + "/" + target + "/_history/1")}}
	default:
		return obj{{"reference", m.slashes(target)}}
	}
}

func (m *making) patientRef() obj {
	target := "Patient/" + m.patientID
	m.link(target)
	switch m.rnd.n(14) {
	case 0:
		return obj{{"reference", m.slashes(BasePlaceholder + "/" + target)}}
	case 1:
		return obj{{"reference", m.slashes(target + "/_history/1")}}
	case 2, 3:
		return obj{{"reference", m.slashes(target)}, {"display", m.str(pick(&m.rnd, displays()))}}
	default:
		return obj{{"reference", m.slashes(target)}}
	}
}

// shares names a shared resource of the type; to names one of the patient's own, and without one gives only a display.
func (m *making) shares(typ string) obj { return m.ref(typ + "/" + pick(&m.rnd, m.shared[typ])) }

func (m *making) to(typ string) obj {
	ids := m.own[typ]
	if len(ids) == 0 {
		return obj{{"display", m.str("not recorded: " + typ)}}
	}
	return m.ref(typ + "/" + pick(&m.rnd, ids))
}

func (m *making) practitioner() obj {
	switch m.rnd.n(8) {
	case 0:
		return obj{{"display", m.str(pick(&m.rnd, displays()))}}
	case 1:
		return obj{{"identifier", m.identifier("npi")}, {"type", q("Practitioner")}}
	case 2:
		return m.shares("PractitionerRole")
	default:
		return m.shares("Practitioner")
	}
}

func (m *making) organization() obj { return m.shares("Organization") }

func (m *making) identifier(kind string) obj {
	m.serial++
	o := obj{{"system", q("https://ids.fhirtest.example/" + kind)}, {"value", q(m.tag + "-" + strconv.Itoa(m.serial))}}
	if m.rnd.oneIn(5) {
		o = append(o, kv{"assigner", m.ref("Organization/" + pick(&m.rnd, m.shared["Organization"]))})
	}
	return o
}

func concept(system, code, text string) obj {
	return obj{{"coding", list{obj{{"system", q("https://codes.fhirtest.example/" + system)}, {"code", q(code)}}}}, {"text", q(text)}}
}

func (m *making) text() lit { return m.str(pick(&m.rnd, phrases())) }

func (m *making) decimal() lit { return lit(pick(&m.rnd, decimals())) }

func (m *making) quantity() obj {
	return obj{{"value", m.decimal()}, {"unit", m.str(pick(&m.rnd, []string{"mg/dL", "mmol/L", "µg", "%", "cm", "°C"}))}}
}

func (m *making) money() obj {
	return obj{{"value", lit(fmt.Sprintf("%d.%02d", m.rnd.n(900), m.rnd.n(10)*10))}, {"currency", q("USD")}}
}

// inline is an attachment that carries its content.
func (m *making) inline() obj {
	body := []byte("<p>" + strings.Repeat(pick(&m.rnd, phrases())+" & ", 1+m.rnd.n(4)) + "</p>")
	return obj{{"contentType", q("text/html")}, {"data", q(base64.StdEncoding.EncodeToString(body))}, {"size", num(len(body))}}
}

// day is a moment in the years in which all records play; the clock has no part in it.
func (m *making) moment() (year, month, day, hour, minute, second int) {
	return 2015 + m.rnd.n(11), 1 + m.rnd.n(12), 1 + m.rnd.n(28), m.rnd.n(24), m.rnd.n(60), m.rnd.n(60)
}

func (m *making) date() string {
	y, mo, d, _, _, _ := m.moment()
	return fmt.Sprintf("%04d-%02d-%02d", y, mo, d)
}

// dateTime has a year, a month, a day or a second of precision, as real data do.
func (m *making) dateTime() string {
	switch m.rnd.n(12) {
	case 0:
		return m.date()[:4]
	case 1:
		return m.date()[:7]
	case 2, 3, 4:
		return m.date()
	default:
		return m.instant()
	}
}

func (m *making) instant() string {
	y, mo, d, h, mi, s := m.moment()
	zone := pick(&m.rnd, []string{"Z", "Z", "+00:00", "-05:00", "+05:30", ".123Z", ".5+01:00", ".1234567Z"})
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d%s", y, mo, d, h, mi, s, zone)
}

func displays() []string {
	return []string{"Dr. Imagina Nonesuch", "Zébulon Fictício", "架空 太郎", "O'Nobody & Sons <Clinic>", "Ωmega \"Testa\" Placeholder", "N. N."}
}

func phrases() []string {
	return []string{
		"No such thing was ever observed.", "Fièvre imaginaire à 38,5 °C", "a/b/c \\ \"quoted\" < 3 & > 1", "line one\nline two\tindented",
		"\u2028 separators \u2029 and \u00a0 spaces", "\U0001f9ea invented \U0001f469\u200d\u2695\ufe0f", "control \u0001 and \u001f", "дважды выдумано", "{\"looks\": \"like JSON\"}", "",
	}
}

func decimals() []string {
	return []string{
		"1.50", "0.10", "1E+2", "1e-7", "-0.0", "0", "7", "98.6", "100.000", "12345678901234567890", "0.123456789012345678901234567890123",
		"3.141592653589793238462643383279503", "-273.150", "6.02214076E+23", "0.0000001",
	}
}
