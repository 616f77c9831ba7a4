package events

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
type Topic[T any] struct {
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
	if err := checkName(name); err != nil {
		panic(fmt.Sprintf("events: NewTopic(%q): %v", name, err))
	}
	t := &Topic[T]{name: name}
	for _, option := range options {
		if option == nil {
			panic(fmt.Sprintf("events: NewTopic(%q): option is nil", name))
		}
		option.applyToTopic(&t.options)
	}
	if want := reflect.TypeFor[T](); t.options.delivery.mapPayload && payload.StructOf(want) == nil {
		panic(fmt.Sprintf("events: NewTopic(%q): WithMapPayload: payload is %v, want a struct", name, want))
	}
	return t
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
	p := t.plan(bus)
	if p == nil {
		return t.publish(ctx, bus, payload)
	}
	switch typed := p.typed.(type) {
	case *handlers[T]:
		var o outcome
		if typed.run(ctx, payload, &o) {
			return nil
		}
		return p.resume(ctx, Event{Name: t.name, Data: payload}, &o)
	case *posting[T]:
		if typed.log != nil && typed.log.TryAppend(ctx, payload) || typed.at.offer(ctx, payload) {
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
	return bus.publish(ctx, Event{Name: t.name, Data: payload}, t.binding())
}

// plan returns the plan of the route that the topic remembers, if that is of
// bus and not stale.
func (t *Topic[T]) plan(bus *Bus) *plan {
	if t == nil || bus == nil {
		return nil
	}
	if r := t.route.Load(); r != nil && r.home == bus.home.Load() {
		return r.fresh()
	}
	return nil
}

// publish is Publish for when no plan is at hand.
func (t *Topic[T]) publish(ctx context.Context, bus *Bus, payload T) error {
	if err := t.check(bus); err != nil {
		return err
	}
	if t.options.delivery.replay == 0 && bus.nobodyHears(t.name) {
		return nil
	}
	var r resolution
	err := bus.resolve(ctx, t.name, t.binding(), &r)
	r.release()
	if err != nil {
		return err
	}
	t.remember(r.route)
	switch {
	case r.plan != nil:
		if typed, ok := r.plan.typed.(*handlers[T]); ok {
			var o outcome
			if typed.run(ctx, payload, &o) {
				return nil
			}
			return r.plan.resume(ctx, Event{Name: t.name, Data: payload}, &o)
		}
	case bus.options.unhandled == nil:
		return nil
	}
	return bus.publish(ctx, Event{Name: t.name, Data: payload}, t.binding())
}

func (t *Topic[T]) remember(r *route) {
	if r != nil && t.route.Load() != r {
		t.route.Store(r)
	}
}

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
	if err := t.check(bus); err != nil {
		return err
	}
	return bus.publishAsync(orBackground(ctx), Event{Name: t.name, Data: payload}, t.binding())
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
	chosen, err := t.readOptions(bus, options, kindHandler)
	if err != nil {
		return nil, err
	}
	s := newSubscription(bus, t.name, handler, chosen, 0)
	middleware := bus.around(t.options.middleware, chosen.middleware)
	direct := limited(s.lifespan(), len(middleware) > 0, handler)
	s.handler = s.within(middleware, unbox(direct))
	switch {
	case chosen.queue.capacity > 0:
		if len(middleware) > 0 {
			around := s.handler
			direct = func(ctx context.Context, value T) error { return around(ctx, Event{Name: t.name, Data: value}) }
		}
		s.open = openTyped(s, queue.Handler[T]{One: direct})
	case len(middleware) > 0:
		s.direct = boxed[T]{}
	default:
		s.direct = direct
		s.handler = unlessOver(s.lifespan(), s.handler)
	}
	return bus.add(s, t.binding())
}

// readOptions checks what a subscription needs and returns its options.
func (t *Topic[T]) readOptions(bus *Bus, options []SubscribeOption, kind subscriptionKind) (*subscriptionOptions, error) {
	if err := t.check(bus); err != nil {
		return nil, err
	}
	chosen, err := readOptions(bus, options, kind, reflect.TypeFor[T]())
	if err != nil {
		return nil, errorAt("subscribe to", t.name, err)
	}
	return chosen, nil
}

func (t *Topic[T]) check(bus *Bus) error {
	switch {
	case t == nil || t.name == "":
		return fmt.Errorf("events: Topic[%v]: %w", reflect.TypeFor[T](), errors.New("want one made by NewTopic"))
	case bus == nil:
		return errorAt("use topic", t.name, errNoBus)
	}
	return nil
}

func (t *Topic[T]) binding() binding {
	return binding{contract: (*contractOf[T])(nil), delivery: t.options.delivery}
}
