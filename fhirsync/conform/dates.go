package conform

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The forms of FHIR. https://hl7.org/fhir/R4/datatypes.html#dateTime
var (
	goodDate    = regexp.MustCompile(`^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$`)
	goodInstant = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
	goodTime    = regexp.MustCompile(`^[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?$`)
)

// The forms that can be put right without a guess: blanks for T, parts of one digit, small letters, zones without minutes or colon.
var (
	looseDate     = regexp.MustCompile(`^([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?$`)
	looseDateTime = regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[Tt]| +)([0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})(\.[0-9]+)? ?(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?$`)
	looseTime     = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]+)?$`)
)

// date puts the form of a date or time right, and leaves alone what says too little.
func (p *pass) date(v *node, typ string, f *frame) {
	s, _ := v.str(p.raw)
	if s == "" && p.on(RuleEmpty) {
		return
	}
	var to string
	var ok bool
	switch typ {
	case "time":
		to, ok = fixTime(strings.TrimSpace(s))
	case "date", "dateTime":
		if to, ok = fixDate(strings.TrimSpace(s)); ok || typ == "date" {
			break
		}
		fallthrough
	default:
		to, ok = fixDateTime(strings.TrimSpace(s), p.c.opts.Location)
	}
	switch {
	case ok && to == s:
	case ok && p.on(RuleDates):
		p.changed(RuleDates, f, v)
		v.set('"', quote(to))
	default:
		p.fault(RuleDates, f)
	}
}

func two(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}

// fixDate gives a date in FHIR's form; ok is false if it is none.
func fixDate(s string) (to string, ok bool) {
	m := looseDate.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	to, layout := m[1], "2006"
	if m[2] != "" {
		to, layout = to+"-"+two(m[2]), "2006-01"
	}
	if m[3] != "" {
		to, layout = to+"-"+two(m[3]), "2006-01-02"
	}
	_, err := time.Parse(layout, to)
	return to, err == nil && goodDate.MatchString(to) && m[1] != "0000"
}

func fixTime(s string) (to string, ok bool) {
	m := looseTime.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	to = two(m[1]) + ":" + two(m[2]) + ":" + two(m[3])
	if !legalTime(to) {
		return "", false
	}
	to += m[4]
	return to, goodTime.MatchString(to)
}

// legalTime tells whether hh:mm:ss is a time of day. FHIR allows a leap second.
func legalTime(s string) bool {
	hour, _ := strconv.Atoi(s[:2])
	minute, _ := strconv.Atoi(s[3:5])
	second, _ := strconv.Atoi(s[6:])
	return hour < 24 && minute < 60 && second <= 60
}

func fixDateTime(s string, location *time.Location) (to string, ok bool) {
	m := looseDateTime.FindStringSubmatch(s)
	if m == nil {
		return "", false
	}
	day, ok := fixDate(m[1] + "-" + m[2] + "-" + m[3])
	if !ok {
		return "", false
	}
	clock, ok := fixTime(m[4])
	if !ok {
		return "", false
	}
	var zone string
	switch {
	case m[6] != "":
		zone = "Z"
	case m[7] != "":
		minutes := m[9]
		if minutes == "" {
			minutes = "00"
		}
		zone = m[7] + m[8] + ":" + minutes
		if hour, _ := strconv.Atoi(m[8]); hour > 14 || minutes > "59" {
			return "", false
		}
	case location != nil:
		if zone, ok = offset(day+"T"+clock, location); !ok {
			return "", false
		}
	default:
		return "", false
	}
	to = day + "T" + clock + m[5] + zone
	return to, goodInstant.MatchString(to)
}

// offset gives the zone of a wall clock's time. ok is false for one that the clock showed twice, or never.
func offset(wall string, location *time.Location) (zone string, ok bool) {
	const layout = "2006-01-02T15:04:05"
	t, err := time.ParseInLocation(layout, wall, location)
	if err != nil || t.Format(layout) != wall {
		return "", false
	}
	// Where clocks are put back, another instant with the same wall time is less than a day away.
	_, own := t.Zone()
	for _, other := range [...]time.Time{t.Add(-24 * time.Hour), t.Add(24 * time.Hour)} {
		if _, seconds := other.Zone(); seconds != own {
			again := t.Add(time.Duration(own-seconds) * time.Second)
			if again.In(location).Format(layout) == wall {
				return "", false
			}
		}
	}
	if own%60 != 0 { // local mean time of long ago
		return "", false
	}
	return t.Format("-07:00"), true
}
