package dirstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore"
)

func contentAt(id, text string) fhirsync.Content {
	c := fhirsync.NewContent(fhirsync.Key{Server: "payer", Type: "Binary", ID: id}, []byte(text))
	c.Server, c.PatientID = "payer", "p1"
	return c
}

// What a crash leaves of contents goes, and what is whole stays.
func TestContentsAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, &dirstore.Options{Contents: true})
	for _, c := range []fhirsync.Content{contentAt("a", "before"), contentAt("a", "after"), contentAt("b", "")} {
		if err := s.PutContent(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	wrong := contentAt("a", "other")
	wrong.Digest[0]++
	if err := s.PutContent(t.Context(), wrong); err == nil {
		t.Error("kept what is not of its digest")
	}
	mustClose(t, s)
	names := func() []string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "contents", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if got := names(); len(got) != 4 {
		t.Fatalf("%v", got)
	}
	for _, name := range []string{"0123-ab.data", "0123-ab.data.tmp", "0123.json.tmp"} {
		if err := os.WriteFile(filepath.Join(dir, "contents", name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, &dirstore.Options{Contents: true})
	if got := names(); len(got) != 4 {
		t.Errorf("%v", got)
	}
	for id, want := range map[string]string{"a": "after", "b": ""} {
		if got, err := contentOf(t.Context(), s, contentAt(id, "").Key); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", id, got, err)
		}
	}
}

// Only who asks for it gets versions and contents.
func TestKeepingIsAskedFor(t *testing.T) {
	t.Parallel()
	powers := fhirsync.PowersOf(open(t, t.TempDir(), nil))
	if powers.History != nil || powers.Content != nil || powers.State == nil || powers.Digests == nil || powers.Quarantine == nil {
		t.Errorf("%+v", powers)
	}
}

// What another server has lies beside, in a folder that is a store of its own.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, nil)
	resource := func(server, id, text string) fhirsync.Resource {
		return fhirsync.Resource{
			Key: fhirsync.Key{Server: server, Type: "Practitioner", ID: id}, Raw: []byte(`{"resourceType":"Practitioner","id":"` + id + `","gender":"` + text + `"}`),
		}
	}
	put := func(server string, resources ...fhirsync.Resource) error {
		return s.Put(t.Context(), fhirsync.Batch{Server: server, PatientID: "p1", Resources: resources})
	}
	const one, two = "https://one.example/fhir", "https://two.example/fhir"
	if err := put("payer", resource(one, "1", "one")); err != nil {
		t.Fatal(err)
	}
	if err := put("payer", resource(one, "2", "one"), resource(two, "1", "two"), resource("payer", "1", "own")); err != nil {
		t.Fatal(err)
	}
	var rejected *fhirsync.RejectError
	if err := put("payer", resource("payer", "3", "own"), resource(one, "", "one"), resource(two, "3", "two")); !errors.As(err, &rejected) || len(rejected.Rejected) != 1 || rejected.Rejected[1] == nil {
		t.Errorf("%v", err)
	}
	for _, other := range []string{"another", one} {
		if err := put(other, resource(other, "1", "other")); !errors.Is(err, dirstore.ErrOtherServer) {
			t.Errorf("%v", err)
		}
	}
	mustClose(t, s)
	if _, err := s.Get(t.Context(), resource(one, "1", "").Key); err == nil {
		t.Error("a closed store reads")
	}
	s = open(t, dir, nil)
	for _, want := range []fhirsync.Resource{resource(one, "1", "one"), resource(one, "2", "one"), resource(two, "1", "two"), resource("payer", "1", "own"), resource(two, "3", "two")} {
		if got, err := s.Get(t.Context(), want.Key); err != nil || string(got.Raw) != string(want.Raw) || got.Key != want.Key {
			t.Errorf("%v: %s, %v", want.Key, got.Raw, err)
		}
	}
	others, err := s.Elsewhere()
	if err != nil || len(others) != 2 || s.Len() != 2 {
		t.Fatalf("%d, %d, %v", len(others), s.Len(), err)
	}
	servers := map[string]int{}
	for _, o := range others {
		servers[o.Server()] = o.Len()
	}
	if servers[one] != 2 || servers[two] != 2 {
		t.Errorf("%v", servers)
	}
}
