package fhirtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// placeholder is what a trace has in the place of a value.
var placeholder = regexp.MustCompile(`\{[a-z]+(?:[-+][a-z0-9-]+)?\}`)

// expand puts texts in the place of placeholders.
func expand(text string, with func(name string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(s string) string { return with(s[1 : len(s)-1]) })
}

// literal gives the text that stands for a placeholder with a number. It is an id, a word, and for types a name of letters alone.
func literal(name string) string {
	n, ok := strings.CutPrefix(name, "type-")
	if !ok {
		return name
	}
	out := []byte("Replayed")
	for _, digit := range []byte(n) {
		if digit >= '0' && digit <= '9' {
			out = append(out, "abcdefghij"[digit-'0'])
		}
	}
	return string(out)
}

// plain expands what does not depend on the base URL, which stays as {base}.
func (p *Playback) plain(name string) string {
	switch name {
	case "base", "base-http", "base-https", "origin", "host", "path", "broken", "unreadable":
		return "{" + name + "}"
	}
	return literal(name)
}

// full expands everything, for answers. The caller holds the lock.
func (p *Playback) full(name string) string {
	scheme, rest, _ := strings.Cut(p.base, "://")
	host, path, _ := strings.Cut(rest, "/")
	if path != "" {
		path = "/" + path
	}
	switch name {
	case "base":
		return p.base
	case "base-http", "base-https":
		return strings.TrimPrefix(name, "base-") + "://" + rest
	case "origin":
		return scheme + "://" + host
	case "host":
		return host
	case "path":
		return path
	case "broken":
		return scheme + "://" + host + ":443:443"
	case "unreadable":
		return "://"
	case "other":
		return "other"
	}
	if strings.HasPrefix(name, "origin-") {
		return "https://" + name + ".fhirtest.example"
	}
	text := literal(name)
	if v, ok := p.values[text]; ok {
		return v
	}
	return text
}

// question is a request in the form in which it is compared: values as they stand in answers, the base as {base}.
type question struct {
	method string
	path   string
	params []param // of the URL and of the form, in order of name
	batch  []string
}

type param struct {
	name, value string
	has         bool // an equals sign
}

// parseParams takes a query apart that needs no unescaping.
func parseParams(query string, unescape func(string) string) []param {
	var out []param
	if query == "" {
		return nil
	}
	for piece := range strings.SplitSeq(query, "&") {
		name, value, has := strings.Cut(piece, "=")
		p := param{unescape(name), unescape(value), has}
		if p.name == "_id" { // the order of a list means nothing, and who lists ids in order has others here.
			ids := strings.Split(p.value, ",")
			slices.Sort(ids)
			p.value = strings.Join(ids, ",")
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b param) int { return strings.Compare(a.name, b.name) })
	return out
}

// recorded makes a question of what the trace has.
func recorded(method, address, form string, batch []string) question {
	plain := (&Playback{}).plain
	same := func(s string) string { return s }
	path, query, _ := strings.Cut(expand(address, plain), "?")
	q := question{method: method, path: path, params: parseParams(joined(query, expand(form, plain)), same)}
	for _, b := range batch {
		q.batch = append(q.batch, expand(b, plain))
	}
	return q
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "&" + b
}

// incoming makes a question of a request. The caller holds the lock.
func (p *Playback) incoming(r *http.Request, sent []byte) question {
	q := question{method: r.Method}
	path := r.URL.EscapedPath()
	if base, err := url.Parse(p.base); err == nil {
		if rest, ok := strings.CutPrefix(path, base.EscapedPath()); ok && (rest == "" || rest[0] == '/') {
			q.path = "{base}" + p.segments(rest)
		}
	}
	if q.path == "" {
		q.path = "{origin}" + p.segments(path)
	}
	unescape := func(s string) string {
		if out, err := url.QueryUnescape(s); err == nil {
			s = out
		}
		return p.known(s)
	}
	query := r.URL.RawQuery
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		query = joined(query, string(sent))
	} else if len(sent) > 0 {
		var b struct {
			Entry []struct {
				Request struct{ Method, URL string }
			}
		}
		if json.Unmarshal(sent, &b) == nil {
			for _, e := range b.Entry {
				q.batch = append(q.batch, e.Request.Method+" "+p.relative(e.Request.URL))
			}
		}
	}
	q.params = parseParams(query, unescape)
	return q
}

func (p *Playback) segments(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if out, err := url.PathUnescape(s); err == nil {
			s = out
		}
		if b, ok := p.bound[s]; ok {
			s = b
		}
		segments[i] = s
	}
	return strings.Join(segments, "/")
}

// relative gives a request of a batch as a trace would write it.
func (p *Playback) relative(address string) string {
	path, query, has := strings.Cut(address, "?")
	out := p.segments(path)
	if !has {
		return out
	}
	pieces := strings.Split(query, "&")
	for i, piece := range pieces {
		name, value, has := strings.Cut(piece, "=")
		if v, err := url.QueryUnescape(value); err == nil {
			value = v
		}
		pieces[i] = name
		if has {
			pieces[i] += "=" + p.known(value)
		}
	}
	return out + "?" + strings.Join(pieces, "&")
}

