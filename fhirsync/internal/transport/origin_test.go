package transport_test

import (
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
)

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base, other string
		want        bool
	}{
		{"https://fhir.example.test/r4", "https://fhir.example.test/other", true},
		{"https://fhir.example.test/r4", "https://FHIR.example.test:443/", true},
		{"https://fhir.example.test/r4", "HTTPS://fhir.example.test./", true},
		{"https://fhir.example.test:8443/r4", "https://fhir.example.test:8443/", true},
		{"http://fhir.example.test/r4", "https://fhir.example.test/r4", true}, // up
		{"http://fhir.example.test:80/r4", "https://fhir.example.test:443/r4", true},
		{"http://[::1]/r4", "http://[::1]:80/", true},

		{"https://fhir.example.test/r4", "http://fhir.example.test/r4", false}, // down
		{"https://fhir.example.test/r4", "https://fhir.example.test:8443/", false},
		{"http://fhir.example.test:8080/r4", "https://fhir.example.test:8443/", false},
		{"http://fhir.example.test:8080/r4", "https://fhir.example.test/", false},
		{"https://fhir.example.test/r4", "https://example.test/", false},
		{"https://fhir.example.test/r4", "https://fhir.example.test.evil.example/", false},
		{"https://fhir.example.test/r4", "https://evilfhir.example.test/", false},
		{"https://fhir.example.test/r4", "https://fhir.example.test@evil.example/", false},
		{"https://fhir.example.test/r4", "https://user@fhir.example.test/", false},
		{"https://fhir.example.test/r4", "https:fhir.example.test/", false},
		{"https://fhir.example.test/r4", "file:///etc/passwd", false},
		{"https://fhir.example.test/r4", "//fhir.example.test/", false},
	} {
		if got := transport.SameOrigin(address(t, c.base), address(t, c.other)); got != c.want {
			t.Errorf("SameOrigin(%s, %s) = %t", c.base, c.other, got)
		}
	}
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		link, want string // want "": nothing to request
		mapped     bool
	}{
		{"https://fhir.example.test/r4?_getpages=1", "https://fhir.example.test/r4?_getpages=1", false},
		{"https://fhir.example.test:443/r4/Observation?page=2#x", "https://fhir.example.test:443/r4/Observation?page=2", false},
		{"?page=2", "https://fhir.example.test/r4/Observation?page=2", false},
		{"Observation?page=2", "https://fhir.example.test/r4/Observation?page=2", false},
		{"/r4/Observation?page=2", "https://fhir.example.test/r4/Observation?page=2", false},
		{"fhir.example.test/r4/Observation?page=2", "https://fhir.example.test/r4/Observation?page=2", false},
		{"//fhir.example.test/r4?page=2", "https://fhir.example.test/r4?page=2", false},
		{"http://fhir.example.test/r4?page=2", "https://fhir.example.test/r4?page=2", true},
		{"http://10.0.66.99:8080/fhir/Observation?page=2", "https://fhir.example.test/r4/Observation?page=2", true},
		{"http://internal/r4?page=2", "https://fhir.example.test/r4?page=2", true},
		{"https://fhir.example.test:443:443/r4?page=2", "https://fhir.example.test/r4?page=2", true},
		{"https://user:pw@fhir.example.test/r4?page=2", "https://fhir.example.test/r4?page=2", true},
		{"", "", false},
		{"file:///etc/passwd", "", false},
		{"javascript:alert(1)", "", false},
		{"https://fhir.example.test/r4?x=" + strings.Repeat("a", 1<<20), "", false},
		{"http://%zz/", "https://fhir.example.test/r4", true},
	} {
		next, mapped, ok := transport.NextLink(address(t, base), address(t, base+"/Observation?patient=1"), c.link)
		if ok != (c.want != "") || ok && (next.String() != c.want || mapped != c.mapped) {
			t.Errorf("%.80s: %v, mapped %t, ok %t; want %q, mapped %t", c.link, next, mapped, ok, c.want, c.mapped)
		}
	}
}

// Whatever a link is, what is requested is on the server's own origin.
func FuzzNextLink(f *testing.F) {
	for _, s := range []string{
		"", "?a=b", "https://fhir.example.test/r4?x", "http://10.0.0.1/fhir/Observation?page=2", "//evil.example/x", `https:\\evil.example`, "https://a:1:2/b",
		"https://fhir.example.test\t.evil.example/", "fhir.example.test@evil.example/x", "https:///x", "http:/x/y", "\x00", "https://[::1/", "https://fhir.example.test%2eevil.example/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, link string) {
		b := address(t, base)
		next, _, ok := transport.NextLink(b, address(t, base+"/Observation?patient=1"), link)
		if ok && !transport.SameOrigin(b, next) {
			t.Errorf("%q leads to %s", link, next)
		}
	})
}
