package events

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/typedbus/events/internal/topiclog"
)

// Overflow is what happens to an event that finds a queue full: [Block], which
// is the default, [DropOldest] or [Reject].
type Overflow uint8

// The policies of [WithOverflow].
const (
	// Block has the publisher wait for room, or for the end of its context.
	Block = Overflow(topiclog.Block)
	// DropOldest drops the oldest event queued, of this subscription alone.
	DropOldest = Overflow(topiclog.DropOldest)
	// Reject has the publish return ErrFull; no handler gets the event.
	Reject = Overflow(topiclog.Reject)
)

// The settings of SubscribeBatch and All unless options say otherwise.
const (
	defaultCapacity = 1024
	defaultBatch    = 100
	defaultWait     = time.Second
)

type queueOptions struct {
	capacity int // 0 without a queue
	overflow Overflow
	lanes    int // 0 unless WithLanes
	orderBy  any // func(T) string
	keyType  reflect.Type
	batch    int // 0 without batches
	wait     time.Duration

	overflowSet, batchSet bool
}

// WithQueue gives the subscription a queue for up to capacity events and a
// goroutine of its own, in which the handler gets them one at a time in the
// order of publication. The publisher does not wait for the handler, and what
// that fails with goes to the error handler; it does wait for room when the
// queue is full, unless [WithOverflow] says [DropOldest] or [Reject] in place of
// [Block]. Memory grows with what is queued, up to the capacity. By default a
// handler has no queue and runs inline.
//
// Subscribe returns an error if capacity is below 1.
func WithQueue(capacity int) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) {
		if capacity < 1 {
			o.reject("WithQueue(%d): want a capacity of 1 or more", capacity)
		}
		o.queue.capacity = capacity
	})
}

// WithOverflow says what happens to an event that finds the queue full. The
// default is [Block]. It needs [WithQueue].
func WithOverflow(overflow Overflow) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) {
		if overflow > Reject {
			o.reject("WithOverflow(%d): want Block, DropOldest or Reject", overflow)
		}
		o.queue.overflow, o.queue.overflowSet = overflow, true
	})
}

// WithLanes has up to n events of the queue handled at the same time, each on
// a goroutine of its own, in no order unless [WithOrderBy] says which. Lanes
// start as they are needed. The default is 1. It needs [WithQueue].
//
// Subscribe returns an error if n is below 1.
func WithLanes(n int) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) {
		if n < 1 {
			o.reject("WithLanes(%d): want 1 lane or more", n)
		}
		o.queue.lanes = n
	})
}

// WithOrderBy has [WithLanes] handle events of the same key one at a time, in
// the order of publication; events of different keys run in parallel. key is
// called in the publish, in the publisher's goroutine, before anything is
// queued, and again if that has to wait, if the handlers change meanwhile, or if it
// panics. Its panic keeps the event from this subscription only, and is an error of the
// publish; with [WithFailFast] it ends that before any handler has got the event.
// For an untyped subscription T is [Event].
//
// Subscribe returns an error if T is not the payload type, and without lanes.
// It panics if key is nil.
func WithOrderBy[T any](key func(payload T) string) SubscribeOption {
	if key == nil {
		panic("events: WithOrderBy: key is nil")
	}
	return subscribeOption(func(o *subscriptionOptions) {
		o.queue.orderBy, o.queue.keyType = key, reflect.TypeFor[T]()
	})
}

// WithBatch sets how many events a batch has at most, and how long it waits to
// be full after its first event. It is for [Topic.SubscribeBatch].
//
// SubscribeBatch returns an error if max is below 1 or wait is not positive.
func WithBatch(max int, wait time.Duration) SubscribeOption {
	return subscribeOption(func(o *subscriptionOptions) {
		if max < 1 || wait <= 0 {
			o.reject("WithBatch(%d, %v): want 1 event or more and a wait above 0", max, wait)
		}
		o.queue.batch, o.queue.wait, o.queue.batchSet = max, wait, true
	})
}

// WithReplay has a bus keep the last n events of the topic, with the contexts
// they were published with. Queued subscriptions through the topic or to its
// name begin with these, beyond their capacity if need be; patterns do not. By
// default nothing is kept.
//
// It panics if n is negative.
func WithReplay(n int) TopicOption {
	if n < 0 {
		panic(fmt.Sprintf("events: WithReplay(%d): want 0 or more", n))
	}
	return topicOption(func(o *topicOptions) { o.delivery.replay = int32(min(n, math.MaxInt32)) })
}

// subscriptionKind is by which method a subscription is made.
type subscriptionKind int

const (
	kindHandler subscriptionKind = iota
	kindBatch
	kindAll
)

// noOptions are those of most subscriptions.
var noOptions subscriptionOptions

// readOptions returns the options of a subscription whose handler takes
// payloads of the given type, or says which of them does not fit. Those of a
// handler may be shared and are not to be changed.
func readOptions(bus *Bus, options []SubscribeOption, kind subscriptionKind, payload reflect.Type) (*subscriptionOptions, error) {
	if len(options) == 0 && kind == kindHandler {
		return &noOptions, nil
	}
	chosen := new(subscriptionOptions)
	chosen.queue.capacity = defaultCapacity
	chosen.queue.batch, chosen.queue.wait = defaultBatch, defaultWait
	for _, option := range bus.options.queues {
		option.applyToSubscription(chosen)
	}
	chosen.queue.overflowSet, chosen.queue.batchSet = false, false
	if kind == kindHandler {
		chosen.queue.capacity = 0
	}
	if kind != kindBatch {
		chosen.queue.batch = 0
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("option is nil")
		}
		option.applyToSubscription(chosen)
	}
	if chosen.err != nil {
		return nil, chosen.err
	}
	return chosen, chosen.check(kind, payload)
}

// check returns what has no effect on the subscription, or does not fit it.
func (o *subscriptionOptions) check(kind subscriptionKind, payload reflect.Type) error {
	q := &o.queue
	misfits := []struct {
		misfit bool
		text   string
	}{
		{q.capacity == 0 && q.overflowSet, "WithOverflow has no queue to be about, want WithQueue too"},
		{q.capacity == 0 && q.lanes > 0, "WithLanes has no queue to be about, want WithQueue too"},
		{q.capacity > 0 && o.prioritySet, "WithPriority is for inline handlers, queues do not wait for one another"},
		{q.capacity > 0 && o.waits, "WithDrain is for inline handlers, Drain always waits for queued ones"},
		{q.orderBy != nil && q.lanes == 0, "WithOrderBy has no lanes to be about, want WithLanes too"},
		{q.orderBy != nil && q.keyType != payload, fmt.Sprintf("WithOrderBy has a key of %v, want one of %v", q.keyType, payload)},
		{q.batchSet && kind != kindBatch, "WithBatch is for SubscribeBatch"},
		{kind != kindHandler && q.lanes > 0, "WithLanes is for handlers of one event"},
		{kind != kindHandler && o.once, "WithOnce is for handlers of one event"},
		{kind == kindAll && o.until != nil, "WithUntil is for handlers, All ends with its own context"},
		{kind == kindAll && len(o.middleware) > 0, "WithMiddleware is for handlers"},
	}
	for _, m := range misfits {
		if m.misfit {
			return errors.New(m.text)
		}
	}
	return nil
}
