package events

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/typedbus/events/internal/pattern"
)

// Event is a name and a payload, the untyped view of what is published.
// Topics see the same events with their payload type.
type Event struct {
	Name string
	Data any
}

// Handler handles one event. Its goroutine is the publisher's, unless the
// subscription is queued, the publish asynchronous or the delivery concurrent.
// It may publish, subscribe, unsubscribe and close the bus.
type Handler func(ctx context.Context, event Event) error

// EventDispatcher is the name under which map-based code knows a [Bus].
type EventDispatcher = Bus

// NewEventDispatcher returns a bus that behaves like the map-based dispatcher
// which it replaces: handlers run one after the other in the order of their
// registration, the first error stops the rest, and the text of an error does
// not name the handler. In all else it is New([WithFailFast]()).
func NewEventDispatcher() *EventDispatcher {
	return New(WithFailFast(), busOption(func(o *busOptions) { o.unnamed = true }))
}

// Register subscribes handler to the events of exactly this name; any string
// is a name, and none is a pattern. On a closed bus the handler is refused and
// [ErrClosed] goes to the error handler.
//
// It panics if handler or the bus is nil.
func (b *Bus) Register(eventName string, handler Handler) { b.register(eventName, handler) }

func (b *Bus) register(eventName string, handler Handler) {
	if b == nil {
		panic(fmt.Sprintf("events: Register(%q): bus is nil", eventName))
	}
	if handler == nil {
		panic(fmt.Sprintf("events: Register(%q): handler is nil", eventName))
	}
	s := newSubscription(b, eventName, handler, &noOptions, 1)
	s.handler = s.within(b.options.middleware, handler)
	if _, err := b.add(s, binding{}); err != nil {
		b.report(context.Background(), err)
	}
}

// Dispatch publishes event and returns when its inline handlers have run, in
// the caller's goroutine. Failures come back joined, each a [*HandlerError],
// and [Failures] tells them apart; with [WithFailFast] only the first one does.
// It returns [ErrClosed] and [*QueueError] as [Topic.Publish] does.
func (b *Bus) Dispatch(ctx context.Context, event Event) error {
	if b == nil {
		return errorAt("publish", event.Name, errNoBus)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if r := b.routes.Get(event.Name); r != nil {
		if p := r.fresh(); p != nil && p.plain {
			var o outcome
			if p.untyped.run(ctx, event, &o) {
				return nil
			}
			return p.resume(ctx, event, &o)
		}
	} else if b.nobodyHears(event.Name) {
		return nil
	}
	return b.publish(ctx, event, binding{})
}

// DispatchAsync publishes event and returns at once. The handlers run in a
// goroutine of the bus, with the values of ctx and without its cancellation;
// what they fail with goes to the error handler, as do [ErrClosed], and [ErrFull]
// when a queue rejects or [WithAsyncLimit] is reached; without that there is no
// bound.
func (b *Bus) DispatchAsync(ctx context.Context, event Event) {
	if b == nil {
		b.report(ctx, errorAt("publish", event.Name, errNoBus))
		return
	}
	ctx = orBackground(ctx)
	if err := b.publishAsync(ctx, event, binding{}); err != nil {
		b.report(ctx, err)
	}
}

// HasHandlers reports whether an event of this name would reach a handler,
// patterns included.
func (b *Bus) HasHandlers(eventName string) bool {
	if b == nil {
		return false
	}
	if b.patterns.matches(eventName) {
		return true
	}
	b.mu.Lock() // under which no handler moves between a name and a pattern
	defer b.mu.Unlock()
	r := b.routes.Get(eventName)
	return r != nil && len(r.subscriptions) > 0 || b.patterns.matches(eventName)
}

// Subscribe runs handler for every event whose name matches pattern: segments
// between dots, where * stands for exactly one segment, and > or ** at the end
// for one or more. A pattern without wildcards is a name. The handler sees the
// payloads of topics as they were published.
//
// It returns an error when the pattern has an empty segment, a misplaced
// wildcard, a space or a control character, when an option does not fit, and
// [ErrClosed] on a closed bus. It panics if handler is nil.
func (b *Bus) Subscribe(pattern string, handler Handler, options ...SubscribeOption) (*Subscription, error) {
	if handler == nil {
		panic(fmt.Sprintf("events: Subscribe(%q): handler is nil", pattern))
	}
	if b == nil {
		return nil, errorAt("subscribe to", pattern, errNoBus)
	}
	parsed, err := parsePattern(pattern)
	if err != nil {
		return nil, errorAt("subscribe to", pattern, err)
	}
	chosen, err := readOptions(b, options, kindHandler, reflect.TypeFor[Event]())
	if err != nil {
		return nil, errorAt("subscribe to", pattern, err)
	}
	s := newSubscription(b, pattern, handler, chosen, 0)
	middleware := b.around(nil, chosen.middleware)
	s.handler = s.within(middleware, limited(s.lifespan(), len(middleware) > 0, handler))
	if !parsed.IsLiteral() {
		if s.extras == nil {
			s.extras = new(extras)
		}
		s.pattern = &parsed
	}
	if chosen.queue.capacity > 0 {
		s.opensEvents()
	}
	return b.add(s, binding{})
}

func parsePattern(text string) (pattern.Pattern, error) {
	parsed, err := pattern.Parse(text)
	if err == nil {
		err = checkName(text)
	}
	return parsed, err
}

// around returns all the middleware of a subscription, outermost first.
func (b *Bus) around(topic, subscription []Middleware) []Middleware {
	return slices.Concat(b.options.middleware, topic, subscription)
}

var errNoBus = errors.New("the bus is nil")

// Register subscribes handler on the default bus; see [Bus.Register].
func Register(eventName string, handler Handler) { Default().register(eventName, handler) }

// Dispatch publishes event on the default bus; see [Bus.Dispatch].
func Dispatch(ctx context.Context, event Event) error { return Default().Dispatch(ctx, event) }

// DispatchAsync publishes event on the default bus; see [Bus.DispatchAsync].
func DispatchAsync(ctx context.Context, event Event) { Default().DispatchAsync(ctx, event) }

// HasHandlers asks the default bus; see [Bus.HasHandlers].
func HasHandlers(eventName string) bool { return Default().HasHandlers(eventName) }
