package fhirsync_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/refs"
)

// putBinary puts a Binary on the server.
func (w web) putBinary(id, typ string, content []byte) {
	w.Put(fhirtest.Resource{
		Type: "Binary", ID: id, Content: content, ContentType: typ,
		Raw: fmt.Appendf(nil, `{"resourceType":"Binary","id":%q,"contentType":%q,"data":%q}`, id, typ, base64.StdEncoding.EncodeToString(content)),
	})
}

// attach puts a document of the patient on the server that names contents.
func (w web) attach(id string, attachments ...string) {
	var links []string
	for _, a := range attachments {
		var x struct{ URL string }
		_ = json.Unmarshal([]byte(a), &x) // what names nothing on the server is no link.
		if ref := refs.Parse(x.URL); ref.Type == "Binary" && ref.Kind == refs.Relative {
			links = append(links, "Binary/"+ref.ID)
		}
	}
	w.put("DocumentReference/"+id, true, `"content":[{"attachment":`+strings.Join(attachments, `},{"attachment":`)+`}]`, links...)
}

func hashOf(content []byte) string {
	sum := sha1.Sum(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// odd is a content that no text survives: each byte, a byte order mark, half of a UTF-8 letter.
func oddContent() []byte {
	out := []byte("\xff\xfe%PDF-1.7\r\n\x00\xc3")
	for i := range 256 {
		out = append(out, byte(i))
	}
	return out
}

// contentOf gives what the store holds under Binary/id.
func contentOf(t *testing.T, store *memstore.Store, id string) []byte {
	t.Helper()
	r, ok := store.Get(fhirsync.Key{Server: "web", Type: "Binary", ID: id})
	if !ok {
		return nil
	}
	var b struct{ Data []byte }
	if err := json.Unmarshal(r.Raw, &b); err != nil {
		t.Errorf("Binary/%s: %v", id, err)
	}
	return b.Data
}

// Contents survive bit for bit, in whatever way the server gives them.
func TestContents(t *testing.T) {
	t.Parallel()
	for _, f := range []fhirtest.Fault{{}, fhirtest.BinaryNative(), fhirtest.BinaryWrapped(), fhirtest.BinaryAccept(), fhirtest.BinaryWithoutData()} {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			w := newWeb()
			pdf, cda, latin := oddContent(), []byte("\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<ClinicalDocument/>\n"), []byte("\xe4\xf6\xfc")
			w.putBinary("pdf", "application/pdf", pdf)
			w.putBinary("cda", "application/xml; charset=utf-8", cda)
			w.putBinary("latin", "text/plain; charset=iso-8859-1", latin)
			w.putBinary("json", "application/fhir+json", []byte(`{"resourceType":"Bundle","type":"document"}`))
			w.attach("d",
				fmt.Sprintf(`{"contentType":"application/pdf","url":"Binary/pdf","hash":%q,"size":%d}`, hashOf(pdf), len(pdf)),
				fmt.Sprintf(`{"contentType":"application/xml","url":%q,"size":"%d"}`, w.BaseURL()+"/Binary/cda", len(cda)),
				`{"contentType":"text/plain; charset=iso-8859-1","url":"Binary/latin"}`, `{"contentType":"application/fhir+json","url":"Binary/json"}`,
				`{"contentType":"text/plain","data":"aW4gbGluZQ==","url":"Binary/inline"}`)
			w.Inject(f)
			store := new(memstore.Store)
			client := w.client(t)
			rep := w.sync(t, client, store, nil)
			for id, want := range map[string][]byte{"pdf": pdf, "cda": cda, "latin": latin, "json": []byte(`{"resourceType":"Bundle","type":"document"}`)} {
				if got := contentOf(t, store, id); !bytes.Equal(got, want) {
					t.Errorf("%s: %q", id, got)
				}
			}
			if rep.Verdict != fhirsync.Complete || rep.Types["Binary"].Stored != 4 {
				t.Errorf("%s", rep)
			}
			if contentOf(t, store, "inline") != nil || slices.Contains(w.asked("Binary"), "Binary/inline") {
				t.Error("asked for what is there")
			}
			before := rep.Requests.References
			if again := w.sync(t, client, new(memstore.Store), nil); again.Requests.References > before {
				t.Errorf("%d requests, %d before", again.Requests.References, before)
			}
		})
	}
}

