package fhirtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults of HTTP and of what stands between client and server.

func fhirRequests() []Interaction { return []Interaction{Metadata, Read, Search, Page, Count} }

func dataRequests() []Interaction { return []Interaction{Read, Search, Page, Count} }

// TruncatedBody breaks the connection after half of the announced bytes.
func TruncatedBody() Fault {
	return Fault{Name: "TruncatedBody", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) { rep.cut = len(rep.body) / 2 }}
}

// TruncatedChunks breaks the connection in the middle of a body that announced no length.
func TruncatedChunks() Fault {
	return Fault{Name: "TruncatedChunks", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		rep.chunked, rep.cut = true, len(rep.body)/2
	}}
}

// TruncatedJSON sends two thirds of the JSON as if that were all: HTTP is intact.
func TruncatedJSON() Fault {
	return Fault{Name: "TruncatedJSON", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		rep.body = rep.body[:len(rep.body)*2/3]
	}}
}

// GzipCorrupt packs the answer with gzip and spoils the checksum at its end. Clients that ask for gzip by themselves get
// the packed bytes; for others the transport unpacks them and the body ends in an error.
func GzipCorrupt() Fault {
	return Fault{Name: "GzipCorrupt", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		rep.body = compress(rep.body)
		rep.body[len(rep.body)-8] ^= 0xff
		rep.header.Set("Content-Encoding", "gzip")
	}}
}

// ConnectionLost breaks the connection before any answer.
func ConnectionLost() Fault {
	return Fault{Name: "ConnectionLost", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) { rep.lost = true }}
}

// ContentType sends every answer under this media type, whatever it is. Seen with Oracle Health and Medplum.
func ContentType(mediaType string) Fault {
	return Fault{
		Name:         "ContentType(" + mediaType + ")",
		Seen:         "Oracle Health answers application/json+fhir: https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/millennium/r4.md ; Medplum 5.0 metadata is application/json (own observation)",
		interactions: fhirRequests(),
		wire:         func(_ *Server, _ *call, rep *reply) { rep.header.Set("Content-Type", mediaType) },
	}
}

// LoginPage answers everything with an HTML form and status 200, as gateways do when a session has ended.
func LoginPage() Fault {
	return Fault{Name: "LoginPage", interactions: fhirRequests(), answer: func(*Server, *call) *reply {
		return newReply(http.StatusOK, "text/html; charset=utf-8", htmlPage("Please sign in"))
	}}
}

// HTMLError answers with an HTML page and this status, as proxies do. Seen with proxies before Epic.
func HTMLError(status int) Fault {
	return Fault{
		Name:         fmt.Sprintf("HTMLError(%d)", status),
		Seen:         "proxies before Epic, 404 and 400: https://github.com/fastenhealth/fasten-onprem/issues/366",
		interactions: fhirRequests(),
		answer: func(*Server, *call) *reply {
			return newReply(status, "text/html", htmlPage(strconv.Itoa(status)+" "+http.StatusText(status)))
		},
	}
}

// Status answers reads and searches with this status and an OperationOutcome that fits it. Usually narrowed down by For:
// Status(403).For("Goal"). Metadata stays as it is, unless On says otherwise. Seen with Epic and Oracle Health.
func Status(code int) Fault {
	return Fault{
		Name:         fmt.Sprintf("Status(%d)", code),
		Seen:         "403 for types outside the grant, Epic: https://github.com/fastenhealth/fasten-onprem/issues/510 ; permanent and passing 500 and 504, Oracle Health: https://github.com/smart-on-fhir/cumulus-fhir-support/blob/HEAD/cumulus_fhir_support/http.py",
		interactions: dataRequests(),
		answer:       func(*Server, *call) *reply { return refuse(code, issueCode(code), http.StatusText(code)) },
	}
}

func issueCode(status int) string {
	codes := map[int]string{
		http.StatusBadRequest: "invalid", http.StatusUnauthorized: "login", http.StatusForbidden: "forbidden", http.StatusNotFound: "not-supported",
		http.StatusMethodNotAllowed: "not-supported", http.StatusGone: "deleted", http.StatusTooManyRequests: "throttled", http.StatusNotImplemented: "not-supported",
	}
	if code, ok := codes[status]; ok {
		return code
	}
	if status >= http.StatusInternalServerError {
		return "exception"
	}
	return "processing"
}

// StatusEmpty answers reads and searches with this status and nothing else. Seen with Epic.
func StatusEmpty(code int) Fault {
	return Fault{
		Name:         fmt.Sprintf("StatusEmpty(%d)", code),
		Seen:         "403 with an empty body, Epic: https://github.com/fastenhealth/fasten-onprem/issues/510",
		interactions: dataRequests(),
		answer:       func(*Server, *call) *reply { return newReply(code, "", nil) },
	}
}

func busy(name, seen string, status, n int, code string, retryAfter func() string) Fault {
	return Fault{
		Name: name, Seen: seen, times: max(n, 0), interactions: fhirRequests(),
		answer: func(*Server, *call) *reply {
			rep := refuse(status, code, http.StatusText(status))
			if v := retryAfter(); v != "" {
				rep.header.Set("Retry-After", v)
			}
			return rep
		},
	}
}

