package events

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// closing is the end of a bus under way.
type closing struct {
	ctx    context.Context // done when the bus is to give up
	giveUp context.CancelCauseFunc
	done   chan struct{} // closed at the end
	err    error         // set before

	// Guarded by bus.mu.
	gaveUp bool          // events were dropped
	timers []*time.Timer // of the deadlines of handlers
	alone  bool          // a handler has called, so that the result is to be reported
}

// Close refuses new events with [ErrClosed], waits until everything accepted
// has been handled, and ends the goroutines of the bus. What handlers at work
// publish with their context is still accepted. It does not wait for inline
// handlers: those have a publisher who does.
//
// When ctx is done first, Close cancels the context of queued and asynchronous
// handlers, drops what no handler has begun with, and returns an error that
// says how many events were left, and where, and wraps the cause of ctx. While
// it waits for long, lines in the log say the same.
//
// Close may be called from any goroutine and any number of times. Of several
// deadlines the first one counts, and all calls return the same. Called by a
// queued or asynchronous handler of the bus, or by one for which such a handler
// waits, it refuses new events and returns [ErrDeadlock] at once, and the bus
// ends by itself when everything is handled. Of ctx only the deadline counts
// then, and what goes wrong is reported to the error handler.
func (b *Bus) Close(ctx context.Context) error {
	if b == nil {
		return errorAtBus("close", errNoBus)
	}
	ctx = orBackground(ctx)
	c := b.beginClose()
	switch err := b.awaitHandlers(ctx, c.done, b.warnOfClose(ctx)); {
	case err == ErrDeadlock: //nolint:errorlint // it is not wrapped
		b.closeAlone(ctx, c)
		return fmt.Errorf("events: close the bus, which a handler of its own is waiting for and which ends by itself: %w", err)
	case err != nil:
		c.giveUp(err)
		<-c.done
	}
	return c.err
}

// Wait waits until everything that the bus has accepted is handled, with all
// that its handlers have published in turn, and closes nothing. It is for tests
// and for hooks at shutdown: on a bus to which others keep publishing it may
// not return before ctx is done. A batch goes out when [WithBatch] says, and no
// sooner.
//
// It returns the cause of ctx, and [ErrDeadlock] when called by a handler for
// which it would wait.
func (b *Bus) Wait(ctx context.Context) error {
	if b == nil {
		return errorAtBus("wait", errNoBus)
	}
	b.at()
	ctx, cancel := context.WithCancel(orBackground(ctx))
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		_ = b.settle(ctx)
	}()
	err := b.awaitHandlers(ctx, settled, nil)
	cancel()
	<-settled
	if err != nil {
		return errorAtBus("wait", err)
	}
	return nil
}

// awaitHandlers waits for the end of what waits for all handlers of the bus. It
// returns ErrDeadlock if that would be for ever, and otherwise the cause of ctx.
// Each second it calls slow, if that is not nil.
func (b *Bus) awaitHandlers(ctx context.Context, end <-chan struct{}, slow func()) error {
	wait := waitgraph.ForEnd(b.groups)
	defer wait.Over()
	again := newRecheck()
	defer again.Stop()
	for first := true; ; {
		select {
		case <-end:
			return nil
		default:
		}
		if wait.Hopeless() {
			return ErrDeadlock
		}
		select {
		case <-end:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
			again.Reset(recheckEvery)
			if !first && slow != nil {
				slow()
			}
			first = false
		}
	}
}

// warnOfClose returns a function to be called each second, which logs what
// Close waits for, after a second and then ever more seldom.
func (b *Bus) warnOfClose(ctx context.Context) func() {
	begun, seconds, due := time.Now(), 0, 1
	return func() {
		if seconds++; seconds < due {
			return
		}
		due *= 2
		left, where := describe(b.left())
		b.log(func() {
			b.logger().WarnContext(ctx, "close waits for handlers",
				"waited", time.Since(begun).Round(time.Millisecond), "events", left, "where", where)
		})
	}
}

func (b *Bus) left() (left []topiclog.Left) {
	for _, p := range b.allParts() {
		left = append(left, p.Left()...)
	}
	return left
}

// beginClose has the bus take no more from outsiders, and end.
func (b *Bus) beginClose() *closing {
	h := b.at()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing != nil {
		return b.closing
	}
	c := &closing{done: make(chan struct{})}
	c.ctx, c.giveUp = context.WithCancelCause(context.Background())
	b.closing = c
	b.state.Store(draining)
	b.patterns.change(h, func() {}) // publishes learn of it by finding no plan
	go b.end(h, c)
	return c
}

// closeAlone leaves the end of the bus to itself.
func (b *Bus) closeAlone(ctx context.Context, c *closing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.alone = true
	if deadline, ok := ctx.Deadline(); ok {
		c.timers = append(c.timers, time.AfterFunc(time.Until(deadline), func() { c.giveUp(context.DeadlineExceeded) }))
	}
}

// end is the goroutine that ends the bus.
func (b *Bus) end(h *home, c *closing) {
	defer close(c.done)
	for _, p := range b.allParts() {
		p.Seal()
	}
	cause := b.settle(c.ctx)
	b.mu.Lock()
	b.state.Store(closed)
	c.gaveUp = cause != nil
	b.mu.Unlock()
	var left []topiclog.Left
	parts := b.allParts()
	for _, p := range parts {
		p.Shut() // all of them before any is counted, so that no event is counted twice
	}
	for _, p := range parts {
		left = append(left, p.EndAll(cause != nil)...)
	}
	if cause != nil {
		h.life.End(cause) // of those that are counted
	}
	h.life.End(ErrClosed)
	if cause != nil {
		total, where := describe(left)
		if where != "" {
			where = " (" + where + ")"
		}
		c.err = fmt.Errorf("events: bus closed with %d events left%s: %w", total, where, cause)
	}
	for _, s := range b.empty() {
		s.unwatch()
	}
	for _, p := range parts {
		if p.Done(c.ctx) != nil {
			break // they do not look at their context
		}
	}
	b.mu.Lock()
	for _, timer := range c.timers {
		timer.Stop()
	}
	alone := c.alone
	b.mu.Unlock()
	if alone && c.err != nil {
		// Close waits for the error handler, which may call Close, or end this goroutine.
		member := waitgraph.Join(&b.async.Group)
		defer member.Leave()
		b.report(context.Background(), c.err)
	}
}

// empty lets go of all subscriptions, and returns them.
func (b *Bus) empty() (all []*Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.routes.All {
		all = append(all, r.subscriptions...)
		r.subscriptions, r.logs, r.contract = nil, nil, nil
		r.plan.Store(nil)
	}
	b.routes.Clear()
	b.patterns.change(b.home.Load(), func() {
		for s := range b.patterns.tree.All {
			s.heard = nil
			all = append(all, s)
		}
		b.patterns.tree = patternTree{}
	})
	for p := range b.parts {
		b.detach(p) // what is still at work then goes when it ends
	}
	return all
}

// gaveUp reports whether Close has dropped events.
func (b *Bus) gaveUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closing != nil && b.closing.gaveUp
}

// describe says how many events are left, and where.
func describe(left []topiclog.Left) (total uint64, where string) {
	names := make([]string, 0, len(left))
	for _, l := range left {
		total += l.Queued + l.AtWork
		name := "asynchronous handlers"
		if s, ok := l.Owner.(*Subscription); ok {
			name = s.Name()
		}
		names = append(names, fmt.Sprintf("%s: %d queued, %d at work", name, l.Queued, l.AtWork))
	}
	slices.Sort(names)
	const most = 10
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	return total, strings.Join(names, "; ")
}
