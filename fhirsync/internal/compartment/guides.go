package compartment

// The categories that guides name. Local ones exist beyond them, so that the parts prove nothing about the whole.
var (
	// https://hl7.org/fhir/R4/valueset-observation-category.html, and what the profiles of US Core add to it
	// (https://hl7.org/fhir/us/core/CodeSystem-us-core-category.html). US Core and IPA make servers answer patient and category, and not
	// patient alone (https://hl7.org/fhir/us/core/CapabilityStatement-us-core-server.html, https://hl7.org/fhir/uv/ipa/).
	observationCategories = categories(`
		http://terminology.hl7.org/CodeSystem/observation-category|laboratory
		http://terminology.hl7.org/CodeSystem/observation-category|vital-signs
		http://terminology.hl7.org/CodeSystem/observation-category|social-history
		http://terminology.hl7.org/CodeSystem/observation-category|survey
		http://terminology.hl7.org/CodeSystem/observation-category|exam
		http://terminology.hl7.org/CodeSystem/observation-category|imaging
		http://terminology.hl7.org/CodeSystem/observation-category|procedure
		http://terminology.hl7.org/CodeSystem/observation-category|therapy
		http://terminology.hl7.org/CodeSystem/observation-category|activity
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|functional-status
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|disability-status
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|cognitive-status
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|treatment-intervention-preference
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|care-experience-preference
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|observation-adi-documentation`)

	// https://hl7.org/fhir/us/core/CodeSystem-careplan-category.html. The SNOMED codes are those that Epic's error names when a search
	// lacks the category (longitudinal, encounter, outpatient, inpatient, dental, oncology), and patient education.
	carePlanCategories = categories(`
		http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan
		http://snomed.info/sct|38717003
		http://snomed.info/sct|734163000
		http://snomed.info/sct|736271009
		http://snomed.info/sct|736353004
		http://snomed.info/sct|738906000
		http://snomed.info/sct|736378000
		http://snomed.info/sct|409073007`)

	// https://hl7.org/fhir/R4/valueset-condition-category.html and https://hl7.org/fhir/us/core/CodeSystem-condition-category.html; the
	// others are those of US Core's assessments.
	conditionCategories = categories(`
		http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item
		http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis
		http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|functional-status
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|disability-status
		http://hl7.org/fhir/us/core/CodeSystem/us-core-category|cognitive-status`)

	// https://hl7.org/fhir/us/core/StructureDefinition-us-core-diagnosticreport-lab.html and
	// https://hl7.org/fhir/us/core/StructureDefinition-us-core-diagnosticreport-note.html: radiology, cardiology, pathology.
	reportCategories = categories(`
		http://terminology.hl7.org/CodeSystem/v2-0074|LAB
		http://loinc.org|LP29684-5
		http://loinc.org|LP29708-2
		http://loinc.org|LP7839-6`)

	// https://hl7.org/fhir/us/core/CodeSystem-us-core-documentreference-category.html
	documentCategories = categories(`
		http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note`)

	// The same in STU3, whose code systems are others, and which has no category for documents:
	// https://hl7.org/fhir/STU3/valueset-observation-category.html, https://hl7.org/fhir/STU3/valueset-condition-category.html,
	// https://hl7.org/fhir/STU3/valueset-diagnostic-service-sections.html. assess-plan has had two systems there: Argonaut's and US Core's.
	observationCategoriesSTU3 = categories(`
		http://hl7.org/fhir/observation-category|laboratory
		http://hl7.org/fhir/observation-category|vital-signs
		http://hl7.org/fhir/observation-category|social-history
		http://hl7.org/fhir/observation-category|survey
		http://hl7.org/fhir/observation-category|exam
		http://hl7.org/fhir/observation-category|imaging
		http://hl7.org/fhir/observation-category|procedure
		http://hl7.org/fhir/observation-category|therapy`)
	carePlanCategoriesSTU3  = categories("assess-plan")
	conditionCategoriesSTU3 = categories(`
		http://hl7.org/fhir/condition-category|problem-list-item
		http://hl7.org/fhir/condition-category|encounter-diagnosis
		health-concern`)
	reportCategoriesSTU3 = categories("http://hl7.org/fhir/v2/0074|LAB")
)
