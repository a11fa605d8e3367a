// Package memstore keeps resources in memory: for tests, for programs that look at a record and forget it, and as the example of a
// store with all optional powers.
//
//	store := new(memstore.Store)
//	report, err := client.Sync(ctx, server, patientID, store, nil)
//	for r := range store.Patient(report.Server, report.PatientID) {
//		fmt.Println(r.Type, r.ID, len(r.Raw))
//	}
//
// It holds everything that was put, the bytes of each resource among it, for as long as it is reachable. Nothing is ever deleted.
package memstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Store is a fhirsync.Store in memory, with all optional powers but those of History and Archive. The zero value is empty and ready. Safe for concurrent use; must not be
// copied after first use.
type Store struct {
	mu         sync.RWMutex
	resources  map[fhirsync.Key]fhirsync.Resource
	patients   map[patient]*record
	runs       map[string]map[patient]struct{} // whose resources each run has put
	states     map[string]state
	revisions  uint64 // given out so far
	quarantine []fhirsync.Quarantined
}

type patient struct{ server, id string }

// record is what belongs to a patient.
type record struct {
	keys map[fhirsync.Key]string // to the Batch.Run that put it last
	runs []string                // that have put something for the patient, the latest last
}

// maxRuns is how many runs of a patient are told apart.
const maxRuns = 16

type state struct {
	bytes []byte
	rev   string
}

var (
	_ fhirsync.Store           = (*Store)(nil)
	_ fhirsync.StateStore      = (*Store)(nil)
	_ fhirsync.DigestStore     = (*Store)(nil)
	_ fhirsync.SeenStore       = (*Store)(nil)
	_ fhirsync.QuarantineStore = (*Store)(nil)
)

// Put keeps the resources of a batch, all of them or, if ctx has ended, none. Their bytes are kept, not copied.
func (s *Store) Put(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fhirsync.TellHeld(ctx, s.put(batch))
	return nil
}

// put keeps the resources and gives the keys of those that were there exactly so.
func (s *Store) put(batch fhirsync.Batch) (held []fhirsync.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resources == nil {
		s.resources = map[fhirsync.Key]fhirsync.Resource{}
		s.patients = map[patient]*record{}
		s.runs = map[string]map[patient]struct{}{}
	}
	whose := patient{batch.Server, batch.PatientID}
	rec := s.patients[whose]
	if rec == nil {
		rec = &record{keys: map[fhirsync.Key]string{}}
		s.patients[whose] = rec
	}
	s.begin(batch.Run, whose, rec)
	for _, r := range batch.Resources {
		if old, there := s.resources[r.Key]; there && old.Digest == r.Digest && bytes.Equal(old.Raw, r.Raw) {
			held = append(held, r.Key)
		}
		s.resources[r.Key] = r
		rec.keys[r.Key] = batch.Run
	}
	return held
}

// begin notes that a run puts something for a patient.
func (s *Store) begin(run string, whose patient, rec *record) {
	if _, known := s.runs[run][whose]; known {
		return
	}
	if s.runs[run] == nil {
		s.runs[run] = map[patient]struct{}{}
	}
	s.runs[run][whose] = struct{}{}
	rec.runs = append(rec.runs, run)
	if len(rec.runs) <= maxRuns {
		return
	}
	oldest := rec.runs[0]
	rec.runs = rec.runs[1:]
	if delete(s.runs[oldest], whose); len(s.runs[oldest]) == 0 {
		delete(s.runs, oldest)
	}
}

// Seen tells which resources this run has put, as long as no other run of the same patient has put them since.
func (s *Store) Seen(ctx context.Context, run string, keys []fhirsync.Key) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]bool, len(keys))
	for whose := range s.runs[run] {
		rec := s.patients[whose]
		for i, k := range keys {
			last, is := rec.keys[k]
			out[i] = out[i] || is && last == run
		}
	}
	return out, nil
}

// History is a Store that is a fhirsync.HistoryStore as well: it keeps the old versions that references name. The zero value is empty and ready.
type History struct {
	Store
	vmu      sync.RWMutex
	versions map[versionKey]fhirsync.Resource
}

type versionKey struct {
	fhirsync.Key
	version string
}

var _ fhirsync.HistoryStore = (*History)(nil)

// PutVersions keeps versions beside what Put keeps, all of them or, if ctx has ended, none. Their bytes are kept, not copied.
func (h *History) PutVersions(ctx context.Context, batch fhirsync.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.vmu.Lock()
	defer h.vmu.Unlock()
	if h.versions == nil {
		h.versions = map[versionKey]fhirsync.Resource{}
	}
	for _, r := range batch.Resources {
		h.versions[versionKey{r.Key, r.VersionID}] = r
	}
	return nil
}

