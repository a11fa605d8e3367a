package pgxstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/pgxstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
	"github.com/fhirsync/fhirsync-go/internal/pgtest"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		if err := child(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	pgtest.StopShared()
	os.Exit(code)
}

func pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	p, err := pgxpool.New(context.Background(), pgtest.Need(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

var schemas atomic.Int64

// schema gives the name of a schema that is not there, and removes it in the end.
func schema(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("p%d_%d", os.Getpid(), schemas.Add(1))
	p := pool(tb)
	tb.Cleanup(func() {
		if _, err := p.Exec(context.Background(), `DROP SCHEMA IF EXISTS `+name+` CASCADE`); err != nil {
			tb.Error(err)
		}
	})
	return name
}

func open(tb testing.TB, opts pgxstore.Options) *pgxstore.Store {
	tb.Helper()
	s, err := pgxstore.Open(tb.Context(), pool(tb), &opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, with := range []pgxstore.Options{{}, {JSONB: true, References: true}} {
		t.Run(fmt.Sprintf("JSONB=%t", with.JSONB), func(t *testing.T) {
			t.Parallel()
			var places sync.Map // of stores
			storetest.Run(t, storetest.Harness{
				Open: func(tb testing.TB) fhirsync.Store {
					tb.Helper()
					opts := with
					opts.History, opts.Contents = true, true
					opts.Schema = schema(tb)
					s := open(tb, opts)
					places.Store(fhirsync.Store(s), opts)
					return s
				},
				Get: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
					return s.(*pgxstore.Store).Get(ctx, key)
				},
				Reopen: func(tb testing.TB, prev fhirsync.Store) fhirsync.Store {
					tb.Helper()
					opts, _ := places.Load(prev)
					s := open(tb, opts.(pgxstore.Options))
					places.Store(fhirsync.Store(s), opts)
					return s
				},
				Len: func(ctx context.Context, s fhirsync.Store) (n int, err error) {
					for _, err := range s.(*pgxstore.Store).All(ctx, "") {
						if err != nil {
							return 0, err
						}
						n++
					}
					return n, nil
				},
				Quarantined: func(ctx context.Context, s fhirsync.Store) (all []fhirsync.Quarantined, err error) {
					for q, err := range s.(*pgxstore.Store).Quarantined(ctx) {
						if err != nil {
							return nil, err
						}
						all = append(all, q)
					}
					return all, nil
				},
				Version: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error) {
					return s.(*pgxstore.Store).Version(ctx, key, version)
				},
				Content: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
					c, err := s.(*pgxstore.Store).Content(ctx, key)
					if err != nil {
						return nil, err
					}
					return c.Bytes()
				},
			})
		})
	}
}

