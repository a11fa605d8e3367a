package strategytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// profile is a server as one vendor runs it, written down from what the vendor and those who work with the server say of it, and from
// nothing that the library knows. See the vendors_*.go files.
type profile struct {
	name string
	// base is a base URL of the vendor's kind.
	base string
	// id makes ids of the vendor's kind. tag tells apart the patients of one server.
	id func(tag, typ string, n int) string
	// size is the number of the patient's resources, types what they are.
	size  int
	types string
	// extra are further resources of the patient, that the generator does not make.
	extra func(p *profile, patientID string) []fhirtest.Resource
	// server is what the caller got from the vendor together with the credentials.
	server fhirsync.Server
	// fewer names the strategies for which what is known of the server saves requests.
	fewer []string
	// set makes the server behave. What no source says of this vendor stands last in it: servers surprise those who know them, too.
	set func(s *fhirtest.Server, patientID string)
}

// record makes the patient of the profile.
func (p *profile) record(tag string, seed uint64, size int) *fhirtest.Record {
	return fhirtest.Generate(fhirtest.Options{
		Seed: seed, Size: size, Types: strings.Fields(p.types),
		ID: func(typ string, n int) string { return p.id(tag, typ, n) },
	})
}

// serve makes the server and gives the patient to be pulled. There is another one on it.
func (p *profile) serve() (srv *fhirtest.Server, patientID string) {
	rec := p.record("a", 7, p.size)
	srv = fhirtest.NewServer(rec, p.record("b", 8, 60))
	srv.SetBaseURL(p.base)
	if p.extra != nil {
		srv.Put(p.extra(p, rec.PatientID)...)
	}
	p.set(srv, rec.PatientID)
	return srv, rec.PatientID
}

// profiles runs the strategy against all of them: with what is known of servers in general, and with no such knowledge.
func (s Suite) profiles(t *testing.T) {
	t.Helper()
	nothing, err := quirks.New()
	if err != nil {
		t.Fatal(err)
	}
	all := vendors()
	lines := make([]string, len(all))
	name := s.Strategy().Name()
	t.Run("each", func(t *testing.T) {
		for i, p := range all {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				without, with := s.meet(t, p, nothing), s.meet(t, p, s.Config.Quirks)
				without.properties(t)
				with.properties(t)
				lines[i] = fmt.Sprintf("%-15s %s | %s", p.name, without.figures(), with.figures())
				switch {
				case len(with.lost) > len(without.lost):
					t.Errorf("what is known of the server loses %v\n%s", with.lost, with.report)
				case with.report.Verdict < without.report.Verdict:
					t.Errorf("what is known of the server makes the verdict worse\n%s\n%s", without.report, with.report)
				case len(with.lost) < len(without.lost):
					return // what more has come may have cost more.
				}
				// What is asked at the same time depends on who comes first, so that the same sync may differ from itself by a request or two:
				// where it is close, the best of several syncs is compared with the worst of those without.
				most, least := without.requests, with.requests
				saves := slices.Contains(p.fewer, name)
				enough := func() bool { return least < most || least == most && !saves }
				for again := 0; again < 5 && !enough(); again++ {
					most, least = max(most, s.meet(t, p, nothing).requests), min(least, s.meet(t, p, s.Config.Quirks).requests)
				}
				if !enough() {
					t.Errorf("%d requests, and without what is known of the server %d\n%s", least, most, with.report)
				}
			})
		}
	})
	t.Logf("%s\n%-15s %s | what is known of the server\n%s", name, "server", "without any, and with", strings.Join(lines, "\n"))
}

// searching are the strategies that search for each type, and no more than is needed.
var searching = []string{"auto", "search-by-type"}

// figures are what a sync came to, in one line of the table.
func (o outcome) figures() string {
	return fmt.Sprintf("%4d requests %4d refused %4d of %4d %-10s", o.requests, o.refused, o.wanted-len(o.lost), o.wanted, o.report.Verdict)
}

// meet syncs the patient of a profile.
func (s Suite) meet(t *testing.T, p *profile, known *quirks.Registry) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv, patientID := p.serve()
		cfg := s.Config
		cfg.HTTPClient, cfg.Strategy, cfg.Quirks = srv.Client(), s.Strategy(), known
		client, err := fhirsync.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		target := p.server
		target.Name, target.BaseURL = p.name, p.base
		o = pull(t, client, target, srv, patientID)
	})
	return o
}

