package transport

import (
	"net/url"
	"strings"
)

// Origin gives scheme, host and port of a URL in one spelling: lower case, no default port, no dot at the end of the host.
func Origin(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	port := u.Port()
	if port == "" {
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		}
	}
	return scheme + "://" + host + ":" + port
}

// SameOrigin tells whether a request to u may carry what is meant for base: both have the same origin, or u is the https form of a base
// that is http on the same host with default ports. Never the other way round.
func SameOrigin(base, u *url.URL) bool {
	if u.User != nil || u.Opaque != "" {
		return false
	}
	if Origin(base) == Origin(u) {
		return true
	}
	b, t := Origin(base), Origin(u)
	host, plain := strings.CutPrefix(b, "http://")
	host, standard := strings.CutSuffix(host, ":80")
	return plain && standard && t == "https://"+host+":443"
}

// SameServer tells whether two base URLs are spellings of one server's: http or https, case of the host, default port, slashes at the end.
func SameServer(base, other *url.URL) bool {
	name := func(u *url.URL) string {
		o := Origin(u)
		_, o, _ = strings.Cut(o, "://")
		o = strings.TrimSuffix(strings.TrimSuffix(o, ":443"), ":80")
		return o + strings.TrimRight(u.EscapedPath(), "/")
	}
	return name(base) == name(other)
}

// NextLink is NextLink, with links to further origins that the caller trusts left as they are.
func (c *Client) NextLink(page *url.URL, link string) (next *url.URL, mapped, ok bool) {
	if link != "" && len(link) <= MaxLink {
		u, err := url.Parse(link)
		if err == nil && u.Scheme == "" && u.Host == "" && !SameOrigin(c.o.Base, page) {
			u = page.ResolveReference(u) // the page itself came from such an origin.
		}
		if err == nil && u.Host != "" && c.Owns(u) && !SameOrigin(c.o.Base, u) {
			u.Fragment = ""
			return u, false, true
		}
	}
	return NextLink(c.o.Base, page, link)
}

// Owns tells whether a request to u may carry what is meant for the server: u has the origin of the base, or one that the caller trusts.
func (c *Client) Owns(u *url.URL) bool {
	if SameOrigin(c.o.Base, u) {
		return true
	}
	if u.User != nil || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	for _, t := range c.o.Trusted {
		if Origin(t) == Origin(u) {
			return true
		}
	}
	return false
}

// NextLink makes an address to request of a link that a page of the server named. page is the address the page was asked at. A link to
// another origin is mapped onto the base's own (path and query kept; where the path is not below the base's path, the base's path is put
// in its place as far as that can be told); mapped then is true. ok is false where there is nothing to request.
func NextLink(base, page *url.URL, link string) (next *url.URL, mapped, ok bool) {
	if link == "" || len(link) > MaxLink {
		return nil, false, false
	}
	u, err := url.Parse(link)
	if err != nil {
		return repairLink(base, link)
	}
	switch {
	case u.Scheme == "" && u.Host == "":
		// Without a scheme, "fhir.example.org/r4?page=2" reads like a path. Seen with Zus Health until May 2024.
		if first, _, _ := strings.Cut(u.Path, "/"); !strings.HasPrefix(link, "/") && strings.EqualFold(first, base.Host) {
			return NextLink(base, page, base.Scheme+"://"+link)
		}
		if u.Path == "" {
			u = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: page.Path, RawPath: page.RawPath, RawQuery: u.RawQuery}
		} else {
			u = page.ResolveReference(u)
		}
	case u.Scheme == "" && u.Host != "":
		u.Scheme = base.Scheme
	}
	u.Fragment = ""
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return repairLink(base, link)
	}
	if SameOrigin(base, u) && u.User == nil {
		return u, false, true
	}
	return onBase(base, u), true, true
}

// MaxLink is the longest link that is followed, in bytes.
const MaxLink = 64 << 10

// repairLink maps a link that is no URL, such as one with a port too many, onto the base: what follows the host is kept.
func repairLink(base *url.URL, link string) (*url.URL, bool, bool) {
	_, rest, found := strings.Cut(link, "://")
	scheme := strings.ToLower(link[:len(link)-len(rest)])
	if !found || scheme != "http://" && scheme != "https://" {
		return nil, false, false
	}
	i := strings.IndexAny(rest, "/?")
	if i < 0 {
		return nil, false, false
	}
	u, err := url.Parse(rest[i:])
	if err != nil || u.Host != "" {
		return nil, false, false
	}
	return onBase(base, u), true, true
}

// onBase puts path and query of u onto base's origin.
func onBase(base, u *url.URL) *url.URL {
	path := u.Path
	root := strings.TrimRight(base.Path, "/")
	if path != root && !strings.HasPrefix(path, root+"/") {
		// The gateway's path differs from that of the server behind it: what follows their common tail is the part below the base.
		path = below(root, path)
	}
	return &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path, RawQuery: u.RawQuery}
}

// below guesses the part of a foreign path that is below the service base: from the first segment that looks like a resource type or an
// operation, else nothing.
func below(root, path string) string {
	rest := path
	for rest != "" {
		segment := strings.TrimPrefix(rest, "/")
		name, _, _ := strings.Cut(segment, "/")
		if name != "" && (name[0] == '$' || name[0] == '_' || 'A' <= name[0] && name[0] <= 'Z') {
			return root + "/" + segment
		}
		i := strings.IndexByte(segment, '/')
		if i < 0 {
			break
		}
		rest = segment[i:]
	}
	return root
}
