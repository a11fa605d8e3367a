package refs_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/refs"
)

func relative(typ, id string) refs.Reference {
	return refs.Reference{Kind: refs.Relative, Type: typ, ID: id}
}

func absolute(base, typ, id string) refs.Reference {
	return refs.Reference{Kind: refs.Absolute, Base: base, Type: typ, ID: id}
}

func conditional(typ, query string) refs.Reference {
	return refs.Reference{Kind: refs.Conditional, Type: typ, Query: query}
}

func urn(id string) refs.Reference { return refs.Reference{Kind: refs.URN, ID: id} }

func version(r refs.Reference, v string) refs.Reference {
	r.Version = v
	return r
}

func fragment(r refs.Reference, f string) refs.Reference {
	r.Fragment = f
	return r
}

func query(r refs.Reference, q string) refs.Reference {
	r.Query = q
	return r
}

func check(t *testing.T, table map[string]refs.Reference) {
	t.Helper()
	for text, want := range table {
		if diff := cmp.Diff(want, refs.Parse(text)); diff != "" {
			t.Errorf("Parse(%.100q) (-want +got):\n%s", text, diff)
		}
	}
}

var other = refs.Reference{Kind: refs.Other}

func TestParseRelative(t *testing.T) {
	t.Parallel()
	check(t, map[string]refs.Reference{
		"Patient/123":                     relative("Patient", "123"),
		"/Patient/123":                    relative("Patient", "123"),
		"Patient/123/":                    relative("Patient", "123"),
		"/Patient/123/":                   relative("Patient", "123"),
		"Patient/123/_history/4":          version(relative("Patient", "123"), "4"),
		"/Patient/123/_history/4/":        version(relative("Patient", "123"), "4"),
		"Patient/123#p1":                  fragment(relative("Patient", "123"), "p1"),
		"Patient/123/_history/4#p1":       fragment(version(relative("Patient", "123"), "4"), "p1"),
		"Patient/123?_format=json":        query(relative("Patient", "123"), "_format=json"),
		"Patient/123?a=b?c#d?e#f":         fragment(query(relative("Patient", "123"), "a=b?c"), "d?e#f"),
		"Patient/123#":                    relative("Patient", "123"),
		"Patient/123?":                    relative("Patient", "123"),
		"NotYetInvented/1":                relative("NotYetInvented", "1"),
		"P/1":                             relative("P", "1"),
		"Patient/Patient":                 relative("Patient", "Patient"),
		"Patient/1/_history/http://x/A/1": other,
	})
}

func TestParseKeepsOddIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"a b", "a|b", "a%20b", "%2F", "a%2fb", "..%2f..%2fx", "...", ".a", "a..", "..;", "%2e%2ea", "%2", "%", "%2e%2e%2e",
		"ä", "病人", "\u202e1", "a:b", "a@b", "a=b&c", "a\\b", "~", "*", "urn:uuid:1", "-", "_", "__history", "history", "_History", "a$b",
		" ", "123 ", "\xff\xfe", strings.Repeat("x", 200), "0", "1.50", "metadata", "everything",
	} {
		check(t, map[string]refs.Reference{
			"Patient/" + id:                             relative("Patient", id),
			"https://h.example/fhir/Patient/" + id:      absolute("https://h.example/fhir", "Patient", id),
			"Patient/1/_history/" + id:                  version(relative("Patient", "1"), id),
			"http://h.example/Patient/1/_history/" + id: version(absolute("http://h.example", "Patient", "1"), id),
		})
	}
}

