package quirks_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/quirks"
)

func says(software, publisher, implementation string) *quirks.Capabilities {
	return &quirks.Capabilities{Known: true, SoftwareName: software, Publisher: publisher, ImplementationDescription: implementation}
}

func idsOf(entries []quirks.Entry) []string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// TestServersAreFound: base URLs and names as they are in use find the entry that is meant and no other vendor's.
func TestServersAreFound(t *testing.T) {
	t.Parallel()
	const somewhere = "https://fhir.hospital.example/api/FHIR/R4"
	unseen := map[string]bool{}
	for _, e := range shipped(t).Entries() {
		if len(e.Match) > 0 {
			unseen[e.ID] = true
		}
	}
	for _, c := range []struct {
		base string
		caps *quirks.Capabilities
		want []string // from the weakest to the strongest
	}{
		{somewhere, says("Epic", "", ""), []string{"epic"}},
		{"https://fhir-open.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d", nil, []string{"oracle-health-millennium"}},
		{"https://fhir-myrecord.cerner.com/r4/ec2458f2-1e24-41c8-b71b-0e701af7583d/", says("", "Oracle Health", ""), []string{"oracle-health-millennium"}},
		{"https://proxy.hospital.example/r4", says("", "Cerner", ""), []string{"oracle-health-millennium"}},
		{"https://fhir-ehr-sc.cerner.com/r4/0b8a0111-e8e6-4c26-a91c-5069cbc6b1ca", says("", "Cerner Corporation", ""), []string{"oracle-health-soarian"}},
		{"https://api.platform.athenahealth.com/fhir/r4", nil, []string{"athenahealth"}},
		{"https://api.preview.platform.athenahealth.com/fhir/r4", says("athenahealth FHIR Server", "", ""), []string{"athenahealth"}},
		{"https://api.bluebutton.cms.gov/v2/fhir", nil, []string{"cms-blue-button"}},
		{"https://sandbox.bluebutton.cms.gov/v3/fhir/", nil, []string{"cms-blue-button", "cms-blue-button-v3"}},
		{"https://api.bcda.cms.gov/api/v2", nil, []string{"cms-bcda"}},
		{"https://sandbox.dpc.cms.gov/api/v1", nil, []string{"cms-dpc"}},
		{"https://api.ab2d.cms.gov/api/v2/fhir", nil, []string{"cms-ab2d"}},
		{"https://workspace-fhir.fhir.azurehealthcareapis.com", nil, []string{"microsoft"}},
		{somewhere, says("", "Microsoft", ""), []string{"microsoft"}},
		{"https://fhir4.healow.com/fhir/r4/ABCDEF", nil, []string{"eclinicalworks"}},
		{"https://fhir4.eclinicalworks.com/fhir/r4/ABCDEF", says("eCW FHIR Facade", "", ""), []string{"eclinicalworks"}},
		{somewhere, says("HAPI FHIR Server", "", ""), []string{"hapi"}},
		{somewhere, says("", "", "Aidbox FHIR Server"), []string{"aidbox"}},
		{somewhere, says("", "The Samply Community", ""), []string{"blaze"}},
		{"https://api.flexpa.com/fhir", nil, []string{"flexpa"}},
		{"https://greenfield-prod-apis.meditech.com/v2/uscore/STU6", nil, []string{"meditech"}},
		{"https://api.medplum.com/fhir/R4/", nil, []string{"medplum"}},
		{somewhere, says("medplum", "Medplum", "medplum"), []string{"medplum"}},
		{"https://fhir.nextgen.com/nge/prod/fhir-api-r4/fhir/R4", nil, []string{"nextgen-enterprise"}},
		{"https://fhir.meditouchehr.com/api/fhir/r4", nil, []string{"nextgen-office"}},
		{"https://applocation.open.allscripts.com/fhirroute/open/sandbox", nil, []string{"veradigm"}},
		{"https://fhir.zusapi.com", nil, []string{"zus"}},
		{"https://fqs.zusapi.com/rest", nil, []string{"zus"}},
		{"https://api.1up.health/r4", nil, []string{"1uphealth"}},
		{"https://healthlake.us-east-1.amazonaws.com/datastore/0123456789abcdef/r4", nil, []string{"aws-healthlake"}},
		{"https://healthcare.googleapis.com/v1/projects/p/locations/l/datasets/d/fhirStores/s/fhir", nil, []string{"google"}},
		{"https://fhir.humana.com/api", nil, []string{"humana"}},
		{somewhere, says("LinuxForHealth FHIR Server", "", ""), []string{"linuxforhealth"}},
		{"https://dermpractice.mmi.prod.fhir.ema-api.com/fhir/r4", says("Fhir Server", "Modernizing Medicine", ""), []string{"modmed"}},
		{"https://stage.ema-api.com/ema-dev/firm/apiportal/ema/fhir/v2", nil, []string{"modmed-proprietary"}},
		{"https://int.api.service.nhs.uk/personal-demographics/FHIR/R4", nil, []string{"nhs-pds"}},
		{"https://api.va.gov/services/fhir/v0/r4", nil, []string{"va-lighthouse"}},
		{"https://vteapif1.aetna.com/fhirdemo/v1/patientaccess", nil, []string{"aetna"}},
		{"https://totalview.healthos.elevancehealth.com/resources/registered/x/api/v1/fhir", nil, []string{"elevance"}},
		{"https://patient360c.anthem.com/P360Member/api/fhir-r4", nil, []string{"elevance-careevolution"}},
		{"https://fumage-modernfamilypractice.canvasmedical.com", nil, []string{"canvas"}},
		{"https://drchrono-fhirpresentation.everhealthsoftware.com/drchrono/basepractice/r4", nil, []string{"drchrono"}},
		{"https://sandbox-drchrono-fhirpresentation.everhealthsoftware.com/drchrono/basepractice/r4", nil, []string{"drchrono"}},
		{"https://other.everhealthsoftware.com/fhir", nil, nil},
		{"https://www.onpatient.com/api_fhir", nil, []string{"onpatient"}},
		{"https://gateway.api.esante.gouv.fr/fhir/v2", nil, []string{"annuaire-sante"}},
		{"https://api.patientfusion.com/fhir/r4/v1/5de2f4f3-7a3f-4d3c-9d40-0d76f84f2e11", nil, []string{"practice-fusion"}},
		{"https://api.questdiagnostics.com/resource-server/fhir/r4", nil, []string{"quest"}},
		{somewhere, says("Spark", "Incendi", ""), []string{"spark"}},
		// A product that says it is an engine: what is known of the engine comes first, and gives way.
		{"https://fhir.meditouchehr.com/api/fhir/r4", says("HAPI FHIR Server", "Not provided", ""), []string{"hapi", "nextgen-office"}},
		// Nobody's.
		{"https://fhir.example.org/r4", nil, nil},
		{"https://fhir.example.org/r4", says("Example", "Example Inc.", "a server"), nil},
		{"https://fhir.example.org/r4", says("Epicenter", "Oracle Healthcare Partners", "not Aidbox"), nil},
		{"https://cerner.com.example.org/r4/x", nil, nil},
		{"https://api.1up.health.example.org/r4", nil, nil},
		{"https://fhir-open.cerner.com/", nil, nil},
		{"http://127.0.0.1:8080/fhir", says("fhirtest", "", ""), nil},
		{"", nil, nil},
	} {
		_, entries := quirks.Default().Lookup(c.base, c.caps)
		if diff := cmp.Diff(c.want, idsOf(entries)); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", c.base, c.caps, diff)
		}
		for _, id := range c.want {
			delete(unseen, id)
		}
	}
	for id := range unseen {
		t.Errorf("%s is found by none of these", id)
	}
}

