package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Errors of requests that got no usable answer.
var (
	// ErrForeignOrigin: the request, or a redirect of it, would have left the server's origin.
	ErrForeignOrigin = errors.New("leads to another origin")
	// ErrRedirects: too many redirects.
	ErrRedirects = errors.New("too many redirects")
	// ErrRedirect: a redirect that cannot be followed: its address is none, or it would make another request of this one.
	ErrRedirect = errors.New("redirect that cannot be followed")
	// ErrHeaderTimeout: no answer began in time.
	ErrHeaderTimeout = errors.New("no answer in time")
	// ErrSlowBody: the body came too slowly, or stopped.
	ErrSlowBody = errors.New("answer too slow")
	// ErrPause: the server asked to be left alone for longer than is waited for. The error is a *PauseError.
	ErrPause = errors.New("server asked for a longer pause than allowed")
	// ErrToken: there is no token to be had.
	ErrToken = errors.New("no access token")
	// ErrNotJSON: the body is not JSON at all, an HTML page for example.
	ErrNotJSON = errors.New("answer is not JSON")
	// ErrXML: the body is FHIR, and in XML.
	ErrXML = errors.New("answer is XML, although JSON was asked for")
	// ErrEncoding: the body is packed in a way that was not asked for.
	ErrEncoding = errors.New("content encoding not supported")
	// ErrHeaders: the headers of the answer are larger than is read.
	ErrHeaders = errors.New("answer with too many headers")
	// ErrTLS: no secure connection could be made.
	ErrTLS = errors.New("no secure connection")
	// ErrPrivate: the address is in a private network, and the server is not.
	ErrPrivate = errors.New("leads into a private network")
)

// ForeignError is ErrForeignOrigin of a redirect.
type ForeignError struct {
	// To is where it leads. It may hold a signature: it is for a request without credentials, and for no text.
	To *url.URL
}

// Error is that of ErrForeignOrigin.
func (e *ForeignError) Error() string { return ErrForeignOrigin.Error() }

// Is makes errors.Is(err, ErrForeignOrigin) true.
func (e *ForeignError) Is(target error) bool { return target == ErrForeignOrigin }

// PauseError says until when the server asked to be left alone.
type PauseError struct{ Until time.Time }

// Error is that of ErrPause.
func (e *PauseError) Error() string { return ErrPause.Error() }

// Is makes errors.Is(err, ErrPause) true.
func (e *PauseError) Is(target error) bool { return target == ErrPause }

// again marks an error after which the request is worth sending again.
type again struct{ err error }

func (e *again) Error() string { return e.err.Error() }
func (e *again) Unwrap() error { return e.err }

// Again wraps an error to say that the request is worth sending again. For Request.Check.
func Again(err error) error { return &again{err} }

// classify finds the errors above in what net/http gives, which has no types for some of them.
func classify(err error) error {
	var (
		verify   *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		exchange *net.OpError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &verify), errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &record), errors.As(err, &alert),
		errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &exchange) && (exchange.Op == "remote error" || exchange.Op == "local error"):
		return fmt.Errorf("%w: %w", ErrTLS, err)
	case strings.Contains(err.Error(), "response headers exceeded"), strings.Contains(err.Error(), "header list larger than"):
		return fmt.Errorf("%w: %w", ErrHeaders, err)
	}
	return err
}
