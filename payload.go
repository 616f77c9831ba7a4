package events

import (
	"context"
	"errors"
	"reflect"

	"github.com/typedbus/events/internal/payload"
	"github.com/typedbus/events/internal/queue"
	"github.com/typedbus/events/internal/topiclog"
)

// contractOf is the contract of all topics whose payload is T.
type contractOf[T any] struct{}

func (*contractOf[T]) payloadType() reflect.Type { return reflect.TypeFor[T]() }

func (*contractOf[T]) newLog() (place, *topiclog.Core) {
	log := topiclog.New[T]()
	return &typedPlace[T]{log: log}, log.Core()
}

func (*contractOf[T]) newKeyed(o topiclog.Options, key any) (place, *topiclog.Lines) {
	log := topiclog.NewKeyed[T](o)
	return &typedPlace[T]{log, key.(func(T) string)}, log.Lines()
}

func (*contractOf[T]) newQueue(hooks *queue.Hooks, at, kept place, o topiclog.Options, b *queue.BatchOptions, handler any) *queue.Queue {
	var before *topiclog.Log[T]
	if kept != nil {
		before = kept.(*typedPlace[T]).log
	}
	return queue.New(hooks, at.(*typedPlace[T]).log, before, o, b, handler.(queue.Handler[T]))
}

// compile adds to p what a publish of a T does without boxing it.
func (*contractOf[T]) compile(p *plan) {
	inline := inlineHandlers[T](p)
	if len(p.places) == 0 && inline != nil {
		p.typed = inline
		return
	}
	p.typed = boxed[T]{}
	if len(p.places) != 1 || inline == nil && len(p.inline) > 0 {
		return
	}
	if at, ok := p.places[0].place.(*typedPlace[T]); ok {
		p.typed = &posting[T]{inline: inline, at: at}
		if at.key == nil && p.declared.replay == 0 {
			p.typed.(*posting[T]).log = at.log
		}
	}
}

func (*contractOf[T]) compiled(p *plan) bool {
	switch p.typed.(type) {
	case *handlers[T], *posting[T], boxed[T]:
		return true
	}
	return false
}

// boxed is what a publish of a T does when some handler takes a boxed payload.
type boxed[T any] struct{}

// posting is what a publish of a T does when all inline handlers take a T, and
// all that are queued read from one place.
type posting[T any] struct {
	inline *handlers[T]
	log    *topiclog.Log[T] // of at, if that has no keys and what it keeps is nobody's
	at     *typedPlace[T]
}

// inlineHandlers returns the handlers of p if all of them take a T as it is.
func inlineHandlers[T any](p *plan) *handlers[T] {
	if p.delivery.concurrency > 1 {
		return nil
	}
	inline := make(handlers[T], len(p.inline))
	for i, s := range p.inline {
		direct, ok := s.direct.(func(context.Context, T) error)
		if !ok {
			return nil
		}
		inline[i] = direct
	}
	return &inline
}

// typedPlace is the log of a topic, or the queue of one typed subscription, by keys.
type typedPlace[T any] struct {
	log *topiclog.Log[T]
	key func(T) string // or nil
}

func (x *typedPlace[T]) gate() *topiclog.Gate { return x.log.Gate() }

// offer leaves payload in the place if that has room.
func (x *typedPlace[T]) offer(ctx context.Context, payload T, p *plan) bool {
	var key string
	if x.key != nil {
		if !x.log.Lines().HasRoom() {
			return false // before the key is asked for
		}
		if guard(func() { key = x.key(payload) }) != nil {
			return false // to be found again on the way that reports it
		}
	}
	return x.log.Offer(ctx, payload, key, p.isOfItsRoute)
}

func (x *typedPlace[T]) prepare(event, _ Event) (p prepared, err error) {
	if _, ok := event.Data.(T); ok && x.key == nil {
		return prepared{payload: event.Data}, nil
	}
	value, err := payloadOf[T](event)
	p.payload = value
	if err == nil && x.key != nil {
		p.key = x.key(value)
	}
	return p, err
}

