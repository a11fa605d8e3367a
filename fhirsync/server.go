package fhirsync

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// Server is one FHIR service base URL and the right to read from it.
type Server struct {
	// Name is the caller's own stable name for the server and stands in every Key. "": the normalised BaseURL. It is an error to use one
	// name with two base URLs. Limits and what was learned go by the base URL.
	Name string
	// BaseURL is the service base URL, "https://fhir.example.org/r4".
	BaseURL string
	// TokenSource gives the access tokens; it is asked before every request and should cache. nil: no Authorization header. It must
	// outlive the sync. If it also has a method
	//
	//	Renew(rejected *oauth2.Token) (*oauth2.Token, error)
	//
	// a 401 is answered by one call of it; else a 401 is final, because most token sources would give the rejected token again.
	TokenSource oauth2.TokenSource
	// Scope is what the grant covers, as the authorization server said it. "": what the token says ("scope" among its extras), where it
	// says it. It stands in the report, and what is learned about a server under one scope is not believed of another.
	Scope string
	// Header is sent with every request to the server's own origin, and to nobody else.
	Header http.Header
	// TrustedOrigins are further origins, "https://pages.example.org", to which token and Header may be sent where the server redirects or
	// leads there. Only the caller can say so: nothing that a server sends widens it.
	TrustedOrigins []string
	// Quirks is what the caller knows about this server. It goes before what the registry says (Config.Quirks) and what was learned.
	Quirks quirks.Set
	// Vars fills the slots that quirks name: a client id, say, or a tenant. Values are sent to the server's own origin only.
	Vars map[string]string
}

// SyncOptions are the settings of one sync. nil stands for the zero value.
type SyncOptions struct {
	// Types limits the sync to these resource types; the Patient always comes. nil: all types of the Patient compartment, those outside of
	// it that carry a patient, and whatever these refer to.
	Types []string
	// References says how far references are followed and which of them. The zero value follows all that lead to the same server, as far as
	// they lead, but never to another patient.
	References refs.Policy
	// Elsewhere lets references and contents be fetched from other servers, without any credential. nil: no other server is asked.
	Elsewhere *Elsewhere
	// AlsoPatients are further logical ids of the same person on this server: payers keep one Patient per plan year. Their records are
	// asked for one after the other and are part of this one. Such a sync cannot be resumed.
	AlsoPatients []string
	// Full starts over, even if an unfinished sync could be resumed.
	Full bool
	// OnEvent is told of progress, one event at a time. It should return quickly: the sync waits for it. nil: nobody is told.
	OnEvent func(Event)
	// Trace gets a record of all requests and answers that fhirtest.Replay can answer from, so that what a server does wrong becomes a
	// test. It shows how the server behaves and nothing of what it says: JSON lines with methods, paths and names of parameters, status,
	// times, sizes, the shapes of Bundles and the references between resources, each id and other value replaced by a placeholder such as
	// {id-1}. No content, no ids, tokens, values of parameters or hosts. What an earlier sync of the Client has taught it is not asked
	// again: a trace is whole where the Client is new and Full is set. It is written a line at a time, while requests wait; if that fails
	// it ends there, which is a note in the report. What Elsewhere asks of other servers is not in it. nil: none.
	Trace io.Writer
}

// server is a Server that was looked at, for one sync.
type server struct {
	client *Client
	name   string
	base   *url.URL
	http   *transport.Client
	facts  *facts
	scope  string // Server.Scope

	caller quirks.Set        // Server.Quirks
	vars   map[string]string // Server.Vars
	header http.Header       // Server.Header
	quirks *adaptation       // never nil
}

