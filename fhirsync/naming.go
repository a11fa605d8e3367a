package fhirsync

// naming is what resources have been seen to refer to, by their types. It tells of which types hardly any more targets will be named, so that
// those that are known can be asked for without its taking another request later. It decides about the order of requests and about nothing
// else: what is named after all is asked for, too. It is guarded by run.mu.
type naming struct {
	from map[string]*namer // by the type of the resource
	to   map[string]*aim   // by the type of the target
}

type namer struct {
	seen  int             // resources
	names map[string]bool // types
}

type aim struct {
	targets int // that were new
	since   int // references since the last new one
}

const (
	wellSeen      = 50 // resources of a type from which on it is believed that it names no other types than it has named
	wellSeenShort = 20 // the same for types that are asked for because others name them
	fewNamed      = 100
)

// resource notes that a resource of a type has come.
func (n *naming) resource(typ string) {
	if n.from == nil {
		n.from, n.to = map[string]*namer{}, map[string]*aim{}
	}
	x := n.from[typ]
	if x == nil {
		if len(n.from) >= maxTypeNames {
			return
		}
		x = &namer{names: map[string]bool{}}
		n.from[typ] = x
	}
	x.seen++
}

// note notes a reference. fresh: its target was not known.
func (n *naming) note(typ, to string, fresh bool) {
	x, y := n.from[typ], n.to[to]
	if y == nil {
		if x == nil || len(n.to) >= maxTypeNames {
			return
		}
		y = &aim{}
		n.to[to] = y
	}
	if y.since++; fresh {
		y.targets++
		y.since = 0
	}
	if x != nil && !x.names[to] && len(x.names) < maxTypeNames {
		x.names[to] = true
	}
}

// isFinal tells whether hardly any more targets of a type will be named by resources of the types that are still being asked for (open), and of
// those whose targets have not come yet (others).
func (n *naming) isFinal(typ string, open map[string]bool, others map[string]int) bool {
	for name := range open {
		switch x := n.from[name]; {
		case x == nil || x.seen < wellSeen:
			return false
		case x.names[typ] && !n.settled(typ):
			return false
		}
	}
	for name := range others {
		if name == typ || waveOf[name] >= waveOf[typ] || open[name] {
			continue
		}
		if x := n.from[name]; x == nil || x.seen < wellSeenShort || x.names[typ] {
			return false
		}
	}
	return true
}

// settled tells whether a type has been named so often without anything new that more is not to be expected.
func (n *naming) settled(typ string) bool {
	y := n.to[typ]
	return y == nil || y.since >= 2*y.targets+fewNamed
}
