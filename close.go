package events

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
)

// activity counts what Close waits for.
type activity struct {
	closing atomic.Int64 // handlers that are inside Close
	unknown atomic.Int64 // concurrent handlers inside Close of which one cannot tell the event
	running atomic.Int64 // goroutines
	queues  atomic.Int64 // goroutines of queues that are not asleep
	drained atomic.Int64 // events accepted while the bus drains
	waiting atomic.Int64 // handlers that wait for room in a queue

	// Guarded by bus.mu.
	changed chan struct{} // closed and replaced when a count falls, once the bus closes
	begun   chan struct{} // closed when the bus begins to close
}

func (a *activity) started() {
	atWork.Add(1)
	a.running.Add(1)
}

// ended is the end of a goroutine that started.
func (b *Bus) ended() {
	b.activity.running.Add(-1)
	atWork.Add(-1)
	b.changed()
}

// changed wakes those who wait in Close.
func (b *Bus) changed() {
	if b.state.Load() == open {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.activity.changed != nil {
		close(b.activity.changed)
		b.activity.changed = nil
	}
}

// wait returns when condition holds, with the error of ctx if that comes first.
func (b *Bus) wait(ctx context.Context, condition func() bool) error {
	ctx = orBackground(ctx)
	for {
		b.mu.Lock()
		if b.activity.changed == nil {
			b.activity.changed = make(chan struct{})
		}
		changed := b.activity.changed
		b.mu.Unlock()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if condition() {
				return nil
			}
			return context.Cause(ctx)
		}
	}
}

// Close refuses new events with [ErrClosed], waits until everything accepted
// has been handled, and ends the goroutines of the bus. What the handlers at
// work publish with their context is still accepted. It does not wait for
// inline handlers: those have a publisher who does.
//
// When ctx is done first, Close cancels the context of queued and asynchronous
// handlers, drops what no handler has begun with, and returns an error that
// says how many events were left and wraps the cause of ctx.
//
// Close may be called from any goroutine and any number of times; every call
// waits, and those that return after the bus has ended return the same. Called
// by a handler, it does not wait for the event which that handler is at nor for
// those queued behind it, which are handled when it returns, and likewise for
// other handlers that are in Close. The handler should pass on its context, by
// which Close knows it when several buses are at work.
func (b *Bus) Close(ctx context.Context) error {
	if b == nil {
		return errors.New("events: Close: bus is nil")
	}
	b.stopAccepting()
	if event := b.callingEvent(ctx); event != nil {
		defer b.enterClose(event)()
		if err := b.wait(ctx, b.quietForHandlers); err != nil {
			b.abandon(err)
		}
		b.finishLater()
	} else {
		if err := b.wait(ctx, b.quiet); err != nil {
			b.abandon(err)
		}
		b.finish()
		// Their handlers are through, or have been told to be.
		_ = b.wait(ctx, func() bool { return b.activity.running.Load() == 0 })
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result
}

// quiet reports whether everything accepted has been handled.
func (b *Bus) quiet() bool {
	before := b.activity.drained.Load()
	if b.busy() > 0 {
		return false
	}
	for _, s := range b.queues() {
		if !s.more.queue.quiet() {
			return false
		}
	}
	// What came or went on while counting may have been missed where it is now.
	return before == b.activity.drained.Load() && b.busy() == 0
}

// quietForHandlers reports whether all that is not handled waits for handlers
// that are in Close: if nobody else goes on, publishers that wait for room do.
func (b *Bus) quietForHandlers() bool {
	before := b.activity.drained.Load()
	waiting := b.activity.waiting.Load()
	return b.busy()-waiting <= b.activity.closing.Load() && before == b.activity.drained.Load()
}

// gaveUp reports whether Close has dropped events.
func (b *Bus) gaveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result != nil
}

// finishLater finishes when those handlers are through.
func (b *Bus) finishLater() {
	b.activity.started()
	go func() {
		defer b.ended()
		_ = b.wait(context.Background(), b.quiet)
		b.finish()
	}()
}

// busy returns how many asynchronous events are accepted and not handled, and
// how many goroutines of queues are at work.
func (b *Bus) busy() int64 {
	// In this order: what is finished by now was pushed before the count.
	finished := b.workers.finished.Load()
	return int64(b.workers.tasks.Pushed()-finished) + b.activity.queues.Load()
}

// closing returns a channel that is closed when the bus begins to close.
func (b *Bus) closing() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beginningLocked()
}

func (b *Bus) beginningLocked() chan struct{} {
	if b.activity.begun == nil {
		b.activity.begun = make(chan struct{})
	}
	return b.activity.begun
}

