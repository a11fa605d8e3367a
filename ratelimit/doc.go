// Package ratelimit keeps the pace at which one server is asked.
//
// A [Limiter] is made once per server and shared by everything that talks to it: many workers, one limit. It bounds the rate of
// requests and the number under way at once, and it obeys a server that says "not before": a 429 or 503 with Retry-After holds back
// every request of the limiter, not only the one that was refused. [Limiter.Transport] puts all of it into an
// [net/http.RoundTripper], which is how the package is used without the rest of fhirsync:
//
//	limiter := ratelimit.New(ratelimit.Policy{})
//	client := &http.Client{Transport: limiter.Transport(http.DefaultTransport)}
//
// # A rate that finds itself
//
// Hardly any FHIR server says how much it takes. A limiter starts politely and goes faster as long as the server is content, up to
// [Policy].Rate. A refusal (429, 503) halves the rate; it returns quickly to just under the rate that was refused, stays there, and looks
// above it rarely, ever more rarely while that is refused. The number of requests under way adapts in the same way, and shrinks when answers take
// much longer than they used to. Remaining-quota headers are followed where the server sends them ([Quotas]).
//
// What a server declares (10 a second and 250 in each minute by the clock) goes into [Policy].Limits and is never exceeded.
//
// # Fairness
//
// Requests belong to flows ([WithFlow]); those that wait are let through flow by flow, so that a sync with thousands of requests does not
// starve one with ten. Requests of one flow go first come first served.
//
// # Several processes
//
// Processes that talk to the same server from the same account share its limits through a [Shared]: see there.
package ratelimit
