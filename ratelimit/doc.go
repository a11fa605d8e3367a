// Package ratelimit keeps the pace at which one server is asked.
//
// A [Limiter] is made once per server and shared by everything that talks to it: many workers, one limit. It bounds the rate of
// requests, the number under way at once, and it obeys a server that says "not before": a 429 or 503 with Retry-After holds back
// every request of the limiter, not only the one that was refused. [Limiter.Transport] puts all of it into an
// [net/http.RoundTripper], which is how the package is used without the rest of fhirsync.
package ratelimit
