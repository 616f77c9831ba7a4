package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"github.com/typedbus/events/internal/queue"
	"github.com/typedbus/events/internal/topiclog"
)

// payloads makes what is in front of the queued handlers of one type of payloads.
type payloads interface {
	newLog() (place, *topiclog.Core)
	newKeyed(o topiclog.Options, key any) (place, *topiclog.Lines)
	newQueue(hooks *queue.Hooks, at, kept place, o topiclog.Options, b *queue.BatchOptions, handler any) *queue.Queue
}

// opensEvents gives an untyped subscription a queue.
func (s *Subscription) opensEvents() {
	s.open = func(r *route) {
		handler := queue.Handler[Event]{One: unmapped(s.handler)}
		if r == nil {
			handler.Name = func(event Event) string { return event.Name }
		}
		s.openQueue(r, ofEvents{}, handler)
	}
}

// openQueue makes the queue of a subscription: before the log of its route, or,
// for keys and for patterns, before one of its own, which is a place of its own.
func (s *Subscription) openQueue(r *route, of payloads, handler any) {
	var at, kept place
	var from part
	switch {
	case s.limits.orderBy != nil:
		own, lines := of.newKeyed(s.logOptions(), s.limits.orderBy)
		at, s.place, from = own, own, s.bus.keep(lines)
		if r != nil && r.delivery.replay > 0 {
			kept = s.bus.logOf(r, s.typed).place
		}
	case r == nil:
		own, core := of.newLog()
		at, s.place, from = own, own, s.bus.keep(core)
	default:
		shared := s.bus.logOf(r, s.typed)
		at, from = shared.place, shared.core
	}
	s.queue = of.newQueue(s.hooks(from), at, kept, s.logOptions(), s.batchOptions(), handler)
}

func (s *Subscription) batchOptions() *queue.BatchOptions {
	if s.limits.batch == 0 {
		return nil
	}
	return &queue.BatchOptions{Max: s.limits.batch, Wait: s.limits.wait}
}

// SubscribeBatch runs handler with the topic's events in batches, in order and
// one batch at a time, in a goroutine of its own. A batch goes out when it is
// full, when [WithBatch]'s wait has passed since its first event, and when the
// subscription is drained or the bus closed; the default is 100 events and one
// second. The slice is the handler's. The context is of no publisher, since the
// events may come from many.
//
// The queue before it is that of [WithQueue], by default of 1024 events.
// It returns errors as Subscribe does, and panics if handler is nil.
func (t *Topic[T]) SubscribeBatch(bus *Bus, handler func(ctx context.Context, payloads []T) error, options ...SubscribeOption) (*Subscription, error) {
	if handler == nil {
		panic(fmt.Sprintf("events: SubscribeBatch(%q): handler is nil", t.Name()))
	}
	s, err := t.of().newSubscription(0, bus, handler, options, kindBatch, (*contractOf[T])(nil))
	if err != nil {
		return nil, err
	}
	many := limited(s.lifespan(), false, handler)
	if len(s.middleware) > 0 {
		wrapped := s.within(s.middleware, unbox(many))
		many = func(ctx context.Context, values []T) error { return wrapped(ctx, Event{Name: s.event, Data: values}) }
	}
	s.opens(queue.Handler[T]{Many: many})
	return s.add()
}

// All returns an iterator over the events of the topic on bus, from the call
// of All on: they queue up until the loop takes them, by default up to 1024,
// and then hold the publisher up. [WithQueue] and [WithOverflow] change that.
// The context of each event has its publisher's values.
//
// Leaving the loop unsubscribes, and so does the end of ctx. When the bus
// closes, the loop gets what is queued and ends. Close waits for that as for a
// handler, and so for a loop to begin if events are queued for it. The iterator
// can be ranged over once, in any goroutine.
//
// What Subscribe would return as an error goes to the error handler of the
// bus, and the iterator is empty.
func (t *Topic[T]) All(ctx context.Context, bus *Bus, options ...SubscribeOption) iter.Seq2[context.Context, T] {
	all, err := t.iterate(ctx, bus, options)
	if err != nil {
		bus.report(ctx, err)
		return func(func(context.Context, T) bool) {}
	}
	return all
}

func (t *Topic[T]) iterate(ctx context.Context, bus *Bus, options []SubscribeOption) (iter.Seq2[context.Context, T], error) {
	s, err := t.of().newAll(ctx, bus, options, (*contractOf[T])(nil))
	if err != nil {
		return nil, err
	}
	var loop *queue.Loop
	var at func(context.Context, func(context.Context, T) bool) bool
	s.open = func(r *route) {
		log := s.bus.logOf(r, true)
		loop, at = queue.NewLoop(s.hooks(log.core), log.place.(*typedPlace[T]).log, s.logOptions())
		s.queue = loop.Queue
	}
	if _, err = s.add(); err != nil {
		return nil, err
	}
	used := new(atomic.Bool)
	return func(yield func(context.Context, T) bool) {
		if used.CompareAndSwap(false, true) {
			loop.Range(ctx, s.Unsubscribe, func(ctx context.Context) bool { return at(ctx, yield) })
		}
	}, nil
}

// newAll is newSubscription for All.
func (t *topic) newAll(ctx context.Context, bus *Bus, options []SubscribeOption, c contract) (*subscribing, error) {
	s, err := t.newSubscription(2, bus, nil, options, kindAll, c)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, errorAt("iterate over", t.name, errors.New("context is nil"))
	}
	s.extras.typed = true
	if s.extras.name == "" {
		s.extras.name = fmt.Sprintf("All(%q)", t.name)
	}
	s.life = &lifespan{until: ctx, of: s.Subscription}
	return s, nil
}
