package fhirtest

import "fmt"

// The clinical types. Each function writes what makes its type recognisable, and above all its references.

func fillPatient(m *making) {
	m.add("identifier", list{m.identifier("mrn"), m.identifier("member")})
	m.add("name", list{obj{{"family", m.str(pick(&m.rnd, []string{"Nonexistent", "Fiktivová", "虚構", "Testcase-Ødegård"}))}, {"given", list{q("Testa"), m.str("Zoë")}}}})
	m.add("birthDate", q(m.date()))
	m.add("_birthDate", obj{{"extension", list{obj{{"url", q("https://extensions.fhirtest.example/birthTime")}, {"valueDateTime", q(m.instant())}}}}})
	m.add("telecom", list{obj{{"system", q("email")}, {"value", q("nobody@" + m.tag + ".example")}}})
	// The Patient names the heads of everything shared, so that even the smallest record has a chain and a cycle.
	org := m.shared["Organization"]
	m.add("managingOrganization", m.ref("Organization/"+org[0]))
	m.add("generalPractitioner", list{
		m.ref("Practitioner/" + m.shared["Practitioner"][0]), m.ref("PractitionerRole/" + m.shared["PractitionerRole"][0]),
		m.ref("Organization/" + org[3]), m.ref("Organization/" + commonOrganization), m.ref("Practitioner/" + commonPractitioner),
	})
}

func fillObservation(m *making) {
	m.add("performer", list{m.practitioner(), m.organization()})
	if m.has(0, 2) {
		m.add("encounter", m.to("Encounter"))
	}
	switch m.n % 6 {
	case 0, 1, 2:
		m.add("valueQuantity", m.quantity())
	case 3:
		m.add("valueString", m.text())
		m.add("_valueString", obj{{"id", q("v1")}})
	case 4:
		m.add("component", list{
			obj{{"code", concept("code", "sys", "Invented upper")}, {"valueQuantity", m.quantity()}},
			obj{{"code", concept("code", "dia", "Invented lower")}, {"valueQuantity", m.quantity()}},
		})
	default:
		m.add("valueCodeableConcept", concept("value", "absent", "Not there"))
		m.add("referenceRange", list{obj{{"low", m.quantity()}, {"high", m.quantity()}}})
	}
	if m.has(1, 9) {
		m.add("hasMember", list{m.to("Observation"), m.to("Observation")})
	}
	if m.has(2, 8) {
		m.add("device", m.ref("Device/"+m.shared["Device"][0]))
	}
	if m.has(3, 10) {
		m.add("specimen", m.to("Specimen"))
	}
	if m.has(4, 10) {
		m.add("note", list{obj{{"authorReference", m.shares("Practitioner")}, {"time", q(m.instant())}, {"text", m.text()}}})
	}
}

func fillEncounter(m *making) {
	m.add("participant", list{obj{{"individual", m.practitioner()}}, obj{{"individual", m.shares("PractitionerRole")}}})
	m.add("location", list{obj{{"location", m.shares("Location")}}})
	m.add("serviceProvider", m.organization())
	if m.has(1, 3) {
		m.add("hospitalization", obj{{"origin", m.shares("Location")}, {"destination", m.organization()}})
		m.add("diagnosis", list{obj{{"condition", m.to("Condition")}}})
	}
	if m.has(2, 4) {
		m.add("partOf", m.to("Encounter"))
		m.add("episodeOfCare", list{m.to("EpisodeOfCare")})
	}
}

func fillCondition(m *making) {
	m.add("encounter", m.to("Encounter"))
	m.add("asserter", m.practitioner())
	m.add("onsetDateTime", q(m.dateTime()))
	if m.has(1, 3) {
		m.add("evidence", list{obj{{"detail", list{m.to("Observation"), m.to("DiagnosticReport")}}}})
	}
	m.add("note", list{obj{{"text", m.text()}}})
}

func fillProcedure(m *making) {
	m.add("performer", list{obj{{"actor", m.practitioner()}, {"onBehalfOf", m.organization()}}})
	m.add("location", m.shares("Location"))
	m.add("reasonReference", list{m.to("Condition")})
	if m.has(1, 3) {
		m.add("usedReference", list{m.to("Device")})
	}
}

func fillMedicationRequest(m *making) {
	m.add("intent", q("order"))
	if m.has(1, 4) {
		m.add("medicationCodeableConcept", concept("drug", fmt.Sprintf("none-%d", m.n), "Placebo imaginarium"))
	} else {
		m.add("medicationReference", m.shares("Medication"))
	}
	m.add("requester", m.practitioner())
	m.add("encounter", m.to("Encounter"))
	m.add("dosageInstruction", list{obj{{"text", m.text()}, {"doseAndRate", list{obj{{"doseQuantity", m.quantity()}}}}}})
	m.add("reasonReference", list{m.to("Condition")})
}

func fillMedicationDispense(m *making) {
	m.add("medicationReference", m.shares("Medication"))
	m.add("performer", list{obj{{"actor", m.organization()}}})
	m.add("authorizingPrescription", list{m.to("MedicationRequest")})
	m.add("quantity", m.quantity())
	m.add("location", m.shares("Location"))
}

