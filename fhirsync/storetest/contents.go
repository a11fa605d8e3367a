package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

var contentRules = []rule{
	{
		"contents",
		"a ContentStore keeps the bytes of each content by its Key as they are, whatever they are; one that comes again replaces the one before",
		withContents(storedContents),
	},
	{
		"contents-keys",
		"contents are told apart by all of their Key: two servers, or two types, with one id have one each; and they are no resources",
		withContents(contentKeys),
	},
	{
		"contents-whole",
		"a content whose Body cannot be read to its end is an error of PutContent, and nothing half of it is there: the one before is, or none",
		withContents(halfContents),
	},
	{
		"contents-cancelled",
		"a PutContent whose context ends gives an error or has kept all: nothing half of the content is there, and the next one succeeds",
		withContents(cancelledContents),
	},
	{
		"contents-durable",
		"what PutContent has accepted is there after a restart",
		withContents(durableContents),
	},
}

func withContents(check1 func(*check, fhirsync.Store, fhirsync.ContentStore)) func(*check) {
	return func(c *check) {
		s := c.open()
		cs := fhirsync.PowersOf(s).Content
		if cs == nil {
			c.untested("contents (the store has no ContentStore: they come to Put as Binary resources)")
			return
		}
		check1(c, s, cs)
	}
}

// contentKey is where most contents here go.
func contentKey(id string) fhirsync.Key {
	return fhirsync.Key{Server: server, Type: "Binary", ID: id}
}

func content(key fhirsync.Key, data []byte) fhirsync.Content {
	x := fhirsync.NewContent(key, data)
	x.Run, x.Server, x.PatientID, x.URL, x.ContentType = "run1", server, patientID, "Binary/"+key.ID, "application/pdf"
	return x
}

// keep puts a content, which must succeed.
func (c *check) keep(cs fhirsync.ContentStore, key fhirsync.Key, data []byte) {
	c.Helper()
	if err := cs.PutContent(c.Context(), content(key, data)); err != nil {
		c.broken("PutContent gave the error: %v", err)
	}
}

// kept checks the content under a key, where that can be told: one of those wanted, nil for none.
func (c *check) kept(s fhirsync.Store, key fhirsync.Key, wanted ...[]byte) {
	c.Helper()
	if c.h.Content == nil {
		c.untested("what PutContent has kept (Harness.Content is nil)")
		return
	}
	got, err := c.h.Content(c.Context(), s, key)
	for _, want := range wanted {
		switch {
		case want == nil && errors.Is(err, fs.ErrNotExist), want != nil && err == nil && bytes.Equal(got, want):
			return
		}
	}
	c.broken("the content %q: %v, %d bytes: %s", key.ID, err, len(got), around(got, 0))
}

func storedContents(c *check, s fhirsync.Store, cs fhirsync.ContentStore) {
	held := observation("a", "1")
	c.put(s, held)
	contents := map[string][]byte{
		"a": []byte("\xff\xfe\x00\r\n\xc3%PDF"), "empty": {}, "large": bytes.Repeat([]byte("\x00\xff\n"), 3<<20), "A": []byte("another"), "content-0": []byte("{\"a\": 1.50 }"),
	}
	for _, round := range []string{"before ", "", ""} { // the last time as after an error.
		for id, data := range contents {
			c.keep(cs, contentKey(id), append([]byte(round), data...))
		}
	}
	c.holds(s, held)
	for id, want := range contents {
		c.kept(s, contentKey(id), want)
	}
	c.kept(s, contentKey("none"), nil)
}

func contentKeys(c *check, s fhirsync.Store, cs fhirsync.ContentStore) {
	held := resource(fhirsync.Key{Server: server, Type: "Binary", ID: "a"}, "a resource")
	c.put(s, held)
	c.keep(cs, contentKey("a"), []byte("a content"))
	other := fhirsync.Key{Server: otherServer, Type: "Binary", ID: "a"}
	c.keep(cs, other, []byte("of another server"))
	media := fhirsync.Key{Server: server, Type: "Media", ID: "a"}
	c.keep(cs, media, []byte("of another type"))
	c.kept(s, contentKey("a"), []byte("a content"))
	c.kept(s, other, []byte("of another server"))
	c.kept(s, media, []byte("of another type"))
	c.holds(s, held)
	c.counts(s, 1)
}