// server checks a Server and makes what is needed to talk to it.
func (c *Client) server(s Server) (*server, error) {
	base, err := normalBase(s.BaseURL)
	if err != nil {
		return nil, err
	}
	name := s.Name
	if name == "" {
		name = base.String()
	}
	if err := c.claimName(name, base.String()); err != nil {
		return nil, err
	}
	for h := range s.Header {
		if k := http.CanonicalHeaderKey(h); k == "Host" || k == "Content-Length" || k == "Transfer-Encoding" {
			return nil, fmt.Errorf("fhirsync: Server.Header cannot set %s", k)
		}
	}
	if err := s.Quirks.Validate(); err != nil {
		return nil, fmt.Errorf("fhirsync: Server.Quirks: %w", err)
	}
	for name, v := range s.Vars {
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("fhirsync: Server.Vars: the value of %q has a control character", printable(name, 64))
		}
	}
	grant := "|none"
	if s.TokenSource != nil || s.Header.Get("Authorization") != "" {
		grant = "|token|" + s.Scope
	}
	c.hosts.Name(base)
	var trusted []*url.URL
	for _, text := range s.TrustedOrigins {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, errors.New("fhirsync: Server.TrustedOrigins holds something that is no origin like https://pages.example.org")
		}
		if base.Scheme == "https" && u.Scheme != "https" {
			return nil, errors.New("fhirsync: Server.TrustedOrigins holds an origin without TLS, and the server has it")
		}
		c.hosts.Name(u)
		trusted = append(trusted, u)
	}
	o := transport.Options{
		Base: base, RoundTripper: traced{c.transport}, Limiter: c.limiter(base.String()), Tokens: s.TokenSource, Header: s.Header.Clone(),
		UserAgent: c.cfg.UserAgent, HeaderTimeout: c.timeout, MaxPause: c.cfg.Limit.MaxPause, Pool: c.pool,
		MaxPacked: c.cfg.MaxPage, Trusted: trusted, Flow: rand.Text(),
	}
	if r, ok := s.TokenSource.(transport.Renewer); ok {
		o.Renew = r.Renew
	}
	out := &server{
		client: c, name: name, base: base, http: transport.New(o), facts: c.factsOf(base.String() + grant), scope: s.Scope,
		caller: quirks.Set{}.Merge(s.Quirks), vars: maps.Clone(s.Vars), header: o.Header,
	}
	out.adapt(nil)
	return out, nil
}

// normalBase gives a base URL in one spelling.
func normalBase(text string) (*url.URL, error) {
	bad := func(why string) error { return errors.New("fhirsync: Server.BaseURL " + why) }
	if text == "" {
		return nil, bad("is empty")
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, bad("is not a URL")
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("is not http or https")
	case u.Hostname() == "":
		return nil, bad("has no host")
	case u.User != nil:
		return nil, bad("holds credentials: use Server.TokenSource or Header")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, bad("has a query or fragment")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Host), ".")
	if port := u.Port(); u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	u.Host = host
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// address gives the URL of a path below the base. Each segment is escaped, so that no id can leave its place.
func (s *server) address(params url.Values, segments ...string) *url.URL {
	u := *s.base
	escaped := make([]string, len(segments))
	for i, seg := range segments {
		escaped[i] = url.PathEscape(seg)
	}
	u.Path = s.base.Path + "/" + strings.Join(segments, "/")
	u.RawPath = s.base.EscapedPath() + "/" + strings.Join(escaped, "/")
	if u.RawPath == u.Path {
		u.RawPath = ""
	}
	u.RawQuery = params.Encode()
	return &u
}

// metadataAge is how long a CapabilityStatement is believed.
const metadataAge = time.Hour

// capabilities gives the server's CapabilityStatement, from memory if it was read lately. ask sends the request for a sync, which counts
// it; nil: nobody counts.
func (s *server) capabilities(ctx context.Context, ask func(*transport.Request) (*transport.Response, error)) (*quirks.Capabilities, error) {
	if caps := s.facts.statement(metadataAge); caps != nil {
		return caps, nil
	}
	skip := deref(s.quirks.set.Metadata) == quirks.MetadataSkip
	if known := s.facts.refusedStatement(metadataAge); skip && known != nil {
		return nil, known
	}
	if ask == nil {
		ask = func(r *transport.Request) (*transport.Response, error) { return s.http.Do(ctx, r) }
	}
	address := s.address(nil, "metadata")
	resp, err := ask(&transport.Request{Op: quirks.MetadataInteraction, URL: address, Check: checkWhole})
	defer resp.Release()
	fail := &ServerError{Op: "metadata", URL: address.String(), Err: err}
	if resp != nil {
		fail.StatusCode, fail.RetryAfter = resp.Status, resp.RetryAfter
	}
	if err != nil {
		fail.Err = asNotFHIR(err)
		return nil, fail
	}
	if resp.Status != http.StatusOK {
		fail.Issues = issuesOf(resp.Body())
		if skip && fail.refusal() == refusedType {
			s.facts.setRefused(fail)
		}
		return nil, fail
	}
	caps, err := quirks.ParseCapabilities(resp.Body())
	if err != nil {
		fail.Err, fail.Issues = fmt.Errorf("%w: %w", ErrNotFHIR, err), issuesOf(resp.Body())
		return nil, fail
	}
	s.facts.setStatement(caps)
	return caps, nil
}

// checkWhole refuses a success whose body is no JSON or ends too early.
func checkWhole(r *transport.Response) error {
	if r.Status != http.StatusOK {
		return nil
	}
	var head jsonscan.Header
	if err := readHead(&head, r); isEarlyEnd(err) || errors.Is(err, transport.ErrNotJSON) || errors.Is(err, transport.ErrXML) {
		return err
	}
	return nil
}
