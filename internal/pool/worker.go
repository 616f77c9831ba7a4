package pool

import (
	"runtime"
	"sync/atomic"

	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/waitgraph"
)

// worker is a goroutine that runs tasks.
type worker[T any] struct {
	pool    *Pool[T]
	maker   origin.Maker
	number  uint64        // of the task that was begun last
	current atomic.Uint64 // the same, for others to see; 0 without a task
	lost    bool          // that task
}

// work is a goroutine of the pool. It begins as the lookout, and becomes it
// again when it has nothing to do and there is none.
func (p *Pool[T]) work() {
	defer p.join()()
	w := p.newWorker()
	for w.lookOut() {
		w.workOff()
		if !p.lookout.CompareAndSwap(false, true) {
			return
		}
	}
}

func (p *Pool[T]) newWorker() *worker[T] {
	w := &worker[T]{pool: p}
	w.maker.Origin = &origin.Origin{Life: p.Origin.Life, Bus: p.Origin.Bus, Handler: p.Origin.Handler, Source: w}
	return w
}

// join makes the calling goroutine one of the pool, until leave.
func (p *Pool[T]) join() (leave func()) {
	member := waitgraph.Join(&p.Group)
	return func() {
		member.Leave()
		p.running.Add(-1)
		p.signal()
	}
}

// lookOut waits for a task that the workers leave, makes another goroutine the
// lookout for what is behind it, and runs it. It reports false when nothing
// came for a long while.
func (w *worker[T]) lookOut() bool {
	p := w.pool
	for waited := 0; ; waited++ {
		runtime.Gosched()
		if p.tasks.empty() {
			if waited < patience {
				continue
			}
			p.lookout.Store(false)
			// A publisher may have relied on this lookout just before.
			if p.tasks.empty() || !p.lookout.CompareAndSwap(false, true) {
				return false
			}
		}
		runtime.Gosched() // a worker may be about to take it
		if task, ok := p.tasks.pop(); ok {
			p.lookout.Store(false)
			if !p.tasks.empty() && p.lacksLookout() {
				go p.work()
			}
			w.run(task)
			return true
		}
	}
}

// workOff runs tasks until there are none for a while. One worker at a time
// waits for more.
func (w *worker[T]) workOff() {
	p := w.pool
	for {
		for task, ok := p.tasks.pop(); ok; task, ok = p.tasks.pop() {
			w.run(task)
		}
		w.current.Store(0)
		w.maker.Forget()
		alone := p.idle.Add(1) == 1
		for waited := 0; alone && waited < patience && p.tasks.empty(); waited++ {
			runtime.Gosched()
		}
		p.idle.Add(-1)
		if p.tasks.empty() {
			return
		}
	}
}

func (w *worker[T]) run(task T) {
	w.number++
	w.current.Store(w.number)
	w.lost = false
	defer func() {
		w.current.Store(0)
		w.pool.finish(w.lost)
	}()
	w.pool.Run(w.maker.For(w.pool.Publisher(task), w.number), task, &w.lost)
}

// Hold reports whether the task of that number is running, and if so keeps the
// pool from being idle until Release.
func (w *worker[T]) Hold(number uint64) bool {
	p := w.pool
	p.tasks.Lock()
	defer p.tasks.Unlock()
	if w.current.Load() != number || p.tasks.pushed == p.finished.Load() {
		return false
	}
	p.held++
	return true
}

// Release ends a hold.
func (w *worker[T]) Release() {
	p := w.pool
	p.tasks.Lock()
	defer p.tasks.Unlock()
	if p.held--; p.held == 0 {
		p.signalLocked()
	}
}
