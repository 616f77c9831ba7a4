package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events"
)

// errGoexit is the error of a handler that has ended its goroutine.
var errGoexit = errors.New("handler called runtime.Goexit")

// work is a worker. If a handler ends its goroutine, another takes its place.
func (s *Subscription) work() {
	again := true
	defer func() {
		if again {
			go s.work()
		} else {
			s.workers.Done()
		}
	}()
	for {
		one, ok := s.hand.next()
		if !ok {
			again = false
			return
		}
		s.run(one)
	}
}

// run has the handler handle a delivery, and settles it.
func (s *Subscription) run(one *held) {
	o := s.options()
	if one.Attempt > o.attempts {
		reason := fmt.Errorf("its process ended in attempt %d, of %d allowed", one.Attempt-1, o.attempts)
		s.hand.finish(one, Settlement{Delivery: one.Delivery, Outcome: OutcomeDeadLetter, Reason: reason.Error()}, s.observed(one, OutcomeDeadLetter, reason))
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
		settlement := s.verdict(one, err)
		s.hand.finish(one, settlement, s.observed(one, settlement.Outcome, err))
	}()
	err = s.handle(ctx, one.Delivery)
}

func (s *Subscription) observed(one *held, outcome Outcome, err error) Observation {
	return Observation{Delivery: one.Delivery, Outcome: outcome, Err: err, Took: time.Since(one.began)}
}

// verdict says what becomes of a delivery whose handler has returned err.
func (s *Subscription) verdict(one *held, err error) Settlement {
	settlement := Settlement{Delivery: one.Delivery}
	if err == nil {
		return settlement
	}
	o := s.options()
	settlement.Reason = err.Error()
	after, asked := errors.AsType[*retryAfterError](err)
	switch {
	case context.Cause(s.handling) != nil:
		settlement.Outcome = OutcomeRelease // it may have failed for no other reason
	case events.IsPermanent(err), one.Attempt >= o.attempts:
		settlement.Outcome = OutcomeDeadLetter
	case asked:
		settlement.Outcome, settlement.After = OutcomeRetry, after.after
	default:
		settlement.Outcome, settlement.After = OutcomeRetry, o.backoff(one.Attempt)
	}
	return settlement
}
