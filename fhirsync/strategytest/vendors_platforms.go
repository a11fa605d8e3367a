package strategytest

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// everyKind has all types, and enough of some to fill pages.
const everyKind = allTypes + ` Observation Observation Observation Observation Observation Observation Observation Observation Observation Observation
	Observation Observation Observation Observation Observation Observation Condition Condition Encounter Encounter`

// blueButtonStatement: three types, https://github.com/api-evangelist/cms/blob/HEAD/conformance/cms-conformance.yml
const blueButtonStatement = `
	Coverage beneficiary _lastUpdated startIndex
	ExplanationOfBenefit patient _lastUpdated startIndex type service-date excludeSAMHSA
	Patient _id identifier _lastUpdated startIndex
`

func blueButton() *profile {
	return &profile{
		name: "BlueButton", fewer: searching,
		base: "https://sandbox.bluebutton.cms.gov/v2/fhir",
		size: 100, types: strings.Repeat("ExplanationOfBenefit ", 24) + "Coverage",
		// https://github.com/CMSgov/bcda-static-site/blob/HEAD/src/_pages/api-documentation/access-claims-data.md
		id: func(tag, typ string, n int) string {
			id := number(11, tag, typ, strconv.Itoa(n))
			switch typ {
			case "ExplanationOfBenefit":
				return []string{"carrier--", "pde--", "outpatient--"}[n%3] + id
			case "Coverage":
				return "part-" + string(rune('a'+n%4)) + "--" + id
			}
			return "-" + id
		},
		set: func(s *fhirtest.Server, patient string) {
			s.Software, s.SoftwareVersion, s.Publisher = "Blue Button API: Direct", "2.262.0", "Centers for Medicare & Medicaid Services"
			s.Claims = statement(blueButtonStatement)
			s.DefaultCount, s.MaxCount = 10, 50
			s.Links = fhirtest.LinkStyle{Param: "startIndex", Value: fhirtest.LinkOffset, Typed: true, Query: true}
			for ref := range s.Want(patient) {
				if typ, _, _ := strings.Cut(ref, "/"); !strings.Contains(blueButtonStatement, typ) {
					s.Delete(ref) // nobody else can be read here.
				}
			}
			s.Inject(
				fhirtest.ContentType("application/json"),
				// https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/dot_ext/throttling.py
				fhirtest.RateHeaders(1200, time.Hour),
				fhirtest.HTMLError(http.StatusNotFound).For(append(notIn(blueButtonStatement), "FhirsyncProbe", "Practitioner", "PractitionerRole", "Organization", "Location")...).
					On(fhirtest.Read, fhirtest.Search, fhirtest.Count),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound, ContentType: "text/html", Body: "<html>Not Found</html>"}),
				// https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/fhir/bluebutton/views/search.py
				fhirtest.CountRejected(50).Refusing(fhirtest.Refusal{ContentType: "application/json", Body: `{"detail":"value must be at most 50"}`}),
				fhirtest.OnlyParams("startIndex", "_count", "_lastUpdated", "type", "service-date"),
				fhirtest.PatientFixed(patient),
				fhirtest.CountIgnored(),
				// Said of others: a page given twice, and one that is empty.
				fhirtest.PageTwice(1).For("ExplanationOfBenefit"),
				fhirtest.EmptyLastPage().For("Coverage"),
			)
		},
	}
}

func hapi() *profile {
	return &profile{
		name: "HAPI",
		base: "https://hapi.nowherehealth.example/fhir",
		size: 150, types: everyKind,
		id: func(tag, typ string, n int) string { return number(6, tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion = "HAPI FHIR Server", "8.8.0"
			s.Everything, s.Batch, s.RevInclude = true, true, true
			s.MaxCount = 20
			// Own observations of HAPI 8.8.0, unless it says otherwise.
			s.Inject(
				fhirtest.AnswerHeader("X-Request-Id", letters(16, "request")),
				fhirtest.UnknownParam400().Refusing(fhirtest.Refusal{Code: "processing", Text: "HAPI-0524: Unknown search parameter"}),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Code: "processing", Text: "HAPI-0446"}),
				fhirtest.TotalOnLaterPagesOnly(),
				fhirtest.EverythingWithout("Endpoint"),
				fhirtest.ExpiredCursor(2).For("Observation").Times(1).Refusing(fhirtest.Refusal{Code: "processing", Text: "HAPI-0417: Search ID does not exist"}),
				fhirtest.NextDoublePort(), // https://github.com/opensrp/fhircore/issues/1714
				// Said of others: ids on two pages, and a type that works though it is not listed.
				fhirtest.DuplicateEntries().For("Observation"),
				fhirtest.MetadataDenies("Flag", "Basic"),
			)
		},
	}
}