// stopAccepting begins the drain. Publishes learn of it by finding no plan,
// or under the lock of what they add to.
func (b *Bus) stopAccepting() {
	b.mu.Lock()
	if b.state.Load() == open {
		b.state.Store(draining)
		for r := range b.routes.all {
			r.plan.Store(nil)
		}
		close(b.beginningLocked())
	}
	b.mu.Unlock()
	// Whoever has not seen the state yet is through with adding after this.
	b.workers.tasks.Lock()
	b.workers.tasks.Unlock() //nolint:staticcheck // the pair is a barrier
	for _, s := range b.queues() {
		s.more.queue.position().Barrier()
	}
}

// subscriptionsLocked returns all subscriptions.
func (b *Bus) subscriptionsLocked() []*Subscription {
	all := slices.Clone(b.patternsLocked())
	for r := range b.routes.all {
		all = append(all, r.subscriptions...)
	}
	return all
}

// queues returns the subscriptions with a queue, those included that have left
// the bus and are being drained.
func (b *Bus) queues() []*Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	queued := slices.DeleteFunc(b.subscriptionsLocked(), func(s *Subscription) bool { return !s.isQueued() })
	return slices.AppendSeq(queued, maps.Keys(b.leaving))
}

// abandon gives up on what has not been handled, because of cause.
func (b *Bus) abandon(cause error) {
	finished := b.workers.finished.Load()
	left := int64(b.workers.tasks.Pushed()-finished) - b.activity.closing.Load()
	for _, s := range b.queues() {
		left += int64(s.more.queue.left())
	}
	b.mu.Lock()
	if b.state.Load() != closed {
		b.state.Store(closed)
		b.result = fmt.Errorf("events: bus closed with %d events left: %w", max(0, left), cause)
	}
	b.mu.Unlock()
	b.lifetime().end(cause)
	for _, s := range b.queues() {
		s.more.queue.end(true)
	}
	for {
		if _, ok := b.workers.tasks.Pop(); !ok {
			return
		}
		b.finishTask()
	}
}

// finish ends what outlives the events. An iterator still gets what is queued.
func (b *Bus) finish() {
	b.mu.Lock()
	b.state.Store(closed)
	subscriptions := b.subscriptionsLocked()
	b.mu.Unlock()
	for _, s := range subscriptions {
		s.unwatch()
		if s.isQueued() {
			s.more.queue.end(false)
		}
	}
	b.lifetime().end(ErrClosed)
}

// admits reports whether a bus that is closing takes an event published with
// ctx: one of a handler that is at work.
func (b *Bus) admits(ctx context.Context) bool {
	if b.state.Load() == closed {
		return false
	}
	h := handling(ctx)
	if h == nil || h.bus != b {
		return false
	}
	b.activity.drained.Add(1)
	return true
}

// atWork counts the goroutines of all buses.
var atWork atomic.Int64

// handlerFrames are the functions below every queued or asynchronous handler,
// and concurrentFrame the one below those that share an event.
var handlerFrames = []string{
	"events.(*Bus).runTask",
	"]).serveEach",
	"]).serveBatches",
	"]).yieldAll",
}

const concurrentFrame = "]).runOneOfTask"

// callingEvent returns the count of handlers in Close of the event whose
// handler has called it, or nil if that is none for which Close would wait.
// The context says whose handler it comes from, but not whether that is still
// at work or has handed the context to another goroutine; the stack says that.
// For a caller that has passed a context of its own the stack has to do, if no
// other bus can be meant.
func (b *Bus) callingEvent(ctx context.Context) *atomic.Int64 {
	h := handling(ctx)
	if h != nil && h.bus != b || h == nil && atWork.Load() != b.activity.running.Load() {
		return nil
	}
	pcs := make([]uintptr, 64)
	for runtime.Callers(0, pcs) == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
	}
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for {
		frame, more := frames.Next()
		concurrent := strings.HasSuffix(frame.Function, concurrentFrame)
		if concurrent || slices.ContainsFunc(handlerFrames, func(name string) bool { return strings.HasSuffix(frame.Function, name) }) {
			switch {
			case h != nil:
				return &h.inClose
			case concurrent:
				return &b.activity.unknown
			default:
				return new(atomic.Int64)
			}
		}
		if !more {
			return nil
		}
	}
}

// enterClose has those who wait in Close leave the event out whose handler has
// called it, until leave is called.
func (b *Bus) enterClose(event *atomic.Int64) (leave func()) {
	if event.Add(1) == 1 {
		b.activity.closing.Add(1)
		b.changed()
	}
	return func() {
		if event.Add(-1) == 0 {
			b.activity.closing.Add(-1)
		}
	}
}
