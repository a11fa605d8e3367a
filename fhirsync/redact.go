package fhirsync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonrepair"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
)

// redact gives the message of an error without what may be secret or clinical: the URL in a url.Error, the body in an oauth2.RetrieveError,
// the name a resolver was asked for. It goes by what it knows to be harmless and says only the kind of anything else.
func redact(err error) string {
	var (
		syntax   *jsonscan.SyntaxError
		refused  *jsonrepair.RefusedError
		retrieve *oauth2.RetrieveError
		network  net.Error
		dns      *net.DNSError
		op       *net.OpError
		address  *url.Error
		unknown  x509.UnknownAuthorityError
		host     x509.HostnameError
		verify   *tls.CertificateVerificationError
	)
	for _, plain := range []error{
		ErrNotFHIR, ErrUnauthorized, ErrPatientNotFound, ErrVersion, pagebuf.ErrTooLarge, jsonscan.ErrDepth,
		context.Canceled, context.DeadlineExceeded,
		transport.ErrForeignOrigin, transport.ErrRedirects, transport.ErrHeaderTimeout, transport.ErrSlowBody, transport.ErrPause, transport.ErrNotJSON, transport.ErrXML, errKind,
		transport.ErrRedirect, transport.ErrEncoding, transport.ErrHeaders, transport.ErrPrivate, ErrRetryLater, errNotContent, errNoContent, errBroken, errOtherID,
	} {
		if errors.Is(err, plain) {
			return plain.Error()
		}
	}
	switch {
	case errors.As(err, &retrieve):
		return "token: " + printable(retrieve.ErrorCode, 40)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "answer ended early"
	case errors.As(err, &syntax):
		return syntax.Error()
	case errors.As(err, &refused):
		return refused.Error()
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &verify):
		return "certificate not accepted"
	case errors.Is(err, transport.ErrTLS):
		return transport.ErrTLS.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "connection lost"
	case errors.As(err, &dns):
		return "host name not found"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &op):
		return "network error in " + op.Op
	case errors.As(err, &address):
		return "request failed"
	}
	return "failed"
}
