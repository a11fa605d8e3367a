package fhirsync

import (
	"slices"
	"sync"
	"time"

	"github.com/fhirsync/fhirsync-go/quirks"
)

// facts are what was learned about one server under one kind of grant. They make later syncs cheaper. They never remove a check and never
// loosen safety. Safe for concurrent use.
type facts struct {
	key string // base URL and kind of grant

	mu sync.Mutex

	caps   *quirks.Capabilities
	capsAt time.Time
	noCaps *ServerError // how they were refused, at capsAt, by a server that is known to have none

	when      map[string]stamp // by name of the fact
	expiredAt time.Time
	loaded    bool       // from Config.Learned
	rev       string     // of the saved state
	saving    sync.Mutex // one save at a time

	learned
}

// learned are the facts themselves.
type learned struct {
	styles   map[bool]bool             // typed or bare: has brought something, for any type
	forms    map[string]form           // by type: the form that brought something last
	brought  map[string]bool           // by type and form: it has brought something
	absent   map[string]bool           // types that metadata does not claim and that were refused
	refusals map[string]map[ident]bool // claimed types that were refused definitely, by patient

	doubled map[string]int // by type: empty answers that were checked by another parameter

	echo           echo
	rejectsUnknown bool
	nothing        int // the status with which the server says nothing; 0: not known
	madeUp         int // the status for a type that cannot exist; 0: not known

	splits      map[string]string // by type: the parameter by which it has to be asked in parts
	noRiders    map[string]int    // by type: the status with which a search was refused because of its _revinclude
	ridersRode  bool              // a search was answered with a _revinclude
	commas      int               // -1: lists of values are taken for one value
	shownNext   bool              // a next link has been seen
	longest     map[string]int    // by type: the longest chain
	totals      bool              // a total has been seen to go beyond a page and was right
	inside      map[string]bool   // forms that have brought something inside of a batch
	batch       batching
	countless   map[string]bool // types that refused to be counted
	counts      counting
	format      formatting
	agreed      int // counts that agreed with what came
	largest     int // the largest count seen
	pageSize    int // index into pageSizes
	sizeProven  bool
	operations  map[string]int  // operations that the server refused, how often
	noVersions  bool            // named versions are not there
	rawContents bool            // contents come as the bytes they are, not as Binary resources
	lists       map[string]bool // types of which a search by several ids has brought them
	listMost    map[string]int  // by type: the ids of one such search, where a longer one was cut or refused; 1: lists are of no use
	dirty       int             // types for which every form brought other patients' resources
}

// echo is what the server's self links are worth.
type echo int

const (
	echoUnknown echo = iota
	echoUsed         // they name the parameters that were used, and only those
	echoAll          // they repeat the request as it came
	echoNone         // they do not name parameters, or there are none
)

// counting is whether _summary=count works.
type counting int

const (
	countUnknown counting = iota
	countWorks
	countFails
)

// formatting is whether a server that answers in XML gives JSON when the URL says so too.
type formatting int

const (
	formatUnknown formatting = iota
	formatHelps
	formatUseless
)

// pageSizes are tried in this order where a server refuses a _count; 0 sends none.
var pageSizes = [...]int{200, 50, 0}

func newFacts() *facts {
	return &facts{when: map[string]stamp{}, learned: learned{
		styles: map[bool]bool{}, forms: map[string]form{}, brought: map[string]bool{}, absent: map[string]bool{},
		refusals: map[string]map[ident]bool{}, doubled: map[string]int{}, splits: map[string]string{}, inside: map[string]bool{}, countless: map[string]bool{},
		operations: map[string]int{}, longest: map[string]int{}, noRiders: map[string]int{}, lists: map[string]bool{}, listMost: map[string]int{},
	}}
}

func (f *facts) statement(age time.Duration) *quirks.Capabilities {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.caps != nil && time.Since(f.capsAt) < age {
		return f.caps
	}
	return nil
}

func (f *facts) setStatement(c *quirks.Capabilities) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caps, f.capsAt, f.noCaps = c, time.Now(), nil
}

// refusedStatement gives how metadata was refused lately; nil if it was not.
func (f *facts) refusedStatement(age time.Duration) *ServerError {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.capsAt) < age {
		return f.noCaps
	}
	return nil
}

func (f *facts) setRefused(e *ServerError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.caps, f.capsAt, f.noCaps = nil, time.Now(), e
}

// uncounted tells whether a count of the type is of no use. The caller holds the lock.
func (f *facts) uncounted(typ string) bool { return f.counts == countFails || f.countless[typ] }

// with runs fn under the lock.
func (f *facts) with(fn func(f *facts)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f)
}

// worked notes that a form has brought something. via: by a parameter under which the patient is no subject, which is not the form in which
// the type is asked for.
func (f *facts) worked(typ string, form form, via bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.brought[typ+" "+form.name()] = true
	if via {
		f.confirm("brought " + typ + " " + form.name())
		return
	}
	if !form.path {
		f.styles[form.typed] = true
	}
	f.forms[typ] = form
	f.brought[typ+" "+form.name()] = true
	delete(f.absent, typ)
	f.confirm("style "+styleName(form.typed), "form "+typ, "brought "+typ+" "+form.name())
}

// knows tells whether it is known in which form a type is asked for.
func (f *facts) knows(typ string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.forms[typ]
	return known
}

// anyStyle tells whether any form has brought anything.
func (f *facts) anyStyle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.styles) > 0
}

// roundNumbers are page sizes and caps that servers like: a chain that ends on one of them may have been cut there.
var roundNumbers = []int{10, 20, 25, 30, 40, 50, 100, 150, 200, 250, 300, 400, 500}

// isRound tells whether a number of matches looks like a cap. From 1,000 on every round number does.
func isRound(n int) bool {
	return slices.Contains(roundNumbers, n) || n >= 1000 && n%500 == 0
}
