package events

import (
	"context"
	"reflect"
)

// contract is what a route knows of the topic bound to it.
type contract interface {
	payloadType() reflect.Type
	compile(p *plan)
}

// contractOf is the contract of all topics whose payload is T.
type contractOf[T any] struct{}

func (contractOf[T]) payloadType() reflect.Type { return reflect.TypeFor[T]() }

// compile adds to p the handlers that a publish of a T runs without boxing it,
// if all of them take a T as it is.
func (contractOf[T]) compile(p *plan) {
	typed := make(handlers[T], len(p.subscriptions))
	for i, s := range p.subscriptions {
		direct, ok := s.direct.(func(context.Context, T) error)
		if !ok {
			return
		}
		typed[i] = direct
	}
	p.typed = &typed
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
