package fhirtest

import (
	"net/http"
	"time"
)

// Faults gives at least one instance of every fault, with unique names, for tests that run over all of them; only
// HiddenFromSearch and PatientFixed are missing, because they must name a resource. Those that pass are limited by Times, the others last.
// Many come twice, for all types and for Observation alone. The slice is new for each call.
func Faults() []Fault {
	return []Fault{
		// Paging that ends too soon.
		PageCap(10),                    // the tenth match is the last, and nothing tells
		PageCap(10).For("Observation"), // one type alone
		CutWithOutcome(10, "incomplete"), CutWithOutcome(10, "too-costly").For("Observation"),
		MissingNext(1),    // the first page has no next
		MissingNext(2),    // the second page has none
		PageSizeCap(5),    // short pages, with next
		PageSizeFixed(7),  // _count is ignored
		CountRejected(50), // 400 for large pages
		CountRejected(0),  // 400 for every _count

		// Paging that does not end, or goes astray.
		NextLoop(1, 1),             // to itself
		NextLoop(2, 1),             // back to the start
		RepeatedPage(),             // the last page, for ever
		EndlessPages(),             // something new, for ever
		EmptyPageWithNext(1),       // an empty page is not the end
		EmptyPageWithNext(2),       // in the middle
		EmptyLastPage(),            // one page too many
		PageTwice(1), PageTwice(2), // a page again
		ExpiredCursor(2).Times(1), // the first search expires
		ExpiredCursor(2),          // every search expires
		NextForeignHost("http://10.0.66.99:8080/fhir"),
		NextRelative(), NextSchemeless(), NextDowngraded(), NextDoublePort(),
		DuplicateEntries(), // on a page and across pages

		// Totals and counts.
		WrongTotal(+3),          // says there is more
		WrongTotal(-3),          // says there is less
		NoTotal(),               // says nothing
		TotalOnRequest(),        // says it to _total=accurate
		TotalIsPageSize(),       // says how many are on the page
		TotalOnLaterPagesOnly(), // says it late
		CountWrong(+2), CountWrong(-2), CountCap(10), CountUnsupported(), CountIgnored(), CountWithoutTotal(),

		// HTTP.
		TruncatedBody().Times(1), TruncatedBody().For("Observation"), TruncatedChunks().Times(2), TruncatedJSON().Times(1), TruncatedJSON().For("Observation"),
		GzipCorrupt().Times(1), ConnectionLost().Times(2), ContentType("application/json+fhir"), ContentType("text/plain"),
		LoginPage(), LoginPage().After(3).Times(1), HTMLError(http.StatusBadGateway).Times(2), HTMLError(http.StatusNotFound).For("Observation"),
		Status(http.StatusForbidden).For("Goal"), Status(http.StatusNotFound).For("Goal"), Status(http.StatusMethodNotAllowed).For("Goal"),
		Status(http.StatusNotImplemented).For("Goal"), Status(http.StatusBadRequest).For("Goal"), Status(http.StatusInternalServerError).For("Goal"),
		Status(http.StatusInternalServerError).Times(2), Status(http.StatusForbidden).On(Page), StatusEmpty(http.StatusForbidden).For("Practitioner"),
		TooManyRequests(2, "1"), TooManyRequests(2, ""), TooManyRequestsUntil(1, 3*time.Second), TooManyRequests(1, "1795381555"),
		Unavailable(2, "1"), Unavailable(2, ""), UnavailableUntil(1, 3*time.Second), RateLimit(20, time.Second), RateLimitByClock(20, time.Second), RateHeaders(100, time.Minute),
		TokenDies(5), RequiredHeader("X-Request-Id"), QueryRequired("tenant", "Organization/1"), AnswerHeader("X-Correlation-Id", "1"), Redirect("https://elsewhere.fhirtest.example/fhir").For("Observation"),
		Slow(50 * time.Millisecond), SlowBody(time.Millisecond), Hang().Times(1), StalledBody().Times(1),

		// Inside the searchset.
		OutcomeEntry("warning", "processing", "4119"), OutcomeEntry("warning", "incomplete"), OutcomeEntry("information", "informational"),
		EmptyOutcome(), ErrorOutcome200().For("Observation"), ErrorOutcome200().Times(2),
		Subsetted(), BrokenEntry("NaN"), BrokenEntry("\"raw \x01 control\""), EntryWithoutID(), EntryWithoutResource(), EntriesWithoutFullURL(),
		WrongIDOnRead(), WrongIDOnRead().For("Practitioner"), OddBundle(), HugePage(1 << 20), HeavyEntries(1 << 10),

		// Searches by several ids, reads by one, and names.
		IDListFindsNothing(), IDListCut(2), IDListRefused(1), IDIgnored(), ParamIgnored("_id"), WrongTypeOnRead().For("Practitioner", "Organization"),
		Status(http.StatusForbidden).For("Practitioner").On(Read), OtherName("http://10.0.66.99:8080/fhir"),

		// Contents.
		BinaryNative(), BinaryWrapped(), BinaryAccept(), BinaryWithoutData(), WrongContent(), Status(http.StatusForbidden).For("Binary"), HTMLError(http.StatusOK).For("Binary"),

		// The text itself.
		ByteOrderMark(), UTF16(), Latin1("iso-8859-1"), Latin1("utf-8"), TrailingCommas(), TrailingCommas().For("Observation"), JSONComments(), NamesWithoutQuotes(),
		BrokenEntry("007"), BrokenEntry("925."), BrokenEntry("\"caf\xC3\""), OddResources("007"), OddResources("NaN").For("Observation"), OddResources("\"caf\xC3\"").For("Condition"),
		EntriesWithoutID(), EntriesWithoutType(), ResourceInsteadOfBundle(), NDJSONInsteadOfBundle(), DoubledBundle(), NestedBundle(), EntryAsObject(),
		XMLUnlessFormat(), XMLOnly().For("Observation"), XMLOnly().After(1).Times(1),

		// What a search means.
		FilterIgnored(), FilterIgnored().For("Observation"), ParamIgnored("_lastUpdated"), ParamIgnored("subject"), ParamIgnored("_count"), ParamFindsNothing("patient").For("DocumentReference"), ParamRejected("patient").For("Observation"),
		ParamRequired("category").For("Observation"), ParamRequired("status").For("Observation"), ParamRequired("category", "code").For("Observation"), ParamRequired("_id").For("Goal"), ParamRequired("-level").For("RelatedPerson"),
		ParamRequired("category").For("CarePlan").Refusing(Refusal{Status: http.StatusUnprocessableEntity, Severity: "fatal", Code: "business-rule", Details: []string{"59108"}}),
		ParamValues("status", "final").For("Observation"), OnlyParams("_count", "patient"), ModifiersRejected(), ForeignMixed(2), SelfVerbatim(), SelfWithoutParams(),
		BareIDFindsNothing(), TypedIDFindsNothing(), AbsoluteIDFindsNothing(), UnknownParam400(), UnknownTypeEmpty(), Empty404(), EmptyWithoutLinks(), CompartmentRejected(),

		// Metadata.
		MetadataMissing(http.StatusNotFound), MetadataMissing(http.StatusUnauthorized), MetadataHTML(),
		MetadataDenies("Observation", "Device"), MetadataDenies(), MetadataClaims("VisionPrescription", "Schedule"), MetadataWithoutParams(), MetadataWithoutOperations(), MetadataPadded(1 << 19),
	}
}