func verbatim(s string) func() string { return func() string { return s } }

// in gives an HTTP date that lies d after the time of the answer, rounded up to the second.
func in(d time.Duration) func() string {
	return func() string {
		return time.Now().Add(d + time.Second - 1).UTC().Truncate(time.Second).Format(http.TimeFormat)
	}
}

// TooManyRequests answers the first n requests with 429 and Retry-After exactly as given; empty: without the header.
// With n 0 it never ends. Seen with eClinicalWorks and the SMART bulk-data-server.
func TooManyRequests(n int, retryAfter string) Fault {
	return busy(fmt.Sprintf("TooManyRequests(%d,%s)", n, retryAfter),
		"without Retry-After eClinicalWorks: https://github.com/api-evangelist/eclinicalworks/blob/HEAD/rate-limits/eclinicalworks-rate-limits.yml ; with epoch seconds in it the SMART bulk-data-server (own observation)",
		http.StatusTooManyRequests, n, "throttled", verbatim(retryAfter))
}

// TooManyRequestsUntil is TooManyRequests with an HTTP date in Retry-After that lies d after each answer.
func TooManyRequestsUntil(n int, d time.Duration) Fault {
	return busy(fmt.Sprintf("TooManyRequestsUntil(%d,%s)", n, d), "", http.StatusTooManyRequests, n, "throttled", in(d))
}

// Unavailable answers the first n requests with 503 and Retry-After exactly as given; empty: without the header. With n 0
// it never ends.
func Unavailable(n int, retryAfter string) Fault {
	return busy(fmt.Sprintf("Unavailable(%d,%s)", n, retryAfter), "", http.StatusServiceUnavailable, n, "transient", verbatim(retryAfter))
}

// UnavailableUntil is Unavailable with an HTTP date in Retry-After that lies d after each answer.
func UnavailableUntil(n int, d time.Duration) Fault {
	return busy(fmt.Sprintf("UnavailableUntil(%d,%s)", n, d), "", http.StatusServiceUnavailable, n, "transient", in(d))
}

// RateLimit answers 429 to whatever exceeds n requests in a window of time; Retry-After tells the whole seconds until
// the window ends. The first window begins with the first request, the next one with the first request after it. Seen
// with eClinicalWorks.
func RateLimit(n int, window time.Duration) Fault {
	return Fault{
		Name: fmt.Sprintf("RateLimit(%d,%s)", n, window),
		Seen: "250 a minute, eClinicalWorks: https://github.com/api-evangelist/eclinicalworks/blob/HEAD/rate-limits/eclinicalworks-rate-limits.yml",

		interactions: fhirRequests(),
		state: func(f *injected, _ *Server, _ *call) *reply {
			now := time.Now()
			if f.seen[""] == 0 || now.Sub(f.since) >= window {
				f.since, f.seen[""] = now, 0
			}
			if f.seen[""]++; f.seen[""] <= n {
				return nil
			}
			rep := refuse(http.StatusTooManyRequests, "throttled", "too many requests")
			left := window - now.Sub(f.since)
			rep.header.Set("Retry-After", strconv.Itoa(int((left+time.Second-1)/time.Second)))
			return rep
		},
	}
}

// RateLimitByClock answers 429 to whatever exceeds n requests in a window that begins when the clock says so, at the full minute say, until
// the next one begins. Nothing tells when that is. Seen with eClinicalWorks.
func RateLimitByClock(n int, window time.Duration) Fault {
	return Fault{
		Name: fmt.Sprintf("RateLimitByClock(%d,%s)", n, window),
		Seen: "250 in a clock minute, without Retry-After, eClinicalWorks: https://github.com/api-evangelist/eclinicalworks/blob/HEAD/rate-limits/eclinicalworks-rate-limits.yml",

		interactions: fhirRequests(),
		state: func(f *injected, _ *Server, _ *call) *reply {
			if now := time.Now().Truncate(window); !now.Equal(f.since) {
				f.since, f.seen[""] = now, 0
			}
			if f.seen[""]++; f.seen[""] <= n {
				return nil
			}
			return refuse(http.StatusTooManyRequests, "throttled", "too many requests")
		},
	}
}

// RateHeaders says with each answer how many of n requests in a window of time are left, as X-RateLimit-Limit, -Remaining and -Reset, which
// is in seconds with a fraction. Nothing is refused. Seen with Blue Button.
func RateHeaders(n int, window time.Duration) Fault {
	return Fault{
		Name: fmt.Sprintf("RateHeaders(%d,%s)", n, window),
		Seen: "per token, Blue Button: https://github.com/CMSgov/bluebutton-web-server/blob/HEAD/apps/dot_ext/throttling.py",

		interactions: fhirRequests(),
		stamp: func(f *injected, rep *reply) {
			now := time.Now()
			if f.since.IsZero() || now.Sub(f.since) >= window {
				f.since, f.seen[""] = now, 0
			}
			f.seen[""]++
			rep.header.Set("X-RateLimit-Limit", strconv.Itoa(n))
			rep.header.Set("X-RateLimit-Remaining", strconv.Itoa(max(n-f.seen[""], 0)))
			rep.header.Set("X-RateLimit-Reset", strconv.FormatFloat((window-now.Sub(f.since)).Seconds(), 'f', 6, 64))
		},
	}
}

