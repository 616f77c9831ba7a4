package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/typedbus/events/internal/pattern"
	"github.com/typedbus/events/internal/topiclog"
)

// Bus is the subscriptions of one program, or of one test. All its methods may
// be called from any goroutine, handlers included. The zero Bus works, without
// options; a Bus must not be copied.
type Bus struct {
	options busOptions // immutable after New

	// Publishes read these without a lock.
	state    atomic.Uint32 // open, draining or closed
	routes   routeTable
	patterns atomic.Pointer[patternSet] // nil without patterns

	life    atomic.Pointer[lifeContext] // nil until a handler needs it
	counter atomic.Uint64               // of subscriptions made; written under mu

	workers  workers
	activity activity

	// mu guards the writing of the fields above, the subscriptions of every
	// route and the fields below. It is never held while user code runs.
	mu      sync.Mutex
	result  error                      // of Close, once the bus is closed
	leaving map[*Subscription]struct{} // taken off the bus and being drained
}

// The states of a bus, which it passes through in this order.
const (
	open     = iota
	draining // takes events from the handlers that are still at work
	closed
)

// New returns a bus that is ready for use.
func New(options ...BusOption) *Bus {
	b := new(Bus)
	for _, option := range options {
		if option == nil {
			panic("events: New: option is nil")
		}
		option.applyToBus(&b.options)
	}
	b.options.middleware = slices.Clip(b.options.middleware)
	return b
}

var defaultBus atomic.Pointer[Bus]

// Default returns the bus of the global functions. Unless [SetDefault] has
// named another it is one made by [NewEventDispatcher].
func Default() *Bus {
	if b := defaultBus.Load(); b != nil {
		return b
	}
	defaultBus.CompareAndSwap(nil, NewEventDispatcher())
	return defaultBus.Load()
}

// SetDefault makes bus the one that [Default] returns. What has subscribed to
// the bus before stays there.
//
// It panics if bus is nil.
func SetDefault(bus *Bus) {
	if bus == nil {
		panic("events: SetDefault: bus is nil")
	}
	defaultBus.Store(bus)
}

// subscribe adds an untyped handler, whose pattern may be a name.
func (b *Bus) subscribe(name string, handler Handler, options []SubscribeOption) (*Subscription, error) {
	if handler == nil {
		panic(fmt.Sprintf("events: Subscribe(%q): handler is nil", name))
	}
	if b == nil {
		return nil, errorAt("subscribe to", name, errNoBus)
	}
	parsed, err := pattern.Parse(name)
	if err != nil {
		return nil, errorAt("subscribe to", name, err)
	}
	chosen, err := readOptions(options, kindHandler, reflect.TypeFor[Event]())
	if err != nil {
		return nil, errorAt("subscribe to", name, err)
	}
	s := newSubscription(b, name, functionOf(handler), chosen)
	s.handler = limited(s, wrap(handler, b.around(nil, chosen.middleware)))
	if !parsed.IsLiteral() {
		s.pattern = &parsed
	}
	if chosen.queue.capacity > 0 {
		options := chosen.queue
		if key, ok := options.orderBy.(func(Event) string); ok {
			options.orderBy = func(event Event) string { return key(unmap(event)) }
		}
		s.more.open = func(r *route) queue {
			log := s.more.log
			if r != nil {
				log = r.logs.events
			}
			return newConsumer(s, log, &options, unmapped(s.handler))
		}
	}
	return s.addTo(b, nil)
}

// around returns all the middleware of a subscription, outermost first.
func (b *Bus) around(topic, subscription []Middleware) []Middleware {
	return slices.Concat(b.options.middleware, topic, subscription)
}

// binding is what a topic tells a bus of itself.
type binding struct {
	name     string
	contract contract
	delivery delivery
}

// add makes s part of the bus, and binds its name to a topic if there is one.
func (b *Bus) add(s *Subscription, topic *binding) error {
	if err := b.insert(s, topic); err != nil {
		return err
	}
	s.watch()
	return nil
}

