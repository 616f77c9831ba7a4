// Package topiclog is a bounded log of events that any number of cursors read.
//
// An event is appended once, however many cursors there are. A cursor that has
// one reader is read without a lock; the log writes over an event only when
// every cursor is past it.
package topiclog

import (
	"slices"
	"sync/atomic"
)

// Log is a log of events of type E. Make one with [New].
type Log[E any] struct {
	Gate

	// Guarded by the lock.
	ring    []E    // its length is a power of two, or 0
	tail    uint64 // all events before may be written over
	cleared uint64 // of these, all events before have been let go of
	retain  uint64 // how many events stay to be replayed

	readable atomic.Pointer[[]E] // ring, for readers without the lock
}

var lastID atomic.Uint64

// New returns an empty log, which counts in active its readers that are not
// asleep.
func New[E any](active *atomic.Int64) *Log[E] {
	l := &Log[E]{}
	l.ID = lastID.Add(1)
	l.active = active
	l.limit, l.dropLimit = unlimited, unlimited
	l.readable.Store(new([]E))
	return l
}

// Retain has the log keep its last n events, or more if it does so already,
// for cursors to come.
func (l *Log[E]) Retain(n int) {
	l.Lock()
	defer l.Unlock()
	l.retain = max(l.retain, uint64(n))
}

// Append adds an event. The caller holds the lock and knows from [Gate.Full]
// that there is room. Cursors that drop make theirs.
func (l *Log[E]) Append(event E) {
	if l.head >= l.quick && !l.prepareLocked() {
		return
	}
	l.ring[l.head&uint64(len(l.ring)-1)] = event
	l.head++
	if len(l.asleep) > 0 {
		l.wakeAllLocked()
	}
	// What is no longer retained goes at once, or with many cursors soon.
	if l.retain > 0 && l.head-l.cleared > l.retain+2*uint64(len(l.cursors)) {
		l.releaseLocked()
	}
}

// prepareLocked makes room for an event and notes for how many more. It
// reports false if nobody is there for it.
func (l *Log[E]) prepareLocked() bool {
	if len(l.cursors) == 0 && l.retain == 0 {
		return false
	}
	if l.head >= l.dropLimit {
		l.dropOldestLocked()
	}
	if l.head-l.tail >= uint64(len(l.ring)) {
		l.makeRoomLocked()
	}
	l.quick = min(l.dropLimit, l.tail+uint64(len(l.ring)))
	return true
}

// dropOldestLocked makes room in every cursor that drops.
func (l *Log[E]) dropOldestLocked() {
	l.dropLimit = unlimited
	for _, p := range l.cursors {
		if p.policy != DropOldest {
			continue
		}
		// Events that are held count but cannot be dropped any more.
		if l.head >= p.bound() {
			excess := min(l.head+1-p.capacity-p.base.Load(), l.head-p.next)
			p.next += excess
			p.base.Add(excess)
			p.gap += excess
			p.dropped.Add(excess)
		}
		l.dropLimit = min(l.dropLimit, p.bound())
	}
}

// makeRoomLocked makes room in the ring, or makes that larger.
func (l *Log[E]) makeRoomLocked() {
	l.tail = l.neededLocked()
	if l.head-l.tail >= uint64(len(l.ring)) {
		l.copyLocked(max(8, 2*len(l.ring)))
	}
}

// neededLocked returns the first event that a cursor has before it, or that is
// retained.
func (l *Log[E]) neededLocked() uint64 {
	needed := max(l.tail, l.head-min(l.retain, l.head))
	for _, p := range l.cursors {
		needed = min(needed, p.base.Load())
	}
	return max(needed, l.tail)
}

// copyLocked moves the events to a ring of the given length. Readers that have
// the old one may go on with it: it is not written to any more.
func (l *Log[E]) copyLocked(length int) {
	ring := make([]E, length)
	for i := l.tail; i < l.head; i++ {
		ring[i&uint64(length-1)] = l.ring[i&uint64(len(l.ring)-1)]
	}
	l.ring, l.cleared = ring, l.tail
	l.readable.Store(&ring)
}

// releaseLocked lets go of the events that all cursors have taken.
func (l *Log[E]) releaseLocked() {
	var none E
	needed := l.neededLocked()
	for i := max(l.cleared, l.head-min(l.head, uint64(len(l.ring)))); i < needed; i++ {
		l.ring[i&uint64(len(l.ring)-1)] = none
	}
	l.tail, l.cleared = needed, max(l.cleared, needed)
}

// Cursor reads a log from where it was opened on, and before that what the log
// retains.
type Cursor[E any] struct {
	Position
	log *Log[E]

	// Of the one reader, or guarded by the log's lock if the cursor is shared.
	next  uint64
	known uint64 // events before this may be read from ring
	ring  []E

	final []E // guarded by the log's lock: the ring to read from when ended
}

// Open opens a cursor with readers readers, who share it if that is above 1.
// Up to capacity events may be before it, and as many as it replays.
func (l *Log[E]) Open(owner any, capacity, readers int, policy Policy) *Cursor[E] {
	l.Lock()
	defer l.Unlock()
	c := &Cursor[E]{log: l}
	c.Position = Position{
		Owner: owner, gate: &l.Gate, policy: policy, capacity: uint64(capacity),
		shared: readers > 1 || policy == DropOldest,
		start:  l.head, wake: make(chan struct{}, readers),
	}
	first := max(l.tail, l.head-min(l.retain, l.head))
	c.next, c.known = first, first
	c.Position.first, c.Position.next = first, first
	c.base.Store(first)
	l.cursors = append(l.cursors, &c.Position)
	l.restLocked(0)
	l.quick = 0
	if policy == DropOldest {
		l.dropLimit = min(l.dropLimit, c.bound())
	} else {
		l.limit = min(l.limit, c.bound())
	}
	return c
}

