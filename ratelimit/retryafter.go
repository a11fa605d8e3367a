package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads the Retry-After header (RFC 9110, section 10.2.3): a number of seconds, or an HTTP-date that is read against the
// response's own Date header where it has one, so that a clock that is wrong here does no harm. now stands in for a missing Date.
// The second result is false where the header is absent or cannot be understood. A point in the past is a wait of zero.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		if seconds != seconds || seconds < 0 {
			return 0, false
		}
		const most = 365 * 24 * time.Hour
		if seconds > most.Seconds() {
			return most, true
		}
		return time.Duration(seconds * float64(time.Second)), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return max(0, at.Sub(now)), true
}
