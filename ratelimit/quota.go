package ratelimit

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// QuotaState is what a server says about a quota of requests.
type QuotaState struct {
	// Name is the server's name for it; may be "".
	Name string
	// Limit is the whole quota, Remaining what is left of it; -1: the server did not say.
	Limit, Remaining int64
	// Reset is how long until there is more; less than 0: the server did not say. Window is the time that Limit is for; 0: it did not say.
	Reset, Window time.Duration
}

// maxFields bounds what is read of headers that a server chose.
const (
	maxFieldBytes = 4 << 10
	maxQuotas     = 16
)

// Quotas reads what the headers of an answer say about quotas of requests, in all the forms in use:
//
//   - RateLimit and RateLimit-Policy as in the current draft of the IETF (lists of quoted names with parameters), and the dictionary
//     that a draft before it had in the place of RateLimit,
//   - RateLimit-Limit, -Remaining and -Reset of still older drafts,
//   - X-RateLimit-* and X-Rate-Limit-*, also with the unit of time at the end ("X-RateLimit-Remaining-Minute"). Their Reset is a
//     number of seconds, a point in time in seconds or milliseconds since 1970, or a date; points in time are read against the
//     answer's own Date.
//
// What is malformed is left out, and so are quotas of something else than requests. now stands in for a missing Date.
func Quotas(h http.Header, now time.Time) []QuotaState {
	var out []QuotaState
	now = serverTime(h, now)
	out = append(out, draftQuotas(h)...)
	if len(out) == 0 {
		out = append(out, threeFields(h, "Ratelimit-", "", now)...)
	}
	for _, prefix := range []string{"X-Ratelimit-", "X-Rate-Limit-"} {
		for _, unit := range []string{"", "-Second", "-Minute", "-Hour", "-Day"} {
			out = append(out, threeFields(h, prefix, unit, now)...)
		}
	}
	if len(out) > maxQuotas {
		out = out[:maxQuotas]
	}
	return out
}

// serverTime is the Date of an answer, else now.
func serverTime(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		return date
	}
	return now
}

// joined gives a header that may come in several lines as one; "" where it is too long to be meant.
func joined(h http.Header, name string) string {
	s := strings.Join(h.Values(name), ", ")
	if len(s) > maxFieldBytes {
		return ""
	}
	return s
}

// draftQuotas reads RateLimit and RateLimit-Policy.
func draftQuotas(h http.Header) []QuotaState {
	text := joined(h, "Ratelimit")
	if text == "" {
		return nil
	}
	policies := map[string]item{}
	if list, ok := parseList(joined(h, "Ratelimit-Policy")); ok {
		for _, p := range list {
			policies[p.name] = p
		}
	}
	list, ok := parseList(text)
	if !ok {
		return nil
	}
	// The dictionary "limit=100, remaining=50, reset=5" reads like a list whose members are no quoted names.
	if slices.ContainsFunc(list, func(x item) bool { return !x.quoted }) {
		q := QuotaState{Limit: -1, Remaining: -1, Reset: -1}
		for _, x := range list {
			key, value, _ := strings.Cut(x.name, "=")
			n, err := strconv.ParseInt(value, 10, 64)
			if x.quoted || err != nil || n < 0 {
				continue
			}
			switch key {
			case "limit":
				q.Limit = n
			case "remaining":
				q.Remaining = n
			case "reset":
				q.Reset = seconds(float64(n))
			}
		}
		if q.Remaining < 0 {
			return nil
		}
		return []QuotaState{q}
	}
	var out []QuotaState
	for _, x := range list {
		r, ok := x.number("r")
		if !ok {
			return nil // r is required: the field is malformed.
		}
		q := QuotaState{Name: x.name, Limit: -1, Remaining: r, Reset: -1}
		if t, ok := x.number("t"); ok {
			q.Reset = seconds(float64(t))
		}
		if p, ok := policies[x.name]; ok {
			if unit, given := p.params["qu"]; given && unit != `"requests"` {
				continue
			}
			if n, ok := p.number("q"); ok {
				q.Limit = n
			}
			if w, ok := p.number("w"); ok {
				q.Window = seconds(float64(w))
			}
		}
		out = append(out, q)
	}
	return out
}

