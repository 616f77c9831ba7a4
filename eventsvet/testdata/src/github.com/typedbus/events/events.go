// Package events stands in for the real one: the names, and nothing behind them.
package events

import (
	"context"
	"iter"
)

type Event struct {
	Name string
	Data any
}

type (
	Handler         func(ctx context.Context, event Event) error
	Middleware      func(next Handler) Handler
	Bus             struct{ _ int }
	EventDispatcher = Bus
	Subscription    struct{}
	TopicOption     interface{ applyToTopic() }
	SubscribeOption interface{ applyToSubscription() }
	Topic[T any]    struct{ payload T }
)

const (
	EventUserCreated = "user.created"
	EventUserDeleted = "user.deleted"
)

func New() *Bus                            { return nil }
func NewEventDispatcher() *EventDispatcher { return nil }
func Default() *Bus                        { return nil }

func (*Bus) Register(eventName string, handler Handler)      {}
func (*Bus) Dispatch(ctx context.Context, event Event) error { return nil }
func (*Bus) DispatchAsync(ctx context.Context, event Event)  {}
func (*Bus) HasHandlers(eventName string) bool               { return false }
func (*Bus) Subscribe(pattern string, handler Handler, options ...SubscribeOption) (*Subscription, error) {
	return nil, nil
}

func Register(eventName string, handler Handler)      {}
func Dispatch(ctx context.Context, event Event) error { return nil }
func DispatchAsync(ctx context.Context, event Event)  {}

func WithMapPayload() TopicOption                             { return nil }
func WithReplay(n int) TopicOption                            { return nil }
func WithPriority(n int) SubscribeOption                      { return nil }
func WithMiddleware(middleware ...Middleware) SubscribeOption { return nil }

func NewTopic[T any](name string, options ...TopicOption) *Topic[T] { return nil }

func (*Topic[T]) Publish(ctx context.Context, bus *Bus, payload T) error      { return nil }
func (*Topic[T]) PublishAsync(ctx context.Context, bus *Bus, payload T) error { return nil }
func (*Topic[T]) Subscribe(bus *Bus, handler func(context.Context, T) error, options ...SubscribeOption) (*Subscription, error) {
	return nil, nil
}
func (*Topic[T]) SubscribeBatch(bus *Bus, handler func(context.Context, []T) error, options ...SubscribeOption) (*Subscription, error) {
	return nil, nil
}
func (*Topic[T]) All(ctx context.Context, bus *Bus) iter.Seq2[context.Context, T] { return nil }
