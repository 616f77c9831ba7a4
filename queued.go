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

// openTyped returns what makes the queue of a subscription through a topic,
// when the bus takes it.
//
//go:noinline
func openTyped[T any](s *Subscription, one func(context.Context, T) error, many func(context.Context, []T) error) func(*route) {
	s.extras.typed = true
	key, ordered := s.limits.orderBy.(func(T) string)
	return func(r *route) {
		handler := queue.Handler[T]{One: one, Many: many}
		if ordered {
			keyed := topiclog.NewKeyed[T](s.logOptions())
			s.place = &keyedPlace[T]{keyed, key}
			var kept *topiclog.Log[T]
			if r.delivery.replay > 0 {
				kept = s.bus.typedLog(r).(*topicLog[T]).log
			}
			s.queue = queue.OnKeys(s.hooks(s.bus.keep(keyed.Lines())), keyed, kept, handler)
		} else {
			log := s.bus.typedLog(r).(*topicLog[T]).log
			s.queue = queue.OnLog(s.hooks(log.Core()), log, s.logOptions(), s.batchOptions(), handler)
		}
	}
}

// openEvents is openTyped for an untyped subscription.
func openEvents(s *Subscription) func(*route) {
	key, ordered := s.limits.orderBy.(func(Event) string)
	return func(r *route) {
		handler := queue.Handler[Event]{One: unmapped(s.handler)}
		if r == nil {
			handler.Name = func(event Event) string { return event.Name }
		}
		switch {
		case ordered:
			keyed := topiclog.NewKeyed[Event](s.logOptions())
			s.place = keyedEvents{keyed, key}
			var kept *topiclog.Log[Event]
			if r != nil && r.delivery.replay > 0 {
				kept = s.bus.eventLog(r)
			}
			s.queue = queue.OnKeys(s.hooks(s.bus.keep(keyed.Lines())), keyed, kept, handler)
		case r == nil:
			log := topiclog.New[Event]()
			s.place = eventLog{log}
			s.queue = queue.OnLog(s.hooks(s.bus.keep(log.Core())), log, s.logOptions(), nil, handler)
		default:
			log := s.bus.eventLog(r)
			s.queue = queue.OnLog(s.hooks(log.Core()), log, s.logOptions(), nil, handler)
		}
	}
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
	s.open = openTyped(s, nil, many)
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
		log := bus.typedLog(r).(*topicLog[T]).log
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
