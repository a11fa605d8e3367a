package fhirsync_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
	"github.com/fhirsync/fhirsync-go/idspace"
	"github.com/fhirsync/fhirsync-go/refs"
)

// other is another server, of which all is noted that it is asked.
type other struct {
	*httptest.Server
	mu    sync.Mutex
	asked []*http.Request
}

func newOther(t *testing.T, answer http.HandlerFunc) *other {
	t.Helper()
	o := new(other)
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.asked = append(o.asked, r)
		o.mu.Unlock()
		answer(w, r)
	}))
	o.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o.StartTLS()
	t.Cleanup(o.Close)
	return o
}

func (o *other) host() string { return strings.TrimPrefix(o.URL, "https://") }

func (o *other) paths() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, r := range o.asked {
		out = append(out, r.URL.Path)
	}
	slices.Sort(out)
	return out
}

// files answers with what it has under a path.
func answers(bodies map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := bodies[r.URL.Path]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			return
		case strings.HasPrefix(body, "{"):
			w.Header().Set("Content-Type", "application/fhir+json")
		case strings.HasPrefix(body, "<"):
			w.Header().Set("Content-Type", "text/html")
		default:
			w.Header().Set("Content-Type", "application/pdf")
		}
		_, _ = io.WriteString(w, body)
	}
}

// open lets the servers of tests be asked: they are on the loopback interface, and nobody knows who signed for them.
func open(all ...*other) *fhirsync.Elsewhere {
	e := &fhirsync.Elsewhere{References: true, Contents: true, Permit: func(a netip.AddrPort) bool { return a.Addr().IsLoopback() }, RootCAs: x509.NewCertPool()}
	for _, o := range all {
		e.RootCAs.AddCert(o.Certificate())
	}
	return e
}

const (
	secretToken  = "t-o-k-e-n"
	secretHeader = "h-e-a-d-e-r"
	signature    = "s-i-g-n-a-t-u-r-e"
)

// spy notes what goes to the server itself, and does what is asked of it with single paths.
type spy struct {
	next   http.RoundTripper
	answer func(r *http.Request) *http.Response // nil, or gives nil: the server answers
	mu     sync.Mutex
	hosts  map[string]int
}

func (s *spy) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	if s.hosts == nil {
		s.hosts = map[string]int{}
	}
	s.hosts[r.URL.Host]++
	s.mu.Unlock()
	if s.answer != nil {
		if resp := s.answer(r); resp != nil {
			resp.Request, resp.ProtoMajor = r, 1
			return resp, nil
		}
	}
	return s.next.RoundTrip(r)
}

// pull syncs with all that is secret, and looks whether any of it got to where it must not.
func (w web) pull(t *testing.T, store fhirsync.Store, e *fhirsync.Elsewhere, rt *spy, others ...*other) *fhirsync.Report {
	t.Helper()
	rep, err := w.pullAs(t, store, &fhirsync.SyncOptions{Elsewhere: e}, rt, others...)
	if err != nil && !errors.Is(err, fhirsync.ErrIncomplete) {
		t.Fatalf("%v\n%s", err, rep)
	}
	return rep
}