// releaseEvery is how many events the last reader at work may have taken and
// not let go of. While several are at work, they write over what is behind.
const releaseEvery = 32

// Next takes the next event into event. A cursor that is not shared has one
// reader, who needs no lock.
func (c *Cursor[E]) Next(event *E) bool {
	if c.shared {
		_, ok := c.Take(event, false)
		return ok
	}
	if c.cut.Load() || c.next == c.known && !c.refresh() {
		return false
	}
	*event = c.ring[c.next&uint64(len(c.ring)-1)]
	c.next++
	c.base.Store(c.next)
	if c.waiting.Load() > 0 {
		c.admit()
	}
	if c.next%releaseEvery == 0 && c.log.reading.Load() == 1 {
		c.log.Lock()
		c.log.releaseLocked()
		c.log.Unlock()
	}
	return true
}

// refresh looks how far the log has come.
func (c *Cursor[E]) refresh() bool {
	if c.ended.Load() {
		c.log.Lock()
		c.known, c.ring = c.until, c.final
		c.log.Unlock()
	} else {
		// In this order: the ring has at least what was published before.
		c.known = c.log.published()
		c.ring = *c.log.readable.Load()
		if c.ended.Load() {
			return c.refresh()
		}
	}
	c.known = max(c.known, c.next)
	return c.next < c.known
}

// Take takes the next event of a shared cursor into event, and says how many
// were dropped before it. One that is held counts against the capacity until it begins.
func (c *Cursor[E]) Take(event *E, hold bool) (dropped uint64, ok bool) {
	c.log.Lock()
	defer c.log.Unlock()
	p := &c.Position
	ring, end := c.log.ring, c.log.head
	if c.ended.Load() {
		ring, end = c.final, p.until
	}
	if p.next >= end {
		return 0, false
	}
	*event = ring[p.next&uint64(len(ring)-1)]
	p.next++
	dropped, p.gap = p.gap, 0
	if hold {
		p.held++
	} else {
		c.moveLocked()
	}
	return dropped, true
}

// Begin has an event that is held count no more.
func (c *Cursor[E]) Begin() {
	c.log.Lock()
	defer c.log.Unlock()
	c.held--
	c.moveLocked()
}

// moveLocked notes that a shared cursor has room for one event more.
func (c *Cursor[E]) moveLocked() {
	c.base.Store(c.Position.next - c.held)
	c.admitLocked(1)
}

// Sleep reports that the reader has nothing to read, and will wait for
// [Position.Wake]. It reports false if there is something after all, and
// ended when there never will be.
func (c *Cursor[E]) Sleep() (asleep, ended bool) {
	g := &c.log.Gate
	g.Lock()
	defer g.Unlock()
	next := c.next
	if c.shared {
		next = c.Position.next
	}
	if c.ended.Load() {
		if next < c.until {
			return false, false
		}
		c.ring, c.final = nil, nil
		return false, true
	}
	if next < g.head {
		return false, false
	}
	g.active.Add(-1)
	g.asleep = append(g.asleep, &c.Position)
	c.ring = nil
	if c.sleeping++; c.sleeping == 1 {
		g.restLocked(1)
	}
	// Asking all cursors is worth it if that may let go of some events for each.
	if g.resting == len(g.cursors) || 8*(g.head-c.log.cleared) >= uint64(len(g.cursors)) {
		c.log.releaseLocked()
	}
	return true, false
}

// End takes the cursor off the log. Its readers may still take what was
// published before, unless that is to be dropped, and writers no longer wait
// for it. It returns how many events the readers had before them.
func (c *Cursor[E]) End(drop bool) (left uint64) {
	g := &c.log.Gate
	g.Lock()
	defer g.Unlock()
	p := &c.Position
	if c.ended.Load() {
		if drop {
			left, p.until = p.until-min(c.base.Load(), p.until), 0
			c.final = nil
			c.discarded.Add(left)
			c.cut.Store(true)
		}
		return left
	}
	g.wakeLocked(p)
	g.cursors = slices.DeleteFunc(g.cursors, func(other *Position) bool { return other == p })
	g.restLocked(0)
	left = g.head - c.base.Load()
	c.final = c.log.ring
	if p.until = g.head; drop {
		p.until, c.final = 0, nil
		c.discarded.Add(left)
		c.cut.Store(true)
	}
	// Before the ring is replaced: a reader that has not seen the end has the
	// old one.
	c.ended.Store(true)
	if left > 0 {
		// A reader may be at it: it keeps the ring, the log goes on in another.
		c.log.copyLocked(len(c.log.ring))
	} else {
		c.final = nil
	}
	g.limit, g.dropLimit, g.quick = 0, 0, 0
	c.admitLocked(len(p.waiters))
	if len(g.cursors) == 0 || g.resting == len(g.cursors) {
		c.log.releaseLocked()
	}
	return left
}
