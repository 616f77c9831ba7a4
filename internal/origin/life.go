package origin

import (
	"context"
	"runtime"
	"sync"
	"weak"

	"github.com/typedbus/events/internal/goid"
)

// Life is how long the contexts of a bus last. They are cancelled by a rope, which
// is made when a handler asks for it, and so in the testing/synctest bubble in
// which that runs: one bus serves handlers inside and outside of bubbles. The
// handlers of the bubble in which the life was made, if any, have one rope
// together, which lasts as long as the life: whoever keeps no more than a channel
// of its context is told of the end, too. To those of other bubbles, which end
// sooner, the life does not hold on: each of their goroutines has a rope of its own.
type Life struct {
	Bubble uint64 // in which it was made, 0 for none; immutable

	mu     sync.Mutex
	cause  error // set when the life is over
	shared *rope // of Bubble, or nil
	last   uint64
	ropes  map[uint64]weak.Pointer[rope] // of other bubbles
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
	o.once.Do(func() { o.rope = l.tie(goid.Bubble()) })
	return o.rope.Context
}

// tie returns a rope for a goroutine in a bubble.
func (l *Life) tie(bubble uint64) *rope {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bubble == l.Bubble && l.shared != nil {
		return l.shared
	}
	ctx, end := context.WithCancelCause(context.Background())
	r := &rope{ctx, end, bubble}
	switch {
	case l.cause != nil:
		r.end(l.cause)
	case bubble == l.Bubble:
		l.shared = r
	default:
		if l.ropes == nil {
			l.ropes = make(map[uint64]weak.Pointer[rope])
		}
		l.last++
		l.ropes[l.last] = weak.Make(r)
		runtime.AddCleanup(r, l.forget, l.last)
	}
	return r
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
	if l.shared != nil && (l.Bubble == 0 || l.Bubble == here) {
		l.shared.end(cause)
	}
	for _, each := range l.ropes {
		// One that was made in another bubble is of handlers that have ended, as
		// a bubble does with all its goroutines.
		if tied := each.Value(); tied != nil && (tied.bubble == 0 || tied.bubble == here) {
			tied.end(cause) // which runs no user's code: that of AfterFunc has a goroutine of its own
		}
	}
	l.ropes = nil
}
