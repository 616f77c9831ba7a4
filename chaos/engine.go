package main

import (
	"context"
	"slices"
	"time"

	"github.com/typedbus/events/durable"
)

// engine is a kind of store that the rig can put to the test.
type engine struct {
	name string

	// missing says what this machine lacks for it, or nothing.
	missing func() string

	// start makes a database in a folder, and returns its address.
	start func(ctx context.Context, folder string) (address string, s server, err error)

	// open opens the store at an address, for one process.
	open func(ctx context.Context, address string) (store, error)

	// broker says that it has no transactions, no order of keys and nothing for later, and
	// that the end of a process counts as an attempt for all that it had.
	broker bool

	// longest is how long a transaction may stay open in the usual mix: where there is one
	// writer, all others wait for it.
	longest time.Duration
}

// engines are all of them, in the order in which they have their turn.
var engines = []*engine{onSQLite, onPostgres, onJetStream}

// groups are those that an engine can have.
func (e *engine) groups() []group {
	if !e.broker {
		return groups
	}
	return slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.ordered })
}

func engineOf(name string) *engine {
	for _, e := range engines {
		if e.name == name {
			return e
		}
	}
	return nil
}

// store is an engine of package durable, with what the rig needs of it beyond that.
type store interface {
	durable.Engine
	DeadLetters() durable.DeadLetters

	// lags returns how many events the groups have not handled, dead letters aside.
	lags(ctx context.Context) (map[string]int64, error)

	// shut closes the store and the connections below it.
	shut(ctx context.Context) error
}

// transactor is a store that is in a database.
type transactor interface {
	// begin begins a transaction that can publish.
	begin(ctx context.Context) (transaction, error)
}

// transaction is one of the caller's.
type transaction interface {
	durable.Publisher
	commit(ctx context.Context) error
	rollback(ctx context.Context) error
}

// server is what holds the database. An engine that is a file has none.
type server interface {
	kill() error // at once, and without a word to its clients
	restart(ctx context.Context) error
	cut(ctx context.Context) error // the connections of clients
	stop() error
}
