package fhirsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// Config is how a [Client] works. The zero value is valid. It is read by New and may be changed afterwards without effect.
type Config struct {
	// HTTPClient gives its Transport: proxies, TLS and client certificates live there. Its Timeout, where it has one, becomes the time
	// an answer may take to begin; Jar and CheckRedirect are ignored. nil: a private transport, which, beside the servers that it is
	// given, reaches nothing in private networks. An *oauth2.Transport in it would send the token to any host and is refused: tokens
	// go into Server.TokenSource.
	HTTPClient *http.Client
	// Strategy is used for every sync. nil: [Auto].
	Strategy Strategy
	// Quirks is what is known about servers: how to ask them, what their errors mean, what they leave out. nil: [quirks.Default], what the
	// library knows; [quirks.New] without entries is a registry that knows nothing.
	Quirks *quirks.Registry
	// Limit is the policy towards each server, shared by all syncs of the Client. The zero value is polite.
	Limit ratelimit.Policy
	// Learned keeps between processes what was learned about servers. nil: it is kept in memory only.
	Learned StateStore
	// MaxBytes bounds the pages and batches in flight, over all syncs of the Client, which wait for each other. 0: 256 MB.
	MaxBytes int64
	// MaxPage bounds one answer, inflated. A larger page is asked for in smaller pieces; a single resource that is larger becomes a gap.
	// 0: 64 MB.
	MaxPage int64
	// MaxContent bounds one content for a [ContentStore]; a larger one becomes a gap. What does not fit into 4 MB waits for the store in a file in
	// os.TempDir that only the owner may read, and that is removed at once. 0: 1 GB.
	MaxContent int64
	// Logger gets warnings: never content, ids, tokens or query values. nil: silent.
	Logger *slog.Logger
	// UserAgent is sent with every request. "": "fhirsync-go".
	UserAgent string
}

// Client pulls patient records. Make one per process with [New], so that the limits per server are shared. Safe for concurrent use.
type Client struct {
	cfg       Config
	transport http.RoundTripper
	hosts     transport.Hosts // that may be in private networks; for the private transport
	timeout   time.Duration   // until headers; 0: the default
	pool      *pagebuf.Pool
	inFlight  *gate

	seenInMemory int       // see seen.go
	bundles      sync.Pool // of *jsonscan.Bundle
	scratches    sync.Pool // of *scratch

	mu       sync.Mutex
	names    map[string]string // Server.Name to base URL
	limiters map[string]*ratelimit.Limiter
	facts    map[string]*facts
}

const (
	defaultMaxBytes = 256 << 20
	defaultMaxPage  = 64 << 20
	defaultContent  = 1 << 30
	// slowOperation is how long an operation may take until its answer begins: $everything collects for minutes on some servers.
	slowOperation = 5 * time.Minute
)

// New makes a Client. The error says what is wrong with the Config.
func New(cfg Config) (*Client, error) {
	c := &Client{
		cfg: cfg, names: map[string]string{}, limiters: map[string]*ratelimit.Limiter{}, facts: map[string]*facts{},
	}
	c.bundles.New = func() any { return new(jsonscan.Bundle) }
	c.scratches.New = func() any { return new(scratch) }
	if cfg.MaxBytes < 0 || cfg.MaxPage < 0 || cfg.MaxContent < 0 {
		return nil, errors.New("fhirsync: Config.MaxBytes, MaxPage and MaxContent cannot be negative")
	}
	if c.cfg.MaxContent == 0 {
		c.cfg.MaxContent = defaultContent
	}
	if c.cfg.MaxBytes == 0 {
		c.cfg.MaxBytes = defaultMaxBytes
	}
	if c.cfg.MaxPage == 0 {
		c.cfg.MaxPage = min(defaultMaxPage, c.cfg.MaxBytes)
	}
	if c.cfg.Strategy == nil {
		c.cfg.Strategy = Auto()
	}
	if c.cfg.Quirks == nil {
		c.cfg.Quirks = quirks.Default()
	}
	if c.cfg.UserAgent == "" {
		c.cfg.UserAgent = "fhirsync-go"
	}
	if c.cfg.Logger == nil {
		c.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTPClient != nil {
		c.transport, c.timeout = cfg.HTTPClient.Transport, cfg.HTTPClient.Timeout
	}
	if _, ok := c.transport.(*oauth2.Transport); ok {
		return nil, errors.New("fhirsync: Config.HTTPClient has an *oauth2.Transport, which sends the token to every host it is led to: put its token source into Server.TokenSource")
	}
	if c.transport == nil {
		c.transport = c.hosts.RoundTripper()
	}
	c.pool = pagebuf.New(c.cfg.MaxBytes*3/4, c.cfg.MaxPage)
	c.inFlight = newGate(c.cfg.MaxBytes / 4)
	c.seenInMemory = seenInMemory
	return c, nil
}

// Capabilities gives what a server says about itself: its CapabilityStatement, asked for once in a while and corrected by what quirks say
// of it. Where it cannot be had the error is a [*ServerError], and the sync would go on without it.
func (c *Client) Capabilities(ctx context.Context, srv Server) (*quirks.Capabilities, error) {
	s, err := c.server(srv)
	if err != nil {
		return nil, err
	}
	caps, err := s.capabilities(ctx, nil)
	if err != nil {
		return nil, err
	}
	s.adapt(caps)
	return s.quirks.set.Apply(caps), nil
}

// limiter gives the limiter of a server, by its base URL.
func (c *Client) limiter(base string) *ratelimit.Limiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.limiters[base]
	if l == nil {
		policy := c.cfg.Limit
		policy.Name += base // of several servers, each has its own limit in a Shared.
		l = ratelimit.New(policy)
		c.limiters[base] = l
	}
	return l
}

// factsOf gives what was learned about a server, by its base URL and the kind of grant.
func (c *Client) factsOf(key string) *facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.facts[key]
	if f == nil {
		f = newFacts()
		f.key = key
		c.facts[key] = f
	}
	return f
}

// claimName keeps one name from standing for two servers.
func (c *Client) claimName(name, base string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.names[name]; ok && known != base {
		return fmt.Errorf("fhirsync: %w", ErrServerName)
	}
	c.names[name] = base
	return nil
}

// knows tells whether resources of a server have this name in their keys.
func (c *Client) knows(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.names[name]
	return known
}
