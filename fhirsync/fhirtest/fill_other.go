package fhirtest

import (
	"crypto/sha1" //nolint:gosec // Attachment.hash is SHA-1.
	"encoding/base64"
	"fmt"
)

// The financial and administrative types, documents and workflow.

func fillCoverage(m *making) {
	m.add("subscriberId", q(m.tag+"-0"))
	m.add("subscriber", m.patientRef())
	m.param("subscriber", "Patient/"+m.patientID)
	m.add("payor", list{m.organization()})
	m.add("period", obj{{"start", q(m.date())}})
}

func fillClaim(m *making) {
	m.add("use", q("claim"))
	m.add("provider", m.organization())
	m.add("insurer", m.organization())
	m.add("careTeam", list{obj{{"sequence", num(1)}, {"provider", m.practitioner()}}})
	m.add("insurance", list{obj{{"sequence", num(1)}, {"focal", lit("true")}, {"coverage", m.to("Coverage")}}})
	m.items()
	m.add("total", m.money())
}

func (m *making) items() {
	var items list
	for i := range 1 + m.rnd.n(3) {
		items = append(items, obj{
			{"sequence", num(i + 1)},
			{"productOrService", concept("service", fmt.Sprintf("s-%d", i), "Nothing, billed")},
			{"net", m.money()},
			{"encounter", list{m.to("Encounter")}},
			{"locationReference", m.shares("Location")},
		})
	}
	m.add("item", items)
}

func fillExplanation(m *making) {
	m.add("use", q("claim"))
	m.add("outcome", q("complete"))
	m.add("claim", m.to("Claim"))
	m.add("insurer", m.organization())
	m.add("provider", m.practitioner())
	m.add("facility", m.shares("Location"))
	m.add("insurance", list{obj{{"focal", lit("true")}, {"coverage", m.to("Coverage")}}})
	m.items()
	m.add("payment", obj{{"amount", m.money()}, {"adjustment", obj{{"value", m.decimal()}, {"currency", q("USD")}}}})
	if m.has(1, 4) {
		m.add("payee", obj{{"party", m.organization()}})
	}
	m.add("processNote", list{obj{{"number", num(1)}, {"text", m.text()}}})
}

func fillClaimResponse(m *making) {
	m.add("use", q("claim"))
	m.add("insurer", m.organization())
	m.add("requestor", m.practitioner())
	m.add("request", m.to("Claim"))
	m.add("total", list{obj{{"amount", m.money()}}})
}

func fillAccount(m *making) {
	m.add("owner", m.organization())
	m.add("coverage", list{obj{{"coverage", m.to("Coverage")}, {"priority", num(1)}}})
	m.add("guarantor", list{obj{{"party", m.to("RelatedPerson")}}})
}

func fillContract(m *making) {
	m.add("authority", list{m.organization()})
	m.add("term", list{obj{{"offer", obj{{"party", list{obj{{"reference", list{m.organization()}}}}}}}}})
	m.add("signer", list{obj{{"party", m.practitioner()}, {"signature", list{obj{{"when", q(m.instant())}, {"who", m.shares("Practitioner")}}}}}})
}

func fillDocumentReference(m *making) {
	m.add("author", list{m.practitioner(), m.organization()})
	m.add("custodian", m.organization())
	m.add("content", list{obj{{"attachment", m.inline()}}})
	m.add("context", obj{{"encounter", list{m.to("Encounter")}}, {"related", list{m.to("DiagnosticReport")}}})
}

// attachedDocument makes a DocumentReference whose content is the nth Binary.
func attachedDocument(n int) kind {
	return kind{
		typ: "DocumentReference", elem: "subject", by: []string{"patient", "subject"}, date: "date:date", status: "status:status",
		states: []string{"current"}, code: "type:type",
		fill: func(m *making) {
			target := "Binary/" + m.binaryID(n)
			m.link(target)
			url := target
			if n%3 == 1 {
				url = BasePlaceholder + "/" + target
			}
			content, typ := binaryContent(n)
			attachment := obj{{"contentType", q(typ)}, {"url", m.slashes(url)}}
			if n%4 == 1 || n%4 == 3 {
				sum := sha1.Sum(content) //nolint:gosec // what FHIR says.
				attachment = append(attachment, kv{"hash", q(base64.StdEncoding.EncodeToString(sum[:]))})
			}
			if n%4 > 1 {
				attachment = append(attachment, kv{"size", num(len(content))})
			}
			m.add("content", list{obj{{"attachment", attachment}}})
		},
	}
}

// binaryContent gives what the nth Binary holds; the first of four holds a text by chance.
func binaryContent(n int) (content []byte, contentType string) {
	switch n % 4 {
	case 1:
		return []byte("A plain note.\r\nMit Umlauten: \xe4\xf6\xfc, in Latin-1.\r\n"), "text/plain"
	case 2:
		return fmt.Appendf(nil, "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<ClinicalDocument xmlns=\"urn:hl7-org:v3\"><id extension=\"%d\"/></ClinicalDocument>\n", n), "application/xml"
	case 3:
		pdf := []byte("%PDF-1.7\n")
		for i := range 5000 {
			pdf = append(pdf, byte(i*i>>3&0xff))
		}
		return fmt.Appendf(pdf, "%d\n%%%%EOF\n", n), "application/pdf"
	}
	return nil, "text/plain"
}

