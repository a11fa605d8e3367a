package strategytest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// oracleStatement is cut down to the types that the generator knows:
// https://github.com/api-evangelist/cerner/blob/HEAD/conformance/cerner-capability-statement-r4-secure.json
const oracleStatement = `
	Account _id patient -encounter -guarantor type identifier _count
	AllergyIntolerance _id patient clinical-status _lastUpdated +Provenance:target
	Appointment _id _count date -date-or-req-period patient practitioner location status
	Binary - $autogen-ccd-if
	CarePlan _id date patient category _count +Provenance:target
	CareTeam _id category encounter patient status +Provenance:target
	Communication _id category received recipient -email-status
	Condition _id patient encounter subject clinical-status category _lastUpdated +Provenance:target
	Consent _id patient actor
	Coverage _id patient -encounter +Provenance:target
	Device _id patient +Provenance:target
	DiagnosticReport _id category code encounter patient date _lastUpdated _count +Provenance:target
	DocumentReference _id patient encounter period _count type category date _lastUpdated +Provenance:target
	Encounter _id _count patient subject status date identifier account _lastUpdated +Provenance:target
	FamilyMemberHistory _id patient status
	Goal _id patient target-date +Provenance:target
	Immunization _id patient _lastUpdated date target-disease +Provenance:target
	Location _id -physicalType identifier address name organization type
	Media -
	MedicationAdministration _id patient status performer effective-time
	MedicationDispense _id patient date _lastUpdated _count +Provenance:target
	MedicationRequest _id patient intent status _lastUpdated -timing-boundsPeriod _count +Provenance:target
	NutritionOrder _id patient status _lastUpdated _count +Provenance:target
	Observation _id patient subject category code date _lastUpdated _count +Provenance:target
	Organization _id identifier type _count name address
	Patient _id identifier name given family birthdate phone email gender _count $health-cards-issue $export +Provenance:target
	Person _id identifier
	Practitioner _id identifier given family name active _count
	Procedure _id patient subject date _lastUpdated +Provenance:target
	Provenance _id target
	QuestionnaireResponse _id patient
	RelatedPerson _id identifier patient -encounter -relationship-level +Provenance:target
	ServiceRequest _id patient subject code _lastUpdated _count +Provenance:target
	Specimen _id
`