func (w web) pullAs(t *testing.T, store fhirsync.Store, o *fhirsync.SyncOptions, rt *spy, others ...*other) (*fhirsync.Report, error) {
	t.Helper()
	if rt == nil {
		rt = new(spy)
	}
	rt.next = w.RoundTripper()
	var logs, events bytes.Buffer
	client, err := fhirsync.New(fhirsync.Config{
		HTTPClient: &http.Client{Transport: rt}, Limit: unpaced, UserAgent: "agent-" + secretHeader, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := fhirsync.Server{
		Name: "web", BaseURL: w.BaseURL(), TokenSource: oauth2.StaticTokenSource(&oauth2.Token{AccessToken: secretToken}),
		Header: http.Header{"X-Api-Key": {secretHeader}, "Cookie": {"session=" + secretHeader}},
	}
	o.OnEvent = func(e fhirsync.Event) {
		_ = json.NewEncoder(&events).Encode(e)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	rep, err := client.Sync(ctx, server, "p", store, o)
	for _, x := range others {
		x.mu.Lock()
		for _, r := range x.asked {
			var all bytes.Buffer
			_ = r.Header.Write(&all)
			if text := all.String(); strings.Contains(text, secretToken) || strings.Contains(text, secretHeader) || r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Referer") != "" {
				t.Errorf("another server was told:\n%s", text)
			}
			if r.Method != http.MethodGet || r.TLS == nil || len(r.TLS.PeerCertificates) > 0 {
				t.Errorf("%s", r.Method)
			}
		}
		x.mu.Unlock()
	}
	for host := range rt.hosts {
		if host != "fhir.example.test" {
			t.Errorf("the caller's transport was led to %s", host)
		}
	}
	asJSON, _ := json.Marshal(rep)
	said := fmt.Sprint(logs.String(), events.String(), rep, string(asJSON), rep.Gaps)
	for _, secret := range []string{signature, secretToken, secretHeader} {
		if strings.Contains(said, secret) {
			t.Errorf("%s was said:\n%s", secret, said)
		}
	}
	return rep, err
}

// Without the option no other server hears of the record, by whatever way it leads there.
func TestElsewhereIsOffByDefault(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/x.pdf": "%PDF", "/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1"}`}))
	for _, off := range []*fhirsync.Elsewhere{nil, {}} {
		w := newWeb()
		w.put("Observation/o", true, `"performer":[{"reference":"`+o.URL+`/fhir/Practitioner/1"}]`)
		w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"`+o.URL+`/x.pdf?Signature=`+signature+`&Expires=1"}},{"attachment":{"url":"Binary/1"}}]`)
		rep := w.pull(t, new(memstore.Store), off, leading(o.URL+"/x.pdf?sig="+signature), o)
		if len(o.paths()) != 0 || len(gapsOf(rep, fhirsync.Skipped)) != 2 || len(gapsOf(rep, fhirsync.Failed)) != 1 || rep.Elsewhere != nil {
			t.Errorf("%v\n%s", o.paths(), rep)
		}
	}
}

func skipped(rep *fhirsync.Report) []fhirsync.Gap {
	return slices.DeleteFunc(slices.Clone(rep.Gaps), func(g fhirsync.Gap) bool { return g.Reason != fhirsync.Skipped })
}

// leading redirects from Binary/1 to elsewhere.
func leading(to string) *spy {
	return &spy{answer: func(r *http.Request) *http.Response {
		if !strings.HasSuffix(r.URL.Path, "/Binary/1") {
			return nil
		}
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {to}}, Body: http.NoBody}
	}}
}

// What other servers have comes without anything that is for the server itself, and does not take the place of the server's own.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{
		"/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1","meta":{"versionId":"3"},"qualification":[{"issuer":{"reference":"Organization/next"}}]}`,
		"/x.pdf":               "%PDF from elsewhere", "/wrapped": `{"resourceType":"Binary","id":"w","contentType":"text/plain","data":"aW5zaWRl"}`,
	}))
	two := newOther(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, o.URL+"/x.pdf?X-Amz-Signature="+signature, http.StatusFound)
	})
	w := newWeb()
	w.put("Practitioner/1", false, `"gender":"other"`)
	w.put("Observation/o", true, `"performer":[{"reference":"Practitioner/1"},{"reference":"`+o.URL+`/fhir/Practitioner/1"},{"reference":"`+o.URL+`/fhir/Practitioner/1/_history/2"}]`, "Practitioner/1")
	one, wrapped, led := o.URL+"/x.pdf?X-Amz-Signature="+signature+"&v=1", o.URL+"/wrapped", two.URL+"/led?X-Amz-Signature="+signature
	w.put("DocumentReference/d", true, fmt.Sprintf(`"content":[{"attachment":{"url":%q,"contentType":"application/pdf","size":19}},{"attachment":{"url":%q}},{"attachment":{"url":%q}}]`, one, wrapped, led))
	plain, keeps := new(memstore.Store), new(memstore.Archive)
	for _, store := range []fhirsync.Store{plain, keeps} {
		rep := w.pull(t, store, open(o, two), nil, o, two)
		if rep.Verdict != fhirsync.Complete || len(rep.Gaps) > 0 && len(gapsOf(rep, fhirsync.Skipped)) > 0 || rep.Types["Practitioner"].Received != 1 || rep.Types["Binary"].Received != 0 {
			t.Errorf("%s", rep)
		}
		var from []string
		for _, h := range rep.Elsewhere {
			from = append(from, fmt.Sprintf("%s %d %d", h.Host, h.Resources, h.Contents))
		}
		want := []string{o.host() + " 1 2", two.host() + " 0 1"}
		slices.Sort(want)
		slices.Sort(from)
		if d := cmp.Diff(want, from); d != "" {
			t.Error(d)
		}
	}
	if own, _ := plain.Get(fhirsync.Key{Server: "web", Type: "Practitioner", ID: "1"}); !strings.Contains(string(own.Raw), "gender") {
		t.Errorf("the server's own is %s", own.Raw)
	}
	foreign, _ := plain.Get(fhirsync.Key{Server: o.URL + "/fhir", Type: "Practitioner", ID: "1"})
	if !strings.Contains(string(foreign.Raw), "Organization/next") || foreign.VersionID != "3" {
		t.Errorf("the other's is %s", foreign.Raw)
	}
	for address, content := range map[string]string{one: "%PDF from elsewhere", wrapped: "inside", led: "%PDF from elsewhere"} {
		u, _ := url.Parse(address)
		key := fhirsync.Key{Server: "https://" + u.Host, Type: "Binary", ID: fhirsync.ContentID(address)}
		c, ok := keeps.Content(key)
		if data, err := c.Bytes(); !ok || err != nil || string(data) != content || strings.Contains(c.URL, "?") || c.PatientID != "p" || c.Server != "web" {
			t.Errorf("%s: %q %+v", address, data, c)
		}
		r, _ := plain.Get(key)
		var b struct{ Data []byte }
		if err := json.Unmarshal(r.Raw, &b); err != nil || string(b.Data) != content || strings.Contains(string(r.Raw), signature) {
			t.Errorf("%s: %s", address, r.Raw)
		}
	}
	for r := range plain.Patient("web", "p") { // the record has them.
		if r.Server != "web" && r.Type == "Practitioner" && r.ID != "1" {
			t.Errorf("%v", r.Key)
		}
	}
	if slices.Contains(o.paths(), "/fhir/Organization/next") {
		t.Error("references of another server were followed")
	}
}

