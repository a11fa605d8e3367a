package fhirtest

// kind describes how resources of one type are made and found. It serves the generator and the server's metadata alike.
// It is written down from the R4 search parameters by hand and knows nothing of compartments.
type kind struct {
	typ string
	// weight is how often the type comes up once every type has had its turn.
	weight int
	// elem is the element that names the patient; "[]" after it: an array. Empty: fill writes it.
	elem string
	// by are the reference parameters that find a resource of this type for its patient.
	by []string
	// more are further reference parameters the server understands for the type.
	more []string
	// date, status, category and code are "element:parameter", empty where there is none. An element with "[]" is an array, with "{}" a
	// CodeableConcept. A date element called period or ending in Period is a Period.
	date, status, category, code string
	// states and categories are the codes to choose from.
	states, categories []string
	// fill writes what else there is.
	fill func(m *making)
}

// patientKind makes the Patient itself. It is found by _id and by read.
func patientKind() kind {
	return kind{typ: "Patient", more: []string{"general-practitioner", "organization", "link"}, fill: fillPatient}
}

// ownKinds are the types a patient's own resources have. The order is part of what Generate promises to repeat.
func ownKinds() []kind {
	both := []string{"patient", "subject"}
	patient := []string{"patient"}
	states := func(s ...string) []string { return s }
	return []kind{
		{
			typ: "Observation", weight: 50, elem: "subject", by: both, more: []string{"performer", "encounter", "has-member"},
			date: "effectiveDateTime:date", status: "status:status", states: states("final", "amended", "preliminary"), code: "code:code",
			category: "category[]:category", categories: states("laboratory", "vital-signs", "social-history", "survey", "exam"), fill: fillObservation,
		},
		{
			typ: "Encounter", weight: 8, elem: "subject", by: both, more: []string{"participant", "practitioner", "location"},
			date: "period:date", status: "status:status", states: states("finished", "in-progress", "planned"),
			category: "class:class", categories: states("AMB", "IMP", "EMER", "VR"), fill: fillEncounter,
		},
		{
			typ: "Condition", weight: 5, elem: "subject", by: both, more: []string{"asserter", "encounter"},
			date: "recordedDate:recorded-date", status: "clinicalStatus{}:clinical-status", states: states("active", "resolved", "inactive"), code: "code:code",
			category: "category[]:category", categories: states("problem-list-item", "encounter-diagnosis", "health-concern"), fill: fillCondition,
		},
		{
			typ: "Procedure", weight: 4, elem: "subject", by: both, more: []string{"performer", "encounter"},
			date: "performedPeriod:date", status: "status:status", states: states("completed", "in-progress", "not-done"), code: "code:code",
			category: "category:category", categories: states("387713003", "103693007"), fill: fillProcedure,
		},
		{
			typ: "MedicationRequest", weight: 5, elem: "subject", by: both, more: []string{"requester", "medication", "encounter"},
			date: "authoredOn:authoredon", status: "status:status", states: states("active", "completed", "stopped"),
			category: "category[]:category", categories: states("outpatient", "inpatient", "community"), fill: fillMedicationRequest,
		},
		{
			typ: "DiagnosticReport", weight: 4, elem: "subject", by: both, more: []string{"performer", "encounter", "result"},
			date: "effectivePeriod:date", status: "status:status", states: states("final", "corrected"), code: "code:code",
			category: "category[]:category", categories: states("LAB", "RAD", "LP29684-5"), fill: fillDiagnosticReport,
		},
		{
			typ: "Immunization", weight: 2, elem: "patient", by: patient, more: []string{"performer", "location"},
			date: "occurrenceDateTime:date", status: "status:status", states: states("completed", "not-done"), code: "vaccineCode:vaccine-code", fill: fillImmunization,
		},
		{
			typ: "ExplanationOfBenefit", weight: 6, elem: "patient", by: patient, more: []string{"provider", "payee", "claim"},
			date: "created:created", status: "status:status", states: states("active", "cancelled"), fill: fillExplanation,
		},
		{
			typ: "Claim", weight: 3, elem: "patient", by: patient, more: []string{"provider", "payee", "insurer"},
			date: "created:created", status: "status:status", states: states("active", "cancelled"), fill: fillClaim,
		},
		{
			typ: "Coverage", weight: 1, elem: "beneficiary", by: []string{"beneficiary", "patient"}, more: []string{"subscriber", "policy-holder", "payor"},
			status: "status:status", states: states("active", "cancelled"), fill: fillCoverage,
		},
		{
			typ: "CarePlan", weight: 1, elem: "subject", by: both, more: []string{"performer", "encounter"},
			date: "period:date", status: "status:status", states: states("active", "completed", "revoked"),
			category: "category[]:category", categories: states("assess-plan", "longitudinal"), fill: fillCarePlan,
		},
		{
			typ: "CareTeam", weight: 1, elem: "subject", by: both, more: []string{"participant", "encounter"},
			date: "period:date", status: "status:status", states: states("active", "inactive"),
			category: "category[]:category", categories: states("LA27976-2", "LA27977-0"), fill: fillCareTeam,
		},
		{
			typ: "Goal", weight: 1, elem: "subject", by: both, date: "startDate:start-date", status: "lifecycleStatus:lifecycle-status",
			states: states("active", "completed"), category: "category[]:category", categories: states("dietary", "behavioral"), fill: fillGoal,
		},
		{
			typ: "AllergyIntolerance", weight: 1, elem: "patient", by: patient, more: []string{"recorder", "asserter"},
			date: "recordedDate:date", status: "clinicalStatus{}:clinical-status", states: states("active", "resolved"), code: "code:code", fill: fillAllergy,
		},
		{
			typ: "DocumentReference", weight: 3, elem: "subject", by: both, more: []string{"author", "custodian", "encounter"},
			date: "date:date", status: "status:status", states: states("current", "superseded"), code: "type:type",
			category: "category[]:category", categories: states("clinical-note", "imaging"), fill: fillDocumentReference,
		},
		{
			typ: "Device", weight: 1, elem: "patient", by: patient, more: []string{"organization", "location"},
			status: "status:status", states: states("active", "inactive"), code: "type:type", fill: fillDevice,
		},
		{
			typ: "Task", weight: 1, elem: "for", by: both, more: []string{"owner", "requester", "focus", "encounter"},
			date: "authoredOn:authored-on", status: "status:status", states: states("requested", "completed", "failed"), code: "code:code", fill: fillTask,
		},
		{
			typ: "QuestionnaireResponse", weight: 1, elem: "subject", by: both, more: []string{"author", "source", "encounter"},
			date: "authored:authored", status: "status:status", states: states("completed", "amended"), fill: fillQuestionnaireResponse,
		},
		{
			typ: "Provenance", weight: 2, by: patient, more: []string{"target", "agent", "entity"},
			date: "recorded:recorded", fill: fillProvenance,
		},
		{typ: "RelatedPerson", weight: 1, elem: "patient", by: patient, fill: fillRelatedPerson},
		{
			typ: "Appointment", weight: 1, by: []string{"patient", "actor"}, more: []string{"practitioner", "location"},
			date: "start:date", status: "status:status", states: states("booked", "fulfilled", "noshow"), fill: fillAppointment,
		},
		{
			typ: "Account", weight: 1, elem: "subject[]", by: both, more: []string{"owner"},
			date: "servicePeriod:period", status: "status:status", states: states("active", "inactive"), fill: fillAccount,
		},
		{
			typ: "Communication", weight: 1, elem: "subject", by: both, more: []string{"sender", "recipient", "encounter"},
			date: "sent:sent", status: "status:status", states: states("completed", "in-progress"),
			category: "category[]:category", categories: states("alert", "notification", "reminder"), fill: fillCommunication,
		},
		{
			typ: "Consent", weight: 1, elem: "patient", by: patient, more: []string{"consentor", "organization", "actor"},
			date: "dateTime:date", status: "status:status", states: states("active", "rejected"),
			category: "category[]:category", categories: states("59284-0", "57016-8"), fill: fillConsent,
		},
		{
			typ: "ServiceRequest", weight: 2, elem: "subject", by: both, more: []string{"performer", "requester", "encounter"},
			date: "authoredOn:authored", status: "status:status", states: states("active", "completed", "revoked"), code: "code:code",
			category: "category[]:category", categories: states("108252007", "363679005"), fill: fillServiceRequest,
		},
		{
			typ: "Specimen", weight: 1, elem: "subject", by: both, more: []string{"collector"},
			status: "status:status", states: states("available", "unavailable"), code: "type:type", fill: fillSpecimen,
		},
		{
			typ: "ImagingStudy", weight: 1, elem: "subject", by: both, more: []string{"performer", "referrer", "encounter"},
			date: "started:started", status: "status:status", states: states("available", "registered"), fill: fillImagingStudy,
		},
		{
			typ: "FamilyMemberHistory", weight: 1, elem: "patient", by: patient,
			date: "date:date", status: "status:status", states: states("completed", "partial"), fill: fillFamilyMemberHistory,
		},
		{
			typ: "NutritionOrder", weight: 1, elem: "patient", by: patient, more: []string{"provider", "encounter"},
			date: "dateTime:datetime", status: "status:status", states: states("active", "completed"), fill: fillNutritionOrder,
		},
		{
			typ: "Basic", weight: 1, elem: "subject", by: both, more: []string{"author"},
			date: "created:created", code: "code:code", fill: fillBasic,
		},
		{
			// The only type here without a patient parameter: a client that sends patient= everywhere misses it.
			typ: "AdverseEvent", weight: 1, elem: "subject", by: []string{"subject"}, more: []string{"recorder", "substance"},
			date: "date:date", category: "category[]:category", categories: states("product-problem", "medication-mishap"), code: "event:event", fill: fillAdverseEvent,
		},
		{
			typ: "EpisodeOfCare", weight: 1, elem: "patient", by: patient, more: []string{"care-manager", "organization"},
			date: "period:date", status: "status:status", states: states("active", "finished"), fill: fillEpisode,
		},
		{
			typ: "Flag", weight: 1, elem: "subject", by: both, more: []string{"author", "encounter"},
			date: "period:date", status: "status:status", states: states("active", "inactive"), code: "code:code", fill: fillFlag,
		},
		{
			typ: "List", weight: 1, elem: "subject", by: both, more: []string{"source", "item", "encounter"},
			date: "date:date", status: "status:status", states: states("current", "retired"), code: "code:code", fill: fillList,
		},
		{
			typ: "Composition", weight: 1, elem: "subject", by: both, more: []string{"author", "attester", "entry", "encounter"},
			date: "date:date", status: "status:status", states: states("final", "amended"), code: "type:type",
			category: "category[]:category", categories: states("LP173421-1", "LP173418-7"), fill: fillComposition,
		},
		{
			typ: "Media", weight: 1, elem: "subject", by: both, more: []string{"operator", "encounter"},
			date: "createdDateTime:created", status: "status:status", states: states("completed"), fill: fillMedia,
		},
		{
			typ: "MedicationDispense", weight: 3, elem: "subject", by: both, more: []string{"receiver", "performer", "prescription", "medication"},
			date: "whenHandedOver:whenhandedover", status: "status:status", states: states("completed", "cancelled"), fill: fillMedicationDispense,
		},
		{
			typ: "MedicationStatement", weight: 1, elem: "subject", by: both, more: []string{"source", "medication"},
			date: "effectivePeriod:effective", status: "status:status", states: states("active", "completed"), fill: fillMedicationStatement,
		},
		{
			typ: "MedicationAdministration", weight: 1, elem: "subject", by: both, more: []string{"performer", "medication"},
			date: "effectiveDateTime:effective-time", status: "status:status", states: states("completed", "stopped"), fill: fillMedicationAdministration,
		},
		{
			typ: "ClinicalImpression", weight: 1, elem: "subject", by: both, more: []string{"assessor", "encounter"},
			date: "date:date", status: "status:status", states: states("completed", "in-progress"), fill: fillClinicalImpression,
		},
		{
			typ: "RiskAssessment", weight: 1, elem: "subject", by: both, more: []string{"performer", "encounter", "condition"},
			date: "occurrenceDateTime:date", status: "status:status", states: states("final", "amended"), fill: fillRiskAssessment,
		},
		{
			typ: "ResearchSubject", weight: 1, elem: "individual", by: []string{"individual", "patient"}, more: []string{"study"},
			date: "period:date", status: "status:status", states: states("on-study", "off-study"), fill: fillResearchSubject,
		},
		{
			typ: "ClaimResponse", weight: 1, elem: "patient", by: patient, more: []string{"insurer", "request"},
			date: "created:created", status: "status:status", states: states("active"), fill: fillClaimResponse,
		},
		{
			typ: "GuidanceResponse", weight: 1, elem: "subject", by: both,
			status: "status:status", states: states("success", "data-requested"), fill: fillGuidanceResponse,
		},
		{
			typ: "Contract", weight: 1, elem: "subject[]", by: both, more: []string{"signer", "authority"},
			date: "issued:issued", status: "status:status", states: states("executed", "terminated"), fill: fillContract,
		},
	}
}