func (b *Bus) insert(s *Subscription, topic *binding) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Load() != open {
		return errorAt("subscribe to", s.event, ErrClosed)
	}
	s.number = b.counter.Add(1)
	if s.pattern != nil {
		if s.isQueued() {
			s.more.log = topiclog.New[entry[Event]](&b.activity.queues)
			s.more.queue = s.more.open(nil)
			s.more.queue.start()
		}
		b.setPatternsLocked(insertSorted(slices.Clone(b.patternsLocked()), s), s.pattern)
		return nil
	}
	r := b.routeLocked(s.event)
	if topic != nil {
		if err := r.bindLocked(topic); err != nil {
			return err
		}
	}
	if s.isQueued() {
		r.openLogLocked(s.typed)
		s.more.queue = s.more.open(r)
		s.more.queue.start()
	}
	r.ownLocked()
	r.subscriptions = insertSorted(r.subscriptions, s)
	r.plan.Store(nil)
	return nil
}

// remove takes s off the bus.
func (b *Bus) remove(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.pattern != nil {
		if rest, found := deleteSorted(slices.Clone(b.patternsLocked()), s); found {
			b.setPatternsLocked(rest, s.pattern)
		}
		return
	}
	r := b.routes.get(s.event)
	if r == nil {
		return
	}
	r.ownLocked()
	if rest, found := deleteSorted(r.subscriptions, s); found {
		r.subscriptions = rest
		r.plan.Store(nil)
		if len(r.subscriptions) == 0 && r.delivery.replay == 0 {
			b.retireLocked(r)
		}
	}
}

// routeLocked returns the route of a name, making it if there is none.
func (b *Bus) routeLocked(name string) *route {
	r := b.routes.get(name)
	if r == nil {
		r = &route{bus: b, name: name}
		b.routes.put(r)
	}
	return r
}

// ownLocked copies the subscriptions if a plan shares them.
func (r *route) ownLocked() {
	if r.shared {
		r.subscriptions = slices.Clone(r.subscriptions)
		r.shared = false
	}
}

// retireLocked forgets a route, so that memory follows the subscriptions.
// Topics may still hold it; without a plan they look the name up again.
func (b *Bus) retireLocked(r *route) {
	b.routes.delete(r.name)
	r.plan.Store(nil)
}

// bindLocked makes topic the one of the route, or adds what it asks for.
func (r *route) bindLocked(topic *binding) error {
	if r.contract == nil {
		r.contract = topic.contract
		r.plan.Store(nil)
	} else if have, want := r.contract.payloadType(), topic.contract.payloadType(); have != want {
		return errConflict(r.name, have, want)
	}
	if merged := r.delivery.or(topic.delivery); merged != r.delivery {
		r.delivery = merged
		r.plan.Store(nil)
	}
	if r.delivery.replay > 0 {
		r.openLogLocked(true)
		r.openLogLocked(false)
	}
	return nil
}

// openLogLocked makes the log for typed or for untyped queued subscriptions,
// if there is none.
func (r *route) openLogLocked(typed bool) {
	if r.logs == nil {
		r.logs = new(logs)
	}
	replay := int(r.delivery.replay)
	if typed {
		if r.logs.typed == nil {
			r.logs.typed = r.contract.newLog(r.bus)
		}
		r.logs.typed.retain(replay)
		return
	}
	if r.logs.events == nil {
		r.logs.events = topiclog.New[entry[Event]](&r.bus.activity.queues)
	}
	r.logs.events.Retain(replay)
}

// report hands an error that no publisher waits for to the error handler, and
// joined ones one by one.
func (b *Bus) report(ctx context.Context, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			b.report(ctx, each)
		}
		return
	}
	if b == nil || b.options.errorHandler == nil {
		b.logError(ctx, err)
		return
	}
	if panicked := guard(func() { b.options.errorHandler(ctx, err) }); panicked != nil {
		b.logError(ctx, err)
		b.logError(ctx, fmt.Errorf("error handler: %w", panicked))
	}
}

func (b *Bus) logError(ctx context.Context, err error) {
	attributes := []slog.Attr{slog.Any("error", err)}
	if failure, ok := errors.AsType[*HandlerError](err); ok {
		attributes = []slog.Attr{
			slog.String("event", failure.Event),
			slog.String("handler", failure.Handler),
			slog.Any("error", failure.Err),
		}
	}
	b.logger().LogAttrs(orBackground(ctx), slog.LevelError, "event not handled", attributes...)
}

func (b *Bus) logger() *slog.Logger {
	if b == nil || b.options.logger == nil {
		return slog.Default()
	}
	return b.options.logger
}
