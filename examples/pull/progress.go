package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// progress prints what happens, a line for each page and not more than one a second for what comes one by one. Its method is called by one
// goroutine at a time.
type progress struct {
	w      io.Writer
	came   bool // the server has given something
	read   int
	stored int
	said   time.Time
}

func (p *progress) event(e fhirsync.Event) {
	switch e := e.(type) {
	case fhirsync.PageFetched:
		p.came = p.came || e.New > 0
		switch {
		case e.New == 0:
		case e.Op == "read":
			p.read += e.New
			p.now("%d read one by one, %d stored", p.read, p.stored)
		default:
			p.say("%s %s: page %d, %d new", e.Op, e.Type, e.Page, e.New)
		}
	case fhirsync.BatchStored:
		p.stored += e.Resources
		p.now("%d stored", p.stored)
	case fhirsync.RetryScheduled:
		why := e.Reason
		if e.StatusCode != 0 {
			why = fmt.Sprintf("status %d", e.StatusCode)
		}
		p.say("%s %s: trying again in %s (%s)", e.Op, e.Type, e.Wait.Round(time.Millisecond), why)
	case fhirsync.GapFound:
		if e.Reason != fhirsync.Unsupported { // most servers lack many types: the report has them on one line.
			p.say("gap: %s %s", e.Reason, cmp.Or(e.Type, "(see the report)"))
		}
	}
}

func (p *progress) say(format string, args ...any) { fmt.Fprintf(p.w, "  "+format+"\n", args...) }

// now says how far it has come, if that was not said just before.
func (p *progress) now(format string, args ...any) {
	if time.Since(p.said) >= time.Second {
		p.said = time.Now()
		p.say(format, args...)
	}
}
