package fhirsync_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// unnamed leaves out resources of types that the report lists as not to be had from this server: a server that neither claims a type nor
// answers for it cannot be told from one that does not have it.
func unnamed(rep *fhirsync.Report, lost []string) []string {
	return slices.DeleteFunc(slices.Clone(lost), func(ref string) bool {
		typ, _, _ := strings.Cut(ref, "/")
		return slices.ContainsFunc(rep.Gaps, func(g fhirsync.Gap) bool { return g.Type == typ && g.Ref == "" && g.Reason == fhirsync.Unsupported })
	})
}

// TestPairs injects two faults at once, chosen by seed.
func TestPairs(t *testing.T) {
	t.Parallel()
	n := 60
	if v := os.Getenv("FHIRSYNC_PAIRS"); v != "" {
		n, _ = strconv.Atoi(v)
	}
	all := fhirtest.Faults()
	for i := range n {
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		fs := []fhirtest.Fault{all[rnd.IntN(len(all))], all[rnd.IntN(len(all))]}
		t.Run(fmt.Sprintf("%d %s %s", i, fs[0].Name, fs[1].Name), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := fhirtest.Generate(fhirtest.Options{Seed: uint64(i), Size: 150, Dangling: 2, Secondary: i % 4})
				srv := fhirtest.NewServer(rec, fhirtest.Generate(fhirtest.Options{Seed: 40000, Size: 120}))
				if i%2 == 0 {
					srv.MaxCount = 20
				}
				srv.Inject(fs...)
				store := new(memstore.Store)
				rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{Name: "payer", BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
				lost, alien := missing(srv, rec.PatientID, store)
				if len(alien) > 0 && fs[0].Name != "EndlessPages" && fs[1].Name != "EndlessPages" {
					t.Errorf("not to be there: %v", alien)
				}
				if lost := unnamed(rep, lost); len(lost) > 0 && rep.Verdict == fhirsync.Complete {
					t.Errorf("complete, and missing: %v\n%s", lost, rep)
				}
				if (rep.Verdict == fhirsync.Incomplete) != (err != nil) {
					t.Errorf("verdict %s, error %v", rep.Verdict, err)
				}
			})
		})
	}
}
