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
	"github.com/typedbus/events/internal/topiclog"
)

// Subscription is a handler on a bus.
type Subscription struct {
	// Immutable once the bus has it.
	bus      *Bus
	event    string  // the name, or the pattern
	handler  Handler // with middleware; of an inline handler
	direct   any     // func(context.Context, T) error of a typed handler without middleware
	typed    bool    // subscribed through a topic
	function uintptr // entry of the user's function, for its name
	priority int
	number   uint64           // in the order of subscription
	pattern  *pattern.Pattern // nil for a name
	more     *extras          // nil for most
}

// extras is what few subscriptions have.
type extras struct {
	name  string
	once  bool
	until context.Context

	claimed atomic.Bool // by the one event of a WithOnce

	open     func(*route) queue          // makes the queue; nil without one
	queue    queue                       // set while bus.mu is held, before the subscription is seen
	log      *topiclog.Log[entry[Event]] // of a queued pattern
	failures atomic.Uint64               // of a queued handler

	// Guarded by bus.mu.
	stop  func() bool // ends the wait for until
	ended bool
}

func newSubscription(b *Bus, event string, function uintptr, chosen *subscriptionOptions) *Subscription {
	s := &Subscription{bus: b, event: event, function: function, priority: chosen.priority}
	if chosen.name != "" || chosen.once || chosen.until != nil || chosen.queue.capacity > 0 {
		s.more = &extras{name: chosen.name, once: chosen.once, until: chosen.until}
	}
	return s
}

// addTo makes the subscription part of bus.
func (s *Subscription) addTo(bus *Bus, topic *binding) (*Subscription, error) {
	if err := bus.add(s, topic); err != nil {
		return nil, err
	}
	return s, nil
}

// Name returns the name of the subscription, as errors and logs show it.
func (s *Subscription) Name() string {
	if s.more != nil && s.more.name != "" {
		return s.more.name
	}
	// A method value is named after the method with this behind it.
	return strings.TrimSuffix(runtime.FuncForPC(s.function).Name(), "-fm")
}

func (s *Subscription) isQueued() bool { return s.more != nil && s.more.open != nil }

// Unsubscribe ends the subscription: no event published from now on reaches
// the handler, and what is queued for it is dropped. A publish that is under
// way may still run an inline handler. It is safe to call more than once, from
// any goroutine and from the handler.
func (s *Subscription) Unsubscribe() {
	s.leave()
	if s.isQueued() {
		s.more.queue.end(true)
	}
}

// Drain ends the subscription like Unsubscribe, but has its handler get what is
// queued, and returns when that has been handled. An inline handler has
// nothing queued.
//
// It returns an error when ctx is done first, while the handler goes on with
// what is left; [ErrClosed] when Close ran out of time and dropped some of it;
// and [ErrDeadlock], while the handler goes on likewise, when called with the
// context of that handler or of another for which it waits.
func (s *Subscription) Drain(ctx context.Context) error {
	if !s.isQueued() {
		s.leave()
		return nil
	}
	s.bus.mu.Lock()
	if s.bus.leaving == nil {
		s.bus.leaving = make(map[*Subscription]struct{})
	}
	s.bus.leaving[s] = struct{}{}
	s.bus.mu.Unlock()
	s.leave()
	queue := s.more.queue
	queue.end(false)
	select {
	case <-queue.stopped():
		s.bus.left(s)
	default:
	}
	if h := handling(ctx); h != nil && h.worker != nil {
		stuck := h.worker.subscription == s || !h.worker.waitFor(s)
		if h.worker.subscription != s {
			defer h.worker.waitNoMore(s)
		}
		if stuck {
			return errorAt("drain", s.Name(), ErrDeadlock)
		}
	}
	ctx = orBackground(ctx)
	select {
	case <-queue.stopped():
		if dropped := queue.position().Discarded(); dropped > 0 && s.bus.gaveUp() {
			return fmt.Errorf("events: drain %q: %d events were dropped: %w", s.Name(), dropped, ErrClosed)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("events: drain %q: %d events left: %w", s.Name(), queue.position().Lag(), context.Cause(ctx))
	}
}

// left forgets a subscription that was drained.
func (b *Bus) left(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leaving, s)
}

// leave takes the subscription off the bus.
func (s *Subscription) leave() {
	s.bus.remove(s)
	s.unwatch()
}

// watch has the subscription end with the context of WithUntil.
func (s *Subscription) watch() {
	if s.more == nil || s.more.until == nil {
		return
	}
	stop := context.AfterFunc(s.more.until, s.Unsubscribe)
	s.bus.mu.Lock()
	s.more.stop = stop
	ended := s.more.ended
	s.bus.mu.Unlock()
	if ended {
		stop()
	}
}

// unwatch undoes watch.
func (s *Subscription) unwatch() {
	if s.more == nil {
		return
	}
	s.bus.mu.Lock()
	s.more.ended = true
	stop := s.more.stop
	s.bus.mu.Unlock()
	if stop != nil {
		stop()
	}
}

func functionOf(handler any) uintptr { return reflect.ValueOf(handler).Pointer() }

// order is the order in which handlers run.
func (s *Subscription) order(other *Subscription) int {
	return cmp.Or(cmp.Compare(other.priority, s.priority), cmp.Compare(s.number, other.number))
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

// takes reports whether the handler is to have another event, which for one
// with WithOnce is true for one caller only.
func (m *extras) takes() bool {
	if m.until != nil && m.until.Err() != nil {
		return false
	}
	return !m.once || m.claimed.CompareAndSwap(false, true)
}

// isOver reports whether takes would be false.
func (m *extras) isOver() bool {
	return m.once && m.claimed.Load() || m.until != nil && m.until.Err() != nil
}

// unlessOver returns handler for as long as the subscription is not over. A
// handler that asks it before it reads the payload does not claim an event
// that it cannot take.
func unlessOver(s *Subscription, handler Handler) Handler {
	if s.more == nil || !s.more.once && s.more.until == nil {
		return handler
	}
	return func(ctx context.Context, event Event) error {
		if s.more.isOver() {
			return nil
		}
		return handler(ctx, event)
	}
}

// taken ends a WithOnce subscription, unless err says that its handler could
// not take the event.
func (s *Subscription) taken(err error) {
	switch {
	case !s.more.once:
	case isUnread(err):
		s.more.claimed.Store(false)
	default:
		s.Unsubscribe()
	}
}

// limited returns handler, limited to the lifetime of s. It is generic to
// serve typed handlers without boxing.
func limited[E any](s *Subscription, handler func(context.Context, E) error) func(context.Context, E) error {
	if s.more == nil || !s.more.once && s.more.until == nil {
		return handler
	}
	return func(ctx context.Context, payload E) (err error) {
		if !s.more.takes() {
			return nil
		}
		defer func() { s.taken(err) }()
		return handler(ctx, payload)
	}
}