func TestJSONB(t *testing.T) {
	t.Parallel()
	opts := pgxstore.Options{Schema: schema(t)}
	s := open(t, opts)
	// null tells which of them jsonb cannot hold.
	bodies := []struct {
		raw  string
		null bool
	}{
		{`{"resourceType":"Observation","z":1.50,"a":1e2,"dup":1,"dup":2}`, false},
		{`{"resourceType":"Observation","text":"a\u0000b"}`, true},
		{`{"resourceType":"Observation","text":"\ud800"}`, true},
		{`{"resourceType":"Observation","text":"\ude00\ud83d"}`, true},
		{`{"resourceType":"Observation","x":1e400}`, false},
		{`{"resourceType":"Observation","x":1e400000}`, true},
		{"{\"resourceType\":\"Observation\",\"text\":\"\xff\"}", true},
		{`{"resourceType":"Observation",`, true},
		{"\x00", true},
		{``, true},
		{`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, true},
		{`{"resourceType":"Observation","status":"final"}`, false},
	}
	batch := func(from string) fhirsync.Batch {
		b := fhirsync.Batch{Server: "payer", PatientID: "p1"}
		for i, body := range bodies {
			b.Resources = append(b.Resources, fhirsync.Resource{
				Key: fhirsync.Key{Server: "payer", Type: "Observation", ID: fmt.Sprintf("%s%02d", from, i)}, Raw: []byte(body.raw), Digest: sha256.Sum256([]byte(body.raw)),
			})
		}
		return b
	}
	before, after := batch("before"), batch("after")
	if err := s.Put(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	opts.JSONB = true
	var wg sync.WaitGroup
	ctx := t.Context()
	for range 4 {
		pool := pool(t)
		wg.Go(func() {
			s, err := pgxstore.Open(ctx, pool, &opts)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	wg.Wait()
	s = open(t, opts)
	if err := s.Put(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	p := pool(t)
	for _, b := range []fhirsync.Batch{before, after} {
		for i, r := range b.Resources {
			got, err := s.Get(t.Context(), r.Key)
			if err != nil || !bytes.Equal(got.Raw, r.Raw) {
				t.Errorf("%d: the bytes are not as given: %v", i, err)
			}
			var null bool
			if err := p.QueryRow(t.Context(), `SELECT json IS NULL FROM `+opts.Schema+`.fhirsync_resources WHERE id = $1`, r.ID).Scan(&null); err != nil || null != bodies[i].null {
				t.Errorf("%d: NULL is %t, error %v", i, null, err)
			}
		}
	}
	found := func() (n int) {
		t.Helper()
		if err := p.QueryRow(t.Context(), `SELECT count(*) FROM `+opts.Schema+`.fhirsync_resources WHERE json @> '{"status":"final"}'`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	if n := found(); n != 2 {
		t.Errorf("a search for a contained value finds %d of 2", n)
	}
	// The column follows a change.
	changed := after.Resources[len(bodies)-1]
	changed.Raw = []byte(`{"resourceType":"Observation","status":"amended"}`)
	changed.Digest = sha256.Sum256(changed.Raw)
	if err := s.Put(t.Context(), fhirsync.Batch{Server: "payer", PatientID: "p1", Resources: []fhirsync.Resource{changed}}); err != nil {
		t.Fatal(err)
	}
	if n := found(); n != 1 {
		t.Errorf("after a change a search finds %d of 1", n)
	}
}

// Two Clients sync two patients of one server into one database, through pools of their own.
func TestTwoSyncsAtOnce(t *testing.T) {
	t.Parallel()
	recs := []*fhirtest.Record{fhirtest.Generate(fhirtest.Options{Seed: 1, Size: 300}), fhirtest.Generate(fhirtest.Options{Seed: 2, Size: 300})}
	srv := fhirtest.NewServer(recs...)
	base, stop, err := srv.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	opts := pgxstore.Options{Schema: schema(t), References: true, JSONB: true}
	stores := []*pgxstore.Store{open(t, opts), open(t, opts)}
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			c, err := fhirsync.New(fhirsync.Config{Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}})
			if err != nil {
				t.Error(err)
				return
			}
			rep, err := c.Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: base}, recs[i].PatientID, s, nil)
			if err != nil || rep.Verdict != fhirsync.Complete {
				t.Errorf("%v\n%s", err, rep)
			}
		})
	}
	wg.Wait()
	for _, rec := range recs {
		want := srv.Want(rec.PatientID)
		for r, err := range stores[0].Patient(t.Context(), "payer", rec.PatientID) {
			if err != nil {
				t.Fatal(err)
			}
			if ref := r.Type + "/" + r.ID; !bytes.Equal(want[ref], r.Raw) {
				t.Errorf("%s is not what the server has", ref)
			} else {
				delete(want, ref)
			}
		}
		if len(want) > 0 {
			t.Errorf("%d resources are missing", len(want))
		}
	}
}

func TestNoPool(t *testing.T) {
	t.Parallel()
	if _, err := pgxstore.Open(t.Context(), nil, nil); err == nil {
		t.Error("no pool was accepted")
	}
}
