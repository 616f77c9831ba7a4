package events

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/typedbus/events/internal/pattern"
	"github.com/typedbus/events/internal/queue"
	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// Subscription is a handler on a bus.
type Subscription struct {
	// Immutable once the bus has it.
	bus      *Bus
	event    string  // the name, or the pattern
	handler  Handler // with middleware; of an inline handler
	direct   any     // func(context.Context, T) error of a typed handler without middleware
	function uintptr // entry of the user's function, for its name
	caller   uintptr // where it was made
	number   uint64  // in the order of subscription
	*extras          // nil for most
}

// extras is what few subscriptions have.
type extras struct {
	name     string
	priority int
	life     *lifespan
	pattern  *pattern.Pattern // nil for a name
	open     func(*route)     // makes queue and place; nil for an inline handler
	queue    *queue.Queue
	place    place // in which events are left for this subscription alone, or nil
	part     part  // from which the queue reads
	typed    bool  // reads the typed log of its route
	limits   queueOptions

	warned atomic.Int64 // when a publisher was last reported to wait for it, in Unix nanoseconds

	// Guarded by bus.mu.
	stop  func() bool // ends the wait for the end of WithUntil's context
	ended bool
	heard map[*route]struct{} // routes whose plans may have this pattern
}

// newSubscription returns a subscription that the user has made depth frames
// above its caller.
func newSubscription(b *Bus, event string, handler any, chosen *subscriptionOptions, depth int) *Subscription {
	s := &Subscription{bus: b, event: event, caller: callerOf(depth + 2)}
	if handler != nil {
		s.function = reflect.ValueOf(handler).Pointer()
	}
	limited := chosen.once || chosen.until != nil || chosen.waits
	if limited || chosen.name != "" || chosen.priority != 0 || chosen.queue.capacity > 0 {
		s.extras = &extras{name: chosen.name, priority: chosen.priority, limits: chosen.queue}
	}
	if limited {
		s.life = &lifespan{once: chosen.once, until: chosen.until, waits: chosen.waits, of: s}
	}
	return s
}

// callerOf returns where the function was called that is skip frames above.
func callerOf(skip int) uintptr {
	var pc [1]uintptr
	runtime.Callers(skip+2, pc[:])
	return pc[0]
}

// Name returns the name of the subscription, as errors and logs show it.
func (s *Subscription) Name() string {
	if s.extras != nil && s.name != "" {
		return s.name
	}
	// A method value is named after the method with this behind it.
	return strings.TrimSuffix(runtime.FuncForPC(s.function).Name(), "-fm")
}

// Event returns the name or the pattern that was subscribed to.
func (s *Subscription) Event() string { return s.event }

// Source returns the file and the line where the subscription was made.
func (s *Subscription) Source() string {
	frame, _ := runtime.CallersFrames([]uintptr{s.caller}).Next()
	return fmt.Sprintf("%s:%d", frame.File, frame.Line)
}

func (s *Subscription) isQueued() bool { return s.extras != nil && s.queue != nil }

// group returns the workers of a queued subscription, for those that its queue
// keeps waiting: they may have found it before it was made, which is under the lock.
func (s *Subscription) group() *waitgraph.Group {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.queue.Group()
}

func (s *Subscription) isPattern() bool { return s.extras != nil && s.pattern != nil }

// lifespan returns that of the subscription, or nil.
func (s *Subscription) lifespan() *lifespan {
	if s.extras == nil {
		return nil
	}
	return s.life
}

func (s *Subscription) priorityOf() int {
	if s.extras == nil {
		return 0
	}
	return s.priority
}

// Unsubscribe ends the subscription: no event published from now on reaches
// the handler, and what is queued for it is dropped. A publish that is under
// way may still run an inline handler. It is safe to call more than once, from
// any goroutine and from the handler.
func (s *Subscription) Unsubscribe() {
	s.leave()
	if s.isQueued() {
		s.queue.End(true)
		s.bus.forget(s.part)
	}
}

// Drain ends the subscription like Unsubscribe, but has its handler get what is
// queued, and returns when that has been handled. An inline handler has nothing
// queued, and Drain does not wait for one that is at work unless [WithDrain]
// asks for it.
//
// It returns an error when ctx is done first, while the handler goes on with
// what is left; [ErrClosed] when Close ran out of time and dropped some of it;
// and a [*QueueError] with [ErrDeadlock], while the handler goes on likewise,
// when called by that handler or by another for which it waits.
func (s *Subscription) Drain(ctx context.Context) error {
	ctx = orBackground(ctx)
	s.leave()
	switch {
	case s.isQueued():
		s.queue.End(false)
		return s.await(ctx, s.queue.Done(), s.queue.Group())
	case s.lifespan() != nil && s.life.waits:
		return s.await(ctx, s.life.stop(), &s.life.group)
	}
	return nil
}

