package conform_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

func resource(typ, id, members string) fhirsync.Resource {
	raw := fmt.Sprintf(`{"resourceType":%q,"id":%q%s}`, typ, id, members)
	return fhirsync.Resource{Key: fhirsync.Key{Server: "a", Type: typ, ID: id}, Raw: []byte(raw), Digest: sha256.Sum256([]byte(raw))}
}

func batch(rs ...fhirsync.Resource) fhirsync.Batch {
	return fhirsync.Batch{Run: "r", Server: "a", PatientID: "1", Resources: rs}
}

// recorder keeps the batches that reach it.
type recorder struct {
	memstore.Store
	got []fhirsync.Batch
}

func (r *recorder) Put(ctx context.Context, b fhirsync.Batch) error {
	r.got = append(r.got, b)
	return r.Store.Put(ctx, b)
}

// TestStoreContract: with no rule on, the whole contract of a store holds, powers included.
func TestStoreContract(t *testing.T) {
	t.Parallel()
	c := conformer(t, conform.Options{Rules: []conform.Rule{}})
	stores := map[fhirsync.Store]*memstore.Store{}
	var mu sync.Mutex
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) fhirsync.Store {
			mem := new(memstore.Store)
			s := conform.Store(mem, c, nil)
			mu.Lock()
			defer mu.Unlock()
			stores[s] = mem
			return s
		},
		Get: func(_ context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
			mu.Lock()
			defer mu.Unlock()
			r, ok := stores[s].Get(key)
			if !ok {
				return r, fmt.Errorf("no such resource: %w", fs.ErrNotExist)
			}
			return r, nil
		},
	})
}

