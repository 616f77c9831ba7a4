package events

import (
	"context"
	"runtime"
	"sync"
)

// idleYields is how often a worker without work lets others run before it
// ends, so that a stream of events finds it alive. Nothing is left behind by
// a bus that nobody closes.
const idleYields = 32

// task is an asynchronous publish.
type task struct {
	ctx   context.Context // of the publisher
	plan  *plan           // nil for an event that nobody hears
	event Event
}

// workers runs tasks, each as soon as a processor is free and never behind one
// that blocks: whenever tasks are waiting, one worker is on its way to them.
// That worker is started when the one before takes up a task, and so a burst
// costs one goroutine for each time that a task blocks, not one for each task.
type workers struct {
	mu       sync.Mutex
	tasks    []task // those before next are done with
	next     int
	fetching bool // a worker is on its way
}

// publishAsync accepts event for the workers.
func (b *Bus) publishAsync(ctx context.Context, p *plan, event Event) error {
	if p == nil && b.options.unhandled == nil {
		return nil
	}
	w := &b.workers
	w.mu.Lock()
	if b.state.Load() != open {
		w.mu.Unlock()
		if !b.admits(ctx) {
			return errorAt("publish", event.Name, ErrClosed)
		}
		w.mu.Lock()
		if b.state.Load() == closed {
			w.mu.Unlock()
			return errorAt("publish", event.Name, ErrClosed)
		}
	}
	b.activity.begin()
	w.push(task{ctx: ctx, plan: p, event: event})
	start := !w.fetching
	w.fetching = true
	w.mu.Unlock()
	if start {
		b.startWorker()
	}
	return nil
}

func (w *workers) push(t task) {
	if w.next > len(w.tasks)/2 && len(w.tasks) == cap(w.tasks) {
		// Half the space or more is free in front.
		n := copy(w.tasks, w.tasks[w.next:])
		clear(w.tasks[n:])
		w.tasks, w.next = w.tasks[:n], 0
	}
	w.tasks = append(w.tasks, t)
}

func (w *workers) pop() task {
	t := w.tasks[w.next]
	w.tasks[w.next] = task{}
	w.next++
	if w.next == len(w.tasks) {
		w.tasks, w.next = w.tasks[:0], 0
		if cap(w.tasks) > 1024 {
			w.tasks = nil
		}
	}
	return t
}

func (w *workers) waiting() int { return len(w.tasks) - w.next }

func (b *Bus) startWorker() {
	b.activity.started()
	go b.work()
}

// work is the worker that is on its way: it runs tasks until none are left.
func (b *Bus) work() {
	defer b.ended()
	for fetching := true; ; fetching = false {
		t, ok := b.fetch(fetching)
		if !ok {
			return
		}
		b.runTask(t)
	}
}

// fetch returns the next task, after a while of looking out for one. Only one
// worker looks out, the one that is fetching.
func (b *Bus) fetch(fetching bool) (t task, ok bool) {
	w := &b.workers
	for yields := 0; ; yields++ {
		w.mu.Lock()
		if w.waiting() > 0 {
			t = w.pop()
			start := w.waiting() > 0 && (fetching || !w.fetching)
			if fetching || start {
				w.fetching = start
			}
			w.mu.Unlock()
			if start {
				b.startWorker()
			}
			return t, true
		}
		if !fetching && w.fetching {
			w.mu.Unlock()
			return task{}, false
		}
		fetching = yields < idleYields
		w.fetching = fetching
		w.mu.Unlock()
		if !fetching {
			return task{}, false
		}
		runtime.Gosched()
	}
}

// runTask runs the handlers of an asynchronous publish.
func (b *Bus) runTask(t task) {
	ctx := b.detach(t.ctx)
	returned := false
	defer func() {
		if !returned {
			b.report(ctx, &HandlerError{Event: t.event.Name, Handler: "asynchronous", Err: errGoexit})
		}
		b.done()
	}()
	if t.plan == nil {
		b.undelivered(ctx, t.event)
	} else if err := t.plan.untyped.run(ctx, t.event); err != nil {
		b.report(ctx, err)
	}
	returned = true
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
