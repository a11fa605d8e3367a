package fhirtest

import "strconv"

// random is splitmix64. The standard library's generators promise less: the same Options must give the same bytes with
// every version of Go, because golden files and saved seeds of fuzzers depend on them.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// n gives a number in [0, limit); 0 where there is nothing to choose from.
func (r *random) n(limit int) int {
	if limit <= 1 {
		return 0
	}
	return int(r.next() % uint64(limit)) //nolint:gosec // limit is a small positive number, and so is the remainder.
}

// oneIn is true once in n times.
func (r *random) oneIn(n int) bool { return r.n(n) == 0 }

func pick[T any](r *random, from []T) T { return from[r.n(len(from))] }

// tag is a short name made from a seed and a text; it is what keeps the ids of different records apart.
func tag(seed uint64, text string) string {
	h := mix(seed ^ 0x5ca1ab1e0ddba11)
	for i := range len(text) {
		h = mix(h ^ uint64(text[i]))
	}
	return strconv.FormatUint(h%2176782336, 36) // six letters of base 36 at most.
}
