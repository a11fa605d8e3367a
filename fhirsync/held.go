package fhirsync

import (
	"context"
	"crypto/sha256"
)

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

// asCameKey is where a context has what of a batch is as it came.
type asCameKey struct{}

// asCame are the bytes of a batch's resources that are as they came, by the first of them: nobody writes to them, so whoever has the same memory
// has the same bytes.
type asCame map[*byte]hashed

type hashed struct {
	size   int
	digest [32]byte
}

func asCameOf(resources []Resource) asCame {
	as := make(asCame, len(resources))
	for i := range resources {
		if res := &resources[i]; res.Original == nil && len(res.Raw) > 0 { // else Digest is that of Original.
			as[&res.Raw[0]] = hashed{len(res.Raw), res.Digest}
		}
	}
	return as
}

// RawDigest gives the SHA-256 of raw, the Raw of a resource, for a [Store] whose Put wants to know whether the bytes are those that it has:
// Resource.Digest says what the server sent, and wrappers may have changed that. In the Put of a sync it takes no time for bytes that nothing has
// changed, because these were hashed before.
func RawDigest(ctx context.Context, raw []byte) [32]byte {
	if as, _ := ctx.Value(asCameKey{}).(asCame); len(as) > 0 && len(raw) > 0 {
		if h, is := as[&raw[0]]; is && h.size == len(raw) {
			return h.digest
		}
	}
	return sha256.Sum256(raw)
}
