package jsonscan

// Names are names of members that somebody looks for, so that nearly all others can be passed over by a look at their length and their ends.
// A Names is not written to once it is made.
type Names struct {
	first, last [32]uint32 // by length, a bit for each byte, both modulo 32
}

// NewNames makes Names of the decoded names.
func NewNames(names ...string) *Names {
	n := new(Names)
	for _, name := range names {
		if name == "" {
			continue // which is never passed over
		}
		l := len(name) & 31
		n.first[l] |= 1 << (name[0] & 31)
		n.last[l] |= 1 << (name[len(name)-1] & 31)
	}
	return n
}

// may tells whether a decoded name may be one of them. It is never false for one that is.
func (n *Names) may(name []byte) bool {
	if len(name) == 0 {
		return true
	}
	l := len(name) & 31
	return n.first[l]>>(name[0]&31)&(n.last[l]>>(name[len(name)-1]&31))&1 != 0
}