func oracleHealth() *profile {
	const types = `Observation Observation Observation Observation Observation Observation Observation Observation Observation Observation
		DiagnosticReport DiagnosticReport DiagnosticReport DocumentReference DocumentReference Condition Condition Encounter
		Procedure MedicationRequest AllergyIntolerance CareTeam Consent Coverage Device FamilyMemberHistory Goal Immunization
		MedicationAdministration MedicationDispense NutritionOrder QuestionnaireResponse ServiceRequest Provenance Account Appointment
		Communication Specimen Media Flag`
	noParams := func() fhirtest.Refusal {
		return fhirtest.Refusal{Status: http.StatusBadRequest, ContentType: "text/plain", Body: "no supported search parameters provided"}
	}
	return &profile{
		name: "OracleHealth", fewer: searching,
		base: "https://fhir-ehr-code.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d",
		size: 130, types: types,
		// https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4/clinical/care-provision/care-team.md
		id: func(tag, typ string, n int) string {
			id := number(9, tag, typ, strconv.Itoa(n))
			switch typ {
			case "Observation":
				return []string{"L-", "VS-", "SH-"}[n%3] + id
			case "CareTeam":
				return "LIFETIME_PROVIDER-" + id
			case "Communication":
				return id + ".0.-4.prsnl"
			case "Immunization":
				return "M" + id
			case "Condition":
				return "p" + id
			}
			return id
		},
		extra: func(p *profile, patient string) []fhirtest.Resource {
			var out []fhirtest.Resource
			for i := range 3 {
				out = append(out, made("CarePlan", p.id("a", "CarePlan", i), patient,
					`"status":"active","intent":"plan","category":[{"coding":[{"system":"http://hl7.org/fhir/us/core/CodeSystem/careplan-category","code":"assess-plan"}]}],"subject":{"reference":"PATIENT"}`,
					"patient=PATIENT", "category=http://hl7.org/fhir/us/core/CodeSystem/careplan-category|assess-plan"))
			}
			return append(out, made("RelatedPerson", p.id("a", "RelatedPerson", 0), patient, `"active":true,"patient":{"reference":"PATIENT"}`, "patient=PATIENT", "-relationship-level=Patient"))
		},
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.Publisher = "", "Oracle Health"
			s.Claims = statement(oracleStatement)
			s.RevInclude, s.Batch = true, true
			s.DefaultCount, s.MaxCount = 10, 50
			s.Links = fhirtest.LinkStyle{Param: "-pageContext", Typed: true, Query: true, Extra: url.Values{"-pageDirection": {"NEXT"}}}
			s.Inject(
				fhirtest.AnswerHeader("X-Request-Id", uuid("request")),
				fhirtest.ContentType("application/json+fhir"),
				fhirtest.Status(http.StatusNotFound).For(notIn(oracleStatement, "Flag")...).On(fhirtest.Read, fhirtest.Search, fhirtest.Count).
					Refusing(fhirtest.Refusal{ContentType: "text/plain", Body: ""}),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound, ContentType: "text/plain", Body: ""}),
				// The grant has no scope for Provenance:
				// https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4/base/management/encounter.md
				fhirtest.ParamRejected("_revinclude").Refusing(fhirtest.Refusal{Status: http.StatusForbidden}),
				fhirtest.Status(http.StatusMethodNotAllowed).For("Media").On(fhirtest.Search, fhirtest.Count),
				fhirtest.ParamRequired("target", "_id").For("Provenance").Refusing(noParams()),
				fhirtest.ParamRequired("identifier", "_id").For("Account").Refusing(noParams()),
				fhirtest.ParamRequired("received", "_id").For("Communication").Refusing(noParams()),
				fhirtest.ParamRequired("_id").For("Specimen").Refusing(noParams()),
				fhirtest.ParamRequired("date", "-date-or-req-period").For("Appointment").Refusing(fhirtest.Refusal{Code: "required", Text: "date or -date-or-req-period must be set"}),
				fhirtest.ParamRequired("-relationship-level").For("RelatedPerson").Refusing(fhirtest.Refusal{Code: "required", Text: "-relationship-level must be set"}),
				fhirtest.ParamRequired("category").For("CarePlan").Refusing(fhirtest.Refusal{Code: "required", Text: "category must be set"}),
				fhirtest.ParamValues("category", "assess-plan").For("CarePlan").Refusing(fhirtest.Refusal{Code: "value", Text: "category is not supported"}),
				// One record without what FHIR wants of it makes the whole answer fail:
				// https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4.md
				fhirtest.Status(http.StatusInternalServerError).For("NutritionOrder").On(fhirtest.Search, fhirtest.Count).
					Refusing(fhirtest.Refusal{Severity: "fatal", Code: "required", Text: "Response is missing a required field"}),
				fhirtest.PageSizeFixed(40).For("Observation").On(fhirtest.Search),
				fhirtest.PageSizeCap(10).For("DiagnosticReport", "DocumentReference"),
				fhirtest.CountIgnored(),
				fhirtest.NoTotal().On(fhirtest.Search, fhirtest.Page, fhirtest.Count),
				fhirtest.DuplicateEntries().For("Observation"),
				// Said of others: an empty last page, and a type that works though it is not listed (Flag).
				fhirtest.EmptyLastPage().For("Condition", "DiagnosticReport"),
			)
		},
	}
}

// athenaStatement is what could be read of
// https://github.com/api-evangelist/athenahealth/blob/HEAD/conformance/athenahealth-fhir-capabilitystatement.json
const athenaStatement = `
	AllergyIntolerance patient _count cursor _revinclude _include _lastUpdated code ah-practice _security +Provenance:target
	Appointment _id _query base-appointment-id group-appointment-id ah-practice
	Binary -
	CarePlan patient category _lastUpdated _count _id _revinclude cursor ah-practice +Provenance:target
	CareTeam patient status _lastUpdated _count _id _revinclude cursor ah-practice +Provenance:target
	Condition _id patient encounter _revinclude ah-practice _count cursor _lastUpdated code category +Provenance:target
	Coverage _id patient _count cursor ah-practice
	Device _id patient _count cursor ah-practice +Provenance:target
	DiagnosticReport _id patient category code date _count cursor ah-practice +Provenance:target
	DocumentReference _id patient category type date _count cursor ah-practice +Provenance:target
	Encounter _id patient date _count cursor ah-practice +Provenance:target
	Goal _id patient lifecycle-status _count cursor ah-practice +Provenance:target
	Immunization _id patient status date _count cursor ah-practice +Provenance:target
	Location _id name ah-practice
	Medication _id ah-practice
	MedicationRequest _id patient intent status encounter _count cursor ah-practice +Provenance:target
	Observation _id patient category code date _count cursor ah-practice +Provenance:target
	Organization _id name ah-practice
	Patient _id name family given birthdate identifier ah-practice _count cursor +Provenance:target
	Practitioner _id name ah-practice
	Procedure _id patient date code _count cursor ah-practice +Provenance:target
	Provenance target ah-practice
`