// A Binary whose JSON is broken is repaired like any resource, and never taken for the content itself.
func TestBrokenBinaries(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.putBinary("1", "text/plain", []byte("content"))
	w.attach("d", `{"contentType":"text/plain","url":"Binary/1"}`)
	w.Inject(fhirtest.BinaryWrapped(), fhirtest.NamesWithoutQuotes().For("Binary"))
	store := new(memstore.Store)
	rep := w.sync(t, w.client(t), store, nil)
	if got := contentOf(t, store, "1"); string(got) != "content" || rep.Verdict == fhirsync.Incomplete {
		t.Errorf("%q\n%s", got, rep)
	}
}

// contents is a store that takes contents.
type contents struct {
	*memstore.Store
	got   map[string]kept
	err   func(n int) error // of the nth call; nil: none
	calls int
}

// kept is a content as it was while it could be read.
type kept struct {
	fhirsync.Content
	Data []byte
}

func (c *contents) PutContent(_ context.Context, x fhirsync.Content) error {
	c.calls++
	if c.err != nil {
		if err := c.err(c.calls); err != nil {
			return err
		}
	}
	if c.got == nil {
		c.got = map[string]kept{}
	}
	data, err := io.ReadAll(x.Body)
	if sum := sha256.Sum256(data); err == nil && sum != x.Digest {
		err = errors.New("another digest")
	}
	c.got[x.Key.ID] = kept{x, data}
	return err
}