// cut is bytes that can be read up to a place only, as from a file on a disk that fails.
type cut struct {
	data []byte
	at   int64
}

var errCut = errors.New("the content cannot be read any further")

func (r cut) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= r.at {
		return copy(p, r.data[off:]), nil
	}
	if off >= r.at {
		return 0, errCut
	}
	return copy(p, r.data[off:r.at]), errCut
}

func halfContents(c *check, s fhirsync.Store, cs fhirsync.ContentStore) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // more than one piece, whatever the size of pieces is.
	before := []byte("before")
	c.keep(cs, contentKey("old"), before)
	for _, at := range []int64{0, 1, 1 << 20, int64(len(data)) - 1} {
		for id, was := range map[string][]byte{"new": nil, "old": before} {
			x := content(contentKey(id), data)
			x.Body = io.NewSectionReader(cut{data, at}, 0, int64(len(data)))
			if err := cs.PutContent(c.Context(), x); err == nil {
				c.broken("PutContent gave no error of a content of %d bytes of which %d can be read", len(data), at)
			}
			c.kept(s, contentKey(id), was, nil)
		}
	}
	c.keep(cs, contentKey("new"), data)
	c.kept(s, contentKey("new"), data)
	c.keep(cs, contentKey("old"), data)
	c.kept(s, contentKey("old"), data)
}

func cancelledContents(c *check, s fhirsync.Store, cs fhirsync.ContentStore) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	done, cancel := context.WithCancel(c.Context())
	cancel()
	for n := range 12 {
		var ctx context.Context = expireAfter(c.Context(), n)
		if n == 0 {
			ctx = done
		}
		key := contentKey("a")
		if err := cs.PutContent(ctx, content(key, data)); err == nil {
			c.kept(s, key, data)
			break
		}
		c.kept(s, key, nil)
	}
	c.keep(cs, contentKey("a"), data)
	c.kept(s, contentKey("a"), data)
}

func durableContents(c *check, s fhirsync.Store, cs fhirsync.ContentStore) {
	if c.h.Reopen == nil {
		c.untested("whether contents are there after a restart (Harness.Reopen is nil)")
		return
	}
	data := bytes.Repeat([]byte("\x00\xff"), 1<<20)
	c.keep(cs, contentKey("a"), []byte("before"))
	c.keep(cs, contentKey("a"), data)
	c.keep(cs, contentKey("b"), []byte{})
	again := c.h.Reopen(c.TB, s)
	c.kept(again, contentKey("a"), data)
	c.kept(again, contentKey("b"), []byte{})
	if fhirsync.PowersOf(again).Content == nil {
		c.broken("the reopened store has no ContentStore any longer")
	}
}

func durableVersions(c *check) {
	s := c.open()
	h := fhirsync.PowersOf(s).History
	switch {
	case h == nil:
		return // said before.
	case c.h.Reopen == nil || c.h.Version == nil:
		c.untested("whether versions are there after a restart (Harness.Reopen or Harness.Version is nil)")
		return
	}
	old := observation("a", "the old one")
	if err := h.PutVersions(c.Context(), batchOf(old)); err != nil {
		c.broken("PutVersions gave the error: %v", err)
	}
	again := c.h.Reopen(c.TB, s)
	got, err := c.h.Version(c.Context(), again, old.Key, old.VersionID)
	if err != nil || !bytes.Equal(got.Raw, old.Raw) && !c.h.DropsSpace {
		c.broken("version %q is not there after a restart: %v, %d bytes", old.VersionID, err, len(got.Raw))
	}
}
