package drivertest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

var day = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// resource makes an Observation that was last updated a number of days after day.
func resource(id, text string, days int) fhirsync.Resource {
	raw := fmt.Appendf(nil, `{"resourceType":"Observation","id":%q,"note":[{"text":%q}],"subject":{"reference":"Patient/p"}}`, id, text)
	return fhirsync.Resource{
		Key: fhirsync.Key{Server: "payer", Type: "Observation", ID: id}, VersionID: "1", LastUpdated: day.AddDate(0, 0, days), Raw: raw,
		Digest: sha256.Sum256(raw),
	}
}

func batchOf(patient string, resources ...fhirsync.Resource) fhirsync.Batch {
	b := fhirsync.Batch{Run: "run", Server: "payer", PatientID: patient, Resources: slices.Clone(resources)}
	slices.SortFunc(b.Resources, func(a, b fhirsync.Resource) int { return strings.Compare(a.ID, b.ID) })
	return b
}

func put(tb testing.TB, s fhirsync.Store, patient string, resources ...fhirsync.Resource) {
	tb.Helper()
	if err := s.Put(tb.Context(), batchOf(patient, resources...)); err != nil {
		tb.Fatal(err)
	}
}

// ids gives the ids of a patient's record, sorted.
func ids(tb testing.TB, s *sqlstore.Store, patient string) string {
	tb.Helper()
	var out []string
	for r, err := range s.Patient(tb.Context(), "payer", patient) {
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, r.ID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func wantBytes(tb testing.TB, s *sqlstore.Store, want fhirsync.Resource) {
	tb.Helper()
	got, err := s.Get(tb.Context(), want.Key)
	if err != nil {
		tb.Error(err)
		return
	}
	if !bytes.Equal(got.Raw, want.Raw) || got.Digest != want.Digest || got.VersionID != want.VersionID || !got.LastUpdated.Equal(want.LastUpdated) || got.Key != want.Key {
		tb.Errorf("came back as %+v", got)
	}
}

// wantRecord compares a patient's record in the store with what is true, byte for byte.
func wantRecord(tb testing.TB, s *sqlstore.Store, srv *fhirtest.Server, patient string) {
	tb.Helper()
	want := srv.Want(patient)
	for r, err := range s.Patient(tb.Context(), "payer", patient) {
		if err != nil {
			tb.Fatal(err)
		}
		ref := r.Type + "/" + r.ID
		if !bytes.Equal(want[ref], r.Raw) {
			tb.Errorf("%s is not what the server has", ref)
		}
		delete(want, ref)
	}
	if len(want) > 0 {
		tb.Errorf("%d resources are not in the record", len(want))
	}
}

// client gives a client without rate limit, over sockets.
func client(tb testing.TB) *fhirsync.Client {
	tb.Helper()
	c, err := fhirsync.New(fhirsync.Config{Limit: ratelimit.Policy{Rate: -1, Concurrency: 8}})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// start serves records over the loopback interface.
func start(tb testing.TB, records ...*fhirtest.Record) (*fhirtest.Server, fhirsync.Server) {
	tb.Helper()
	srv := fhirtest.NewServer(records...)
	base, stop, err := srv.Start()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return srv, fhirsync.Server{Name: "payer", BaseURL: base}
}

// sync runs a sync that must be complete.
func sync(tb testing.TB, c *fhirsync.Client, server fhirsync.Server, patient string, s fhirsync.Store) *fhirsync.Report {
	tb.Helper()
	rep, err := c.Sync(tb.Context(), server, patient, s, nil)
	if err != nil || rep.Verdict != fhirsync.Complete {
		tb.Errorf("%v\n%s", err, rep)
	}
	return rep
}
