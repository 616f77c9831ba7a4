package events

import (
	"context"
	"errors"
	"reflect"
)

// plan is the immutable list of handlers that a publish of one name runs.
// It is compiled by the first publish after a change of the subscriptions.
type plan struct {
	bus           *Bus
	event         string
	payload       reflect.Type    // nil until a topic is bound to the name
	options       topicOptions    // of that topic
	subscriptions []*Subscription // of the inline handlers, in their order
	delivery      delivery

	untyped sequence[Event] // the same handlers, for payloads in an Event
	typed   any             // *sequence[T] when every handler takes T as it is
}

// delivery is how the inline handlers of a publish are run.
type delivery struct {
	failFast    bool
	concurrency int
}

// sequence runs handlers in order. It is the one loop of the bus: with an
// Event for untyped work, with T for that of a topic.
type sequence[E any] struct {
	plan     *plan
	handlers []func(context.Context, E) error // handlers[i] is of subscriptions[i]
}

func (s *sequence[E]) run(ctx context.Context, payload E) error {
	if s.plan.delivery.concurrency > 1 && len(s.handlers) > 1 {
		return s.fanOut(ctx, payload)
	}
	next, errs := s.runFrom(ctx, payload, 0, nil)
	for next < len(s.handlers) {
		next, errs = s.runFrom(ctx, payload, next, errs)
	}
	if errs == nil {
		return nil
	}
	return join(errs)
}

// runFrom runs the handlers from the i-th on and returns behind the last one,
// or behind the first that panics: one deferred call then serves them all.
func (s *sequence[E]) runFrom(ctx context.Context, payload E, i int, failed []error) (next int, errs []error) {
	errs = failed
	defer func() {
		if i >= len(s.handlers) {
			return
		}
		// Goexit comes here too, with nothing to recover, and goes on.
		if value := recover(); value != nil {
			next, errs = s.plan.after(i, newPanicError(value), errs)
		}
	}()
	for i < len(s.handlers) {
		if err := s.handlers[i](ctx, payload); err != nil {
			next, errs = s.plan.after(i, err, errs)
			if next != i+1 {
				i = next
				return next, errs
			}
		}
		i++
	}
	return i, errs
}

// after notes the failure of the i-th handler and says which one is next.
func (p *plan) after(i int, err error, errs []error) (next int, _ []error) {
	errs = append(errs, p.failure(i, err))
	if p.delivery.failFast {
		return len(p.subscriptions), errs
	}
	return i + 1, errs
}

func (p *plan) failure(i int, err error) error {
	return &HandlerError{Event: p.event, Handler: p.subscriptions[i].Name(), Err: err}
}

// join is errors.Join without the wrapper around a single error.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
