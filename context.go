package events

import "context"

// handlerContext is the context of a queued or asynchronous handler: the
// publisher's values, the bus's cancellation.
type handlerContext struct {
	context.Context // of the bus; cancelled when Close runs out of time
	publisher       context.Context
	bus             *Bus
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

// detach returns the context for a handler that nobody waits for.
func (b *Bus) detach(publisher context.Context) context.Context {
	if publisher == nil {
		publisher = context.Background()
	}
	return &handlerContext{Context: b.lifetime().Context, publisher: publisher, bus: b}
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
