package durable

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/typedbus/events"
)

// errGoexit is the error of a handler that has ended its goroutine.
var errGoexit = errors.New("handler called runtime.Goexit")

// work is a worker.
func (s *Subscription) work() {
	for one, ok := s.hand.next(); ok; one, ok = s.hand.next() {
		s.run(one)
	}
}

// run has the handler handle a delivery, and settles it.
func (s *Subscription) run(one *held) {
	o := s.options()
	if err := o.refusal(one.Delivery, time.Now()); err != nil {
		one.Attempt-- // this one is not begun
		s.settleWith(one, OutcomeDeadLetter, 0, err, 0)
		return
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(s.handling, runningKey{}, running{one.Delivery, s}))
	defer cancel(nil)
	s.hand.begin(one, cancel)
	if o.timeout > 0 {
		limited, end := context.WithTimeout(ctx, o.timeout)
		defer end()
		ctx = limited
	}
	err := errGoexit
	defer func() {
		if value := recover(); value != nil {
			err = panicError(value)
		}
		s.conclude(one, err)
	}()
	err = s.handle(ctx, one.Delivery)
}

// refusal says why a delivery is not to be run, but a dead letter. It is nil for one
// that is to be run.
func (o *subscribeOptions) refusal(d *Delivery, now time.Time) error {
	if d.Attempt > o.attempts {
		return fmt.Errorf("%d attempts are over, of %d allowed, and its process ended in the last one, or fewer are allowed than were", d.Attempt-1, o.attempts)
	}
	since := d.Time
	if d.NotBefore.After(since) {
		since = d.NotBefore
	}
	if o.maxAge == 0 || since.IsZero() || now.Sub(since) <= o.maxAge {
		return nil
	}
	return fmt.Errorf("%v old, of %v allowed", now.Sub(since).Round(time.Millisecond), o.maxAge)
}

// conclude settles a delivery whose handler has returned err. That has methods of the
// user's, which may panic, or end the goroutine, in turn.
func (s *Subscription) conclude(one *held, err error) {
	outcome, after := s.verdict(one, errUnspoken)
	reason := errUnspoken
	took := time.Since(one.began)
	defer func() { s.settleWith(one, outcome, after, reason, took) }()
	if err == nil {
		outcome, after, reason = OutcomeAck, 0, nil
		return
	}
	if panicked := guard(func() {
		outcome, after = s.verdict(one, err)
		reason = &handlerError{err, err.Error()}
	}); panicked != nil {
		reason = panicked
	}
}

// errUnspoken is in place of an error of a handler that cannot tell its text.
var errUnspoken = errors.New("the error of the handler cannot be told")

// handlerError is an error of a handler, whose text has been asked for.
type handlerError struct {
	error
	text string
}

func (e *handlerError) Error() string { return e.text }
func (e *handlerError) Unwrap() error { return e.error }

// longestReason is how many bytes of an error are kept with an event.
const longestReason = 4 << 10

func (s *Subscription) settleWith(one *held, outcome Outcome, after time.Duration, err error, took time.Duration) {
	settlement := Settlement{Delivery: one.Delivery, Outcome: outcome, After: after}
	if err != nil {
		text := err.Error()
		settlement.Reason = strings.ToValidUTF8(text[:min(len(text), longestReason)], "")
	}
	s.hand.finish(one, settlement, Observation{Delivery: one.Delivery, Err: err, Took: took})
}

// verdict says what becomes of a delivery whose handler has returned an error.
func (s *Subscription) verdict(one *held, err error) (outcome Outcome, after time.Duration) {
	o := s.options()
	wait, asked := errors.AsType[*retryAfterError](err)
	switch {
	case context.Cause(s.handling) != nil:
		return OutcomeRelease, 0 // it may have failed for no other reason
	case events.IsPermanent(err), one.Attempt >= o.attempts:
		return OutcomeDeadLetter, 0
	case asked:
		return OutcomeRetry, wait.after
	default:
		return OutcomeRetry, o.backoff(one.Attempt)
	}
}
