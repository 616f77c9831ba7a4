package events

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/waitgraph"
)

// lifespan is when a subscription with WithOnce, WithUntil or WithDrain runs its
// handler. It is nil for those that run whenever they are in a plan.
//
// A handler claims its event once the payload is known to fit, at the last
// moment before it runs, and so one that does not fit uses nothing up.
type lifespan struct {
	once  bool
	until context.Context // or nil
	waits bool            // Drain waits for handlers at work
	of    *Subscription

	claimed atomic.Bool

	group waitgraph.Group // of handlers at work, with waits

	mu     sync.Mutex // guards the fields below
	atWork int
	over   bool
	idle   chan struct{}
}

// isOver reports whether no further event is to be handled.
func (l *lifespan) isOver() bool {
	return l.once && l.claimed.Load() || l.until != nil && l.until.Err() != nil
}

// errOver ends a Retry whose subscription has ended between two tries.
var errOver = errors.New("the subscription has ended")

// claim begins the handler of the event of ctx, which a Retry may do more than
// once. If ok, release follows, with the member. Otherwise the handler is not to
// run, and err says so to a Retry.
func (l *lifespan) claim(ctx context.Context) (member *waitgraph.Member, ok bool, err error) {
	layer := origin.LayerOf(ctx)
	if layer != nil && layer.Handler != l.of {
		layer = nil // of another handler, which has published this event
	}
	again := layer != nil && layer.Claimed
	if again {
		err = errOver
	}
	if l.until != nil && l.until.Err() != nil || l.once && !again && !l.claimed.CompareAndSwap(false, true) {
		return nil, false, err
	}
	if l.waits {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.over {
			return nil, false, err
		}
		l.atWork++
		member = waitgraph.Join(&l.group)
	}
	if layer != nil {
		layer.Claimed = true
	}
	return member, true, nil
}

// release ends what claim has begun. inside is true within middleware, which
// may run the handler again.
func (l *lifespan) release(member *waitgraph.Member, inside bool) {
	if member != nil {
		member.Leave()
		l.mu.Lock()
		if l.atWork--; l.atWork == 0 && l.idle != nil {
			close(l.idle)
			l.idle = nil
		}
		l.mu.Unlock()
	}
	if l.once && !inside {
		l.of.Unsubscribe()
	}
}

// stop has no handler run from now on, and returns a channel that is closed
// when none is at work.
func (l *lifespan) stop() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	idle := l.idle
	if idle == nil {
		idle = make(chan struct{})
	}
	if l.atWork == 0 {
		close(idle)
	} else {
		l.idle = idle
	}
	return idle
}

// limited returns handler for as long as l lasts. It is generic to serve typed
// handlers without boxing.
func limited[E any](l *lifespan, inside bool, handler func(context.Context, E) error) func(context.Context, E) error {
	if l == nil {
		return handler
	}
	return func(ctx context.Context, payload E) error {
		member, ok, err := l.claim(ctx)
		if !ok {
			return err
		}
		defer l.release(member, inside)
		return handler(ctx, payload)
	}
}

// unlessOver returns handler, which is asked before it reads the payload.
//
//go:noinline
func unlessOver(l *lifespan, handler Handler) Handler {
	if l == nil {
		return handler
	}
	return func(ctx context.Context, event Event) error {
		if l.isOver() {
			return nil
		}
		return handler(ctx, event)
	}
}

// within returns a handler with middleware around it. Its context tells whose
// subscription it is for.
func (s *Subscription) within(middleware []Middleware, handler Handler) Handler {
	if len(middleware) == 0 {
		return handler
	}
	wrapped, life := wrap(handler, middleware), s.lifespan()
	return func(ctx context.Context, event Event) error {
		if life != nil && life.isOver() {
			return nil
		}
		layer := &origin.Layer{Context: ctx, Beneath: ctx, Handler: s}
		if life != nil && life.once {
			defer func() {
				if layer.Claimed {
					s.Unsubscribe()
				}
			}()
		}
		return wrapped(layer, event)
	}
}
