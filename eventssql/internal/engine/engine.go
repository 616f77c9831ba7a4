// Package engine is what the engines on SQL have in common: how events are kept, and
// how groups come to have them. What differs between databases is a [Database] and
// a [Tx].
//
// The state of a delivery is in two numbers. due is when it is to be claimed: when
// its retry, its delay or its lease is over; never for one that is parked behind an
// earlier one of its key; null for a dead letter. token grows whenever the delivery
// changes hands, and is odd while somebody has it: a settlement with another token
// is lost, and an odd one whose due is over had a process that ended.
//
// Who claims has the group alone ([Tx.Enter]), so that the code can look at
// several rows and then decide. With an order of keys so has who settles.
package engine

import (
	"context"
	"log/slog"
	"time"

	"github.com/typedbus/events/durable"
)

// Engine keeps events in a database. Its settings are not to be changed.
type Engine struct {
	Database
	Wakes

	Name      string // of the package, for errors
	MaxSize   int    // of a message with its headers, in bytes
	Retention time.Duration
	Logger    *slog.Logger
}

// Database is a database of the engine. The names of tables in its statements begin
// with @, and what differs between dialects is in the words of [Dialect].
type Database interface {
	// Write runs an operation in a transaction, maybe more than once, and returns
	// when it is stored. It returns [durable.ErrClosed] when the engine is closed.
	Write(ctx context.Context, do func(ctx context.Context, tx Tx) error) error

	// Claim is Write for what may wait for others, who hold a group.
	Claim(ctx context.Context, do func(ctx context.Context, tx Tx) error) error

	// Read calls row for each row of a result, without holding a writer up.
	Read(ctx context.Context, row func(Row) error, query string, arguments ...any) error

	// Await is called when a receiver begins to wait for a wake.
	Await()

	// Closed reports whether the engine is closed.
	Closed() bool
}

// Tx is a transaction of the engine's.
type Tx interface {
	// Exec executes a statement, at the latest with the next query or the end of the
	// transaction. Then changed, if it is not nil, has how many rows were changed.
	Exec(ctx context.Context, changed *int64, statement string, arguments ...any) error

	// Ask calls row for each row of a result, at the latest with the next query, Answer or the
	// end of the transaction. So several questions, and what is to be executed, go together.
	Ask(ctx context.Context, row func(Row) error, query string, arguments ...any) error

	// Answer returns when all questions are answered.
	Answer(ctx context.Context) error

	// Query is Ask and Answer.
	Query(ctx context.Context, row func(Row) error, query string, arguments ...any) error

	// Enter waits until nobody else is in the group, or locks it, until the end of the
	// transaction. It returns false if there is no such group.
	Enter(ctx context.Context, group int64) (place Place, ok bool, err error)

	// Exclude waits until no other transaction is under way that has called it: those
	// that sweep, and those that make groups from the start.
	Exclude(ctx context.Context) error

	// Final returns up to which id no message will come any more.
	Final(ctx context.Context) (int64, error)

	// Now returns the time by which leases are measured.
	Now(ctx context.Context) (time.Time, error)
}

// Place is how far a group has come.
type Place struct {
	Now    time.Time
	Cursor int64 // all messages up to it were looked at
	Final  int64 // up to it no message will come any more
}

// Row is a row of a result.
type Row interface{ Scan(targets ...any) error }

// Features are all of them.
func Features() durable.Features {
	return durable.Features{
		Delay: true, OrderByKey: true, Attempts: true, Renew: true, Fencing: true,
		DeadLetters: true, FromStart: true, DelayedPublish: true, AtomicBatch: true,
	}
}
