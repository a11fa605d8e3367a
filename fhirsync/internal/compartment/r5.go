package compartment

// r5 has the types of the R5 Patient compartment (hl7.org/fhir/R5/compartmentdefinition-patient.html), and those outside it, that R4
// lacks or has otherwise. Subscription is left out, although a Patient may be its managingEntity: it is no part of a health record, and
// may hold credentials.
var r5 = map[string]Type{
	"AdverseEvent":                       {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"AuditEvent":                         {Params: []string{"patient"}, Primary: []string{"patient", "entity.what"}},
	"BiologicallyDerivedProductDispense": {Params: []string{"patient"}, Primary: []string{"patient"}},
	"CommunicationRequest":               {Params: []string{"patient", "subject"}, Via: []string{"information-provider", "recipient", "requester"}, Primary: []string{"subject"}},
	"Consent":                            {Params: []string{"patient", "subject"}, Via: []string{"actor", "grantee"}, Primary: []string{"subject"}},
	"Contract":                           {Params: []string{"patient"}, Via: []string{"signer"}, AnyMention: true},
	"DetectedIssue":                      {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"DeviceAssociation":                  {Params: []string{"patient", "subject"}, Via: []string{"operator"}, Primary: []string{"subject"}},
	"DeviceDispense":                     {Params: []string{"patient", "subject"}, Primary: []string{"subject"}, Outside: true},
	"DeviceUsage":                        {Params: []string{"patient"}, Primary: []string{"patient"}},
	"EncounterHistory":                   {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"GenomicStudy":                       {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"GuidanceResponse":                   {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"ImagingSelection":                   {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"InventoryItem":                      {Params: []string{"subject"}, Primary: []string{"instance.subject"}, Outside: true},
	"MolecularSequence":                  {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"NutritionIntake":                    {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"NutritionOrder":                     {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	"PaymentReconciliation":              {Params: []string{"payment-issuer"}, Primary: []string{"paymentIssuer"}, Outside: true},
	"Provenance":                         {Params: []string{"patient"}, Primary: []string{"target", "patient"}},
	"RequestOrchestration":               {Params: []string{"patient", "subject"}, Via: []string{"participant"}, Primary: []string{"subject"}},
	"ResearchSubject":                    {Params: []string{"patient", "subject"}, Primary: []string{"subject"}},
	// patient is whom the supply is for, subject where it goes to.
	"SupplyRequest": {Params: []string{"patient"}, Via: []string{"subject"}, Primary: []string{"deliverFor"}},
	"Task":          {Params: []string{"patient"}, Via: []string{"focus", "owner", "requester"}, Primary: []string{"for"}},
}

// r5Gone are the types of R4 that R5 does not have, or does not search by patient: Device names its patient by DeviceAssociation now.
var r5Gone = []string{"Device", "DeviceUseStatement", "DocumentManifest", "Media", "RequestGroup"}

// datesR5 are the dates that R4 has otherwise (https://hl7.org/fhir/R5/searchparameter-registry.html).
var datesR5 = map[string]string{
	"ImagingSelection":         "issued",
	"MedicationAdministration": "date",
	"NutritionIntake":          "date",
	"PaymentReconciliation":    "created",
	"RequestOrchestration":     "authored",
}
