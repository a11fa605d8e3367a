package compartment

// stu3 has the types of the STU3 Patient compartment (hl7.org/fhir/STU3/compartmentdefinition-patient.html), and those outside it, that
// R4 lacks or has otherwise. AuditEvent and Provenance have parameters in that definition that are chains and not parameters: those are
// not sent.
var stu3 = map[string]Type{
	"AuditEvent":           {Params: []string{"patient"}, Primary: []string{"entity.reference"}},
	"BodySite":             {Params: []string{"patient"}, Primary: []string{"patient"}},
	"Claim":                {Params: []string{"patient"}, Via: []string{"payee"}, Primary: []string{"patient"}},
	"Composition":          {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"Consent":              {Params: []string{"patient"}, Primary: []string{"patient"}},
	"Contract":             {Params: []string{"patient"}, Via: []string{"signer", "agent"}, AnyMention: true, Outside: true},
	"Coverage":             {Params: []string{"beneficiary"}, Via: []string{"policy-holder", "subscriber", "payor"}, Primary: []string{"beneficiary", "subscriber", "policyHolder"}},
	"EligibilityRequest":   {Params: []string{"patient"}, Primary: []string{"patient"}},
	"EnrollmentRequest":    {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"ExplanationOfBenefit": {Params: []string{"patient"}, Via: []string{"payee"}, Primary: []string{"patient"}},
	"ImagingManifest":      {Params: []string{"patient"}, Primary: []string{"patient"}},
	"ImagingStudy":         {Params: []string{"patient"}, Primary: []string{"patient"}},
	"MeasureReport":        {Params: []string{"patient"}, Primary: []string{"patient"}},
	"ProcedureRequest":     {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"ReferralRequest":      {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"Sequence":             {Params: []string{"patient"}, Primary: []string{"patient"}, Outside: true},
	"SupplyRequest":        {Params: []string{"requester"}, AnyMention: true},
}

// stu3Gone are the types of R4 that STU3 does not have, or does not search by patient.
var stu3Gone = []string{
	"BodyStructure", "CoverageEligibilityRequest", "CoverageEligibilityResponse", "ImmunizationEvaluation", "Invoice", "MolecularSequence",
	"ServiceRequest",
}

// datesSTU3 are the dates that R4 has otherwise (https://hl7.org/fhir/STU3/searchparameter-registry.html).
var datesSTU3 = map[string]string{
	"Condition":          "asserted-date",
	"DetectedIssue":      "date",
	"DocumentReference":  "indexed",
	"EligibilityRequest": "created",
	"ImagingManifest":    "authoring-time",
	"MeasureReport":      "",
	"Media":              "date",
	"ProcedureRequest":   "authored",
	"ReferralRequest":    "authored-on",
}
