package events

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/typedbus/events/internal/fifo"
)

// patience is how often an idle worker lets others run before it ends, so that
// a stream of events finds it alive. Since it does end, nothing is left behind
// by a bus that nobody closes.
const patience = 64

// task is an asynchronous publish.
type task struct {
	ctx   context.Context // of the publisher
	plan  *plan           // nil for an event that nobody hears
	event Event
	first int // of the plan's handlers to run

	post func(context.Context) error // what remains to be done before that, or nil
}

// workers runs tasks, each as soon as a processor is free and never behind one
// that blocks: while tasks are waiting, one worker is the lookout, who takes up
// what the others leave. A burst so costs a goroutine for each task that
// blocks, not one for each task; and a publisher reads nothing that workers
// write for each task.
type workers struct {
	tasks    fifo.Queue[task]
	lookout  atomic.Bool // there is one
	_        [60]byte
	idle     atomic.Int32 // workers without a task, the lookout aside
	finished atomic.Uint64
	_        [48]byte
}

// publishAsync has the workers run a task.
func (b *Bus) publishAsync(t task) error {
	if t.plan == nil && b.options.unhandled == nil {
		return nil
	}
	err := b.accept(t, false)
	if err != nil && b.admits(t.ctx) {
		err = b.accept(t, true)
	}
	return err
}

// accept adds a task unless the bus is closed, or about to and the task not
// admitted.
func (b *Bus) accept(t task, admitted bool) error {
	b.workers.tasks.Lock()
	if state := b.state.Load(); state == closed || state == draining && !admitted {
		b.workers.tasks.Unlock()
		return errorAt("publish", t.event.Name, ErrClosed)
	}
	b.workers.tasks.Push(t)
	b.workers.tasks.Unlock()
	b.ensureLookout()
	return nil
}

// ensureLookout starts a lookout unless there is one.
func (b *Bus) ensureLookout() {
	if !b.workers.lookout.Load() && b.workers.lookout.CompareAndSwap(false, true) {
		b.activity.started()
		go b.work()
	}
}

// work is a goroutine of the workers. It begins as the lookout, and becomes it
// again when it has nothing to do and there is none.
func (b *Bus) work() {
	defer b.ended()
	for b.lookOut() {
		b.workOff()
		if !b.workers.lookout.CompareAndSwap(false, true) {
			return
		}
	}
}

// lookOut waits for a task that the workers leave, makes another goroutine the
// lookout for what is behind it, and runs it. It reports false when nothing
// came for a long while.
func (b *Bus) lookOut() bool {
	w := &b.workers
	for waited := 0; ; waited++ {
		runtime.Gosched()
		if w.tasks.Empty() {
			if waited < patience {
				continue
			}
			w.lookout.Store(false)
			// A publisher may have relied on this lookout just before.
			if w.tasks.Empty() || !w.lookout.CompareAndSwap(false, true) {
				return false
			}
		}
		runtime.Gosched() // a worker may be about to take it
		if t, ok := w.tasks.Pop(); ok {
			w.lookout.Store(false)
			if !w.tasks.Empty() {
				b.ensureLookout()
			}
			b.runTask(t, nil)
			return true
		}
	}
}

// workOff runs tasks until there are none for a while. One worker at a time
// waits for more.
func (b *Bus) workOff() {
	w := &b.workers
	var last *handlerContext
	for {
		for t, ok := w.tasks.Pop(); ok; t, ok = w.tasks.Pop() {
			last = b.runTask(t, last)
		}
		last = nil
		alone := w.idle.Add(1) == 1
		for waited := 0; alone && waited < patience && w.tasks.Empty(); waited++ {
			runtime.Gosched()
		}
		w.idle.Add(-1)
		if w.tasks.Empty() {
			return
		}
	}
}

// runTask runs the handlers of an asynchronous publish and reports each
// failure at once. It returns the context that they had, for the next task.
func (b *Bus) runTask(t task, last *handlerContext) (ctx *handlerContext) {
	defer b.finishTask()
	ctx = b.detach(t.ctx, last, nil)
	if t.post != nil {
		if err := t.post(ctx); err != nil {
			b.report(ctx, err)
			return ctx
		}
	}
	switch {
	case t.plan == nil:
		b.undelivered(ctx, t.event)
	case t.plan.delivery.concurrency > 1:
		if _, err := t.plan.untyped.fanOut(ctx, t.plan, t.event); err != nil {
			b.report(ctx, err)
		}
	default:
		for i := t.first; i < len(t.plan.subscriptions); i++ {
			if err := b.runOfTask(ctx, t, i); err != nil && t.plan.delivery.failFast {
				break
			}
		}
	}
	return ctx
}

// runOfTask runs one handler of an asynchronous publish. If that ends the
// goroutine, the handlers behind it become a task of their own.
func (b *Bus) runOfTask(ctx context.Context, t task, i int) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		t.post = nil
		if t.first = i + 1; !t.plan.delivery.failFast && t.first < len(t.plan.subscriptions) {
			b.workers.tasks.Lock()
			b.workers.tasks.Push(t)
			b.workers.tasks.Unlock()
			b.ensureLookout()
		}
		b.report(ctx, t.plan.failure(i, errGoexit))
	}()
	if err = t.plan.untyped.runOne(ctx, t.plan, t.event, i); err != nil {
		b.report(ctx, err)
	}
	returned = true
	return err
}

func (b *Bus) finishTask() {
	b.workers.finished.Add(1)
	b.changed()
}

// undelivered tells of an event that nobody heard.
func (b *Bus) undelivered(ctx context.Context, event Event) {
	if b.options.unhandled == nil {
		return
	}
	if err := guard(func() { b.options.unhandled(ctx, event) }); err != nil {
		b.report(ctx, &HandlerError{Event: event.Name, Handler: "WithUnhandled", Err: err})
	}
}