func TestContentStore(t *testing.T) {
	t.Parallel()
	for _, f := range []fhirtest.Fault{{}, fhirtest.BinaryWrapped(), fhirtest.BinaryAccept()} {
		w := newWeb()
		w.putBinary("1", "application/pdf", oddContent())
		w.attach("d", `{"contentType":"application/pdf","url":"Binary/1"}`)
		w.Inject(f)
		store := &contents{Store: new(memstore.Store), err: func(n int) error {
			if n == 1 {
				return errors.New("passing")
			}
			return nil
		}}
		rep := w.sync(t, w.client(t), store, nil)
		got := store.got["1"]
		if !bytes.Equal(got.Data, oddContent()) || got.URL != "Binary/1" || got.ContentType != "application/pdf" || got.PatientID != "p" || got.Key != (fhirsync.Key{Server: "web", Type: "Binary", ID: "1"}) {
			t.Errorf("%s: %+v", f.Name, got)
		}
		if _, put := store.Get(got.Key); put || rep.Types["Binary"].Stored != 1 || rep.Verdict != fhirsync.Complete {
			t.Errorf("%s: put as a resource too: %t\n%s", f.Name, put, rep)
		}
	}
	w := newWeb()
	w.putBinary("1", "application/pdf", oddContent())
	w.attach("d", `{"contentType":"application/pdf","url":"Binary/1"}`)
	store := &contents{Store: new(memstore.Store), err: func(int) error { return &fhirsync.RejectError{} }}
	if rep := w.sync(t, w.client(t), store, nil); rep.Verdict != fhirsync.Incomplete || rep.Types["Binary"].Received != 1 || rep.Types["Binary"].Stored != 0 {
		t.Errorf("rejected:\n%s", rep)
	}
	store = &contents{Store: new(memstore.Store), err: func(int) error { return errors.New("for good") }}
	_, err := w.client(t).Sync(t.Context(), fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, nil)
	if failed := new(fhirsync.StoreError); !errors.As(err, &failed) {
		t.Errorf("%v", err)
	}
	// Wrappers: keys are rewritten as the resources are, and a store that cannot take contents gets them as resources.
	space, err := idspace.New(idspace.Options{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	store = &contents{Store: new(memstore.Store)}
	w.sync(t, w.client(t), fhirsync.Namespaced(store, space), nil)
	if got := store.got[space.ID("Binary", "1")]; !bytes.Equal(got.Data, oddContent()) || got.PatientID != space.ID("Patient", "p") {
		t.Errorf("namespaced: %v", store.got)
	}
	plain := new(memstore.Store)
	w.sync(t, w.client(t), fhirsync.Tee(&contents{Store: new(memstore.Store)}, plain), nil)
	if !bytes.Equal(contentOf(t, plain, "1"), oddContent()) {
		t.Error("nothing in a store of two")
	}
	both := []*contents{{Store: new(memstore.Store)}, {Store: new(memstore.Store)}}
	w.sync(t, w.client(t), fhirsync.Tee(both[0], both[1]), nil)
	if len(both[0].got) != 1 || len(both[1].got) != 1 {
		t.Error("not in both")
	}
}

// What does not come, or is not what was meant, is in the report; and only contents of this server are asked for.
func TestContentsThatDoNotCome(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3<<20)
	for _, c := range []struct {
		name       string
		attachment string
		fault      fhirtest.Fault
		reason     fhirsync.GapReason
		verdict    fhirsync.Verdict
		stored     int
	}{
		{"not there", `{"url":"Binary/none"}`, fhirtest.Fault{}, fhirsync.Dangling, fhirsync.Complete, 0},
		{"denied", `{"url":"Binary/1"}`, fhirtest.Status(403).For("Binary"), fhirsync.Denied, fhirsync.Restricted, 0},
		{"a login page", `{"url":"Binary/1","contentType":"text/plain"}`, fhirtest.HTMLError(200).For("Binary"), fhirsync.Failed, fhirsync.Incomplete, 0},
		{"another hash", `{"url":"Binary/1","hash":"` + hashOf(oddContent()) + `"}`, fhirtest.Fault{}, fhirsync.Unproven, fhirsync.Restricted, 1},
		{"another size", `{"url":"Binary/1","size":5}`, fhirtest.Fault{}, fhirsync.Unproven, fhirsync.Restricted, 1},
		{"another content", `{"url":"Binary/1","hash":"` + hashOf([]byte("content")) + `"}`, fhirtest.WrongContent(), fhirsync.Unproven, fhirsync.Restricted, 1},
		{"another id", `{"url":"Binary/1"}`, fhirtest.WrongIDOnRead().For("Binary"), fhirsync.Failed, fhirsync.Incomplete, 0},
		{"said to be too large", `{"url":"Binary/1","size":2000000}`, fhirtest.Fault{}, fhirsync.Limited, fhirsync.Incomplete, 0},
		{"too large", `{"url":"Binary/large"}`, fhirtest.Fault{}, fhirsync.Limited, fhirsync.Incomplete, 0},
		{"on another server", `{"url":"https://other.example/secret/x.pdf"}`, fhirtest.Fault{}, fhirsync.Skipped, fhirsync.Complete, 0},
		{"another patient's", `{"url":"Patient/x/$everything"}`, fhirtest.Fault{}, fhirsync.Skipped, fhirsync.Complete, 0},
		{"another patient", `{"url":"Patient/x"}`, fhirtest.Fault{}, fhirsync.Skipped, fhirsync.Complete, 0},
		{"no address", `{"url":"javascript:alert(1)"}`, fhirtest.Fault{}, fhirsync.Skipped, fhirsync.Complete, 0},
		{"a path that leads up", `{"url":"../../admin"}`, fhirtest.Fault{}, fhirsync.Skipped, fhirsync.Complete, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.putBinary("1", "text/plain", []byte("content"))
				w.putBinary("large", "text/plain", []byte(long))
				w.put("DocumentReference/d", true, `"content":[{"attachment":`+c.attachment+`}]`)
				w.Inject(c.fault)
				store := new(memstore.Store)
				rep := w.sync(t, newClient(t, w.Server, fhirsync.Config{Limit: unpaced, MaxPage: 1 << 20}), store, nil)
				if rep.Verdict != c.verdict || rep.Types["Binary"].Stored != c.stored || len(gapsOf(rep, c.reason)) != 1 {
					t.Errorf("%s", rep)
				}
				for _, q := range w.Requests() {
					if q.Interaction == fhirtest.Foreign || strings.Contains(q.URL, "Patient/x") || strings.Contains(q.URL, "admin") {
						t.Errorf("asked for %s", q.URL)
					}
				}
				if text := rep.String(); strings.Contains(text, "secret") || strings.Contains(text, "alert") {
					t.Errorf("%s", text)
				}
			})
		})
	}
}

