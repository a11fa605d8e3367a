package drivertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
)

func putVersion(tb testing.TB, s fhirsync.HistoryStore, patient, id, version string) {
	tb.Helper()
	r := resource(id, "version "+version, 0)
	r.VersionID = version
	if err := s.PutVersions(tb.Context(), batchOf(patient, r)); err != nil {
		tb.Fatal(err)
	}
}

func contentFor(patient, id string, data []byte) fhirsync.Content {
	c := fhirsync.NewContent(fhirsync.Key{Server: "payer", Type: "Binary", ID: id}, data)
	c.Run, c.Server, c.PatientID, c.URL, c.ContentType = "run1", "payer", patient, "Binary/"+id, "application/pdf"
	return c
}

func putContent(tb testing.TB, s fhirsync.ContentStore, patient, id string, data []byte) {
	tb.Helper()
	if err := s.PutContent(tb.Context(), contentFor(patient, id, data)); err != nil {
		tb.Fatal(err)
	}
}

// keptOf lists what is kept of a patient beside the resources.
func keptOf(tb testing.TB, s *sqlstore.Store, patient string) string {
	tb.Helper()
	var out strings.Builder
	for r, err := range s.Versions(tb.Context(), "payer", patient) {
		if err != nil {
			tb.Fatal(err)
		}
		out.WriteString(r.ID + "/" + r.VersionID + " ")
	}
	for c, err := range s.Contents(tb.Context(), "payer", patient) {
		if err != nil {
			tb.Fatal(err)
		}
		data, err := io.ReadAll(c.Body)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&out, "%s:%s:%s:%d ", c.Key.ID, c.URL, c.ContentType, len(data))
	}
	return out.String()
}

// Only who asks for it gets versions and contents: what comes without would be missed elsewhere.
func TestKeepingIsAskedFor(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		p.opts.History, p.opts.Contents = false, false
		powers := fhirsync.PowersOf(p.open(p.t))
		if powers.History != nil || powers.Content != nil || powers.State == nil || powers.Digests == nil || powers.Seen == nil || powers.Quarantine == nil {
			p.t.Errorf("%+v", powers)
		}
		p.opts.History, p.opts.Contents = true, true
		powers = fhirsync.PowersOf(p.open(p.t))
		if powers.History == nil || powers.Content == nil {
			p.t.Errorf("%+v", powers)
		}
	})
}

// Who is erased leaves neither versions nor contents behind, and takes none of others along.
func TestEraseVersionsAndContents(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.History, d.opts.Contents = true, true
		s := d.open(t)
		large := bytes.Repeat([]byte("\x00\xff"), 1<<20)
		put(t, s, "p1", resource("own", "1", 0))
		putVersion(t, s, "p1", "own", "1")
		putVersion(t, s, "p1", "shared", "1")
		putVersion(t, s, "p2", "shared", "1")
		putVersion(t, s, "p2", "other", "1")
		putContent(t, s, "p1", "own", large)
		putContent(t, s, "p1", "shared", []byte("shared"))
		putContent(t, s, "p2", "shared", []byte("shared"))
		putContent(t, s, "p2", "other", large)
		if got := keptOf(t, s, "p1"); got != "own/1 shared/1 own:Binary/own:application/pdf:2097152 shared:Binary/shared:application/pdf:6 " {
			t.Error(got)
		}
		before, err := s.Content(t.Context(), contentFor("", "own", nil).Key)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.ErasePatient(t.Context(), "payer", "p1"); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if got := keptOf(t, s, "p1"); got != "" {
			t.Errorf("left behind: %s", got)
		}
		if got := keptOf(t, s, "p2"); got != "shared/1 other/1 shared:Binary/shared:application/pdf:6 other:Binary/other:application/pdf:2097152 " {
			t.Error(got)
		}
		if _, err := s.Content(t.Context(), before.Key); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if _, err := io.ReadAll(before.Body); err == nil {
			t.Error("an erased content can be read")
		}
		if _, err := s.Version(t.Context(), resource("own", "", 0).Key, "1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if _, err := s.ErasePatient(t.Context(), "payer", "p2"); err != nil {
			t.Error(err)
		}
		for _, table := range []string{"versions", "version_members", "contents", "content_members", "pieces"} {
			if n := count(t, d.db(t), `SELECT count(*) FROM `+d.table(table)); n != 0 {
				t.Errorf("%s has %d rows left", table, n)
			}
		}
	})
}

// A content that is not what its digest says is not kept, and what was there stays.
func TestContentsOfOtherBytes(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.Contents = true
		s := d.open(t)
		putContent(t, s, "p1", "a", []byte("before"))
		wrong := contentFor("p1", "a", []byte("other"))
		wrong.Digest[0]++
		if err := s.PutContent(t.Context(), wrong); err == nil {
			t.Error("kept")
		}
		c, err := s.Content(t.Context(), wrong.Key)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := c.Bytes(); string(data) != "before" || err != nil {
			t.Errorf("%q, %v", data, err)
		}
		// A reader of what is replaced meanwhile gets an error, and not the one half and the other.
		putContent(t, s, "p1", "large", bytes.Repeat([]byte("a"), 3<<20))
		c, err = s.Content(t.Context(), contentFor("", "large", nil).Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.Body, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		putContent(t, s, "p1", "large", bytes.Repeat([]byte("b"), 3<<20))
		if _, err := io.ReadAll(c.Body); err == nil {
			t.Error("two contents in one")
		}
	})
}

// While one patient is erased again and again, others put the versions and contents that they share.
func TestEraseWhileOthersKeep(t *testing.T) {
	t.Parallel()
	forEach(t, func(p place) {
		t, d := p.t, p.database
		d.opts.History, d.opts.Contents = true, true
		s := d.open(t)
		ctx := t.Context()
		failures := make(chan error, 100)
		var wg gosync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				for round := range 8 {
					patient := fmt.Sprintf("p%d-%d", i, round)
					r := resource("shared", "version 1", 0)
					r.VersionID = "1"
					failures <- errors.Join(s.PutVersions(ctx, batchOf(patient, r)), s.PutContent(ctx, contentFor(patient, "shared", []byte("shared"))), whole(ctx, s, patient))
					_, err := s.ErasePatient(ctx, "payer", patient)
					failures <- err
				}
			})
		}
		go func() {
			wg.Wait()
			close(failures)
		}()
		for err := range failures {
			if err != nil {
				t.Error(err)
			}
		}
		for _, table := range []string{"versions", "version_members", "contents", "content_members", "pieces"} {
			if n := count(t, d.db(t), `SELECT count(*) FROM `+d.table(table)); n != 0 {
				t.Errorf("%s has %d rows left", table, n)
			}
		}
	})
}

// whole tells whether what a patient was just given is there.
func whole(ctx context.Context, s *sqlstore.Store, patient string) error {
	n := 0
	for _, err := range s.Versions(ctx, "payer", patient) {
		if err != nil {
			return err
		}
		n++
	}
	for c, err := range s.Contents(ctx, "payer", patient) {
		if err != nil {
			return err
		}
		if data, err := c.Bytes(); err != nil || string(data) != "shared" {
			return fmt.Errorf("%q: %w", data, err)
		}
		n++
	}
	if n != 2 {
		return fmt.Errorf("%d of 2 are there", n)
	}
	return nil
}
