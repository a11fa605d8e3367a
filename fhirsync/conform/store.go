package conform

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/fhirsync/fhirsync-go/fhirsync"
)

// Validator looks at a resource before it is stored. Package [validate] has one that asks a FHIR server.
//
// [validate]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/conform/validate
type Validator interface {
	// Validate gives what is to be said about a resource; it is refused if one of the issues has the severity error or fatal. An error says
	// that it could not be looked at: Put returns it, is tried again, and ends the sync if it stays. typ is the resource's type, raw its
	// bytes, not to be written to. It is called from several goroutines at once.
	Validate(ctx context.Context, typ string, raw []byte) ([]fhirsync.Issue, error)
}

// ValidatorFunc makes a Validator of a function.
type ValidatorFunc func(ctx context.Context, typ string, raw []byte) ([]fhirsync.Issue, error)

// Validate calls f.
func (f ValidatorFunc) Validate(ctx context.Context, typ string, raw []byte) ([]fhirsync.Issue, error) {
	return f(ctx, typ, raw)
}

// Policy says what becomes of a resource that the validator refuses, or that is no JSON.
type Policy int

// The policies.
const (
	// Keep: it is stored like any other. StoreOptions.OnResult tells of it.
	Keep Policy = iota
	// Mark: it is stored, with the coding [MarkSystem] and [MarkCode] among its meta.tag. What is no JSON is stored without.
	Mark
	// Quarantine: it is rejected with a [*fhirsync.RejectError], so that the report names it as a gap and the store's QuarantineStore, if
	// there is one, keeps its bytes as they came from the server.
	Quarantine
)

// The coding of meta.tag that marks what a validator refused.
const (
	MarkSystem = "https://github.com/fhirsync/fhirsync-go/conform"
	MarkCode   = "refused-by-validator"
)

// ErrRefused is what the error of a quarantined resource wraps. Its text counts the issues and holds nothing of them.
var ErrRefused = errors.New("conform: the validator refuses it")

// RepairPrefix is what the kind of a [fhirsync.Repair] begins with that comes from a rule of this package; the rule's name follows.
const RepairPrefix = "conform/"

// StoreOptions are settings of [Store]. nil is the zero value.
type StoreOptions struct {
	// Validator is asked about each resource, after the rules. nil: none.
	Validator Validator
	// Refused says what becomes of those that it refuses.
	Refused Policy
	// AtOnce is how many are validated at once; 0: 4.
	AtOnce int
	// OnResult is called for each resource on which something was changed or found, before the batch goes on, in the batch's order. A batch
	// that is put again is told again. Different syncs call it at the same time. nil: nobody is told.
	OnResult func(Outcome)
}

// Outcome is what became of one resource in a [Store].
type Outcome struct {
	// Key is the resource's, as it came.
	Key fhirsync.Key
	Result
	// Issues are the validator's, of all severities.
	Issues []fhirsync.Issue
	// Refused: the validator refuses it, or it is no JSON.
	Refused bool
}

// Store is a Store around a Store: c's rules are carried out on each resource on its way into next, and a validator may be asked.
//
// What next sees is changed where a rule changed something: Raw; Original, which becomes what Raw was unless it is set already; and
// Repairs, to which one is added for each change, its kind [RepairPrefix] and the rule, its offset 0 where Original is older than the
// rules. In all resources it is Digest, which becomes that of the source's digest and of the settings together. So a resource counts as
// unchanged only if both are what they were: whoever changes a rule gets all of them again. Keys stay.
//
// Powers are those of next that are known here. Digests is asked as digests are put. State is kept under the caller's key together with the
// settings, so that a sync is not gone on with under others. Quarantine hands on what it gets, which are the source's bytes. What a
// validator says is no setting: if it has a method Fingerprint() string, that is one.
//
// It is safe for concurrent use if next is.
func Store(next fhirsync.Store, c *Conformer, o *StoreOptions) fhirsync.Store {
	s := &store{next: next, c: c, known: map[[32]byte][]fhirsync.Issue{}}
	if o != nil {
		s.o = *o
	}
	if s.o.AtOnce <= 0 {
		s.o.AtOnce = 4
	}
	s.print = c.Fingerprint()
	if s.o.Validator != nil {
		own := ""
		if f, ok := s.o.Validator.(interface{ Fingerprint() string }); ok {
			own = f.Fingerprint()
		}
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", s.print, s.o.Refused, own))
		s.print = hex.EncodeToString(sum[:16])
	}
	return s
}

type store struct {
	next  fhirsync.Store
	c     *Conformer
	o     StoreOptions
	print string

	mu    sync.Mutex
	known map[[32]byte][]fhirsync.Issue // what the validator said of bytes lately: batches come again
}

// maxKnown is how many answers of the validator are remembered.
const maxKnown = 4096

// digest gives the digest under which next holds a resource.
func (s *store) digest(d [32]byte) [32]byte {
	return sha256.Sum256(append(d[:], s.print...))
}

