package events

import (
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// fanOut runs the handlers on as many goroutines as the delivery allows and
// waits for all of them. The limit is of this publish alone: handlers may
// publish in turn. Errors come back in the order of the handlers, with fail-fast
// the first one in time, and whether one of them ended its goroutine.
func (h *handlers[E]) fanOut(ctx context.Context, p *plan, payload E) (exited bool, err error) {
	run := h.runOne
	if handling(ctx) != nil {
		run = h.runOneOfTask
	}
	group := new(errgroup.Group)
	if p.delivery.failFast {
		group, ctx = errgroup.WithContext(orBackground(ctx))
	}
	group.SetLimit(int(p.delivery.concurrency))

	var failed, exits atomic.Bool
	errs := make([]error, len(*h))
	for i := range *h {
		group.Go(func() error {
			// Asking ctx here would let the publisher's cancellation in.
			if p.delivery.failFast && failed.Load() {
				return nil
			}
			// Stands for the result of a handler that ends the goroutine.
			errs[i] = p.failure(i, errGoexit)
			exit := true
			defer func() {
				if exit {
					exits.Store(true)
					failed.Store(true)
				}
			}()
			errs[i] = run(ctx, p, payload, i)
			exit = false
			if errs[i] != nil {
				failed.Store(true)
			}
			return errs[i]
		})
	}
	first := group.Wait()
	if p.delivery.failFast && first != nil {
		return exits.Load(), first
	}
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return false, nil
	}
	return exits.Load(), join(errs)
}

// runOneOfTask is runOne, under a name by which Close finds that it is called
// from an asynchronous handler.
//
//go:noinline
func (h *handlers[E]) runOneOfTask(ctx context.Context, p *plan, payload E, i int) error {
	return h.runOne(ctx, p, payload, i)
}
