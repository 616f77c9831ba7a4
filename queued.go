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

// openTyped makes the queue of a subscription through a topic, when the bus takes
// it.
func openTyped[T any](s *Subscription, handler queue.Handler[T]) func(*route) {
	s.extras.typed = true
	return func(r *route) {
		openQueue(s, r, handler,
			func() *topiclog.Log[T] { return s.bus.typedLog(r).(*typedPlace[T]).log },
			func(log *topiclog.Log[T], key func(T) string) place { return &typedPlace[T]{log, key} })
	}
}

// openEvents is openTyped for an untyped subscription.
func openEvents(s *Subscription) func(*route) {
	return func(r *route) {
		handler := queue.Handler[Event]{One: unmapped(s.handler)}
		if r == nil {
			handler.Name = func(event Event) string { return event.Name }
		}
		openQueue(s, r, handler,
			func() *topiclog.Log[Event] { return s.bus.eventLog(r) },
			func(log *topiclog.Log[Event], key func(Event) string) place { return &eventPlace{log, key} })
	}
}

// openQueue makes the queue of a subscription: before the log that shared returns,
// which it has in common with others of its route, or, for keys and for patterns,
// before one of its own, which is a place of its own.
func openQueue[E any](s *Subscription, r *route, handler queue.Handler[E], shared func() *topiclog.Log[E], own func(*topiclog.Log[E], func(E) string) place) {
	var log, kept *topiclog.Log[E]
	var from part
	switch key, ordered := s.limits.orderBy.(func(E) string); {
	case ordered:
		log = topiclog.NewKeyed[E](s.logOptions())
		from, s.place = s.bus.keep(log.Lines()), own(log, key)
		if r != nil && r.delivery.replay > 0 {
			kept = shared()
		}
	case r == nil:
		log = topiclog.New[E]()
		from, s.place = s.bus.keep(log.Core()), own(log, nil)
	default:
		log = shared()
		from = log.Core()
	}
	s.queue = queue.New(s.hooks(from), log, kept, s.logOptions(), s.batchOptions(), handler)
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
	chosen, err := t.readOptions(bus, options, kindBatch)
	if err != nil {
		return nil, err
	}
	s := newSubscription(bus, t.name, handler, chosen, 0)
	many := limited(s.lifespan(), false, handler)
	if middleware := bus.around(t.options.middleware, chosen.middleware); len(middleware) > 0 {
		wrapped := s.within(middleware, unbox(many))
		many = func(ctx context.Context, values []T) error { return wrapped(ctx, Event{Name: t.name, Data: values}) }
	}
	s.open = openTyped(s, queue.Handler[T]{Many: many})
	return bus.add(s, t.binding())
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
	chosen, err := t.readOptions(bus, options, kindAll)
	if err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, errorAt("iterate over", t.name, errors.New("context is nil"))
	}
	chosen.until = ctx
	if chosen.name == "" {
		chosen.name = fmt.Sprintf("All(%q)", t.name)
	}
	s := newSubscription(bus, t.name, nil, chosen, 1)
	s.extras.typed = true
	var loop *queue.Loop
	var at func(context.Context, func(context.Context, T) bool) bool
	s.open = func(r *route) {
		log := bus.typedLog(r).(*typedPlace[T]).log
		loop, at = queue.NewLoop(s.hooks(log.Core()), log, s.logOptions())
		s.queue = loop.Queue
	}
	if _, err = bus.add(s, t.binding()); err != nil {
		return nil, err
	}
	used := new(atomic.Bool)
	return func(yield func(context.Context, T) bool) {
		if used.CompareAndSwap(false, true) {
			loop.Range(ctx, s.Unsubscribe, func(ctx context.Context) bool { return at(ctx, yield) })
		}
	}, nil
}
