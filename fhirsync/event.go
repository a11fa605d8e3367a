package fhirsync

import "time"

// Event tells of progress. The set of events is closed for other packages and grows; their JSON is stable. No event holds ids, query
// values, tokens or content.
type Event interface {
	// Kind is the event's stable name ("page-fetched").
	Kind() string
	// RunID is the Report.Run of the sync.
	RunID() string
	isEvent()
}

type event struct {
	Run string `json:"run"`
}

// RunID is the Report.Run of the sync.
func (e event) RunID() string { return e.Run }
func (event) isEvent()        {}

// StrategyStarted says that a strategy begins.
type StrategyStarted struct {
	event
	Strategy string `json:"strategy"`
}

// StrategyFinished says that a strategy has returned.
type StrategyFinished struct {
	event
	Strategy string `json:"strategy"`
	// Supported is false if it returned errors.ErrUnsupported.
	Supported bool `json:"supported"`
}

// Planned says that the strategy Auto has made its plan.
type Planned struct {
	event
	Plan *Plan `json:"plan"`
}

// PageFetched says that a page or a single resource has come and was taken in.
type PageFetched struct {
	event
	Op      string        `json:"op"`              // "search", "read", "operation"
	Type    string        `json:"type,omitempty"`  // resource type asked for
	Page    int           `json:"page,omitempty"`  // number of the page, from 1
	Entries int           `json:"entries"`         // entries on it
	New     int           `json:"new"`             // resources that had not come before
	Bytes   int           `json:"bytes"`           // size of the body, inflated
	Took    time.Duration `json:"took"`            // from the request to the last byte, waits and retries included
	Total   *int          `json:"total,omitempty"` // Bundle.total
}

// BatchStored says that the store has accepted a batch.
type BatchStored struct {
	event
	Resources int           `json:"resources"`
	Bytes     int           `json:"bytes"`
	Took      time.Duration `json:"took"`
}

// RetryScheduled says that a request will be sent again.
type RetryScheduled struct {
	event
	Op         string        `json:"op"`
	Type       string        `json:"type,omitempty"`
	Attempt    int           `json:"attempt"`              // number of the attempt that failed, from 1
	StatusCode int           `json:"statusCode,omitempty"` // 0: no answer
	Reason     string        `json:"reason"`
	Wait       time.Duration `json:"wait"` // before the next attempt, beside what the limiter adds
}

// Waited says that a request had to wait for its turn, and is sent now. What the limiter towards the server makes requests wait for is shared by all
// syncs of the Client. The wait before a repetition is in RetryScheduled.
type Waited struct {
	event
	Op     string        `json:"op"`
	Type   string        `json:"type,omitempty"`
	Reason string        `json:"reason"` // a ratelimit.Reason: "rate", "concurrency", "pause", "quota", "limit", "shared"
	Wait   time.Duration `json:"wait"`
}

// GapFound says that something will be in the report instead of in the store.
type GapFound struct {
	event
	Type   string    `json:"type,omitempty"`
	Reason GapReason `json:"reason"`
}

// Kind is "strategy-started".
func (StrategyStarted) Kind() string { return "strategy-started" }

// Kind is "strategy-finished".
func (StrategyFinished) Kind() string { return "strategy-finished" }

// Kind is "planned".
func (Planned) Kind() string { return "planned" }

// Kind is "page-fetched".
func (PageFetched) Kind() string { return "page-fetched" }

// Kind is "batch-stored".
func (BatchStored) Kind() string { return "batch-stored" }

// Kind is "retry-scheduled".
func (RetryScheduled) Kind() string { return "retry-scheduled" }

// Kind is "waited".
func (Waited) Kind() string { return "waited" }

// Kind is "gap-found".
func (GapFound) Kind() string { return "gap-found" }
