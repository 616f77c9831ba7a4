package engine

import (
	"context"
	"sync"

	"github.com/typedbus/events/durable"
)

// mostAtOnce is how many operations are stored together.
const mostAtOnce = 512

// Line is where operations wait while others are stored: those that have come up
// meanwhile are stored together, and share the wait for the disk. At any time one
// goroutine stores at most: that of a caller who found nobody at it, for his own
// operation; or that of Run, for those that have come up.
type Line[T any] struct {
	store     func(context.Context, []*Operation[T])
	impatient bool

	mu      sync.Mutex
	changed sync.Cond       // what Run waits for may have come; with mu
	pending []*Operation[T] // guarded by mu
	busy    bool            // somebody stores; guarded by mu
	closed  bool            // guarded by mu
}

// Operation is what is to be stored.
type Operation[T any] struct {
	What T
	err  error
	done chan struct{}
}

// NewLine returns a line whose operations store stores, one call at a time, with the context
// of Do or that of Run. In an impatient one the context of Do ends the wait for an operation
// that is under way with others.
func NewLine[T any](impatient bool, store func(context.Context, []*Operation[T])) *Line[T] {
	l := &Line[T]{impatient: impatient, store: store}
	l.changed.L = &l.mu
	return l
}

// Do has an operation done and returns when it is stored. If ctx is done before it has
// begun, it is not done at all.
func (l *Line[T]) Do(ctx context.Context, what T) error {
	op := &Operation[T]{What: what, done: make(chan struct{})}
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return durable.ErrClosed
	case ctx.Err() != nil:
		l.mu.Unlock()
		return context.Cause(ctx)
	case l.busy || len(l.pending) > 0:
		l.pending = append(l.pending, op) // whoever is busy will signal
		l.mu.Unlock()
		return l.wait(ctx, op)
	}
	l.busy = true
	l.mu.Unlock()
	l.store(ctx, []*Operation[T]{op})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy = false; len(l.pending) > 0 || l.closed {
		l.changed.Signal()
	}
	return op.err
}

func (l *Line[T]) wait(ctx context.Context, op *Operation[T]) error {
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		if l.withdraw(op) || l.impatient {
			return context.Cause(ctx)
		}
		<-op.done
		return op.err
	}
}

func (l *Line[T]) withdraw(op *Operation[T]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, each := range l.pending {
		if each == op {
			l.pending = append(l.pending[:i], l.pending[i+1:]...)
			return true
		}
	}
	return false
}

// Closed reports whether operations are refused.
func (l *Line[T]) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close refuses operations from now on, and has Run end when those before are stored.
func (l *Line[T]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Signal()
}

// Run stores what has come up while others were stored, with ctx. It returns after Close,
// when nobody stores anything any more.
func (l *Line[T]) Run(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for l.busy || len(l.pending) == 0 && !l.closed {
			l.changed.Wait()
		}
		if len(l.pending) == 0 {
			return
		}
		n := min(len(l.pending), mostAtOnce)
		ops := l.pending[:n:n]
		l.pending = l.pending[n:]
		l.busy = true
		l.mu.Unlock()
		l.store(ctx, ops)
		l.mu.Lock()
		l.busy = false
	}
}

// Finish tells those who wait for operations that they are over.
func Finish[T any](ops []*Operation[T], err error) {
	for _, op := range ops {
		op.err = err
		close(op.done)
	}
}