func athenahealth() *profile {
	const types = `Observation Observation Observation Observation Observation Observation Observation Condition Condition Encounter
		DiagnosticReport DocumentReference Procedure AllergyIntolerance CareTeam CarePlan Coverage Device Goal Immunization Provenance
		Appointment`
	required := func(names string) fhirtest.Refusal {
		return fhirtest.Refusal{Code: "required", Text: "required search parameters: " + names}
	}
	return &profile{
		name: "athenahealth",
		base: "https://api.platform.athenahealth.com/fhir/r4",
		size: 90, types: types,
		id: func(tag, typ string, n int) string {
			return "a-195900." + typ[:1] + "-" + number(6, tag, typ, strconv.Itoa(n))
		},
		extra: func(p *profile, patient string) []fhirtest.Resource {
			var out []fhirtest.Resource
			for i, intent := range strings.Fields("order order plan") {
				out = append(out, made("MedicationRequest", p.id("a", "MedicationRequest", i), patient,
					`"status":"active","intent":"`+intent+`","subject":{"reference":"PATIENT"}`, "patient=PATIENT", "intent=http://hl7.org/fhir/CodeSystem/medicationrequest-intent|"+intent))
			}
			return out
		},
		server: fhirsync.Server{Vars: map[string]string{"ah-practice": "Organization/a-1.Practice-195900"}},
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion, s.Publisher = "athenahealth FHIR Server", "2026.8", "athenahealth"
			s.Claims = statement(athenaStatement)
			s.RevInclude = true
			s.DefaultCount, s.MaxCount = 10, 20
			s.Links = fhirtest.LinkStyle{Param: "cursor", Typed: true, Query: true}
			s.Inject(
				// https://github.com/cfu288/mere-medical/blob/HEAD/apps/web/src/services/fhir/Athena.ts
				fhirtest.QueryRequired("ah-practice", "Organization/a-1.Practice-195900").Refusing(required("ah-practice")),
				fhirtest.Status(http.StatusNotFound).For(notIn(athenaStatement)...).On(fhirtest.Read, fhirtest.Search, fhirtest.Count),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound}),
				fhirtest.ParamRequired("_id").For("Appointment").Refusing(required("_id")),
				fhirtest.ParamRequired("target").For("Provenance").Refusing(required("target")),
				fhirtest.ParamRequired("intent", "_id").For("MedicationRequest").Refusing(required("patient, intent")),
				fhirtest.ParamRequired("category", "code", "_id").For("Observation").Refusing(required("patient, category")),
				// Said of others: a total that is another one on later pages.
				fhirtest.WrongTotal(1).For("Observation").On(fhirtest.Page),
			)
		},
	}
}

// canvasTypes are those of https://docs.canvasmedical.com/api/ that the generator knows.
const canvasTypes = `AllergyIntolerance Appointment CarePlan CareTeam Claim Communication Condition Consent Coverage Device DiagnosticReport
	DocumentReference Encounter Goal Immunization Location Media Medication MedicationRequest MedicationStatement Observation Organization
	Patient Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen Task`

