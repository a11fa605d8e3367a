package fhirsync

import (
	"context"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/refs"
)

// saveAway writes down what leads elsewhere. The query of an address is a secret as a rule, and good for minutes: in its place the resource is kept
// that names it. The caller holds run.mu.
func (f *frontier) saveAway(s *savedState) {
	look := map[string]bool{}
	for _, ref := range f.look {
		look[ref] = true
	}
	for text, a := range f.away {
		if a.found.Source == refs.FromAttachment {
			// What the attachment says of the content is of use only where it will be fetched.
			before, _, query := strings.Cut(text, "?")
			if a.from != "" && (query || f.elsewhere != nil) {
				look[a.from] = true
				continue
			}
			text = before
		}
		s.Away = append(s.Away, savedAway{Text: text, Source: a.found.Source, From: a.typ, Path: a.found.Path, Count: a.count, Hops: int(a.hops)})
	}
	slices.SortFunc(s.Away, func(a, b savedAway) int { return strings.Compare(a.Text, b.Text) })
	for ref := range look {
		s.Look = append(s.Look, ref)
	}
	slices.Sort(s.Look)
}

// lookAgain reads those resources again that name addresses which an interrupted sync did not keep. The error means that the run is over.
func (r *run) lookAgain(ctx context.Context) error {
	r.mu.Lock()
	again := r.front.look
	r.mu.Unlock()
	err := each(ctx, workers, again, func(ctx context.Context, ref string) error {
		r.look(ctx, ref)
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.front.look = nil
	r.mu.Unlock()
	return nil
}

// look notes the addresses of contents elsewhere that a resource names, which has come before.
func (r *run) look(ctx context.Context, ref string) {
	typ, id := cutRef(ref)
	var head jsonscan.Header
	resp, err := r.send(ctx, "read", typ, forReferences, &transport.Request{URL: r.server.address(nil, typ, id), Check: checkResource(&head)})
	defer resp.Release()
	if r.ctx.Err() != nil {
		return // whoever goes on does it.
	}
	raw := trimBOM(resp.Body())
	var found []refs.Found
	whole := false
	if serverError("read", typ, "", resp, err) == nil && head.ResourceType == typ && head.ID == id {
		found, _, whole = appendRefs(nil, raw, r.follow)
	}
	mine := whole && r.people.judge(typ, id, found, asCompanion) == ours
	r.mu.Lock()
	defer r.mu.Unlock()
	if !mine {
		r.front.Skip(refs.Skipped{Reason: "contents on other servers; the resource that names them could not be read again", Count: 1})
		return
	}
	found = slices.DeleteFunc(found, func(x refs.Found) bool { return x.Source != refs.FromAttachment || r.front.Content(x.Text) })
	r.front.note(typ, id, nil, r.front.noteContents(raw, found))
}
