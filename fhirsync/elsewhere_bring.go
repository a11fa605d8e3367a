package fhirsync

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// fetch brings what is at one address into the store. The error says why it did not come; it has no address in it.
func (e *elsewhere) fetch(ctx context.Context, text string, a *away, known *attachment) error {
	u, err := url.Parse(text)
	if err != nil || len(text) > transport.MaxLink || len(u.Host) > longestHost {
		return transport.ErrNotHTTPS
	}
	if isContentElsewhere(a) {
		return e.content(ctx, u, a, known)
	}
	return e.resource(ctx, a)
}

// resource brings a resource that belongs to no patient.
func (e *elsewhere) resource(ctx context.Context, a *away) error {
	ref := a.found.Ref
	if !e.r.belongsToNobody(ref.Type) {
		return errOfPatients
	}
	base, err := normalBase(ref.Base)
	if err != nil {
		return transport.ErrNotHTTPS
	}
	if e.r.client.knows(base.String()) {
		return errOwnSync
	}
	key := Key{Server: base.String(), Type: ref.Type, ID: ref.ID}
	return e.once(ctx, key, func() error { return e.bringResource(ctx, base, key) })
}

// bringResource reads a resource and puts it into the store.
func (e *elsewhere) bringResource(ctx context.Context, base *url.URL, key Key) error {
	at := server{base: base}
	resp, err := e.get(ctx, key.Type, at.address(nil, key.Type, key.ID), "application/fhir+json, application/json;q=0.9", transport.SmallAnswer, false)
	if err != nil {
		return err
	}
	defer resp.Release()
	raw := trimBOM(resp.Body())
	head, err := jsonscan.Head(raw)
	switch {
	case err != nil:
		return errBroken
	case head.ResourceType != key.Type, head.ID != key.ID:
		return errOtherID
	case head.Subsetted:
		return errParts
	}
	if err := namesNoPatient(raw); err != nil {
		return err
	}
	res := e.foreign(key, slices.Clone(raw), "read")
	res.VersionID = head.VersionID
	if res.LastUpdated, err = time.Parse(time.RFC3339Nano, head.LastUpdated); err != nil {
		res.LastUpdated = time.Time{}
	}
	if err := e.putResource(ctx, res); err != nil {
		return err
	}
	e.count(base, func(h *ElsewhereReport) { h.Resources++ })
	return nil
}

// belongsToNobody tells whether resources of a type are no patient's.
func (r *run) belongsToNobody(typ string) bool {
	switch typ {
	case "Patient", "Person", "RelatedPerson", "Group", "List", "Bundle", "Parameters", "Composition", "OperationOutcome", "Binary", "Consent", "Contract", "Linkage":
		return false
	}
	_, in := r.table.Lookup(typ)
	return !in && isTypeName(typ)
}

// namesNoPatient makes sure that a resource of another server is nobody's in particular.
func namesNoPatient(raw []byte) error {
	for x, err := range refs.All(raw, refs.FromReference, refs.FromAttachment) {
		if err != nil {
			return errBroken
		}
		switch x.Ref.Type {
		case "Patient", "Person", "RelatedPerson", "Group":
			return errNamesPatient
		}
	}
	contained, err := containedTypes(raw)
	if err != nil {
		return errBroken
	}
	for _, typ := range contained {
		if typ == "Patient" || typ == "Person" || typ == "RelatedPerson" || typ == "Group" {
			return errNamesPatient
		}
	}
	return nil
}

// foreign makes a resource of what another server gave.
func (e *elsewhere) foreign(key Key, raw []byte, op string) Resource {
	return Resource{Key: key, Raw: raw, Digest: sha256.Sum256(raw), Origin: Origin{Strategy: e.r.strategy.Name(), Op: op, Received: time.Now()}}
}

// count changes what the report says of a host.
func (e *elsewhere) count(u *url.URL, change func(*ElsewhereReport)) {
	host := hostOf(u)
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.hosts[host]; h != nil {
		change(h)
	}
}

// putResource puts a resource of another server by itself: what is known of the server's own goes by type and id alone.
func (e *elsewhere) putResource(ctx context.Context, res Resource) error {
	w := e.r.writer
	held, err := e.r.client.inFlight.enter(ctx, size(&res))
	if err != nil {
		return err
	}
	defer e.r.client.inFlight.leave(held)
	batch := Batch{Run: e.r.id, Server: e.r.server.name, PatientID: e.r.patientID, Resources: []Resource{res}}
	return e.put(res.Type, res.Server, func(ctx context.Context) error { return w.store.Put(ctx, batch) })
}

// put calls the store.
func (e *elsewhere) put(typ, from string, call func(ctx context.Context) error) error {
	w := e.r.writer
	err := w.do(e.r.ctx, func(ctx context.Context) error {
		return w.try(ctx, func() error { return call(ctx) })
	})
	rejected, is := errors.AsType[*RejectError](err)
	switch {
	case e.r.ctx.Err() != nil:
		return context.Cause(e.r.ctx)
	case is:
		// It was at hand, and is lost here and not there.
		e.r.ledger.gap(Gap{Type: typ, Host: hostIn(from), Reason: Failed, Detail: "from another server, rejected by the store", Err: rejected})
		return nil
	case err != nil:
		if !errors.Is(err, errEnded) {
			e.r.storeFailed(err)
		}
		return err
	}
	return nil
}

