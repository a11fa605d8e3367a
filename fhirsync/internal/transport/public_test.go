package transport_test

import (
	"net/netip"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "2606:4700::1111": true, "172.32.0.1": true, "100.128.0.1": true, "192.0.1.1": true,
		"::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true,
		"0.0.0.0": false, "10.1.2.3": false, "100.64.0.1": false, "127.0.0.1": false, "127.8.8.8": false, "169.254.169.254": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.1.1": false, "192.0.0.192": false, "198.18.0.1": false, "203.0.113.9": false, "224.0.0.251": false,
		"239.255.255.250": false, "255.255.255.255": false, "240.0.0.1": false, "168.63.129.16": false, "100.100.100.200": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false, "fec0::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false,
		"64:ff9b:1::808:808": false, "2002:7f00:1::1": false, "2002:a00:1::": false, "2001::1": false, "2001:db8::1": false, "100::1": false, "4000::1": false,
	} {
		if got := transport.IsPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if transport.IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}
