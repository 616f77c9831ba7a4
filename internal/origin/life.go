package origin

import (
	"context"
	"runtime"
	"sync"
	"weak"

	"github.com/typedbus/events/internal/goid"
)

// Life is how long the contexts of a bus last. Each goroutine that runs handlers
// has a line of its own to it, with a rope that is made when a handler asks for
// it, and so in the testing/synctest bubble in which that runs: one bus serves
// handlers inside and outside of bubbles. The life holds on to no rope, as
// contexts may outlive both the handler and its goroutine, and be forgotten at
// any time.
type Life struct {
	mu    sync.Mutex
	cause error // set when the life is over
	last  uint64
	ropes map[uint64]weak.Pointer[rope]
}

// line is the cancellation of the contexts that one goroutine makes.
type line struct {
	once sync.Once
	rope *rope
}

// rope is what the life can pull.
type rope struct {
	context.Context
	end    context.CancelCauseFunc
	bubble uint64 // in which it was made: it cannot be pulled from another one
}

// join returns the context of the line.
func (o *line) join(l *Life) context.Context {
	o.once.Do(func() {
		ctx, end := context.WithCancelCause(context.Background())
		o.rope = &rope{ctx, end, goid.Bubble()}
		l.tie(o.rope)
	})
	return o.rope.Context
}

func (l *Life) tie(r *rope) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		r.end(l.cause)
		return
	}
	if l.ropes == nil {
		l.ropes = make(map[uint64]weak.Pointer[rope])
	}
	l.last++
	l.ropes[l.last] = weak.Make(r)
	runtime.AddCleanup(r, l.forget, l.last)
}

func (l *Life) forget(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ropes, number)
}

// End cancels all contexts with cause, the first time.
func (l *Life) End(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != nil {
		return
	}
	l.cause = cause
	here := goid.Bubble()
	for _, each := range l.ropes {
		// One that was made in another bubble is of handlers that have ended, as
		// a bubble does with all its goroutines.
		if tied := each.Value(); tied != nil && (tied.bubble == 0 || tied.bubble == here) {
			tied.end(cause) // which runs no user's code: that of AfterFunc has a goroutine of its own
		}
	}
	l.ropes = nil
}
