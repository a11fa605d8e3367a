package conform_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	randv2 "math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform"
	"github.com/fhirsync/fhirsync-go/fhirsync/conform/validate"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// forStrict are the settings for a receiver that knows FHIR itself and nothing beyond it. What the generator leaves out although FHIR
// requires it is filled in by profiles of the caller's own.
func forStrict() conform.Options {
	o := conform.Options{Claims: conform.RemoveClaims, Unknowns: conform.UnknownsExtension}
	for typ, paths := range map[string][]string{
		"Claim": {"type", "priority"}, "ClaimResponse": {"type", "total.category"}, "Consent": {"scope"}, "Encounter": {"class"},
		"Endpoint": {"connectionType", "payloadType"}, "ExplanationOfBenefit": {"type"}, "Practitioner": {"qualification.code"}, "Provenance": {"signature.type"},
	} {
		p := conform.Profile{URL: "https://example.org/" + typ, Type: typ}
		for _, path := range paths {
			p.Rules = append(p.Rules, conform.ProfileRule{Path: path, Default: conform.DefaultAbsent})
		}
		o.Profiles = append(o.Profiles, p)
	}
	return o
}

// notOurs are errors about what no rule can put right, because it says what was meant: codes, units, names and addresses that are not known or
// not allowed in their place, and invariants of single types.
var notOurs = regexp.MustCompile(`^(CodeSystem is unknown and can't be validated|None of the codings provided are in the value set|No code provided, and a code is required|` +
	`Unknown code |Error processing unit |Canonical URLs must be absolute|Hyperlink |Found a reference to a CodeSystem |Constraint failed: [a-z]{3}-[0-9]+: |` +
	`422: HAPI-0931: Invalid reference found)`)

// TestStrictServer puts records through a space and the rules and loads them into a server that validates and wants referential integrity.
// Some are pulled from a server whose resources are spoiled on the way, some are Synthea's. What the server does not want must have been
// named by a Nonconformity, or be no matter of the rules.
func TestStrictServer(t *testing.T) {
	t.Parallel()
	s := &strictServer{base: strings.TrimRight(component(t, "FHIRSYNC_HAPI_STRICT"), "/")}
	s.http = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	t.Cleanup(s.http.CloseIdleConnections)
	records := readRecords(t, component(t, "FHIRSYNC_SYNTHEA"))
	if more := os.Getenv("FHIRSYNC_RECORDS"); more != "" {
		records = readRecords(t, more)
	} else { // one has all that there is to see
		smallest := slices.MinFunc(slices.Collect(maps.Keys(records)), func(a, b string) int { return len(records[a]) - len(records[b]) })
		records = map[string][]fhirsync.Resource{smallest: records[smallest]}
		records["generated"] = generated(t)
	}
	for _, record := range slices.Sorted(maps.Keys(records)) {
		t.Run(record, func(t *testing.T) {
			t.Parallel()
			before, _ := s.store(t, records[record], nil)
			after, said := s.store(t, records[record], conformer(t, forStrict()))
			wrong := each(t, before, s.check)
			valid := 0
			for i := range before {
				if len(wrong[i]) == 0 {
					valid++
				}
			}
			t.Logf("%d resources, %d valid as they are", len(before), valid)
			var good []fhirsync.Resource
			counts := map[string]int{}
			for i, wrong := range each(t, after, s.check) {
				if len(wrong) == 0 {
					good = append(good, after[i])
					continue
				}
				for _, w := range wrong {
					if len(said[name(after[i])]) == 0 && !notOurs.MatchString(w) {
						t.Errorf("not explained: %s: %.300s", name(after[i]), w)
					}
					counts[fmt.Sprintf("%s: %.150s (said: %s)", after[i].Type, w, strings.Join(said[name(after[i])], ", "))]++
				}
			}
			t.Logf("%d of %d valid with the rules carried out", len(good), len(after))
			for _, why := range slices.Sorted(maps.Keys(counts)) {
				t.Logf("%d x %s", counts[why], why)
			}
			whole := closed(good)
			accepted, refused := s.load(t, whole)
			t.Logf("%d resources refer to nothing that is missing, %d of them accepted", len(whole), accepted)
			for ref, why := range refused {
				if t.Logf("refused: %s: %s", ref, why); !notOurs.MatchString(why) {
					t.Errorf("not explained: %s: %s", ref, why)
				}
			}
			if len(good) < valid || len(whole) == 0 || record != "generated" && os.Getenv("FHIRSYNC_RECORDS") == "" && len(whole) < len(after) {
				t.Errorf("of %d resources %d were valid before and %d after, %d can be loaded", len(after), valid, len(good), len(whole))
			}
		})
	}
	t.Run("validator", func(t *testing.T) {
		t.Parallel()
		s.validator(t)
	})
}