// await waits for the handlers of a subscription that has left the bus.
func (s *Subscription) await(ctx context.Context, done <-chan struct{}, group *waitgraph.Group) error {
	select {
	case <-done:
		return s.drained()
	default:
	}
	wait := waitgraph.ForEnd(func() []*waitgraph.Group { return []*waitgraph.Group{group} })
	defer wait.Over()
	again := newRecheck()
	defer again.Stop()
	for !wait.Hopeless() {
		select {
		case <-done:
			return s.drained()
		case <-ctx.Done():
			return fmt.Errorf("events: drain %q: %d events left: %w", s.Name(), s.left(), context.Cause(ctx))
		case <-again.C:
			again.Reset(recheckEvery)
		}
	}
	return &QueueError{Operation: "drain", Event: s.event, Handler: s.Name(), Err: ErrDeadlock}
}

func (s *Subscription) left() uint64 {
	if s.isQueued() {
		return s.queue.Counts().Lag
	}
	return 0
}

func (s *Subscription) drained() error {
	if !s.isQueued() {
		return nil
	}
	if dropped := s.queue.Counts().Discarded; dropped > 0 && s.bus.gaveUp() {
		return fmt.Errorf("events: drain %q: %d events were dropped: %w", s.Name(), dropped, ErrClosed)
	}
	return nil
}

// leave takes the subscription off the bus.
func (s *Subscription) leave() {
	s.bus.remove(s)
	s.unwatch()
}

// watch has the subscription end with the context of WithUntil.
func (s *Subscription) watch() {
	if s.lifespan() == nil || s.life.until == nil {
		return
	}
	stop := context.AfterFunc(s.life.until, s.Unsubscribe)
	s.bus.mu.Lock()
	s.stop = stop
	ended := s.ended
	s.bus.mu.Unlock()
	if ended {
		stop()
	}
}

// unwatch undoes watch.
func (s *Subscription) unwatch() {
	if s.lifespan() == nil || s.life.until == nil {
		return
	}
	s.bus.mu.Lock()
	s.ended = true
	stop := s.stop
	s.bus.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// hooks are what the queue of s needs of the bus.
func (s *Subscription) hooks(part part) *queue.Hooks {
	s.part = part
	h := &queue.Hooks{Panic: func(value any) error { return newPanicError(value) }, Exited: errGoexit}
	h.Origin.Life, h.Origin.Bus, h.Origin.Handler = &s.bus.home.Load().life, s.bus, s
	if !s.isPattern() {
		h.Event = s.event
	}
	h.Failed = func(ctx context.Context, event string, _ int, err error) {
		s.bus.report(ctx, s.bus.failure(event, s, err))
	}
	h.Dropped = func(ctx context.Context, event string, dropped uint64) {
		s.bus.report(ctx, &OverflowError{Event: event, Handler: s.Name(), Dropped: dropped})
	}
	h.Ended = func() { s.bus.forget(part) }
	return h
}

// logOptions are those of the cursor of a queued subscription.
func (s *Subscription) logOptions() topiclog.Options {
	return topiclog.Options{
		Owner:    s,
		Capacity: s.limits.capacity,
		Lanes:    max(1, s.limits.lanes),
		Policy:   topiclog.Policy(s.limits.overflow),
		Batch:    s.limits.batch > 0,
	}
}

// order is the order in which handlers run.
func (s *Subscription) order(other *Subscription) int {
	return cmp.Or(cmp.Compare(other.priorityOf(), s.priorityOf()), cmp.Compare(s.number, other.number))
}

// insertSorted puts s in its place.
func insertSorted(sorted []*Subscription, s *Subscription) []*Subscription {
	place, _ := slices.BinarySearchFunc(sorted, s, (*Subscription).order)
	return slices.Insert(sorted, place, s)
}

// deleteSorted takes s out.
func deleteSorted(sorted []*Subscription, s *Subscription) (rest []*Subscription, found bool) {
	place, found := slices.BinarySearchFunc(sorted, s, (*Subscription).order)
	if !found || sorted[place] != s {
		return sorted, false
	}
	return slices.Delete(sorted, place, place+1), true
}