func fillMedicationStatement(m *making) {
	m.add("medicationReference", m.shares("Medication"))
	m.add("informationSource", m.to("RelatedPerson"))
	m.add("derivedFrom", list{m.to("MedicationRequest")})
}

func fillMedicationAdministration(m *making) {
	m.add("medicationReference", m.shares("Medication"))
	m.add("performer", list{obj{{"actor", m.practitioner()}}})
	m.add("request", m.to("MedicationRequest"))
	m.add("dosage", obj{{"dose", m.quantity()}})
}

func fillDiagnosticReport(m *making) {
	m.add("encounter", m.to("Encounter"))
	m.add("performer", list{m.organization(), m.practitioner()})
	m.add("result", list{m.to("Observation"), m.to("Observation"), m.to("Observation")})
	m.add("resultsInterpreter", list{m.practitioner()})
	if m.has(1, 3) {
		m.add("presentedForm", list{m.inline()})
	}
	m.add("conclusion", m.text())
}

func fillImmunization(m *making) {
	m.add("manufacturer", m.organization())
	m.add("location", m.shares("Location"))
	m.add("performer", list{obj{{"actor", m.practitioner()}}})
	m.add("doseQuantity", m.quantity())
	m.add("lotNumber", m.str("LOT/0"))
}

func fillCarePlan(m *making) {
	m.add("intent", q("plan"))
	m.add("careTeam", list{m.to("CareTeam")})
	m.add("addresses", list{m.to("Condition")})
	m.add("goal", list{m.to("Goal")})
	m.add("activity", list{obj{{"reference", m.to("ServiceRequest")}}, obj{{"detail", obj{{"status", q("scheduled")}, {"performer", list{m.practitioner()}}}}}})
}

func fillCareTeam(m *making) {
	m.add("participant", list{obj{{"member", m.practitioner()}, {"onBehalfOf", m.organization()}}, obj{{"member", m.to("RelatedPerson")}}})
	m.add("managingOrganization", list{m.organization()})
}

func fillGoal(m *making) {
	m.add("description", concept("goal", "g", "To exist"))
	m.add("addresses", list{m.to("Condition")})
	m.add("expressedBy", m.practitioner())
	m.add("target", list{obj{{"detailQuantity", m.quantity()}, {"dueDate", q(m.date())}}})
}

func fillAllergy(m *making) {
	m.add("category", list{q("food")})
	m.add("recorder", m.practitioner())
	m.add("reaction", list{obj{{"manifestation", list{concept("reaction", "r", "Disbelief")}}, {"note", list{obj{{"authorReference", m.practitioner()}, {"text", m.text()}}}}}})
}

func fillServiceRequest(m *making) {
	m.add("intent", q("order"))
	m.add("requester", m.practitioner())
	m.add("performer", list{m.organization()})
	m.add("encounter", m.to("Encounter"))
	m.add("insurance", list{m.to("Coverage")})
	m.add("specimen", list{m.to("Specimen")})
}

func fillSpecimen(m *making) {
	m.add("collection", obj{{"collector", m.practitioner()}, {"quantity", m.quantity()}})
	m.add("request", list{m.to("ServiceRequest")})
}

func fillImagingStudy(m *making) {
	m.add("referrer", m.practitioner())
	m.add("encounter", m.to("Encounter"))
	m.add("endpoint", list{m.shares("Endpoint")})
	m.add("series", list{obj{
		{"uid", q("2.25.123456789012345678901234567890")},
		{"modality", obj{{"code", q("OT")}}},
		{"performer", list{obj{{"actor", m.practitioner()}}}},
		{"specimen", list{m.to("Specimen")}},
	}})
}

func fillFamilyMemberHistory(m *making) {
	m.add("relationship", concept("relationship", "GRMTH", "Invented grandmother"))
	m.add("reasonReference", list{m.to("Condition")})
	m.add("condition", list{obj{{"code", concept("code", "con-1", "Invented")}, {"note", list{obj{{"text", m.text()}}}}}})
}

func fillNutritionOrder(m *making) {
	m.add("intent", q("order"))
	m.add("orderer", m.practitioner())
	m.add("allergyIntolerance", list{m.to("AllergyIntolerance")})
	m.add("oralDiet", obj{{"instruction", m.text()}})
}

func fillAdverseEvent(m *making) {
	m.add("actuality", q("actual"))
	m.add("recorder", m.practitioner())
	m.add("suspectEntity", list{obj{{"instance", m.shares("Medication")}}})
	m.add("resultingCondition", list{m.to("Condition")})
}

func fillEpisode(m *making) {
	m.add("managingOrganization", m.organization())
	m.add("careManager", m.practitioner())
	m.add("diagnosis", list{obj{{"condition", m.to("Condition")}}})
	m.add("team", list{m.to("CareTeam")})
	m.add("account", list{m.to("Account")})
}

func fillClinicalImpression(m *making) {
	m.add("assessor", m.practitioner())
	m.add("problem", list{m.to("Condition")})
	m.add("finding", list{obj{{"itemReference", m.to("Observation")}, {"basis", m.text()}}})
}

func fillRiskAssessment(m *making) {
	m.add("performer", m.practitioner())
	m.add("basis", list{m.to("Observation"), m.to("FamilyMemberHistory")})
	m.add("prediction", list{obj{{"probabilityDecimal", lit("0.0000000000000000000000000000001")}}})
}
