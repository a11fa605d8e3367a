package transport

import "net/netip"

// Allow shows what a dialler would be told of an address.
func Allow(h *Hosts, host string, ip netip.Addr) bool { return h.allow(host, ip) }
