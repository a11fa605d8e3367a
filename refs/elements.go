package refs

import (
	"bytes"
	"strings"
)

// What the elements of STU3, R4, R4B and R5 are is told by their names, because raw JSON has no types. The lists here were made from the
// StructureDefinitions of these versions (http://hl7.org/fhir/R4/resourcelist.html and the like).

// class is what the name of a member says about the string under it.
type class int

const (
	classNone           class = iota
	classReference            // of a Reference, or a uri of that name
	classURL                  // of an Attachment, or a uri or canonical, or the resource's own name
	classCanonical            // certainly a canonical
	classMaybeCanonical       // if it looks like one
	classURI                  // certainly a uri or url
	classMaybeURI             // if it looks like one
	classLocation             // a uri in Bundle.entry.response
	classNarrative            // if it is in a Narrative
)

// sourcesOf are the Sources that a class may turn out to be.
func (c class) sources() sourceSet {
	switch c {
	case classReference:
		return setOf(FromReference, FromURI)
	case classURL:
		return setOf(FromAttachment, FromURI, FromCanonical)
	case classCanonical, classMaybeCanonical:
		return setOf(FromCanonical)
	case classMaybeURI:
		return setOf(FromURI, FromCanonical)
	case classURI, classLocation:
		return setOf(FromURI)
	case classNarrative:
		return setOf(FromNarrative)
	case classNone:
	}
	return 0
}

// classOf tells what a member of this name may be.
func classOf(name []byte) class {
	switch string(name) {
	case "reference":
		return classReference
	case "url":
		return classURL
	case "div":
		return classNarrative
	case "fullUrl":
		return classURI
	case "location":
		return classLocation
	case "questionnaire", "actorCanonical", "artifactCanonical", "baseDefinition", "exampleCanonical", "inputProfile", "instantiatesCanonical",
		"outputProfile", "supportedProfile", "targetProfile", "testScript":
		return classCanonical
	// Those which are codes, texts or something else in another place.
	case "actor", "artifact", "base", "capabilities", "codeMap", "compartment", "definition", "derivedFrom", "graph", "implementationGuide", "import",
		"imports", "instantiates", "library", "measure", "message", "observationRequirement", "observationResultRequirement", "otherMap", "parent",
		"partOf", "profile", "replaces", "resource", "specimenRequirement", "subscriptionTopic", "supplements", "target", "topic", "transform",
		"valueAlternatives", "valueSet", "workflow":
		return classMaybeCanonical
	case "additionalInfo", "address", "authority", "binary", "detail", "endpoint", "link", "next", "onlineInformation", "policy", "policyRule",
		"protocol", "relativePath", "rendering", "satisfiedBy", "source", "uri":
		return classMaybeURI
	}
	// The many choices of type: valueUri, patternCanonical, answerValueSet and their like.
	switch {
	case bytes.HasSuffix(name, []byte("Uri")), bytes.HasSuffix(name, []byte("Url")):
		return classURI
	case bytes.HasSuffix(name, []byte("Canonical")), bytes.HasSuffix(name, []byte("ValueSet")):
		return classCanonical
	}
	return classNone
}

// isAttachment tells whether an element of this name is an Attachment, if it has a url.
func isAttachment(name []byte) bool {
	switch string(name) {
	case "content", "document", "file", "form", "formatted", "image", "photo", "presentedForm":
		return true
	}
	return bytes.HasSuffix(name, []byte("ttachment"))
}

// urlOf tells what the member url of an element is; nothing where it is what the element is called: that of a definition, and of an extension.
func urlOf(parent []byte) Source {
	switch string(parent) {
	case "", "contained", "resource", "extension", "modifierExtension":
		return 0
	case "unmapped", "structure":
		return FromCanonical
	}
	if isAttachment(parent) {
		return FromAttachment
	}
	return FromURI
}

// namedOf tells what an element with a name of class MaybeURI is: in a few places a canonical.
func namedOf(parent []byte) Source {
	switch string(parent) {
	case "constraint", "group", "dependsOn", "codeSystem":
		return FromCanonical // ElementDefinition and ConceptMap: source; ImplementationGuide and TerminologyCapabilities: uri
	}
	return FromURI
}

// looksLikeURI tells whether a text can be an absolute URI, and not a code or a sentence.
func looksLikeURI(text string) bool {
	if hasPrefixFold(text, "urn:") {
		return true
	}
	scheme, rest, found := strings.Cut(text, "://")
	return found && rest != "" && scheme != "" && !strings.ContainsAny(text, " \t\r\n")
}

// isURI tells whether the element of this path is a uri that is named
// reference.
func isURI(path []byte, typ string) bool {
	tail := strings.TrimPrefix(string(path), typ+".")
	contained := strings.HasPrefix(tail, "contained.")
	tail = strings.TrimPrefix(tail, "contained.")
	switch tail {
	case "reference":
		return typ != "" || contained // no resource is itself a Reference
	case "education.reference":
		return contained || typ == "Immunization"
	case "storageGuideline.reference":
		return contained || typ == "MedicationKnowledge"
	case "statement.reference":
		return contained || typ == "Requirements"
	}
	element := strings.TrimSuffix(tail, ".reference")
	return strings.HasSuffix(element, ".expression") || element == "expression" || strings.HasSuffix(element, "Expression")
}
