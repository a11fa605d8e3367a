package compartment

// splitsR4 are the parts of R4's types: the lists of guides, then every status, intent or use whose binding is required, with the codes
// of that binding. The comment names the value set: https://hl7.org/fhir/R4/valueset-NAME.html.
var splitsR4 = map[string][]Split{
	"Account": {
		all("status", "active inactive entered-in-error on-hold unknown"), // account-status
	},
	"AdverseEvent": {
		all("actuality", "actual potential"), // adverse-event-actuality
	},
	"AllergyIntolerance": {
		allButAbsent("clinical-status", "active inactive resolved"), // allergyintolerance-clinical
	},
	"Appointment": {
		all("status", "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist"), // appointmentstatus
	},
	"AppointmentResponse": {
		all("part-status", "accepted declined tentative needs-action"), // participationstatus
	},
	"CarePlan": {
		carePlanCategories,
		all("intent", "proposal plan order option"), // care-plan-intent
		all("status", "draft active on-hold revoked completed entered-in-error unknown"), // request-status
	},
	"CareTeam": {
		allButAbsent("status", "proposed active suspended inactive entered-in-error"), // care-team-status
	},
	"Claim": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
		all("use", "claim preauthorization predetermination"),    // claim-use
	},
	"ClaimResponse": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
		all("use", "claim preauthorization predetermination"),    // claim-use
	},
	"ClinicalImpression": {
		all("status", "in-progress completed entered-in-error"), // clinicalimpression-status
	},
	"Communication": {
		all("status", "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"), // event-status
	},
	"CommunicationRequest": {
		all("status", "draft active on-hold revoked completed entered-in-error unknown"), // request-status
	},
	"Composition": {
		all("status", "preliminary final amended entered-in-error"), // composition-status
	},
	"Condition": {
		conditionCategories,
		allButAbsent("clinical-status", "active recurrence relapse inactive remission resolved"), // condition-clinical
	},
	"Consent": {
		all("status", "draft proposed active rejected inactive entered-in-error"), // consent-state-codes
	},
	"Contract": {
		allButAbsent("status", "amended appended cancelled disputed entered-in-error executable executed negotiable offered policy rejected renewed revoked resolved terminated"), // contract-status
	},
	"Coverage": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
	},
	"CoverageEligibilityRequest": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
	},
	"CoverageEligibilityResponse": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
	},
	"Device": {
		allButAbsent("status", "active inactive entered-in-error unknown"), // device-status
	},
	"DeviceRequest": {
		all("intent", "proposal plan directive order original-order reflex-order filler-order instance-order option"), // request-intent
		allButAbsent("status", "draft active on-hold revoked completed entered-in-error unknown"),                     // request-status
	},
	"DiagnosticReport": {
		reportCategories,
		all("status", "registered partial preliminary final amended corrected appended cancelled entered-in-error unknown"), // diagnostic-report-status
	},
	"DocumentManifest": {
		all("status", "current superseded entered-in-error"), // document-reference-status
	},
	"DocumentReference": {
		documentCategories,
		all("status", "current superseded entered-in-error"), // document-reference-status
	},
	"Encounter": {
		all("status", "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"), // encounter-status
	},
	"EnrollmentRequest": {
		allButAbsent("status", "active cancelled draft entered-in-error"), // fm-status
	},
	"EpisodeOfCare": {
		all("status", "planned waitlist active onhold finished cancelled entered-in-error"), // episode-of-care-status
	},
	"ExplanationOfBenefit": {
		all("status", "active cancelled draft entered-in-error"), // explanationofbenefit-status
	},
	"FamilyMemberHistory": {
		all("status", "partial completed entered-in-error health-unknown"), // history-status
	},
	"Goal": {
		all("lifecycle-status", "proposed planned accepted active on-hold completed cancelled entered-in-error rejected"), // goal-status
	},
	"Group": {
		all("type", "person animal practitioner device medication substance"), // group-type
	},
	"ImagingStudy": {
		all("status", "registered available cancelled entered-in-error unknown"), // imagingstudy-status
	},
	"Immunization": {
		all("status", "completed entered-in-error not-done"), // immunization-status
	},
	"ImmunizationEvaluation": {
		all("status", "completed entered-in-error"), // immunization-evaluation-status
	},
	"Invoice": {
		all("status", "draft issued balanced cancelled entered-in-error"), // invoice-status
	},
	"List": {
		all("status", "current retired entered-in-error"), // list-status
	},
	"MeasureReport": {
		all("status", "complete pending error"), // measure-report-status
	},
	"Media": {
		all("status", "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"), // event-status
	},
	"MedicationAdministration": {
		all("status", "in-progress not-done on-hold completed entered-in-error stopped unknown"), // medication-admin-status
	},
	"MedicationDispense": {
		all("status", "preparation in-progress cancelled on-hold completed entered-in-error stopped declined unknown"), // medicationdispense-status
	},
	"MedicationRequest": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // medicationrequest-intent
		all("status", "active on-hold cancelled completed entered-in-error stopped draft unknown"),          // medicationrequest-status
	},
	"MedicationStatement": {
		all("status", "active completed entered-in-error intended stopped on-hold unknown not-taken"), // medication-statement-status
	},
	"NutritionOrder": {
		all("status", "draft active on-hold revoked completed entered-in-error unknown"), // request-status
	},
	"Observation": {
		observationCategories,
		all("status", "registered preliminary final amended corrected cancelled entered-in-error unknown"), // observation-status
	},
	"Procedure": {
		all("status", "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"), // event-status
	},
	"QuestionnaireResponse": {
		all("status", "in-progress completed amended entered-in-error stopped"), // questionnaire-answers-status
	},
	"RequestGroup": {
		all("intent", "proposal plan directive order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active on-hold revoked completed entered-in-error unknown"),                              // request-status
	},
	"ResearchSubject": {
		all("status", "candidate eligible follow-up ineligible not-registered off-study on-study on-study-intervention on-study-observation pending-on-study potential-candidate screening withdrawn"), // research-subject-status
	},
	"ServiceRequest": {
		all("intent", "proposal plan directive order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active on-hold revoked completed entered-in-error unknown"),                              // request-status
	},
	"Specimen": {
		allButAbsent("status", "available unavailable unsatisfactory entered-in-error"), // specimen-status
	},
	"SupplyDelivery": {
		allButAbsent("status", "in-progress completed abandoned entered-in-error"), // supplydelivery-status
	},
	"SupplyRequest": {
		allButAbsent("status", "draft active suspended cancelled completed entered-in-error unknown"), // supplyrequest-status
	},
	"Task": {
		all("intent", "unknown proposal plan order original-order reflex-order filler-order instance-order option"),                       // task-intent
		all("status", "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed entered-in-error"), // task-status
	},
	"VisionPrescription": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
	},
}