func (x *typedPlace[T]) put(ctx context.Context, _ Event, p prepared) {
	value, _ := p.payload.(T) // a nil interface is a T that no assertion finds
	x.log.Append(ctx, value, p.key)
}

func (x *typedPlace[T]) entry(ctx context.Context, _ Event, p prepared) any {
	value, _ := p.payload.(T)
	return &topiclog.Entry[T]{Context: ctx, Payload: value}
}

// ofEvents makes what is in front of untyped queued handlers.
type ofEvents struct{}

func (ofEvents) newLog() (place, *topiclog.Core) {
	log := topiclog.New[Event]()
	return &eventPlace{log: log}, log.Core()
}

func (ofEvents) newKeyed(o topiclog.Options, key any) (place, *topiclog.Lines) {
	log := topiclog.NewKeyed[Event](o)
	return &eventPlace{log, key.(func(Event) string)}, log.Lines()
}

func (ofEvents) newQueue(hooks *queue.Hooks, at, kept place, o topiclog.Options, b *queue.BatchOptions, handler any) *queue.Queue {
	var before *topiclog.Log[Event]
	if kept != nil {
		before = kept.(*eventPlace).log
	}
	return queue.New(hooks, at.(*eventPlace).log, before, o, b, handler.(queue.Handler[Event]))
}

// eventPlace is the log of untyped subscriptions, or the queue of one, by keys.
type eventPlace struct {
	log *topiclog.Log[Event]
	key func(Event) string // or nil
}

func (x *eventPlace) gate() *topiclog.Gate { return x.log.Gate() }

func (x *eventPlace) prepare(_, mapped Event) (p prepared, err error) {
	if x.key != nil {
		p.key = x.key(unmap(mapped))
	}
	return p, nil
}

func (x *eventPlace) put(ctx context.Context, event Event, p prepared) {
	x.log.Append(ctx, event, p.key)
}

func (*eventPlace) entry(ctx context.Context, event Event, _ prepared) any {
	return &topiclog.Entry[Event]{Context: ctx, Payload: event}
}

// unbox returns a typed handler as one of events.
func unbox[T any](handler func(context.Context, T) error) Handler {
	return func(ctx context.Context, event Event) error {
		value, err := payloadOf[T](event)
		if err != nil {
			return err
		}
		return handler(ctx, value)
	}
}

// payloadOf is the one place that turns an untyped payload into a T.
func payloadOf[T any](event Event) (T, error) {
	if value, ok := event.Data.(T); ok {
		return value, nil
	}
	var value T
	converted, err := convert(event, reflect.TypeFor[T]())
	if err != nil {
		return value, err
	}
	value, _ = converted.(T)
	return value, nil
}

func convert(event Event, want reflect.Type) (any, error) {
	converted, err := payload.As(event.Data, want)
	if err == nil {
		return converted, nil
	}
	misfit := &PayloadError{Event: event.Name, Want: want, Got: reflect.TypeOf(event.Data)}
	if reason, ok := errors.AsType[*payload.Misfit](err); ok {
		misfit.reason = reason.Reason
	}
	return nil, misfit
}

// asMap is a payload that untyped queued handlers are to see as a map, each as
// one of its own.
type asMap struct{ payload any }

func unmap(event Event) Event {
	if mapped, ok := event.Data.(asMap); ok {
		event.Data = payload.Fields(mapped.payload)
	}
	return event
}

// unmapped returns handler, for events that a queue has kept as published.
func unmapped(handler Handler) Handler {
	return func(ctx context.Context, event Event) error { return handler(ctx, unmap(event)) }
}

// asMaps returns handler, with the payloads of a topic of type want as maps.
func asMaps(handler Handler, want reflect.Type) Handler {
	want = payload.StructOf(want)
	return func(ctx context.Context, event Event) error {
		if event.Data != nil && payload.StructOf(reflect.TypeOf(event.Data)) == want {
			event.Data = payload.Fields(event.Data)
		}
		return handler(ctx, event)
	}
}
