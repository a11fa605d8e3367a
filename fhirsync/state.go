package fhirsync

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fhirsync/fhirsync-go/refs"
)

// Bounds of a saved state.
const (
	stateVersion = 2
	stateBytes   = 1 << 20         // a larger one is not saved
	stateAge     = 24 * time.Hour  // an older one is not gone on from
	stateEvery   = 2 * time.Second // how often one is saved
	stateSlack   = 64 * 1024       // left for what is not keys
	keyBytes     = len(ident{}) * 4 / 3
	maxGone      = 2000 // targets that are remembered not to be there
)

// savedState is what an unfinished sync needs to go on: which types were answered to the end and what of them is in the store, and which
// references are still to be followed. All it speaks for has been put before it is saved.
type savedState struct {
	Version int       `json:"version"`
	Run     string    `json:"run"`
	Started time.Time `json:"started"`
	// InStore: the keys of what has come are not here, the store knows them.
	InStore bool `json:"inStore,omitempty"`
	// Finished: nothing is to be gone on from; Counts are what each type brought.
	Finished bool           `json:"finished,omitempty"`
	Counts   map[string]int `json:"counts,omitempty"`
	// Types are those that were answered, and those that came by reference.
	Types map[string]savedType `json:"types"`
	Want  []savedTarget        `json:"want,omitempty"`
	Away  []savedAway          `json:"away,omitempty"`
	// Look are resources that name addresses elsewhere which are not kept here.
	Look []string `json:"look,omitempty"`
	// Gone are targets that were not there, in a finished sync too.
	Gone    []savedGone    `json:"gone,omitempty"`
	Again   []string       `json:"again,omitempty"`
	Late    []string       `json:"late,omitempty"`
	Skipped []refs.Skipped `json:"skipped,omitempty"`
	Gaps    []Gap          `json:"gaps,omitempty"`
	// Repairs are those of pages.
	Repairs map[RepairKind]int `json:"repairs,omitempty"`
}

type savedType struct {
	Report  TypeReport         `json:"report"`
	Repairs map[RepairKind]int `json:"repairs,omitempty"`
	Keys    []byte             `json:"keys,omitempty"`
	Answer  *savedAnswer       `json:"answer,omitempty"` // nil: the type was not asked for
	Closure int                `json:"closure,omitempty"`
	Checked bool               `json:"checked,omitempty"` // against the server's count
}

type savedAnswer struct {
	Param    string `json:"param,omitempty"`
	Typed    bool   `json:"typed,omitempty"`
	Path     bool   `json:"path,omitempty"`
	Post     bool   `json:"post,omitempty"`
	Matches  int    `json:"matches"`
	Total    int    `json:"total"`
	HadTotal bool   `json:"hadTotal,omitempty"`
	Totals   bool   `json:"totals,omitempty"`
	Pages    int    `json:"pages"`
	Asked    int    `json:"asked"`
	Early    bool   `json:"early,omitempty"`
	Partial  bool   `json:"partial,omitempty"`
	Withheld bool   `json:"withheld,omitempty"`
	Why      string `json:"why,omitempty"`
}

type savedTarget struct {
	Type    string `json:"type,omitempty"`
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	Current string `json:"current,omitempty"` // the version that has come, where another one is named
	Query   string `json:"query,omitempty"`
	URL     string `json:"url,omitempty"`
	Path    string `json:"path"`
	Count   int    `json:"count"`
	Hops    int    `json:"hops,omitempty"`
	// Of an attachment.
	ContentType string `json:"contentType,omitempty"`
	Hash        string `json:"hash,omitempty"`
	Size        *int64 `json:"size,omitempty"`
}

// savedAway is a reference to where nobody knows yet whether it is this server.
type savedAway struct {
	Text   string      `json:"text"`
	Source refs.Source `json:"source"`
	From   string      `json:"from"` // type of the resource
	Path   string      `json:"path"`
	Count  int         `json:"count"`
	Hops   int         `json:"hops,omitempty"`
}

type savedGone struct {
	Ref  string    `json:"ref"`
	Path string    `json:"path"`
	At   time.Time `json:"at"`
}

// stateKey names the state of a sync: the same server, patient, options and strategy give the same key. It holds no id.
func (r *run) stateKey() string {
	h := sha256.New()
	for _, part := range append([]string{r.server.name, r.server.base.String(), r.patientID, r.strategy.Name(), strings.Join(r.opts.AlsoPatients, "/")}, slices.Concat(r.report.Filter, policyParts(r.opts.References), r.opts.Elsewhere.parts())...) {
		_, _ = h.Write(append([]byte(part), 0)) // a hash does not fail.
	}
	return "fhirsync-sync-" + hex.EncodeToString(h.Sum(nil)[:16])
}

