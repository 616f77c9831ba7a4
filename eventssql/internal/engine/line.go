package engine

import (
	"context"
	"sync"

	"github.com/typedbus/events/durable"
)

// mostAtOnce is how many operations are stored together.
const mostAtOnce = 512

// Line is where operations wait for one goroutine that stores all those together that
// have come up while it was at the last ones, so that they share the wait for the
// disk.
type Line[T any] struct {
	impatient bool

	mu      sync.Mutex
	pending []*Operation[T] // guarded by mu
	closed  bool            // guarded by mu
	work    chan struct{}   // has a token while there may be pending operations
}

// Operation is what is to be stored.
type Operation[T any] struct {
	What T
	err  error
	done chan struct{}
}

// NewLine returns a line. In an impatient one Do returns at the end of its context, though
// the operation is under way.
func NewLine[T any](impatient bool) *Line[T] {
	return &Line[T]{impatient: impatient, work: make(chan struct{}, 1)}
}

// Do has an operation done and returns when it is stored. If ctx is done before it has
// begun, it is not done at all.
func (l *Line[T]) Do(ctx context.Context, what T) error {
	op := &Operation[T]{What: what, done: make(chan struct{})}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return durable.ErrClosed
	}
	l.pending = append(l.pending, op)
	l.mu.Unlock()
	l.signal()
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

func (l *Line[T]) signal() {
	select {
	case l.work <- struct{}{}:
	default:
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

func (l *Line[T]) next() []*Operation[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.pending), mostAtOnce)
	ops := l.pending[:n:n]
	l.pending = l.pending[n:]
	if len(l.pending) > 0 {
		l.signal()
	}
	return ops
}

// Closed reports whether operations are refused.
func (l *Line[T]) Closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Close refuses operations from now on.
func (l *Line[T]) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Run is the goroutine. When ctx is done it stores what is pending, and ends.
func (l *Line[T]) Run(ctx context.Context, store func([]*Operation[T])) {
	for over := false; !over; {
		select {
		case <-l.work:
		case <-ctx.Done():
			over = true
		}
		for ops := l.next(); len(ops) > 0; ops = l.next() {
			store(ops)
		}
	}
}

// Finish tells those who wait for operations that they are over.
func Finish[T any](ops []*Operation[T], err error) {
	for _, op := range ops {
		op.err = err
		close(op.done)
	}
}