// A content of the server that redirects to another one stays the server's.
func TestContentsThatRedirectElsewhere(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/x.pdf": "%PDF"}))
	w := newWeb()
	w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"Binary/1","contentType":"application/pdf","hash":"`+hashOf([]byte("%PDF"))+`"}}]`)
	store := new(memstore.Archive)
	rep := w.pull(t, store, open(o), leading(o.URL+"/x.pdf?sig="+signature+"&se=1"), o)
	c, ok := store.Content(fhirsync.Key{Server: "web", Type: "Binary", ID: "1"})
	if data, err := c.Bytes(); !ok || err != nil || string(data) != "%PDF" || rep.Verdict != fhirsync.Complete || rep.Types["Binary"].Stored != 1 {
		t.Errorf("%q\n%s", data, rep)
	}
	for _, to := range []string{"http://" + o.host() + "/x.pdf", o.URL + "/none"} {
		rep := w.pull(t, new(memstore.Archive), open(o), leading(to), o)
		if rep.Verdict != fhirsync.Incomplete {
			t.Errorf("%s\n%s", to, rep)
		}
	}
}

// What must not be asked for is not, and what must not be kept is not; the report says so, by host, and the verdict does not depend on it.
func TestElsewhereRefused(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 6<<20)
	answer := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/to-http":
			http.Redirect(w, r, "http://"+r.Host+"/x.pdf", http.StatusFound)
		case "/to-server":
			http.Redirect(w, r, "https://fhir.example.test/r4/Binary/1", http.StatusFound)
		case "/to-user":
			http.Redirect(w, r, "https://a:b@"+r.Host+"/x.pdf", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/nowhere":
			w.Header().Set("Location", "https://[")
			w.WriteHeader(http.StatusFound)
		case "/packed":
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "packed")
		case "/denied", "/fhir/Practitioner/denied":
			w.WriteHeader(http.StatusForbidden)
		case "/fails":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			answers(map[string]string{
				"/x.pdf": "%PDF", "/big": big, "/login": "<html><input type=password></html>",
				"/patient.json":                  `{"resourceType":"Patient","id":"someone"}`,
				"/binary-of":                     `{"resourceType":"Binary","id":"b","securityContext":{"reference":"Patient/someone"},"data":"eA=="}`,
				"/fhir/Practitioner/other-id":    `{"resourceType":"Practitioner","id":"wrong"}`,
				"/fhir/Practitioner/other-type":  `{"resourceType":"Patient","id":"other-type"}`,
				"/fhir/Binary/other-id":          `{"resourceType":"Binary","id":"wrong","data":"eA=="}`,
				"/fhir/Practitioner/parts":       `{"resourceType":"Practitioner","id":"parts","meta":{"tag":[{"code":"SUBSETTED"}]}}`,
				"/fhir/Practitioner/broken":      `{"resourceType":"Practitioner","id":"broken","x":}`,
				"/fhir/Practitioner/names":       `{"resourceType":"Practitioner","id":"names","extension":[{"valueReference":{"reference":"Patient/p"}}]}`,
				"/fhir/Practitioner/contains":    `{"resourceType":"Practitioner","id":"contains","contained":[{"resourceType":"Patient","name":[{"family":"x"}]}]}`,
				"/fhir/Patient/p":                `{"resourceType":"Patient","id":"p"}`,
				"/fhir/Observation/1":            `{"resourceType":"Observation","id":"1"}`,
				"/fhir/DocumentReference/1":      `{"resourceType":"DocumentReference","id":"1"}`,
				"/fhir/Practitioner/escape%2F..": `{"resourceType":"Practitioner","id":"1"}`,
			})(w, r)
		}
	}
	for _, c := range []struct {
		what, say string
		asked     bool
	}{
		{"ref:Practitioner/other-id", "other", true},
		{"ref:Practitioner/other-type", "other", true},
		{"ref:Practitioner/parts", "only parts", true},
		{"ref:Practitioner/broken", "JSON", true},
		{"ref:Practitioner/names", "names a patient", true},
		{"ref:Practitioner/contains", "names a patient", true},
		{"ref:Practitioner/denied", "403", true},
		{"ref:Practitioner/none", "404", true},
		{"ref:Patient/p", "", false},
		{"ref:Observation/1", "belongs to patients", false},
		{"ref:RelatedPerson/1", "belongs to patients", false},
		{"att:/fhir/Patient/p", "", false},
		{"att:/fhir/DocumentReference/1", "belongs to patients", false},
		{"att:/to-http", "not https", true},
		{"att:/to-server", "back to the server", true},
		{"att:/to-user", "not https", true},
		{"att:/loop", "too many redirects", true},
		{"att:/nowhere", "redirect", true},
		{"att:/packed", "encoding", true},
		{"att:/denied", "403", true},
		{"att:/none", "404", true},
		{"att:/fails", "500", true},
		{"att:/login", "not what", true},
		{"att:/patient.json", "not what", true},
		{"att:/binary-of", "names a patient", true},
		{"att:/big", "size cap", true},
		{"ref:Binary/other-id", "other", true},
		{"hash:/x.pdf", "not what", true},
		{"size:/x.pdf", "not what", true},
		{"http:/x.pdf", "not https", false},
		{"user:/x.pdf", "not https", false},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			o := newOther(t, answer)
			w := newWeb()
			kind, path, _ := strings.Cut(c.what, ":")
			switch kind {
			case "ref":
				w.put("Observation/o", true, `"performer":[{"reference":"`+o.URL+`/fhir/`+path+`"}]`)
			case "att":
				w.put("DocumentReference/d", true, `"content":[{"attachment":{"contentType":"application/pdf","url":"`+o.URL+path+`?Signature=`+signature+`&Expires=1"}}]`)
			case "hash":
				w.put("DocumentReference/d", true, `"content":[{"attachment":{"hash":"`+hashOf([]byte("other"))+`","url":"`+o.URL+path+`"}}]`)
			case "size":
				w.put("DocumentReference/d", true, `"content":[{"attachment":{"size":99,"url":"`+o.URL+path+`"}}]`)
			case "http":
				w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"http://`+o.host()+path+`"}}]`)
			case "user":
				w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"https://user:pass@`+o.host()+path+`"}}]`)
			}
			store := new(memstore.Store)
			e := open(o)
			rt := &spy{next: w.RoundTripper()}
			client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: rt}, Limit: unpaced, MaxPage: 5 << 20})
			if err != nil {
				t.Fatal(err)
			}
			rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", store, &fhirsync.SyncOptions{Elsewhere: e})
			if err != nil || rep.Verdict != fhirsync.Complete {
				t.Errorf("%v\n%s", err, rep)
			}
			gaps := skipped(rep)
			if len(gaps) != 1 || !strings.Contains(gaps[0].Detail, c.say) || gaps[0].Count != 1 || c.say != "" && gaps[0].Host != o.host() {
				t.Errorf("%s", rep)
			}
			if asked := len(o.paths()) > 0; asked != c.asked {
				t.Errorf("asked: %t", asked)
			}
			for r := range store.All() {
				if r.Server != "web" {
					t.Errorf("%v is there", r.Key)
				}
			}
		})
	}
}

// Hosts in private networks are refused when they are dialled, whatever they are called; those that are permitted are not.
func TestElsewhereInPrivateNetworks(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/x.pdf": "%PDF"}))
	port := o.Listener.Addr().String()
	port = port[strings.LastIndexByte(port, ':'):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0.0.0.0", "10.255.255.1", "169.254.169.254", "[64:ff9b::7f00:1]"} {
		w := newWeb()
		w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"https://`+host+port+`/x.pdf"}}]`)
		e := open(o)
		e.Permit = nil
		start := time.Now()
		rep := w.pull(t, new(memstore.Store), e, nil, o)
		if len(gapsOf(rep, fhirsync.Skipped)) != 1 || rep.Verdict != fhirsync.Complete || time.Since(start) > 20*time.Second {
			t.Errorf("%s: %s", host, rep)
		}
	}
	if len(o.paths()) != 0 {
		t.Error("reached")
	}
	// A certificate that nobody vouches for is none.
	w := newWeb()
	w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"`+o.URL+`/x.pdf"}}]`)
	e := open()
	if rep := w.pull(t, new(memstore.Store), e, nil, o); len(o.paths()) != 0 || !strings.Contains(rep.String(), "certificate") {
		t.Errorf("%s", rep)
	}
}

// A record that leads to many hosts, or many times to one, does not make the reader a tool against them.
func TestElsewhereIsBounded(t *testing.T) {
	t.Parallel()
	var all []*other
	for range 4 {
		all = append(all, newOther(t, answers(map[string]string{"/x.pdf": "%PDF", "/y.pdf": "%PDF"})))
	}
	attachments := func(w web) {
		for i, o := range all {
			w.put(fmt.Sprint("DocumentReference/d", i), true, fmt.Sprintf(`"content":[{"attachment":{"url":%q}},{"attachment":{"url":%q}}]`, o.URL+"/x.pdf", o.URL+"/y.pdf"))
		}
	}
	asked := func() (hosts, requests int) {
		for _, o := range all {
			if n := len(o.paths()); n > 0 {
				hosts++
				requests += n
			}
			o.mu.Lock()
			o.asked = nil
			o.mu.Unlock()
		}
		return hosts, requests
	}
	for _, c := range []struct {
		change          func(*fhirsync.Elsewhere)
		hosts, requests int
		say             string
	}{
		{func(e *fhirsync.Elsewhere) { e.MaxHosts = 2 }, 2, 4, "more hosts"},
		{func(e *fhirsync.Elsewhere) { e.MaxRequests = 3 }, -1, 3, "more requests"},
		{func(e *fhirsync.Elsewhere) { e.MaxBytes = 1 }, -1, -1, "more bytes"},
		{func(e *fhirsync.Elsewhere) { e.Hosts = []string{all[1].host()} }, 1, 2, "leave this host out"},
		{func(e *fhirsync.Elsewhere) { e.Hosts = []string{} }, 0, 0, "leave this host out"},
		{func(e *fhirsync.Elsewhere) { e.Contents = false }, 0, 0, "contents on other servers"},
	} {
		w := newWeb()
		attachments(w)
		e := open(all...)
		c.change(e)
		rep := w.pull(t, new(memstore.Store), e, nil, all...)
		hosts, requests := asked()
		left := 0
		for _, g := range skipped(rep) {
			left += g.Count
		}
		if c.hosts >= 0 && hosts != c.hosts || c.requests >= 0 && requests != c.requests || requests > 7 || left != 8-requests || !strings.Contains(rep.String(), c.say) {
			t.Errorf("%d hosts, %d requests\n%s", hosts, requests, rep)
		}
	}
}

// Addresses may be good for minutes only: they are asked while other questions are still open.
func TestElsewhereIsAskedSoon(t *testing.T) {
	t.Parallel()
	got := make(chan struct{})
	o := newOther(t, func(w http.ResponseWriter, _ *http.Request) {
		close(got)
		_, _ = io.WriteString(w, "content")
	})
	w := newWeb()
	w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"`+o.URL+`/x"}}]`)
	late := false
	var mu sync.Mutex
	after := -1 // requests after that for the document
	rep := w.pull(t, new(memstore.Store), open(o), &spy{answer: func(r *http.Request) *http.Response {
		mu.Lock()
		if after >= 0 || strings.HasSuffix(r.URL.Path, "/DocumentReference") {
			after++
		}
		wait := after == 20
		mu.Unlock()
		if wait {
			select {
			case <-got:
			case <-time.After(10 * time.Second):
				late = true
			}
		}
		return nil
	}}, o)
	if late || rep.Elsewhere[0].Contents != 1 {
		t.Errorf("late: %t\n%s", late, rep)
	}
}