// policyParts names what a policy changes; nothing for the usual one.
func policyParts(p refs.Policy) []string {
	var out []string
	if p.Hops != refs.Closure {
		out = append(out, "hops="+itoa(int(p.Hops)))
	}
	if p.OmitAttachments {
		out = append(out, "attachments=no")
	}
	for _, t := range slices.Sorted(slices.Values(p.OmitTypes)) {
		out = append(out, "omit="+t)
	}
	for _, t := range slices.Sorted(slices.Values(p.Canonicals)) {
		out = append(out, "canonicals="+t)
	}
	return out
}

// resume looks for an unfinished sync to go on from. A state that cannot be used is no error: everything is asked again.
func (r *run) resume(ctx context.Context) error {
	states := r.writer.powers.State
	if states == nil {
		return nil
	}
	r.key = r.stateKey()
	var raw []byte
	err := r.writer.do(ctx, func(ctx context.Context) error {
		return r.writer.try(ctx, func() (err error) {
			raw, r.rev, err = states.LoadState(ctx, r.key)
			return err
		})
	})
	if err != nil {
		if failed := new(StoreError); errors.As(err, &failed) {
			return err
		}
		return &StoreError{err}
	}
	r.saving = len(r.opts.AlsoPatients) == 0
	var s savedState
	if raw == nil || json.Unmarshal(raw, &s) != nil || s.Version != stateVersion {
		return nil //nolint:nilerr // a state that cannot be read is none: everything is asked again.
	}
	r.recallGone(s.Gone)
	if s.Finished {
		r.last = s.Counts
		return nil
	}
	if r.opts.Full || !r.saving || time.Since(s.Started) > stateAge || s.Run == "" || s.InStore && r.writer.powers.Seen == nil {
		return nil
	}
	r.restore(&s)
	return nil
}

// recallGone takes over what was not there lately: it is not asked for again.
func (r *run) recallGone(gone []savedGone) {
	for _, g := range gone {
		if !r.opts.Full && time.Since(g.At) < goneAge {
			r.front.gone[g.Ref] = &missing{path: g.Path, at: g.At}
		}
	}
}

// savedGone gives what was not there. The caller holds mu, or nobody else is at work any longer.
func (r *run) savedGone() []savedGone {
	var out []savedGone
	for ref, m := range r.front.gone {
		if m.named {
			out = append(out, savedGone{Ref: ref, Path: m.path, At: m.at})
		}
	}
	slices.SortFunc(out, func(a, b savedGone) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Ref, b.Ref)) })
	return out[:min(len(out), maxGone)]
}

