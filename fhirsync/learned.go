package fhirsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// factAge is how long something that was learned is believed without being confirmed.
const factAge = 30 * 24 * time.Hour

// LearnedFact is one thing that was learned about a server, by its base URL and by whether there were credentials. Facts make later syncs
// cheaper; they never remove a check. One that turns out to be wrong is forgotten, and so is one that was not confirmed for 30 days.
type LearnedFact struct {
	// Name says what it is about, "form Observation"; Value what was found, "patient=Patient/id". Neither holds an id of a person.
	Name  string `json:"name"`
	Value string `json:"value"`
	// At is when it was learned or last confirmed, Confirmed how often.
	At        time.Time `json:"at"`
	Confirmed int       `json:"confirmed"`
}

// stamp is when a fact was learned or confirmed.
type stamp struct {
	value string
	at    time.Time
	n     int
}

// Learned gives what the Client has learned about a server, in order of name. The error is that of a Server that is none.
func (c *Client) Learned(srv Server) ([]LearnedFact, error) {
	s, err := c.server(srv)
	if err != nil {
		return nil, err
	}
	return s.facts.list(), nil
}

// values gives the facts by name, as text. The caller holds the lock.
func (f *facts) values() map[string]string {
	out := map[string]string{}
	set := func(name string, value string, has bool) {
		if has {
			out[name] = value
		}
	}
	for typed := range f.styles {
		set("style "+styleName(typed), "works", true)
	}
	for typ, x := range f.forms {
		set("form "+typ, x.name(), true)
	}
	for k := range f.brought {
		set("brought "+k, "yes", true)
	}
	for k := range f.inside {
		set("inside "+k, "yes", true)
	}
	for typ := range f.countless {
		set("countless "+typ, "yes", true)
	}
	for typ := range f.lists {
		set("lists "+typ, "work", true)
	}
	for typ := range f.absent {
		set("absent "+typ, "yes", true)
	}
	for typ, patients := range f.refusals {
		ids := make([]string, 0, len(patients))
		for id := range patients {
			ids = append(ids, hex.EncodeToString(id[:4])) // enough to tell patients apart, and too little to find one.
		}
		slices.Sort(ids)
		set("refused "+typ, strings.Join(ids, ","), true)
	}
	set("echo", strconv.Itoa(int(f.echo)), f.echo != echoUnknown)
	set("rejects-unknown", "yes", f.rejectsUnknown)
	set("nothing", strconv.Itoa(f.nothing), f.nothing != 0)
	set("made-up", strconv.Itoa(f.madeUp), f.madeUp != 0)
	set("next", "shown", f.shownNext)
	set("raw-contents", "yes", f.rawContents)
	set("versions", "none", f.noVersions)
	set("totals", "right", f.totals)
	set("counts", strconv.Itoa(int(f.counts)), f.counts != countUnknown)
	set("batch", strconv.Itoa(int(f.batch)), f.batch != batchUnknown)
	set("commas", "no", f.commas < 0)
	set("page-size", strconv.Itoa(f.pageSize), f.pageSize > 0)
	for name, m := range map[string]map[string]int{
		"longest": f.longest, "operation": f.operations, "doubled": f.doubled, "list-most": f.listMost,
	} {
		for k, n := range m {
			set(name+" "+k, strconv.Itoa(n), n != 0)
		}
	}
	for name, n := range map[string]int{"agreed": f.agreed, "largest": f.largest, "dirty": f.dirty} {
		set(name, strconv.Itoa(n), n != 0)
	}
	for typ, param := range f.splits {
		set("split "+typ, param, true)
	}
	return out
}

func styleName(typed bool) string {
	if typed {
		return "Patient/id"
	}
	return "id"
}

