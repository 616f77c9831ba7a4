package events

import (
	"cmp"
	"context"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/typedbus/events/internal/pattern"
)

// Subscription is a handler on a bus.
type Subscription struct {
	// Immutable once the bus has it.
	bus      *Bus
	event    string  // the name, or the pattern
	handler  Handler // with middleware
	direct   any     // func(context.Context, T) error of a typed handler without middleware
	typed    bool    // subscribed through a topic
	function uintptr // entry of the user's function, for its name
	name     string
	priority int
	number   uint64           // in the order of subscription
	pattern  *pattern.Pattern // nil for a name

	life *lifetime // nil for a subscription that only Unsubscribe ends
}

// lifetime ends a subscription by itself.
type lifetime struct {
	claimed atomic.Bool // WithOnce: some publish has it
	once    bool
	until   context.Context

	// Guarded by bus.mu.
	stop  func() bool // ends the wait for until
	ended bool
}

func newSubscription(b *Bus, event string, function uintptr, chosen *subscriptionOptions) *Subscription {
	s := &Subscription{bus: b, event: event, function: function, name: chosen.name, priority: chosen.priority}
	if chosen.once || chosen.until != nil {
		s.life = &lifetime{once: chosen.once, until: chosen.until}
	}
	return s
}

// Name returns the name of the subscription, as errors and logs show it.
func (s *Subscription) Name() string {
	if s.name != "" {
		return s.name
	}
	// A method value is named after the method with this behind it.
	return strings.TrimSuffix(runtime.FuncForPC(s.function).Name(), "-fm")
}

// Unsubscribe ends the subscription: no event published from now on reaches
// the handler. A publish that is under way may still run it. It is safe to
// call more than once, from any goroutine and from the handler.
func (s *Subscription) Unsubscribe() {
	s.bus.remove(s)
	s.unwatch()
}

// watch has the subscription end with the context of WithUntil.
func (s *Subscription) watch() {
	if s.life == nil || s.life.until == nil {
		return
	}
	stop := context.AfterFunc(s.life.until, s.Unsubscribe)
	s.bus.mu.Lock()
	s.life.stop = stop
	ended := s.life.ended
	s.bus.mu.Unlock()
	if ended {
		stop()
	}
}

// unwatch undoes watch.
func (s *Subscription) unwatch() {
	if s.life == nil {
		return
	}
	s.bus.mu.Lock()
	s.life.ended = true
	stop := s.life.stop
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

// insertSorted returns a copy of sorted subscriptions with s in its place.
func insertSorted(sorted []*Subscription, s *Subscription) []*Subscription {
	place, _ := slices.BinarySearchFunc(sorted, s, (*Subscription).order)
	return slices.Concat(sorted[:place], []*Subscription{s}, sorted[place:])
}

// deleteSorted returns a copy of sorted subscriptions without s.
func deleteSorted(sorted []*Subscription, s *Subscription) (rest []*Subscription, found bool) {
	place, found := slices.BinarySearchFunc(sorted, s, (*Subscription).order)
	if !found || sorted[place] != s {
		return sorted, false
	}
	return slices.Concat(sorted[:place], sorted[place+1:]), true
}

// takes reports whether the handler is to have another event, which for one
// with WithOnce is true for one caller only.
func (l *lifetime) takes() bool {
	if l.until != nil && l.until.Err() != nil {
		return false
	}
	return !l.once || l.claimed.CompareAndSwap(false, true)
}

// taken ends a WithOnce subscription, unless err says that its handler could
// not take the event.
func (s *Subscription) taken(err error) {
	if !s.life.once {
		return
	}
	if isUnread(err) {
		s.life.claimed.Store(false)
		return
	}
	s.Unsubscribe()
}

// limited returns handler, limited to the lifetime of s. It is generic to
// serve typed handlers without boxing.
func limited[E any](s *Subscription, handler func(context.Context, E) error) func(context.Context, E) error {
	if s.life == nil {
		return handler
	}
	return func(ctx context.Context, payload E) (err error) {
		if !s.life.takes() {
			return nil
		}
		defer func() { s.taken(err) }()
		return handler(ctx, payload)
	}
}
