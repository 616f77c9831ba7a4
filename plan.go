package events

import (
	"context"
	"errors"
	"runtime"
)

// plan is the immutable list of handlers that a publish of one name runs.
// It is compiled by the first publish after a change of the subscriptions.
type plan struct {
	event         string
	declared      delivery        // what the topics ask for
	delivery      delivery        // what that and the bus come to
	subscriptions []*Subscription // of the inline handlers, in their order

	outbox *outbox // for queued subscriptions, or nil

	untyped handlers[Event] // the handlers, for payloads in an Event
	typed   any             // of the topic bound to the name, if any: *handlers[T], *posting[T] or boxed[T]
}

// handlers are those of a plan's subscriptions. They are run by the one loop
// of the bus: with an Event for untyped work, with a T for that of a topic.
type handlers[E any] []func(context.Context, E) error

// run runs the handlers until one fails, and says which and why: one loop and
// one deferred call, in a frame without the payload. The caller goes on with
// resume.
func (h *handlers[E]) run(ctx context.Context, payload E) (failed int, err error) {
	current := 0 // the handler at work
	defer func() {
		if current < 0 {
			return
		}
		// Goexit comes here too, with nothing to recover, and goes on.
		if value := recover(); value != nil {
			failed, err = current, newPanicError(value)
		}
	}()
	for i, handler := range *h {
		current = i
		if err := handler(ctx, payload); err != nil {
			current = -1
			return i, err
		}
	}
	current = -1
	return 0, nil
}

// dispatch runs the handlers with an event.
func (p *plan) dispatch(ctx context.Context, event Event) error {
	if p.delivery.concurrency > 1 {
		exited, err := p.untyped.fanOut(ctx, p, event)
		if exited {
			// The handler meant the goroutine that it ran for, which is this one.
			runtime.Goexit()
		}
		return err
	}
	failed, err := p.untyped.run(ctx, event)
	if err != nil {
		return p.untyped.resume(ctx, p, event, failed, err)
	}
	return nil
}

// resume goes on after the failure of a handler of p.
func (h *handlers[E]) resume(ctx context.Context, p *plan, payload E, failed int, err error) error {
	errs := []error{p.failure(failed, err)}
	if p.delivery.failFast {
		return errs[0]
	}
	for next := failed + 1; next < len(*h); next++ {
		if err := h.runOne(ctx, p, payload, next); err != nil {
			errs = append(errs, err)
		}
	}
	return join(errs)
}

// runOne runs one handler of p and returns its failure.
func (h *handlers[E]) runOne(ctx context.Context, p *plan, payload E, i int) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			err = p.failure(i, newPanicError(value))
		}
	}()
	err = (*h)[i](ctx, payload)
	returned = true
	if err != nil {
		err = p.failure(i, err)
	}
	return err
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
