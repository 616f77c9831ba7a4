package events

import (
	"context"
	"errors"
	"reflect"

	"github.com/typedbus/events/internal/payload"
	"github.com/typedbus/events/internal/topiclog"
)

// contractOf is the contract of all topics whose payload is T.
type contractOf[T any] struct{}

func (*contractOf[T]) payloadType() reflect.Type { return reflect.TypeFor[T]() }

func (*contractOf[T]) newLog() typedLog { return &topicLog[T]{topiclog.New[T]()} }

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
	switch at := p.places[0].place.(type) {
	case *topicLog[T]:
		p.typed = &posting[T]{inline: inline, log: at.log}
	case *keyedPlace[T]:
		p.typed = &posting[T]{inline: inline, keyed: at}
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
	log    *topiclog.Log[T] // or else
	keyed  *keyedPlace[T]
}

// offer leaves payload in the place if that has room.
func (x *posting[T]) offer(ctx context.Context, payload T) bool {
	if x.log != nil {
		return x.log.Offer(ctx, payload)
	}
	if !x.keyed.queue.Lines().HasRoom() {
		return false // before the key is asked for, which is done once
	}
	var key string
	if guard(func() { key = x.keyed.key(payload) }) != nil {
		return false // to be found again on the way that reports it
	}
	return x.keyed.queue.Offer(ctx, payload, key)
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

// typedLog is the log of a topic, as a place.
type typedLog interface {
	place
	core() *topiclog.Core
}

type topicLog[T any] struct{ log *topiclog.Log[T] }

func (l *topicLog[T]) core() *topiclog.Core { return l.log.Core() }
func (l *topicLog[T]) gate() *topiclog.Gate { return &l.log.Core().Gate }

func (*topicLog[T]) prepare(event, _ Event) (prepared, error) {
	if _, ok := event.Data.(T); ok {
		return prepared{payload: event.Data}, nil
	}
	value, err := payloadOf[T](event)
	return prepared{payload: value}, err
}

func (l *topicLog[T]) put(ctx context.Context, _ Event, p prepared) {
	value, _ := p.payload.(T) // a nil interface is a T that no assertion finds
	l.log.Append(ctx, value)
}

func (*topicLog[T]) entry(ctx context.Context, _ Event, p prepared) any {
	value, _ := p.payload.(T)
	return &topiclog.Entry[T]{Context: ctx, Payload: value}
}

// keyedPlace is the queue of one typed subscription, by keys.
type keyedPlace[T any] struct {
	queue *topiclog.Keyed[T]
	key   func(T) string
}

func (k *keyedPlace[T]) gate() *topiclog.Gate { return &k.queue.Lines().Gate }

func (k *keyedPlace[T]) prepare(event, _ Event) (prepared, error) {
	value, err := payloadOf[T](event)
	if err != nil {
		return prepared{}, err
	}
	return prepared{payload: value, key: k.key(value)}, nil
}

func (k *keyedPlace[T]) put(ctx context.Context, _ Event, p prepared) {
	value, _ := p.payload.(T)
	k.queue.Append(ctx, value, p.key)
}

func (*keyedPlace[T]) entry(ctx context.Context, _ Event, p prepared) any {
	value, _ := p.payload.(T)
	return &topiclog.KeyedEntry[T]{Entry: topiclog.Entry[T]{Context: ctx, Payload: value}, Key: p.key}
}

// eventLog is the log of untyped subscriptions, as a place.
type eventLog struct{ *topiclog.Log[Event] }

func (l eventLog) gate() *topiclog.Gate                             { return &l.Core().Gate }
func (eventLog) prepare(_, _ Event) (prepared, error)               { return prepared{}, nil }
func (l eventLog) put(ctx context.Context, event Event, _ prepared) { l.Append(ctx, event) }
func (eventLog) entry(ctx context.Context, event Event, _ prepared) any {
	return &topiclog.Entry[Event]{Context: ctx, Payload: event}
}

// keyedEvents is the queue of one untyped subscription, by keys.
type keyedEvents struct {
	*topiclog.Keyed[Event]
	key func(Event) string
}

func (k keyedEvents) gate() *topiclog.Gate { return &k.Lines().Gate }

func (k keyedEvents) prepare(_, mapped Event) (prepared, error) {
	return prepared{key: k.key(unmap(mapped))}, nil
}

func (k keyedEvents) put(ctx context.Context, event Event, p prepared) { k.Append(ctx, event, p.key) }

func (keyedEvents) entry(ctx context.Context, event Event, p prepared) any {
	return &topiclog.KeyedEntry[Event]{Entry: topiclog.Entry[Event]{Context: ctx, Payload: event}, Key: p.key}
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
