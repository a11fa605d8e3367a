package compartment

// splitsR5 are the parts of the types that are asked in other parts than in R4; nil where a status cannot be searched by any more. The
// comment names the value set: https://hl7.org/fhir/R5/valueset-NAME.html, or https://terminology.hl7.org/ValueSet-NAME.html.
var splitsR5 = map[string][]Split{
	"AdverseEvent": {
		all("status", "in-progress completed entered-in-error unknown"), // adverse-event-status
		all("actuality", "actual potential"),                            // adverse-event-actuality
	},
	"AppointmentResponse": {
		all("part-status", "accepted declined tentative needs-action entered-in-error"), // appointmentresponse-status
	},
	"BiologicallyDerivedProductDispense": {
		all("status", "preparation in-progress allocated issued unfulfilled returned entered-in-error unknown"), // biologicallyderivedproductdispense-status
	},
	"CarePlan": {
		carePlanCategories,
		all("intent", "proposal plan order option directive"),                            // care-plan-intent
		all("status", "draft active on-hold revoked completed entered-in-error unknown"), // request-status
	},
	"ChargeItem": {
		all("status", "planned billable not-billable aborted billed entered-in-error unknown"), // chargeitem-status
	},
	"ClinicalImpression": {
		all("status", "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"), // event-status
	},
	"Composition": {
		all("status", "registered partial preliminary final amended corrected appended cancelled entered-in-error deprecated unknown"), // composition-status
	},
	"Condition": {
		conditionCategories,
		all("clinical-status", "active recurrence relapse inactive remission resolved unknown"), // condition-clinical
	},
	"Consent": {
		all("status", "draft active inactive not-done entered-in-error unknown"), // consent-state-codes
	},
	"DetectedIssue": {
		all("status", "preliminary final entered-in-error mitigated"), // detectedissue-status
	},
	"DeviceAssociation": {
		all("status", "implanted explanted entered-in-error attached unknown"), // deviceassociation-status
	},
	"DeviceDispense": {
		all("status", "preparation in-progress cancelled on-hold completed entered-in-error stopped declined unknown"), // devicedispense-status
	},
	"DeviceUsage": {
		all("status", "active completed not-done entered-in-error intended stopped on-hold"), // deviceusage-status
	},
	"DiagnosticReport": {
		reportCategories,
		all("status", "registered partial preliminary modified final amended corrected appended cancelled entered-in-error unknown"), // diagnostic-report-status
	},
	"Encounter": {
		all("status", "planned in-progress on-hold discharged completed cancelled discontinued entered-in-error unknown"), // encounter-status
	},
	"EncounterHistory": {
		all("status", "planned in-progress on-hold discharged completed cancelled discontinued entered-in-error unknown"), // encounter-status
	},
	"Flag": {
		all("status", "active inactive entered-in-error"), // flag-status
	},
	"GenomicStudy": {
		all("status", "registered available cancelled entered-in-error unknown"), // genomicstudy-status
	},
	"Group": {
		all("type", "person animal practitioner device careteam healthcareservice location organization relatedperson specimen"), // group-type
	},
	"GuidanceResponse": {
		all("status", "success data-requested data-required in-progress failure entered-in-error"), // guidance-response-status
	},
	"ImagingSelection": {
		all("status", "available entered-in-error unknown"), // imagingselection-status
	},
	"InventoryItem": {
		all("status", "active inactive entered-in-error unknown"), // inventoryitem-status
	},
	"MedicationRequest": {
		all("intent", "proposal plan order original-order reflex-order filler-order instance-order option"), // medicationrequest-intent
		all("status", "active on-hold ended stopped completed cancelled entered-in-error draft unknown"),    // medicationrequest-status
	},
	"MedicationStatement": {
		all("status", "recorded entered-in-error draft"), // medication-statement-status
	},
	"NutritionIntake": {
		all("status", "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"), // event-status
	},
	"PaymentReconciliation": {
		all("status", "active cancelled draft entered-in-error"), // fm-status
	},
	"RequestOrchestration": {
		all("intent", "proposal plan directive order original-order reflex-order filler-order instance-order option"), // request-intent
		all("status", "draft active on-hold revoked completed entered-in-error unknown"),                              // request-status
	},
	"ResearchSubject": {
		all("status", "draft active retired unknown"), // publication-status
	},
	"Subscription": {
		all("status", "requested active error off entered-in-error"), // subscription-status
	},
}
