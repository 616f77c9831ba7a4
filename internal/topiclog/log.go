// Package topiclog is a bounded log of events that any number of cursors read.
//
// An event is appended once, however many cursors there are. A cursor with one
// reader that neither drops nor collects batches is read without a lock: the
// writer publishes the head, the reader its place, and an event is written over
// only when every cursor is past it. Other cursors, and a queue in the order of
// keys ([Lines]), are read under the one lock of the [Gate], which guards all else.
//
// Who counts whom: whoever wakes a reader counts it as busy, under the lock;
// the reader takes itself off when it falls asleep or ends, under the lock.
// Counted so, too, are the first reader, by Open, the next lane, by the one that
// asks for it, a hold, and the events of a loop that has not begun; who collects
// a batch stays counted asleep. So a gate that is not busy has nothing unread
// and nobody at work.
//
// What a maintainer may change: the size of rings, when events are let go of, how
// a full cursor is found. What must stay, for the publishers' sake: no user's code
// and no wait under the lock, which spins; several gates are locked in the order
// of their IDs; and whoever makes room serves the line of publishers.
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

// Log is a log of events with payloads of type T, or a queue of them in the order
// of their keys. Make one with [New] or [NewKeyed].
type Log[T any] struct {
	core   Core                       // not embedded: that would make its methods anew for each T
	lines  *Lines                     // in place of it, in the order of keys
	_      [64]byte                   // what follows is read for every event
	ring   []Entry[T]                 // guarded by the lock; its length is a power of two, or 0
	shared atomic.Pointer[[]Entry[T]] // the same, for readers without the lock
}

// unlimited is a limit that no log reaches.
const unlimited = ^uint64(0)

// New returns an empty log.
func New[T any]() *Log[T] {
	l := new(Log[T])
	l.core.init(l)
	return l
}

// NewKeyed returns an empty queue in the order of keys, whose first lane counts
// as at work.
func NewKeyed[T any](o Options) *Log[T] {
	l := new(Log[T])
	l.lines = openLines(o, l)
	return l
}

// Core returns the part of a log that does not depend on T.
func (l *Log[T]) Core() *Core { return &l.core }

// Lines returns the part of a queue in the order of keys that does not depend on
// T, and nil for a log.
func (l *Log[T]) Lines() *Lines { return l.lines }

// Gate returns what events pass.
func (l *Log[T]) Gate() *Gate {
	if l.lines != nil {
		return &l.lines.Gate
	}
	return &l.core.Gate
}

// TryAppend adds an event to a log if that takes no more than a look.
func (l *Log[T]) TryAppend(ctx context.Context, payload T) bool {
	l.core.Lock()
	if l.core.head >= l.core.free {
		l.core.Unlock()
		return false
	}
	e := &l.ring[l.core.head&uint64(len(l.ring)-1)]
	e.Context, e.Payload = ctx, payload
	l.core.entered()
	l.core.Unlock()
	return true
}

// Offer adds an event if there is room, and if it is still to be added: fresh is as
// in [Request], or nil.
func (l *Log[T]) Offer(ctx context.Context, payload T, key string, fresh func() bool) bool {
	gate := l.Gate()
	gate.Lock()
	verdict, _ := gate.Ask(nil, false)
	ok := verdict == Room && (fresh == nil || fresh())
	if ok {
		l.Append(ctx, payload, key)
	}
	gate.Unlock()
	return ok
}

// Append adds an event. The caller has the lock and knows from Ask that there
// is room.
func (l *Log[T]) Append(ctx context.Context, payload T, key string) {
	gate := l.Gate()
	if at, ok := gate.place.enter(key); ok { // which may replace the ring
		e := &l.ring[at&uint64(len(l.ring)-1)]
		e.Context, e.Payload = ctx, payload
		gate.place.entered()
	}
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
	_, _, ok := l.Take(r, e)
	return ok
}

// Taker is a reader that takes events under the lock.
type Taker interface {
	take() (at, dropped uint64, more, ok bool)
	from() any // what to read from, or nil for the log
	taken()    // follows take, once the event has been copied
}

// Take takes an event into e, and says how many were dropped before it. If more
// is true, the caller starts another reader for those behind.
func (l *Log[T]) Take(r Taker, e *Entry[T]) (dropped uint64, more, ok bool) {
	gate := l.Gate()
	gate.Lock()
	at, dropped, more, ok := r.take()
	if ok {
		ring := l.ring
		if final := r.from(); final != nil {
			ring = *final.(*[]Entry[T])
		}
		*e = ring[at&uint64(len(ring)-1)]
		r.taken()
	}
	gate.Unlock()
	return dropped, more, ok
}

func (l *Log[T]) leave() any { return l.shared.Load() }

func (l *Log[T]) write(at uint64, entry any) {
	l.ring[at&uint64(len(l.ring)-1)] = *entry.(*Entry[T])
}

func (l *Log[T]) grow(from, to, size uint64) {
	ring := make([]Entry[T], size)
	for i := from; i < to; i++ {
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
