package fhirtest

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// Resources of nobody: practitioners, organizations and what else is reached by reference only.

const (
	commonOrganization = "fhirtest-network"
	commonPractitioner = "fhirtest-common"
)

// sharedIDs decides how many shared resources there are. Organizations 0, 1 and 2 are a chain of partOf, 3 and 4 a cycle.
func (p *plan) sharedIDs(size int) map[string][]string {
	out := map[string][]string{"Device": {p.tag + "-analyser"}}
	if p.name != nil {
		out["Device"] = []string{p.name("Device", analyser)}
	}
	for typ, n := range map[string]int{
		"Organization": 5, "Practitioner": 3 + size/60, "PractitionerRole": 2, "Location": 3 + size/400,
		"HealthcareService": 1, "Endpoint": 1, "Medication": 3 + size/80, "ResearchStudy": 1,
	} {
		for i := range n {
			id := fmt.Sprintf("%s-%d", p.tag, i) // the same ids again as the patient's own of other types.
			if p.name != nil {
				id = p.name(typ, i)
			}
			out[typ] = append(out[typ], id)
		}
	}
	return out
}

// analyser is the number of the shared Device, beyond those of the patient's own.
const analyser = 1_000_000

func (p *plan) makeShared() []Resource {
	var out []Resource
	each := func(typ string, fill func(m *making, i int)) {
		for i, id := range p.shared[typ] {
			m := p.begin(typ, id, i)
			fill(m, i)
			m.oddities()
			out = append(out, m.finish())
		}
	}
	org := func(m *making, i int) obj { return m.ref("Organization/" + p.shared["Organization"][i]) }
	each("Organization", func(m *making, i int) {
		m.add("name", m.str(fmt.Sprintf("Nowhere Health & Care %d", i)))
		m.add("identifier", list{m.identifier("org")})
		switch i {
		case 0, 1:
			m.add("partOf", org(m, i+1))
		case 3:
			m.add("partOf", org(m, 4))
		case 4:
			m.add("partOf", org(m, 3))
		default:
			m.add("endpoint", list{m.shares("Endpoint")})
		}
	})
	each("Practitioner", func(m *making, i int) {
		m.add("name", list{obj{{"text", m.str(pick(&m.rnd, displays()))}}})
		m.add("identifier", list{m.identifier("npi")})
		m.add("qualification", list{obj{{"code", concept("degree", "none", "Invented")}, {"issuer", org(m, i%3)}}})
	})
	each("PractitionerRole", func(m *making, i int) {
		m.add("practitioner", m.ref("Practitioner/"+p.shared["Practitioner"][1+i%2]))
		m.add("organization", org(m, 2))
		m.add("location", list{m.shares("Location")})
		m.add("healthcareService", list{m.shares("HealthcareService")})
		m.add("endpoint", list{m.shares("Endpoint")})
	})
	each("Location", func(m *making, i int) {
		m.add("name", m.text())
		m.add("position", obj{{"longitude", lit("-0.000000000000000001")}, {"latitude", m.decimal()}})
		m.add("managingOrganization", org(m, i%5))
		if i == 1 {
			m.add("partOf", m.ref("Location/"+p.shared["Location"][2]))
		}
	})
	each("HealthcareService", func(m *making, _ int) {
		m.add("providedBy", org(m, 1))
		m.add("location", list{m.shares("Location")})
	})
	each("Endpoint", func(m *making, _ int) {
		m.add("status", q("off"))
		m.add("address", q("https://endpoint.fhirtest.example/none"))
		m.add("managingOrganization", org(m, 0))
	})
	each("Medication", func(m *making, i int) {
		m.add("code", concept("drug", strconv.Itoa(i), "Placebo imaginarium"))
		m.add("manufacturer", org(m, 3))
		if i > 0 { // a chain of ingredients that ends at the first.
			m.add("ingredient", list{obj{{"itemReference", m.ref("Medication/" + p.shared["Medication"][i-1])}, {"strength", obj{{"numerator", m.quantity()}, {"denominator", m.quantity()}}}}})
		}
	})
	each("ResearchStudy", func(m *making, _ int) {
		m.add("status", q("active"))
		m.add("sponsor", org(m, 4))
		m.add("principalInvestigator", m.shares("Practitioner"))
		m.add("site", list{m.shares("Location")})
	})
	each("Device", func(m *making, _ int) {
		m.add("status", q("active"))
		m.add("owner", org(m, 1))
		m.add("manufacturer", m.str("Nowhere/Devices"))
	})
	return out
}

func (p *plan) binaries(n int) []Resource {
	var out []Resource
	for i := range max(n, 0) {
		m := p.begin("Binary", p.binaryID(i), i)
		content, typ := binaryContent(i)
		if content == nil {
			content = []byte(pick(&p.rnd, phrases()))
		}
		m.add("contentType", q(typ))
		m.add("data", q(base64.StdEncoding.EncodeToString(content)))
		res := m.finish()
		res.Content, res.ContentType = content, typ
		out = append(out, res)
	}
	return out
}

// commonResources are the same in every record: what two patients of one payer really share.
func commonResources() []Resource {
	return []Resource{
		{
			Type: "Organization", ID: commonOrganization, VersionID: "1", LastUpdated: "2020-02-29T12:00:00Z",
			Raw: []byte(`{"resourceType":"Organization","id":"fhirtest-network","meta":{"versionId":"1","lastUpdated":"2020-02-29T12:00:00Z"},"name":"Network of \u004eobody"}`),
		},
		{
			Type: "Practitioner", ID: commonPractitioner, Links: []string{"Organization/" + commonOrganization},
			Raw: []byte(`{ "resourceType" : "Practitioner", "id" : "fhirtest-common", "name" : [ { "text" : "Commonly Invented" } ],` +
				` "qualification" : [ { "issuer" : { "reference" : "Organization\/fhirtest-network" } } ], "unknown" : 0.10 }`),
		},
	}
}