// A Binary that says itself whose it is, and is another patient's, is not stored, whoever names it.
func TestContentsOfOthers(t *testing.T) {
	t.Parallel()
	for _, store := range []fhirsync.Store{new(memstore.Store), &contents{Store: new(memstore.Store)}} {
		w := newWeb()
		w.Put(fhirtest.Resource{Type: "Binary", ID: "1", Raw: []byte(`{"resourceType":"Binary","id":"1","contentType":"text/plain","securityContext":{"reference":"Patient/x"},"data":"eA=="}`)})
		w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1"}}]`)
		rep := w.sync(t, w.client(t), store, nil)
		if rep.Types["Binary"].Stored != 0 || len(gapsOf(rep, fhirsync.Shared)) != 1 {
			t.Errorf("%s", rep)
		}
	}
}

// files serves files beside a FHIR server, on the same host.
type files struct {
	next  http.RoundTripper
	files map[string]string // by path
	mu    sync.Mutex
	asked []string // path and Authorization
}

func (f *files) RoundTrip(r *http.Request) (*http.Response, error) {
	content, ok := f.files[r.URL.Path]
	if !ok {
		return f.next.RoundTrip(r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.URL.String()+" "+r.Header.Get("Authorization"))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"image/png"}}, Body: io.NopCloser(strings.NewReader(content)), ContentLength: -1, Request: r,
	}, nil
}

// Contents that are no Binary are kept under an id made of their address, which the resource has too.
func TestContentsBesideBinaries(t *testing.T) {
	t.Parallel()
	w := newWeb()
	f := &files{next: w.RoundTripper(), files: map[string]string{"/r4/documents/m.png": "pixels", "/files/a b.png": string(oddContent())}}
	w.attach("d", `{"contentType":"image/png","url":"documents/m.png"}`, `{"url":"HTTP://fhir.EXAMPLE.test/r4/documents/m.png?size=1&x=%3C"}`, `{"url":"https://fhir.example.test/files/a%20b.png"}`)
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: f}, Limit: unpaced})
	if err != nil {
		t.Fatal(err)
	}
	server := fhirsync.Server{Name: "web", BaseURL: w.BaseURL(), TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "t"})}
	store := new(memstore.Store)
	rep, err := client.Sync(t.Context(), server, "p", store, nil)
	if err != nil || rep.Verdict != fhirsync.Complete {
		t.Fatalf("%v\n%s", err, rep)
	}
	got := map[string]string{}
	for r := range store.All() {
		if r.Type == "Binary" {
			var b struct {
				ID   string
				Meta struct{ Source string }
				Data []byte
			}
			if err := json.Unmarshal(r.Raw, &b); err != nil || b.ID != r.ID || !strings.HasPrefix(r.ID, "content-") || r.Origin.Op != "content" {
				t.Errorf("%v %+v", err, r)
			}
			got[b.Meta.Source] = string(b.Data)
		}
	}
	if d := cmp.Diff(map[string]string{
		"documents/m.png": "pixels", "HTTP://fhir.EXAMPLE.test/r4/documents/m.png?size=1&x=%3C": "pixels", "https://fhir.example.test/files/a%20b.png": string(oddContent()),
	}, got); d != "" {
		t.Error(d)
	}
	slices.Sort(f.asked)
	if d := cmp.Diff([]string{
		"https://fhir.example.test/files/a%20b.png Bearer t", "https://fhir.example.test/r4/documents/m.png Bearer t",
		"https://fhir.example.test/r4/documents/m.png?size=1&x=%3C Bearer t",
	}, f.asked); d != "" {
		t.Error(d)
	}
	keeps := &contents{Store: new(memstore.Store)}
	if _, err := client.Sync(t.Context(), server, "p", keeps, nil); err != nil || len(keeps.got) != 3 {
		t.Errorf("%v %v", err, keeps.got)
	}
}

// A sync that was interrupted has forgotten no content, nor what is known of it.
func TestContentsSurviveAnInterruption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		for i := range 100 {
			id := strconv.Itoa(i)
			content := append(oddContent(), byte(i))
			w.putBinary(id, "application/pdf", content)
			w.attach(id, fmt.Sprintf(`{"url":"Binary/%d","hash":%q}`, i, hashOf(content)))
		}
		w.Inject(fhirtest.Slow(2*time.Second), fhirtest.WrongContent().After(20))
		var store *memstore.Store
		for stop := 20 * time.Second; ; stop += 2 * time.Second {
			store = new(memstore.Store)
			ctx, cancel := context.WithTimeout(t.Context(), stop)
			_, err := w.client(t).Sync(ctx, fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			n := 0
			for r := range store.All() {
				if r.Type == "Binary" {
					n++
				}
			}
			if n > 0 && n < 100 {
				break
			}
		}
		rep := w.sync(t, w.client(t), store, nil)
		if rep.Types["Binary"].Stored != 100 || rep.ResumedFrom.IsZero() || len(gapsOf(rep, fhirsync.Unproven)) == 0 {
			t.Errorf("%s", rep)
		}
	})
}

