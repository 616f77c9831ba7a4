package events

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
)

// activity counts what Close waits for.
type activity struct {
	handling atomic.Int64 // accepted events, and handlers at work
	closing  atomic.Int64 // of these handlers, those that are inside Close
	running  atomic.Int64 // goroutines

	changed chan struct{} // guarded by bus.mu; closed and replaced when a count falls, once the bus closes
}

func (a *activity) begin()   { a.handling.Add(1) }
func (a *activity) started() { a.running.Add(1) }

// done is the end of what began.
func (b *Bus) done() {
	b.activity.handling.Add(-1)
	b.changed()
}

// ended is the end of a goroutine that started.
func (b *Bus) ended() {
	b.activity.running.Add(-1)
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
// waits and returns the same. Called by a handler, it waits for all handlers
// but those that are in Close themselves.
func (b *Bus) Close(ctx context.Context) error {
	if b == nil {
		return errNoBus
	}
	b.stopAccepting()
	inside := b.calledByHandler(ctx)
	if inside {
		b.activity.closing.Add(1)
		b.changed()
		defer b.activity.closing.Add(-1)
	}
	quiet := func() bool {
		handling := b.activity.handling.Load()
		return handling == 0 || inside && handling <= b.activity.closing.Load()
	}
	if err := b.wait(ctx, quiet); err != nil {
		b.abandon(err)
	}
	b.finish()
	if !inside {
		// Their handlers are through, or have been told to be.
		_ = b.wait(ctx, func() bool { return b.activity.running.Load() == 0 })
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.result
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
	}
	b.mu.Unlock()
	// Whoever has not seen the state yet is through with adding after this.
	b.workers.mu.Lock()
	b.workers.mu.Unlock() //nolint:staticcheck // the pair is a barrier
}

// abandon gives up on what has not been handled, because of cause.
func (b *Bus) abandon(cause error) {
	b.workers.mu.Lock()
	dropped := b.workers.tasks[b.workers.next:]
	b.workers.tasks, b.workers.next = nil, 0
	b.workers.mu.Unlock()

	b.mu.Lock()
	if b.state.Load() != closed {
		b.state.Store(closed)
		left := b.activity.handling.Load() - b.activity.closing.Load()
		b.result = fmt.Errorf("events: bus closed with %d events left: %w", left, cause)
	}
	b.mu.Unlock()
	b.lifetime().end(cause)
	for range dropped {
		b.done()
	}
}

// finish ends what outlives the events.
func (b *Bus) finish() {
	b.mu.Lock()
	b.state.Store(closed)
	var subscriptions []*Subscription
	for r := range b.routes.all {
		subscriptions = append(subscriptions, r.subscriptions...)
	}
	subscriptions = append(subscriptions, b.patternsLocked()...)
	b.mu.Unlock()
	for _, s := range subscriptions {
		s.unwatch()
	}
	if life := b.life.Load(); life != nil {
		life.end(ErrClosed)
	}
}

// admits reports whether a bus that is closing takes an event published with
// ctx: one of a handler that is at work.
func (b *Bus) admits(ctx context.Context) bool {
	if b.state.Load() == closed {
		return false
	}
	h := handling(ctx)
	return h != nil && h.bus == b
}

// calledByHandler reports whether the caller of Close is a handler for which
// Close would wait. The context says whose handler it comes from, but not
// whether that is still at work or has handed the context to another
// goroutine. The stack says it, also for a caller with a context of its own.
func (b *Bus) calledByHandler(ctx context.Context) bool {
	h := handling(ctx)
	if h != nil && h.bus != b {
		return false
	}
	pcs := make([]uintptr, 64)
	for runtime.Callers(0, pcs) == len(pcs) {
		pcs = make([]uintptr, 2*len(pcs))
	}
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "events.(*Bus).runTask") {
			return true
		}
		// A goroutine of a concurrent publish may or may not be one of a task.
		if h != nil && strings.HasSuffix(frame.Function, "].runOne") {
			return true
		}
		if !more {
			return false
		}
	}
}