// secondaryKinds make resources that name the patient in a secondary element only, and nobody in the primary one.
func secondaryKinds() []kind {
	return []kind{
		{
			typ: "Communication", by: []string{"sender"}, date: "sent:sent", status: "status:status", states: []string{"completed"},
			fill: func(m *making) {
				m.add("sender", m.patientRef())
				m.add("payload", list{obj{{"contentString", m.text()}}})
			},
		},
		{
			typ: "DocumentReference", by: []string{"author"}, date: "date:date", status: "status:status", states: []string{"current"}, code: "type:type",
			fill: func(m *making) {
				m.add("author", list{m.patientRef()})
				m.add("content", list{obj{{"attachment", m.inline()}}})
			},
		},
		{
			typ: "Observation", by: []string{"performer"}, date: "effectiveDateTime:date", status: "status:status", states: []string{"final"}, code: "code:code",
			fill: func(m *making) { m.add("performer", list{m.patientRef()}); m.add("valueString", m.text()) },
		},
		{
			typ: "QuestionnaireResponse", by: []string{"author"}, date: "authored:authored", status: "status:status", states: []string{"completed"},
			fill: func(m *making) { m.add("author", m.patientRef()) },
		},
		{
			typ: "Basic", by: []string{"author"}, date: "created:created", code: "code:code",
			fill: func(m *making) { m.add("author", m.patientRef()) },
		},
		{
			typ: "Procedure", by: []string{"performer"}, date: "performedPeriod:date", status: "status:status", states: []string{"completed"}, code: "code:code",
			fill: func(m *making) { m.add("performer", list{obj{{"actor", m.patientRef()}}}) },
		},
	}
}

// sharedTypes are the types that belong to nobody. The server reads them and finds them by _id.
func sharedTypes() []string {
	return []string{"Practitioner", "PractitionerRole", "Organization", "Location", "HealthcareService", "Endpoint", "Medication", "ResearchStudy", "Binary"}
}
