// Package topiclog is a bounded log of events that any number of cursors read.
//
// An event is appended once, however many cursors there are. A cursor with one
// reader is read without a lock: the writer publishes the head, the reader its
// place, and an event is written over only when every cursor is past it. All
// else is guarded by the one lock of the [Gate].
//
// Who counts whom: whoever wakes a reader counts it as busy, under the lock;
// the reader takes itself off when it falls asleep or ends, under the lock. So
// a gate that is not busy has nothing unread and nobody at work.
//
// The package knows neither buses nor handlers, and starts no goroutine.
package topiclog

import (
	"context"
	"sync/atomic"
)

// Entry is an event in a log.
type Entry[T any] struct {
	Context context.Context // of the publisher
	Payload T
}

// Log is a log of events with payloads of type T. Make one with [New].
type Log[T any] struct {
	core   Core                       // not embedded: that would make its methods anew for each T
	_      [64]byte                   // what follows is read for every event
	ring   []Entry[T]                 // guarded by the lock; its length is a power of two, or 0
	shared atomic.Pointer[[]Entry[T]] // the same, for readers without the lock
}

// unlimited is a limit that no log reaches.
const unlimited = ^uint64(0)

// New returns an empty log.
func New[T any]() *Log[T] {
	l := new(Log[T])
	l.core.init(&l.core)
	l.core.store = l
	l.core.limit, l.core.dropLimit = unlimited, unlimited
	return l
}

// Core returns the part of the log that does not depend on T.
func (l *Log[T]) Core() *Core { return &l.core }

// TryAppend adds an event if that takes no more than a look.
func (l *Log[T]) TryAppend(ctx context.Context, payload T) bool {
	l.core.Lock()
	if l.core.head >= l.core.free {
		l.core.Unlock()
		return false
	}
	e := &l.ring[l.core.head&uint64(len(l.ring)-1)]
	e.Context, e.Payload = ctx, payload
	l.core.appended()
	l.core.Unlock()
	return true
}

// Offer adds an event if there is room.
func (l *Log[T]) Offer(ctx context.Context, payload T) bool {
	l.core.Lock()
	defer l.core.Unlock()
	if verdict, _ := l.core.Ask(nil, false); verdict != Room {
		return false
	}
	l.Append(ctx, payload)
	return true
}

// Append adds an event. The caller has the lock and knows from Ask that there
// is room.
func (l *Log[T]) Append(ctx context.Context, payload T) {
	if l.core.head >= l.core.free && !l.core.prepare() {
		return
	}
	e := &l.ring[l.core.head&uint64(len(l.ring)-1)]
	e.Context, e.Payload = ctx, payload
	l.core.appended()
}

// Next takes the next event of a cursor with one reader into e, and reports
// false if there is none.
func (l *Log[T]) Next(r *Reader, e *Entry[T]) bool {
	if r.next < r.end || r.extend() {
		// In this order: a ring of before the end is not written to any more
		// where the cursor has something to read.
		if ring := *l.shared.Load(); !r.ended.Load() {
			*e = ring[r.next&uint64(len(ring)-1)]
			if r.claim() {
				return true
			}
		}
	}
	l.core.Lock()
	ok := r.begin()
	if ok {
		ring := l.ringOf(r)
		*e = ring[r.next&uint64(len(ring)-1)]
		r.took()
	}
	l.core.Unlock()
	return ok
}

// Take takes an event of a shared cursor into e, and says how many were dropped
// before it. If more is true, the caller starts another reader for those behind.
func (l *Log[T]) Take(r *Reader, e *Entry[T]) (dropped uint64, more, ok bool) {
	l.core.Lock()
	at, dropped, more, ok := r.take()
	if ok {
		ring := l.ringOf(r)
		*e = ring[at&uint64(len(ring)-1)]
		r.taken()
	}
	l.core.Unlock()
	return dropped, more, ok
}

func (l *Log[T]) ringOf(r *Reader) []Entry[T] {
	if final, ok := r.final.(*[]Entry[T]); ok {
		return *final
	}
	return l.ring
}

func (l *Log[T]) leave() any {
	ring := l.ring
	return &ring
}

func (l *Log[T]) write(at uint64, entry any) {
	l.ring[at&uint64(len(l.ring)-1)] = *entry.(*Entry[T])
}

func (l *Log[T]) grow(size uint64) {
	ring := make([]Entry[T], size)
	for i := l.core.tail; i < l.core.head; i++ {
		ring[i&(size-1)] = l.ring[i&uint64(len(l.ring)-1)]
	}
	l.ring = ring
	l.shared.Store(&ring)
}

func (l *Log[T]) clear(from, to uint64) {
	for i := from; i < to; i++ {
		l.ring[i&uint64(len(l.ring)-1)] = Entry[T]{}
	}
}
