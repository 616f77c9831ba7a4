package eventsnats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

const (
	// mostUnderWay is how many messages of a Publish are sent before the first of them is
	// stored.
	mostUnderWay = 256

	// mostPending is that of all calls together.
	mostPending = 1 << 16

	// longestWait is how long to wait for a server that does not answer.
	longestWait = 5 * time.Second
)

// Publish stores messages, and returns when the stream has them. A message whose source,
// topic and id the stream has had within its window for duplicates, of two minutes if it
// says nothing else, is not stored again. If some of several messages are not stored, it
// returns a [*durable.BatchError]; then, or when ctx is done, those that are said to be missing
// may be stored all the same.
func (e *Engine) Publish(ctx context.Context, messages ...durable.Message) error {
	if e.isClosed() {
		return durable.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	encoded := make([]*nats.Msg, len(messages))
	for i := range messages {
		var err error
		if encoded[i], err = e.encode(&messages[i]); err != nil {
			return fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
	}
	if len(encoded) == 1 {
		ack, err := e.js.PublishMsg(ctx, encoded[0])
		return e.explain(ctx, e.stream, ack, err)
	}
	if errs := e.publishMany(ctx, e.stream, encoded); errs != nil {
		return &durable.BatchError{Errs: errs}
	}
	return nil
}

// publishMany sends messages to a stream without waiting for each, and returns what went
// wrong with which of them, or nil.
func (e *Engine) publishMany(ctx context.Context, stream string, messages []*nats.Msg) (errs []error) {
	futures := make([]jetstream.PubAckFuture, len(messages))
	fail := func(i int, err error) {
		if err == nil {
			return
		}
		if errs == nil {
			errs = make([]error, len(messages))
		}
		errs[i] = err
	}
	await := func(i int) {
		if futures[i] != nil {
			ack, err := settled(ctx, futures[i])
			fail(i, e.explain(ctx, stream, ack, err))
		}
	}
	for i, message := range messages {
		if i >= mostUnderWay {
			await(i - mostUnderWay)
		}
		var err error
		if err = ctx.Err(); err == nil {
			futures[i], err = e.js.PublishMsgAsync(message)
		}
		if err != nil {
			fail(i, e.explain(ctx, stream, nil, err))
		}
	}
	for i := max(0, len(messages)-mostUnderWay); i < len(messages); i++ {
		await(i)
	}
	return errs
}

// settled waits for what becomes of a message. The client gives it up after longestWait.
func settled(ctx context.Context, future jetstream.PubAckFuture) (*jetstream.PubAck, error) {
	select {
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// explain says what kept a message from being stored in a stream, or what else was asked of
// it from being done.
func (e *Engine) explain(ctx context.Context, stream string, ack *jetstream.PubAck, err error) error {
	switch {
	case err == nil && ack != nil && ack.Stream != stream:
		return fmt.Errorf("it was stored in stream %q, want %q", ack.Stream, stream)
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no server with the stream %q answers: %w", stream, err)
	}
	return fmt.Errorf("stream %q: %w (the connection is %v)", stream, err, e.nc.Status())
}
