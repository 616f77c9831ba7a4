package events

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// batcher collects the events of a consumer and handles them together.
type batcher[T any] struct {
	*consumer[T]
	max       int
	wait      time.Duration
	handle    func(context.Context, []T) error
	collected atomic.Int64
}

// serveBatches is the serve of a consumer whose events go out in batches.
func (b *batcher[T]) serveBatches(w *worker) (again bool) {
	var e entry[T]
	var batch []T
	var expired <-chan time.Time
	var timer *time.Timer
	handling := false
	ctx := b.bus.detach(context.Background(), nil, w)
	defer func() {
		b.collected.Store(0)
		if !handling {
			return
		}
		if value := recover(); value != nil {
			again = true
			b.failedAll(ctx, batch, newPanicError(value))
		} else {
			b.failedAll(ctx, batch, errGoexit)
		}
	}()
	for {
		more, ended := true, false
		if b.next(w, &e) {
			b.reportLost(w, &e)
			if batch = append(batch, e.payload); len(batch) == 1 {
				timer = time.NewTimer(b.wait)
				expired = timer.C
			}
			b.collected.Store(int64(len(batch)))
		} else if len(batch) > 0 {
			more, ended = b.awaitMore(expired)
		} else if !b.await(w, 0) {
			return false
		}
		if len(batch) > 0 && b.over() {
			timer.Stop()
			return false
		}
		if len(batch) == b.max || !more {
			timer.Stop()
			handling = true
			err := b.handle(ctx, batch)
			handling = false
			if err != nil {
				b.failedAll(ctx, batch, err)
			}
			batch = nil
			b.collected.Store(0)
		}
		if ended {
			return false
		}
	}
}

// awaitMore waits for another event for the batch, and reports false when that
// has to go out as it is. Until then the worker counts as active.
func (b *batcher[T]) awaitMore(expired <-chan time.Time) (more, ended bool) {
	active := &b.bus.activity.queues
	active.Add(1)
	defer active.Add(-1)
	asleep, ended := b.cursor.Sleep()
	if !asleep {
		return !ended, ended
	}
	select {
	case <-b.cursor.Wake():
		return true, false
	case <-expired:
	case <-b.bus.closing():
	}
	b.cursor.Rouse()
	return false, false
}

func (b *batcher[T]) failedAll(ctx context.Context, batch []T, err error) {
	b.subscription.more.failures.Add(uint64(len(batch)))
	b.bus.report(ctx, &HandlerError{Event: b.subscription.event, Handler: b.subscription.Name(), Err: err})
}

// over reports whether what was collected is to be dropped.
func (b *batcher[T]) over() bool {
	until := b.subscription.more.until
	return b.cursor.Cut() || until != nil && until.Err() != nil
}

func (b *batcher[T]) left() uint64 { return b.cursor.Lag() + uint64(b.collected.Load()) }

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
		panic(fmt.Sprintf("events: SubscribeBatch(%q): handler is nil", t.name))
	}
	chosen, err := t.readOptions(bus, options, kindBatch)
	if err != nil {
		return nil, err
	}
	s := newSubscription(bus, t.name, functionOf(handler), chosen)
	s.typed = true
	if middleware := bus.around(t.options.middleware, chosen.middleware); len(middleware) > 0 {
		wrapped := wrap(unbox(handler), middleware)
		handler = func(ctx context.Context, payloads []T) error {
			return wrapped(ctx, Event{Name: t.name, Data: payloads})
		}
	}
	s.more.open = func(r *route) queue {
		b := &batcher[T]{
			consumer: newConsumer(s, logOf[T](r), &chosen.queue, nil),
			max:      chosen.queue.batch, wait: chosen.queue.wait, handle: handler,
		}
		b.serve = b.serveBatches
		return b
	}
	return s.addTo(bus, t.binding())
}
