package compartment

// splitsSTU3 are the parts of the types that are asked in other parts than in R4; nil where there is nothing to search by. The comment
// names the value set: https://hl7.org/fhir/STU3/valueset-NAME.html.
var splitsSTU3 = map[string][]Split{
	"Account": {
		allButAbsent("status", "active inactive entered-in-error"), // account-status
	},
	"AdverseEvent": nil,
	"Appointment": {
		all("status", "proposed pending booked arrived fulfilled cancelled noshow entered-in-error"), // appointmentstatus
	},
	"CarePlan": {
		carePlanCategoriesSTU3,
		all("intent", "proposal plan order option"), // care-plan-intent
		all("status", "draft active suspended completed entered-in-error cancelled unknown"), // care-plan-status
	},
	"Claim": {
		allButAbsent("use", "complete proposed exploratory other"), // claim-use
	},
	"ClaimResponse": nil,
	"ClinicalImpression": {
		all("status", "draft completed entered-in-error"), // clinical-impression-status
	},
	"Communication": {
		all("status", "preparation in-progress suspended aborted completed entered-in-error unknown"), // event-status
	},
	"CommunicationRequest": {
		all("status", "draft active suspended cancelled completed entered-in-error unknown"), // request-status
	},
	"Condition": {
		conditionCategoriesSTU3,
		allButAbsent("clinical-status", "active recurrence inactive remission resolved"), // condition-clinical
	},
	"Contract": nil,
	"Coverage": nil,
	"DeviceRequest": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // request-intent
		allButAbsent("status", "draft active suspended cancelled completed entered-in-error unknown"),       // request-status
	},
	"DiagnosticReport": {
		reportCategoriesSTU3,
		all("status", "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown"), // diagnostic-report-status
	},
	"DocumentReference": {
		all("status", "current superseded entered-in-error"), // document-reference-status
	},
	"EnrollmentRequest":    nil,
	"ExplanationOfBenefit": nil,
	"Goal": {
		all("status", "proposed accepted planned in-progress on-target ahead-of-target behind-target sustaining achieved on-hold cancelled entered-in-error rejected"), // goal-status
	},
	"ImagingStudy": nil,
	"Immunization": {
		all("status", "completed entered-in-error"), // immunization-status
	},
	"Media": nil,
	"MedicationAdministration": {
		all("status", "in-progress on-hold completed entered-in-error stopped unknown"), // medication-admin-status
	},
	"MedicationDispense": {
		allButAbsent("status", "preparation in-progress on-hold completed entered-in-error stopped"), // medication-dispense-status
	},
	"MedicationRequest": {
		all("intent", "proposal plan order instance-order"),                                                 // medication-request-intent
		allButAbsent("status", "active on-hold cancelled completed entered-in-error stopped draft unknown"), // medication-request-status
	},
	"MedicationStatement": {
		all("status", "active completed entered-in-error intended stopped on-hold"), // medication-statement-status
	},
	"NutritionOrder": {
		allButAbsent("status", "proposed draft planned requested active on-hold completed cancelled entered-in-error"), // nutrition-request-status
	},
	"Observation": {
		observationCategoriesSTU3,
		all("status", "registered preliminary final amended corrected cancelled entered-in-error unknown"), // observation-status
	},
	"Procedure": {
		all("status", "preparation in-progress suspended aborted completed entered-in-error unknown"), // event-status
	},
	"ProcedureRequest": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active suspended cancelled completed entered-in-error unknown"),                // request-status
	},
	"ReferralRequest": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active suspended cancelled completed entered-in-error unknown"),                // request-status
	},
	"RequestGroup": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active suspended cancelled completed entered-in-error unknown"),                // request-status
	},
	"ResearchSubject": {
		all("status", "candidate enrolled active suspended withdrawn completed"), // research-subject-status
	},
	"Task": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"),                               // request-intent
		all("status", "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed entered-in-error"), // task-status
	},
	"VisionPrescription": nil,
}
