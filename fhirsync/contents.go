package fhirsync

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // Attachment.hash is SHA-1; it says whether the content is the one that was meant, not who wrote it.
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
	"github.com/fhirsync/fhirsync-go/refs"
)

// attachment is what is known of a content beside its address.
type attachment = refs.Attachment

// errNotContent: what came is something else than the attachment describes.
var errNotContent = errors.New("not the content that was named")

// errBroken: a Binary came whose JSON is broken.
var errBroken = errors.New("not valid JSON")

// errNoContent: a Binary came without its content.
var errNoContent = errors.New("came without its content")

// manner is a way to ask for a content (http://hl7.org/fhir/R4/binary.html#rest).
type manner int

const (
	inFHIR   manner = iota // as a Binary resource
	inItself               // as the bytes it is
)

// manners gives the ways to ask for contents, the better one first.
func (r *run) manners() []manner {
	first, learned := inFHIR, false
	r.server.facts.with(func(f *facts) {
		if learned = f.rawContents; learned {
			first = inItself
		}
	})
	if r.writer.powers.Content != nil {
		first = inItself // base64 would only make it longer.
	}
	// What quirks say goes before that, and what was learned before what the registry says.
	way := deref(r.server.quirks.caller.References.Contents)
	if way == "" && !learned {
		way = deref(r.server.quirks.set.References.Contents)
	}
	switch way {
	case quirks.AsBinary:
		first = inFHIR
	case quirks.AsItself:
		first = inItself
	case quirks.NoContents:
	}
	if first == inItself {
		return []manner{inItself, inFHIR}
	}
	return []manner{inFHIR, inItself}
}

