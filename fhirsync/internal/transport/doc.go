// Package transport sends requests to one FHIR server and to nobody else.
//
// From outside to inside: retries, the check of redirects, headers and credentials (which are put on only where the request goes to the
// server's own origin), the limiter shared by all who talk to that server, deadlines, and the caller's http.RoundTripper. The limiter
// stands below the retries, so that every attempt pays. A body is read whole, inside of the retried part, because a truncated body is
// as good as none.
package transport
