package events

import (
	"context"
	"fmt"
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
// registration, and the first error stops the rest. It is New(WithFailFast()).
func NewEventDispatcher() *EventDispatcher {
	return New(WithFailFast())
}

// Register subscribes handler to the events of exactly this name; any string
// is a name, and none is a pattern. On a closed bus the handler is refused and
// [ErrClosed] goes to the error handler.
//
// It panics if handler or the bus is nil.
func (b *Bus) Register(eventName string, handler Handler) {
	if b == nil {
		panic(fmt.Sprintf("events: Register(%q): bus is nil", eventName))
	}
	if handler == nil {
		panic(fmt.Sprintf("events: Register(%q): handler is nil", eventName))
	}
	s := newSubscription(b, eventName, functionOf(handler), &noOptions)
	s.handler = wrap(handler, b.options.middleware)
	if err := b.add(s, nil); err != nil {
		b.report(context.Background(), err)
	}
}

// Dispatch publishes event and returns when its inline handlers have run, in
// the caller's goroutine. Failures come back joined, each a [*HandlerError];
// with [WithFailFast] only the first one does. It returns [ErrClosed],
// [ErrFull], [ErrDeadlock] and the cause of ctx as [Topic.Publish] does.
func (b *Bus) Dispatch(ctx context.Context, event Event) error {
	if b == nil {
		return errorAt("publish", event.Name, errNoBus)
	}
	p, err := b.planFor(ctx, event.Name)
	if p != nil && p.outbox != nil {
		return b.post(ctx, event)
	}
	return b.dispatch(ctx, p, event, err)
}

// dispatch runs the inline handlers of p, which is nil if there are none or
// because of err.
func (b *Bus) dispatch(ctx context.Context, p *plan, event Event, err error) error {
	if p != nil {
		return p.dispatch(ctx, event)
	}
	if err == nil {
		b.undelivered(ctx, event)
	}
	return err
}

// DispatchAsync publishes event and returns at once. The handlers run in a
// goroutine of the bus, with the values of ctx and without its cancellation;
// what they fail with goes to the error handler, as does [ErrClosed].
func (b *Bus) DispatchAsync(ctx context.Context, event Event) {
	if b == nil {
		b.report(ctx, errorAt("publish", event.Name, errNoBus))
		return
	}
	p, err := b.planFor(ctx, event.Name)
	switch {
	case err != nil:
	case p != nil && p.outbox != nil:
		err = p.postAsync(ctx, b, event)
	default:
		err = b.publishAsync(task{ctx: ctx, plan: p, event: event})
	}
	if err != nil {
		b.report(ctx, err)
	}
}

// HasHandlers reports whether an event of this name would reach a handler,
// patterns included.
func (b *Bus) HasHandlers(eventName string) bool {
	if b == nil {
		return false
	}
	if patterns := b.patterns.Load(); patterns != nil && patterns.matches(eventName) {
		return true
	}
	r := b.routes.get(eventName)
	if r == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(r.subscriptions) > 0
}

// Subscribe runs handler for every event whose name matches pattern: segments
// between dots, where * stands for exactly one segment, and > or ** at the end
// for one or more. A pattern without wildcards is a name. The handler sees the
// payloads of topics as they were published.
//
// It returns an error when the pattern has an empty segment or a misplaced
// wildcard, when an option does not fit, and [ErrClosed] on a closed bus.
// It panics if handler is nil.
func (b *Bus) Subscribe(pattern string, handler Handler, options ...SubscribeOption) (*Subscription, error) {
	return b.subscribe(pattern, handler, options)
}

// Register subscribes handler on the default bus; see [Bus.Register].
func Register(eventName string, handler Handler) { Default().Register(eventName, handler) }

// Dispatch publishes event on the default bus; see [Bus.Dispatch].
func Dispatch(ctx context.Context, event Event) error { return Default().Dispatch(ctx, event) }

// DispatchAsync publishes event on the default bus; see [Bus.DispatchAsync].
func DispatchAsync(ctx context.Context, event Event) { Default().DispatchAsync(ctx, event) }

// HasHandlers asks the default bus; see [Bus.HasHandlers].
func HasHandlers(eventName string) bool { return Default().HasHandlers(eventName) }
