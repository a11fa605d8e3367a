package strategytest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// epicStatement is cut down to the types that the generator knows:
// https://github.com/api-evangelist/epic-systems/blob/HEAD/fhir/epic-fhir-r4-capabilitystatement.json
const epicStatement = `
	Account _count _id +Provenance:target
	AdverseEvent research-subject seriousness study subject _count _id category date event +Provenance:target
	AllergyIntolerance clinical-status patient _count _id code date +Provenance:target
	Appointment date identifier patient service-category status _count _id actor +Provenance:target
	Binary _count _id +Provenance:target
	CarePlan category encounter patient status subject _count _id date +Provenance:target
	CareTeam patient status subject _count _id category date participant +Provenance:target
	Claim _count _id +Provenance:target
	Communication category encounter patient subject _count _id recipient sender sent status +Provenance:target
	Condition category clinical-status code encounter patient recorded-date subject _count _id +Provenance:target
	Consent category patient status subject _count _id actor date +Provenance:target
	Contract _count _id +Provenance:target
	Coverage beneficiary patient _count _id payor status subscriber +Provenance:target
	Device device-name manufacturer model patient udi-carrier udi-di _count _id status type +Provenance:target
	DiagnosticReport category code date identifier patient subject _count _id status +Provenance:target
	DocumentReference author category date docstatus encounter patient period status subject type _count _id _lastupdated +Provenance:target
	Encounter class date identifier patient subject _count _id status +Provenance:target
	Endpoint _count _id +Provenance:target
	EpisodeOfCare patient status type _count _id date +Provenance:target
	ExplanationOfBenefit created identifier patient service-date type use _count _id status +Provenance:target
	FamilyMemberHistory patient _count _id status +Provenance:target
	Flag category encounter patient status subject _count _id +Provenance:target
	Goal category lifecycle-status patient start-date subject _count _id +Provenance:target
	Group _count _id $group-export
	ImagingStudy identifier patient subject _count _id started status +Provenance:target
	Immunization date patient status _count _id +Provenance:target
	List code encounter identifier patient subject _count _id status +Provenance:target
	Location type _count _id +Provenance:target
	Media _count _id +Provenance:target
	Medication _count _id +Provenance:target
	MedicationAdministration context effective-time patient performer request status subject _count _id +Provenance:target
	MedicationDispense category patient subject _count _id status whenhandedover +Provenance:target
	MedicationRequest category date intent patient status subject _count _id authoredon +Provenance:target
	NutritionOrder patient _count _id status +Provenance:target
	Observation based-on category code date focus issued patient subject _count _id performer status +Provenance:target
	Organization _count _id +Provenance:target
	Patient address birthdate family gender given identifier name telecom _count _id $match $summary +Provenance:target
	Practitioner family given identifier name _count _id +Provenance:target
	PractitionerRole location organization practitioner specialty _count _id +Provenance:target
	Procedure category code date identifier patient subject _count _id performer status +Provenance:target
	Provenance -
	QuestionnaireResponse patient subject _count _id authored status +Provenance:target
	RelatedPerson patient _count _id +Provenance:target
	ResearchStudy _count _id +Provenance:target
	ServiceRequest category code encounter patient requester status subject _count _id +Provenance:target
	Specimen _count _id +Provenance:target
	Task code encounter patient status subject _count _id +Provenance:target
`

// epicCategories are what the parameter's documentation in the same statement names, and exam, which clients were seen to use.
const epicCategories = `laboratory vital-signs social-history core-characteristics LDA LDA-property LDA-assessment functional-mental-status
	periodontal labor-delivery newborn-delivery obstetrics-gynecology survey sdoh imaging exam 384821006 118228005 252275004 275711006 68793005
	395124008 314076009 19851009 405825005`

// epicRefusal refuses with a code of https://github.com/api-evangelist/epic-systems/blob/HEAD/errors/epic-systems-error-codes.yml
func epicRefusal(code, text string) fhirtest.Refusal {
	return fhirtest.Refusal{
		Status: http.StatusBadRequest, Severity: "fatal", Code: "business-rule", Details: []string{code}, System: "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", Text: text,
	}
}

