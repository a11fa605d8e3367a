package fhirsync

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/fhirsync/fhirsync-go/fhirsync/internal/pagebuf"
	"github.com/fhirsync/fhirsync-go/fhirsync/internal/transport"
	"github.com/fhirsync/fhirsync-go/internal/jsonscan"
	"github.com/fhirsync/fhirsync-go/quirks"
)

// broken decides what becomes of a chain of which a page could not be had.
func (c *chain) broken(page *fetched) outcome {
	defer page.release(c.r.client)
	e := page.err
	c.out.err = e
	c.r.keepUnread(c.q.typ, page.resp, e)
	switch {
	case e.class == quirks.Restart:
		return expired
	case e.class == quirks.Split && c.q.op == nil:
		// More than the server gives at once: it has to be asked for in parts.
		c.out.err, c.out.early, c.out.split, c.out.why = nil, true, true, "the server says that it is more than it gives at once"
		return ended
	case e.class == quirks.Empty && page.number == 1 && c.q.op == nil:
		c.out.err, c.out.pages = nil, 1 // an empty answer, as good as any.
		return ended
	}
	if page.mapped && e.StatusCode != http.StatusGone {
		e.Err = fmt.Errorf("%w, and the base URL's own origin does not have the page", transport.ErrForeignOrigin)
		return ended
	}
	if isTooLarge(e.Err) {
		half := c.count / 2
		if c.count == 0 {
			half = 10 // the server's own page size is not known.
		}
		if half >= 1 {
			c.count = half
			return smaller
		}
		return ended
	}
	if page.number > 1 {
		switch e.status() {
		case http.StatusGone, http.StatusNotFound, http.StatusBadRequest:
			return expired
		}
		return ended
	}
	if c.q.op != nil {
		switch {
		case c.count > 0 && e.StatusCode >= 400 && e.refusal() != refusedGrant && e.refusal() != refusedType:
			c.count = 0 // _count is fatal to the operation on some servers.
			return smaller
		case e.StatusCode == http.StatusMethodNotAllowed && !c.post:
			c.post = true
			return smaller
		}
		return ended
	}
	if c.withoutRiders(e) || c.withoutTotal(e) {
		return smaller
	}
	// Perhaps it is only the _count that is refused. Blue Button, for one, takes none above 50.
	if e.refusal() == refusedOnce && c.count > 0 && c.dropCount() {
		return smaller
	}
	return ended
}

// dropCount lowers the _count for this server, as long as none has been accepted.
func (c *chain) dropCount() bool {
	lowered := false
	c.r.server.facts.with(func(f *facts) {
		if f.sizeProven {
			return
		}
		for i, n := range pageSizes {
			if n < c.count {
				c.count, lowered = n, true
				f.pageSize = max(f.pageSize, i)
				return
			}
		}
	})
	return lowered
}

func isTooLarge(err error) bool { return errors.Is(err, pagebuf.ErrTooLarge) }

// endless tells whether far more has come than the server says there is.
func (c *chain) endless(ctx context.Context) bool {
	n := c.keys.Len()
	if n < max(c.checkAt, endlessFrom) {
		return false
	}
	c.checkAt = 2 * n
	if c.q.op != nil {
		return c.endlessOperation(ctx)
	}
	said := c.out.total
	if !c.out.hadTotal || said < 0 {
		count, ok := c.r.count(ctx, c.q, c.form)
		if !ok {
			return false
		}
		said = count
	}
	return n > 2*said+endlessFrom/2
}

// endlessOperation is endless for an operation: the type of which most has come is counted.
func (c *chain) endlessOperation(ctx context.Context) bool {
	most, n := "", 0
	for typ, have := range c.types {
		if have > n {
			most, n = typ, have
		}
	}
	for _, f := range c.r.forms(most) {
		if count, ok := c.r.count(ctx, question{typ: most}, f); ok && count > 0 {
			return n > 2*count+endlessFrom/2
		}
	}
	return n > endlessUnknown
}

// self reads the self link of a first page: it says which parameters were used.
func (c *chain) self(ctx context.Context, b *jsonscan.Bundle) {
	if c.form.param == "" || c.form.post || deref(c.r.server.quirks.set.SearchMethod) == quirks.Post {
		return // the answer to a POST says nothing about its parameters.
	}
	self := selfQuery(b)
	c.out.selfHas = self.Has(c.form.param)
	if c.out.selfHas || len(self) == 0 && len(b.Entries) == 0 {
		return
	}
	// The parameter is not there. Whether that means anything is found out once per server.
	c.r.learnEcho(ctx)
	c.r.server.facts.with(func(f *facts) { c.out.ignored = f.echo == echoUsed && !f.brought[c.q.typ+" "+c.form.name()] })
}

// learn remembers what a chain that ended showed of the server.
func (c *chain) learn() {
	n := c.keys.Len()
	c.r.server.facts.with(func(f *facts) {
		if c.count > 0 && c.out.err == nil {
			f.sizeProven = true
		}
		c.learnRiders(f)
		if c.untotaled && c.out.err == nil {
			c.r.noTotals.Store(true)
		}
		if c.q.typ != "" {
			f.longest[c.q.typ] = max(f.longest[c.q.typ], n)
		}
		if c.out.hadTotal && c.out.total == n && c.out.pages > 1 && !c.out.totals {
			f.totals = true
		}
	})
}
