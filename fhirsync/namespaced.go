package fhirsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fhirsync/fhirsync-go/idspace"
)

// Namespaced is a Store around a Store that gives every resource an id of its own, so that several servers can be put into one place: see
// package [idspace]. For each batch it takes the space whose Name is Batch.Server or, where the server has no name, the one that has the
// base URL among its Bases. A batch for which there is none is an error, and so are two spaces of one name.
//
// What next sees is rewritten: Key.ID, Raw with all references, and Batch.PatientID, which is the id of the rewritten Patient. What stays of
// the source:
//
//   - Key.Server and Batch.Server;
//   - Digest, which is that of the source bytes, so that what is unchanged on the server is unchanged in next. It says nothing of the spaces'
//     options: whoever changes Bases, Mark or Canonicals of a space should begin with an empty store, because
//     resources that next holds already may be passed over;
//   - VersionID and LastUpdated;
//   - Origin.Key, which is the source's Key.
//
// What a sync got from other servers (see [Elsewhere]) has the base URL of its server as Key.Server, and gets ids that no space has: those of a space that
// is named "elsewhere " and that base URL, so that they are never those of a server that has a space of its own, whatever that is called. Their marker
// names that space. References to them stay absolute, as the record has them.
//
// The delivered bytes are never written to; next gets memory of its own. A resource that cannot be rewritten (its bytes are not JSON, name
// another identity than its Key, or leave no place for the marker) is rejected with a [*RejectError], and so is what next rejects, under the
// index that it had. The Report speaks of source ids throughout.
//
// Powers are those of next that are known here, with keys translated: Digests and Seen are asked by rewritten keys. State is kept under the
// caller's key together with the names, schemes and options of all spaces, so that a sync is not gone on with under others.
// Quarantine hands on what it gets: those bytes are the source's, and so are the ids beside them.
//
// It is safe for concurrent use if next is.
func Namespaced(next Store, spaces ...*idspace.Space) Store {
	n := &namespaced{next: next, byName: map[string]*idspace.Space{}, spaces: spaces}
	prints := make([]string, 0, len(spaces))
	for _, s := range spaces {
		if s == nil {
			n.err = errors.New("fhirsync: Namespaced: a space is nil")
			continue
		}
		if n.byName[s.Name()] != nil {
			n.err = errors.New("fhirsync: Namespaced: two spaces have one name")
		}
		n.byName[s.Name()] = s
		prints = append(prints, s.Fingerprint())
	}
	slices.Sort(prints)
	h := sha256.New()
	for _, p := range prints {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(p), p) // a hash does not fail.
	}
	n.stateSuffix = "-idspace-" + hex.EncodeToString(h.Sum(nil)[:16])
	return n
}

type namespaced struct {
	next        Store
	spaces      []*idspace.Space
	byName      map[string]*idspace.Space
	stateSuffix string
	err         error // nothing can be put
}

// space gives the space of a server.
func (n *namespaced) space(server string) (*idspace.Space, error) {
	if n.err != nil {
		return nil, n.err
	}
	if s := n.byName[server]; s != nil {
		return s, nil
	}
	var found *idspace.Space
	for _, s := range n.spaces {
		if s.HasBase(server) {
			if found != nil {
				return nil, errors.New("fhirsync: Namespaced: two spaces have the base URL of this server")
			}
			found = s
		}
	}
	if found == nil {
		return nil, errors.New("fhirsync: Namespaced: no space for this server: Server.Name must be the Name of one")
	}
	return found, nil
}

// errOtherIdentity: bytes and key do not belong together.
var errOtherIdentity = errors.New("the bytes name another identity than the key")

// Put rewrites a batch and puts it into the next store.
func (n *namespaced) Put(ctx context.Context, batch Batch) error {
	return n.put(ctx, batch, n.next.Put)
}

func (n *namespaced) put(ctx context.Context, batch Batch, next func(context.Context, Batch) error) error {
	own, err := n.space(batch.Server)
	if err != nil {
		return err
	}
	out := batch
	if batch.PatientID != "" {
		out.PatientID = own.ID("Patient", batch.PatientID)
	}
	out.Resources = make([]Resource, len(batch.Resources))
	order := make([]int, len(batch.Resources))
	rejected := map[int]error{}
	raws := func(yield func([]byte) bool) {
		for i := range batch.Resources {
			if !yield(batch.Resources[i].Raw) {
				return
			}
		}
	}
	i := -1
	for rewritten, err := range own.RewriteAll(raws) {
		if err := ctx.Err(); err != nil {
			return err
		}
		i++
		order[i] = i
		res := &out.Resources[i]
		*res = batch.Resources[i]
		if err == nil && res.Server != batch.Server {
			var space *idspace.Space
			if space, err = elsewhereSpace(own, res.Server); err == nil {
				rewritten, err = space.Rewrite(res.Raw)
			}
		}
		switch {
		case err != nil:
			rejected[i] = err
		case rewritten.Type != res.Type || rewritten.ID != res.ID:
			rejected[i] = errOtherIdentity
		default:
			if res.Origin.Key == (Key{}) { // else the source is further back.
				res.Origin.Key = res.Key
			}
			res.ID, res.Raw = rewritten.NewID, rewritten.Raw
		}
	}
	if len(rejected) > 0 {
		return &RejectError{Rejected: rejected}
	}
	slices.SortFunc(order, func(a, b int) int { return compareKeys(out.Resources[a].Key, out.Resources[b].Key) })
	sorted := make([]Resource, len(order))
	for to, from := range order {
		sorted[to] = out.Resources[from]
	}
	out.Resources = sorted
	return backToSource("Namespaced", next(n.heard(ctx, batch, out, order), out), order)
}

