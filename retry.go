package events

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The waits of Retry unless WithBackoff says otherwise.
const (
	defaultBackoff    = 100 * time.Millisecond
	defaultMaxBackoff = 10 * time.Second
)

// RetryOption configures [Retry].
type RetryOption interface{ applyToRetry(*retryPolicy) }

type retryPolicy struct {
	attempts   int
	first, max time.Duration
}

type retryOption func(*retryPolicy)

func (f retryOption) applyToRetry(p *retryPolicy) { f(p) }

// WithBackoff sets the wait before the second try and the longest wait. Waits
// double from one to the other; half of each is random. The default is 100
// milliseconds and 10 seconds.
//
// It panics if first is not positive or max is below it.
func WithBackoff(first, max time.Duration) RetryOption {
	if first <= 0 || max < first {
		panic(fmt.Sprintf("events: WithBackoff(%v, %v): want 0 < first <= max", first, max))
	}
	return retryOption(func(p *retryPolicy) { p.first, p.max = first, max })
}

// permanentError ends a Retry.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error that another try would not mend, which ends a
// [Retry] at once. It returns nil if err is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err: err}
}

// IsPermanent reports whether another try would not mend err: [Permanent] has
// marked it, or what it wraps, or it says that the handler could not take the
// payload.
func IsPermanent(err error) bool {
	_, marked := errors.AsType[*permanentError](err)
	return marked || isUnread(err)
}

// Retry returns a middleware that runs the handler until it succeeds, up to
// attempts times in all, with growing waits between. It gives up sooner on an
// error marked by [Permanent], on a payload that the handler cannot take, and when the context is
// done or would be before the next try; then the error has both the last
// failure and the context's. Put [Timeout] inside Retry for a limit on each
// try, outside for a limit on all.
//
// It panics if attempts is below 1.
func Retry(attempts int, options ...RetryOption) Middleware {
	if attempts < 1 {
		panic(fmt.Sprintf("events: Retry(%d): want 1 attempt or more", attempts))
	}
	policy := retryPolicy{attempts: attempts, first: defaultBackoff, max: defaultMaxBackoff}
	for _, option := range options {
		if option == nil {
			panic("events: Retry: option is nil")
		}
		option.applyToRetry(&policy)
	}
	return func(next Handler) Handler {
		return func(ctx context.Context, event Event) error {
			return policy.run(ctx, func() error { return next(ctx, event) })
		}
	}
}

func (p *retryPolicy) run(ctx context.Context, try func() error) error {
	wait := p.first
	var last error
	for attempt := 1; ; attempt++ {
		err := try()
		if errors.Is(err, errOver) && last != nil {
			return gaveUp(attempt-1, p.attempts, last, err)
		}
		last = err
		if err == nil || attempt == p.attempts || IsPermanent(err) {
			return err
		}
		if gone := pause(ctx, wait/2+rand.N(wait/2+1)); gone != nil {
			if errors.Is(err, gone) {
				gone = nil
			}
			return gaveUp(attempt, p.attempts, err, gone)
		}
		wait = min(2*wait, p.max)
	}
}

func gaveUp(attempt, attempts int, err, reason error) error {
	if reason == nil {
		return fmt.Errorf("gave up after %d of %d tries: %w", attempt, attempts, err)
	}
	return fmt.Errorf("gave up after %d of %d tries: %w (%w)", attempt, attempts, err, reason)
}

// pause waits for d, or says at once why that is no use.
func pause(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
