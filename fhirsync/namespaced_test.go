package fhirsync_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
	"github.com/fhirsync/fhirsync-go/refs"
)

func namespacedSpace(tb testing.TB, o idspace.Options) *idspace.Space {
	tb.Helper()
	s, err := idspace.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func namespacedClient(tb testing.TB, srv *fhirtest.Server) *fhirsync.Client {
	tb.Helper()
	c, err := fhirsync.New(fhirsync.Config{HTTPClient: srv.Client(), Limit: ratelimit.Policy{Rate: -1, Concurrency: 4}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func namespacedResource(server, typ, id, members string) fhirsync.Resource {
	raw := fmt.Sprintf(`{"resourceType":%q,"id":%q%s}`, typ, id, members)
	return fhirsync.Resource{
		Key: fhirsync.Key{Server: server, Type: typ, ID: id}, Raw: []byte(raw), Digest: sha256.Sum256([]byte(raw)), VersionID: "7",
	}
}

// Two servers that have the same patient with the same ids, pulled into one store: nothing is lost, and all that refers to something finds it
// on its own side.
func TestNamespacedSync(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	spaces := map[string]*idspace.Space{}
	servers := map[string]*fhirtest.Server{}
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 120})
	for _, name := range []string{"payer-a", "payer-b"} {
		servers[name] = fhirtest.NewServer(rec)
		spaces[name] = namespacedSpace(t, idspace.Options{Name: name, Bases: []string{servers[name].BaseURL()}})
	}
	both := fhirsync.Namespaced(store, spaces["payer-a"], spaces["payer-b"])
	reports := map[string]*fhirsync.Report{}
	for name, srv := range servers {
		rep, err := namespacedClient(t, srv).Sync(t.Context(), fhirsync.Server{Name: name, BaseURL: srv.BaseURL()}, rec.PatientID, both, nil)
		if err != nil {
			t.Fatal(err, rep)
		}
		reports[name] = rep
		if rep.PatientID != rec.PatientID {
			t.Errorf("the report speaks of patient %s", rep.PatientID)
		}
	}
	for name, srv := range servers {
		space := spaces[name]
		want := srv.Want(rec.PatientID)
		for r := range store.Patient(name, space.ID("Patient", rec.PatientID)) {
			source := r.Origin.Key
			raw, ok := want[source.Type+"/"+source.ID]
			delete(want, source.Type+"/"+source.ID)
			if !ok || source.Server != name || r.Server != name || r.ID != space.ID(source.Type, source.ID) || r.Digest != sha256.Sum256(raw) {
				t.Errorf("%v is %v of %v", r.Key, ok, source)
			}
			if p, ok := space.Original(r.Raw); !ok || p.ID != source.ID {
				t.Errorf("%v says that it is %v", r.Key, p)
			}
			for f, err := range refs.All(r.Raw, refs.FromReference) {
				if err != nil {
					t.Fatal(err)
				}
				if f.Ref.Kind != refs.Relative {
					continue
				}
				if _, ok := store.Get(fhirsync.Key{Server: name, Type: f.Ref.Type, ID: f.Ref.ID}); !ok {
					t.Errorf("%v refers to %s, which is not there", source, f.Text)
				}
			}
		}
		if len(want) > 0 {
			t.Errorf("%s: %d resources are missing: %v\n%s", name, len(want), slices.Collect(maps.Keys(want)), reports[name])
		}
		if store.Len() != len(srv.Want(rec.PatientID))*2 {
			t.Errorf("%d resources, want twice %d", store.Len(), len(srv.Want(rec.PatientID)))
		}
	}
	// A second time the store holds all of it.
	srv := servers["payer-a"]
	rep, err := namespacedClient(t, srv).Sync(t.Context(), fhirsync.Server{Name: "payer-a", BaseURL: srv.BaseURL()}, rec.PatientID, both, nil)
	if err != nil {
		t.Fatal(err)
	}
	for typ, r := range rep.Types {
		if r.Unchanged != r.Stored || r.Stored != reports["payer-a"].Types[typ].Stored {
			t.Errorf("%s: %d stored and %d unchanged", typ, r.Stored, r.Unchanged)
		}
	}
}

func TestNamespacedPut(t *testing.T) {
	t.Parallel()
	var got fhirsync.Batch
	next := fhirsync.StoreFunc(func(_ context.Context, b fhirsync.Batch) error { got = b; return nil })
	space := namespacedSpace(t, idspace.Options{Name: "a"})
	store := fhirsync.Namespaced(next, space)
	batch := fhirsync.Batch{Run: "r", Server: "a", PatientID: "1"}
	for i := range 50 {
		batch.Resources = append(batch.Resources, namespacedResource("a", "Observation", strconv.Itoa(i), `,"subject":{"reference":"Patient/1"}`))
	}
	batch.Resources = append(batch.Resources, namespacedResource("a", "Patient", "1", ""))
	before := make([]string, 0, len(batch.Resources))
	for _, r := range batch.Resources {
		before = append(before, fmt.Sprint(r.Key, string(r.Raw)))
	}
	if err := store.Put(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for i, r := range batch.Resources {
		if fmt.Sprint(r.Key, string(r.Raw)) != before[i] {
			t.Error("the delivered batch was written to")
		}
	}
	if got.Run != "r" || got.Server != "a" || got.PatientID != space.ID("Patient", "1") || len(got.Resources) != len(batch.Resources) {
		t.Errorf("got %s, %s, %s, %d", got.Run, got.Server, got.PatientID, len(got.Resources))
	}
	if !slices.IsSortedFunc(got.Resources, func(a, b fhirsync.Resource) int {
		return strings.Compare(a.Type+" "+a.ID, b.Type+" "+b.ID)
	}) {
		t.Error("the rewritten batch is not in Key order")
	}
	for _, r := range got.Resources {
		if r.ID != space.ID(r.Type, r.Origin.Key.ID) || r.VersionID != "7" || r.Type == "Observation" && !bytes.Contains(r.Raw, []byte(`"Patient/`+got.PatientID+`"`)) {
			t.Errorf("%v: %s", r.Key, r.Raw)
		}
	}
	batch = fhirsync.Batch{Server: "a", Resources: batch.Resources[:1]}
	if err := store.Put(t.Context(), batch); err != nil || got.PatientID != "" {
		t.Errorf("no patient became %q, %v", got.PatientID, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Put(ctx, batch); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestNamespacedPicksTheSpace(t *testing.T) {
	t.Parallel()
	const base = "https://fhir.example.org/r4"
	named := namespacedSpace(t, idspace.Options{Name: "a"})
	based := namespacedSpace(t, idspace.Options{Name: "b", Bases: []string{base + "/"}})
	ok := func(_ context.Context, _ fhirsync.Batch) error { return nil }
	for name, c := range map[string]struct {
		spaces []*idspace.Space
		server string
		want   bool
	}{
		"by name":          {[]*idspace.Space{named, based}, "a", true},
		"by base":          {[]*idspace.Space{named, based}, base, true},
		"none":             {[]*idspace.Space{named, based}, "c", false},
		"no spaces":        {nil, "a", false},
		"nil":              {[]*idspace.Space{named, nil}, "a", false},
		"twice":            {[]*idspace.Space{named, named}, "a", false},
		"two by base":      {[]*idspace.Space{based, namespacedSpace(t, idspace.Options{Name: "c", Bases: []string{base}})}, base, false},
		"name before base": {[]*idspace.Space{based, namespacedSpace(t, idspace.Options{Name: base})}, base, true},
	} {
		store := fhirsync.Namespaced(fhirsync.StoreFunc(ok), c.spaces...)
		err := store.Put(t.Context(), fhirsync.Batch{Server: c.server, Resources: []fhirsync.Resource{namespacedResource(c.server, "Patient", "1", "")}})
		var reject *fhirsync.RejectError
		if (err == nil) != c.want || errors.As(err, &reject) {
			t.Errorf("%s: %v", name, err)
		}
		digests := fhirsync.PowersOf(fhirsync.Namespaced(new(memstore.Store), c.spaces...)).Digests
		if _, err := digests.Holds(t.Context(), []fhirsync.Key{{Server: c.server, Type: "Patient", ID: "1"}}, make([][32]byte, 1)); (err == nil) != c.want {
			t.Errorf("%s: Holds: %v", name, err)
		}
	}
}

func TestNamespacedRejects(t *testing.T) {
	t.Parallel()
	errNext := errors.New("not this one")
	var fail error
	var got fhirsync.Batch
	next := fhirsync.StoreFunc(func(_ context.Context, b fhirsync.Batch) error { got = b; return fail })
	store := fhirsync.Namespaced(next, namespacedSpace(t, idspace.Options{Name: "a"}))
	good := func(id string) fhirsync.Resource { return namespacedResource("a", "Patient", id, "") }
	broken := good("broken")
	broken.Raw = []byte(`{"resourceType":"Patient","id":"broken"`)
	twice := good("twice")
	twice.Raw = []byte(`{"resourceType":"Patient","id":"twice","id":"1"}`)
	other := good("other")
	other.Raw = good("1").Raw
	noID := good("x")
	noID.Raw = []byte(`{"resourceType":"Patient"}`)
	meta := namespacedResource("a", "Patient", "meta", `,"meta":7`)
	elsewhere := namespacedResource("b", "Patient", "1", "")

	err := store.Put(t.Context(), fhirsync.Batch{Server: "a", Resources: []fhirsync.Resource{good("0"), broken, good("2"), twice, other, noID, meta, elsewhere}})
	var reject *fhirsync.RejectError
	if !errors.As(err, &reject) || len(reject.Rejected) != 6 || got.Resources != nil {
		t.Fatalf("%v, and %d were put", err, len(got.Resources))
	}
	for i, want := range map[int]error{1: nil, 3: idspace.ErrIdentity, 4: nil, 5: nil, 6: idspace.ErrMeta, 7: nil} {
		if why := reject.Rejected[i]; why == nil || want != nil && !errors.Is(why, want) {
			t.Errorf("%d: %v", i, why)
		}
	}

	// What next rejects has the index that it was delivered under.
	batch := fhirsync.Batch{Server: "a"}
	for i := range 20 {
		batch.Resources = append(batch.Resources, good(strconv.Itoa(i)))
	}
	fail = fmt.Errorf("wrapped: %w", &fhirsync.RejectError{Rejected: map[int]error{0: errNext, 13: errNext}})
	err = store.Put(t.Context(), batch)
	if !errors.As(err, &reject) || len(reject.Rejected) != 2 {
		t.Fatal(err)
	}
	for i, why := range reject.Rejected {
		if at := slices.Index([]string{got.Resources[0].Origin.Key.ID, got.Resources[13].Origin.Key.ID}, batch.Resources[i].ID); at < 0 || why != errNext { //nolint:errorlint // as it is.
			t.Errorf("%d: %v", i, why)
		}
	}
	fail = &fhirsync.RejectError{Rejected: map[int]error{20: errNext}}
	if err = store.Put(t.Context(), batch); err == nil || errors.As(err, &reject) {
		t.Errorf("an index outside of the batch: %v", err)
	}
	fail = errNext
	if err = store.Put(t.Context(), batch); !errors.Is(err, errNext) {
		t.Error(err)
	}
}

// A resource that cannot be rewritten is a gap with its source id, and the others are stored.
func TestNamespacedRejectsAreGaps(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 20})
	odd := &rec.Resources[3]
	odd.Raw = fmt.Appendf(nil, `{"resourceType":%q,"id":%q,"meta":"odd","subject":{"reference":"Patient/%s"},"patient":{"reference":"Patient/%s"}}`, odd.Type, odd.ID, rec.PatientID, rec.PatientID)
	srv := fhirtest.NewServer(rec)
	store := new(memstore.Store)
	rep, err := namespacedClient(t, srv).Sync(t.Context(), fhirsync.Server{Name: "a", BaseURL: srv.BaseURL()}, rec.PatientID,
		fhirsync.Namespaced(store, namespacedSpace(t, idspace.Options{Name: "a", Bases: []string{srv.BaseURL()}})), nil)
	if !errors.Is(err, fhirsync.ErrIncomplete) {
		t.Fatalf("%v\n%s", err, rep)
	}
	if !slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Ref == odd.Ref() && errors.Is(g.Err, idspace.ErrMeta) }) {
		t.Errorf("no gap names %s: %s", odd.Ref(), rep)
	}
	if store.Len() != len(srv.Want(rec.PatientID))-1 {
		t.Errorf("%d are stored, want %d", store.Len(), len(srv.Want(rec.PatientID))-1)
	}
	if q := store.Quarantined(); len(q) != 1 || q[0].ID != odd.ID || q[0].PatientID != rec.PatientID || !bytes.Equal(q[0].Raw, odd.Raw) {
		t.Errorf("in quarantine: %v", q)
	}
}

func TestNamespacedPowers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	if p := fhirsync.PowersOf(fhirsync.Namespaced(fhirsync.StoreFunc(nil))); p != (fhirsync.Powers{}) {
		t.Errorf("a function has powers: %v", p)
	}
	mem := new(memstore.Store)
	options := []idspace.Options{
		{Name: "a"},
		{Name: "a", Scheme: idspace.Prefix()},
		{Name: "b"},
		{Name: "a", Mark: idspace.MarkSource},
		{Name: "a", Canonicals: true},
		{Name: "a", Bases: []string{"https://x"}},
	}
	var states []fhirsync.StateStore
	for _, o := range options {
		states = append(states, fhirsync.PowersOf(fhirsync.Namespaced(mem, namespacedSpace(t, o))).State)
	}
	a, b := namespacedSpace(t, options[0]), namespacedSpace(t, options[2])
	states = append(states, fhirsync.PowersOf(fhirsync.Namespaced(mem, a, b)).State, mem)
	for i, s := range states {
		if state, rev, err := s.LoadState(ctx, "key"); state != nil || rev != "" || err != nil {
			t.Errorf("%d finds %q, %q, %v", i, state, rev, err)
		}
		if _, err := s.SaveState(ctx, "key", fmt.Append(nil, i), ""); err != nil {
			t.Error(err)
		}
	}
	for i, s := range states {
		if state, _, err := s.LoadState(ctx, "key"); string(state) != strconv.Itoa(i) || err != nil {
			t.Errorf("%d finds %q, %v", i, state, err)
		}
	}
	if state, _, err := fhirsync.PowersOf(fhirsync.Namespaced(mem, b, a)).State.LoadState(ctx, "key"); string(state) != strconv.Itoa(len(options)) || err != nil {
		t.Errorf("the order of spaces matters: %q, %v", state, err)
	}

	store := fhirsync.Namespaced(mem, a, b)
	res := namespacedResource("a", "Patient", "1", "")
	if err := store.Put(ctx, fhirsync.Batch{Server: "a", Resources: []fhirsync.Resource{res}}); err != nil {
		t.Fatal(err)
	}
	holds, err := fhirsync.PowersOf(store).Digests.Holds(ctx,
		[]fhirsync.Key{res.Key, {Server: "b", Type: "Patient", ID: "1"}, res.Key}, [][32]byte{res.Digest, res.Digest, {}})
	if diff := cmp.Diff([]bool{true, false, false}, holds); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// A wrapper around a wrapper: the source stays the source.
func TestNamespacedTwice(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	inner, outer := namespacedSpace(t, idspace.Options{Name: "a"}), namespacedSpace(t, idspace.Options{Name: "a", Scheme: idspace.Prefix()})
	res := namespacedResource("a", "Patient", "1", "")
	if err := fhirsync.Namespaced(fhirsync.Namespaced(mem, inner), outer).Put(t.Context(), fhirsync.Batch{Server: "a", Resources: []fhirsync.Resource{res}}); err != nil {
		t.Fatal(err)
	}
	got, ok := mem.Get(fhirsync.Key{Server: "a", Type: "Patient", ID: inner.ID("Patient", "a-1")})
	if !ok || got.Origin.Key != res.Key {
		t.Errorf("%v: %v", ok, got.Origin.Key)
	}
}
