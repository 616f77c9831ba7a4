package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// failure is what a handler that nobody waits for has failed with.
func (b *Bus) failure(event string, s *Subscription, err error) *HandlerError {
	return &HandlerError{Event: event, Handler: s.Name(), Err: err, named: !b.options.unnamed}
}

// report hands an error that no publisher waits for to the error handler, and
// joined ones one by one.
func (b *Bus) report(ctx context.Context, err error) {
	ctx = orBackground(ctx)
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, each := range joined.Unwrap() {
			b.report(ctx, each)
		}
		return
	}
	if b == nil || b.options.errorHandler == nil {
		b.logError(ctx, err)
		return
	}
	if panicked := guard(func() { b.options.errorHandler(ctx, err) }); panicked != nil {
		b.logError(ctx, err)
		b.logError(ctx, fmt.Errorf("error handler: %w", panicked))
	}
}

func (b *Bus) logError(ctx context.Context, err error) {
	attributes := []slog.Attr{slog.Any("error", err)}
	if failure, ok := errors.AsType[*HandlerError](err); ok {
		attributes = []slog.Attr{
			slog.String("event", failure.Event),
			slog.String("handler", failure.Handler),
			slog.Any("error", failure.Err),
		}
	}
	attributes = append(attributes, stackOf(err)...)
	b.log(func() { b.logger().LogAttrs(ctx, slog.LevelError, "event not handled", attributes...) })
}

// stackOf returns the stack of a panic that err wraps, to be logged. One that is
// a panic itself, or the failure that a handler's is, logs its own.
func stackOf(err error) []slog.Attr {
	if failure, ok := err.(*HandlerError); ok { //nolint:errorlint // what logs itself
		err = failure.Err
	}
	if _, itself := err.(*PanicError); itself { //nolint:errorlint // likewise
		return nil
	}
	if panicked, ok := errors.AsType[*PanicError](err); ok {
		return []slog.Attr{slog.String("stack", string(panicked.Stack))}
	}
	return nil
}

// log runs f, which logs. The handler of a logger is the user's, and its panic
// is nobody's: there is nowhere left to report it.
func (*Bus) log(f func()) { _ = guard(f) }

func (b *Bus) logger() *slog.Logger {
	if b == nil || b.options.logger == nil {
		return slog.Default()
	}
	return b.options.logger
}

// join is errors.Join without the wrapper around a single error.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return errors.Join(errs...)
}