// Put carries the rules out on a batch and puts it into the next store.
func (s *store) Put(ctx context.Context, batch fhirsync.Batch) error {
	out := batch
	out.Resources = slices.Clone(batch.Resources)
	outcomes := make([]Outcome, len(out.Resources))
	unreadable := make([]error, len(out.Resources))
	for i := range out.Resources {
		if err := ctx.Err(); err != nil {
			return err
		}
		res, o := &out.Resources[i], &outcomes[i]
		o.Key = res.Key
		o.Result, unreadable[i] = s.c.Apply(res.Raw)
		o.Refused = unreadable[i] != nil
		res.Digest = s.digest(res.Digest)
		res.Raw = o.Raw
	}
	if s.o.Validator != nil {
		if err := s.validate(ctx, outcomes); err != nil {
			return err
		}
	}
	rejected := map[int]error{}
	for i := range outcomes {
		o, res := &outcomes[i], &out.Resources[i]
		if o.Refused && s.o.Refused == Mark && unreadable[i] == nil {
			mark(&o.Result)
			res.Raw = o.Raw
		}
		if s.o.OnResult != nil && (len(o.Changes) > 0 || len(o.Nonconformities) > 0 || len(o.Issues) > 0) {
			s.o.OnResult(*o)
		}
		record(res, batch.Resources[i].Raw, o.Changes)
		if o.Refused && s.o.Refused == Quarantine {
			rejected[i] = refusal(unreadable[i], o.Issues)
		}
	}
	if len(rejected) > 0 {
		return &fhirsync.RejectError{Rejected: rejected}
	}
	return s.next.Put(ctx, out)
}

// record notes changes on the resource.
func record(res *fhirsync.Resource, before []byte, changes []Change) {
	if len(changes) == 0 {
		return
	}
	older := res.Original != nil
	if !older {
		res.Original = before
	}
	res.Repairs = slices.Clone(res.Repairs)
	for _, c := range changes {
		repair := fhirsync.Repair{Kind: fhirsync.RepairKind(RepairPrefix + c.Rule), Path: c.Path}
		if !older {
			repair.Offset = c.Offset
		}
		res.Repairs = append(res.Repairs, repair)
	}
	slices.SortStableFunc(res.Repairs, func(a, b fhirsync.Repair) int { return cmp.Compare(a.Offset, b.Offset) })
}

func refusal(unreadable error, issues []fhirsync.Issue) error {
	if unreadable != nil {
		return unreadable
	}
	n := 0
	for _, i := range issues {
		if refuses(i) {
			n++
		}
	}
	return fmt.Errorf("%w, for %d issues", ErrRefused, n)
}

// refuses tells whether an issue is one for which a resource is refused.
func refuses(i fhirsync.Issue) bool { return i.Severity == "error" || i.Severity == "fatal" }

// validate asks the validator about all that are JSON.
func (s *store) validate(ctx context.Context, outcomes []Outcome) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, s.o.AtOnce)
	for i := range outcomes {
		o := &outcomes[i]
		if o.Refused {
			continue
		}
		sum := sha256.Sum256(o.Raw)
		s.mu.Lock()
		issues, ok := s.known[sum]
		s.mu.Unlock()
		if ok {
			o.take(issues)
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-slots }()
			issues, err := s.o.Validator.Validate(ctx, o.Key.Type, o.Raw)
			if err != nil {
				cancel(fmt.Errorf("conform: validating: %w", err))
				return
			}
			s.mu.Lock()
			if len(s.known) >= maxKnown {
				clear(s.known)
			}
			s.known[sum] = issues
			s.mu.Unlock()
			o.take(issues)
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (o *Outcome) take(issues []fhirsync.Issue) {
	o.Issues = issues
	o.Refused = slices.ContainsFunc(issues, refuses)
}

// mark adds the mark to what Apply has made, unless it is there.
func mark(r *Result) {
	root, err := parse(r.Raw)
	if err != nil || root.kind != '{' {
		return
	}
	typ, _ := root.get("resourceType").str(r.Raw)
	p := &pass{raw: r.Raw}
	coding := Code{Path: "tag", System: MarkSystem, Codes: []string{MarkCode}}
	meta := root.get("meta")
	if meta == nil {
		meta = root.add("meta", node{kind: '{'})
	}
	if meta.kind != '{' || p.codes(meta, []Code{coding}) {
		return
	}
	tags := meta.get("tag")
	if tags == nil {
		tags = meta.add("tag", node{kind: '['})
	}
	if tags.kind != '[' {
		return
	}
	tags.push(object(field{"system", str(MarkSystem)}, field{"code", str(MarkCode)}))
	r.Raw = slices.Concat(r.Raw[:root.start], root.write(nil, r.Raw), r.Raw[root.end:])
	r.Changes = append(r.Changes, Change{Rule: RuleMark, Path: typ + ".meta.tag"})
}

// Powers gives what the next store can do.
func (s *store) Powers() fhirsync.Powers {
	next := fhirsync.PowersOf(s.next)
	var p fhirsync.Powers
	if next.State != nil {
		p.State = states{next.State, "-conform-" + s.print}
	}
	if next.Digests != nil {
		p.Digests = digests{next.Digests, s}
	}
	p.Seen = next.Seen // keys stay.
	p.Quarantine = next.Quarantine
	return p
}

// states keeps states apart by settings.
type states struct {
	next   fhirsync.StateStore
	suffix string
}

func (s states) LoadState(ctx context.Context, key string) (state []byte, rev string, err error) {
	return s.next.LoadState(ctx, key+s.suffix)
}

func (s states) SaveState(ctx context.Context, key string, state []byte, rev string) (newRev string, err error) {
	return s.next.SaveState(ctx, key+s.suffix, state, rev)
}

// digests asks by the digests that next has been given.
type digests struct {
	next fhirsync.DigestStore
	s    *store
}

func (d digests) Holds(ctx context.Context, keys []fhirsync.Key, of [][32]byte) ([]bool, error) {
	put := make([][32]byte, len(of))
	for i := range of {
		put[i] = d.s.digest(of[i])
	}
	return d.next.Holds(ctx, keys, put)
}
