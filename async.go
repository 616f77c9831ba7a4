package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/typedbus/events/internal/pool"
	"github.com/typedbus/events/internal/topiclog"
)

// task is an asynchronous publish.
type task struct {
	publisher context.Context
	plan      *plan // nil for an event that nobody hears
	event     Event
	first     int     // of the plan's handlers to run
	parcel    *parcel // to be left in queues that had no room, or nil
}

// publishAsync leaves an event in the queues, at once if there is room, and has
// the rest done in a goroutine of the bus: both or neither.
func (b *Bus) publishAsync(ctx context.Context, event Event, topic binding) error {
	var r resolution
	defer r.release()
	for {
		if err := b.resolve(ctx, event.Name, topic, &r); err != nil {
			return err
		}
		done, err := b.startAsync(ctx, event, &r)
		if done || err != nil {
			return err
		}
	}
}

// startAsync reports false if the plan has to be looked up again.
func (b *Bus) startAsync(ctx context.Context, event Event, r *resolution) (done bool, err error) {
	t := task{publisher: ctx, plan: r.plan, event: event}
	if t.plan == nil {
		if b.options.unhandled == nil {
			return true, nil
		}
		return b.goAsync(t, r)
	}
	if len(t.plan.places) == 0 {
		return b.goAsync(t, r)
	}
	var c parcel
	c.fill(t.plan, event)
	if c.refused != nil {
		if t.plan.delivery.failFast {
			return true, c.refused[0]
		}
		defer func() {
			if done && err == nil {
				b.report(ctx, join(c.refused))
			}
		}()
	}
	switch verdict, full, _ := c.reserve(nil, r.at != nil); {
	case verdict == topiclog.NoEntry:
		return false, nil
	case verdict == topiclog.NoRoom && full.Policy == topiclog.Reject:
		return true, &QueueError{Operation: "publish", Event: event.Name, Handler: full.Owner.(*Subscription).Name(), Err: ErrFull}
	case verdict == topiclog.NoRoom:
		waits := c
		t.parcel = &waits
		return b.goAsync(t, r)
	case r.at == nil && b.state.Load() == open && !t.plan.isFresh(b):
		c.unlock()
		return false, nil
	case len(t.plan.inline) > 0:
		if done, err = b.goAsync(t, r); err != nil || !done {
			c.unlock()
			return done, err
		}
	}
	c.leave(ctx)
	return true, nil
}

// goAsync hands a task to the pool.
func (b *Bus) goAsync(t task, r *resolution) (done bool, err error) {
	switch b.async.Go(t, r.at != nil) {
	case pool.Full:
		return true, &QueueError{Operation: "publish", Event: t.event.Name, Handler: "asynchronous handlers", Err: fmt.Errorf("%w: %d are not through, which is the limit of WithAsyncLimit", ErrFull, b.options.asyncLimit)}
	case pool.Refused:
		return false, nil
	}
	return true, nil
}

// runTask runs the handlers of an asynchronous publish and reports each failure
// at once. An event is lost that was accepted and finds the bus closed.
func (b *Bus) runTask(ctx context.Context, t task, lost *bool) {
	if t.parcel != nil {
		if err := b.enqueueTask(ctx, t); err != nil {
			*lost = errors.Is(err, ErrClosed)
			b.report(ctx, err)
			return
		}
	}
	switch {
	case t.plan == nil:
		b.undelivered(ctx, t.event)
	case t.plan.delivery.concurrency > 1:
		if _, err := t.plan.fanOut(ctx, t.event); err != nil {
			b.report(ctx, err)
		}
	default:
		for i := t.first; i < len(t.plan.inline); i++ {
			if err := b.runOfTask(ctx, t, i); err != nil && t.plan.delivery.failFast {
				break
			}
		}
	}
}

// enqueueTask is enqueue with the plan of when the event was published. If a
// logger ends the goroutine, the task begins anew.
func (b *Bus) enqueueTask(ctx context.Context, t task) error {
	var wait waiting
	returned := false
	defer func() {
		wait.leave()
		if !returned {
			b.async.Again(t)
		}
	}()
	for {
		done, err := b.enqueue(ctx, t.parcel, true, &wait)
		if !done && err == nil && b.state.Load() == closed {
			err = errorAt("publish", t.event.Name, ErrClosed)
		}
		if done || err != nil {
			returned = true
			return err
		}
	}
}

// runOfTask runs one handler of an asynchronous publish. If that ends the
// goroutine, the handlers behind it become a task of their own.
func (b *Bus) runOfTask(ctx context.Context, t task, i int) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		t.parcel = nil
		if t.first = i + 1; !t.plan.delivery.failFast && t.first < len(t.plan.inline) {
			b.async.Again(t)
		}
		b.report(ctx, t.plan.failure(i, errGoexit))
	}()
	if err = t.plan.runOne(ctx, t.event, i); err != nil {
		b.report(ctx, err)
	}
	returned = true
	return err
}
