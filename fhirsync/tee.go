package fhirsync

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Tee is a Store that puts everything into several stores, one after the other, in the order given: a database and a search index, say.
//
// nil means that all of them have accepted the whole batch. After an error of one of them, those before it have it and those after it do not;
// the same batch comes again to all, also to those that had accepted it. A resource that one of them rejects (see [RejectError]) goes into the
// others all the same, and is a gap of the report.
//
// Powers are those that are safe for all:
//
//   - State, if every one of them is a [StateStore]: each keeps the state of its own data. Where they do not have the same state, because one
//     of them was emptied, was not there the last time, or went on by itself, there is none, and a sync begins anew.
//   - Digests, if every one of them is a [DigestStore]: what all hold is unchanged, and so is what all tell of (see [TellHeld]).
//   - Seen, if every one of them is a [SeenStore]: what all have got has been put.
//   - History, if every one of them is a [HistoryStore]: each gets all versions.
//   - Content, if every one of them is a [ContentStore]: each gets all contents.
//   - Quarantine, if any of them is a [QuarantineStore]: all that are get all of it, also what only another one has rejected.
//
// A store that lacks one of the first three takes it from all: the sync then cannot be resumed, writes everything, or keeps more in memory. It is safe for concurrent use if all of them are. Without any store, or with a nil one, every Put fails.
func Tee(stores ...Store) Store {
	t := &tee{stores: slices.Clone(stores)}
	if len(stores) == 0 || slices.Contains(stores, nil) {
		t.err = errors.New("fhirsync: Tee: no store, or a nil one")
	}
	return t
}

type tee struct {
	stores []Store
	err    error // nothing can be put
}

