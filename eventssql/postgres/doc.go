// Package postgres is the engine of package durable on PostgreSQL, for services of
// several processes and machines. The business row and its event are committed in one
// transaction.
//
//	store, err := postgres.Open(ctx, pool)
//	tx, err := pool.Begin(ctx)
//	...
//	err = durable.Publish(ctx, store.PgxTx(tx), OrderPaid, order)
//	err = tx.Commit(ctx)
//
// # How events are kept
//
// There is one append-only table of messages. A group is a cursor on it, and has a
// row for a delivery only while that is at work, waits or is dead. So a publish
// costs the same however many groups there are.
//
// Ids are taken before transactions commit. So groups look only at messages up to the
// horizon: the id below which all transactions are over. A transaction that has published
// and stays open holds up what others publish behind it, in all topics; after five seconds
// that is logged, and [Store.HeldUp] tells whose it is.
//
// # Who waits for whom
//
// Who publishes while nobody else does stores his messages himself. The store has four
// goroutines: one stores what is published meanwhile, one looks for what
// others have committed and wakes receivers, one listens for other processes and so makes
// that look sooner, one sweeps. Receivers claim and settle in goroutines of package
// durable. Processes meet in the row of a group, which a claim locks, and with it a
// settlement where order is kept. A process that stands still with that lock is
// disconnected by the server after a second. Leases and
// retries are measured by the time of the server; what is written into messages is that of
// the machine that publishes.
package postgres