// list gives the facts with their dates.
func (f *facts) list() []LearnedFact {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stampAll()
	var out []LearnedFact
	for name, s := range f.when {
		out = append(out, LearnedFact{Name: name, Value: s.value, At: s.at, Confirmed: s.n})
	}
	slices.SortFunc(out, func(a, b LearnedFact) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// stampAll dates what is new or has changed. The caller holds the lock.
func (f *facts) stampAll() {
	now := time.Now()
	values := f.values()
	for name, v := range values {
		if s, ok := f.when[name]; !ok || s.value != v {
			f.when[name] = stamp{value: v, at: now, n: 1}
		}
	}
	for name := range f.when {
		if _, ok := values[name]; !ok {
			delete(f.when, name)
		}
	}
}

// confirm dates a fact anew. The caller holds the lock.
func (f *facts) confirm(names ...string) {
	values := f.values()
	for _, name := range names {
		if v, ok := values[name]; ok {
			s := f.when[name]
			f.when[name] = stamp{value: v, at: time.Now(), n: s.n + 1}
		}
	}
}

// load takes facts over, but for those that are too old or cannot be understood. What is known already stays.
func (f *facts) load(list []LearnedFact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stampAll()
	for _, x := range list {
		if _, known := f.when[x.Name]; known || time.Since(x.At) > factAge {
			continue
		}
		if f.set(x.Name, x.Value) {
			f.when[x.Name] = stamp{value: x.Value, at: x.At, n: x.Confirmed}
		}
	}
}

// set puts one fact in its place; false: it is none.
func (f *facts) set(name, value string) bool {
	kind, about, _ := strings.Cut(name, " ")
	n, err := strconv.Atoi(value)
	number := err == nil && n >= 0
	switch kind {
	case "style":
		f.styles[about == styleName(true)] = true
	case "form":
		x, ok := parseForm(value)
		if !ok {
			return false
		}
		f.forms[about] = x
	case "brought":
		f.brought[about] = true
	case "inside":
		f.inside[about] = true
	case "lists":
		f.lists[about] = true
	case "countless":
		f.countless[about] = true
	case "absent":
		f.absent[about] = true
	case "refused":
		f.refusals[about] = map[ident]bool{}
		for h := range strings.SplitSeq(value, ",") {
			var id ident
			if b, err := hex.DecodeString(h); err == nil && len(b) == 4 {
				copy(id[:], b)
				f.refusals[about][id] = true
			}
		}
	case "split":
		f.splits[about] = value
	case "rejects-unknown":
		f.rejectsUnknown = true
	case "versions":
		f.noVersions = true
	case "raw-contents":
		f.rawContents = true
	case "next":
		f.shownNext = true
	case "totals":
		f.totals = true
	case "commas":
		f.commas = -1
	default:
		return number && f.setNumber(kind, about, n)
	}
	return true
}

func (f *facts) setNumber(kind, about string, n int) bool {
	switch kind {
	case "echo":
		f.echo = echo(n)
	case "nothing":
		f.nothing = n
	case "made-up":
		f.madeUp = n
	case "batch":
		f.batch = batching(n)
	case "counts":
		f.counts = counting(n)
	case "page-size":
		f.pageSize = min(n, len(pageSizes)-1)
	case "longest":
		f.longest[about] = n
	case "operation":
		f.operations[about] = n
	case "list-most":
		f.listMost[about] = n
	case "doubled":
		f.doubled[about] = n
	case "agreed":
		f.agreed = n
	case "largest":
		f.largest = n
	case "dirty":
		f.dirty = n
	default:
		return false
	}
	return true
}

// forget un-learns what turned out to be wrong about a form.
func (f *facts) forget(typ string, x form) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.forms[typ] == x {
		delete(f.forms, typ)
	}
	delete(f.brought, typ+" "+x.name())
}

// expire forgets what was not confirmed for too long, once a day.
func (f *facts) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.expiredAt) < 24*time.Hour {
		return
	}
	f.expiredAt = time.Now()
	f.stampAll()
	old := false
	for _, s := range f.when {
		old = old || time.Since(s.at) > factAge
	}
	if !old {
		return
	}
	fresh := newFacts()
	fresh.caps, fresh.capsAt, fresh.expiredAt, fresh.loaded, fresh.rev = f.caps, f.capsAt, f.expiredAt, f.loaded, f.rev
	for name, s := range f.when {
		if time.Since(s.at) <= factAge && fresh.set(name, s.value) {
			fresh.when[name] = s
		}
	}
	f.learned = fresh.learned
}

// learnedKey names what was learned about a server.
func learnedKey(server string) string {
	sum := sha256.Sum256([]byte(server))
	return "fhirsync-learned-" + hex.EncodeToString(sum[:16])
}

// loadLearned reads what earlier processes have learned about the server, once. That it cannot be read is no error: it is learned again.
func (r *run) loadLearned(ctx context.Context) {
	f := r.server.facts
	f.expire()
	states := r.client.cfg.Learned
	f.mu.Lock()
	due := states != nil && !f.loaded
	f.loaded = true
	f.mu.Unlock()
	if !due {
		return
	}
	raw, rev, err := states.LoadState(ctx, learnedKey(f.key))
	var list []LearnedFact
	if err != nil || raw != nil && json.Unmarshal(raw, &list) != nil {
		r.client.cfg.Logger.WarnContext(ctx, "fhirsync: what was learned about a server could not be read")
		return
	}
	f.mu.Lock()
	f.rev = rev
	f.mu.Unlock()
	f.load(list)
}

// saveLearned saves what was learned. If another process has saved in between, its facts are taken in first.
func (r *run) saveLearned(ctx context.Context) {
	states := r.client.cfg.Learned
	if states == nil {
		return
	}
	f := r.server.facts
	f.saving.Lock()
	defer f.saving.Unlock()
	for range 3 {
		raw, err := json.Marshal(f.list())
		if err != nil {
			return
		}
		f.mu.Lock()
		rev := f.rev
		f.mu.Unlock()
		rev, err = states.SaveState(ctx, learnedKey(f.key), raw, rev)
		if err == nil {
			f.mu.Lock()
			f.rev = rev
			f.mu.Unlock()
			return
		}
		if !errors.Is(err, ErrStateConflict) {
			break
		}
		theirs, rev, err := states.LoadState(ctx, learnedKey(f.key))
		var list []LearnedFact
		if err != nil || json.Unmarshal(theirs, &list) != nil {
			break
		}
		f.load(list)
		f.mu.Lock()
		f.rev = rev
		f.mu.Unlock()
	}
	r.client.cfg.Logger.WarnContext(ctx, "fhirsync: what was learned about a server could not be saved")
}