// A sync that was interrupted keeps no signature, and gets what it has not got with a fresh one.
func TestElsewhereAfterAnInterruption(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	valid := signature + "-old"
	stop := func() {}
	o := newOther(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if valid == signature+"-old" {
			stop()
			<-r.Context().Done()
			return
		}
		if r.URL.Query().Get("Signature") != valid {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, "content")
	})
	w := newWeb()
	document := func() {
		w.put("DocumentReference/d", true, `"content":[{"attachment":{"url":"`+o.URL+`/x?Expires=1&Signature=`+valid+`"}}]`)
	}
	document()
	store := &states{Store: new(memstore.Store)}
	ctx, cancel := context.WithCancel(t.Context())
	stop = cancel
	server := fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}
	rep, err := w.client(t).Sync(ctx, server, "p", store, &fhirsync.SyncOptions{Elsewhere: open(o)})
	if !errors.Is(err, context.Canceled) || !rep.Resumable {
		t.Fatalf("%v\n%s", err, rep)
	}
	if len(store.saved) == 0 || strings.Contains(store.saved, signature) || !strings.Contains(store.saved, "DocumentReference/d") {
		t.Errorf("state: %s", store.saved)
	}
	mu.Lock()
	valid = signature + "-new"
	document()
	mu.Unlock()
	rep, err = w.client(t).Sync(t.Context(), server, "p", store, &fhirsync.SyncOptions{Elsewhere: open(o)})
	if err != nil || rep.ResumedFrom.IsZero() || len(rep.Elsewhere) != 1 || rep.Elsewhere[0].Contents != 1 || len(gapsOf(rep, fhirsync.Skipped)) != 0 {
		t.Errorf("%v\n%s", err, rep)
	}
}

