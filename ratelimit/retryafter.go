package ratelimit

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longest is the longest wait that is told. What is beyond it is nonsense, and would not fit into a time.
const longest = 365 * 24 * time.Hour

// RetryAfter reads the Retry-After header (RFC 9110, section 10.2.3): a number of seconds, or an HTTP-date, or a point in epoch
// seconds or milliseconds as some servers send it; points in time are read against the
// response's own Date header where it has one, so that a clock that is wrong here does no harm. now stands in for a missing Date.
// Spellings of vendors are read too, the ones in milliseconds first, because the same answer's seconds are rounded up.
// The second result is false where there is no such header or it cannot be understood. A point in the past is a wait of zero.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	// Seen with the Microsoft FHIR server; the others with Azure and OpenAI gateways.
	for _, name := range []string{"X-Ms-Retry-After-Ms", "Retry-After-Ms"} {
		if ms, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64); err == nil && ms >= 0 {
			return seconds(ms / 1000), true
		}
	}
	now = serverTime(h, now)
	// X-Retry-After was seen with Flexpa.
	for _, name := range []string{"Retry-After", "X-Retry-After", "X-Ratelimit-Retry-After"} {
		if d, ok := moment(h.Get(name), now); ok {
			return d, true
		}
	}
	return 0, false
}

// Delay gives how long a refusal asks to be waited: RetryAfter, or where that is absent, the time until a quota that is used up is
// filled again ([Quotas]). now stands in for a missing Date. The second result is false where neither is there.
func Delay(h http.Header, now time.Time) (time.Duration, bool) {
	if d, ok := RetryAfter(h, now); ok {
		return d, true
	}
	var wait time.Duration
	found := false
	for _, q := range Quotas(h, now) {
		if q.Remaining == 0 && q.Reset >= 0 {
			wait, found = max(wait, q.Reset), true
		}
	}
	if found {
		return wait, true
	}
	// Some send the time alone.
	for _, name := range []string{"Ratelimit-Reset", "X-Ratelimit-Reset", "X-Rate-Limit-Reset"} {
		if h.Get(strings.TrimSuffix(name, "Reset")+"Remaining") == "" {
			if d, ok := moment(h.Get(name), serverTime(h, now)); ok {
				return d, true
			}
		}
	}
	return 0, false
}

// moment reads a number of seconds, a point in time in seconds or milliseconds since 1970, or a date, as a wait from now on.
func moment(text string, now time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > 100 {
		return 0, false
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if n != n || n < 0 {
			return 0, false
		}
		// What is far too large for a wait is a point in time. Seen with the SMART bulk-data-server.
		const epoch, epochMillis = 1e9, 1e12
		if n > epochMillis {
			n /= 1000
		}
		if n > epoch {
			n = max(0, n-float64(now.UnixMilli())/1000)
		}
		return seconds(n), true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, text); err == nil {
			return min(max(0, at.Sub(now)), longest), true
		}
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(now)), longest), true
	}
	return 0, false
}

// seconds makes a wait of a number that a server sent.
func seconds(n float64) time.Duration {
	if n != n || n >= longest.Seconds() {
		return longest
	}
	return time.Duration(max(0, n) * float64(time.Second))
}
