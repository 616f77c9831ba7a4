package events

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/typedbus/events/internal/payload"
	"github.com/typedbus/events/internal/queue"
)

// Topic is a name bound to a payload type. It belongs to no bus: a package
// declares it once and uses it on any number of buses, from any goroutine.
// Topics of the same name and type are one topic, which does what any of them
// asks for in its options; where they differ in a number, the first that a bus
// meets counts. Middleware stays with the topic through which a handler
// subscribes.
type Topic[T any] struct{ topic }

// topic is the part of a Topic that does not depend on its payload type.
type topic struct {
	name    string
	options topicOptions

	// The route of the bus that was used last, so that the next use of that
	// bus looks nothing up. It holds on to nothing of a bus that is closed.
	route atomic.Pointer[route]
}

// NewTopic declares a topic.
//
// It panics if an option does not fit T, or if the name is empty, is not UTF-8,
// or has spaces or control characters, which no broker would take. Everything
// else is allowed and stands for itself; the convention is domain.action.
func NewTopic[T any](name string, options ...TopicOption) *Topic[T] {
	t := new(Topic[T])
	t.declare(name, options, reflect.TypeFor[T]())
	return t
}

func (t *topic) declare(name string, options []TopicOption, want reflect.Type) {
	if err := checkName(name); err != nil {
		panic(fmt.Sprintf("events: NewTopic(%q): %v", name, err))
	}
	t.name = name
	for _, option := range options {
		if option == nil {
			panic(fmt.Sprintf("events: NewTopic(%q): option is nil", name))
		}
		option.applyToTopic(&t.options)
	}
	if t.options.delivery.mapPayload && payload.StructOf(want) == nil {
		panic(fmt.Sprintf("events: NewTopic(%q): WithMapPayload: payload is %v, want a struct", name, want))
	}
}

// checkName reports what keeps a name from being that of a topic, or a pattern.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case !utf8.ValidString(name):
		return errors.New("name is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return errors.New("name has a space or a control character, want none")
	}
	return nil
}

// Name returns the name of the topic's events.
func (t *Topic[T]) Name() string {
	if t == nil {
		return ""
	}
	return t.name
}

// Publish publishes payload on bus and returns when the inline handlers have
// run, in the caller's goroutine. Their failures come back joined, each a
// [*HandlerError], and [Failures] tells them apart; with [WithFailFast] only the
// first one does. The context is handed to the handlers, nil as Background, and
// does not keep the event from being delivered; a publish that waits for room in
// a queue gives up when it is done.
//
// It returns [ErrClosed] when the bus is closed, [ErrTopicConflict] when the
// bus knows the topic with another payload type, and a [*QueueError] with
// [ErrFull] when a queue rejects the event, with [ErrDeadlock] when it would
// wait for a handler that waits for it, and with the cause of ctx when that ends
// a wait; no handler has got the event then.
func (t *Topic[T]) Publish(ctx context.Context, bus *Bus, payload T) error {
	if ctx == nil {
		ctx = context.Background()
	}
	p := t.of().plan(bus)
	if p == nil {
		var err error
		if p, err = t.of().find(ctx, bus, (*contractOf[T])(nil)); p == nil {
			return err
		}
	}
	switch typed := p.typed.(type) {
	case *handlers[T]:
		var o outcome
		if typed.run(ctx, payload, &o) {
			return nil
		}
		return p.resume(ctx, Event{Name: t.name, Data: payload}, &o)
	case *posting[T]:
		if typed.log != nil && typed.log.TryAppend(ctx, payload) || typed.at.offer(ctx, payload, p) {
			var o outcome
			if len(*typed.inline) == 0 || typed.inline.run(ctx, payload, &o) {
				return nil
			}
			return p.resume(ctx, Event{Name: t.name, Data: payload}, &o)
		}
	case boxed[T]:
		if len(p.places) == 0 {
			return p.dispatch(ctx, Event{Name: t.name, Data: payload})
		}
	}
	return bus.publish(ctx, Event{Name: t.name, Data: payload}, t.binding((*contractOf[T])(nil)))
}

// plan returns the plan of the route that the topic remembers, if that is of
// bus and not stale.
func (t *topic) plan(bus *Bus) *plan {
	if t == nil || bus == nil {
		return nil
	}
	if r := t.route.Load(); r != nil && r.home == bus.home.Load() {
		return r.fresh()
	}
	return nil
}

// find is plan for when none is at hand. It returns nil if there is nothing to do.
func (t *topic) find(ctx context.Context, bus *Bus, c contract) (*plan, error) {
	if err := t.check(bus, c); err != nil {
		return nil, err
	}
	if t.options.delivery.replay == 0 && bus.nobodyHears(t.name) {
		return nil, nil
	}
	var r resolution
	err := bus.resolve(ctx, t.name, t.binding(c), &r)
	r.release()
	if err != nil {
		return nil, err
	}
	if r.route != nil && t.route.Load() != r.route {
		t.route.Store(r.route)
	}
	if r.plan == nil && bus.options.unhandled != nil {
		return noPlan, nil
	}
	return r.plan, nil
}