// threeFields reads prefix-Limit, -Remaining and -Reset.
func threeFields(h http.Header, prefix, unit string, now time.Time) []QuotaState {
	remaining, ok := firstNumber(h.Get(prefix + "Remaining" + unit))
	if !ok || remaining > math.MaxInt32 {
		return nil
	}
	q := QuotaState{Name: strings.ToLower(strings.TrimPrefix(unit, "-")), Limit: -1, Remaining: int64(remaining), Reset: -1}
	limit := h.Get(prefix + "Limit" + unit)
	if n, ok := firstNumber(limit); ok && n <= math.MaxInt32 {
		q.Limit = int64(n)
	}
	// "100, 100;w=60": the windows follow the limit in question.
	if list, ok := parseList(limit); ok {
		for _, x := range list {
			if w, ok := x.number("w"); ok && x.name == strconv.FormatInt(q.Limit, 10) {
				q.Window = seconds(float64(w))
			}
		}
	}
	q.Window = cmp.Or(q.Window, map[string]time.Duration{"-Second": time.Second, "-Minute": time.Minute, "-Hour": time.Hour, "-Day": 24 * time.Hour}[unit])
	reset := h.Get(prefix + "Reset" + unit)
	if reset == "" && unit != "" {
		reset = h.Get(prefix + "Reset")
	}
	if d, ok := moment(reset, now); ok {
		q.Reset = d
	}
	return []QuotaState{q}
}

// firstNumber reads the number at the beginning of a list.
func firstNumber(s string) (float64, bool) {
	s, _, _ = strings.Cut(s, ",")
	s, _, _ = strings.Cut(s, ";")
	n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return n, err == nil && n >= 0 && !math.IsInf(n, 0)
}

// item is a member of a list of structured fields (RFC 9651), as far as it is needed here.
type item struct {
	name   string
	quoted bool
	params map[string]string // as written
}

// number gives a parameter that is a non-negative integer.
func (x item) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(x.params[key], 10, 64)
	return n, err == nil && n >= 0
}

// parseList reads a list; false where it is malformed, and then all of it is to be ignored.
func parseList(s string) ([]item, bool) {
	var out []item
	for rest := s; ; {
		rest = strings.TrimLeft(rest, " \t")
		if rest == "" {
			return out, len(out) > 0 && !strings.HasSuffix(strings.TrimRight(s, " \t"), ",")
		}
		x := item{params: map[string]string{}}
		var ok bool
		if x.name, x.quoted, rest, ok = bare(rest); !ok || x.name == "" && !x.quoted {
			return nil, false
		}
		for strings.HasPrefix(rest, ";") {
			rest = strings.TrimLeft(rest[1:], " \t")
			key := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz0123456789_-.*"))]
			if key == "" {
				return nil, false
			}
			rest = rest[len(key):]
			value := ""
			if strings.HasPrefix(rest, "=") {
				var quoted bool
				if value, quoted, rest, ok = bare(rest[1:]); !ok || value == "" && !quoted {
					return nil, false
				}
				if quoted {
					value = `"` + value + `"`
				}
			}
			x.params[key] = value
		}
		out = append(out, x)
		if len(out) > maxQuotas {
			return nil, false
		}
		rest = strings.TrimLeft(rest, " \t")
		switch {
		case rest == "":
		case rest[0] == ',':
			rest = rest[1:]
		default:
			return nil, false
		}
	}
}

// bare reads a quoted string, or anything else up to a comma, semicolon or white space.
func bare(s string) (value string, quoted bool, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ",; \t\"")
		if i < 0 {
			i = len(s)
		}
		return s[:i], false, s[i:], i == len(s) || s[i] != '"'
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), true, s[i+1:], true
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case c < ' ' || c > '~' || c == '\\':
			return "", false, "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false, "", false
}