func TestParseAbsolute(t *testing.T) {
	t.Parallel()
	check(t, map[string]refs.Reference{
		"https://h.example/fhir/Patient/1":            absolute("https://h.example/fhir", "Patient", "1"),
		"http://h.example/Patient/1":                  absolute("http://h.example", "Patient", "1"),
		"HTTPS://H.Example/FHIR/Patient/1":            absolute("HTTPS://H.Example/FHIR", "Patient", "1"),
		"hTtP://h.example/Patient/1":                  absolute("hTtP://h.example", "Patient", "1"),
		"https://h.example:8443/r4/Patient/1":         absolute("https://h.example:8443/r4", "Patient", "1"),
		"https://[2001:db8::1]:8443/Patient/1":        absolute("https://[2001:db8::1]:8443", "Patient", "1"),
		"https://h.example/fhir/Patient/1/":           absolute("https://h.example/fhir", "Patient", "1"),
		"https://h.example/fhir//Patient/1":           absolute("https://h.example/fhir", "Patient", "1"),
		"https://h.example//Patient/1":                absolute("https://h.example", "Patient", "1"),
		"https://h.example/fhir/Patient/1/_history/2": version(absolute("https://h.example/fhir", "Patient", "1"), "2"),
		"https://h.example/Patient/1#c":               fragment(absolute("https://h.example", "Patient", "1"), "c"),
		"https://h.example/Patient/1?x=/A/2":          query(absolute("https://h.example", "Patient", "1"), "x=/A/2"),
		"https://h.example/Patient/1/Observation/2":   absolute("https://h.example/Patient/1", "Observation", "2"),
		"https://h.example/a%2fb/Patient/1":           absolute("https://h.example/a%2fb", "Patient", "1"),
		"https://Patient/Patient/1":                   absolute("https://Patient", "Patient", "1"),
	})
}

func TestParseOther(t *testing.T) {
	t.Parallel()
	check(t, map[string]refs.Reference{
		// No host that a base can have.
		"https:///Patient/1":                 other,
		"https://:443/Patient/1":             other,
		"https://user@h.example/Patient/1":   other,
		"https://u:p@h.example/Patient/1":    other,
		"https://h.example\\@evil/Patient/1": other,
		"https://h .example/Patient/1":       other,
		"https://h.example":                  other,
		"https://":                           other,
		"https:Patient/1":                    other,
		"https:/Patient/1":                   other,
		"https://Patient/1":                  other, // Patient is the host
		"//h.example/Patient/1":              other,
		"//Patient/1":                        other,
		// Other schemes.
		"javascript:alert(1)":                    other,
		"javascript:Patient/1":                   other,
		"javascript://x/Patient/1":               other,
		"data:text/html,Patient/1":               other,
		"ftp://h.example/Patient/1":              other,
		"file:///Patient/1":                      other,
		"mailto:a@h.example":                     other,
		"urn:isbn:0451450523":                    other,
		"urn:uuid:":                              other,
		"urn:oid:":                               other,
		"urn:uuid:1/2":                           other,
		"urn:uuid:1?x":                           other,
		"urn":                                    other,
		"Patient":                                other,
		"Patient/":                               other,
		"/":                                      other,
		"Patient//1":                             other,
		"Patient/1//":                            other,
		"patient/1":                              other,
		"Pat1ent/1":                              other,
		"Pätient/1":                              other,
		"Patient[/1":                             other,
		"Patient@/1":                             other,
		" Patient/1":                             other,
		"123":                                    other,
		"fhir/Patient/1":                         other,
		"Patient/1/Observation/2":                other,
		"Patient/1/extra":                        other,
		"Patient/_history":                       other,
		"Patient/_history/1":                     other,
		"Patient/_search":                        other,
		"Patient/1/_history":                     other,
		"Patient/1/_history/":                    other,
		"Patient/1/_history/_history":            other,
		"Patient/1/_history/1/2":                 other,
		"Patient/$everything":                    other,
		"Patient/1/$everything":                  other,
		"$process-message":                       other,
		"Patient/1/_history/$x":                  other,
		"https://h.example/Patient/$match":       other,
		"https://h.example/Patient":              other,
		"https://h.example/StructureDefinition/": other,
		"Patient?":                               other,
		"?identifier=1":                          query(other, "identifier=1"),
		"patient?identifier=1":                   query(other, "identifier=1"),
		"https://h.example/Patient?a=b":          query(other, "a=b"),
		"Patient/$match?a=b#c":                   fragment(query(other, "a=b"), "c"),
	})
}