// noPlan is the plan of a publish that nobody hears, and somebody is to be told of.
var noPlan = new(plan)

// PublishAsync publishes payload on bus and returns at once. The handlers run
// in a goroutine of the bus, with the values of ctx and without its
// cancellation; what they fail with goes to the error handler. How many events
// may be under way has no bound unless [WithAsyncLimit] sets one; a queue
// ([WithQueue]) is the bounded way.
//
// A queue that is full is waited for in that goroutine too, and if it rejects,
// PublishAsync returns [ErrFull], as it does above the limit. It returns
// [ErrClosed] and [ErrTopicConflict] as Publish does.
func (t *Topic[T]) PublishAsync(ctx context.Context, bus *Bus, payload T) error {
	c := (*contractOf[T])(nil)
	if err := t.of().check(bus, c); err != nil {
		return err
	}
	return bus.publishAsync(orBackground(ctx), Event{Name: t.name, Data: payload}, t.binding(c))
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
		panic(fmt.Sprintf("events: Subscribe(%q): handler is nil", t.Name()))
	}
	s, err := t.of().newSubscription(0, bus, handler, options, kindHandler, (*contractOf[T])(nil))
	if err != nil {
		return nil, err
	}
	direct := limited(s.lifespan(), len(s.middleware) > 0, handler)
	s.handler = s.within(s.middleware, unbox(direct))
	switch {
	case s.chosen.queue.capacity > 0 && len(s.middleware) > 0:
		around := s.handler
		s.opens(queue.Handler[T]{One: func(ctx context.Context, value T) error {
			return around(ctx, Event{Name: s.event, Data: value})
		}})
	case s.chosen.queue.capacity > 0:
		s.opens(queue.Handler[T]{One: direct})
	case len(s.middleware) > 0:
		s.direct = boxed[T]{}
	default:
		s.direct = direct
		s.handler = unlessOver(s.lifespan(), s.handler)
	}
	return s.add()
}

// Wrap returns handler as a subscription to the topic calls it: within the topic's
// middleware, and within middleware inside that, with panics as errors. It is for
// packages that bring events to handlers by another way than a bus.
//
// It panics if handler is nil or a middleware returns a nil handler.
func (t *Topic[T]) Wrap(handler func(ctx context.Context, payload T) error, middleware ...Middleware) func(ctx context.Context, payload T) error {
	if handler == nil {
		panic(fmt.Sprintf("events: Wrap(%q): handler is nil", t.Name()))
	}
	wrapped := recovering(wrap(unbox(handler), slices.Concat(t.options.middleware, middleware)))
	return func(ctx context.Context, payload T) error {
		return wrapped(ctx, Event{Name: t.name, Data: payload})
	}
}

// subscribing is a subscription through a topic that the bus is yet to take.
type subscribing struct {
	*Subscription
	topic      *topic
	contract   contract
	chosen     *subscriptionOptions
	middleware []Middleware
}

// newSubscription checks what a subscription needs, which the user has made depth
// frames above its caller.
func (t *topic) newSubscription(depth int, bus *Bus, handler any, options []SubscribeOption, kind subscriptionKind, c contract) (*subscribing, error) {
	if err := t.check(bus, c); err != nil {
		return nil, err
	}
	chosen, err := readOptions(bus, options, kind, c.payloadType())
	if err != nil {
		return nil, errorAt("subscribe to", t.name, err)
	}
	return &subscribing{newSubscription(bus, t.name, handler, chosen, depth+1), t, c, chosen, bus.around(t.options.middleware, chosen.middleware)}, nil
}

// opens gives the subscription a queue, before a queue.Handler of the payload
// type. It is not inlined: each payload type would have a copy. Nor is what else
// generic code calls here.
//
//go:noinline
func (s *subscribing) opens(handler any) {
	s.extras.typed = true
	s.open = func(r *route) { s.openQueue(r, r.contract, handler) }
}

//go:noinline
func (s *subscribing) add() (*Subscription, error) {
	return s.bus.add(s.Subscription, s.topic.binding(s.contract))
}

// of returns the topic's part without its type, nil for nil.
func (t *Topic[T]) of() *topic {
	if t == nil {
		return nil
	}
	return &t.topic
}

//go:noinline
func (t *topic) check(bus *Bus, c contract) error {
	switch {
	case t == nil || t.name == "":
		return fmt.Errorf("events: Topic[%v]: %w", c.payloadType(), errors.New("want one made by NewTopic"))
	case bus == nil:
		return errorAt("use topic", t.name, errNoBus)
	}
	return nil
}

func (t *topic) binding(c contract) binding { return binding{c, t.options.delivery} }
