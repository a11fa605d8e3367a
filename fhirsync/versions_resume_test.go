package fhirsync_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/fhirtest"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
)

// A sync that goes on knows which versions have come: the current one is not asked for as an old one.
func TestVersionsAfterAnInterruption(t *testing.T) {
	t.Parallel()
	w := newWeb()
	w.put("Observation/o", true, `"performer":[{"reference":"Organization/2/_history/5"},{"reference":"Organization/3"}]`, "Organization/2", "Organization/3")
	w.Put(fhirtest.Resource{Type: "Organization", ID: "2", VersionID: "5", Raw: []byte(`{"resourceType":"Organization","id":"2","meta":{"versionId":"5"}}`)})
	w.put("Organization/3", false, "")
	w.Inject(fhirtest.Status(400).For("Organization").On(fhirtest.Search), fhirtest.Status(400).On(fhirtest.Batch))
	ctx, cancel := context.WithCancel(t.Context())
	rt := &spy{next: w.RoundTripper(), answer: func(r *http.Request) *http.Response {
		// One has come, the other is under way, and the version has not been thought of again.
		if strings.HasSuffix(r.URL.Path, "/Organization/3") {
			time.Sleep(300 * time.Millisecond)
			cancel()
		}
		return nil
	}}
	client, err := fhirsync.New(fhirsync.Config{HTTPClient: &http.Client{Transport: rt}, Limit: unpaced})
	if err != nil {
		t.Fatal(err)
	}
	store := new(memstore.History)
	server := fhirsync.Server{Name: "web", BaseURL: w.BaseURL()}
	rep, err := client.Sync(ctx, server, "p", store, nil)
	if _, came := store.Get(fhirsync.Key{Server: "web", Type: "Organization", ID: "2"}); !errors.Is(err, context.Canceled) || !rep.Resumable || !came {
		t.Fatalf("%v\n%s", err, rep)
	}
	w.ResetRequests()
	rep = w.sync(t, w.client(t), store, nil)
	if rep.ResumedFrom.IsZero() || rep.Verdict != fhirsync.Complete {
		t.Errorf("%s", rep)
	}
	for _, q := range w.Requests() {
		if strings.Contains(q.URL, "_history") {
			t.Errorf("asked for %s", q.URL)
		}
	}
}
