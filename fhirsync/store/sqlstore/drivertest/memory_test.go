package drivertest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// endless is a server with one patient who has any number of resources, which are made when they are asked for: it needs no memory.
type endless map[string]int // how many of each type

const endlessBase = "https://endless.test/fhir"

func (e endless) RoundTrip(req *http.Request) (*http.Response, error) {
	var body bytes.Buffer
	status := e.answer(&body, req)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/fhir+json"}}, Body: io.NopCloser(&body), ContentLength: int64(body.Len()), Request: req,
	}, nil
}

func (e endless) answer(out *bytes.Buffer, req *http.Request) int {
	typ, id, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/fhir/"), "/")
	n, has := e[typ]
	q := req.URL.Query()
	switch {
	case req.Method != http.MethodGet || typ != "metadata" && typ != "Patient" && typ != "Practitioner" && !has:
		out.WriteString(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-supported"}]}`)
		return http.StatusNotFound
	case typ == "metadata":
		e.metadata(out)
	case id != "":
		e.resource(out, typ, id)
	case q.Has("_id"):
		ids := strings.Split(q.Get("_id"), ",")
		if typ == "Patient" && q.Get("_id") != "1" {
			ids = nil
		}
		e.page(out, req, typ, ids, len(ids), false)
	case typ == "Practitioner" || typ == "Patient" || q.Get("patient") != "1" && q.Get("patient") != "Patient/1":
		e.page(out, req, typ, nil, 0, false)
	default:
		from, _ := strconv.Atoi(q.Get("from")) // 0 on the first page.
		count, err := strconv.Atoi(q.Get("_count"))
		if err != nil || count > 1000 {
			count = 1000
		}
		if q.Get("_summary") == "count" {
			count = 0
		}
		var ids []string
		for i := from; i < min(from+count, n); i++ {
			ids = append(ids, strconv.Itoa(i))
		}
		e.page(out, req, typ, ids, n, count > 0 && from+count < n)
	}
	return http.StatusOK
}

func (e endless) metadata(out *bytes.Buffer) {
	out.WriteString(`{"resourceType":"CapabilityStatement","status":"active","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server","resource":[`)
	for typ := range e {
		fmt.Fprintf(out, `{"type":%q,"interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"patient","type":"reference"},{"name":"_id","type":"token"}]},`, typ)
	}
	out.WriteString(`{"type":"Practitioner","interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"_id","type":"token"}]},`)
	out.WriteString(`{"type":"Patient","interaction":[{"code":"read"},{"code":"search-type"}],"searchParam":[{"name":"_id","type":"token"}]}]}]}`)
}

func (e endless) resource(out *bytes.Buffer, typ, id string) {
	const meta = `"meta":{"versionId":"1","lastUpdated":"2024-02-29T10:00:00Z"}`
	switch typ {
	case "Patient", "Practitioner":
		fmt.Fprintf(out, `{"resourceType":%q,"id":%q,%s}`, typ, id, meta)
	case "Encounter":
		fmt.Fprintf(out, `{"resourceType":"Encounter","id":%q,%s,"status":"finished","subject":{"reference":"Patient/1"}}`, id, meta)
	default:
		n, _ := strconv.Atoi(id) // ids are numbers.
		fmt.Fprintf(out, `{"resourceType":%q,"id":%q,%s,"status":"final","subject":{"reference":"Patient/1"},"encounter":{"reference":"Encounter/%d"},`+
			`"performer":[{"reference":"Practitioner/%d"}],"valueQuantity":{"value":%d.50,"unit":"mg"}}`, typ, id, meta, n%max(e["Encounter"], 1), n%200, n)
	}
}

func (e endless) page(out *bytes.Buffer, req *http.Request, typ string, ids []string, total int, more bool) {
	self := strings.ReplaceAll(req.URL.String(), `"`, "")
	fmt.Fprintf(out, `{"resourceType":"Bundle","type":"searchset","total":%d,"link":[{"relation":"self","url":%q}`, total, self)
	if more {
		q := req.URL.Query()
		from, _ := strconv.Atoi(q.Get("from")) // 0 on the first page.
		q.Set("from", strconv.Itoa(from+len(ids)))
		fmt.Fprintf(out, `,{"relation":"next","url":%q}`, endlessBase+"/"+typ+"?"+q.Encode())
	}
	out.WriteString(`]`)
	for i, id := range ids {
		out.WriteString(map[bool]string{true: `,"entry":[`, false: `,`}[i == 0])
		fmt.Fprintf(out, `{"fullUrl":"%s/%s/%s","resource":`, endlessBase, typ, id)
		e.resource(out, typ, id)
		out.WriteString(`,"search":{"mode":"match"}}`)
	}
	if len(ids) > 0 {
		out.WriteString(`]`)
	}
	out.WriteString(`}`)
}

// peak watches how much memory the heap takes, garbage included, until stop.
func peak() (stop func() uint64) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	most := uint64(0)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
			select {
			case <-end:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(end)
		<-ended
		return most
	}
}

// resident gives the most memory that the process has ever had, as the system counts it: 0 where it does not say.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	var kb float64
	_, _ = fmt.Sscan(rest, &kb) // 0 where it is not there.
	return kb / 1024
}

// large is a patient with n resources.
func large(n int) endless {
	return endless{
		"Observation": n * 6 / 10, "Encounter": n / 10, "Procedure": n / 10, "DiagnosticReport": n / 10, "Condition": n / 20, "MedicationRequest": n / 20,
	}
}

// syncLarge brings a large patient into a database and gives the peak of the heap.
func syncLarge(tb testing.TB, n int, s fhirsync.Store) uint64 {
	tb.Helper()
	c, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: large(n)}, Limit: ratelimit.Policy{Rate: -1, Concurrency: 4}})
	if err != nil {
		tb.Fatal(err)
	}
	runtime.GC()
	stop := peak()
	rep, err := c.Sync(tb.Context(), fhirsync.Server{Name: "payer", BaseURL: endlessBase}, "1", s, nil)
	most := stop()
	if err != nil || rep.Verdict != fhirsync.Complete {
		tb.Fatalf("%v\n%.4000s", err, rep)
	}
	got := 0
	for _, t := range rep.Types {
		got += t.Stored
	}
	if want := n + 1 + 200; got != want {
		tb.Errorf("%d resources were stored, want %d", got, want)
	}
	return most
}

// BenchmarkMemory brings a patient with 1,000,000 resources into SQLite and reports the peak of the heap, garbage included, and of all memory.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		d := newSQLite(b)
		s := d.open(b)
		most := syncLarge(b, n, s)
		if got := s.Stats(); got.Created != n+201 || got.Unchanged+got.Updated+got.Stale != 0 {
			b.Errorf("%+v", got)
		}
		if most > 64<<20 {
			b.Errorf("the heap took %d MB: what has come must not be kept", most>>20)
		}
		b.ReportMetric(float64(most)/(1<<20), "peak-heap-MB")
		b.ReportMetric(resident(), "peak-resident-MB")
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	}
}

// A sync that is so large that the database has to say what has come brings all, and puts nothing twice.
func TestLargeSync(t *testing.T) {
	for _, k := range kinds[:2] {
		t.Run(k.name, func(t *testing.T) {
			n := 60_000
			s := k.new(t).open(t)
			t.Logf("peak of the heap: %d MB", syncLarge(t, n, s)>>20)
			if got := s.Stats(); got.Created != int64(n)+201 || got.Unchanged+got.Updated+got.Stale != 0 {
				t.Errorf("a resource was put twice: %+v", got)
			}
		})
	}
}

var _ fhirsync.SeenStore = (*sqlstore.Store)(nil)
