package events

import (
	"context"

	"github.com/typedbus/events/internal/origin"
)

// SubscriptionFrom returns the subscription whose handler runs with ctx, and
// nil outside of handlers. Middleware gets it with the context that it is
// called with, and so do queued handlers. An inline handler without middleware
// has its publisher's context, which may be that of another handler.
func SubscriptionFrom(ctx context.Context) *Subscription {
	if ctx == nil {
		return nil
	}
	if layer := origin.LayerOf(ctx); layer != nil {
		s, _ := layer.Handler.(*Subscription)
		return s
	}
	if at := origin.Of(ctx); at != nil {
		s, _ := at.Handler().(*Subscription)
		return s
	}
	return nil
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}
