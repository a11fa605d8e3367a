package trace

import (
	"regexp"
	"strings"
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// resourceTypes are those of STU3, R4, R4B and R5.
var resourceTypes = set(`
Account ActivityDefinition ActorDefinition AdministrableProductDefinition AdverseEvent AllergyIntolerance Appointment
AppointmentResponse ArtifactAssessment AuditEvent Basic Binary BiologicallyDerivedProduct BiologicallyDerivedProductDispense
BodySite BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition Citation
Claim ClaimResponse ClinicalImpression ClinicalUseDefinition CodeSystem Communication CommunicationRequest
CompartmentDefinition Composition ConceptMap Condition ConditionDefinition Conformance Consent Contract Coverage
CoverageEligibilityRequest CoverageEligibilityResponse DataElement DetectedIssue Device DeviceAssociation DeviceComponent
DeviceDefinition DeviceDispense DeviceMetric DeviceRequest DeviceUsage DeviceUseStatement DiagnosticReport DocumentManifest
DocumentReference EffectEvidenceSynthesis EligibilityRequest EligibilityResponse Encounter EncounterHistory Endpoint
EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceReport EvidenceVariable ExampleScenario
ExpansionProfile ExplanationOfBenefit FamilyMemberHistory Flag FormularyItem GenomicStudy Goal GraphDefinition Group
GuidanceResponse HealthcareService ImagingManifest ImagingSelection ImagingStudy Immunization ImmunizationEvaluation
ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan InventoryItem InventoryReport Invoice Library Linkage
List Location ManufacturedItemDefinition Measure MeasureReport Media Medication MedicationAdministration MedicationDispense
MedicationKnowledge MedicationRequest MedicationStatement MedicinalProduct MedicinalProductAuthorization
MedicinalProductContraindication MedicinalProductDefinition MedicinalProductIndication MedicinalProductIngredient
MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged MedicinalProductPharmaceutical
MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionIntake
NutritionOrder NutritionProduct Observation ObservationDefinition OperationDefinition OperationOutcome Organization
OrganizationAffiliation PackagedProductDefinition Parameters Patient PaymentNotice PaymentReconciliation Permission Person
PlanDefinition Practitioner PractitionerRole Procedure ProcedureRequest ProcessRequest ProcessResponse Provenance
Questionnaire QuestionnaireResponse ReferralRequest RegulatedAuthorization RelatedPerson RequestGroup RequestOrchestration
Requirements ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskAssessment RiskEvidenceSynthesis
Schedule SearchParameter Sequence ServiceDefinition ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition
StructureMap Subscription SubscriptionStatus SubscriptionTopic Substance SubstanceDefinition SubstanceNucleicAcid
SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification SupplyDelivery
SupplyRequest Task TerminologyCapabilities TestPlan TestReport TestScript Transport ValueSet VerificationResult
VisionPrescription
`)

// params are search and result parameters of the specification, and the names by which servers page.
var params = set(`
_bundletype _contained _containedType _content _continuation _count _cursor _elements _filter _format _getpages
_getpagesoffset _graph _has _id _include _lastUpdated _limit _list _offset _outputFormat _page _pageSize _pageToken
_page_token _pretty _profile _query _revinclude _security _since _skip _skiptoken _sort _source _stateid _summary _tag _text
_total _type _typeFilter abatement-age abatement-date abatement-string accession action active activity-code activity-date
activity-reference actor actuality acuity address address-city address-country address-postalcode address-state address-use
adjudication agent agent.patient altid appointment appointment-type asserted-date asserter attester author authored authored-
on authoredon based-on beneficiary billable-period billable-period-start birthdate body-site bodysite bodystructure bookmark
category characteristic class class-type classification clinical-status code code-value-quantity collector combo-code combo-
value-quantity completed component-code component-value-quantity confidentiality consentor contact content-ref contenttype
context continuation controller count coverage created creation-date criticality ct cursor custodian data-absent-reason date
date-written death-date deceased derived-from description detail-udi device disposition effective effective-time email
encounter end endpoint enterer entity.patient event evidence evidence-detail executed expiration-date facility family focus
format formula gender general-practitioner given grantee group-identifier guarantor has-member hospitalization identifier
individual information-provider ingredient ingredient-code instantiates-canonical instantiates-uri intended-performer intent
issued item itemid jurisdiction kind language last-date lastupdated length lifecycle-status limit link location lot-number
manager managing-organization manifestation manufacturer medication medium member method modality mode model name next notes
occurrence occurrence-date offset onset onset-age onset-date onset-info operator order organization outcome owner page
pageSize pageToken page_size page_token part-of participant participant-actor participation partof patient payee payment-date
payment-issuer paymentby-party payor performed performer performer-actor period phone phonetic policy-holder policy-uri
priority procedure product purpose queryId questionnaire reaction reaction-date reason reason-code reason-given reason-not-
given reason-reference receiver recipient recorded recorded-date recorder related-ref relatesto relation relationship repeat
replaces request requestedperformer-reference requester response result results route search-id searchId security-label sender
sent series service-category service-date service-type sessionID sessionId setting severity signature-type signer site site-id
skip slot snapshot snapshotid source special-arrangement species specimen stage start start-date startIndex started stateid
status status-reason study subject submitted subscriber subtype supporting-info target target-date target-disease
target.patient target.subject telecom title topic trigger type udi-carrier udi-di url use vaccine-code valid value value-
concept value-date value-quantity value-string variant-start verification-status version when whenGiven whenhandedover
whenprepared {def}
`)

// modifiers of search parameters. A resource type is one too.
var modifiers = set("missing exact contains not text in not-in below above identifier of-type iterate recurse code-text text-advanced")

// operations, without the dollar sign.
var operations = set(`
apply binary-access-read care-gaps closure collect-data conforms convert data-requirements diff docref document evaluate-
measure everything expand export find-matches graph graphql implements lastn lookup match member-match meta populate process
process-message purge reindex snapshot stats submit-data subsumes summary transform translate validate versions
`)

// words are path segments that are neither types nor ids.
var words = set("metadata _search _history .well-known smart-configuration $ _page")

var (
	severities  = set("fatal error warning information success")
	issueCodes  = set("invalid structure required value invariant security login unknown expired forbidden suppressed processing not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational success limited-filter")
	bundleTypes = set("searchset batch-response transaction-response history collection document message batch transaction subscription-notification")
	modes       = set("match include outcome")
	relations   = set("self next prev previous first last alternate")
)

// harmless values of parameters that steer the answer and say nothing of what is asked for.
var harmless = map[string]*regexp.Regexp{
	"_count":      regexp.MustCompile(`^[0-9]{1,6}$`),
	"_summary":    regexp.MustCompile(`^(count|true|false|text|data)$`),
	"_total":      regexp.MustCompile(`^(none|estimate|accurate)$`),
	"_format":     regexp.MustCompile(`^(json|application/(fhir\+)?json)$`),
	"_pretty":     regexp.MustCompile(`^(true|false)$`),
	"_bundletype": regexp.MustCompile(`^searchset$`),
	"_type":       nil, // a list of resource types: see value.
}

var (
	typeName    = regexp.MustCompile(`^[A-Z][A-Za-z]{0,63}$`)
	elementName = regexp.MustCompile(`^_?[a-z][A-Za-z0-9]{0,63}$`)
	paramName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)
	vendorCode  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,32}$`)
	fhirVersion = regexp.MustCompile(`^[0-9]\.[0-9]{1,2}(\.[0-9]{1,3})?(-[a-z0-9.]{1,20})?$`)
	fhirDate    = regexp.MustCompile(`^(eq|ne|gt|lt|ge|le|sa|eb|ap)?([0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+)?)?)?)?)$`)
	include     = regexp.MustCompile(`^([A-Z][A-Za-z]+):([A-Za-z_*][a-zA-Z_-]*)(:[A-Z][A-Za-z]+)?$`)
	mediaType   = regexp.MustCompile(`^[a-z]{1,20}/[a-z0-9.+-]{1,60}$`)
	shortWord   = regexp.MustCompile(`^[a-zA-Z0-9.-]{1,20}$`)
)
