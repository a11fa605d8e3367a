package refs_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/refs"
)

const everySource = ` { "resourceType" : "DiagnosticReport", "id":"d", "id":"d",
	"meta":{"profile":["http://x.example/StructureDefinition/a"],"source":"urn:x:y"},
	"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"Patient\/1\">p<\/a><img src='Binary/7&amp;8'/><!-- <a href=\"no\"> --></div>"},
	"contained":[{"resourceType":"Location","url":"http://no.example","managingOrganization":{"reference":"Organization/9"}}],
	"extension":[{"url":"http://no.example/x","valueUri":"Patient/1","valueCanonical":"http://x.example/Questionnaire/1|1"}],
	"subject" : {"refer\u0065nce" : "Patient/1", "display":"Patient\/1"}, "x":1.50, "div":"<a href='no'>", "location":"no", "source":"no", "profile":"no x://y",
	"presentedForm":[{"url":"Binary/1","data":"AA=="}], "result":[{"reference":"\ud83d"}] }
`

func TestAllSources(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range all(t, everySource) {
		got = append(got, f.Source.String()+": "+short(f))
		if f.Source == refs.FromNarrative {
			if at := everySource[f.Start:f.End]; at != `Patient\/1` && at != `Binary/7&amp;8` {
				t.Errorf("%s stands at %s", f.Text, at)
			}
		}
	}
	want := []string{
		"canonical: DiagnosticReport.meta.profile http://x.example/StructureDefinition/a",
		"uri: DiagnosticReport.meta.source urn:x:y u",
		"narrative: DiagnosticReport.text.div Patient/1",
		"narrative: DiagnosticReport.text.div Binary/7&8",
		"Reference: DiagnosticReport.contained.managingOrganization Organization/9 c",
		"uri: DiagnosticReport.extension.valueUri Patient/1 e u",
		"canonical: DiagnosticReport.extension.valueCanonical http://x.example/Questionnaire/1|1 e",
		"Reference: DiagnosticReport.subject Patient/1",
		"Attachment: DiagnosticReport.presentedForm Binary/1",
		"Reference: DiagnosticReport.result \uFFFD",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	for _, source := range []refs.Source{refs.FromReference, refs.FromURI, refs.FromAttachment, refs.FromCanonical, refs.FromNarrative} {
		var some []string
		for f, err := range refs.All([]byte(everySource), source) {
			if err != nil {
				t.Fatal(err)
			}
			some = append(some, f.Source.String()+": "+short(f))
		}
		var wanted []string
		for _, line := range want {
			if strings.HasPrefix(line, source.String()+": ") {
				wanted = append(wanted, line)
			}
		}
		if diff := cmp.Diff(wanted, some); diff != "" {
			t.Errorf("All of %v (-want +got):\n%s", source, diff)
		}
	}
	for f, err := range refs.All([]byte(everySource), refs.Source(0), refs.Source(99)) {
		t.Errorf("of no source: %+v, %v", f, err)
	}
}

// Every element of type Attachment in STU3, R4, R4B and R5 is known by its name.
func TestAllAttachments(t *testing.T) {
	t.Parallel()
	for element := range strings.FieldsSeq(`BodySite.image Observation.valueAttachment Observation.component.valueAttachment Communication.payload.contentAttachment
		Consent.sourceAttachment Contract.bindingAttachment Contract.legallyBindingAttachment DiagnosticReport.presentedForm DocumentManifest.content.pAttachment
		DocumentReference.content.attachment Patient.photo Library.content Media.content Questionnaire.item.enableWhen.answerAttachment
		Questionnaire.item.initialAttachment StructureMap.group.rule.source.defaultValueAttachment PlanDefinition.relatedArtifact.document
		ClaimResponse.form ExplanationOfBenefit.form SubstanceProtein.subunit.sequenceAttachment MolecularSequence.formatted
		SubstanceDefinition.characterization.file Citation.citedArtifact.relatesTo.document Basic.extension.valueAttachment`) {
		names := strings.Split(element, ".")
		raw := `{"resourceType":"` + names[0] + `","` + strings.Join(names[1:], `":[{"`) + `":[{"url":"https://h.example/x"` + strings.Repeat("}]", len(names)-1) + `}`
		found := all(t, raw)
		if len(found) != 1 || found[0].Source != refs.FromAttachment || found[0].Path != element {
			t.Errorf("%s: %+v", raw, found)
		}
	}
}

// A name tells canonicals and uris apart, as far as names can.
func TestAllCanonicalsAndURIs(t *testing.T) {
	t.Parallel()
	for element, want := range map[string]refs.Source{
		"QuestionnaireResponse.questionnaire": refs.FromCanonical, "Patient.meta.profile": refs.FromCanonical, "CarePlan.instantiatesCanonical": refs.FromCanonical,
		"Questionnaire.item.answerValueSet": refs.FromCanonical, "MeasureReport.measure": refs.FromCanonical, "PlanDefinition.library": refs.FromCanonical,
		"Basic.extension.valueCanonical": refs.FromCanonical, "PlanDefinition.relatedArtifact.resource": refs.FromCanonical, "ConceptMap.group.source": refs.FromCanonical,
		"ConceptMap.group.unmapped.url": refs.FromCanonical, "ImplementationGuide.dependsOn.uri": refs.FromCanonical, "MessageHeader.definition": refs.FromCanonical,
		"Patient.meta.source": refs.FromURI, "CarePlan.instantiatesUri": refs.FromURI, "Provenance.policy": refs.FromURI, "Endpoint.address": refs.FromURI,
		"Basic.extension.valueUri": refs.FromURI, "Task.input.valueUrl": refs.FromURI, "Bundle.link.url": refs.FromURI, "Bundle.entry.request.url": refs.FromURI,
		"Bundle.entry.response.location": refs.FromURI, "Bundle.entry.fullUrl": refs.FromURI, "Consent.policy.uri": refs.FromURI,
		"Coverage.identifier.system": 0, "Questionnaire.url": 0, "Basic.extension.url": 0, "Basic.modifierExtension.extension.url": 0, "Bundle.entry.resource.url": 0,
		"Observation.code.coding.system": 0, "Patient.name.text": 0, "StructureMap.group.rule.target.display": 0,
	} {
		names := strings.Split(element, ".")
		raw := `{"resourceType":"` + names[0] + `","` + strings.Join(names[1:], `":[{"`) + `":["https://h.example/Y/1"]` + strings.Repeat("}]", len(names)-2) + `}`
		found := all(t, raw)
		if want == 0 && len(found) > 0 || want != 0 && (len(found) != 1 || found[0].Source != want || found[0].Path != element) {
			t.Errorf("%s is %v: %+v", element, want, found)
		}
	}
	// The same names where they say something else.
	for _, raw := range []string{
		`{"resourceType":"StructureMap","group":[{"rule":[{"target":[{"transform":"copy"}]}]}]}`, `{"resourceType":"ValueSet","definition":"see http://x.example for more"}`,
		`{"resourceType":"SearchParameter","base":["Patient"]}`, `{"resourceType":"AuditEvent","source":{"observer":{}},"policy":["none"]}`,
	} {
		if found := all(t, raw); len(found) > 0 {
			t.Errorf("%s: %+v", raw, found)
		}
	}
}

func TestRewriteIdentity(t *testing.T) {
	t.Parallel()
	out, err := refs.Rewrite([]byte(everySource), func(f *refs.Found) string { return f.Text })
	if err != nil || string(out) != everySource {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	out, err := refs.Rewrite([]byte(everySource), func(f *refs.Found) string {
		switch f.Text {
		case "Patient/1":
			return "Patient/a\"b & <c>"
		case "Binary/7&8":
			return ""
		}
		return f.Text
	})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		`href=\"Patient\/1\"`, `href=\"Patient/a&#34;b&#32;&amp;&#32;&lt;c&gt;\"`,
		`Binary/7&amp;8`, ``,
		`"valueUri":"Patient/1"`, `"valueUri":"Patient/a\"b & <c>"`,
		`"refer\u0065nce" : "Patient/1"`, `"refer\u0065nce" : "Patient/a\"b & <c>"`,
	).Replace(everySource)
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("Rewrite (-want +got):\n%s", diff)
	}
	only, err := refs.Rewrite([]byte(everySource), func(*refs.Found) string { return "N/1" }, refs.FromAttachment)
	if want := strings.Replace(everySource, `"url":"Binary/1"`, `"url":"N/1"`, 1); err != nil || string(only) != want {
		t.Errorf("attachments only: %s, %v", only, err)
	}
}

func TestRewriteKeepsSpaceInLinks(t *testing.T) {
	t.Parallel()
	raw := `{"text":{"div":"<a href=A/1 b=c><a href=' A/2 '/>"}}`
	text := " x\ty\nz\f\r&amp; > "
	out, err := refs.Rewrite([]byte(raw), func(*refs.Found) string { return text })
	if err != nil {
		t.Fatal(err)
	}
	found := all(t, string(out))
	if len(found) != 2 || found[0].Text != text || found[1].Text != text {
		t.Errorf("%s says %+v", out, found)
	}
}

func TestRewriteRefusesBrokenInput(t *testing.T) {
	t.Parallel()
	out, err := refs.Rewrite([]byte(`{"a":{"reference":"A/1"}`), func(*refs.Found) string { return "x" })
	if !errors.Is(err, io.ErrUnexpectedEOF) || out != nil {
		t.Errorf("got %s, %v", out, err)
	}
}