// Version gives an old version of a resource, and whether it is there.
func (h *History) Version(key fhirsync.Key, version string) (fhirsync.Resource, bool) {
	h.vmu.RLock()
	defer h.vmu.RUnlock()
	r, ok := h.versions[versionKey{key, version}]
	return r, ok
}

// Archive is a History that is a fhirsync.ContentStore as well: it keeps what attachments name as the bytes that it is. The zero value is empty and ready.
type Archive struct {
	History
	cmu      sync.RWMutex
	contents map[fhirsync.Key]fhirsync.Content
}

var _ fhirsync.ContentStore = (*Archive)(nil)

// PutContent keeps a content, all of it in memory.
func (a *Archive) PutContent(ctx context.Context, c fhirsync.Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := c.Bytes()
	if err != nil {
		return err
	}
	c.Body = io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
	a.cmu.Lock()
	defer a.cmu.Unlock()
	if a.contents == nil {
		a.contents = map[fhirsync.Key]fhirsync.Content{}
	}
	a.contents[c.Key] = c
	return nil
}

// Content gives a content, with a Body of its own, and whether it is there.
func (a *Archive) Content(key fhirsync.Key) (fhirsync.Content, bool) {
	a.cmu.RLock()
	defer a.cmu.RUnlock()
	c, ok := a.contents[key]
	if ok {
		c.Body = io.NewSectionReader(c.Body, 0, c.Body.Size())
	}
	return c, ok
}

// Get gives one resource, and whether it is there.
func (s *Store) Get(key fhirsync.Key) (fhirsync.Resource, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.resources[key]
	return r, ok
}

// Len is the number of resources.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.resources)
}

// All yields all resources in Key order, as they were when the loop began.
func (s *Store) All() iter.Seq[fhirsync.Resource] {
	return func(yield func(fhirsync.Resource) bool) {
		s.mu.RLock()
		all := slices.Collect(maps.Values(s.resources))
		s.mu.RUnlock()
		each(all, yield)
	}
}

// Patient yields the resources of one patient's record in Key order, shared ones such as Practitioners included.
func (s *Store) Patient(server, id string) iter.Seq[fhirsync.Resource] {
	return func(yield func(fhirsync.Resource) bool) {
		s.mu.RLock()
		var all []fhirsync.Resource
		if rec := s.patients[patient{server, id}]; rec != nil {
			for key := range rec.keys {
				all = append(all, s.resources[key])
			}
		}
		s.mu.RUnlock()
		each(all, yield)
	}
}

func each(all []fhirsync.Resource, yield func(fhirsync.Resource) bool) {
	slices.SortFunc(all, func(a, b fhirsync.Resource) int {
		if c := strings.Compare(a.Server, b.Server); c != 0 {
			return c
		}
		if c := strings.Compare(a.Type, b.Type); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, r := range all {
		if !yield(r) {
			return
		}
	}
}

// Holds tells which resources were put last with these digests.
func (s *Store) Holds(ctx context.Context, keys []fhirsync.Key, digests [][32]byte) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(keys) != len(digests) {
		return nil, fmt.Errorf("memstore: %d keys and %d digests", len(keys), len(digests))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]bool, len(keys))
	for i, k := range keys {
		r, ok := s.resources[k]
		out[i] = ok && r.Digest == digests[i]
	}
	return out, nil
}

// LoadState gives a state and its revision; nil and "" where there is none.
func (s *Store) LoadState(ctx context.Context, key string) ([]byte, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st, ok := s.states[key]
	if !ok {
		return nil, "", nil
	}
	return bytes.Clone(st.bytes), st.rev, nil
}

// SaveState replaces a state if rev is its revision, "" for one that is not there; nil deletes it. Otherwise it gives
// fhirsync.ErrStateConflict. The bytes are copied.
func (s *Store) SaveState(ctx context.Context, key string, data []byte, rev string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.states[key].rev != rev {
		return "", fhirsync.ErrStateConflict
	}
	if data == nil {
		delete(s.states, key)
		return "", nil
	}
	if s.states == nil {
		s.states = map[string]state{}
	}
	// One count for all keys: a revision is not used again after a deletion, or who still has it would overwrite what he never saw.
	s.revisions++
	next := state{bytes: bytes.Clone(data), rev: strconv.FormatUint(s.revisions, 10)}
	s.states[key] = next
	return next.rev, nil
}

// Quarantine keeps bytes that could not be stored as resources. They are kept, not copied, and each time they come.
func (s *Store) Quarantine(ctx context.Context, items []fhirsync.Quarantined) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantine = append(s.quarantine, items...)
	return nil
}

// Quarantined gives what is in quarantine, in the order in which it came.
func (s *Store) Quarantined() []fhirsync.Quarantined {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.quarantine)
}
