package events

import (
	"context"
	"reflect"

	"github.com/typedbus/events/internal/topiclog"
)

// contract is what a route knows of the topic bound to it.
type contract interface {
	payloadType() reflect.Type
	compile(p *plan)
	compiled(p *plan) bool // whether p is of a topic with this contract
	newLog(b *Bus) typedLog
}

// contractOf is the contract of all topics whose payload is T.
type contractOf[T any] struct{}

func (contractOf[T]) payloadType() reflect.Type { return reflect.TypeFor[T]() }

func (contractOf[T]) newLog(b *Bus) typedLog {
	return topicLog[T]{topiclog.New[entry[T]](&b.activity.queues)}
}

// compile adds to p what a publish of a T does without boxing it, if all
// handlers take a T as it is.
func (contractOf[T]) compile(p *plan) {
	inline := inlineHandlers[T](p)
	if p.outbox == nil {
		if p.typed = inline; inline == nil {
			p.typed = boxed[T]{}
		}
		return
	}
	posting := &posting[T]{inline: inline}
	if log, ok := p.outbox.typed.(topicLog[T]); ok {
		posting.log = log.Log
	}
	p.typed = posting
}

// boxed is what a publish of a T does when a handler takes a boxed payload: it
// boxes it.
type boxed[T any] struct{}

func (contractOf[T]) compiled(p *plan) bool {
	switch p.typed.(type) {
	case *handlers[T], *posting[T], boxed[T]:
		return true
	}
	return false
}

// inlineHandlers returns the handlers of p if all of them take a T as it is.
func inlineHandlers[T any](p *plan) *handlers[T] {
	if p.delivery.concurrency > 1 {
		return nil
	}
	inline := make(handlers[T], len(p.subscriptions))
	for i, s := range p.subscriptions {
		direct, ok := s.direct.(func(context.Context, T) error)
		if !ok {
			return nil
		}
		inline[i] = direct
	}
	return &inline
}

// posting is what a publish of a T does when some handlers are queued.
type posting[T any] struct {
	inline *handlers[T]            // nil if one takes a boxed payload
	log    *topiclog.Log[entry[T]] // nil if no typed handler is queued
}

// deliver leaves payload in the outbox of p, which is reserved, and runs the
// inline handlers.
func (x *posting[T]) deliver(ctx context.Context, p *plan, payload T) error {
	x.leave(ctx, p, payload)
	if len(p.subscriptions) == 0 {
		return nil
	}
	if x.inline == nil {
		return p.dispatch(ctx, Event{Name: p.event, Data: payload})
	}
	if failed, err := x.inline.run(ctx, payload); err != nil {
		return x.inline.resume(ctx, p, payload, failed, err)
	}
	return nil
}

// leave puts payload in the outbox of p, which is locked, and unlocks it.
func (x *posting[T]) leave(ctx context.Context, p *plan, payload T) {
	if x.log != nil {
		x.log.Append(entry[T]{ctx: ctx, payload: payload})
	}
	if len(p.outbox.events) > 0 {
		event := Event{Name: p.event, Data: payload}
		if p.delivery.mapPayload {
			event.Data = asMap{payload}
		}
		p.outbox.put(ctx, event)
	}
	p.outbox.unlock()
}

// publishAsync leaves payload in the queues, at once if they have room, and
// has the rest done by a worker.
func (x *posting[T]) publishAsync(ctx context.Context, b *Bus, p *plan, payload T) error {
	full, err := b.reserveNow(ctx, p)
	if err != nil {
		return err
	}
	t := task{ctx: ctx, plan: p, event: Event{Name: p.event, Data: payload}}
	if full == nil {
		if len(p.subscriptions) > 0 {
			err = b.accept(t, true)
		}
		x.leave(ctx, p, payload)
		return err
	}
	t.post = func(ctx context.Context) error {
		err := b.awaitReserved(ctx, p)
		if err == nil {
			x.leave(ctx, p, payload)
		}
		return err
	}
	return b.publishAsync(t)
}

// unbox returns a typed handler as one of events.
func unbox[T any](handler func(context.Context, T) error) Handler {
	return func(ctx context.Context, event Event) error {
		payload, err := payloadOf[T](event)
		if err != nil {
			return err
		}
		return handler(ctx, payload)
	}
}

// payloadOf is the one place that turns an untyped payload into a T.
func payloadOf[T any](event Event) (T, error) {
	if payload, ok := event.Data.(T); ok {
		return payload, nil
	}
	var payload T
	converted, err := convert(event, reflect.TypeFor[T]())
	if err != nil {
		return payload, err
	}
	// A nil interface is a T that no assertion finds.
	payload, _ = converted.(T)
	return payload, nil
}

// convert returns the payload as a value of type want: what a pointer points
// to, a pointer to a copy, or a struct read from a map.
func convert(event Event, want reflect.Type) (any, error) {
	fail := func(reason string) (any, error) {
		return nil, &PayloadError{Event: event.Name, Want: want, Got: reflect.TypeOf(event.Data), reason: reason}
	}
	if event.Data == nil {
		if want.Kind() == reflect.Interface {
			return nil, nil
		}
		return fail("")
	}
	got := reflect.ValueOf(event.Data)
	switch {
	case got.Kind() == reflect.Pointer && got.Type().Elem() == want:
		if got.IsNil() {
			return fail("the pointer is nil")
		}
		return got.Elem().Interface(), nil

	case want.Kind() == reflect.Pointer && want.Elem() == got.Type():
		pointer := reflect.New(got.Type())
		pointer.Elem().Set(got)
		return pointer.Interface(), nil

	case isMap(got.Type()) && want.Kind() == reflect.Struct:
		target := reflect.New(want).Elem()
		if err := readMap(target, got, 0); err != nil {
			return fail(err.Error())
		}
		return target.Interface(), nil

	case isMap(got.Type()) && want.Kind() == reflect.Pointer && want.Elem().Kind() == reflect.Struct:
		target := reflect.New(want.Elem())
		if err := readMap(target.Elem(), got, 0); err != nil {
			return fail(err.Error())
		}
		return target.Interface(), nil
	}
	return fail("")
}

// unmapped returns handler, with payloads as maps that a queue has kept as they
// were published, so that each handler has a map of its own.
func unmapped(handler func(context.Context, Event) error) func(context.Context, Event) error {
	return func(ctx context.Context, event Event) error {
		return handler(ctx, unmap(event))
	}
}

func unmap(event Event) Event {
	if mapped, ok := event.Data.(asMap); ok {
		event.Data = writeMap(mapped.payload)
	}
	return event
}

// asMaps returns handler, with the payloads of a topic of type want as maps.
func asMaps(handler Handler, want reflect.Type) Handler {
	want = structOf(want)
	return func(ctx context.Context, event Event) error {
		if event.Data != nil && structOf(reflect.TypeOf(event.Data)) == want {
			event.Data = writeMap(event.Data)
		}
		return handler(ctx, event)
	}
}