func TestParseInvalid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		// Path traversal, in all its clothes.
		"Patient/../../x", "Patient/..", "Patient/.", "../Patient/1", "./Patient/1", "..", ".", "/../Patient/1", "Patient/../",
		"Patient/%2e%2e", "Patient/%2E%2E", "Patient/%2e", "Patient/.%2e", "Patient/%2E.", "%2e%2e/Patient/1",
		"Patient/1/_history/..", "Patient/1/_history/%2e", "Patient/..?x=y", "Patient/..#f", "Patient/1/../2",
		"https://h.example/../Patient/1", "https://h.example/Patient/..", "https://h.example/fhir/%2e%2E/Patient/1", "https://h.example/.",
		"https://user@h.example/../Patient/1", "javascript:/../x",
		// Control characters.
		"Patient/1\n", "\tPatient/1", "Patient/\x00", "Patient/1\x7f", "Patient/1\u0085", "Patient/\u009b2J", "Pat\rient/1",
		"#a\nb", "urn:uuid:1\x01", "Patient?a=\x1f", "https://h.example\r\n/Patient/1", "\x00",
	} {
		if got := refs.Parse(text); got != (refs.Reference{}) {
			t.Errorf("Parse(%q) = %+v", text, got)
		}
	}
}

func TestParseTakesOnlyControlCharactersForThem(t *testing.T) {
	t.Parallel()
	check(t, map[string]refs.Reference{
		"Patient/\u00a0": relative("Patient", "\u00a0"), // the first after them
		"Patient/\u0105": relative("Patient", "\u0105"), // has the byte 0x85
		"Patient/\xc2":   relative("Patient", "\xc2"),
	})
}

func TestParseOfOtherKinds(t *testing.T) {
	t.Parallel()
	contained := refs.Reference{Kind: refs.Contained}
	check(t, map[string]refs.Reference{
		"#":       contained,
		"#p1":     fragment(contained, "p1"),
		"##":      fragment(contained, "#"),
		"#../../": fragment(contained, "../../"),
		"#a?b":    fragment(contained, "a?b"),

		"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0": urn("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"),
		"URN:UUID:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0": urn("URN:UUID:0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0"),
		"urn:oid:1.2.3":           urn("urn:oid:1.2.3"),
		"Urn:Oid:1.2.3":           urn("Urn:Oid:1.2.3"),
		"urn:uuid:not-really-one": urn("urn:uuid:not-really-one"),
		"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0#p1": fragment(urn("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"), "p1"),

		"Patient?identifier=http://x/y|1": conditional("Patient", "identifier=http://x/y|1"),
		"/Patient?identifier=1":           conditional("Patient", "identifier=1"),
		"Patient/?identifier=1":           conditional("Patient", "identifier=1"),
		"Patient?a=b#c":                   fragment(conditional("Patient", "a=b"), "c"),
		"Patient?name=..":                 conditional("Patient", "name=.."),
	})
}

func TestParseHugeTexts(t *testing.T) {
	t.Parallel()
	const n = 10 << 20
	long := strings.Repeat("x", n)
	check(t, map[string]refs.Reference{
		"Patient/" + long:           relative("Patient", long),
		"#" + long:                  {Kind: refs.Contained, Fragment: long},
		"Patient?" + long:           conditional("Patient", long),
		"https://" + long:           other,
		long:                        other,
		strings.Repeat("/", n):      other,
		strings.Repeat("#", n):      {Kind: refs.Contained, Fragment: strings.Repeat("#", n-1)},
		strings.Repeat(".", n):      other,
		strings.Repeat("%2e", n/3):  other,
		strings.Repeat("A/1/", n/4): other,
		strings.Repeat("../", n/3):  {},
	})
}

func TestParseAllocatesNothing(t *testing.T) {
	for _, text := range []string{
		"Patient/123", "https://h.example/fhir/Patient/123/_history/4", "#p1", "urn:uuid:1", "Patient?a=b", "mailto:a@b", "Patient/..", "",
	} {
		if n := testing.AllocsPerRun(100, func() { refs.Parse(text) }); n > 0 {
			t.Errorf("Parse(%q) allocates %v times", text, n)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	kinds := map[refs.Kind]string{
		refs.Invalid: "invalid", refs.Relative: "relative", refs.Absolute: "absolute", refs.Contained: "contained", refs.URN: "urn",
		refs.Conditional: "conditional", refs.Other: "other", -1: "unknown", 99: "unknown",
	}
	for k, want := range kinds {
		if k.String() != want {
			t.Errorf("Kind(%d) is %q, want %q", k, k, want)
		}
	}
	sources := map[refs.Source]string{0: "unknown", refs.FromReference: "Reference", refs.FromURI: "uri", 99: "unknown"}
	for s, want := range sources {
		if s.String() != want {
			t.Errorf("Source(%d) is %q, want %q", s, s, want)
		}
	}
}
