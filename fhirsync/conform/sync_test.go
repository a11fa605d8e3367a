package conform_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// TestSyncNamesWhatIsRefused: in a sync, every resource that the validator refuses is kept in quarantine as it came and is named by the
// report; all others are stored.
func TestSyncNamesWhatIsRefused(t *testing.T) {
	t.Parallel()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 9, Size: 80})
	srv := fhirtest.NewServer(rec)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: srv.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		t.Fatal(err)
	}
	refuse := conform.ValidatorFunc(func(_ context.Context, typ string, _ []byte) ([]fhirsync.Issue, error) {
		if typ == "Encounter" {
			return []fhirsync.Issue{{Severity: "fatal", Code: "structure"}}, nil
		}
		return nil, nil
	})
	mem := new(memstore.Store)
	store := conform.Store(mem, conformer(t, conform.Options{Versions: conform.DropVersions}), &conform.StoreOptions{Validator: refuse, Refused: conform.Quarantine})
	rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "a", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
	if !errors.Is(err, fhirsync.ErrIncomplete) || rep.Verdict != fhirsync.Incomplete {
		t.Fatalf("%v\n%s", err, rep)
	}
	named := map[string]bool{}
	for _, g := range rep.Gaps {
		if g.Reason == fhirsync.Failed {
			named[g.Ref] = true
		}
	}
	kept := map[string]string{}
	for _, q := range mem.Quarantined() {
		kept[q.Type+"/"+q.ID] = string(q.Raw)
	}
	encounters := 0
	for ref, raw := range srv.Want(rec.PatientID) {
		typ, id, _ := strings.Cut(ref, "/")
		_, stored := mem.Get(fhirsync.Key{Server: "a", Type: typ, ID: id})
		if typ != "Encounter" {
			if !stored {
				t.Errorf("%s is not stored", ref)
			}
			continue
		}
		encounters++
		if stored || !named[ref] || kept[ref] != string(raw) {
			t.Errorf("%s: stored %t, named %t, kept %.100s", ref, stored, named[ref], kept[ref])
		}
	}
	if encounters == 0 || len(named) != encounters || len(kept) != encounters {
		t.Errorf("%d encounters, %d named, %d kept", encounters, len(named), len(kept))
	}
}