// The policy leaves contents where they are.
func TestContentsLeftOut(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.putBinary("1", "text/plain", []byte("content"))
	w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1"}}]`)
	rep := w.sync(t, w.client(t), new(memstore.Store), &fhirsync.SyncOptions{References: refs.Policy{OmitAttachments: true}})
	if d := cmp.Diff(0, rep.Types["Binary"].Received); d != "" || len(w.asked("Binary")) != 0 {
		t.Errorf("%s\n%s", d, rep)
	}
}

// A content that does not fit into memory comes whole, if the store takes contents, and leaves no file behind.
func TestLargeContents(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	large := bytes.Repeat(oddContent(), 40_000) // 11 MB
	for _, c := range []struct {
		name       string
		attachment string
		most       int64
		fault      fhirtest.Fault
		kept       bool
		reason     fhirsync.GapReason
	}{
		{name: "as itself", attachment: fmt.Sprintf(`{"contentType":"application/pdf","url":"Binary/1","hash":%q,"size":%d}`, hashOf(large), len(large)), kept: true},
		{name: "nothing known", attachment: `{"url":"Binary/1"}`, kept: true},
		{name: "cut once", attachment: `{"contentType":"application/pdf","url":"Binary/1"}`, fault: fhirtest.TruncatedBody().For("Binary").Times(1), kept: true},
		{name: "another hash", attachment: `{"url":"Binary/1","hash":"` + hashOf(oddContent()) + `"}`, kept: true, reason: fhirsync.Unproven},
		{name: "beyond the cap", attachment: `{"contentType":"application/pdf","url":"Binary/1"}`, most: 8 << 20, reason: fhirsync.Limited},
		{name: "said to be beyond the cap", attachment: `{"url":"Binary/1","size":99000000}`, most: 8 << 20, reason: fhirsync.Limited},
		{name: "a page", attachment: `{"contentType":"application/pdf","url":"Binary/page"}`, reason: fhirsync.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWeb()
				w.putBinary("1", "application/pdf", large)
				w.putBinary("page", "application/pdf", append([]byte("<!DOCTYPE html>"), large...))
				w.attach("d", c.attachment)
				w.Inject(fhirtest.BinaryNative(), c.fault)
				store := &contents{Store: new(memstore.Store), err: func(n int) error {
					if n == 1 {
						return errors.New("passing") // it is read again from its beginning.
					}
					return nil
				}}
				rep := w.sync(t, newClient(t, w.Server, fhirsync.Config{Limit: unpaced, MaxPage: 5 << 20, MaxContent: c.most}), store, nil)
				if got := store.got["1"].Data; bytes.Equal(got, large) != c.kept || !c.kept && len(store.got) > 0 {
					t.Errorf("%d bytes\n%s", len(got), rep)
				}
				if c.reason == "" && rep.Verdict != fhirsync.Complete || c.reason != "" && len(gapsOf(rep, c.reason)) != 1 {
					t.Errorf("%s", rep)
				}
			})
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v left, %v", left, err)
			}
		})
	}
}

// A page that asks for a password is not the content, whatever type the attachment says that it has; another page may be.
func TestPagesForContents(t *testing.T) {
	t.Parallel()
	login := "<html><body><form><input type='password' name=p></form></body></html>"
	letter := "<!DOCTYPE html><html><body>Dear patient</body></html>"
	for _, c := range []struct {
		content, attachment string
		stored              int
	}{
		{login, `{"url":"Binary/1","contentType":"text/html"}`, 0},
		{login, `{"url":"Binary/1","contentType":"text/html","hash":"` + hashOf([]byte(login)) + `"}`, 1},
		{letter, `{"url":"Binary/1","contentType":"text/html"}`, 1},
		{letter, `{"url":"Binary/1","contentType":"application/pdf"}`, 0},
		{letter, `{"url":"Binary/1"}`, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			w.putBinary("1", "text/html", []byte(c.content))
			w.attach("d", c.attachment)
			w.Inject(fhirtest.BinaryNative())
			rep := w.sync(t, w.client(t), new(memstore.Store), nil)
			if rep.Types["Binary"].Stored != c.stored || (rep.Verdict == fhirsync.Complete) != (c.stored == 1) {
				t.Errorf("%s\n%s", c.attachment, rep)
			}
		})
	}
}

