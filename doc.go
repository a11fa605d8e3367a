// Package fhirsyncgo documents the module; it has no code. The library is package [fhirsync]:
//
//	import "github.com/fhirsync/fhirsync-go/fhirsync"
//
// It pulls one patient's whole record out of any FHIR server (R4, R4B, R5, STU3). The promise: every resource of the patient reaches the
// caller's store, or the report says which did not, and why.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//
//		"github.com/fhirsync/fhirsync-go/fhirsync"
//		"github.com/fhirsync/fhirsync-go/fhirsync/store/memstore"
//	)
//
//	func main() {
//		client, err := fhirsync.New(fhirsync.Config{})
//		if err != nil {
//			panic(err)
//		}
//		server := fhirsync.Server{Name: "payer-a", BaseURL: "https://fhir.example.org/r4"}
//		report, err := client.Sync(context.Background(), server, "17", new(memstore.Store), nil)
//		fmt.Println(report, err)
//	}
//
// # Packages
//
//   - [fhirsync]: Client, Server, Store, Strategy, Session, Report, events and errors.
//   - [fhirsync/store/memstore], [fhirsync/store/dirstore], [fhirsync/store/sqlstore] and, in a module of its own,
//     [fhirsync/store/pgxstore]: stores in memory, in a folder of NDJSON files, in SQLite and in PostgreSQL.
//   - [fhirsync/storetest] and [fhirsync/strategytest]: the contracts of a Store and of a Strategy as test suites.
//   - [fhirsync/fhirtest]: a FHIR server for tests that knows the truth about its patients and misbehaves on request.
//   - [fhirsync/conform]: makes what servers send fit for strict receivers, by rules that are recorded; profiles; a hook for validators.
//   - [quirks]: what a server says about itself, and what is known of it beside that.
//   - [idspace]: ids that cannot collide, for records of several servers in one place.
//   - [refs]: FHIR references: what one is, where in a resource they stand, what they mean in a Bundle, rewriting them, and what is still to be fetched.
//   - [ratelimit]: one limit per server, shared by all who ask it.
//   - examples/pull: the main job as a program.
//
// quirks, refs and ratelimit know nothing of fhirsync and are useful alone.
//
// # Stability
//
// This is version 0: a minor version may break callers, and the change log says how. Structs grow by fields, the set of events and of gap
// reasons grows by members, stores grow by fields of [fhirsync.Powers]; none of that counts as a break. The interfaces [fhirsync.Store] and
// [fhirsync.Strategy] do not grow.
//
// [fhirsync]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync
// [fhirsync.Powers]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync#Powers
// [fhirsync.Store]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync#Store
// [fhirsync.Strategy]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync#Strategy
// [fhirsync/store/memstore]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/store/memstore
// [fhirsync/store/dirstore]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/store/dirstore
// [fhirsync/store/sqlstore]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/store/sqlstore
// [fhirsync/store/pgxstore]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/store/pgxstore
// [fhirsync/strategytest]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/strategytest
// [idspace]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/idspace
// [fhirsync/conform]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/conform
// [fhirsync/storetest]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/storetest
// [fhirsync/fhirtest]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/fhirsync/fhirtest
// [quirks]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/quirks
// [refs]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/refs
// [ratelimit]: https://pkg.go.dev/github.com/fhirsync/fhirsync-go/ratelimit
package fhirsyncgo
