package events

import (
	"context"
	"errors"
	"runtime/debug"
)

// errGoexit is reported for a handler that ended its goroutine where no
// publisher waits to end with it.
var errGoexit = errors.New("handler called runtime.Goexit")

func newPanicError(value any) *PanicError {
	return &PanicError{Value: value, Stack: debug.Stack()}
}

// Recover returns a middleware that turns a panic of what it wraps into a
// [*PanicError]. Handlers need none: the bus turns their panics into errors
// before any middleware sees them, and those of middleware after all of it.
// Use Recover where one middleware is to see another's panic as an error.
func Recover() Middleware {
	return recovering
}

func recovering(next Handler) Handler {
	return func(ctx context.Context, event Event) (err error) {
		defer func() {
			if value := recover(); value != nil {
				err = newPanicError(value)
			}
		}()
		return next(ctx, event)
	}
}

// guard runs f, which is a user's, and returns its panic as an error.
func guard(f func()) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = newPanicError(value)
		}
	}()
	f()
	return nil
}