// contentURL gives the address on this server of what an Attachment.url names: false where it is none, another server's, or another patient's.
func (r *run) contentURL(text string) (*url.URL, bool) {
	if text == "" || len(text) > transport.MaxLink {
		return nil, false
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Opaque != "" {
		return nil, false
	}
	base := r.server.base
	u.Fragment = ""
	switch {
	case u.Scheme == "" && u.Host == "":
		root := *base
		root.Path, root.RawPath = strings.TrimRight(base.Path, "/")+"/", ""
		if !strings.HasPrefix(u.Path, "/") && (u.Path == "" || hasDotSegment(u.Path)) {
			return nil, false
		}
		u = root.ResolveReference(u)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, false
	case r.server.http.Owns(u):
	default:
		rest, ok := r.people.below(u)
		if !ok {
			return nil, false
		}
		u.Scheme, u.Host, u.Path, u.RawPath = base.Scheme, base.Host, strings.TrimRight(base.Path, "/")+rest, ""
	}
	// What is below the base and another patient's is not asked for.
	if rest, below := strings.CutPrefix(u.Path, strings.TrimRight(base.Path, "/")+"/"); below {
		segments := strings.Split(rest, "/")
		if segments[0] == "Patient" && (len(segments) < 2 || !r.people.isOwn(segments[1])) {
			return nil, false
		}
	}
	return u, true
}

func hasDotSegment(path string) bool {
	return slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// below gives what follows the base URL in an address, under whatever name the server is called there. Other ports are other servers.
func (p *people) below(u *url.URL) (rest string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, base := range append([]*url.URL{p.base}, p.names...) {
		root := strings.TrimRight(base.Path, "/")
		rest, ok := strings.CutPrefix(u.Path, root)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		if transport.SameServer(&url.URL{Scheme: base.Scheme, Host: base.Host}, &url.URL{Scheme: u.Scheme, Host: u.Host}) {
			return rest, true
		}
	}
	return "", false
}

// noteContents keeps what attachments say of contents that stand elsewhere, and gives the references without those of contents that are here.
// The caller holds run.mu.
func (f *frontier) noteContents(raw []byte, found []refs.Found) []refs.Found {
	if !slices.ContainsFunc(found, func(x refs.Found) bool { return x.Source == refs.FromAttachment }) {
		return found
	}
	out := make([]refs.Found, 0, len(found))
	for _, x := range found {
		if x.Source == refs.FromAttachment {
			a, err := refs.ReadAttachment(raw, x.Object)
			if err == nil && a.HasData {
				continue
			}
			if known, have := f.contents[x.Text]; !have || known.Hash == "" && a.Hash != "" {
				f.contents[strings.Clone(x.Text)] = a
			}
		}
		out = append(out, x)
	}
	return out
}

// isContent tells whether a target is a content rather than another resource.
func isContent(t *refs.Target) bool {
	return t.Type == "Binary" && t.Version == "" && t.Query == "" || t.Type == ""
}

// binaryID gives the logical id under which a content is kept.
func binaryID(t *refs.Target) string {
	if t.ID != "" {
		return t.ID
	}
	return ContentID(t.URL)
}

// content brings one content and ends its obligation. The error means that the run is over.
func (w *wave) content(ctx context.Context, t refs.Target) error {
	binary := t
	binary.Type, binary.ID = "Binary", binaryID(&t)
	w.mu.Lock()
	a, described := w.front.contents[t.URL]
	w.mu.Unlock()
	if !described {
		a.Size = -1
	}
	g := Gap{Type: "Binary", Ref: "Binary/" + binary.ID}
	switch {
	case w.has("Binary", binary.ID):
		w.done(&t, true)
		return nil
	case deref(w.server.quirks.set.References.Contents) == quirks.NoContents:
		g.Ref, g.Reason, g.Detail = "", Unproven, "contents that were not asked for: this server is known not to give what attachments name"
	case w.givenUp("Binary"):
		g.Ref, g.Reason, g.StatusCode = "", Denied, http.StatusForbidden
		g.Detail = "contents that were not asked for any longer, because others were refused"
	case w.missed() >= w.following().missing:
		g.Ref, g.Reason, g.Detail = "", Limited, "contents that were not asked for any longer, because too many others were not there"
	case a.Size > w.largest():
		g.Reason, g.Detail = Limited, "a content larger than the size cap, named by "+t.Path
	default:
		came, fail, err := w.bring(ctx, &binary, &a)
		switch {
		case err != nil:
			return err
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case fail != nil && isTooLarge(fail.Err):
			g.Reason, g.Detail = Limited, "a content larger than the size cap, named by "+t.Path
			w.ledger.gap(g)
		case fail != nil && errors.Is(fail.Err, errBroken) && named(&t):
			// As any resource, for which broken JSON is repaired.
			if came, err = w.readTarget(ctx, &binary); err != nil {
				return err
			}
		case fail != nil:
			if err := w.targetFailed(ctx, &binary, fail); err != nil {
				return err
			}
		}
		w.done(&t, came)
		return nil
	}
	w.ledger.gap(g)
	w.done(&t, false)
	return nil
}

// largest is how large a content may be.
func (w *wave) largest() int64 {
	if w.writer.powers.Content != nil {
		return w.client.cfg.MaxContent
	}
	return w.client.cfg.MaxPage
}

// brought is an answer that holds a content.
type brought struct {
	data   []byte           // the content itself; nil where there is none, or a large one
	large  *transport.Large // the content itself, where it is too large for memory
	binary []byte           // the Binary resource that it came in; nil if it came as itself
	head   jsonscan.Header
	typ    string // media type of the answer
	summed bool   // one and two are known
	one    [sha1.Size]byte
	two    [sha256.Size]byte
}

// there tells whether the content itself came.
func (b *brought) there() bool { return b.data != nil || b.large != nil }

// body gives the content, from its beginning.
func (b *brought) body() *io.SectionReader {
	if b.large != nil {
		return io.NewSectionReader(b.large, 0, b.large.Size())
	}
	return io.NewSectionReader(bytes.NewReader(b.data), 0, int64(len(b.data)))
}

// sums gives the content's SHA-1, as Attachment.hash has it, and its SHA-256.
func (b *brought) sums() ([sha1.Size]byte, [sha256.Size]byte, error) {
	if !b.summed {
		one, two := sha1.New(), sha256.New() //nolint:gosec // see the import.
		if _, err := io.Copy(io.MultiWriter(one, two), b.body()); err != nil {
			return b.one, b.two, errNotContent // what was just written cannot be read.
		}
		b.one, b.two, b.summed = [sha1.Size]byte(one.Sum(nil)), [sha256.Size]byte(two.Sum(nil)), true
	}
	return b.one, b.two, nil
}

// close frees what is not in memory.
func (b *brought) close() {
	if b != nil {
		b.large.Close()
	}
}

// bring asks for a content in one way, and if that is not what was meant in the other, and hands it on. The error means that the run is over.
func (w *wave) bring(ctx context.Context, t *refs.Target, a *attachment) (came bool, fail *ServerError, err error) {
	address, ok := w.contentURL(t.URL)
	if !ok {
		address = w.server.address(nil, "Binary", t.ID)
	}
	var best *brought
	defer func() { best.close() }()
	wrong := ""
	for i, how := range w.manners() {
		got, why := w.askContent(ctx, t, a, address, how)
		if why != nil {
			if got = w.redirected(ctx, a, why); got != nil {
				why = nil
			}
		}
		if w.ctx.Err() != nil {
			return false, nil, context.Cause(w.ctx)
		}
		if why != nil {
			// That a Binary came without what it holds goes before what became of the other way: it must not be taken for what was asked for.
			if fail == nil || errors.Is(why.Err, errNoContent) || !errors.Is(fail.Err, errNoContent) && !errors.Is(fail.Err, errBroken) && (fail.StatusCode == http.StatusOK || fail.StatusCode == http.StatusNotAcceptable) {
				fail = why
			}
			if s := why.status(); s == http.StatusNotFound || s == http.StatusGone || s == http.StatusUnauthorized || s == http.StatusForbidden || isTooLarge(why.Err) || errors.Is(why.Err, errOtherID) {
				break
			}
			continue
		}
		mismatch := differs(a, got)
		if mismatch == "" && best != nil && got.body().Size() == 0 {
			got.close() // it says no more than the Binary does that came before.
			break
		}
		if best == nil || mismatch == "" {
			best.close()
			best, wrong = got, mismatch
		} else {
			got.close()
		}
		if mismatch == "" && !got.there() && i == 0 {
			continue // some servers give it in the other way alone.
		}
		if mismatch == "" {
			w.server.facts.with(func(f *facts) { f.rawContents = how == inItself && (i > 0 || f.rawContents) })
			break
		}
	}
	if best == nil {
		return false, fail, nil
	}
	if wrong == "" && !best.there() && fail != nil {
		switch fail.status() {
		case http.StatusNotFound, http.StatusGone, http.StatusNotAcceptable: // there is no more to it.
		default:
			wrong = "did not come with the Binary, and asking for it by itself failed"
		}
	}
	if wrong != "" {
		// It may be the attachment that is wrong: the content is kept, and nobody says that it is proven.
		reason := Unproven
		if !best.there() {
			reason = Failed
		}
		w.ledger.gap(Gap{Type: "Binary", Ref: "Binary/" + t.ID, Reason: reason, Detail: "the content " + wrong + ", named by " + t.Path})
	}
	if w.writer.powers.Content != nil && best.there() {
		return true, nil, w.putContent(ctx, t, a, best)
	}
	return true, nil, w.takeContent(t, a, best)
}

// askContent asks for a content in one way.
func (w *wave) askContent(ctx context.Context, t *refs.Target, a *attachment, address *url.URL, how manner) (*brought, *ServerError) {
	accept := "application/fhir+json"
	if how == inItself {
		accept = acceptFor(a)
	}
	start := time.Now()
	var head jsonscan.Header
	var isJSON bool
	req := &transport.Request{URL: address, Accept: accept, AsIs: true, Check: func(resp *transport.Response) error {
		head, isJSON = jsonscan.Header{}, false
		if resp.Status != http.StatusOK {
			return checkRefusal(resp)
		}
		if resp.Large() != nil || !transport.LooksJSON(resp.Body()) {
			return nil
		}
		var broken error
		head, broken = jsonscan.Head(resp.Body())
		switch isJSON = broken == nil; {
		case isEarlyEnd(broken) && how == inFHIR:
			return transport.Again(broken)
		case head.ResourceType == "OperationOutcome" && anyCode(errorIssues(issuesOf(resp.Body())), transientCodes):
			return transport.Again(errOutcome)
		}
		return nil
	}}
	if w.writer.powers.Content != nil {
		req.MaxLarge = w.largest()
	}
	resp, err := w.send(ctx, "read", "Binary", forReferences, req)
	defer resp.Release()
	if fail := serverError("read", "Binary", address.String(), resp, err); fail != nil {
		return nil, fail
	}
	fail := &ServerError{Op: "read", Type: "Binary", StatusCode: resp.Status, URL: address.String()}
	got := &brought{head: head, typ: resp.Header.Get("Content-Type")}
	body := resp.Body()
	size := len(body)
	if l := resp.Large(); l != nil {
		size = int(min(l.Size(), math.MaxInt))
	}
	w.emit(PageFetched{event: w.event(), Op: "read", Type: "Binary", Page: 1, Entries: 1, New: 1, Bytes: size, Took: time.Since(start)})
	if isJSON && head.ResourceType == "Binary" {
		raw := trimBOM(body)
		if named(t) && head.ID != "" && head.ID != t.ID {
			fail.Err = errOtherID
			return nil, fail
		}
		got.binary = slices.Clone(raw)
		got.data, err = binaryData(got.binary)
		if jsonscan.Valid(got.binary) != nil {
			fail.Err = errBroken
			return nil, fail
		}
		if err != nil && how == inFHIR {
			fail.Err = err
			if errors.Is(err, errNoContent) && a.Size <= 0 && a.URL == "" {
				return got, nil // a Binary that says no more.
			}
			return nil, fail
		}
		if err != nil {
			got.data = nil
		}
		return got, nil
	}
	// Head is content with the shape of an object, so that names may be broken where it finds no type.
	if resp.Large() == nil && (!isJSON || head.ResourceType == "") && transport.LooksJSON(body) {
		if isFHIRType(mediaType(got.typ)) && !strings.Contains(mediaType(a.ContentType), "json") || isBrokenBinary(body, t) {
			fail.Err = errBroken
			return nil, fail
		}
	}
	if got.large = resp.TakeLarge(); got.large == nil {
		got.data = append([]byte{}, body...)
	}
	if !plausible(a, got, head.ResourceType, body) {
		got.close()
		fail.Err = errNotContent
		return nil, fail
	}
	return got, nil
}

// acceptFor gives what is asked for when a content is wanted as itself.
func acceptFor(a *attachment) string {
	if mt, _, err := mime.ParseMediaType(a.ContentType); err == nil && !isFHIRType(mt) {
		return mt
	}
	return "*/*"
}

// isHollow tells whether an entry is a Binary without what it holds: some servers give that only where it is asked for by itself
// (https://github.com/hapifhir/hapi-fhir-jpaserver-starter/issues/179).
func (r *run) isHollow(c *candidate, src *source) bool {
	if c.entry.ResourceType != "Binary" || src.read || c.mended.hasMadeID() || c.owner != ours && c.owner != unattributed || r.opts.References.OmitAttachments ||
		deref(r.server.quirks.set.References.Contents) == quirks.NoContents {
		return false
	}
	_, err := binaryData(c.entry.Resource)
	return errors.Is(err, errNoContent)
}

// contentAgain asks for what a Binary holds that came without it.
func (r *run) contentAgain(ctx context.Context, id, why string) (*ServerError, error) {
	w := &wave{run: r}
	a := attachment{Size: -1}
	r.mu.Lock()
	for address, known := range r.front.contents {
		if ref := refs.Parse(address); ref.Type == "Binary" && ref.ID == id && (ref.Kind == refs.Relative || ref.Kind == refs.Absolute && r.front.Here(ref.Base)) {
			a = known
		}
	}
	r.mu.Unlock()
	_, fail, err := w.bring(ctx, &refs.Target{Type: "Binary", ID: id, Path: "a Binary that " + why, Count: 1}, &a)
	return fail, err
}

// named tells whether the id of a target is that of a Binary, and not one made of an address.
func named(t *refs.Target) bool {
	ref := refs.Parse(t.URL)
	return t.URL == "" || ref.Type == "Binary" && ref.ID == t.ID
}

// contentType gives the media type of a content.
func (b *brought) contentType(a *attachment) string {
	switch {
	case a.ContentType != "":
		return a.ContentType
	case b.binary != nil:
		for p, err := range jsonscan.Properties(b.binary, 0) {
			if err == nil && string(p.Name) == "contentType" && p.Kind == '"' {
				return p.Text()
			}
		}
		return ""
	}
	return b.typ
}

// takeContent hands a content on as a Binary: the one it came in, or one that is made for it.
func (w *wave) takeContent(t *refs.Target, a *attachment, got *brought) error {
	raw, op := got.binary, "read"
	id := t.ID
	switch {
	case raw == nil:
		op = "content"
		source := ""
		if !named(t) {
			source = t.URL
		}
		var err error
		if raw, err = makeBinary(id, source, got.contentType(a), got.data); err != nil {
			return err
		}
		got.head = jsonscan.Header{ResourceType: "Binary", ID: id}
	case got.head.ID != "":
		id = got.head.ID
	}
	b := &jsonscan.Bundle{Entries: []jsonscan.Entry{{
		Header: got.head, End: len(raw), Resource: raw, Mode: "match", FullURL: w.server.base.String() + "/Binary/" + url.PathEscape(id),
	}}}
	_, err := w.takeIn(b, raw, source{op: op, typ: "Binary", strategy: w.strategy.Name(), read: true, companion: true, unattributed: true})
	return err
}

// makeBinary makes a Binary of a content. source is where it came from, where its id does not say so.
func makeBinary(id, source, contentType string, data []byte) ([]byte, error) {
	type meta struct {
		Source string `json:"source"`
	}
	made := struct {
		ResourceType string `json:"resourceType"`
		ID           string `json:"id"`
		Meta         *meta  `json:"meta,omitempty"`
		ContentType  string `json:"contentType,omitempty"`
		Data         []byte `json:"data"`
	}{ResourceType: "Binary", ID: id, ContentType: contentType, Data: data}
	if source != "" {
		made.Meta = &meta{Source: source}
	}
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(made); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// putContent hands a content to the store's ContentStore. A Binary that belongs to another patient is not stored.
func (w *wave) putContent(ctx context.Context, t *refs.Target, a *attachment, got *brought) error {
	if got.binary != nil {
		var found []refs.Found
		for x, err := range refs.All(got.binary, refs.FromReference) {
			if err == nil {
				found = append(found, x)
			}
		}
		if w.people.judge("Binary", t.ID, found, asCompanion) != ours {
			w.ledger.gap(Gap{Type: "Binary", Ref: "Binary/" + t.ID, Reason: Shared, Detail: "belongs to another patient; not stored"})
			return nil
		}
	}
	_, digest, err := got.sums()
	if err != nil {
		w.ledger.gap(Gap{Type: "Binary", Ref: "Binary/" + t.ID, Reason: Failed, Detail: "the temporary file of a large content could not be read", Err: err})
		return nil
	}
	c := Content{
		Run: w.id, Server: w.server.name, PatientID: w.patientID, Key: Key{Server: w.server.name, Type: "Binary", ID: t.ID},
		URL: t.URL, ContentType: got.contentType(a), Body: got.body(), Digest: digest,
	}
	held, err := w.client.inFlight.enter(ctx, int64(len(got.data)))
	if err != nil {
		return err
	}
	defer w.client.inFlight.leave(held)
	key := identOf("Binary", t.ID)
	w.mu.Lock()
	w.mark("Binary", key)
	w.mu.Unlock()
	err = w.writer.do(w.ctx, func(ctx context.Context) error {
		return w.writer.try(ctx, func() error { return w.writer.powers.Content.PutContent(ctx, c.rewound()) })
	})
	rejected, isRejected := errors.AsType[*RejectError](err)
	if err != nil && !isRejected {
		w.mu.Lock()
		w.forget(key)
		w.mu.Unlock()
		if w.ctx.Err() == nil {
			w.storeFailed(err)
		}
		return context.Cause(w.ctx)
	}
	w.mu.Lock()
	w.seen[key] &^= seenMarks
	w.mu.Unlock()
	w.ledger.with("Binary", func(e *typeEntry) {
		e.Received++
		if !isRejected {
			e.Stored++
		}
	})
	if isRejected {
		w.ledger.gap(Gap{Type: "Binary", Ref: "Binary/" + t.ID, Reason: Failed, Detail: "rejected by the store", Err: rejected})
	}
	return nil
}