// TestEntriesWithoutMatchSaySo: an entry that nothing is found by holds notes only.
func TestEntriesWithoutMatchSaySo(t *testing.T) {
	t.Parallel()
	for _, e := range shipped(t).Entries() {
		if len(e.Match) > 0 {
			continue
		}
		if len(e.Sources) > 0 {
			t.Errorf("%s sets something for servers that are never found", e.ID)
		}
	}
}

// TestEnginesGiveWay: what generic engines say of themselves is the weakest evidence there is.
func TestEnginesGiveWay(t *testing.T) {
	t.Parallel()
	var engines []string
	for _, e := range shipped(t).Entries() {
		if e.Engine {
			engines = append(engines, e.ID)
		}
	}
	slices.Sort(engines)
	if diff := cmp.Diff([]string{"aidbox", "blaze", "hapi", "linuxforhealth", "medplum", "microsoft", "spark"}, engines); diff != "" {
		t.Errorf("engines (-want +got):\n%s", diff)
	}
	// A vendor that builds on an engine: its own entry has the last word, whatever the order of files.
	own := quirks.Entry{
		ID: "aaa", Name: "A product on an engine", Match: []quirks.Match{{Publisher: "Harbor Health"}},
		Set:     quirks.Set{Headers: []quirks.Header{{Name: "Cache-Control", Value: "max-age=60"}}},
		Sources: []quirks.Source{{Confidence: quirks.Observed, Seen: "2026-11", Says: "caches are meant to be used", Fields: []string{"headers"}}},
	}
	r, err := quirks.Default().With(own)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := r.Lookup("https://fhir.example.org/r4", says("HAPI FHIR Server", "Harbor Health", ""))
	if len(set.Headers) != 1 || set.Headers[0].Value != "max-age=60" {
		t.Errorf("headers %+v", set.Headers)
	}
}

// TestShippedSetsAreConservative: rules that hold for whatever is shipped, because a wrong value is worse than none.
func TestShippedSetsAreConservative(t *testing.T) {
	t.Parallel()
	for _, e := range shipped(t).Entries() {
		for i, l := range e.Set.Rate.Limits {
			documented := slices.ContainsFunc(e.Sources, func(s quirks.Source) bool {
				return slices.Contains(s.Fields, "rate.limits") && strings.ContainsAny(s.Says, "0123456789")
			})
			if !documented {
				t.Errorf("%s: limit %d (%d in %v) has no source with a number", e.ID, i, l.Requests, l.Per)
			}
		}
		if e.Set.Rate.PerSecond != nil {
			t.Errorf("%s: no vendor has published a rate per second that its limits would not express", e.ID)
		}
		for name, typ := range e.Set.Types {
			if typ.Claim != nil && *typ.Claim {
				t.Errorf("%s: types.%s.claim makes a type owed that metadata does not list", e.ID, name)
			}
			if typ.Reach != nil && *typ.Reach == quirks.Nowhere {
				t.Errorf("%s: types.%s.reach gives a type up", e.ID, name)
			}
		}
		if e.Set.Counts != nil {
			t.Errorf("%s: counts are what proves an answer", e.ID)
		}
	}
}