// content brings a content.
func (e *elsewhere) content(ctx context.Context, u *url.URL, a *away, known *attachment) error {
	// Elsewhere an address of a resource is no content but for a Binary: it could be anybody's.
	if typ := a.found.Ref.Type; typ != "" && typ != "Binary" {
		return errOfPatients
	}
	key := Key{Server: originOf(u), Type: "Binary", ID: ContentID(a.found.Text)}
	if e.r.client.knows(key.Server) {
		return errOwnSync
	}
	return e.once(ctx, key, func() error { return e.bringContent(ctx, u, key, known) })
}

// bringContent fetches a content and hands it to the store.
func (e *elsewhere) bringContent(ctx context.Context, u *url.URL, key Key, known *attachment) error {
	id := "" // of a Binary, where the address says it.
	if binary := refs.Parse(u.String()); binary.Type == "Binary" && binary.Kind == refs.Absolute {
		id = binary.ID
	}
	got, err := e.bring(ctx, u, id, known)
	if err != nil {
		return err
	}
	defer got.close()
	bareURL := *u
	bareURL.RawQuery, bareURL.ForceQuery, bareURL.Fragment, bareURL.RawFragment = "", false, "", ""
	if store := e.r.writer.powers.Content; store != nil {
		_, digest, err := got.sums()
		if err != nil {
			return err
		}
		held, err := e.r.client.inFlight.enter(ctx, int64(len(got.data)))
		if err != nil {
			return err
		}
		defer e.r.client.inFlight.leave(held)
		c := Content{
			Run: e.r.id, Server: e.r.server.name, PatientID: e.r.patientID, Key: key, URL: bareURL.String(), ContentType: got.contentType(known),
			Body: got.body(), Digest: digest,
		}
		err = e.put("Binary", key.Server, func(ctx context.Context) error { return store.PutContent(ctx, c.rewound()) })
		if err != nil {
			return err
		}
	} else {
		raw, err := makeBinary(key.ID, bareURL.String(), got.contentType(known), got.data)
		if err != nil {
			return err
		}
		if err := e.putResource(ctx, e.foreign(key, raw, "content")); err != nil {
			return err
		}
	}
	e.count(u, func(h *ElsewhereReport) { h.Contents++ })
	return nil
}

// bring fetches a content and makes sure that it is the one that was meant.
func (e *elsewhere) bring(ctx context.Context, u *url.URL, id string, known *attachment) (*brought, error) {
	large := e.r.writer.powers.Content != nil
	most := e.r.client.cfg.MaxPage
	if large {
		most = e.r.client.cfg.MaxContent
	}
	if known.Size > most {
		return nil, pagebuf.ErrTooLarge
	}
	resp, err := e.get(ctx, "Binary", u, acceptFor(known), most, large)
	if err != nil {
		return nil, err
	}
	defer resp.Release()
	got := &brought{typ: resp.Header.Get("Content-Type"), large: resp.TakeLarge()}
	body := resp.Body()
	if err := e.take(got, id, known, body); err != nil {
		got.close()
		return nil, err
	}
	return got, nil
}

// take makes a content of an answer. What is FHIR, and no Binary, could be about anybody: only a hash tells that it was meant.
func (e *elsewhere) take(got *brought, id string, known *attachment, body []byte) error {
	if got.large == nil {
		got.data = append([]byte{}, body...)
	}
	if got.large == nil && transport.LooksJSON(body) && (known.Hash == "" || !got.fits(known.Hash)) {
		switch head, err := jsonscan.Head(body); {
		case err != nil || head.ResourceType == "":
		case head.ResourceType != "Binary":
			return errOtherContent
		case id != "" && head.ID != "" && head.ID != id:
			return errOtherID
		default:
			binary := brought{binary: trimBOM(body)}
			if err := namesNoPatient(binary.binary); err != nil {
				return err
			}
			if got.data, err = binaryData(binary.binary); err != nil {
				return err
			}
			got.typ, got.summed = binary.contentType(&attachment{}), false
			body = got.data
		}
	}
	if !plausible(known, got, "", body) || differs(known, got) != "" {
		return errOtherContent
	}
	return nil
}

// redirected fetches a content of this server from where it redirects to, without what is for this server; nil where it does not, or that did not
// bring it.
func (w *wave) redirected(ctx context.Context, a *attachment, why *ServerError) *brought {
	e := w.front.elsewhere
	leads, is := errors.AsType[*transport.ForeignError](why.Err)
	if !is || e == nil || !e.o.Contents {
		return nil
	}
	got, err := e.bring(ctx, leads.To, "", a)
	if err != nil {
		return nil // what the server itself answered stays the reason.
	}
	e.count(leads.To, func(h *ElsewhereReport) { h.Contents++ })
	return got
}

// containedTypes gives the types of contained resources.
func containedTypes(raw []byte) ([]string, error) {
	var in struct {
		Contained []struct {
			ResourceType string `json:"resourceType"`
		} `json:"contained"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, err
	}
	out := make([]string, len(in.Contained))
	for i, c := range in.Contained {
		out[i] = c.ResourceType
	}
	return out, nil
}