func azure() *profile {
	return &profile{
		name: "Azure",
		base: "https://nowhere-fhir.fhir.azurehealthcareapis.com",
		size: 150, types: everyKind,
		id: func(tag, typ string, n int) string { return uuid(tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion, s.Publisher = "Microsoft FHIR Server", "4.0.452", "Microsoft"
			s.Everything, s.Batch, s.RevInclude = true, true, true
			s.DefaultCount, s.MaxCount = 10, 20 // up to 1000 of larger records.
			s.Links = fhirtest.LinkStyle{Param: "ct", Typed: true, Query: true}
			s.Inject(
				fhirtest.AnswerHeader("X-Correlation-Id", uuid("correlation")),
				fhirtest.TooManyRequests(2, "1").On(fhirtest.Read).
					Refusing(fhirtest.Refusal{Code: "throttled", Header: http.Header{"X-Ms-Retry-After-Ms": {"350"}}}),
				// https://github.com/microsoft/fhir-server/blob/HEAD/src/Microsoft.Health.Fhir.Core/Configs/CoreFeatureConfiguration.cs
				fhirtest.TotalOnRequest(),
				// https://github.com/microsoft/fhir-server/issues/1317
				fhirtest.NextForeignHost("http://fhir-internal.nowhere.svc:8080"),
				// https://learn.microsoft.com/en-us/azure/healthcare-apis/fhir/patient-everything: of what is outside of the compartment only
				// what the Patient names comes.
				fhirtest.EverythingWithout("Practitioner", "PractitionerRole", "Location", "Medication", "Endpoint", "HealthcareService", "ResearchStudy"),
				fhirtest.PageSizeFixed(10).For("$everything").On(fhirtest.Operation, fhirtest.Page),
				// Said of others: a page that is empty and not the last.
				fhirtest.EmptyPageWithNext(1).For("DiagnosticReport", "Condition"),
			)
		},
	}
}

func medplum() *profile {
	return &profile{
		name: "Medplum", fewer: []string{"auto"},
		base: "https://api.medplum.com/fhir/R4",
		size: 150, types: everyKind,
		id: func(tag, typ string, n int) string { return uuid(tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			// https://github.com/medplum/medplum/blob/HEAD/packages/server/src/fhir/metadata.ts
			s.Software, s.SoftwareVersion, s.Publisher = "medplum", "5.0.2", "Medplum"
			s.Everything, s.Batch, s.RevInclude = true, true, true
			s.MaxCount = 20 // up to 1000 of larger records.
			// https://www.medplum.com/docs/search/paginated-search
			s.Links = fhirtest.LinkStyle{Param: "_offset", Value: fhirtest.LinkOffset, Typed: true, Query: true}
			s.Inject(
				fhirtest.MetadataWithoutOperations(),
				fhirtest.ContentType("application/json").On(fhirtest.Metadata),
				fhirtest.TotalOnRequest(),
				// Own observations of Medplum 5.0.
				fhirtest.UnknownParam400(),
				fhirtest.EntriesWithoutFullURL(),
				fhirtest.EverythingUnpaged(),
				fhirtest.CompartmentRejected().Refusing(fhirtest.Refusal{Status: http.StatusNotFound}),
				// Said of others: a page given twice, as pages by offset do when something is written meanwhile.
				fhirtest.PageTwice(1).For("Observation"),
			)
		},
	}
}

func oneUp() *profile {
	return &profile{
		name: "1upHealth",
		base: "https://api.1up.health/r4",
		size: 150, types: everyKind,
		id: func(tag, typ string, n int) string { return number(12, tag, typ, strconv.Itoa(n)) },
		set: func(s *fhirtest.Server, _ string) {
			s.Software, s.SoftwareVersion, s.Publisher = "1up FHIR Server", "4.0.1 1.42.4 main 14b02b7", "1upHealth"
			s.Everything, s.RevInclude = true, true
			// https://docs.1up.health/help-center/Content/en-US/api-references/fhir-api-search-pagination.html
			s.DefaultCount, s.MaxCount = 10, 20 // up to 100 of larger records.
			s.Links = fhirtest.LinkStyle{Param: "_after", Typed: true, Query: true}
			s.Inject(
				fhirtest.MetadataPadded(500_000),
				// https://1up.health/docs/api/fhir/everything
				fhirtest.PageSizeFixed(10).For("$everything").On(fhirtest.Operation, fhirtest.Page),
				// Said of others: a gateway that fails now and then, and a page that is empty and not the last.
				fhirtest.HTMLError(http.StatusBadGateway).After(9).Times(2),
				fhirtest.EmptyPageWithNext(2).For("Observation"),
			)
		},
	}
}
