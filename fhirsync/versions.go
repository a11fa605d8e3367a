package fhirsync

import (
	"context"
	"crypto/sha256"
	"net/http"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// HistoryStore keeps versions of resources that are not the current one. Only those come that a reference names (Practitioner/1/_history/2), and
// only to a store that is one: without it they are not asked for. The current version comes to Put in any case.
type HistoryStore interface {
	// PutVersions stores versions, each by its Key and VersionID, beside what Put has stored: a version is never what Get gives as the resource
	// itself. The rules are those of Store.Put; Batch.Resources may have a Key several times, with other VersionIDs.
	PutVersions(ctx context.Context, batch Batch) error
}

// versionMisses is how many named versions in a row must not be there until a server is taken to keep none.
const versionMisses = 5

// version brings a version that a reference names and that is not the current one, and ends its obligation. The error means that the run is over.
func (w *wave) version(ctx context.Context, t refs.Target) error {
	w.mu.Lock()
	current := w.front.versions[identOf(t.Type, t.ID)]
	misses := w.front.versionMisses
	w.mu.Unlock()
	none := false
	id := identOf(t.Type, w.asking)
	w.server.facts.with(func(f *facts) { none = f.noVersions && id[0]%recheckOneIn != 0 })
	switch {
	case current == t.Version:
		w.done(&t, true) // it has come already.
		return nil
	case none || misses >= versionMisses:
		w.ledger.gap(Gap{Reason: Skipped, Detail: "versions that references name, where the server keeps none"})
		w.done(&t, true)
		return nil
	}
	res, fail, err := w.readVersion(ctx, &t)
	switch {
	case err != nil:
		return err
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case fail != nil:
		return w.versionFailed(ctx, &t, fail)
	case res == nil:
		w.done(&t, true)
		return nil
	}
	w.mu.Lock()
	w.front.versionMisses = 0
	w.mu.Unlock()
	w.server.facts.with(func(f *facts) { f.noVersions = false })
	batch := Batch{Run: w.id, Server: w.server.name, PatientID: w.patientID, Resources: []Resource{*res}}
	err = w.writer.do(w.ctx, func(ctx context.Context) error {
		return w.writer.try(ctx, func() error { return w.writer.powers.History.PutVersions(ctx, batch) })
	})
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case isReject(err):
		w.ledger.gap(Gap{Type: t.Type, Ref: t.Literal(), Reason: Failed, Detail: "rejected by the store", Err: err})
	case err != nil:
		w.storeFailed(err)
		return context.Cause(w.ctx)
	default:
		w.ledger.note(t.Type, "a version that is not the current one came, because a reference names it")
	}
	w.done(&t, true)
	return nil
}

// versionFailed enters that a version did not come.
func (w *wave) versionFailed(ctx context.Context, t *refs.Target, fail *ServerError) error {
	g := w.gapOf(Failed, fail)
	g.Type, g.Ref, g.Count = t.Type, t.Literal(), 1
	g.Detail += ", named by " + t.Path
	switch fail.status() {
	case http.StatusUnauthorized:
		if w.unauthorized(ctx, fail) {
			return context.Cause(w.ctx)
		}
		g.Reason = Denied
	case http.StatusForbidden:
		g.Reason = Denied
	case http.StatusNotFound, http.StatusGone, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusBadRequest:
		// The current version has come or is a gap of its own: that an old one is not kept is no loss of the record.
		g.Reason = Dangling
		w.mu.Lock()
		w.front.versionMisses++
		none := w.front.versionMisses >= versionMisses
		w.mu.Unlock()
		if none {
			w.server.facts.with(func(f *facts) { f.noVersions = true })
		}
	}
	w.ledger.gap(g)
	w.done(t, g.Reason == Dangling)
	return nil
}

// readVersion reads one version; nil where it is another patient's, which is in the ledger then.
func (w *wave) readVersion(ctx context.Context, t *refs.Target) (*Resource, *ServerError, error) {
	address := w.server.address(nil, t.Type, t.ID, "_history", t.Version)
	var head jsonscan.Header
	start := time.Now()
	resp, err := w.send(ctx, "read", t.Type, forReferences, &transport.Request{URL: address, Check: checkResource(&head)})
	defer resp.Release()
	if fail := serverError("read", t.Type, address.String(), resp, err); fail != nil {
		return nil, fail, nil
	}
	fail := &ServerError{Op: "read", Type: t.Type, StatusCode: resp.Status, URL: address.String(), Err: errKind}
	switch {
	case head.ResourceType != t.Type:
		return nil, fail, nil
	case head.ID != t.ID, head.VersionID != "" && head.VersionID != t.Version:
		fail.Err = errOtherID
		return nil, fail, nil
	}
	raw := append([]byte{}, trimBOM(resp.Body())...)
	w.emit(PageFetched{event: w.event(), Op: "read", Type: t.Type, Page: 1, Entries: 1, New: 1, Bytes: len(raw), Took: time.Since(start)})
	var found []refs.Found
	for x, err := range refs.All(raw, refs.FromReference) {
		if err != nil {
			fail.Err = err
			return nil, fail, nil
		}
		found = append(found, x)
	}
	if w.people.judge(t.Type, t.ID, found, asCompanion) != ours {
		w.ledger.gap(Gap{Type: t.Type, Ref: t.Literal(), Reason: Shared, Detail: "belongs to another patient; not stored"})
		return nil, nil, nil
	}
	updated, err := time.Parse(time.RFC3339Nano, head.LastUpdated)
	if err != nil {
		updated = time.Time{}
	}
	return &Resource{
		Key: Key{Server: w.server.name, Type: t.Type, ID: t.ID}, VersionID: t.Version, LastUpdated: updated, Raw: raw, Digest: sha256.Sum256(raw),
		Origin: Origin{Strategy: w.strategy.Name(), Op: "read", Received: time.Now()},
	}, nil, nil
}
