package transport

import "errors"

// Errors of requests that got no usable answer.
var (
	// ErrForeignOrigin: the request, or a redirect of it, would have left the server's origin.
	ErrForeignOrigin = errors.New("leads to another origin")
	// ErrRedirects: too many redirects.
	ErrRedirects = errors.New("too many redirects")
	// ErrHeaderTimeout: no answer began in time.
	ErrHeaderTimeout = errors.New("no answer in time")
	// ErrSlowBody: the body came too slowly, or stopped.
	ErrSlowBody = errors.New("answer too slow")
	// ErrPause: the server asked to be left alone for longer than is waited for.
	ErrPause = errors.New("server asked for a longer pause than allowed")
	// ErrToken: there is no token to be had.
	ErrToken = errors.New("no access token")
	// ErrNotJSON: the body is not JSON at all, an HTML page for example.
	ErrNotJSON = errors.New("answer is not JSON")
)

// again marks an error after which the request is worth sending again.
type again struct{ err error }

func (e *again) Error() string { return e.err.Error() }
func (e *again) Unwrap() error { return e.err }

// Again wraps an error to say that the request is worth sending again. For Request.Check.
func Again(err error) error { return &again{err} }
