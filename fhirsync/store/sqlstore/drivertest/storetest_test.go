package drivertest_test

import (
	"context"
	gosync "sync"
	"testing"

	"github.com/fhirsync/fhirsync-go/fhirsync"
	"github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore"
	"github.com/fhirsync/fhirsync-go/fhirsync/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		for _, references := range []bool{false, true} {
			name := k.name
			if references {
				name += "-references"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var places gosync.Map // of stores
				open := func(tb testing.TB, d database) fhirsync.Store {
					tb.Helper()
					s := d.open(tb)
					places.Store(s, d)
					return s
				}
				storetest.Run(t, storetest.Harness{
					Open: func(tb testing.TB) fhirsync.Store {
						tb.Helper()
						d := k.new(tb)
						d.opts.References = references
						d.opts.History, d.opts.Contents = true, true
						return open(tb, d)
					},
					Get: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) (fhirsync.Resource, error) {
						return s.(*sqlstore.Store).Get(ctx, key)
					},
					// The old connections stay as they are, like those of a process that was killed and has not been noticed yet.
					Reopen: func(tb testing.TB, prev fhirsync.Store) fhirsync.Store {
						tb.Helper()
						d, _ := places.Load(prev)
						return open(tb, d.(database))
					},
					Len: func(ctx context.Context, s fhirsync.Store) (n int, err error) {
						for _, err := range s.(*sqlstore.Store).All(ctx, "") {
							if err != nil {
								return 0, err
							}
							n++
						}
						return n, nil
					},
					Quarantined: func(ctx context.Context, s fhirsync.Store) (all []fhirsync.Quarantined, err error) {
						for q, err := range s.(*sqlstore.Store).Quarantined(ctx) {
							if err != nil {
								return nil, err
							}
							all = append(all, q)
						}
						return all, nil
					},
					Version: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key, version string) (fhirsync.Resource, error) {
						return s.(*sqlstore.Store).Version(ctx, key, version)
					},
					Content: func(ctx context.Context, s fhirsync.Store, key fhirsync.Key) ([]byte, error) {
						c, err := s.(*sqlstore.Store).Content(ctx, key)
						if err != nil {
							return nil, err
						}
						return c.Bytes()
					},
				})
			})
		}
	}
}
