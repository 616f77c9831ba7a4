package durable

import (
	"context"
	"errors"
	"fmt"

	"github.com/typedbus/events"
)

// Subscribe runs handler for the events of the topic, as one process's share of
// a group: each group gets every event that is stored after it was made, and the
// processes that subscribe with the same group share them.
//
// The handler runs in a goroutine of the subscription, with the values of ctx
// and of the message ([FromContext]); the end of ctx does not end it. Returning nil
// settles the event; an error has it tried again later, [RetryAfter] when that
// says, and [events.Permanent] never. A panic is an error. When nothing is left
// to try the event is a dead letter, as is one whose payload is no T.
//
// ctx bounds the call. Subscribe returns an [*Error] that names topic and group:
// with [ErrUnsupported] and the option that the engine does not know, with
// [ErrGroupConflict], or with what the engine failed with. It panics if handler is
// nil.
func Subscribe[T any](ctx context.Context, engine Engine, topic *events.Topic[T], group string, handler func(ctx context.Context, payload T) error, options ...SubscribeOption) (*Subscription, error) {
	if handler == nil {
		panic(fmt.Sprintf("durable: Subscribe(%q, %q): handler is nil", topic.Name(), group))
	}
	s, err := open(ctx, engine, topic.Name(), group, options)
	if err != nil {
		return nil, &Error{"subscribe to", topic.Name(), group, err}
	}
	wrapped := topic.Wrap(handler, s.options().middleware...)
	codec := s.options().codec
	s.start(func(ctx context.Context, d *Delivery) error {
		payload, err := read[T](codec, &d.Message)
		if err != nil {
			return events.Permanent(err)
		}
		return wrapped(ctx, payload)
	})
	return s, nil
}

// open checks what is asked for and opens the group.
func open(ctx context.Context, engine Engine, topic, group string, options []SubscribeOption) (*Subscription, error) {
	chosen, err := readOptions(options)
	if err != nil {
		return nil, err
	}
	chosen.consumer.Topic, chosen.consumer.Group = topic, group
	if err := checkGroup(engine, &chosen.consumer); err != nil {
		return nil, err
	}
	if err := chosen.fill(engine); err != nil {
		return nil, err
	}
	receiver, err := engine.Open(ctx, chosen.consumer)
	if err != nil {
		return nil, err
	}
	return newSubscription(ctx, chosen, engine.Features(), receiver), nil
}

func checkGroup(engine Engine, c *Consumer) error {
	switch {
	case engine == nil:
		return errors.New("engine is nil")
	case c.Topic == "":
		return errors.New("topic is nil, or has no name")
	case c.Group == "":
		return errors.New("group has no name")
	}
	if err := checkText(c.Group); err != nil {
		return fmt.Errorf("name of the group: %w", err)
	}
	return nil
}

// Declare makes a group, if there is none, without handling its events: it gets
// what is stored from then on. It belongs into the step of a deployment that
// prepares the database, before publishers start.
//
// It returns an [*Error] as [Subscribe] does.
func Declare(ctx context.Context, engine Engine, topic, group string, options ...GroupOption) error {
	err := declare(ctx, engine, Consumer{Topic: topic, Group: group}, options)
	if err != nil {
		return &Error{"declare", topic, group, err}
	}
	return nil
}

func declare(ctx context.Context, engine Engine, c Consumer, options []GroupOption) error {
	for _, option := range options {
		if option == nil {
			return errors.New("option is nil")
		}
		option.applyToGroup(&c)
	}
	if err := checkGroup(engine, &c); err != nil {
		return err
	}
	if err := c.check(engine); err != nil {
		return err
	}
	receiver, err := engine.Open(ctx, c)
	if err != nil {
		return err
	}
	return receiver.Close()
}

// running is what the context of a handler says about its event.
type running struct {
	*Delivery
	by any // the Subscription
}

type runningKey struct{}

// FromContext returns the delivery that is being handled with ctx, or nil: its id,
// headers and key, the attempt and the group. It is not to be changed.
func FromContext(ctx context.Context) *Delivery {
	if r, ok := ctx.Value(runningKey{}).(running); ok {
		return r.Delivery
	}
	return nil
}
