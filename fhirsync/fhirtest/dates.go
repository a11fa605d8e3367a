package fhirtest

import (
	"slices"
	"strings"
	"time"
)

// span is a FHIR date as an interval: from the first moment it can mean to the first it cannot.
type span struct{ lo, hi time.Time }

// parseDate reads a FHIR date of any precision.
func parseDate(s string) (span, bool) {
	for _, f := range []struct {
		layout  string
		y, m, d int
		seconds time.Duration
	}{
		{"2006", 1, 0, 0, 0},
		{"2006-01", 0, 1, 0, 0},
		{"2006-01-02", 0, 0, 1, 0},
		{"2006-01-02T15:04", 0, 0, 0, time.Minute},
		{"2006-01-02T15:04Z07:00", 0, 0, 0, time.Minute},
		{"2006-01-02T15:04:05", 0, 0, 0, time.Second},
		{time.RFC3339, 0, 0, 0, time.Second},
	} {
		t, err := time.Parse(f.layout, s)
		if err != nil {
			continue
		}
		if f.seconds == time.Second && strings.Contains(s, ".") {
			f.seconds = time.Nanosecond
		}
		return span{t, t.AddDate(f.y, f.m, f.d).Add(f.seconds)}, true
	}
	return span{}, false
}

// parseSpan reads a date or a period "start..end" with one end missing.
func parseSpan(s string) (span, bool) {
	from, to, period := strings.Cut(s, "..")
	if !period {
		return parseDate(s)
	}
	out := span{time.Time{}, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)}
	if from != "" {
		d, ok := parseDate(from)
		if !ok {
			return out, false
		}
		out.lo = d.lo
	}
	if to != "" {
		d, ok := parseDate(to)
		if !ok {
			return out, false
		}
		out.hi = d.hi
	}
	return out, true
}

// dateFilter is a search value: a prefix and a date.
type dateFilter struct {
	prefix string
	at     span
}

func parseDateFilter(s string) (dateFilter, bool) {
	f := dateFilter{prefix: "eq"}
	if len(s) > 2 && s[0] >= 'a' && s[0] <= 'z' {
		f.prefix, s = s[:2], s[2:]
	}
	at, ok := parseDate(s)
	f.at = at
	return f, ok && slices.Contains([]string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}, f.prefix)
}

// matches follows R4 search.html#prefix, where the two sides are ranges.
func (f dateFilter) matches(v span) bool {
	inside := !v.lo.Before(f.at.lo) && !v.hi.After(f.at.hi)
	above, below := v.hi.After(f.at.hi), v.lo.Before(f.at.lo)
	switch f.prefix {
	case "ne":
		return !inside
	case "gt":
		return above
	case "lt":
		return below
	case "ge":
		return above || inside
	case "le":
		return below || inside
	case "sa":
		return !v.lo.Before(f.at.hi)
	case "eb":
		return !v.hi.After(f.at.lo)
	case "ap":
		return v.lo.Before(f.at.hi) && f.at.lo.Before(v.hi)
	default:
		return inside
	}
}
