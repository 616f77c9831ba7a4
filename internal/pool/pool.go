// Package pool runs asynchronous tasks, each as soon as a processor is free and
// never behind one that blocks. It knows neither buses nor handlers.
//
// While tasks are waiting, one worker is the lookout, who takes up what the
// others leave and makes another goroutine the lookout before it runs that. A
// burst so costs a goroutine for each task that blocks, not one for each task.
// Workers without work end by themselves, without a timer, so that nothing is
// left behind by a pool that nobody ends.
//
// A task is counted by whoever pushes it, under the producers' lock, and
// finished by whoever ran or dropped it. A pool in which as many are finished
// as were pushed, and none is held, is idle.
//
// What a maintainer may change: patience, and the size of chunks. What must stay,
// so that no task lies unseen: a producer pushes before it looks for a lookout,
// and a lookout that gives up says so before it looks once more for tasks.
// Likewise, so that nobody waits for ever: who waits sets awaited before the
// first look, and whoever finishes a task, releases a hold or ends a goroutine
// counts first and then signals. Under the producers' lock are held, lost,
// sealed, shut and changed, too; and under it a producer counts the goroutine
// that it starts, so that Done sees it.
package pool

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/typedbus/events/internal/goid"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/waitgraph"
)

// patience is how often an idle worker lets others run before it ends, so that
// a stream of tasks finds it alive.
const patience = 64

// Pool runs tasks. Its exported fields are immutable once it is used.
type Pool[T any] struct {
	Origin    origin.Origin // of the contexts of tasks, but for its Source
	Publisher func(T) context.Context
	Run       func(ctx context.Context, task T, lost *bool) // may end its goroutine; what is lost counts as dropped
	Limit     uint64                                        // of tasks that are not finished, 0 for none
	Bubble    uint64                                        // in which the pool is made, 0 for none
	Group     waitgraph.Group

	tasks    fifo[T]
	lookout  atomic.Bool // there is one
	_        [60]byte
	idle     atomic.Int32 // workers without a task, the lookout aside
	finished atomic.Uint64
	_        [48]byte
	running  atomic.Int64 // goroutines
	awaited  atomic.Bool  // somebody has waited for the pool

	// Guarded by the lock of tasks.
	held    uint64
	lost    uint64 // tasks that are finished
	sealed  bool
	shut    bool
	changed chan struct{} // closed and replaced when a count falls
}

// Verdict is what the pool says to a task.
type Verdict int

// The verdicts.
const (
	Taken Verdict = iota
	Full
	Refused
)

// Go has a task run. A pool that is sealed takes only what is admitted.
func (p *Pool[T]) Go(task T, admitted bool) Verdict {
	p.tasks.Lock()
	switch {
	case p.shut || p.sealed && !admitted:
		p.tasks.Unlock()
		return Refused
	case p.Limit > 0 && p.tasks.pushed-p.finished.Load() >= p.Limit:
		p.tasks.Unlock()
		return Full
	}
	p.enter(task)
	return Taken
}

// enter has a task run. The caller has the lock, which it gives back.
func (p *Pool[T]) enter(task T) {
	if p.isForeign() {
		p.tasks.pushed++
		p.running.Add(1)
		p.tasks.Unlock()
		go p.workAlone(task)
		return
	}
	p.tasks.push(task)
	begin := p.lacksLookout()
	p.tasks.Unlock()
	if begin {
		go p.work()
	}
}

// isForeign reports whether the caller is in a bubble in which the pool was not
// made. Such a task runs in that bubble, and not with the others.
func (p *Pool[T]) isForeign() bool {
	if now := time.Now(); now != now.Round(0) {
		return false // at a glance: the clock of a bubble has no monotonic reading
	}
	bubble := goid.Bubble()
	return bubble != 0 && bubble != p.Bubble
}

// workAlone is the goroutine of one task.
func (p *Pool[T]) workAlone(task T) {
	defer p.join()()
	p.newWorker().run(task)
}

// Again has a task run that is the rest of one that is running, and was taken with
// that: no limit and no end keeps it out.
func (p *Pool[T]) Again(task T) {
	p.tasks.Lock()
	p.enter(task)
}

// Len returns how many tasks are not finished.
func (p *Pool[T]) Len() uint64 {
	p.tasks.Lock()
	defer p.tasks.Unlock()
	return p.tasks.pushed - p.finished.Load()
}

// Seal refuses outsiders from now on.
func (p *Pool[T]) Seal() {
	p.tasks.Lock()
	defer p.tasks.Unlock()
	p.sealed = true
}

// Idle waits until every task is finished and none is held. It returns how many
// were taken until that moment, or the cause of ctx.
func (p *Pool[T]) Idle(ctx context.Context) (taken uint64, err error) {
	err = p.wait(ctx, func() bool {
		taken = p.tasks.pushed
		return taken == p.finished.Load() && p.held == 0
	})
	return taken, err
}

// Done waits until every goroutine has ended, or returns the cause of ctx.
func (p *Pool[T]) Done(ctx context.Context) error {
	return p.wait(ctx, func() bool { return p.running.Load() == 0 })
}

// wait waits until condition holds, which is asked under the lock.
func (p *Pool[T]) wait(ctx context.Context, condition func() bool) error {
	// Before the first look: who finishes a task after that look sees it.
	p.awaited.Store(true)
	for {
		p.tasks.Lock()
		if condition() {
			p.tasks.Unlock()
			return nil
		}
		if p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.tasks.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// signal wakes those who wait.
func (p *Pool[T]) signal() {
	if !p.awaited.Load() {
		return
	}
	p.tasks.Lock()
	defer p.tasks.Unlock()
	p.signalLocked()
}

func (p *Pool[T]) signalLocked() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// Shut refuses every task from now on.
func (p *Pool[T]) Shut() {
	p.tasks.Lock()
	defer p.tasks.Unlock()
	p.shut = true
}

// End refuses every task from now on, drops those that have not begun, and
// returns how many were dropped or lost and how many are running.
func (p *Pool[T]) End() (dropped, running uint64) {
	p.Shut()
	p.tasks.Lock()
	left, lost := p.tasks.pushed-p.finished.Load(), p.lost
	p.tasks.Unlock()
	for {
		if _, ok := p.tasks.pop(); !ok {
			return dropped + lost, left - min(left, dropped)
		}
		dropped++
		p.finish(false)
	}
}

// finish counts a task as finished: with the lost ones under one lock, so that
// each is counted once.
func (p *Pool[T]) finish(lost bool) {
	if lost {
		p.tasks.Lock()
		p.lost++
		p.finished.Add(1)
		p.tasks.Unlock()
	} else {
		p.finished.Add(1)
	}
	p.signal()
}

// lacksLookout counts a lookout, for the caller to start, if there is none.
func (p *Pool[T]) lacksLookout() bool {
	if p.lookout.Load() || !p.lookout.CompareAndSwap(false, true) {
		return false
	}
	p.running.Add(1)
	return true
}
