package fhirtest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Faults of a server, or of something in its place, that wants to lead its client astray or to wear it out. They are not seen, but feared.

// HostileFaults gives an instance of each fault that leads a client astray or wears it out, for tests that run over all of them. evil is
// the base URL of another host. The slice is new for each call.
func HostileFaults(evil string) []Fault {
	var out []Fault
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		out = append(out, RedirectTo(status, evil+"/Observation?patient=1").For("Observation"))
	}
	return append(
		out,
		Redirect(evil), Redirect(evil).For("Observation"), Redirect(evil).On(Page), Redirect(evil).For("Practitioner"),
		RedirectTo(http.StatusFound, "//"+strings.TrimPrefix(evil, "https://")), RedirectTo(http.StatusFound, "file:///etc/passwd").For("Observation"),
		RedirectTo(http.StatusFound, "https://%zz").For("Observation"), RedirectTo(http.StatusFound, strings.Repeat("a", 1<<20)).For("Observation"),
		RedirectTo(http.StatusMultipleChoices, evil).For("Observation"), RedirectChain().For("Observation"), RedirectChain(),
		NextForeignHost(evil), NextVerbatim(evil), NextVerbatim("file:///etc/passwd"), NextVerbatim("https://user:password@"+strings.TrimPrefix(evil, "https://")),
		NextVerbatim(evil+"?"+strings.Repeat("a", 1<<20)), NextVerbatim("\x00"),
		AcceptedAt(evil+"/job/1"), AcceptedAt("file:///etc/passwd"), AcceptedAt(""),
		HeaderFlood(1000).For("Observation"), GzipBomb(32<<20).For("Observation"), Encoding("br").For("Observation"),
		HTMLError(http.StatusUnauthorized).For("Observation"), HTMLError(http.StatusForbidden).For("Observation"), HTMLError(http.StatusServiceUnavailable).For("Observation"),
	)
}

// RedirectTo answers with this status and this Location, as it is.
func RedirectTo(status int, location string) Fault {
	return Fault{Name: fmt.Sprintf("RedirectTo(%d,%.60q)", status, location), interactions: fhirRequests(), answer: func(*Server, *call) *reply {
		rep := newReply(status, "", nil)
		rep.header.Set("Location", location)
		return rep
	}}
}

// RedirectChain answers each request with a redirect to another address of the server, without end.
func RedirectChain() Fault {
	return Fault{
		Name: "RedirectChain", interactions: fhirRequests(),
		state: func(f *injected, s *Server, c *call) *reply {
			f.seen[""]++
			rep := newReply(http.StatusTemporaryRedirect, "", nil)
			rep.header.Set("Location", s.base+"/"+c.path+"?step="+strconv.Itoa(f.seen[""]))
			return rep
		},
	}
}

// NextVerbatim puts this text in the place of every next link.
func NextVerbatim(link string) Fault {
	return relinked(fmt.Sprintf("NextVerbatim(%.60q)", link), "", func(*Server, string) string { return link })
}

// AcceptedAt answers searches and operations with 202 and this Content-Location.
func AcceptedAt(location string) Fault {
	return Fault{
		Name: fmt.Sprintf("AcceptedAt(%.60q)", location), interactions: []Interaction{Search, Operation},
		answer: func(*Server, *call) *reply {
			rep := newReply(http.StatusAccepted, "", nil)
			rep.header.Set("Content-Location", location)
			rep.header.Set("Link", "<"+location+`>; rel="next"`)
			return rep
		},
	}
}

// HeaderFlood adds n headers of 100 bytes to each answer.
func HeaderFlood(n int) Fault {
	return Fault{Name: fmt.Sprintf("HeaderFlood(%d)", n), interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		for i := range n {
			rep.header.Set(fmt.Sprintf("X-Flood-%d", i), strings.Repeat("a", 100))
		}
	}}
}

// GzipBomb answers with so many bytes of white space, packed to about a thousandth.
func GzipBomb(size int) Fault {
	return Fault{Name: fmt.Sprintf("GzipBomb(%d)", size), interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		var b bytes.Buffer
		zw := gzip.NewWriter(&b)
		blank := bytes.Repeat([]byte(" "), 1<<20)
		for left := size; left > 0; left -= len(blank) {
			_, _ = zw.Write(blank[:min(left, len(blank))]) // a bytes.Buffer does not fail.
		}
		_ = zw.Close()
		rep.body = b.Bytes()
		rep.header.Set("Content-Encoding", "gzip")
	}}
}

// Encoding says that each answer is packed in this way, which it is not.
func Encoding(name string) Fault {
	return Fault{Name: "Encoding(" + name + ")", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		rep.header.Set("Content-Encoding", name)
	}}
}