func canvas() *profile {
	var listed strings.Builder
	for typ := range strings.FieldsSeq(canvasTypes) {
		listed.WriteString("\n" + typ + " _id")
		if searchable(typ) && typ != "Patient" {
			listed.WriteString(" patient")
		}
	}
	const types = `Observation Observation Observation Observation Observation Observation Condition Condition Encounter Encounter
		DiagnosticReport DocumentReference Procedure MedicationRequest AllergyIntolerance Appointment CarePlan CareTeam Claim
		Communication Consent Coverage Goal Immunization MedicationStatement QuestionnaireResponse RelatedPerson ServiceRequest Task Provenance`
	return &profile{
		name: "Canvas",
		base: "https://fumage-nowhere.canvasmedical.com",
		size: 110, types: types,
		id: func(tag, typ string, n int) string { return uuid(tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.Publisher = "", "Canvas Medical"
			s.Claims = statement(listed.String())
			// https://docs.canvasmedical.com/api/pagination
			s.DefaultCount, s.MaxCount = 10, 10 // up to 100 of larger records.
			s.Links = fhirtest.LinkStyle{Param: "_offset", Value: fhirtest.LinkOffset, Typed: true, Query: true}
			s.Inject(
				fhirtest.AnswerHeader("Fumage-Correlation-Id", uuid("correlation")),
				fhirtest.Status(http.StatusNotFound).For(notIn(canvasTypes)...).On(fhirtest.Read, fhirtest.Search, fhirtest.Count),
				fhirtest.NextRelative(),
				fhirtest.EmptyWithoutLinks(),
				// Said of others: a page given twice, as pages by offset do when something is written meanwhile, and a passing error.
				fhirtest.PageTwice(2).For("Observation"),
				fhirtest.Status(http.StatusInternalServerError).For("Goal").Times(1),
			)
		},
	}
}

// eCWStatement is cut down to the types that the generator knows:
// https://github.com/api-evangelist/eclinicalworks/blob/HEAD/conformance/eclinicalworks-fhir-capabilitystatement.json
const eCWStatement = `
	AllergyIntolerance _id clinical-status encounter patient +Provenance:target
	Basic code page patient
	Binary -
	CarePlan _id category encounter patient +Provenance:target
	CareTeam _id patient status +Provenance:target
	Claim -
	Condition _id category encounter onset-date page patient +Provenance:target
	Coverage _id patient +Provenance:target
	Device _id encounter patient type +Provenance:target
	DiagnosticReport _id category code date encounter page patient status +Provenance:target
	DocumentReference _id category contenttype date encounter page patient type +Provenance:target
	Encounter _id date location page patient practitioner $everything +Provenance:target
	FamilyMemberHistory _id patient
	Goal _id encounter patient +Provenance:target
	Group page $export
	Immunization _id date encounter page patient status +Provenance:target
	Location _id address name page
	Media _id
	Medication _id
	MedicationAdministration _id context patient status +Provenance:target
	MedicationDispense _id patient +Provenance:target
	MedicationRequest _id authoredon encounter intent page patient status +Provenance:target
	Observation _id _since category code date encounter identifier page patient status +Provenance:target
	Organization _id address name page type
	Patient _id birthdate family gender given identifier name page phone $everything +Provenance:target
	Practitioner _id identifier name page
	PractitionerRole _id location name page practitioner role specialty
	Procedure _id code date encounter page patient status +Provenance:target
	Provenance _id +Provenance:target
	QuestionnaireResponse _id authored patient status +Provenance:target
	RelatedPerson _id +Provenance:target
	ServiceRequest _id authored category code occurrence page patient status
	Specimen _id patient +Provenance:target
`

func eClinicalWorks() *profile {
	const types = `Observation Observation Observation Observation Observation Observation Observation Observation Condition Encounter Encounter
		DiagnosticReport DocumentReference Procedure MedicationRequest AllergyIntolerance Basic CarePlan CareTeam Claim Coverage Device
		FamilyMemberHistory Goal Immunization MedicationAdministration MedicationDispense QuestionnaireResponse RelatedPerson
		ServiceRequest Specimen Provenance`
	return &profile{
		name: "eClinicalWorks",
		base: "https://fhir4.eclinicalworks.com/fhir/r4/CFFIBD",
		size: 120, types: types,
		id: func(tag, typ string, n int) string { return letters(43, tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion, s.Publisher = "eCW FHIR Facade", "1.6", "eClinicalWorks"
			s.Claims = statement(eCWStatement)
			s.RevInclude = true
			s.DefaultCount = 10
			s.Links = fhirtest.LinkStyle{Param: "page", Value: fhirtest.LinkNumber, Typed: true, Query: true}
			s.Inject(
				// https://github.com/api-evangelist/eclinicalworks/blob/HEAD/rate-limits/eclinicalworks-rate-limits.yml
				fhirtest.RateLimitByClock(250, time.Minute),
				fhirtest.Status(http.StatusNotFound).For(notIn(eCWStatement)...).On(fhirtest.Read, fhirtest.Search, fhirtest.Count),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound}),
				fhirtest.Status(http.StatusMethodNotAllowed).For("Claim").On(fhirtest.Search, fhirtest.Count),
				fhirtest.ParamRequired("_id").For("Media", "Provenance", "RelatedPerson").Refusing(fhirtest.Refusal{Code: "required", Text: "_id is required"}),
				fhirtest.ParamIgnored("_count"),
				fhirtest.CountIgnored(),
				// Said of others: a remark in each searchset, and an id on two pages.
				fhirtest.OutcomeEntry("information", "informational"),
				fhirtest.DuplicateEntries().For("Encounter"),
			)
		},
	}
}
