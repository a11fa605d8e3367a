package storetest

import "testing"

// Rules gives the names of all rules, for the tests of the suite.
func Rules() []string {
	var names []string
	for _, r := range rules {
		names = append(names, r.name)
	}
	return names
}

// Words gives a rule in words.
func Words(name string) string { return find(name).words }

// Check tests one rule.
func Check(tb testing.TB, name string, h Harness) {
	tb.Helper()
	find(name).run(tb, h)
}

// OddIDs are the ids of the rule odd-ids.
func OddIDs() []string { return oddIDs }

func find(name string) rule {
	for _, r := range rules {
		if r.name == name {
			return r
		}
	}
	panic("no such rule: " + name)
}
