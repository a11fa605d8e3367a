package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryAfter reads the Retry-After header (RFC 9110, section 10.2.3): a number of seconds, or an HTTP-date, or a point in epoch
// seconds or milliseconds as some servers send it; points in time are read against the
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
		// What is far too large for a wait is a point in time: seconds since 1970, or milliseconds. Seen with the SMART
		// bulk-data-server.
		const epoch, epochMillis = 1e9, 1e12
		if seconds > epochMillis {
			seconds /= 1000
		}
		if seconds > epoch {
			if date, err := http.ParseTime(h.Get("Date")); err == nil {
				now = date
			}
			seconds = max(0, seconds-float64(now.UnixMilli())/1000)
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
