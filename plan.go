package events

import (
	"context"
	"runtime"
)

// plan is the immutable list of what a publish of one name runs. It is compiled
// by the first publish after a change of the subscriptions, and holds no bus.
type plan struct {
	route      *route // nil for a name that only patterns hear
	event      string
	generation uint64
	named      bool            // failures name the handler in their text
	plain      bool            // the inline handlers run one after the other, and that is all
	declared   delivery        // what the topics ask for
	delivery   delivery        // what that and the bus come to
	inline     []*Subscription // whose handlers run in the publish, in their order
	places     []placed        // where the event is left for queued handlers, in the order of locking

	untyped handlers[Event] // the inline handlers, for payloads in an Event
	typed   any             // what a typed publish does: *handlers[T], *posting[T] or boxed[T]; nil without a topic
}

// handlers are those of a plan. They are run by the one loop of the bus: with an
// Event for untyped work, with a T for that of a topic.
type handlers[E any] []func(context.Context, E) error

// outcome is how the handlers of a plan have failed.
type outcome struct {
	handler int // which one
	err     error
}

// run runs the handlers and reports true, or until one fails, and says which and
// why: one loop and one deferred call, in a frame without the payload. The
// caller goes on with resume.
func (h *handlers[E]) run(ctx context.Context, payload E, o *outcome) bool {
	current := 0 // the handler at work
	defer func() {
		if current < 0 {
			return
		}
		// Goexit comes here too, with nothing to recover, and goes on.
		if value := recover(); value != nil {
			*o = outcome{current, newPanicError(value)}
		}
	}()
	for i, handler := range *h {
		current = i
		if err := handler(ctx, payload); err != nil {
			current = -1
			*o = outcome{i, err}
			return false
		}
	}
	current = -1
	return true
}

// dispatch runs the inline handlers with an event.
func (p *plan) dispatch(ctx context.Context, event Event) error {
	if p.delivery.concurrency > 1 {
		exited, err := p.fanOut(ctx, event)
		if exited {
			// The handler meant the goroutine that it ran for, which is this one.
			runtime.Goexit()
		}
		return err
	}
	var o outcome
	if p.untyped.run(ctx, event, &o) {
		return nil
	}
	return p.resume(ctx, event, &o)
}

// resume goes on after the failure of a handler.
func (p *plan) resume(ctx context.Context, event Event, o *outcome) error {
	errs := []error{p.failure(o.handler, o.err)}
	if p.delivery.failFast {
		return errs[0]
	}
	for next := o.handler + 1; next < len(p.untyped); next++ {
		if err := p.runOne(ctx, event, next); err != nil {
			errs = append(errs, err)
		}
	}
	return join(errs)
}

// runOne runs one handler and returns its failure.
func (p *plan) runOne(ctx context.Context, event Event, i int) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			err = p.failure(i, newPanicError(value))
		}
	}()
	err = p.untyped[i](ctx, event)
	returned = true
	if err != nil {
		err = p.failure(i, err)
	}
	return err
}

func (p *plan) failure(i int, err error) error {
	return &HandlerError{Event: p.event, Handler: p.inline[i].Name(), Err: err, named: p.named}
}
