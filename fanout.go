package events

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// fanOut runs the handlers on as many goroutines as the delivery allows and
// waits for all of them. The limit is of this publish alone: handlers may
// publish in turn. Errors come back in the order of the handlers.
func (s *sequence[E]) fanOut(ctx context.Context, payload E) error {
	delivery := s.plan.delivery
	group := new(errgroup.Group)
	if delivery.failFast {
		group, ctx = errgroup.WithContext(ctx)
	}
	group.SetLimit(delivery.concurrency)

	var failed, exited atomic.Bool
	errs := make([]error, len(s.handlers))
	for i := range s.handlers {
		// Asking ctx here would let the publisher's cancellation in.
		if delivery.failFast && failed.Load() {
			break
		}
		group.Go(func() error {
			errs[i] = s.runOne(ctx, payload, i, &exited)
			if errs[i] != nil {
				failed.Store(true)
			}
			return errs[i]
		})
	}
	first := group.Wait()
	if exited.Load() {
		// The handler meant the goroutine that it ran for, which is this one.
		runtime.Goexit()
	}
	if delivery.failFast || first == nil {
		return first
	}
	return join(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
}

// runOne runs the i-th handler and tells of a Goexit, which ends only the
// goroutine that errgroup made.
func (s *sequence[E]) runOne(ctx context.Context, payload E, i int, exited *atomic.Bool) (err error) {
	returned := false
	defer func() {
		if value := recover(); value != nil {
			err = s.plan.failure(i, newPanicError(value))
		} else if !returned {
			exited.Store(true)
		}
	}()
	err = s.handlers[i](ctx, payload)
	returned = true
	if err != nil {
		err = s.plan.failure(i, err)
	}
	return err
}
