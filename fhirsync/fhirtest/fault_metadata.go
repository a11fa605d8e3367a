package fhirtest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Faults of the CapabilityStatement.

// MetadataMissing answers metadata with this status and an OperationOutcome. Seen with the NHS.
func MetadataMissing(status int) Fault {
	return Fault{
		Name: fmt.Sprintf("MetadataMissing(%d)", status), Seen: "404, NHS: https://github.com/NHSDigital/personal-demographics-service-api/blob/HEAD/specification/personal-demographics.yaml",
		interactions: []Interaction{Metadata},
		answer:       func(*Server, *call) *reply { return refuse(status, issueCode(status), http.StatusText(status)) },
	}
}

// MetadataHTML answers metadata with an HTML page and status 200. Seen with MediRecords.
func MetadataHTML() Fault {
	const seen = "MediRecords: https://github.com/hl7au/au-fhir-core-inferno/issues/95"
	return Fault{Name: "MetadataHTML", Seen: seen, interactions: []Interaction{Metadata}, answer: func(*Server, *call) *reply {
		return newReply(http.StatusOK, "text/html; charset=utf-8", htmlPage("FHIR server"))
	}}
}

// MetadataDenies leaves types out of metadata that work all the same; without types it claims none at all.
func MetadataDenies(types ...string) Fault {
	return Fault{
		Name:         "MetadataDenies(" + strings.Join(types, ",") + ")",
		interactions: []Interaction{Metadata},
		claims: func(claims []claim) []claim {
			return slices.DeleteFunc(claims, func(c claim) bool { return len(types) == 0 || slices.Contains(types, c.typ) })
		},
	}
}

// MetadataClaims claims types, with search by patient, that the server does not have. Seen with Epic.
func MetadataClaims(types ...string) Fault {
	return Fault{
		Name:         "MetadataClaims(" + strings.Join(types, ",") + ")",
		Seen:         "Epic lists search for types that accept only _id: https://github.com/api-evangelist/epic-systems/blob/HEAD/fhir/epic-fhir-r4-capabilitystatement.json",
		interactions: []Interaction{Metadata},
		claims: func(claims []claim) []claim {
			for _, typ := range types {
				if !slices.ContainsFunc(claims, func(c claim) bool { return c.typ == typ }) {
					claims = append(claims, claim{typ: typ, interactions: []string{"read", "vread", "search-type"}, params: []typeParam{{"_id", kindToken}, {"patient", kindReference}}})
				}
			}
			return claims
		},
	}
}

// MetadataWithoutOperations lists no operations; they work all the same. Seen with Medplum.
func MetadataWithoutOperations() Fault {
	return Fault{
		Name:         "MetadataWithoutOperations",
		Seen:         "no $everything, Medplum: https://github.com/medplum/medplum/blob/HEAD/packages/server/src/fhir/metadata.ts",
		interactions: []Interaction{Metadata},
		claims: func(claims []claim) []claim {
			for i := range claims {
				claims[i].operations = nil
			}
			return claims
		},
	}
}

// MetadataPadded makes the CapabilityStatement larger by n bytes. Seen with 1upHealth.
func MetadataPadded(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("MetadataPadded(%d)", n),
		Seen:         "half a megabyte, 1upHealth: https://github.com/api-evangelist/1uphealth/blob/HEAD/fhir/1uphealth-fhir-r4-capabilitystatement.json",
		interactions: []Interaction{Metadata},
		wire: func(_ *Server, _ *call, rep *reply) {
			if body, ok := bytes.CutSuffix(bytes.TrimSpace(rep.body), []byte("}")); ok {
				rep.body = append(pad(bytes.Clone(body), `,"description":"`, n), '}')
			}
		},
	}
}

// MetadataWithoutParams lists no search parameters for any type; they work all the same. Seen with NextGen and Zus
// Health.
func MetadataWithoutParams() Fault {
	return Fault{
		Name: "MetadataWithoutParams", Seen: "Provenance, NextGen: https://github.com/api-evangelist/nextgen-healthcare/blob/HEAD/fhir/nextgen-enterprise-r4-capabilitystatement.json ; no patient parameter, Zus Health: https://github.com/api-evangelist/zus-health/blob/HEAD/conformance/zus-health-fhir-capabilitystatement.json",
		interactions: []Interaction{Metadata},
		claims: func(claims []claim) []claim {
			for i := range claims {
				claims[i].params = nil
			}
			return claims
		},
	}
}