// prefixed is a date with a comparison in front.
var prefixed = regexp.MustCompile(`^(eq|ne|gt|lt|ge|le|sa|eb|ap)([0-9].*)$`)

// known replaces what placeholders have been bound to by what stands for them in the trace, and the base URL.
func (p *Playback) known(value string) string {
	parts := strings.Split(value, ",")
	for i, part := range parts {
		if rest, ok := strings.CutPrefix(part, p.base+"/"); ok {
			parts[i] = "{base}/" + p.segments(rest)
			continue
		}
		at := strings.LastIndexByte(part, '/') + 1 // "Patient/1" is Patient/{id-1}.
		if b, ok := p.bound[part[at:]]; ok {
			parts[i] = part[:at] + b
		} else if m := prefixed.FindStringSubmatch(part); m != nil { // "ge2020" is ge{date-1}.
			if b, ok := p.bound[m[2]]; ok {
				parts[i] = m[1] + b
			}
		}
	}
	return strings.Join(parts, ",")
}

// key tells questions apart.
func (q question) key() string {
	var b strings.Builder
	b.WriteString(q.method + " " + strings.TrimPrefix(strings.TrimPrefix(q.path, "{base}"), "/"))
	for i, x := range q.params {
		b.WriteByte("&?"[b2i(i == 0)])
		b.WriteString(x.name)
		if x.has {
			b.WriteString("=" + x.value)
		}
	}
	for _, r := range q.batch {
		b.WriteString(" " + strconv.Quote(r))
	}
	return b.String()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// otherwise is the same question with the patient named in the other way: "id" for "Patient/id", and "Patient/id" for "id".
func (q question) otherwise(patient string) question {
	q.params = slices.Clone(q.params)
	for i, x := range q.params {
		switch x.value {
		case patient:
			q.params[i].value = "Patient/" + patient
		case "Patient/" + patient:
			q.params[i].value = patient
		}
	}
	return q
}

// patientForm is the form in which a search names the patient: "id", "Patient/id", or "" where it does not.
func (q question) patientForm(patient string) string {
	for _, x := range q.params {
		switch x.value {
		case patient:
			return "id"
		case "Patient/" + patient:
			return "Patient/id"
		}
	}
	return ""
}

// form is what questions have in common that differ in values alone.
func (q question) form() string {
	b := []byte(q.method)
	if rest, ok := strings.CutPrefix(q.path, "{base}/"); ok && rest != "" && rest[0] >= 'A' && rest[0] <= 'Z' {
		typ, _, _ := strings.Cut(rest, "/")
		b = append(append(b, ' '), typ...)
	}
	b = strconv.AppendInt(append(b, ' '), int64(strings.Count(q.path, "/")), 10)
	for _, x := range q.params {
		b = append(append(b, ' '), x.name...)
	}
	b = strconv.AppendInt(append(b, ' '), int64(len(q.batch)), 10)
	return string(b)
}

// numbered is the text that stands for a placeholder.
var numbered = regexp.MustCompile(`(?:id|date|value|code|version|param|operation|modifier)-[0-9]+$`)

// fits tells whether the pieces of a recorded question are the same as those of one that is asked, but for texts that stand for placeholders
// which are free. Each of them is given to bind, together with what the other question has in its place.
func fits(mine, theirs []string, free func(string) bool, bind func(placeholder, value string)) bool {
	if len(mine) != len(theirs) {
		return false
	}
	var bound map[string]string
	for i, m := range mine {
		t := theirs[i]
		if m == t {
			continue
		}
		at := numbered.FindStringIndex(m)
		if at == nil || !strings.HasPrefix(t, m[:at[0]]) {
			return false
		}
		name, value := m[at[0]:], t[at[0]:]
		if other, twice := bound[name]; twice && other != value || value == "" || numbered.MatchString(value) || !free(name) {
			return false
		}
		if bound == nil {
			bound = map[string]string{}
		}
		bound[name] = value
	}
	for name, value := range bound {
		if bind != nil {
			bind(name, value)
		}
	}
	return true
}

// pieces are the places that can hold a value, and what stands around them.
func (q question) pieces() []string {
	out := []string{q.method}
	out = append(out, strings.Split(q.path, "/")...)
	for _, x := range q.params {
		out = append(out, "?"+x.name)
		out = append(out, strings.Split(x.value, ",")...)
	}
	for _, b := range q.batch {
		path, query, _ := strings.Cut(b, "?")
		out = append(out, strings.Split(path, "/")...)
		for piece := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(piece, "=")
			out = append(out, "?"+name)
			out = append(out, strings.Split(value, ",")...)
		}
	}
	return out
}