// store puts a record through a space of its own, and the rules if there are any. It gives what comes out, and what the rules said of it, by
// Type/id. All that no change names is checked to be the same.
func (s *strictServer) store(t *testing.T, record []fhirsync.Resource, c *conform.Conformer) (out []fhirsync.Resource, said map[string][]string) {
	t.Helper()
	space, err := idspace.New(idspace.Options{Name: "a" + rand.Text()[:10], Bases: []string{base}})
	if err != nil {
		t.Fatal(err)
	}
	mem := new(memstore.Store)
	said = map[string][]string{}
	var next fhirsync.Store = mem
	if c != nil {
		next = conform.Store(mem, c, &conform.StoreOptions{OnResult: func(o conform.Outcome) {
			for _, n := range o.Nonconformities {
				said[o.Key.Type+"/"+o.Key.ID] = append(said[o.Key.Type+"/"+o.Key.ID], string(n.Rule)+" "+n.Path)
			}
		}})
	}
	checked := fhirsync.StoreFunc(func(ctx context.Context, b fhirsync.Batch) error {
		if err := next.Put(ctx, b); err != nil {
			return err
		}
		for _, r := range b.Resources {
			got, _ := mem.Get(r.Key)
			var changes []conform.Change
			for _, rep := range got.Repairs {
				changes = append(changes, conform.Change{Rule: conform.Rule(strings.TrimPrefix(string(rep.Kind), conform.RepairPrefix)), Path: rep.Path})
			}
			recorded(t, r.Raw, conform.Result{Raw: got.Raw, Changes: changes})
		}
		return nil
	})
	all := fhirsync.Namespaced(checked, space)
	for part := range slices.Chunk(record, 500) {
		for i := range part {
			part[i].Server = space.Name()
		}
		if err := all.Put(t.Context(), fhirsync.Batch{Server: space.Name(), Resources: part}); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Collect(mem.All()), said
}

const base = "https://payer.example/fhir"

// generated pulls a generated record from a server whose resources are spoiled on the way.
func generated(t *testing.T) []fhirsync.Resource {
	t.Helper()
	rec := fhirtest.Generate(fhirtest.Options{Seed: 11, Size: 120})
	srv := fhirtest.NewServer(rec)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: srv.Client(), Limit: ratelimit.Policy{Rate: -1}})
	if err != nil {
		t.Fatal(err)
	}
	mem := new(memstore.Store)
	if rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "a", BaseURL: srv.BaseURL()}, rec.PatientID, mem, nil); err != nil {
		t.Fatal(err, rep)
	}
	rnd := randv2.New(randv2.NewPCG(3, 4))
	var out []fhirsync.Resource
	for r := range mem.All() {
		v, err := decode(bytes.ReplaceAll(r.Raw, []byte(srv.BaseURL()), []byte(base)))
		if err != nil {
			t.Fatal(err)
		}
		var spoiled bytes.Buffer
		enc := json.NewEncoder(&spoiled)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(spoilForm(rnd, v, "")); err != nil {
			t.Fatal(err)
		}
		r.Raw = spoiled.Bytes()
		out = append(out, r)
	}
	return out
}

// validator asks the real server by $validate.
func (s *strictServer) validator(t *testing.T) {
	t.Helper()
	mem := new(memstore.Store)
	store := conform.Store(mem, conformer(t, forStrict()), &conform.StoreOptions{Validator: &validate.Server{BaseURL: s.base, Client: s.http}, Refused: conform.Mark})
	good := resource("Patient", "v1", `,"active":"true","name":[{"family":"A"}]`)
	bad := resource("Observation", "v2", `,"status":"done"`)
	if err := store.Put(t.Context(), batch(bad, good)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []fhirsync.Resource{good, bad} {
		got, ok := mem.Get(r.Key)
		if !ok || bytes.Contains(got.Raw, []byte(conform.MarkCode)) != (r.Type == "Observation") {
			t.Errorf("%t, %s", ok, got.Raw)
		}
	}
}