// restore takes a state over. No other goroutine is at work yet.
func (r *run) restore(s *savedState) {
	r.id, r.report.Run, r.resumedFrom = s.Run, s.Run, s.Started
	r.settled = map[string]bool{}
	// The store has more than the state speaks for: what was put after it was saved. What that refers to is in no state, so that it must come
	// again. Of the types that are settled nothing is to come any longer, and the store is asked; all others are asked again, and kept in
	// memory.
	r.spilled, r.resumedInStore, r.inStore = s.InStore, s.InStore, map[string]bool{}
	for name, t := range s.Types {
		r.inStore[name] = t.Answer != nil
		e := r.ledger.typ(name)
		e.TypeReport, e.repairs = t.Report, t.Repairs
		e.Stored, e.restored = e.Received, e.Received
		e.closure, e.closureSeen, e.checked, e.verified = t.Closure, t.Closure, t.Checked, t.Checked
		for keys := t.Keys; len(keys) >= len(ident{}); keys = keys[len(ident{}):] {
			key := ident(keys[:len(ident{})])
			r.mark(name, key)
			r.seen[key] &^= onItsWay
		}
		if a := t.Answer; a != nil {
			if a.HadTotal && a.Total == a.Matches && a.Pages > 1 && !a.Totals {
				r.server.facts.with(func(f *facts) { f.totals = true })
			}
			e.ended, e.settled = true, true
			r.settled[name] = true
			if a.Matches > 0 {
				r.server.facts.worked(name, form{param: a.Param, typed: a.Typed, path: a.Path, post: a.Post}, false)
			}
			e.whole = &answer{
				question: question{typ: name}, form: form{param: a.Param, typed: a.Typed, path: a.Path, post: a.Post}, matches: a.Matches, total: a.Total, hadTotal: a.HadTotal, totals: a.Totals,
				pages: a.Pages, asked: a.Asked, early: a.Early, partial: a.Partial, withheld: a.Withheld, why: a.Why,
			}
		}
	}
	for _, t := range s.Want {
		r.front.Put(refs.Target{
			Type: t.Type, ID: t.ID, Version: t.Version, Query: t.Query, URL: t.URL, Path: t.Path, Count: t.Count, Hops: refs.Hops(t.Hops),
		})
		if t.Current != "" {
			r.front.versions[identOf(t.Type, t.ID)] = t.Current
		}
		if t.URL != "" {
			a := attachment{URL: t.URL, ContentType: t.ContentType, Hash: t.Hash, Size: -1}
			if t.Size != nil {
				a.Size = *t.Size
			}
			r.front.contents[t.URL] = a
		}
	}
	for _, a := range s.Away {
		r.front.away[a.Text] = &away{typ: a.From, hops: refs.Hops(a.Hops), count: a.Count, found: refs.Found{
			Path: a.Path, Source: a.Source, Text: a.Text, Ref: refs.Parse(a.Text),
		}}
	}
	r.front.look = s.Look
	for _, ref := range s.Again {
		r.rereads[ref] = reread{why: "came broken or in parts", from: source{op: "search", strategy: r.strategy.Name(), unattributed: true}}
	}
	for _, ref := range s.Late {
		r.late[ref] = true
	}
	for _, x := range s.Skipped {
		r.front.Skip(x)
	}
	r.ledger.repairs = s.Repairs
	for _, g := range s.Gone {
		if m := r.front.gone[g.Ref]; m != nil {
			m.named = true // by what is not asked for again.
		}
	}
	for _, g := range s.Gaps {
		r.ledger.gap(g)
		if m := r.front.gone[g.Ref]; m != nil && g.Reason == Dangling {
			m.told = true
		}
	}
}

// wasSettled tells whether the sync that this one goes on from had settled a type.
func (r *run) wasSettled(typ string) bool { return r.settled[typ] }

// checkpoint saves the state, if it is time.
func (r *run) checkpoint() {
	r.mu.Lock()
	due := r.saving && time.Since(r.savedAt) >= stateEvery
	if due {
		r.savedAt = time.Now()
	}
	r.mu.Unlock()
	if !due || r.ctx.Err() != nil || r.verifying.Load() > 0 {
		return
	}
	raw := r.snapshot() // before do: all it speaks for is in the writer's queue already.
	err := r.writer.do(r.ctx, func(ctx context.Context) error { return r.save(ctx, raw) })
	if err != nil && r.ctx.Err() == nil {
		r.cannotSave()
	}
}

// save saves a snapshot; nil deletes. It runs where the store may be called.
func (r *run) save(ctx context.Context, raw []byte) error {
	states := r.writer.powers.State
	if raw == nil && r.rev == "" {
		return nil
	}
	return r.writer.try(ctx, func() error {
		rev, err := states.SaveState(ctx, r.key, raw, r.rev)
		if err == nil {
			r.rev = rev
		}
		return err
	})
}

// cannotSave goes on without saving: the data are what counts.
func (r *run) cannotSave() {
	r.mu.Lock()
	r.saving = false
	r.mu.Unlock()
	r.ledger.note("", "the state could not be saved: this sync cannot be resumed")
}

// saveLast saves the state of a sync that was interrupted, and of one that reached its end what each type brought: fewer the next time is a
// reason to look closer. It tells whether the sync can be
// gone on from. The writer has ended.
func (r *run) saveLast(ctx context.Context, interrupted bool) bool {
	r.mu.Lock()
	saving := r.saving
	r.mu.Unlock()
	if !saving || r.storeErr() != nil {
		return false
	}
	var raw []byte
	if interrupted {
		raw = r.snapshot()
	} else {
		raw = r.counts()
	}
	if raw == nil {
		return false
	}
	if err := r.save(ctx, raw); err != nil {
		if !interrupted && !errors.Is(err, ErrStateConflict) {
			r.client.cfg.Logger.WarnContext(ctx, "fhirsync: the state of a finished sync could not be deleted")
		}
		return false
	}
	return interrupted
}

