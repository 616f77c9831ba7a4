package events

import (
	"context"
	"reflect"
	"sync/atomic"
)

// handlerContext is the context of a queued or asynchronous handler: the
// publisher's values, the bus's cancellation.
type handlerContext struct {
	context.Context // of the bus; cancelled when Close runs out of time
	publisher       context.Context
	comparable      bool // publisher may be compared
	bus             *Bus
	worker          *worker      // of a queued handler
	inClose         atomic.Int64 // handlers with this context that are in Close
}

type handlerKey struct{}

// Value asks the bus's context first, whose only values are those by which
// the context package finds the cancellation to follow.
func (c *handlerContext) Value(key any) any {
	if key == (handlerKey{}) {
		return c
	}
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.publisher.Value(key)
}

// detach returns the context for a handler that nobody waits for, which is
// last if that was made for the same publisher's context.
func (b *Bus) detach(publisher context.Context, last *handlerContext, w *worker) *handlerContext {
	publisher = orBackground(publisher)
	if h, ok := publisher.(*handlerContext); ok {
		publisher = h.publisher // or a handler that publishes on and on would make a chain
	}
	if last != nil && last.comparable && last.publisher == publisher {
		return last
	}
	// Two contexts of such a type compare without a panic.
	t := reflect.TypeOf(publisher)
	comparable := t.Kind() == reflect.Pointer || t.Size() == 0
	return &handlerContext{Context: b.lifetime().Context, publisher: publisher, comparable: comparable, bus: b, worker: w}
}

// lifeContext is the context that all queued and asynchronous handlers of a
// bus share.
type lifeContext struct {
	context.Context
	end context.CancelCauseFunc
}

func (b *Bus) lifetime() *lifeContext {
	if life := b.life.Load(); life != nil {
		return life
	}
	ctx, end := context.WithCancelCause(context.Background())
	if !b.life.CompareAndSwap(nil, &lifeContext{Context: ctx, end: end}) {
		end(nil)
	}
	return b.life.Load()
}

// handling returns the queued or asynchronous handler that ctx comes from.
func handling(ctx context.Context) *handlerContext {
	if ctx == nil {
		return nil
	}
	h, _ := ctx.Value(handlerKey{}).(*handlerContext)
	return h
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