// states keeps the last state that was saved.
type states struct {
	*memstore.Store
	saved string
}

func (s *states) SaveState(ctx context.Context, key string, state []byte, rev string) (string, error) {
	if state != nil {
		s.saved = string(state)
	}
	return s.Store.SaveState(ctx, key, state, rev)
}

// The policy for references holds elsewhere too.
func TestElsewhereWithinThePolicy(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/x": "content", "/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1"}`}))
	for _, c := range []struct {
		options fhirsync.SyncOptions
		want    []string
	}{
		{fhirsync.SyncOptions{}, []string{"/fhir/Practitioner/1", "/x"}},
		{fhirsync.SyncOptions{References: refs.Policy{Hops: refs.None}}, nil},
		{fhirsync.SyncOptions{References: refs.Policy{OmitAttachments: true}}, []string{"/fhir/Practitioner/1"}},
		{fhirsync.SyncOptions{References: refs.Policy{OmitTypes: []string{"Practitioner"}}}, []string{"/x"}},
		{fhirsync.SyncOptions{Types: []string{"DocumentReference"}}, nil},
	} {
		o.mu.Lock()
		o.asked = nil
		o.mu.Unlock()
		w := newWeb()
		w.put("DocumentReference/d", true, `"author":[{"reference":"`+o.URL+`/fhir/Practitioner/1"}],"content":[{"attachment":{"url":"`+o.URL+`/x"}}]`)
		c.options.Elsewhere = open(o)
		if _, err := w.pullAs(t, new(memstore.Store), &c.options, nil, o); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(c.want, o.paths()); d != "" {
			t.Errorf("%+v: %s", c.options.References, d)
		}
	}
}

