package events

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/waitgraph"
	"golang.org/x/sync/errgroup"
)

// fanOut is one publish whose handlers run on several goroutines.
type fanOut struct {
	*plan
	event  Event
	caller uint64 // for whom the goroutines stand
	next   atomic.Int64
	failed atomic.Bool
	exited atomic.Bool
	errs   []error // of the handlers, each in its place
}

// fanOut runs the handlers on as many goroutines as the delivery allows and
// waits for all of them. The limit is of this publish alone: handlers may
// publish in turn. Errors come back in the order of the handlers, with
// fail-fast the first one in time, and whether one of them ended its goroutine.
func (p *plan) fanOut(ctx context.Context, event Event) (exited bool, err error) {
	f := &fanOut{plan: p, event: event, caller: waitgraph.Caller(), errs: make([]error, len(p.inline))}
	group := new(errgroup.Group)
	if p.delivery.failFast {
		var derived context.Context
		group, derived = errgroup.WithContext(ctx)
		ctx = &origin.Layer{Context: derived, Beneath: ctx}
	}
	for range min(int(p.delivery.concurrency), len(p.inline)) {
		group.Go(func() error { return f.work(ctx, group) })
	}
	first := group.Wait()
	if p.delivery.failFast && first != nil {
		return f.exited.Load(), first
	}
	errs := slices.DeleteFunc(f.errs, func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return false, nil
	}
	return f.exited.Load(), join(errs)
}

// work is one of the goroutines: it runs handlers until there are none left. If
// a handler ends it, another takes its place.
func (f *fanOut) work(ctx context.Context, group *errgroup.Group) (first error) {
	defer waitgraph.StandFor(f.caller)()
	for {
		i := int(f.next.Add(1)) - 1
		// Asking ctx here would let the publisher's cancellation in.
		if i >= len(f.inline) || f.delivery.failFast && f.failed.Load() {
			return first
		}
		f.runOne(ctx, i, group)
		if f.errs[i] != nil && f.delivery.failFast {
			return f.errs[i]
		}
	}
}

func (f *fanOut) runOne(ctx context.Context, i int, group *errgroup.Group) {
	// Stands for the result of a handler that ends the goroutine.
	f.errs[i] = f.failure(i, errGoexit)
	returned := false
	defer func() {
		if returned {
			return
		}
		f.exited.Store(true)
		f.failed.Store(true)
		if !f.delivery.failFast {
			group.Go(func() error { return f.work(ctx, group) })
		}
	}()
	f.errs[i] = f.plan.runOne(ctx, f.event, i)
	returned = true
	if f.errs[i] != nil {
		f.failed.Store(true)
	}
}