func epic() *profile {
	const types = `Observation Observation Observation Observation Observation Observation Observation Observation Observation Observation
		Observation Observation Condition Condition Condition Encounter Encounter DiagnosticReport DocumentReference Procedure
		MedicationRequest AllergyIntolerance AdverseEvent Appointment CareTeam Communication Consent Coverage Device
		ExplanationOfBenefit FamilyMemberHistory Flag Goal ImagingStudy Immunization List MedicationDispense NutritionOrder
		QuestionnaireResponse RelatedPerson ServiceRequest Task Provenance Account Claim Specimen Basic`
	idOnly := strings.Fields("Account Claim Contract Media Specimen")
	return &profile{
		name: "Epic", fewer: searching,
		base: "https://epicproxy.nowherehealth.example/FHIRProxy/api/FHIR/R4",
		size: 140, types: types,
		// Longer than the 64 characters of FHIR's id: https://github.com/FirelyTeam/firely-net-sdk/issues/1919
		id: func(tag, typ string, n int) string {
			if typ == "DocumentReference" || typ == "Condition" {
				return "e" + letters(78, tag, typ, strconv.Itoa(n))
			}
			return "e" + letters(23, tag, typ, strconv.Itoa(n))
		},
		extra: func(p *profile, patient string) []fhirtest.Resource {
			var out []fhirtest.Resource
			for i, category := range strings.Fields("core-characteristics LDA-assessment labor-delivery sdoh sdoh") {
				out = append(out, made("Observation", p.id("a", "Observation", 500+i), patient,
					`"status":"final","category":[{"coding":[{"system":"http://open.epic.com/FHIR/StructureDefinition/observation-category","code":"`+category+
						`"}]}],"code":{"text":"Invented"},"subject":{"reference":"PATIENT"}`, "patient=PATIENT", "subject=PATIENT", "category=http://open.epic.com/FHIR/StructureDefinition/observation-category|"+category, "status=final"))
			}
			for i, category := range strings.Fields("734163000 736271009 738906000 38717003") {
				out = append(out, made("CarePlan", p.id("a", "CarePlan", i), patient,
					`"status":"active","intent":"plan","category":[{"coding":[{"system":"http://snomed.info/sct","code":"`+category+`"}]}],"subject":{"reference":"PATIENT"}`,
					"patient=PATIENT", "subject=PATIENT", "category=http://snomed.info/sct|"+category))
			}
			episode := p.id("a", "EpisodeOfCare", 0)
			named := made("Encounter", p.id("a", "Encounter", 500), patient,
				`"status":"finished","class":{"code":"AMB"},"subject":{"reference":"PATIENT"},"episodeOfCare":[{"reference":"EpisodeOfCare/`+episode+`"}]`, "patient=PATIENT", "subject=PATIENT")
			named.Links = append(named.Links, "EpisodeOfCare/"+episode)
			return append(out, named,
				made("EpisodeOfCare", episode, patient, `"status":"active","patient":{"reference":"PATIENT"},"type":[{"coding":[{"system":"urn:epic","code":"pregnancy"}]}]`, "patient=PATIENT", "type=urn:epic|pregnancy"))
		},
		// https://github.com/smart-on-fhir/cumulus-fhir-support/blob/HEAD/cumulus_fhir_support/client.py
		server: fhirsync.Server{Header: http.Header{"Epic-Client-Id": {"00000000-0000-0000-0000-000000000000"}}},
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion = "Epic", "May 2026"
			s.Claims = statement(epicStatement)
			s.RevInclude = true
			s.MaxCount = 25 // Epic's pages are larger, and so are its records.
			s.Links = fhirtest.LinkStyle{Param: "sessionID", Typed: true}
			s.Inject(
				fhirtest.RequiredHeader("Epic-Client-ID").Refusing(fhirtest.Refusal{Status: http.StatusUnauthorized, ContentType: "text/html", Body: "<html>Unauthorized</html>"}),
				// What is not in the statement is not there: the web server says so.
				fhirtest.HTMLError(http.StatusNotFound).For(append(notIn(epicStatement, "Basic"), "FhirsyncProbe")...).On(fhirtest.Read, fhirtest.Search, fhirtest.Count),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound, ContentType: "text/html", Body: "<html>404</html>"}),
				fhirtest.Status(http.StatusMethodNotAllowed).For("Provenance").On(fhirtest.Search, fhirtest.Count),
				fhirtest.ParamRequired("_id").For(idOnly...).Refusing(epicRefusal("4111", "Required search parameter missing from request.")),
				fhirtest.ParamRequired("category", "code").For("Observation").Refusing(epicRefusal("59108", "Either category or code must be specified.")),
				fhirtest.ParamValues("category", strings.Fields(epicCategories)...).For("Observation").Refusing(epicRefusal("59111", "Required category invalid.")),
				fhirtest.ParamRequired("category").For("CarePlan").Refusing(epicRefusal("59108", "Required category missing.")),
				// https://github.com/smart-on-fhir/smart-fetch/blob/HEAD/smart_fetch/crawl_utils.py
				fhirtest.ParamRequired("type").For("EpisodeOfCare").Refusing(epicRefusal("4111", "Required search parameter missing from request: type.")),
				fhirtest.ModifiersRejected().Refusing(epicRefusal("4100", "The resource request contained an invalid parameter.")),
				fhirtest.ParamIgnored("_lastUpdated"),
				fhirtest.CountIgnored(),
				fhirtest.NoTotal().On(fhirtest.Search, fhirtest.Page, fhirtest.Count),
				// https://github.com/onc-healthit/inferno-program/issues/229
				fhirtest.OutcomeEntry("warning", "processing", "4119"),
				fhirtest.EmptyOutcome(),
				fhirtest.ExpiredCursor(2).For("Observation").Times(1).Refusing(epicRefusal("4113", "Session ID for cached search results has expired.")),
				// https://github.com/fastenhealth/fasten-onprem/issues/510
				fhirtest.StatusEmpty(http.StatusForbidden).For("Location").On(fhirtest.Read),
				// Said of others: an id on two pages, and a type that works though it is not listed (Basic).
				fhirtest.DuplicateEntries().For("Condition"),
			)
		},
	}
}
