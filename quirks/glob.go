package quirks

import (
	"errors"
	"net/url"
	"strings"
)

// maxMatched bounds the texts that are compared.
const maxMatched = 4096

// globFits tells whether text fits a pattern in which an asterisk stands for anything. It takes time in proportion to the product of the
// two lengths at most.
func globFits(pattern, text string) bool {
	if len(text) > maxMatched {
		return false
	}
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			p = star + 1
			mark++
			t = mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// address is a base URL, taken apart.
type address struct {
	scheme, host string // with the port, where it is not the scheme's own
	path         []string
}

// parseAddress reads a base URL; nil if it is none.
func parseAddress(base string) *address {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || len(base) > maxMatched {
		return nil
	}
	a := &address{scheme: strings.ToLower(u.Scheme), host: plainHost(strings.ToLower(u.Scheme), u.Host)}
	a.path = segments(u.EscapedPath())
	return a
}

func plainHost(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.TrimSuffix(host, ".")
}

func segments(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// pattern is a Match.BaseURL, taken apart.
type pattern struct {
	scheme string // "": any
	labels []string
	path   []string
	rest   bool // anything may follow the path
}

var (
	errPattern   = errors.New("want a base URL like https://*.example.org/fhir/**")
	errEveryHost = errors.New("fits every host: at least the last two labels must be given, without an asterisk")
)

func parsePattern(text string) (*pattern, error) {
	scheme, rest, ok := strings.Cut(text, "//")
	if !ok || len(text) > maxMatched || strings.ContainsAny(text, "?#@ \t\r\n\\") {
		return nil, errPattern
	}
	p := &pattern{}
	switch strings.ToLower(scheme) {
	case "https:", "http:":
		p.scheme = strings.ToLower(strings.TrimSuffix(scheme, ":"))
	case "":
	default:
		return nil, errPattern
	}
	host, path, _ := strings.Cut(rest, "/")
	if host == "" || strings.Contains(host, "**") {
		return nil, errPattern
	}
	p.labels = strings.Split(plainHost(p.scheme, host), ".")
	n := len(p.labels)
	for i, label := range p.labels {
		if label == "" {
			return nil, errPattern
		}
		if strings.Contains(label, "*") && (i >= n-2 || n < 3) {
			return nil, errEveryHost
		}
	}
	p.path = segments(path)
	if k := len(p.path); k > 0 && p.path[k-1] == "**" {
		p.path, p.rest = p.path[:k-1], true
	}
	for _, s := range p.path {
		if strings.Contains(s, "**") {
			return nil, errPattern
		}
	}
	return p, nil
}

func (p *pattern) fits(a *address) bool {
	if p.scheme != "" && p.scheme != a.scheme {
		return false
	}
	labels := strings.Split(a.host, ".")
	want := p.labels
	if want[0] == "*" {
		// One or more labels.
		if len(labels) < len(want) {
			return false
		}
		labels, want = labels[len(labels)-len(want)+1:], want[1:]
	}
	if len(labels) != len(want) {
		return false
	}
	for i := range want {
		if !globFits(want[i], labels[i]) {
			return false
		}
	}
	if len(a.path) < len(p.path) || len(a.path) > len(p.path) && !p.rest {
		return false
	}
	for i := range p.path {
		if !globFits(p.path[i], a.path[i]) {
			return false
		}
	}
	return true
}