// heard makes that what the next store tells of its keys (see TellHeld) is told of the source's.
func (n *namespaced) heard(ctx context.Context, batch, out Batch, order []int) context.Context {
	if ctx.Value(heldKey{}) == nil {
		return ctx // nobody listens.
	}
	return OnHeld(ctx, func(held []Key) {
		is := make(map[Key]bool, len(held))
		for _, k := range held {
			is[k] = true
		}
		keys := make([]Key, 0, len(held))
		for at, from := range order {
			if is[out.Resources[at].Key] {
				keys = append(keys, batch.Resources[from].Key)
			}
		}
		TellHeld(ctx, keys)
	})
}

// elsewhereSpace gives the space of what came from another server. own is that of the server whose record it belongs to.
func elsewhereSpace(own *idspace.Space, server string) (*idspace.Space, error) {
	if !strings.HasPrefix(server, "https://") {
		return nil, errOtherIdentity // no other server is asked in another way.
	}
	return own.Elsewhere(server)
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

// backToSource gives an error of the next store with the indexes that its caller knows: order has them by those of the next store.
func backToSource(who string, err error, order []int) error {
	var reject *RejectError
	if !errors.As(err, &reject) {
		return err
	}
	back := &RejectError{Rejected: make(map[int]error, len(reject.Rejected))}
	for i, why := range reject.Rejected {
		if i < 0 || i >= len(order) {
			return errors.New("fhirsync: " + who + ": the store rejected a resource that was not in the batch")
		}
		back.Rejected[order[i]] = why
	}
	return back
}

// Powers gives what the next store can do, in terms of the source.
func (n *namespaced) Powers() Powers {
	next := PowersOf(n.next)
	var p Powers
	if next.State != nil {
		p.State = suffixedState{next.State, n.stateSuffix}
	}
	if next.Digests != nil {
		p.Digests = namespacedDigests{next.Digests, n}
	}
	if next.Seen != nil {
		p.Seen = namespacedSeen{next.Seen, n}
	}
	if next.History != nil {
		p.History = namespacedHistory{next.History, n}
	}
	if next.Content != nil {
		p.Content = namespacedContents{next.Content, n}
	}
	p.Quarantine = next.Quarantine
	return p
}

// suffixedState keeps states apart by what a wrapper does to the data.
type suffixedState struct {
	next   StateStore
	suffix string
}

func (s suffixedState) LoadState(ctx context.Context, key string) (state []byte, rev string, err error) {
	return s.next.LoadState(ctx, key+s.suffix)
}

func (s suffixedState) SaveState(ctx context.Context, key string, state []byte, rev string) (newRev string, err error) {
	return s.next.SaveState(ctx, key+s.suffix, state, rev)
}

// namespacedHistory puts versions as Put puts resources.
type namespacedHistory struct {
	next HistoryStore
	n    *namespaced
}

func (s namespacedHistory) PutVersions(ctx context.Context, batch Batch) error {
	return s.n.put(ctx, batch, s.next.PutVersions)
}

// namespacedContents puts contents under rewritten keys, as the resources that name them do. Their bytes stay.
type namespacedContents struct {
	next ContentStore
	n    *namespaced
}

func (s namespacedContents) PutContent(ctx context.Context, c Content) error {
	space, err := s.n.space(c.Server)
	if err != nil {
		return err
	}
	if c.PatientID != "" {
		c.PatientID = space.ID("Patient", c.PatientID)
	}
	if c.Key.Server != c.Server {
		if space, err = elsewhereSpace(space, c.Key.Server); err != nil {
			return &RejectError{Rejected: map[int]error{0: err}}
		}
	}
	c.Key.ID = space.ID(c.Key.Type, c.Key.ID)
	return s.next.PutContent(ctx, c)
}

// namespacedDigests asks by rewritten keys.
type namespacedDigests struct {
	next DigestStore
	n    *namespaced
}

func (d namespacedDigests) Holds(ctx context.Context, keys []Key, digests [][32]byte) ([]bool, error) {
	there, err := d.n.keys(keys)
	if err != nil {
		return nil, err
	}
	return d.next.Holds(ctx, there, digests)
}

// namespacedSeen asks by rewritten keys.
type namespacedSeen struct {
	next SeenStore
	n    *namespaced
}

func (s namespacedSeen) Seen(ctx context.Context, run string, keys []Key) ([]bool, error) {
	there, err := s.n.keys(keys)
	if err != nil {
		return nil, err
	}
	return s.next.Seen(ctx, run, there)
}

// keys gives rewritten keys.
func (n *namespaced) keys(keys []Key) ([]Key, error) {
	there := make([]Key, len(keys))
	for i, k := range keys {
		space, err := n.space(k.Server)
		if err != nil {
			return nil, err
		}
		there[i] = Key{Server: k.Server, Type: k.Type, ID: space.ID(k.Type, k.ID)}
	}
	return there, nil
}
