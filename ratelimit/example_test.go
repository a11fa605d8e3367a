package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fhirsync/fhirsync-go/ratelimit"
)

// A limiter is useful without the rest of fhirsync: it makes any http.Client polite towards one server.
func ExampleLimiter_Transport() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer srv.Close()

	limiter := ratelimit.New(ratelimit.Policy{
		Limits: []ratelimit.Limit{
			{Requests: 10, Per: time.Second},
			{Requests: 250, Per: time.Minute, Aligned: true}, // in each minute by the clock
		},
	})
	client := &http.Client{Transport: limiter.Transport(http.DefaultTransport)}
	for range 3 {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close() // gives the place among the requests under way back
		fmt.Println(resp.Status)
	}
	// Output:
	// 204 No Content
	// 204 No Content
	// 204 No Content
}