// TokenDies answers 401 to a request whose Authorization header was used for n requests before. A new token is good for
// n requests again. Requests without the header count as those of one token. Seen with Oracle Health.
func TokenDies(n int) Fault {
	return Fault{
		Name:         fmt.Sprintf("TokenDies(%d)", n),
		Seen:         "access tokens of 570 seconds, Oracle Health: https://github.com/cerner/fhir.cerner.com/blob/HEAD/content/authorization.md",
		interactions: fhirRequests(),
		state: func(f *injected, _ *Server, c *call) *reply {
			token := c.header.Get("Authorization")
			if f.seen[token]++; f.seen[token] <= n {
				return nil
			}
			rep := refuse(http.StatusUnauthorized, "expired", "the token has expired")
			rep.header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			return rep
		},
	}
}

// RequiredHeader answers 400 to requests without the header. Metadata does not need it, unless On says otherwise. Seen
// with Epic and the NHS.
func RequiredHeader(name string) Fault {
	return Fault{
		Name:         "RequiredHeader(" + name + ")",
		Seen:         "Epic-Client-ID, Epic: https://github.com/smart-on-fhir/cumulus-fhir-support/blob/HEAD/cumulus_fhir_support/client.py ; X-Request-ID, NHS: https://github.com/NHSDigital/personal-demographics-service-api/blob/HEAD/specification/personal-demographics.yaml",
		interactions: dataRequests(),
		when:         func(c *call) bool { return c.header.Get(name) == "" },
		answer: func(*Server, *call) *reply {
			return refuse(http.StatusBadRequest, "required", "header "+name+" is required")
		},
	}
}

// QueryRequired answers 400 to requests whose query lacks this parameter, reads and pages among them. Metadata does not need it, unless On
// says otherwise. The value must stand there as it is: "Organization/1" with its slash, not %2F. Seen with athenahealth.
func QueryRequired(name, value string) Fault {
	return Fault{
		Name:         "QueryRequired(" + name + "=" + value + ")",
		Seen:         "ah-practice, athenahealth: https://github.com/cfu288/mere-medical/blob/HEAD/apps/web/src/services/fhir/Athena.ts",
		interactions: dataRequests(),
		when:         func(c *call) bool { return !slices.Contains(strings.Split(c.url.RawQuery, "&"), name+"="+value) },
		answer: func(*Server, *call) *reply {
			return refuse(http.StatusBadRequest, "required", "parameter "+name+" is required")
		},
	}
}

// AnswerHeader adds a header to each answer.
func AnswerHeader(name, value string) Fault {
	return Fault{
		Name: "AnswerHeader(" + name + ")", interactions: slices.Concat(fhirRequests(), []Interaction{Operation, Job, Batch, Other}),
		wire: func(_ *Server, _ *call, rep *reply) { rep.header.Set(name, value) },
	}
}

// Redirect answers 307 with the same path and query below another base URL. With the server's own base it never ends.
// Seen with Epic.
func Redirect(to string) Fault {
	return Fault{
		Name: "Redirect(" + to + ")", interactions: fhirRequests(),
		Seen: "merged patients, Epic 4107: https://github.com/api-evangelist/epic-systems/blob/HEAD/errors/epic-systems-error-codes.yml",
		answer: func(_ *Server, c *call) *reply {
			target := strings.TrimRight(to, "/") + "/" + c.path
			if c.path == "" {
				target = strings.TrimRight(to, "/")
			}
			if c.url.RawQuery != "" {
				target += "?" + c.url.RawQuery
			}
			rep := newReply(http.StatusTemporaryRedirect, "", nil)
			rep.header.Set("Location", target)
			return rep
		},
	}
}

// Slow waits for d before the headers of each answer, or until the client gives up.
func Slow(d time.Duration) Fault {
	return Fault{Name: "Slow(" + d.String() + ")", interactions: fhirRequests(), delay: func(rep *reply) { rep.delay += d }}
}

// SlowBody sends the headers at once and the body in pieces of 1 KB, with d before each.
func SlowBody(d time.Duration) Fault {
	return Fault{Name: "SlowBody(" + d.String() + ")", interactions: fhirRequests(), delay: func(rep *reply) { rep.trickle, rep.piece = d, 1<<10 }}
}

// Hang answers nothing until the client gives up. Seen with Anthem.
func Hang() Fault {
	return Fault{
		Name: "Hang", Seen: "no header before the client's time-out: https://github.com/fastenhealth/fasten-onprem/issues/99",
		interactions: fhirRequests(), delay: func(rep *reply) { rep.hang = true },
	}
}

// StalledBody sends half of the body and then nothing more, but keeps the connection open until the client gives up.
func StalledBody() Fault {
	return Fault{Name: "StalledBody", interactions: fhirRequests(), wire: func(_ *Server, _ *call, rep *reply) {
		rep.cut, rep.stall = len(rep.body)/2, true
	}}
}
