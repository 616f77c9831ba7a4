package durable

import (
	"context"
	"fmt"
	"time"
)

// Publisher stores messages. An [Engine] is one, and so is what an engine makes
// of a transaction of the caller's.
type Publisher interface {
	// Publish stores the messages, in their order, and returns nil when all of
	// them are safe. With AtomicBatch it stores all or none; without, an error
	// for some of them is a [*BatchError].
	Publish(ctx context.Context, messages ...Message) error
}

// Engine stores messages and hands each to every group of its topic. It is the
// door behind which a database or a broker is: everything that is a matter of
// policy (retries, order within a process, leases, draining) is in this package.
// Package durabletest has the conformance suite that an engine must pass.
type Engine interface {
	Publisher

	// Features says what the engine can do beyond storing and handing out.
	Features() Features

	// Open opens a group, and makes it if there is none: then it gets what is
	// stored after Open has returned, and with FromStart what is stored already.
	// It returns [ErrGroupConflict] for a group that is there with another
	// OrderByKey. What Features denies is never asked for.
	Open(ctx context.Context, c Consumer) (Receiver, error)

	// Close ends what the engine has running, after its receivers. It does not
	// close what the user has handed to it.
	Close(ctx context.Context) error
}

// Features are what an engine can do. What it cannot do is refused with
// [ErrUnsupported] before it is asked.
type Features struct {
	Delay          bool // OutcomeRetry with After: a delivery comes back when due
	OrderByKey     bool // Consumer.OrderByKey
	Attempts       bool // Delivery.Attempt counts over crashes and processes
	Renew          bool // OutcomeRenew
	Fencing        bool // a settlement without a lease has no effect
	DeadLetters    bool // OutcomeDeadLetter, and the engine has a DeadLetters method
	FromStart      bool // Consumer.FromStart
	DelayedPublish bool // Message.NotBefore
	AtomicBatch    bool // Publish stores all messages or none
}

// Consumer says which deliveries a receiver gets. One that is opened only to make the
// group, and closed at once, has neither Lease nor MaxInFlight.
type Consumer struct {
	Topic, Group string
	Lease        time.Duration // how long a delivery belongs to the receiver, from Delivery.Claimed on
	OrderByKey   bool          // one delivery of a key at a time, in the order of storage; kept with the group
	FromStart    bool          // a group that is made gets what is stored already
	MaxInFlight  int           // how many deliveries the receiver has at most
}

// Receiver is one process's share of a group. Receive and Settle are called from
// one goroutine each, which may be at work at the same time; Close is called
// when both have returned.
type Receiver interface {
	// Receive claims up to max deliveries, and waits until there is one. It
	// returns the cause of ctx when that is done first, with nothing claimed, then or
	// later. It is called with such a ctx before deliveries are given back at the end.
	//
	// With OrderByKey no delivery of a key is handed out while an earlier one of
	// that key is unsettled, waits for its retry, or is due first, unless both
	// are in one result, in order.
	//
	// A delivery whose lease ran out is suspected of ending its process: it comes
	// alone, when the receiver has no other, and nothing comes with it until it is
	// settled. Attempt counts a lease that ran out only if it was alone then. A
	// receiver with other deliveries claims none for up to a lease, so as to have
	// none; then it goes on with others for ten, or one handler that does not
	// return would hold up all.
	Receive(ctx context.Context, max int) ([]*Delivery, error)

	// Settle stores what has become of deliveries, and returns which of them,
	// by their index, no longer belonged to the receiver: for these nothing was
	// stored. On an error it is not known what was stored.
	Settle(ctx context.Context, settlements []Settlement) (lost []int, err error)

	// Close gives up the receiver. What it has claimed and not settled comes
	// back when its lease runs out.
	Close() error
}

// Delivery is a message on its way to a group.
type Delivery struct {
	Message
	Group   string
	Attempt int       // 1 for the first
	Claimed time.Time // taken before it was claimed, so that no lease seems longer than it is
	Ref     string    // of the delivery in its group, as dead letters are addressed by
	Lease   any       // the engine's
}

// Outcome is what becomes of a delivery.
type Outcome uint8

// The outcomes of a delivery.
const (
	OutcomeAck        Outcome = iota // handled
	OutcomeRetry                     // failed: to come back after a while
	OutcomeRelease                   // not tried: to come back at once, with its attempt given back
	OutcomeDeadLetter                // failed for good, after Delivery.Attempt attempts: to be kept aside
	OutcomeRenew                     // still at work: the lease begins anew
)

var outcomeNames = [...]string{"ack", "retry", "release", "dead letter", "renew"}

// String returns the outcome in words.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Settlement is a delivery and what becomes of it.
type Settlement struct {
	*Delivery
	Outcome Outcome
	After   time.Duration // of OutcomeRetry
	Reason  string        // of OutcomeRetry and OutcomeDeadLetter
}

// engineAs returns e as an E, or the engine as one that e decorates: a decorator
// has a method Unwrap that returns an Engine.
func engineAs[E any](e Engine) (E, bool) {
	for e != nil {
		if found, ok := e.(E); ok {
			return found, true
		}
		decorator, ok := e.(interface{ Unwrap() Engine })
		if !ok {
			break
		}
		e = decorator.Unwrap()
	}
	var none E
	return none, false
}