func (p *plan) binaryID(n int) string {
	if p.name != nil {
		return p.name("Binary", n)
	}
	return fmt.Sprintf("%s-bin-%d", p.tag, n)
}

func fillComposition(m *making) {
	m.add("author", list{m.practitioner()})
	m.add("title", m.text())
	m.add("custodian", m.organization())
	m.add("attester", list{obj{{"mode", q("legal")}, {"party", m.practitioner()}}})
	m.add("section", list{obj{{"title", q("outer")}, {"section", list{obj{{"title", q("inner")}, {"entry", list{m.to("Condition"), m.to("Observation")}}, {"author", list{m.shares("Practitioner")}}}}}}})
}

func fillMedia(m *making) {
	m.add("operator", m.practitioner())
	m.add("content", m.inline())
	m.add("height", num(1))
}

func fillList(m *making) {
	m.add("mode", q("working"))
	m.add("source", m.practitioner())
	m.add("entry", list{obj{{"item", m.to("Condition")}}, obj{{"deleted", lit("true")}, {"item", m.to("AllergyIntolerance")}}})
}

func fillBasic(m *making) {
	m.add("author", m.practitioner())
	m.add("identifier", list{m.identifier("basic")})
}

func fillDevice(m *making) {
	m.add("owner", m.organization())
	m.add("location", m.shares("Location"))
	m.add("udiCarrier", list{obj{{"deviceIdentifier", q("(01)00000000000000")}, {"carrierHRF", m.str("(01)00000000000000/0")}}})
	m.add("parent", m.ref("Device/"+m.shared["Device"][0]))
}

func fillTask(m *making) {
	m.add("intent", q("order"))
	m.add("focus", m.to("ServiceRequest"))
	m.add("requester", m.practitioner())
	m.add("owner", m.organization())
	m.add("input", list{obj{{"type", concept("task", "in", "in")}, {"valueReference", m.to("DocumentReference")}}})
	m.add("output", list{obj{{"type", concept("task", "out", "out")}, {"valueReference", m.shares("HealthcareService")}}})
}

func fillQuestionnaireResponse(m *making) {
	m.add("questionnaire", q("https://questionnaires.fhirtest.example/Questionnaire/q1|1.0"))
	m.add("author", m.practitioner())
	m.add("source", m.to("RelatedPerson"))
	m.add("item", list{
		obj{{"linkId", q("1")}, {"text", m.text()}, {"answer", list{obj{{"valueDecimal", m.decimal()}}}}},
		obj{{"linkId", q("2")}, {"item", list{obj{{"linkId", q("2.1")}, {"answer", list{obj{{"valueReference", m.shares("Practitioner")}}}}}}}},
	})
}

func fillProvenance(m *making) {
	target := m.to("Observation")
	m.add("target", list{target, m.patientRef()})
	for _, ref := range m.res.Links {
		m.param("target", ref)
	}
	m.add("agent", list{obj{{"who", m.practitioner()}, {"onBehalfOf", m.organization()}}})
	m.add("entity", list{obj{{"role", q("source")}, {"what", m.to("DocumentReference")}}})
	m.add("signature", list{obj{{"who", m.shares("Practitioner")}, {"when", q(m.instant())}}})
}

func fillRelatedPerson(m *making) {
	m.add("relationship", list{concept("relationship", "FRND", "Imaginary friend")})
	m.add("name", list{obj{{"text", m.str(pick(&m.rnd, displays()))}}})
	m.add("identifier", list{m.identifier("related")})
}

func fillAppointment(m *making) {
	m.add("participant", list{
		obj{{"actor", m.patientRef()}, {"status", q("accepted")}},
		obj{{"actor", m.practitioner()}, {"status", q("tentative")}},
		obj{{"actor", m.shares("Location")}, {"status", q("accepted")}},
		obj{{"actor", m.shares("HealthcareService")}, {"status", q("accepted")}},
	})
	m.add("reasonReference", list{m.to("Condition")})
	m.add("minutesDuration", num(15))
}

func fillCommunication(m *making) {
	m.add("sender", m.practitioner())
	m.add("recipient", list{m.patientRef(), m.organization()})
	m.param("recipient", "Patient/"+m.patientID)
	m.add("payload", list{obj{{"contentString", m.text()}}, obj{{"contentReference", m.to("DocumentReference")}}, obj{{"contentAttachment", m.inline()}}})
}

func fillConsent(m *making) {
	m.add("performer", list{m.to("RelatedPerson")})
	m.add("organization", list{m.organization()})
	m.add("provision", obj{{"actor", list{obj{{"role", concept("role", "r", "r")}, {"reference", m.organization()}}}}, {"data", list{obj{{"meaning", q("instance")}, {"reference", m.to("Observation")}}}}})
}

func fillFlag(m *making) {
	m.add("author", m.practitioner())
	m.add("encounter", m.to("Encounter"))
}

func fillResearchSubject(m *making) {
	m.add("study", m.shares("ResearchStudy"))
	m.add("consent", m.to("Consent"))
	m.add("actualArm", m.str("invisible/arm"))
}

func fillGuidanceResponse(m *making) {
	m.add("moduleUri", q("https://modules.fhirtest.example/none"))
	m.add("performer", m.ref("Device/"+m.shared["Device"][0]))
	m.add("reasonReference", list{m.to("Condition")})
}
