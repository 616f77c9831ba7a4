package events

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
)

// iterator is a queue whose events a range loop takes.
type iterator[T any] struct {
	*consumer[T]
	used atomic.Bool
}

func (i *iterator[T]) left() uint64 {
	if !i.used.Load() {
		return i.cursor.Lag()
	}
	return i.consumer.left()
}

// start has nothing to start: the loop brings its own goroutine.
func (i *iterator[T]) start() {}

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
	i, err := t.iterate(ctx, bus, options)
	if err != nil {
		bus.report(ctx, err)
		return func(func(context.Context, T) bool) {}
	}
	return i.yieldAll
}

func (t *Topic[T]) iterate(ctx context.Context, bus *Bus, options []SubscribeOption) (*iterator[T], error) {
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
	s := newSubscription(bus, t.name, 0, chosen)
	s.typed = true
	i := new(iterator[T])
	s.more.open = func(r *route) queue {
		i.consumer = newConsumer(s, logOf[T](r), &chosen.queue, nil)
		return i
	}
	_, err = s.addTo(bus, t.binding())
	return i, err
}

func (i *iterator[T]) yieldAll(yield func(context.Context, T) bool) {
	if !i.used.CompareAndSwap(false, true) {
		return
	}
	w := i.team[0]
	i.bus.activity.queues.Add(1)
	defer func() {
		i.subscription.Unsubscribe()
		w.state.Store(resting)
		i.bus.left(i.subscription)
		close(i.done)
		i.bus.activity.queues.Add(-1)
		i.bus.changed()
	}()
	var e entry[T]
	var ctx *handlerContext
	for i.subscription.more.until.Err() == nil {
		if i.next(w, &e) {
			i.reportLost(w, &e)
			ctx = i.bus.detach(e.ctx, ctx, w)
			if !yield(ctx, e.payload) {
				return
			}
			continue
		}
		ctx, e = nil, entry[T]{}
		if !i.await(w, 0) {
			return
		}
	}
}
