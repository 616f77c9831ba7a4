package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/typedbus/events/internal/origin"
)

// Middleware wraps a handler in another. It may look at the event or hand on a
// changed one, call next once, several times or not at all, and change what
// the handler returns. It is called when the subscription is made, the handler
// that it returns for every event; subscribing panics if that is nil.
type Middleware func(next Handler) Handler

// wrap returns handler within middleware, the first one outermost. A panic of
// the handler reaches the middleware as an error.
func wrap(handler Handler, middleware []Middleware) Handler {
	if len(middleware) == 0 {
		return handler
	}
	handler = recovering(handler)
	for _, around := range slices.Backward(middleware) {
		handler = around(handler)
		if handler == nil {
			panic("events: middleware returned a nil handler")
		}
	}
	return handler
}

// Timeout returns a middleware that gives the handler a context which is done
// after d. It cannot end a handler that does not look at its context. Inside
// [Retry] each try has the whole of d.
//
// It panics if d is not positive.
func Timeout(d time.Duration) Middleware {
	if d <= 0 {
		panic(fmt.Sprintf("events: Timeout(%v): want more than 0", d))
	}
	return func(next Handler) Handler {
		return func(ctx context.Context, event Event) error {
			limited, cancel := context.WithTimeout(ctx, d)
			defer cancel()
			return next(&origin.Layer{Context: limited, Beneath: ctx}, event)
		}
	}
}

// Logging returns a middleware that logs every event after it was handled,
// with its name, the handler's and the time that took: at level Info, or at
// level Error with the error and the stack of a panic.
//
// It panics if logger is nil.
func Logging(logger *slog.Logger) Middleware {
	if logger == nil {
		panic("events: Logging: logger is nil")
	}
	return func(next Handler) Handler {
		return func(ctx context.Context, event Event) error {
			start := time.Now()
			err := next(ctx, event)
			attributes := []slog.Attr{slog.String("event", event.Name), slog.Duration("took", time.Since(start))}
			if s := SubscriptionFrom(ctx); s != nil {
				attributes = append(attributes, slog.String("handler", s.Name()))
			}
			if err != nil {
				attributes = append(append(attributes, slog.Any("error", err)), stackOf(err)...)
				logger.LogAttrs(ctx, slog.LevelError, "event failed", attributes...)
			} else {
				logger.LogAttrs(ctx, slog.LevelInfo, "event handled", attributes...)
			}
			return err
		}
	}
}

// DeadLetter returns a middleware that hands an event whose handler failed to
// take, with the error. When take returns nil the event counts as handled;
// when it fails too, both errors come back joined. It runs in the handler's
// goroutine, with the handler's context, which may be done, and which tells by
// [SubscriptionFrom] whose handler has failed. Around [Retry] it gets what the
// last try left.
//
// It panics if take is nil.
func DeadLetter(take func(ctx context.Context, event Event, err error) error) Middleware {
	if take == nil {
		panic("events: DeadLetter: function is nil")
	}
	return func(next Handler) Handler {
		return func(ctx context.Context, event Event) error {
			err := next(ctx, event)
			if err == nil {
				return nil
			}
			if failed := take(ctx, event, err); failed != nil {
				return errors.Join(err, fmt.Errorf("dead letter%s: %w", ofHandler(ctx), failed))
			}
			return nil
		}
	}
}

// ofHandler says whose handler ctx is that of, if it tells.
func ofHandler(ctx context.Context) string {
	if s := SubscriptionFrom(ctx); s != nil {
		return " of " + s.Name()
	}
	return ""
}