// pull syncs one patient and compares what came with the truth.
func pull(t *testing.T, client *fhirsync.Client, target fhirsync.Server, srv *fhirtest.Server, patientID string, faults ...fhirtest.Fault) (o outcome) {
	t.Helper()
	store := new(memstore.Store)
	o.report, o.err = client.Sync(t.Context(), target, patientID, store, nil)
	if o.report == nil {
		t.Fatalf("no report: %v", o.err)
	}
	want, all := srv.Want(patientID), srv.Want(patientID)
	o.wanted = len(want)
	for r := range store.All() {
		ref := r.Type + "/" + r.ID
		raw, ok := want[ref]
		if len(r.Repairs) > 0 {
			o.repaired++
		}
		_, owned := all[ref]
		if !ok && !owned {
			// It may be one that came without its id.
			if ref, ok = withoutID(r, all); ok && want[ref] == nil {
				o.twice = append(o.twice, ref)
			}
			raw = r.Raw
		}
		switch {
		case !ok && owned:
			o.twice = append(o.twice, ref)
		case !ok:
			o.alien = append(o.alien, r.Type+"/"+r.ID)
		case !bytes.Equal(raw, r.Raw) && !repairedFrom(r, raw, faults) && (r.Origin.Op != "content" || !sameContent(raw, r.Raw)):
			o.lost = append(o.lost, ref)
		}
		delete(want, ref)
	}
	for ref := range want {
		o.lost = append(o.lost, ref)
	}
	slices.Sort(o.lost)
	o.open = srv.Unclosed()
	o.requests = o.report.Requests.Total()
	for _, r := range srv.Requests() {
		if r.Status >= 400 {
			o.refused++
		}
	}
	return o
}

// statement reads what a server claims, a type a line: its name, then search parameters, "$name" for an operation, "+Type:param" for a
// value of _revinclude, and "-" where there is no search.
func statement(text string) []fhirtest.Claim {
	var out []fhirtest.Claim
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		c := fhirtest.Claim{Type: words[0]}
		for _, w := range words[1:] {
			switch {
			case w == "-":
				c.Interactions = []string{"read"}
			case w[0] == '$':
				c.Operations = append(c.Operations, w[1:])
			case w[0] == '+':
				c.RevIncludes = append(c.RevIncludes, w[1:])
			default:
				c.Params = append(c.Params, w)
			}
		}
		out = append(out, c)
	}
	return out
}

// allTypes are the types of which fhirtest's server knows searches.
const allTypes = `Observation Encounter Condition Procedure MedicationRequest DiagnosticReport Immunization ExplanationOfBenefit Claim Coverage
	CarePlan CareTeam Goal AllergyIntolerance DocumentReference Device Task QuestionnaireResponse Provenance RelatedPerson Appointment Account
	Communication Consent ServiceRequest Specimen ImagingStudy FamilyMemberHistory NutritionOrder Basic AdverseEvent EpisodeOfCare Flag List
	Composition Media MedicationDispense MedicationStatement MedicationAdministration ClinicalImpression RiskAssessment ResearchSubject
	ClaimResponse GuidanceResponse Contract`

// notIn gives the types that are in neither list: those that a server does not have.
func notIn(lists ...string) []string {
	have := strings.Fields(strings.Join(lists, " "))
	return slices.DeleteFunc(strings.Fields(allTypes), func(typ string) bool { return slices.Contains(have, typ) })
}

// made makes a resource by hand. body is its members after the id, params are "name=value" and find it.
func made(typ, id, patientID, body string, params ...string) fhirtest.Resource {
	r := fhirtest.Resource{
		Type: typ, ID: id, Owner: patientID, Links: []string{"Patient/" + patientID},
		Raw: fmt.Appendf(nil, `{"resourceType":%q,"id":%q,%s}`, typ, id, strings.ReplaceAll(body, "PATIENT", "Patient/"+patientID)),
	}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		r.Params = append(r.Params, fhirtest.Param{Name: name, Value: strings.ReplaceAll(value, "PATIENT", "Patient/"+patientID)})
	}
	return r
}

// hash gives bytes that look like chance, the same for the same words.
func hash(words ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(words, "/")))
	return sum[:]
}

// letters is an id of letters and digits, with dots and hyphens.
func letters(length int, words ...string) string {
	text := base64.RawURLEncoding.EncodeToString(append(hash(words...), hash(append(words, "more")...)...))
	return strings.ReplaceAll(text, "_", ".")[:length]
}

// number is an id of digits.
func number(digits int, words ...string) string {
	var n uint64 = 1
	for _, b := range hash(words...)[:8] {
		n = n*251 + uint64(b)
	}
	text := strconv.FormatUint(n, 10)
	return "9" + text[len(text)-digits+1:]
}

// uuid is an id as RFC 9562 has them.
func uuid(words ...string) string {
	h := hex.EncodeToString(hash(words...))
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}
