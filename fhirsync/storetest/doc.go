// Package storetest proves that a [fhirsync.Store] keeps its contract. It is the whole test of an adapter:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Open: func(t testing.TB) fhirsync.Store { return mystore.New(t.TempDir()) },
//			Get: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
//				return s.(*mystore.Store).Get(ctx, key)
//			},
//		})
//	}
//
// Each rule is a subtest with a store of its own, and a failure begins with the rule in words. What is not tested, because the harness
// or the store has no means for it, is said by t.Log (go test -v).
//
// Optional powers (see [fhirsync.PowersOf]) are tested when the store has them.
//
// # What is not tested
//
// That a store survives kill -9 at any instant is for its own tests: Reopen can only show what is there between two calls. And of two
// versions of a resource that both say when they were last updated, a store may keep the newer even if it comes first; the suite never
// sends the older one last.
package storetest
