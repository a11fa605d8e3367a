package conform

import "slices"

// Rule names one thing that is put right, or only looked at. Each does nothing else, and says what it did by its name.
type Rule string

// The rules that change something. The package documentation says what exactly, and [DefaultRules] which of them are on by default: all.
const (
	RuleEmpty      Rule = "empty"      // empty arrays, objects and strings
	RuleNulls      Rule = "nulls"      // nulls that hold no place
	RuleDates      Rule = "dates"      // the form of dates and times
	RuleNumbers    Rule = "numbers"    // numbers written as strings
	RuleBooleans   Rule = "booleans"   // booleans written as strings
	RuleCodes      Rule = "codes"      // letter case and surrounding white space of codes with a required binding
	RuleReferences Rule = "references" // the form of literal references
	RuleStatus     Rule = "status"     // a required status that is missing
	RuleNarrative  Rule = "narrative"  // what may not stand in a narrative
)

// The rules that only look. What they find is a [Nonconformity].
const (
	RuleRequired   Rule = "required"   // an element that FHIR requires is missing
	RuleUnknown    Rule = "unknown"    // an element or resource type that FHIR does not have; see Options.Unknowns
	RuleShape      Rule = "shape"      // a value of another kind than its element's: an object for a string, one for a list
	RuleDuplicates Rule = "duplicates" // a name twice in one object: nothing under it is touched
	RuleIDs        Rule = "ids"        // an id that FHIR does not allow; package idspace makes legal ones
)

// Rules of what is neither in the list of rules nor of profiles.
const (
	// RuleMeta is what [Options.Versions] and [Options.Claims] ask for.
	RuleMeta Rule = "meta"
	// RuleJSON is the rule that a resource is a JSON object: bytes that are not one are given back as they are.
	RuleJSON Rule = "json"
	// RuleMark is the mark that [Mark] puts on what a validator refuses.
	RuleMark Rule = "mark"
	// RuleProfile is the claim of a profile, made or taken away. What the rules of a profile change has the profile's name beside it.
	RuleProfile Rule = "profile"
)

// DefaultRules gives a new list of the rules that are on by default, for those who want all but some.
func DefaultRules() []Rule {
	return []Rule{
		RuleEmpty, RuleNulls, RuleDates, RuleNumbers, RuleBooleans, RuleCodes, RuleReferences, RuleStatus, RuleNarrative,
		RuleRequired, RuleUnknown, RuleShape, RuleDuplicates, RuleIDs,
	}
}

// Without gives the rules that are not among those named.
func Without(rules []Rule, not ...Rule) []Rule {
	return slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return slices.Contains(not, r) })
}
