package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events"
)

// PublishOption configures [Publish] and [PublishBatch].
type PublishOption interface{ applyToPublish(*publishOptions) }

// CodecOption configures both publishing and [Subscribe].
type CodecOption interface {
	PublishOption
	SubscribeOption
}

type publishOptions struct {
	id      string
	key     string
	delay   time.Duration
	headers map[string]string
	codec   Codec
}

type publishOption func(*publishOptions)

func (f publishOption) applyToPublish(o *publishOptions) { f(o) }

// WithID gives the event an id of your own, by which [FromContext] and other
// systems know it. By default it is random. It does not keep a second event of
// the same id from being stored, unless the engine says that it does.
//
// It panics if id is empty.
func WithID(id string) PublishOption {
	if id == "" {
		panic("durable: WithID: id is empty")
	}
	return publishOption(func(o *publishOptions) { o.id = id })
}

// WithKey says what the event is about, for groups with [WithOrderByKey]: they
// handle events of one key one at a time, in the order in which they were stored.
// By default an event has no key, and no order.
//
// It panics if key is empty.
func WithKey(key string) PublishOption {
	if key == "" {
		panic("durable: WithKey: key is empty")
	}
	return publishOption(func(o *publishOptions) { o.key = key })
}

// WithDelay has the event handled after a while, and not before. By default it is
// due at once.
//
// It panics if delay is negative.
func WithDelay(delay time.Duration) PublishOption {
	if delay < 0 {
		panic(fmt.Sprintf("durable: WithDelay(%v): want 0 or more", delay))
	}
	return publishOption(func(o *publishOptions) { o.delay = min(delay, longest) })
}

// WithHeader adds a header to the event. Those of the trace of the event that is
// being handled (traceparent, tracestate and baggage) are added by themselves
// when it is published with the context of a durable handler.
//
// It panics if name is empty.
func WithHeader(name, value string) PublishOption {
	if name == "" {
		panic("durable: WithHeader: name is empty")
	}
	return publishOption(func(o *publishOptions) {
		if o.headers == nil {
			o.headers = make(map[string]string)
		}
		o.headers[name] = value
	})
}

type codecOption struct{ Codec }

func (c codecOption) applyToPublish(o *publishOptions)     { o.codec = c.Codec }
func (c codecOption) applyToSubscribe(o *subscribeOptions) { o.codec = c.Codec }

// WithCodec writes or reads payloads with a codec of your own. By default they
// are JSON. An event whose content type is another one is dead-lettered.
//
// It panics if codec is nil.
func WithCodec(codec Codec) CodecOption {
	if codec == nil {
		panic("durable: WithCodec: codec is nil")
	}
	return codecOption{codec}
}

// traceHeaders are those that go from an event to the ones that its handler
// publishes: of W3C Trace Context and Baggage.
var traceHeaders = []string{"traceparent", "tracestate", "baggage"}

// Publish stores an event of the topic, and returns nil when it is safe: with
// an engine when that has it, with a transaction of the caller's (the Tx of an
// engine on SQL) when that commits, and not at all when it does not.
//
// It returns an [*Error] that names the topic: when the payload cannot be written,
// when the engine refuses it ([ErrTooLarge], [ErrClosed], and [ErrUnsupported] for a
// delay that it does not know), and when it could not be stored. After an error of a
// connection, or the end of ctx, it may have been stored all the same.
func Publish[T any](ctx context.Context, to Publisher, topic *events.Topic[T], payload T, options ...PublishOption) error {
	return publish(ctx, to, topic.Name(), []any{payload}, options)
}

// PublishBatch is Publish for several events at once, in their order. All of
// them have the key and the headers of the options; with [WithID] it returns an
// error. Engines store all or none, unless their Features say otherwise: then
// it returns a [*BatchError].
func PublishBatch[T any](ctx context.Context, to Publisher, topic *events.Topic[T], payloads []T, options ...PublishOption) error {
	boxed := make([]any, len(payloads))
	for i, payload := range payloads {
		boxed[i] = payload
	}
	return publish(ctx, to, topic.Name(), boxed, options)
}

func publish(ctx context.Context, to Publisher, topic string, payloads []any, options []PublishOption) error {
	messages, err := messagesOf(ctx, to, topic, payloads, options)
	if err == nil && len(messages) > 0 {
		err = to.Publish(ctx, messages...)
	}
	if err != nil {
		return &Error{Operation: "publish", Topic: topic, Err: err}
	}
	return nil
}

func messagesOf(ctx context.Context, to Publisher, topic string, payloads []any, options []PublishOption) ([]Message, error) {
	chosen := publishOptions{codec: jsonCodec{}}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("option is nil")
		}
		option.applyToPublish(&chosen)
	}
	switch {
	case to == nil:
		return nil, errors.New("publisher is nil")
	case chosen.id != "" && len(payloads) != 1:
		return nil, fmt.Errorf("WithID: %d events, want one", len(payloads))
	}
	if featured, ok := to.(interface{ Features() Features }); ok && chosen.delay > 0 && !featured.Features().DelayedPublish {
		return nil, fmt.Errorf("%w: WithDelay on %T", ErrUnsupported, to)
	}
	now := time.Now()
	envelope := Message{
		Topic:       topic,
		Key:         chosen.key,
		Source:      program(),
		ContentType: chosen.codec.ContentType(),
		Time:        now,
		Headers:     chosen.tracing(ctx),
	}
	if chosen.delay > 0 {
		envelope.NotBefore = now.Add(chosen.delay)
	}
	messages := make([]Message, len(payloads))
	for i, payload := range payloads {
		m := envelope
		if m.ID = chosen.id; m.ID == "" {
			m.ID = newID()
		}
		var err error
		if m.Data, err = chosen.codec.Marshal(payload); err != nil {
			return nil, fmt.Errorf("write %T as %s: %w", payload, m.ContentType, err)
		}
		if err := m.Check(); err != nil {
			return nil, err
		}
		messages[i] = m
	}
	return messages, nil
}

// tracing returns the headers with those of the trace of the event that is being
// handled with ctx.
func (o *publishOptions) tracing(ctx context.Context) map[string]string {
	d := FromContext(ctx)
	if d == nil {
		return o.headers
	}
	headers := o.headers
	for _, name := range traceHeaders {
		value, ok := d.Headers[name]
		if _, given := headers[name]; !ok || given {
			continue
		}
		if headers == nil {
			headers = make(map[string]string)
		}
		headers[name] = value
	}
	return headers
}
