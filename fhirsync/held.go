package fhirsync

import "context"

// heldKey is where a context has the function for what Put tells.
type heldKey struct{}

// TellHeld is for the Put of a [Store] that finds out on the way what it holds, as an upsert does that leaves alone what is the same. It tells the
// sync which resources of the batch the store had exactly as they came: with this Resource.Digest and these bytes. Put calls it once with its
// context and the keys, which may be none, before it returns nil.
//
// The report then counts them as unchanged, and the sync asks the [DigestStore] beforehand only while it has reason to believe that the
// store holds something of what comes: to ask for each key costs up to a fifth of what Put does. Where nobody listens it does nothing. keys is not
// kept.
func TellHeld(ctx context.Context, keys []Key) {
	if told, _ := ctx.Value(heldKey{}).(func([]Key)); told != nil {
		told(keys)
	}
}

// OnHeld gives a context with which a store's Put tells fn what it held: see [TellHeld]. It is for who calls Put: a wrapper that changes keys
// translates them for the context that it has got, or gives a nil fn, so that nothing is told. fn is called by the goroutine of the store's choice, at most
// once for each Put and before that returns, and must not keep keys.
func OnHeld(ctx context.Context, fn func(keys []Key)) context.Context {
	return context.WithValue(ctx, heldKey{}, fn)
}
