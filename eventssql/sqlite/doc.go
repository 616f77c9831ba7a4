// Package sqlite is the engine of package durable on SQLite, for services of one
// machine: nothing to install, and the business row and its event are committed
// in one transaction.
//
//	store, err := sqlite.OpenDB(ctx, db)
//	tx, err := db.BeginTx(ctx, nil)
//	...
//	err = durable.Publish(ctx, store.Tx(tx), OrderPaid, order)
//	err = tx.Commit()
//
// # How events are kept
//
// There is one append-only table of messages. A group is a cursor on it, and has a
// row for a delivery only while that is at work, waits or is dead. So a publish
// costs the same however many groups there are.
//
// # How it is written
//
// SQLite has one writer at a time. All that the engine writes goes by one connection:
// who finds nobody at it writes by himself, and what comes up meanwhile is stored in
// one transaction by a goroutine of the store, so that many share the wait for the disk. What others commit, in this process or another, it learns
// from SQLite's counter of changes, at which it looks every 10 milliseconds and, when
// nothing happens, every 250.
//
// A file that several programs open must be opened by all of them with the same
// SQLite library: two in one process lose each other's locks. The database has to be in
// WAL mode, which [DSN] asks for.
package sqlite
