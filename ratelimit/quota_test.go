package ratelimit_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

func headers(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const date = "Date: Sun, 01 Mar 2026 12:00:00 GMT"
	type q = ratelimit.QuotaState
	for _, c := range []struct {
		name   string
		header http.Header
		want   []q
	}{
		{"none", headers("Content-Type: text/plain"), nil},
		{"current draft", headers(`RateLimit: "default";r=50;t=30`), []q{{Name: "default", Limit: -1, Remaining: 50, Reset: 30 * time.Second}}},
		{
			"with policies, over two lines", headers(`RateLimit-Policy: "burst";q=100;w=60,"daily";q=1000;w=86400`, `RateLimit: "burst";r=0;t=12`, `RateLimit: "daily";r=999`),
			[]q{{"burst", 100, 0, 12 * time.Second, time.Minute}, {"daily", 1000, 999, -1, 24 * time.Hour}},
		},
		{"another unit", headers(`RateLimit-Policy: "b";q=100;qu="content-bytes"`, `RateLimit: "b";r=0;t=9`), nil},
		{"unknown parameters, a key", headers(`RateLimit: "a\"b";r=1;pk=:Zm9v:;x;t=2`), []q{{Name: `a"b`, Limit: -1, Remaining: 1, Reset: 2 * time.Second}}},
		{"malformed: no r", headers(`RateLimit: "a";t=2`), nil},
		{"malformed: negative", headers(`RateLimit: "a";r=-1`), nil},
		{"malformed: no end", headers(`RateLimit: "a;r=1`), nil},
		{"malformed: comma at the end", headers(`RateLimit: "a";r=1,`), nil},
		{"malformed: rubbish behind", headers(`RateLimit: "a";r=1 b`), nil},
		{"too long", headers(`RateLimit: "` + strings.Repeat("a", 10_000) + `";r=1`), nil},
		{"dictionary of a draft", headers("RateLimit: limit=100, remaining=50, reset=5"), []q{{"", 100, 50, 5 * time.Second, 0}}},
		{
			"three fields", headers("RateLimit-Limit: 10, 10;w=1, 50;w=60", "RateLimit-Remaining: 7", "RateLimit-Reset: 1"),
			[]q{{"", 10, 7, time.Second, time.Second}},
		},
		{"vendor, seconds with a fraction", headers("X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 17.25"), []q{{"", 60, 0, 17250 * time.Millisecond, 0}}},
		{"vendor, epoch", headers("X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1772366430", date), []q{{"", -1, 0, 30 * time.Second, 0}}},
		{"vendor, epoch in milliseconds", headers("X-Rate-Limit-Remaining: 0", "X-Rate-Limit-Reset: 1772366430500", date), []q{{"", -1, 0, 30500 * time.Millisecond, 0}}},
		{"vendor, a date", headers("X-RateLimit-Remaining: 3", "X-RateLimit-Reset: Sun, 01 Mar 2026 12:01:00 GMT", date), []q{{"", -1, 3, time.Minute, 0}}},
		{"vendor, another date", headers("X-RateLimit-Remaining: 3", "X-RateLimit-Reset: 2026-03-01T12:02:00Z", date), []q{{"", -1, 3, 2 * time.Minute, 0}}},
		{"unit at the end", headers("X-RateLimit-Limit-Minute: 100", "X-RateLimit-Remaining-Minute: 9", "X-RateLimit-Limit-Hour: 1000", "X-RateLimit-Remaining-Hour: 4"), []q{{"minute", 100, 9, -1, time.Minute}, {"hour", 1000, 4, -1, time.Hour}}},
		{"vendor, rubbish", headers("X-RateLimit-Limit: many", "X-RateLimit-Remaining: soon", "X-RateLimit-Reset: never"), nil},
		{"vendor, infinite", headers("X-RateLimit-Remaining: Inf", "X-RateLimit-Reset: 1e400"), nil},
		{"vendor, absurd reset", headers("X-RateLimit-Remaining: 1", "X-RateLimit-Reset: 1e300"), []q{{"", -1, 1, 365 * 24 * time.Hour, 0}}},
	} {
		if diff := cmp.Diff(c.want, ratelimit.Quotas(c.header, now)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header http.Header
		want   time.Duration
		ok     bool
	}{
		{headers("Retry-After: 4", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9"), 4 * time.Second, true},
		{headers("x-ms-retry-after-ms: 320", "Retry-After: 1"), 320 * time.Millisecond, true},
		{headers("X-Retry-After: 3"), 3 * time.Second, true},
		{headers("Retry-After: -5", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9"), 9 * time.Second, true},
		{headers("X-RateLimit-Reset: 11"), 11 * time.Second, true},
		{headers("X-RateLimit-Remaining: 3", "X-RateLimit-Reset: 11"), 0, false},
		{headers(`RateLimit: "a";r=0;t=5, "b";r=0;t=70, "c";r=1;t=900`), 70 * time.Second, true},
		{headers("Retry-After: tomorrow"), 0, false},
		{headers("Retry-After: " + strings.Repeat("9", 200)), 0, false},
		{headers("Retry-After: 1772366430", "Date: Sun, 01 Mar 2026 12:00:10 GMT"), 20 * time.Second, true},
		{headers("Retry-After: 1772366430000", "Date: Sun, 01 Mar 2026 12:00:10 GMT"), 20 * time.Second, true},
	} {
		if got, ok := ratelimit.Delay(c.header, now); got != c.want || ok != c.ok {
			t.Errorf("%v: %v, %v; want %v, %v", c.header, got, ok, c.want, c.ok)
		}
	}
}

// Whatever a server writes into these headers, the waits are bounded and nothing panics.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"", "120", `"a";r=1;t=2`, `"a`, "limit=1, remaining=2", "1e999", ";;;", `"a";r`, "Sun, 01 Mar 2026 12:00:30 GMT", "1795381555", "-1", `"\\";r=1`} {
		f.Add(s, s)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{"RateLimit", "RateLimit-Policy", "RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Remaining", "Retry-After", "X-Ms-Retry-After-Ms"} {
			h := http.Header{"Ratelimit": {b}, "Ratelimit-Policy": {b}, "X-Ratelimit-Remaining": {"0"}}
			h.Set(name, a)
			for _, q := range ratelimit.Quotas(h, now) {
				if q.Reset > 366*24*time.Hour || q.Remaining < -1 || q.Limit < -1 || q.Window < 0 {
					t.Errorf("%+v", q)
				}
			}
			if d, _ := ratelimit.Delay(h, now); d < 0 || d > 366*24*time.Hour {
				t.Errorf("a wait of %v", d)
			}
		}
	})
}