func TestStorePut(t *testing.T) {
	t.Parallel()
	next := new(recorder)
	var told []conform.Outcome
	c := conformer(t, conform.Options{})
	s := conform.Store(next, c, &conform.StoreOptions{OnResult: func(o conform.Outcome) { told = append(told, o) }})
	odd := resource("Patient", "1", `,"active":"true","gender":""`)
	before := string(odd.Raw)
	good := resource("Patient", "2", `,"active":true`)
	broken := resource("Patient", "3", "")
	broken.Raw = []byte(`{"resourceType":"Patient","id":"3","x":NaN}`)
	if err := s.Put(t.Context(), batch(odd, good, broken)); err != nil {
		t.Fatal(err)
	}
	if string(odd.Raw) != before {
		t.Error("the delivered bytes were written to")
	}
	got := next.got[0]
	if got.Run != "r" || got.PatientID != "1" || len(got.Resources) != 3 {
		t.Errorf("%+v", got)
	}
	if want := `{"resourceType":"Patient","id":"1","active":true}`; string(got.Resources[0].Raw) != want {
		t.Errorf("got %s", got.Resources[0].Raw)
	}
	var kinds []string
	for _, r := range got.Resources[0].Repairs {
		kinds = append(kinds, string(r.Kind)+" "+r.Path)
	}
	if diff := cmp.Diff([]string{"conform/booleans Patient.active", "conform/empty Patient.gender"}, kinds); diff != "" {
		t.Error(diff)
	}
	if string(got.Resources[0].Original) != before {
		t.Errorf("the bytes as they were are %s", got.Resources[0].Original)
	}
	// What was repaired before keeps the bytes that came.
	older := resource("Patient", "5", `,"gender":""`)
	older.Original, older.Repairs = []byte("came"), []fhirsync.Repair{{Kind: fhirsync.RepairComma, Offset: 9}}
	if err := s.Put(t.Context(), batch(older)); err != nil {
		t.Fatal(err)
	}
	again := next.got[1].Resources[0]
	if diff := cmp.Diff([]fhirsync.Repair{{Kind: "conform/empty", Path: "Patient.gender"}, {Kind: fhirsync.RepairComma, Offset: 9}}, again.Repairs); diff != "" || string(again.Original) != "came" || len(older.Repairs) != 1 {
		t.Errorf("%s, original %s, delivered %v", diff, again.Original, older.Repairs)
	}
	told = slices.DeleteFunc(told, func(o conform.Outcome) bool { return o.Key == older.Key })
	if &got.Resources[1].Raw[0] != &good.Raw[0] || got.Resources[1].Repairs != nil || string(got.Resources[2].Raw) != string(broken.Raw) {
		t.Error("what needs nothing, or cannot be read, goes on as it is")
	}
	if len(told) != 2 || told[0].Key != odd.Key || told[1].Key != broken.Key || !told[1].Refused {
		t.Errorf("told of %+v", told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, batch(good)); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestStorePowers(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	a := conform.Store(mem, conformer(t, conform.Options{}), nil)
	b := conform.Store(mem, conformer(t, conform.Options{Versions: conform.DropVersions}), nil)
	r := resource("Patient", "1", `,"active":"true"`)
	if err := a.Put(t.Context(), batch(r)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s    fhirsync.Store
		want bool
	}{"same settings": {a, true}, "other settings": {b, false}, "without": {mem, false}} {
		held, err := fhirsync.PowersOf(c.s).Digests.Holds(t.Context(), []fhirsync.Key{r.Key}, [][32]byte{r.Digest})
		if err != nil || held[0] != c.want {
			t.Errorf("%s: held %v, %v", name, held, err)
		}
	}
	if _, err := fhirsync.PowersOf(a).State.SaveState(t.Context(), "k", []byte("{}"), ""); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[fhirsync.Store]bool{a: true, b: false} {
		state, _, err := fhirsync.PowersOf(s).State.LoadState(t.Context(), "k")
		if err != nil || (state != nil) != want {
			t.Errorf("state %s, %v", state, err)
		}
	}
	plain := conform.Store(fhirsync.StoreFunc(func(context.Context, fhirsync.Batch) error { return nil }), conformer(t, conform.Options{}), nil)
	if p := fhirsync.PowersOf(plain); p != (fhirsync.Powers{}) {
		t.Errorf("of nothing it makes %+v", p)
	}
	// A validator's name, and what becomes of what it refuses, are settings.
	v := named("x")
	prints := map[[32]byte]bool{}
	for _, o := range []*conform.StoreOptions{nil, {Validator: v}, {Validator: named("y")}, {Validator: v, Refused: conform.Mark}} {
		next := new(recorder)
		if err := conform.Store(next, conformer(t, conform.Options{}), o).Put(t.Context(), batch(r)); err != nil {
			t.Fatal(err)
		}
		prints[next.got[0].Resources[0].Digest] = true
	}
	if len(prints) != 4 {
		t.Errorf("%d digests of 4 settings", len(prints))
	}
}

// named is a validator with a fingerprint that refuses nothing.
type named string

func (n named) Validate(context.Context, string, []byte) ([]fhirsync.Issue, error) { return nil, nil }

func (n named) Fingerprint() string { return string(n) }

func TestStoreValidates(t *testing.T) {
	t.Parallel()
	down := errors.New("down")
	good, bad := resource("Patient", "1", ""), resource("Patient", "2", `,"active":false`)
	warned := resource("Patient", "3", "")
	broken := fhirsync.Resource{Key: fhirsync.Key{Server: "a", Type: "Patient", ID: "4"}, Raw: []byte(`{`)}
	for _, refused := range []conform.Policy{conform.Keep, conform.Mark, conform.Quarantine} {
		var mu sync.Mutex
		calls, fails := 0, true
		validator := conform.ValidatorFunc(func(_ context.Context, typ string, raw []byte) ([]fhirsync.Issue, error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			switch {
			case fails:
				return nil, down
			case typ != "Patient":
				t.Errorf("type %s", typ)
			case strings.Contains(string(raw), "false"):
				return []fhirsync.Issue{{Severity: "error", Code: "invalid"}, {Severity: "warning"}}, nil
			case strings.Contains(string(raw), `"3"`):
				return []fhirsync.Issue{{Severity: "warning"}}, nil
			}
			return nil, nil
		})
		next := new(recorder)
		var told []string
		s := conform.Store(next, conformer(t, conform.Options{}), &conform.StoreOptions{Validator: validator, Refused: refused, OnResult: func(o conform.Outcome) {
			told = append(told, fmt.Sprint(o.Key.ID, len(o.Issues), o.Refused))
		}})
		all := batch(good, bad, warned, broken)
		if err := s.Put(t.Context(), all); !errors.Is(err, down) || len(next.got) > 0 {
			t.Fatalf("a validator that is down: %v, %d", err, len(next.got))
		}
		fails = false
		err := s.Put(t.Context(), all)
		if diff := cmp.Diff([]string{"22 true", "31 false", "40 true"}, told); diff != "" {
			t.Error(diff)
		}
		var reject *fhirsync.RejectError
		if refused == conform.Quarantine {
			if !errors.As(err, &reject) || len(reject.Rejected) != 2 || !errors.Is(reject.Rejected[1], conform.ErrRefused) || reject.Rejected[3] == nil || len(next.got) > 0 {
				t.Fatalf("%v", err)
			}
			before := calls
			if err := s.Put(t.Context(), batch(good, warned)); err != nil || len(next.got) != 1 || calls != before {
				t.Errorf("the rest put again: %v, %d batches, asked %d times more", err, len(next.got), calls-before)
			}
			continue
		}
		if err != nil || len(next.got) != 1 || len(next.got[0].Resources) != 4 {
			t.Fatal(err)
		}
		want := string(bad.Raw)
		if refused == conform.Mark {
			want = strings.TrimSuffix(want, "}") + `,"meta":{"tag":[{"system":"` + conform.MarkSystem + `","code":"` + conform.MarkCode + `"}]}}`
		}
		if got := next.got[0].Resources; string(got[1].Raw) != want || string(got[0].Raw) != string(good.Raw) || string(got[3].Raw) != "{" {
			t.Errorf("%d: got %s", refused, got[1].Raw)
		}
	}
}

// TestStoreAndSpace: beside Namespaced it works both ways round.
func TestStoreAndSpace(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 7, Size: 60})
	srv := fhirtest.NewServer(rec)
	space, err := idspace.New(idspace.Options{Name: "a", Bases: []string{srv.BaseURL()}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: srv.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		t.Fatal(err)
	}
	c := conformer(t, conform.Options{Versions: conform.DropVersions})
	var held []map[fhirsync.Key]string
	for _, order := range []func(fhirsync.Store) fhirsync.Store{
		func(s fhirsync.Store) fhirsync.Store { return fhirsync.Namespaced(conform.Store(s, c, nil), space) },
		func(s fhirsync.Store) fhirsync.Store { return conform.Store(fhirsync.Namespaced(s, space), c, nil) },
	} {
		mem := new(memstore.Store)
		for i := range 2 {
			rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "a", BaseURL: srv.BaseURL()}, rec.PatientID, order(mem), nil)
			if err != nil {
				t.Fatal(err)
			}
			for typ, r := range rep.Types {
				if r.Stored != r.Received || (i == 1) != (r.Unchanged == r.Stored && r.Stored > 0) && r.Stored > 0 {
					t.Errorf("run %d, %s: %+v", i, typ, r)
				}
			}
		}
		all := map[fhirsync.Key]string{}
		for r := range mem.All() {
			all[r.Key] = string(r.Raw)
			if strings.Contains(string(r.Raw), `"versionId"`) {
				t.Errorf("%v has its version still", r.Key)
			}
			if r.Origin.Key.ID == "" || r.ID != space.ID(r.Type, r.Origin.Key.ID) {
				t.Errorf("%v comes from %v", r.Key, r.Origin.Key)
			}
		}
		held = append(held, all)
	}
	if len(held[0]) == 0 || len(held[0]) != len(held[1]) {
		t.Errorf("%d and %d resources", len(held[0]), len(held[1]))
	}
	for k := range held[0] {
		if _, ok := held[1][k]; !ok {
			t.Errorf("%v is missing the other way round", k)
		}
	}
}