// In a store with ids of its own, what other servers have has ids that are those of no space.
func TestElsewhereNamespaced(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/x": "content", "/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1"}`}))
	w := newWeb()
	w.put("Practitioner/1", false, "")
	w.put("DocumentReference/d", true, `"author":[{"reference":"Practitioner/1"},{"reference":"`+o.URL+`/fhir/Practitioner/1"}],"content":[{"attachment":{"url":"`+o.URL+`/x"}}]`, "Practitioner/1")
	space, err := idspace.New(idspace.Options{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	// A space for the other server itself, which is synced with a right to more.
	its, err := idspace.New(idspace.Options{Name: "its", Bases: []string{o.URL + "/fhir"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, inner := range []fhirsync.Store{new(memstore.Store), new(memstore.Archive)} {
		rep := w.pull(t, fhirsync.Namespaced(inner, space, its), open(o), nil, o)
		if rep.Verdict != fhirsync.Complete || rep.Elsewhere[0].Resources != 1 || rep.Elsewhere[0].Contents != 1 {
			t.Errorf("%s", rep)
		}
		ids := map[string]fhirsync.Resource{}
		var all *memstore.Store
		switch s := inner.(type) {
		case *memstore.Store:
			all = s
		case *memstore.Archive:
			all = &s.Store
			if c, ok := s.Content(fhirsync.Key{Server: o.URL, Type: "Binary", ID: fhirsync.ContentID(o.URL + "/x")}); ok {
				t.Errorf("%v has the source's id", c.Key)
			}
		}
		for r := range all.All() {
			if r.Type == "Practitioner" {
				ids[r.ID] = r
			}
		}
		if len(ids) != 2 || ids[space.ID("Practitioner", "1")].Server != "web" || ids[its.ID("Practitioner", "1")].Raw != nil {
			t.Errorf("%v", slices.Collect(maps.Keys(ids)))
		}
		for _, r := range ids {
			if r.Server != "web" && (r.Server != o.URL+"/fhir" || r.Origin.Key != fhirsync.Key{Server: o.URL + "/fhir", Type: "Practitioner", ID: "1"}) {
				t.Errorf("%+v %+v", r.Key, r.Origin)
			}
		}
	}
}

// A server that the Client syncs by itself is not asked without its credential: what that gives could be less, and take the place of what is there.
func TestElsewhereIsSyncedByItself(t *testing.T) {
	t.Parallel()
	o := newOther(t, answers(map[string]string{"/fhir/Practitioner/1": `{"resourceType":"Practitioner","id":"1"}`}))
	w := newWeb()
	w.put("Observation/o", true, `"performer":[{"reference":"`+o.URL+`/fhir/Practitioner/1"}]`)
	client := newClient(t, w.Server, fhirsync.Config{Limit: unpaced})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = client.Sync(ctx, fhirsync.Server{BaseURL: o.URL + "/fhir/"}, "x", new(memstore.Store), nil) // it is known from then on.
	rep, err := client.Sync(t.Context(), fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}, "p", new(memstore.Store), &fhirsync.SyncOptions{Elsewhere: open(o)})
	if err != nil || len(o.paths()) != 0 || !strings.Contains(rep.String(), "synced by itself") {
		t.Errorf("%v %v\n%s", err, o.paths(), rep)
	}
}

func TestContentID(t *testing.T) {
	t.Parallel()
	same := [][]string{
		{"https://b.example/x?X-Amz-Date=1&X-Amz-Signature=a&v=2", "https://b.example/x?v=2&X-Amz-Signature=b&X-Amz-Expires=60"},
		{"https://b.example/azure?sv=1&se=2&sig=3", "https://b.example/azure?sv=9&se=8&sp=r&sig=7", "https://b.example/azure"},
		{"https://b.example/cdn?Expires=1&Signature=2&Key-Pair-Id=3", "https://b.example/cdn?Expires=4&Signature=5&Key-Pair-Id=6"},
		{"https://b.example/x?id=1"},
		{"https://b.example/x?id=2"},
		{"https://b.example/x"},
		{"https://b.example/x?sv=1"},
		{"https://b.example/x?sv=2"},
		{"https://b.example/y?X-Amz-Signature=a&v=2"},
		{"https://b.example/x?v=3&X-Amz-Signature=b"},
		{"documents/m.png"},
		{"%"},
	}
	seen := map[string]int{}
	for i, group := range same {
		for _, address := range group {
			id := fhirsync.ContentID(address)
			if at, known := seen[id]; known && at != i {
				t.Errorf("%s has the id of another content", address)
			} else if !known && address != group[0] {
				t.Errorf("%s has another id than the one before", address)
			}
			seen[id] = i
		}
	}
}