// Put puts a batch into all stores.
func (t *tee) Put(ctx context.Context, batch Batch) error {
	if t.err != nil {
		return t.err
	}
	all := map[int]error{}
	held, told := map[Key]int{}, 0
	hear := OnHeld(ctx, func(keys []Key) {
		told++
		for _, k := range keys {
			held[k]++
		}
	})
	for i, s := range t.stores {
		err := s.Put(hear, batch)
		var reject *RejectError
		if errors.As(err, &reject) && len(reject.Rejected) > 0 {
			// What it rejects says nothing about the others; what it does not reject it gets again, when the caller knows.
			for at, why := range reject.Rejected {
				all[at] = errors.Join(all[at], why)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("fhirsync: Tee: store %d of %d: %w", i+1, len(t.stores), err)
		}
	}
	if len(all) > 0 {
		return &RejectError{Rejected: all}
	}
	if told == len(t.stores) {
		maps.DeleteFunc(held, func(_ Key, stores int) bool { return stores < told })
		TellHeld(ctx, slices.Collect(maps.Keys(held)))
	}
	return nil
}

// Powers gives what all stores can do.
func (t *tee) Powers() Powers {
	if t.err != nil {
		return Powers{}
	}
	var states teeStates
	var digests teeDigests
	var seen teeSeen
	var histories teeHistories
	var contents teeContents
	var quarantines teeQuarantines
	for _, s := range t.stores {
		p := PowersOf(s)
		if p.State != nil {
			states = append(states, p.State)
		}
		if p.Digests != nil {
			digests = append(digests, p.Digests)
		}
		if p.Seen != nil {
			seen = append(seen, p.Seen)
		}
		if p.History != nil {
			histories = append(histories, p.History)
		}
		if p.Content != nil {
			contents = append(contents, p.Content)
		}
		if p.Quarantine != nil {
			quarantines = append(quarantines, p.Quarantine)
		}
	}
	var out Powers
	if len(states) == len(t.stores) {
		out.State = states
	}
	if len(digests) == len(t.stores) {
		out.Digests = digests
	}
	if len(seen) == len(t.stores) {
		out.Seen = seen
	}
	if len(histories) == len(t.stores) {
		out.History = histories
	}
	if len(contents) == len(t.stores) {
		out.Content = contents
	}
	if len(quarantines) > 0 {
		out.Quarantine = quarantines
	}
	return out
}

// teeStates keeps the same state in all stores. Its revision is those of all, in their order; "" where none has a state.
type teeStates []StateStore

func (t teeStates) LoadState(ctx context.Context, key string) (state []byte, rev string, err error) {
	revs := make([]string, len(t))
	same := true
	for i, s := range t {
		var one []byte
		if one, revs[i], err = s.LoadState(ctx, key); err != nil {
			return nil, "", err
		}
		if i == 0 {
			state = one
		}
		same = same && bytes.Equal(one, state) && (one == nil) == (state == nil)
	}
	if !same {
		state = nil // the data of some of them is not what it speaks for.
	}
	return state, joinRevs(revs), nil
}

func (t teeStates) SaveState(ctx context.Context, key string, state []byte, rev string) (newRev string, err error) {
	revs, ok := t.splitRev(rev)
	if !ok {
		return "", ErrStateConflict
	}
	// The first decides who is first. Before anything is changed the others are looked at, so that a conflict there changes nothing.
	for i, s := range t[1:] {
		_, now, err := s.LoadState(ctx, key)
		if err != nil {
			return "", err
		}
		if now != revs[i+1] {
			return "", ErrStateConflict
		}
	}
	for i, s := range t {
		if revs[i], err = s.SaveState(ctx, key, state, revs[i]); err != nil {
			return "", err // those before have another state now than the rest: that is none.
		}
	}
	return joinRevs(revs), nil
}

func joinRevs(revs []string) string {
	if !slices.ContainsFunc(revs, func(r string) bool { return r != "" }) {
		return ""
	}
	text, _ := json.Marshal(revs) // strings have JSON.
	return string(text)
}

// splitRev gives the revisions that one was made of.
func (t teeStates) splitRev(rev string) ([]string, bool) {
	if rev == "" {
		return make([]string, len(t)), true
	}
	var revs []string
	if json.Unmarshal([]byte(rev), &revs) != nil || len(revs) != len(t) {
		return nil, false
	}
	return revs, true
}

// teeDigests holds what all stores hold.
type teeDigests []DigestStore

func (t teeDigests) Holds(ctx context.Context, keys []Key, digests [][32]byte) ([]bool, error) {
	return allSay(t, len(keys), func(s DigestStore) ([]bool, error) { return s.Holds(ctx, keys, digests) })
}

// teeSeen has seen what all stores have.
type teeSeen []SeenStore

func (t teeSeen) Seen(ctx context.Context, run string, keys []Key) ([]bool, error) {
	return allSay(t, len(keys), func(s SeenStore) ([]bool, error) { return s.Seen(ctx, run, keys) })
}

// allSay tells to which of n questions all say yes.
func allSay[S any](stores []S, n int, ask func(S) ([]bool, error)) ([]bool, error) {
	all := slices.Repeat([]bool{true}, n)
	for _, s := range stores {
		says, err := ask(s)
		if err != nil {
			return nil, err
		}
		if len(says) != n {
			return nil, errors.New("fhirsync: Tee: a store answered for another number of keys than asked")
		}
		for i, yes := range says {
			all[i] = all[i] && yes
		}
	}
	return all, nil
}

// teeHistories hands every version to all.
type teeHistories []HistoryStore

func (t teeHistories) PutVersions(ctx context.Context, batch Batch) error {
	all := map[int]error{}
	for _, s := range t {
		err := s.PutVersions(ctx, batch)
		if reject, is := errors.AsType[*RejectError](err); is && len(reject.Rejected) > 0 {
			for at, why := range reject.Rejected {
				all[at] = errors.Join(all[at], why)
			}
		} else if err != nil {
			return err
		}
	}
	if len(all) > 0 {
		return &RejectError{Rejected: all}
	}
	return nil
}

// teeContents hands every content to all.
type teeContents []ContentStore

func (t teeContents) PutContent(ctx context.Context, c Content) error {
	var rejected error
	for _, s := range t {
		err := s.PutContent(ctx, c.rewound())
		if reject, is := errors.AsType[*RejectError](err); is {
			rejected = reject
		} else if err != nil {
			return err
		}
	}
	return rejected
}

// teeQuarantines hands everything to all.
type teeQuarantines []QuarantineStore

func (t teeQuarantines) Quarantine(ctx context.Context, items []Quarantined) error {
	for _, s := range t {
		if err := s.Quarantine(ctx, items); err != nil {
			return err
		}
	}
	return nil
}
