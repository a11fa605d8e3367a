package fhirtest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
)

// effects tells for each constructor how its faults, as Faults lists them, show to a client.
func effects(t *testing.T) map[string]check {
	t.Helper()
	const n = 60
	truth := matches(chain(t, faulty(), obs, 10))
	if len(truth) != n {
		t.Fatalf("the patient has %d Observations", len(truth))
	}
	everybody := *page(t, faulty(), "Observation?_summary=count").Total
	absolute := "Observation?patient=" + escaped(faulty().BaseURL()+"/Patient/p")
	const typed = "Observation?patient=Patient/p"
	full := func(b *bundle) bool { return len(b.Entry) == 20 }
	entries := func(sizes ...int) check {
		return pages(func(p []*bundle) bool {
			return slices.EqualFunc(p, sizes, func(b *bundle, n int) bool { return len(b.Entry) == n })
		})
	}
	entry := func(i int, want string) check { return first(func(b *bundle) bool { return b.refs()[i] == want }) }
	status := func(code int, contains string) check {
		return byName(map[string]check{
			fmtName("Status(%d).For(Goal)", code): all(answers("Goal?patient=p", code, contains), answers(obs, 200, "Bundle"), answers("metadata", 200, "Goal")),
			fmtName("Status(%d).Times(2)", code):  answers(obs, code, contains),
			fmtName("Status(%d).On(page)", code): func(t *testing.T, f fhirtest.Fault) {
				t.Helper()
				s := faulty(f)
				if a := get(t.Context(), s.Client(), page(t, s, obs).link("next")); a.status != code {
					t.Errorf("page 2: %d", a.status)
				}
			},
		})
	}
	codes := map[string]check{}
	for code, issue := range map[int]string{400: "invalid", 403: "forbidden", 404: "not-supported", 405: "not-supported", 500: "exception", 501: "not-supported"} {
		for _, form := range []string{"Status(%d).For(Goal)", "Status(%d).Times(2)", "Status(%d).On(page)"} {
			codes[fmtName(form, code)] = status(code, issue)
		}
	}
	ids := func(n int) string {
		return "Observation?_id=" + strings.ReplaceAll(strings.Join(truth[:n], ","), "Observation/", "")
	}
	readOf := func(typ string, code int) check {
		return func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			for ref := range faulty().Want("p") {
				if strings.HasPrefix(ref, typ+"/") {
					all(answers(ref, code, ""), answers(typ+"?_id="+ref[len(typ)+1:], 200, "Bundle"))(t, f)
					return
				}
			}
			t.Errorf("no %s", typ)
		}
	}
	codes["Status(403).For(Binary)"] = answers("Binary/any", http.StatusForbidden, "forbidden")
	codes["Status(403).For(Practitioner).On(read)"] = readOf("Practitioner", http.StatusForbidden)
	practitioner := func(f func(ref string) check) check {
		for ref := range faulty().Want("p") {
			if strings.HasPrefix(ref, "Practitioner/") {
				return f(ref)
			}
		}
		t.Fatal("no Practitioner")
		return nil
	}

	return map[string]check{
		// Paging.
		"PageCap": all(length(10, 1), totals(10), counted(n), finds("Goal?patient=p", 1)),
		"CutWithOutcome": all(entries(11), totals(10), counted(n), finds("Goal?patient=p", 1), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			code, _, _ := strings.Cut(f.Name[strings.Index(f.Name, ",")+1:], "[")
			if got := outcomes(page(t, faulty(f), obs), `"code":"`+code+`"`); got != 1 {
				t.Errorf("%d outcomes of code %s", got, code)
			}
			if got := outcomes(page(t, faulty(f), "Goal?patient=p"), ""); got != 0 {
				t.Errorf("%d outcomes where nothing was cut", got)
			}
		}),
		"MissingNext": byName(map[string]check{"MissingNext(1)": all(length(20, 1), totals(n)), "MissingNext(2)": all(length(40, 2), totals(n, n))}),
		"PageSizeCap": all(entries(5, 5, 5, 5, 5, 5, 5, 5), first(func(b *bundle) bool { return *b.Total == n })),
		"PageSizeFixed": all(entries(7, 7, 7, 7, 7, 7, 7, 7), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if got := page(t, faulty(f), obs+"&_count=3"); len(got.Entry) != 7 {
				t.Errorf("_count=3 gives %d", len(got.Entry))
			}
		}),
		"CountRejected": byName(map[string]check{
			"CountRejected(50)": all(answers(obs+"&_count=51", 400, "_count"), answers(obs+"&_count=50", 200, "Bundle"), length(n, 3)),
			"CountRejected(0)":  all(answers(obs+"&_count=1", 400, "_count"), length(n, 3)),
		}),
		"NextLoop": byName(map[string]check{
			"NextLoop(1,1)": all(length(20, 8), nextIs(func(s *fhirtest.Server, next string) bool { return next == s.BaseURL()+"/"+obs })),
			"NextLoop(2,1)": length(40, 8),
		}),
		"RepeatedPage": all(length(n, 8), pages(func(p []*bundle) bool {
			return p[6].link("next") != p[5].link("next") && slices.Equal(p[7].refs(), p[2].refs())
		})),
		"EndlessPages": all(length(8*20, 8), pages(func(p []*bundle) bool {
			return bytes.Contains(p[7].Entry[0].Resource, []byte(`"subject":{"reference":"Patient/p"}`))
		})),
		"EmptyPageWithNext": byName(map[string]check{
			"EmptyPageWithNext(1)": all(length(n, 4), entries(0, 20, 20, 20)), "EmptyPageWithNext(2)": all(length(n, 4), entries(20, 0, 20, 20)),
		}),
		"PageTwice": all(length(n, 4), totals(n, n, n, n), byName(map[string]check{
			"PageTwice(1)": pages(func(p []*bundle) bool {
				return slices.Equal(p[0].refs(), p[1].refs()) && !slices.Equal(p[1].refs(), p[2].refs())
			}),
			"PageTwice(2)": pages(func(p []*bundle) bool {
				return slices.Equal(p[1].refs(), p[2].refs()) && !slices.Equal(p[2].refs(), p[3].refs())
			}),
		})),
		"EmptyLastPage": all(length(n, 4), entries(20, 20, 20, 0), finds("Goal?patient=nobody", 0)),
		"ExpiredCursor": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			s := faulty(f)
			last := strings.Contains(f.Name, "Times")
			for i := range 2 {
				a := get(t.Context(), s.Client(), page(t, s, obs).link("next"))
				if gone := a.status == http.StatusGone; gone != (i == 0 || !last) {
					t.Errorf("search %d: %d", i+1, a.status)
				}
			}
		},
		"NextForeignHost": nextIs(func(_ *fhirtest.Server, next string) bool {
			return strings.HasPrefix(next, "http://10.0.66.99:8080/fhir?_getpages=")
		}),
		"NextRelative": nextIs(func(_ *fhirtest.Server, next string) bool { return strings.HasPrefix(next, "/r4?_getpages=") }),
		"NextSchemeless": nextIs(func(_ *fhirtest.Server, next string) bool {
			return strings.HasPrefix(next, "fhir.example.test/r4?_getpages=")
		}),
		"NextDowngraded": nextIs(func(_ *fhirtest.Server, next string) bool {
			return strings.HasPrefix(next, "http://fhir.example.test/r4?_getpages=")
		}),
		"NextDoublePort": nextIs(func(_ *fhirtest.Server, next string) bool {
			return strings.HasPrefix(next, "https://fhir.example.test:443:443/r4?")
		}),
		"DuplicateEntries": all(length(n, 3), entries(21, 22, 22), totals(n, n, n), entry(20, truth[0])),

		// Totals and counts.
		"WrongTotal": byName(map[string]check{"WrongTotal(+3)": all(totals(63, 63, 63), counted(n)), "WrongTotal(-3)": all(totals(57, 57, 57), counted(n))}),
		"NoTotal":    all(totals(-1, -1, -1), counted(n)),
		"TotalOnRequest": all(totals(-1, -1, -1), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if b := page(t, faulty(f), obs+"&_total=accurate"); b.Total == nil || *b.Total != n {
				t.Errorf("asked for: %v", b.Total)
			}
		}),
		"TotalIsPageSize":       totals(20, 20, 20),
		"TotalOnLaterPagesOnly": totals(-1, n, n),
		"CountWrong":            all(byName(map[string]check{"CountWrong(+2)": counted(n + 2), "CountWrong(-2)": counted(n - 2)}), totals(n, n, n)),
		"CountCap":              all(counted(10), totals(n, n, n)),
		"CountUnsupported":      all(answers(obs+"&_summary=count", 400, "not-supported"), answers(obs+"&_count=0", 400, ""), length(n, 3)),
		"CountWithoutTotal":     all(counted(-1), totals(n, n, n)),
		"CountIgnored": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			for _, form := range []string{"&_summary=count", "&_count=0"} {
				if b := page(t, faulty(f), obs+form); !full(b) || b.link("next") == "" || strings.Contains(b.link("self"), "count") {
					t.Errorf("%s: %d entries, self %s", form, len(b.Entry), b.link("self"))
				}
			}
		},

		// HTTP.
		"TruncatedBody": unreadable, "TruncatedChunks": unreadable, "TruncatedJSON": unreadable, "GzipCorrupt": unreadable, "ConnectionLost": unreadable,
		"ContentType": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if a := ask(t, faulty(f), obs); !strings.Contains(f.Name, a.header.Get("Content-Type")) || a.header.Get("Content-Type") == "" {
				t.Errorf("Content-Type %s", a.header.Get("Content-Type"))
			}
		},
		"LoginPage": byName(map[string]check{
			"LoginPage": all(answers("metadata", 200, "<html>"), answers(obs, 200, "<html>"), answers("Patient/p", 200, "<html>")),
			"LoginPage.After(3).Times(1)": func(t *testing.T, f fhirtest.Fault) {
				t.Helper()
				s := faulty(f)
				for i := range 5 {
					if html := bytes.Contains(ask(t, s, obs).body, []byte("<html>")); html != (i == 3) {
						t.Errorf("request %d: %v", i+1, html)
					}
				}
			},
		}),
		"HTMLError":   byName(map[string]check{"HTMLError(502).Times(2)": answers(obs, 502, "<html>"), "HTMLError(404).For(Observation)": all(answers(obs, 404, "<html>"), answers("Goal?patient=p", 200, "Bundle")), "HTMLError(200).For(Binary)": answers("Binary/any", 200, "<html>")}),
		"Status":      byName(codes),
		"StatusEmpty": practitioner(func(ref string) check { return all(answers(ref, 403, ""), answers("Patient/p", 200, "Patient")) }),
		"TooManyRequests": byName(map[string]check{
			"TooManyRequests(2,1)": busy(429, exactly("1")), "TooManyRequests(2,)": busy(429, exactly("")), "TooManyRequests(1,1795381555)": busy(429, exactly("1795381555")),
		}),
		"TooManyRequestsUntil": busy(429, isDate),
		"Unavailable":          byName(map[string]check{"Unavailable(2,1)": busy(503, exactly("1")), "Unavailable(2,)": busy(503, exactly(""))}),
		"UnavailableUntil":     busy(503, isDate),
		"RateLimit":            rateLimit,
		"RateLimitByClock":     rateLimitByClock,
		"RateHeaders":          rateHeaders,
		"QueryRequired": all(answers(obs, 400, "tenant"), answers("Patient/p", 400, "tenant"), answers(obs+"&tenant=Organization%2F1", 400, "tenant"),
			answers(obs+"&tenant=Organization/1", 200, "Bundle"), answers("Patient/p?tenant=Organization/1", 200, "Patient"), answers("metadata", 200, "rest")),
		"AnswerHeader": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if got := ask(t, faulty(f), "metadata").header.Get("X-Correlation-Id"); got != "1" {
				t.Errorf("header %q", got)
			}
		},
		"TokenDies":      tokenDies,
		"RequiredHeader": all(answers(obs, 400, "required"), answers(obs, 200, "Bundle", "X-Request-Id", "1"), answers("metadata", 200, "rest")),
		"Redirect":       redirect,
		"Slow":           slow,
		"SlowBody":       slow,
		"Hang":           stuck,
		"StalledBody":    stuck,

		// Inside the searchset.
		"OutcomeEntry": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			code := strings.TrimSuffix(f.Name[strings.Index(f.Name, ",")+1:strings.Index(f.Name, "[")], "[")
			pages(func(p []*bundle) bool {
				return len(p[0].Entry) == 21 && outcomes(p[0], `"code":"`+code+`"`) == 1 && outcomes(p[1], "") == 0
			})(t, f)
		},
		"EmptyOutcome":    all(first(func(b *bundle) bool { return full(b) && outcomes(b, "") == 0 }), answers("Goal?patient=nobody", 200, `"4101"`)),
		"ErrorOutcome200": answers(obs, 200, `{"resourceType":"OperationOutcome"`),
		"Subsetted":       subsetted, "BrokenEntry": brokenEntry,
		"EntryWithoutID": all(entry(0, ""), entry(1, truth[1]), first(func(b *bundle) bool { return strings.HasPrefix(b.Entry[0].FullURL, "urn:uuid:") && *b.Total == n })),
		"EntryWithoutResource": first(func(b *bundle) bool {
			return b.Entry[0].Resource == nil && strings.HasSuffix(b.Entry[0].FullURL, truth[0]) && *b.Total == n
		}),
		"EntriesWithoutFullURL": all(length(n, 3), first(func(b *bundle) bool { return b.Entry[3].FullURL == "" && b.Entry[3].Search.Mode == "" })),
		"WrongIDOnRead": practitioner(func(ref string) check {
			_, id, _ := strings.Cut(ref, "/")
			return answers(ref, 200, `"`+id+`-merged"`)
		}),
		"WrongTypeOnRead":    practitioner(func(ref string) check { return answers(ref, 200, `"resourceType":"Basic"`) }),
		"IDListFindsNothing": all(finds(ids(1), 1), finds(ids(3), 0)),
		"IDListCut":          all(finds(ids(2), 2), finds(ids(3), 2)),
		"IDListRefused":      all(finds(ids(1), 1), answers(ids(2), 400, "_id")),
		"IDIgnored":          all(finds(ids(1), everybody), first(func(b *bundle) bool { return *b.Total == n })),
		"OtherName": first(func(b *bundle) bool {
			return b.Entry[0].FullURL == "http://10.0.66.99:8080/fhir/"+truth[0] && b.link("self") == "http://10.0.66.99:8080/fhir/"+obs &&
				strings.HasPrefix(b.link("next"), faulty().BaseURL())
		}),
		"BinaryNative":      contents("application/fhir+json", "text/plain", "Latin-1"),
		"BinaryWrapped":     contents("text/plain", "application/fhir+json", `"Binary"`),
		"BinaryAccept":      all(contents("application/fhir+json, application/json", "application/fhir+json", "Accept"), contents("text/plain", "text/plain", "Latin-1")),
		"BinaryWithoutData": all(contents("application/fhir+json", "application/fhir+json", `"contentType":"text/plain"}`), contents("text/plain", "text/plain", "Latin-1")),
		"WrongContent":      all(contents("application/fhir+json", "application/fhir+json", "c29tZXRoaW5nIGVsc2U="), contents("text/plain", "text/plain", "something else")),
		"OddBundle":         oddBundle,
		"HugePage": all(length(n, 1), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if a := ask(t, faulty(f), obs+"&_count=1"); len(a.body) < 1<<20 {
				t.Errorf("%d bytes", len(a.body))
			}
		}),
		"HeavyEntries": all(length(n, 3), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			s := faulty(f)
			if two, one := len(ask(t, s, obs+"&_count=4").body), len(ask(t, s, obs+"&_count=1").body); one < 1<<10 || two < 4<<10 {
				t.Errorf("%d and %d bytes", two, one)
			}
		}),

		// The text itself.
		"ByteOrderMark": answers(obs, 200, "\xEF\xBB\xBF{"),
		"UTF16":         answers(obs, 200, "\xFF\xFE{\x00\"\x00r\x00"),
		"Latin1": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			honest, a := ask(t, faulty(), obs), ask(t, faulty(f), obs)
			if utf8.Valid(a.body) || !utf8.Valid(honest.body) || len(a.body) == 0 || !strings.Contains(f.Name, strings.TrimPrefix(a.header.Get("Content-Type"), "application/fhir+json; charset=")) {
				t.Errorf("%s, %d bytes", a.header.Get("Content-Type"), len(a.body))
			}
		},
		"TrailingCommas":     all(answers(obs, 200, ",\n]"), answers(truth[0], 200, ",}"), unreadable),
		"JSONComments":       all(answers(obs, 200, "// it's"), answers(truth[0], 200, "/* generated"), unreadable),
		"NamesWithoutQuotes": all(answers(obs, 200, "{resourceType:"), unreadable),
		"OddResources": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			typ := "Observation"
			if strings.Contains(f.Name, "Condition") {
				typ = "Condition"
			}
			a := ask(t, faulty(f), typ+"?patient=p")
			if n := bytes.Count(a.body, []byte(`,"odd":`)); n == 0 || n != bytes.Count(a.body, []byte(`"fullUrl"`)) || json.Valid(a.body) && utf8.Valid(a.body) {
				t.Errorf("%d of %d are odd", n, bytes.Count(a.body, []byte(`"fullUrl"`)))
			}
			if ref := matches(chain(t, faulty(), typ+"?patient=p", 1))[0]; !bytes.Contains(ask(t, faulty(f), ref).body, []byte(`,"odd":`)) {
				t.Error("the read is whole")
			}
		},
		"EntriesWithoutID": all(first(func(b *bundle) bool {
			return full(b) && b.refs()[0] == "" && strings.HasSuffix(b.Entry[0].FullURL, truth[0])
		}), answers(truth[0], 200, `"id"`)),
		"EntriesWithoutType": all(first(func(b *bundle) bool {
			return full(b) && !bytes.Contains(b.Entry[0].Resource, []byte(`"resourceType":"Observation"`))
		}), answers(truth[0], 200, `"resourceType"`)),
		"ResourceInsteadOfBundle": all(length(n, 3), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if a := ask(t, faulty(f), "Goal?patient=p"); refOf(a.body) == "" || !strings.HasPrefix(refOf(a.body), "Goal/") {
				t.Errorf("%.200s", a.body)
			}
		}),
		"NDJSONInsteadOfBundle": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			a := ask(t, faulty(f), obs)
			d := json.NewDecoder(bytes.NewReader(a.body))
			for i := range n {
				var raw json.RawMessage
				if err := d.Decode(&raw); err != nil || refOf(raw) != truth[i] {
					t.Fatalf("%d: %v", i, err)
				}
			}
			if d.More() {
				t.Error("there is more")
			}
		},
		"DoubledBundle": all(unreadable, func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if a, honest := ask(t, faulty(f), obs), ask(t, faulty(), obs); len(a.body) < 2*len(honest.body)-100 {
				t.Errorf("%d bytes", len(a.body))
			}
		}),
		"NestedBundle": answers(obs, 200, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Bundle","type":"searchset","total":60`),
		"EntryAsObject": all(length(n, 3), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if a := ask(t, faulty(f), "Goal?patient=p"); !json.Valid(a.body) || !bytes.Contains(a.body, []byte(`"entry":{`)) {
				t.Errorf("%.300s", a.body)
			}
		}),
		"XMLUnlessFormat": all(answers(obs, 200, "<Bundle"), answers(obs+"&_format=json", 200, `"Bundle"`), answers("metadata", 200, "<Bundle")),
		"XMLOnly": byName(map[string]check{
			"XMLOnly.For(Observation)": all(answers(obs, 200, "<Bundle"), answers(obs+"&_format=json", 200, "<Bundle"), answers("Goal?patient=p", 200, `"Bundle"`)),
			"XMLOnly.After(1).Times(1)": func(t *testing.T, f fhirtest.Fault) {
				t.Helper()
				s := faulty(f)
				for i := range 3 {
					if xml := bytes.Contains(ask(t, s, obs).body, []byte("<Bundle")); xml != (i == 1) {
						t.Errorf("request %d: %v", i+1, xml)
					}
				}
			},
		}),

		// What a search means.
		"FilterIgnored": all(finds(obs, everybody), finds("Patient/p/Observation?_id:missing=false", everybody),
			first(func(b *bundle) bool { return !strings.Contains(b.link("self"), "patient") })),
		"ParamIgnored": byName(map[string]check{
			"ParamIgnored(_lastUpdated)": finds(obs+"&_lastUpdated=lt1900", n),
			"ParamIgnored(subject)":      all(finds("Observation?subject=p", everybody), finds(obs, n)),
			"ParamIgnored(_count)":       first(full),
			"ParamIgnored(_id)":          all(finds(ids(1), everybody), first(full)),
		}),
		"ParamFindsNothing": all(finds("DocumentReference?patient=p", 0), finds("DocumentReference?subject=p", 2), finds(obs, n)),
		"ParamRejected":     all(answers(obs, 400, "patient"), finds("Observation?subject=p", n), finds("Goal?patient=p", 1)),
		"ParamRequired": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			byName(map[string]check{
				"ParamRequired(category).For(Observation)":      required("category"),
				"ParamRequired(status).For(Observation)":        required("status"),
				"ParamRequired(category,code).For(Observation)": all(required("category"), required("code"), answers(obs, 400, "category or code")),
				"ParamRequired(_id).For(Goal)":                  all(answers("Goal?patient=p", 400, "_id"), answers("Goal?patient=p&_id=1", 200, "Bundle"), finds(obs, n)),
				"ParamRequired(-level).For(RelatedPerson)":      all(answers("RelatedPerson?patient=p", 400, "-level"), answers("RelatedPerson?patient=p&-level=Patient", 200, "Bundle")),
				"ParamRequired(category).For(CarePlan)": all(
					answers("CarePlan?patient=p", 422, `"severity":"fatal","code":"business-rule"`), answers("CarePlan?patient=p", 422, `"59108"`), finds(obs, n)),
			})(t, f)
		},
		"ParamValues": all(answers(obs+"&status=final", 200, "Bundle"), answers(obs+"&status=final,amended", 400, "status"), answers(obs+"&status=x%7Camended", 400, "status"),
			answers(obs+"&status:not=final", 200, "Bundle"), finds(obs, n)),
		"OnlyParams": all(finds(obs, n), finds("Observation?subject=p", everybody), finds(obs+"&status=none", n), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if self := page(t, faulty(f), obs+"&status=none&_count=5").link("self"); strings.Contains(self, "status") || !strings.Contains(self, "_count=5") {
				t.Errorf("self %s", self)
			}
		}),
		"ModifiersRejected":   all(answers(obs+"&status:not=final", 400, "status"), answers("Observation?patient:Patient=p", 200, "Bundle"), finds(obs, n)),
		"CompartmentRejected": all(answers("Patient/p/Observation", 400, "processing"), finds(obs, n)),
		"EmptyWithoutLinks": all(length(n, 3), first(func(b *bundle) bool { return b.link("self") != "" }), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			if b := page(t, faulty(f), "Goal?patient=nobody"); len(b.Link) > 0 || *b.Total != 0 {
				t.Errorf("links %v", b.Link)
			}
		}),
		"ForeignMixed": all(finds(obs, n+2), finds("Goal?patient=nobody", 0), first(func(b *bundle) bool {
			return !slices.Contains(truth, b.refs()[1]) && strings.Contains(b.link("self"), "patient=p")
		})),
		"SelfVerbatim": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			s := faulty(f)
			if self := page(t, s, obs+"&unheard=%20of").link("self"); self != s.BaseURL()+"/"+obs+"&unheard=%20of" {
				t.Errorf("self %s", self)
			}
		},
		"SelfWithoutParams":      first(func(b *bundle) bool { return strings.HasSuffix(b.link("self"), "/Observation") }),
		"BareIDFindsNothing":     all(finds(obs, 0), finds(typed, n), finds(absolute, n)),
		"TypedIDFindsNothing":    all(finds(obs, n), finds(typed, 0), finds(absolute, 0)),
		"AbsoluteIDFindsNothing": all(finds(obs, n), finds(typed, n), finds(absolute, 0)),
		"UnknownParam400":        all(answers(obs+"&unheard=1", 400, "patient"), finds(obs, n)),
		"UnknownTypeEmpty":       answers("Unheard?patient=p", 200, "searchset"),
		"Empty404":               all(answers("Observation?patient=nobody", 404, "[]"), finds(obs, n)),

		// Metadata.
		"MetadataMissing": byName(map[string]check{
			"MetadataMissing(404)": all(answers("metadata", 404, "OperationOutcome"), answers(obs, 200, "Bundle")), "MetadataMissing(401)": answers("metadata", 401, "login"),
		}),
		"MetadataHTML": answers("metadata", 200, "<html>"),
		"MetadataDenies": all(claims("Observation", func(_ []string, there bool) bool { return !there }), finds(obs, n), byName(map[string]check{
			"MetadataDenies(Observation,Device)": claims("Goal", func(_ []string, there bool) bool { return there }),
			"MetadataDenies()":                   claims("Goal", func(_ []string, there bool) bool { return !there }),
		})),
		"MetadataClaims": all(answers("Schedule?patient=p", 404, "not-supported"),
			claims("Schedule", func(params []string, there bool) bool { return there && slices.Contains(params, "patient") })),
		"MetadataWithoutOperations": func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			s := faulty(f)
			s.Everything = true
			if a := ask(t, s, "metadata"); bytes.Contains(a.body, []byte("everything")) {
				t.Error("metadata lists the operation")
			}
			if a := ask(t, s, "Patient/p/$everything"); a.status != http.StatusOK {
				t.Errorf("the operation: %d", a.status)
			}
		},
		"MetadataPadded": all(claims("Observation", func([]string, bool) bool { return true }), func(t *testing.T, f fhirtest.Fault) {
			t.Helper()
			a := ask(t, faulty(f), "metadata")
			if len(a.body) < 1<<19 || !json.Valid(a.body) {
				t.Errorf("%d bytes of JSON", len(a.body))
			}
		}),
		"MetadataWithoutParams": all(finds(obs, n), claims("Observation", func(params []string, there bool) bool { return there && len(params) == 0 })),
	}
}