// counts writes down what a finished sync brought.
func (r *run) counts() []byte {
	s := savedState{Version: stateVersion, Finished: true, Started: r.report.Started, Counts: map[string]int{}, Gone: r.savedGone()}
	for name, t := range r.report.Types {
		if t.Received > 0 {
			s.Counts[name] = t.Received
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return raw
}

// snapshot writes the state down; nil if it is too large.
func (r *run) snapshot() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.spilled && len(r.seen)*keyBytes > stateBytes-stateSlack {
		return nil
	}
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	s := savedState{
		Version: stateVersion, Run: r.id, Started: r.report.Started, InStore: r.spilled, Types: map[string]savedType{}, Skipped: r.front.Skipped(),
		Gone: r.savedGone(), Repairs: r.ledger.repairs,
	}
	if !r.resumedFrom.IsZero() {
		s.Started = r.resumedFrom
	}
	// A type about which there is doubt is asked again.
	doubtful := map[string]bool{}
	for _, g := range r.ledger.gaps {
		switch {
		case g.Reason == Shared || g.Reason == Linked || g.Reason == Dangling:
			s.Gaps = append(s.Gaps, *g)
		case g.Ref != "" && g.Reason.Verdict() != Complete && !r.front.isOpen(g.Ref):
			s.Gaps = append(s.Gaps, *g) // what it is about came, and was refused or could not be read: it is not asked for again.
		case g.Ref == "" && g.Reason.Verdict() != Complete:
			doubtful[g.Type] = true
		}
	}
	for ref := range r.asides {
		typ, _ := cutRef(ref)
		doubtful[typ] = true
	}
	// And one of which something is not with the writer yet, or never got there: an answer may have ended without it, because it had come.
	for typ := range r.undone {
		doubtful[typ] = true
	}
	for _, mark := range r.seen {
		if mark&onItsWay != 0 {
			doubtful[r.names[mark&^seenMarks]] = true
		}
	}
	owed := map[string]bool{"Patient": true}
	for name, e := range r.ledger.types {
		owed[name] = owed[name] || e.owed
		switch a := e.whole; {
		case e.owed && e.settled && a != nil && a.lost == nil && !a.parted && !doubtful[name] && r.answeredAll[name]:
			s.Types[name] = savedType{Report: e.TypeReport, Repairs: e.repairs, Closure: e.closure, Checked: e.verified && e.closure == e.closureSeen, Answer: &savedAnswer{
				Param: a.form.param, Typed: a.form.typed, Path: a.form.path, Post: a.form.post, Matches: a.matches, Total: a.total, HadTotal: a.hadTotal, Totals: a.totals, Pages: a.pages,
				Asked: a.asked, Early: a.early, Partial: a.partial, Withheld: a.withheld, Why: a.why,
			}}
		case !e.owed && e.Received > 0:
			s.Types[name] = savedType{Report: e.TypeReport, Repairs: e.repairs}
		}
	}
	keys := map[uint16][]byte{}
	coming := map[uint16]int{}
	for key, mark := range r.seen {
		switch typ := mark &^ seenMarks; {
		case mark&onItsWay != 0:
			coming[typ]++
		case !r.spilled:
			keys[typ] = append(keys[typ], key[:]...)
		}
	}
	for name, t := range s.Types {
		t.Keys = keys[r.nameIDs[name]]
		t.Report.Received -= coming[r.nameIDs[name]]
		s.Types[name] = t
	}
	for _, t := range slices.Concat(r.front.Wanted(), slices.Collect(maps.Values(r.front.open))) {
		x := savedTarget{Type: t.Type, ID: t.ID, Version: t.Version, Query: t.Query, URL: t.URL, Path: t.Path, Count: t.Count, Hops: int(t.Hops)}
		if t.Version != "" {
			x.Current = r.front.versions[identOf(t.Type, t.ID)]
		}
		if a, is := r.front.contents[t.URL]; is && t.URL != "" {
			x.ContentType, x.Hash = a.ContentType, a.Hash
			if a.Size >= 0 {
				x.Size = &a.Size
			}
		}
		s.Want = append(s.Want, x)
	}
	slices.SortFunc(s.Want, func(a, b savedTarget) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Query, b.Query), cmp.Compare(a.URL, b.URL))
	})
	r.front.saveAway(&s)
	s.Again = slices.Sorted(maps.Keys(r.rereads))
	s.Late = slices.Sorted(maps.Keys(r.late))
	var buf bytes.Buffer
	if json.NewEncoder(&buf).Encode(s) != nil || buf.Len() > stateBytes {
		return nil
	}
	return buf.Bytes()
}