// TestABinaryWithoutWhatItHoldsIsNoContent: also where the content itself is taken for broken FHIR, so that the Binary is asked for once more.
func TestABinaryWithoutWhatItHoldsIsNoContent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 30 + seed, Size: 40, Attachments: 8})
			srv := fhirtest.NewServer(rec)
			srv.Inject(fhirtest.BinaryWithoutData(), fhirtest.Latin1("utf-8"))
			store := new(memstore.Store)
			rep, _ := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
			for r := range store.All() {
				named := func(g fhirsync.Gap) bool { return g.Ref == "Binary/"+r.ID && g.Reason.Verdict() < fhirsync.Complete }
				if r.Type == "Binary" && !bytes.Contains(r.Raw, []byte(`"data"`)) && !slices.ContainsFunc(rep.Gaps, named) {
					t.Errorf("Binary/%s is stored without what it holds, and the report does not say so\n%s", r.ID, rep)
				}
			}
		})
	}
}

// The resource that has a content in it is never taken for the content, however large it is and whatever it is called.
func TestWrappedContentsAreUnwrapped(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat(oddContent(), 20_000) // 5 MB
	packed := base64.StdEncoding.EncodeToString(data)
	for _, c := range []struct{ typ, body, wrong string }{
		{typ: "application/json", body: `{"contentType":"application/pdf","data":"` + packed + `","id":"1","resourceType":"Binary"}`},
		{typ: "application/pdf", body: `{"contentType":"application/pdf","data":"` + packed + `","id":"1","resourceType":"Binary"}`},
		{typ: "application/xml", body: `<?xml version="1.0"?><!-- x --><Binary xmlns="http://hl7.org/fhir"><id value="1"/><data value="` + packed + `"/></Binary>`, wrong: "failed"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWeb()
			w.attach("d", `{"contentType":"application/pdf","url":"Binary/1"}`)
			rt := &spy{next: w.RoundTripper(), answer: func(r *http.Request) *http.Response {
				if !strings.HasSuffix(r.URL.Path, "/Binary/1") {
					return nil
				}
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.typ}}, Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: -1}
			}}
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: rt}, Limit: unpaced})
			if err != nil {
				t.Fatal(err)
			}
			store := &contents{Store: new(memstore.Store)}
			rep := w.sync(t, client, store, nil)
			if c.wrong == "" && !bytes.Equal(store.got["1"].Data, data) || c.wrong != "" && (len(store.got) > 0 || rep.Verdict != fhirsync.Incomplete) {
				t.Errorf("%s: %d bytes\n%s", c.typ, len(store.got["1"].Data), rep)
			}
		})
	}
}

// TestABrokenBinaryIsNoContent: also where the server calls it text.
func TestABrokenBinaryIsNoContent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 41, Size: 40, Attachments: 10})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.NamesWithoutQuotes(), fhirtest.ContentType("text/plain"))
		store := new(memstore.Store)
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		want, came := srv.Want(rec.PatientID), 0
		for r := range store.All() {
			var got, due struct{ Data []byte }
			if r.Type != "Binary" {
				continue
			}
			if came++; json.Unmarshal(r.Raw, &got) != nil || json.Unmarshal(want["Binary/"+r.ID], &due) != nil || !bytes.Equal(got.Data, due.Data) {
				t.Errorf("Binary/%s holds something else: %.100s", r.ID, got.Data)
			}
		}
		if came == 0 || err != nil {
			t.Errorf("%d came, %v\n%s", came, err, rep)
		}
	})
}

