package main

import (
	"context"
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

	// longest is how long a transaction may stay open in the usual mix: where there is one
	// writer, all others wait for it.
	longest time.Duration
}

// engines are all of them, in the order in which they have their turn.
var engines = []*engine{onSQLite, onPostgres}

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

	// begin begins a transaction that can publish.
	begin(ctx context.Context) (transaction, error)

	// lags returns how many events the groups have not handled, dead letters aside.
	lags(ctx context.Context) (map[string]int64, error)

	// shut closes the store and the connections below it.
	shut(ctx context.Context) error
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
