package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
)

// Observation is what has become of a delivery.
type Observation struct {
	*Delivery
	Outcome Outcome
	Err     error         // of the handler
	Took    time.Duration // by the handler, 0 if it did not run
	Lost    bool          // the lease was over, and nothing was stored: it is handled again
	InDoubt bool          // the same, or it was stored by a call before, which has failed
}

// Stats are the counts of a subscription since it was made.
type Stats struct {
	Handled      uint64
	Retried      uint64 // failed, to be tried again
	DeadLettered uint64
	Released     uint64 // given back without an attempt
	Lost         uint64 // belonged to somebody else when they were to be settled
	InDoubt      uint64 // the same, when the settlement had to be repeated: it may have counted
	InHand       int    // fetched and not settled
	AtWork       int    // of these, with a handler running
}

type counts struct {
	outcomes      [OutcomeRenew]atomic.Uint64
	lost, inDoubt atomic.Uint64
}

// Stats returns the counts of the subscription.
func (s *Subscription) Stats() Stats {
	c := &s.counts
	return Stats{
		Handled:      c.outcomes[OutcomeAck].Load(),
		Retried:      c.outcomes[OutcomeRetry].Load(),
		DeadLettered: c.outcomes[OutcomeDeadLetter].Load(),
		Released:     c.outcomes[OutcomeRelease].Load(),
		Lost:         c.lost.Load(),
		InDoubt:      c.inDoubt.Load(),
		InHand:       s.hand.inHand(),
		AtWork:       s.hand.atWork(),
	}
}

// count counts what has become of deliveries.
func (s *Subscription) count(results []Observation) {
	for _, o := range results {
		switch {
		case o.InDoubt:
			s.counts.inDoubt.Add(1)
		case o.Lost:
			s.counts.lost.Add(1)
		default:
			s.counts.outcomes[o.Outcome].Add(1)
		}
	}
}

// tell logs and reports what has become of deliveries.
func (s *Subscription) tell() {
	for {
		o, ok := s.hand.nextUntold()
		if !ok {
			return
		}
		s.report(o)
	}
}

func (s *Subscription) report(o Observation) {
	if observe := s.options().observer; observe != nil {
		defer func() {
			if err := guard(func() { observe(o) }); err != nil {
				s.log(slog.LevelError, "durable: observer has failed", about(o.Delivery, "error", err)...)
			}
		}()
	}
	_ = guard(func() { s.logResult(&o) })
}

// guard runs code of the user's, and returns its panic as an error.
func guard(f func()) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = panicError(value)
		}
	}()
	f()
	return nil
}

func panicError(value any) error {
	return &events.PanicError{Value: value, Stack: debug.Stack()}
}

// log writes a line. What a logger panics with has nowhere to go.
func (s *Subscription) log(level slog.Level, text string, attributes ...any) {
	_ = guard(func() { s.options().logger.Log(context.Background(), level, text, attributes...) })
}

// about returns the attributes of a delivery for a line of the log.
func about(d *Delivery, more ...any) []any {
	return append([]any{"topic", d.Topic, "group", d.Group, "id", d.ID, "attempt", d.Attempt}, more...)
}

func (s *Subscription) logResult(o *Observation) {
	level, text := slog.LevelWarn, "durable: event failed and is tried again"
	switch {
	case o.InDoubt:
		text = "durable: it is not known whether the outcome of an event is stored"
	case o.Lost:
		text = "durable: event was handled while it belonged to another process"
	case o.Outcome == OutcomeDeadLetter:
		level, text = slog.LevelError, "durable: event is a dead letter"
	case o.Outcome != OutcomeRetry:
		return
	}
	attributes := about(o.Delivery, "error", o.Err)
	if panicked, ok := errors.AsType[*events.PanicError](o.Err); ok {
		attributes = append(attributes, "stack", string(panicked.Stack))
	}
	s.log(level, text, attributes...)
}

// warn logs that the engine fails, every ten seconds.
func (s *Subscription) warn(text string, err error, p *patience) {
	if s.settling.Err() != nil || !p.isToWarn() {
		return
	}
	s.log(slog.LevelWarn, text, "topic", s.Topic(), "group", s.Group(), "error", fmt.Sprint(err))
}