// TestAHollowBinaryWhoseOtherWayFails: what it holds may be there, so that it is a gap.
func TestAHollowBinaryWhoseOtherWayFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 42, Size: 60, Attachments: 8})
		srv := fhirtest.NewServer(rec)
		srv.Everything = true
		p := tampering{base: srv.RoundTripper(), edit: func(_ string, _ url.Values, b map[string]any) {
			entries, _ := b["entry"].([]any)
			for _, e := range entries {
				if resource, _ := e.(map[string]any)["resource"].(map[string]any); resource["resourceType"] == "Binary" {
					delete(resource, "data")
				} else if resource["resourceType"] == "DocumentReference" {
					delete(resource, "content") // nothing says how large it is.
				}
			}
		}}
		srv.Inject(fhirtest.BinaryWithoutData())
		client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: nativeFails{p}}})
		if err != nil {
			t.Fatal(err)
		}
		store := new(memstore.Store)
		rep, _ := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		for ref := range srv.Want(rec.PatientID) {
			named := func(g fhirsync.Gap) bool { return g.Ref == ref && g.Reason == fhirsync.Failed }
			if strings.HasPrefix(ref, "Binary/") && !slices.ContainsFunc(rep.Gaps, named) {
				t.Errorf("%s did not come with what it holds, and the report does not say so", ref)
			}
		}
	})
}

// nativeFails refuses Binaries that are not asked for in FHIR.
type nativeFails struct{ next http.RoundTripper }

func (n nativeFails) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, "/Binary/") && !strings.Contains(r.Header.Get("Accept"), "fhir") {
		return &http.Response{StatusCode: http.StatusInternalServerError, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	return n.next.RoundTrip(r)
}

// TestABinaryIsRepairedAsAnyResource: it holds what it is said to hold, and something is wrong behind it.
func TestABinaryIsRepairedAsAnyResource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := fhirtest.Generate(fhirtest.Options{Seed: 43, Size: 40, Attachments: 8})
		srv := fhirtest.NewServer(rec)
		srv.Inject(fhirtest.BinaryWrapped(), fhirtest.TrailingCommas())
		store := new(memstore.Store)
		rep, err := newClient(t, srv, fhirsync.Config{}).Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
		came := 0
		for r := range store.All() {
			if r.Type == "Binary" {
				came++
				if len(r.Repairs) == 0 || r.Original == nil {
					t.Errorf("Binary/%s: %v", r.ID, r.Repairs)
				}
			}
		}
		if came < 8 || err != nil {
			t.Errorf("%d came, %v\n%s", came, err, rep)
		}
	})
}

// TestABinaryThatComesHollowIsAskedFor: $everything gives Binaries without what they hold, and some servers give that only as the bytes that it is.
func TestABinaryThatComesHollowIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, faults := range [][]fhirtest.Fault{{}, {fhirtest.BinaryWithoutData()}, {fhirtest.Status(http.StatusInternalServerError).For("Binary")}} {
		synctest.Test(t, func(t *testing.T) {
			rec := fhirtest.Generate(fhirtest.Options{Seed: 42, Size: 60, Attachments: 8})
			srv := fhirtest.NewServer(rec)
			srv.Everything = true
			srv.Inject(faults...)
			hollowed := 0
			p := tampering{base: srv.RoundTripper(), edit: func(typ string, _ url.Values, bundle map[string]any) {
				entries, _ := bundle["entry"].([]any)
				for _, e := range entries {
					if resource, _ := e.(map[string]any)["resource"].(map[string]any); typ == "$everything" && resource["resourceType"] == "Binary" {
						delete(resource, "data")
						hollowed++
					}
				}
			}}
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: p}})
			if err != nil {
				t.Fatal(err)
			}
			store := new(memstore.Store)
			rep, _ := client.Sync(t.Context(), fhirsync.Server{BaseURL: srv.BaseURL()}, rec.PatientID, store, nil)
			if hollowed == 0 {
				t.Fatal("$everything gave no Binary")
			}
			held := map[string]bool{}
			for r := range store.All() {
				held[r.Type+"/"+r.ID] = r.Type == "Binary" && bytes.Contains(r.Raw, []byte(`"data"`))
			}
			for ref := range srv.Want(rec.PatientID) {
				named := func(g fhirsync.Gap) bool { return g.Ref == ref && g.Reason == fhirsync.Failed }
				if strings.HasPrefix(ref, "Binary/") && !held[ref] && !slices.ContainsFunc(rep.Gaps, named) {
					t.Errorf("%s did not come with what it holds, and the report does not say so", ref)
				}
			}
			if len(faults) < 1 && rep.Verdict != fhirsync.Complete {
				t.Error(rep)
			}
		})
	}
}
