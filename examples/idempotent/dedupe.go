package main

import (
	"context"
	"errors"
	"time"

	"github.com/typedbus/events"
)

// once returns handler, for the first event of each key within the window.
func once[T any](window time.Duration, key func(T) string, handler func(context.Context, T) error) func(context.Context, T) error {
	done := newMemory(window)
	return func(ctx context.Context, payload T) error {
		return done.once(key(payload), func() error { return handler(ctx, payload) })
	}
}

// Deduplicate returns a middleware that runs a handler for the first delivery
// of each message. An event that came in no message runs always.
func Deduplicate(window time.Duration) events.Middleware {
	return func(next events.Handler) events.Handler {
		// A bus calls the middleware for each subscription, and so this memory
		// is that of one handler. A shared one would have the second handler
		// of an event take it for a repetition.
		done := newMemory(window)
		return func(ctx context.Context, event events.Event) error {
			message, ok := ctx.Value(messageKey{}).(string)
			if !ok {
				return next(ctx, event)
			}
			return done.once(message, func() error { return next(ctx, event) })
		}
	}
}

type messageKey struct{}

func withMessage(ctx context.Context, message string) context.Context {
	return context.WithValue(ctx, messageKey{}, message)
}

// errBusy asks for the event again, because the handling of its twin may fail.
var errBusy = errors.New("the same is being handled right now")
