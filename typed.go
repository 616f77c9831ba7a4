package events

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
)

// Topic is a name bound to a payload type. It belongs to no bus: a package
// declares it once and uses it on any number of buses, from any goroutine.
// Topics of the same name and type are one topic, which does what any of them
// asks for in its options; where they differ in a number, the first that a bus
// meets counts. Middleware stays with the topic through which a handler
// subscribes.
type Topic[T any] struct {
	name    string
	options topicOptions

	// The route of the bus that was used last, so that the next use of that
	// bus looks nothing up.
	route atomic.Pointer[route]
}

// NewTopic declares a topic.
//
// It panics if name is empty, or if an option does not fit T.
func NewTopic[T any](name string, options ...TopicOption) *Topic[T] {
	if name == "" {
		panic("events: NewTopic: name is empty")
	}
	t := &Topic[T]{name: name}
	for _, option := range options {
		if option == nil {
			panic(fmt.Sprintf("events: NewTopic(%q): option is nil", name))
		}
		option.applyToTopic(&t.options)
	}
	if payload := reflect.TypeFor[T](); t.options.delivery.mapPayload && structOf(payload) == nil {
		panic(fmt.Sprintf("events: NewTopic(%q): WithMapPayload: payload is %v, want a struct", name, payload))
	}
	return t
}

// Name returns the name of the topic's events.
func (t *Topic[T]) Name() string { return t.name }

// Publish publishes payload on bus and returns when the inline handlers have
// run, in the caller's goroutine. Their failures come back joined, each a
// [*HandlerError]; with [WithFailFast] only the first one does. The context is
// handed to the handlers and does not keep the event from being delivered; a
// publish that waits for room in a queue gives up when it is done.
//
// It returns [ErrClosed] when the bus is closed, [ErrTopicConflict] when the
// bus knows the topic with another payload type, [ErrFull] when a queue
// rejects the event, [ErrDeadlock] when it would wait for a handler that waits
// for it, and the cause of ctx when that ends a wait; no handler has got the
// event then.
func (t *Topic[T]) Publish(ctx context.Context, bus *Bus, payload T) error {
	if r := t.route.Load(); r != nil && r.bus == bus {
		if p := r.plan.Load(); p != nil {
			if inline, ok := p.typed.(*handlers[T]); ok {
				failed, err := inline.run(ctx, payload)
				if err != nil {
					return inline.resume(ctx, p, payload, failed, err)
				}
				return nil
			}
			if posting, ok := p.typed.(*posting[T]); ok && bus.tryReserve(p) {
				return posting.deliver(ctx, p, payload)
			}
		}
	}
	if bus != nil && t.name != "" && t.options.delivery.replay == 0 && bus.deaf(t.name) {
		return nil
	}
	return t.publish(ctx, bus, payload)
}

// publish is Publish for when the plan is not at hand, takes a boxed payload
// or has queues without room.
func (t *Topic[T]) publish(ctx context.Context, bus *Bus, payload T) error {
	var turn turn
	defer turn.pass()
	for {
		p, err := t.plan(ctx, bus)
		if p == nil {
			if err == nil && bus.options.unhandled != nil {
				bus.undelivered(ctx, Event{Name: t.name, Data: payload})
			}
			return err
		}
		switch typed := p.typed.(type) {
		case *handlers[T]:
			if failed, err := typed.run(ctx, payload); err != nil {
				return typed.resume(ctx, p, payload, failed, err)
			}
			return nil
		case *posting[T]:
			if reserved, err := bus.reserve(ctx, p, &turn); err != nil {
				return err
			} else if reserved {
				return typed.deliver(ctx, p, payload)
			}
		default:
			return p.dispatch(ctx, Event{Name: t.name, Data: payload})
		}
	}
}

// PublishAsync publishes payload on bus and returns at once. The handlers run
// in a goroutine of the bus, with the values of ctx and without its
// cancellation; what they fail with goes to the error handler.
//
// A queue that is full is waited for in that goroutine too, and if it rejects,
// PublishAsync returns [ErrFull]. It returns [ErrClosed] and
// [ErrTopicConflict] as Publish does.
func (t *Topic[T]) PublishAsync(ctx context.Context, bus *Bus, payload T) error {
	p, err := t.plan(ctx, bus)
	if err != nil {
		return err
	}
	if p != nil && p.outbox != nil {
		return p.typed.(*posting[T]).publishAsync(ctx, bus, p, payload)
	}
	return bus.publishAsync(task{ctx: ctx, plan: p, event: Event{Name: t.name, Data: payload}})
}

// Subscribe runs handler for every event of the topic on bus. A typed publish
// hands it the payload as it is; an untyped one whose payload is not a T, a
// pointer to one or a map that reads as one gives a [*PayloadError].
//
// It returns [ErrTopicConflict] when the bus knows the topic with another
// payload type, an error when an option does not fit, and [ErrClosed] on a
// closed bus. It panics if handler is nil.
func (t *Topic[T]) Subscribe(bus *Bus, handler func(ctx context.Context, payload T) error, options ...SubscribeOption) (*Subscription, error) {
	if handler == nil {
		panic(fmt.Sprintf("events: Subscribe(%q): handler is nil", t.name))
	}
	chosen, err := t.readOptions(bus, options, kindHandler)
	if err != nil {
		return nil, err
	}
	s := newSubscription(bus, t.name, functionOf(handler), chosen)
	s.typed = true
	direct := limited(s, handler)
	s.handler = unlessOver(s, unbox(direct))
	middleware := bus.around(t.options.middleware, chosen.middleware)
	switch {
	case chosen.queue.capacity > 0:
		if len(middleware) > 0 {
			s.handler = limited(s, wrap(unbox(handler), middleware))
			direct = func(ctx context.Context, payload T) error {
				return s.handler(ctx, Event{Name: t.name, Data: payload})
			}
		}
		s.more.open = func(r *route) queue {
			return newConsumer(s, logOf[T](r), &chosen.queue, direct)
		}
	case len(middleware) > 0:
		s.handler = limited(s, wrap(unbox(handler), middleware))
	default:
		s.direct = direct
	}
	return s.addTo(bus, t.binding())
}

// readOptions checks what a subscription needs and returns its options.
func (t *Topic[T]) readOptions(bus *Bus, options []SubscribeOption, kind subscriptionKind) (*subscriptionOptions, error) {
	if err := t.check(bus); err != nil {
		return nil, err
	}
	chosen, err := readOptions(options, kind, reflect.TypeFor[T]())
	if err != nil {
		return nil, errorAt("subscribe to", t.name, err)
	}
	return chosen, nil
}

// plan returns what a publish on bus runs, or nil if nobody listens.
func (t *Topic[T]) plan(ctx context.Context, bus *Bus) (*plan, error) {
	if err := t.check(bus); err != nil {
		return nil, err
	}
	p, r, err := bus.planForTopic(ctx, t.binding())
	if r != nil && t.route.Load() != r {
		t.route.Store(r)
	}
	return p, err
}

func (t *Topic[T]) check(bus *Bus) error {
	switch {
	case t.name == "":
		return fmt.Errorf("events: Topic[%v]: %w", reflect.TypeFor[T](), errors.New("want one made by NewTopic"))
	case bus == nil:
		return errorAt("use topic", t.name, errNoBus)
	}
	return nil
}

func (t *Topic[T]) binding() *binding {
	return &binding{name: t.name, contract: contractOf[T]{}, delivery: t.options.delivery}
}
