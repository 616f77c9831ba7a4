package topiclog

import (
	"runtime"
	"slices"
	"sync/atomic"
)

// Policy is what happens to an event that finds a cursor at its capacity.
type Policy uint8

// The policies.
const (
	Block      Policy = iota // the writer has to wait
	DropOldest               // the cursor loses its oldest event
	Reject                   // the writer has to give up
)

// Gate is the part of a log that does not depend on the type of its events:
// who reads it, and how far everyone has come. A writer locks the gate, asks
// [Gate.Full], appends to the log and unlocks it; with several logs, it locks
// them in the order of their IDs and appends to all or none.
type Gate struct {
	ID      uint64        // in the order of creation
	active  *atomic.Int64 // counts readers that are not asleep
	reading atomic.Int32  // cursors that do not rest

	_ [64]byte // what follows is written for every event

	// word is twice the head, for readers without the lock, and odd while a
	// writer has the lock: appending takes two atomic operations, where a
	// sync.Mutex and a separate head take three. Nobody holds the lock for long.
	word atomic.Uint64

	// Guarded by the lock.
	head      uint64      // where the next event goes
	limit     uint64      // no cursor that blocks or rejects is full below this
	quick     uint64      // below this an event needs no preparation
	asleep    []*Position // one for each reader asleep
	resting   int         // cursors with a reader asleep, which have nothing to read
	cursors   []*Position // in the order of opening
	dropLimit uint64      // no cursor that drops is full below this
}

// Position is the part of a cursor that does not depend on the type of events.
type Position struct {
	Owner any // whoever opened the cursor

	gate     *Gate
	policy   Policy
	shared   bool // readers take events under the lock
	capacity uint64
	first    uint64 // where the cursor began, with what it replays
	start    uint64 // where it was opened

	waiting   atomic.Int32 // len(waiters)
	ended     atomic.Bool  // nothing comes behind until
	cut       atomic.Bool  // nothing comes at all
	dropped   atomic.Uint64
	discarded atomic.Uint64 // by End

	// Guarded by the gate's lock.
	next     uint64 // of a shared cursor: the next event to take
	held     uint64 // of a shared cursor: taken, but still counted
	gap      uint64 // dropped since the last take
	until    uint64 // set when ended
	sleeping int
	waiters  []chan struct{}

	wake chan struct{} // a token for each reader woken

	// base is behind the last event that no longer counts against capacity:
	// for a cursor that is not shared, where its reader goes on.
	_    [64]byte // it is written for every event
	base atomic.Uint64
}

const unlimited = ^uint64(0)

// Lock locks the gate for writing.
func (g *Gate) Lock() {
	if word := g.word.Load(); word&1 == 0 && g.word.CompareAndSwap(word, word|1) {
		return
	}
	g.lockSlowly()
}

func (g *Gate) lockSlowly() {
	for tries := 1; ; tries++ {
		if word := g.word.Load(); word&1 == 0 && g.word.CompareAndSwap(word, word|1) {
			return
		}
		// Whoever has the lock needs some ten nanoseconds, or has been stopped.
		if tries%8 == 0 {
			runtime.Gosched()
		}
	}
}

// Unlock unlocks the gate and publishes what was appended.
func (g *Gate) Unlock() { g.word.Store(2 * g.head) }

// published returns how many events have been published.
func (g *Gate) published() uint64 { return g.word.Load() / 2 }

// Full returns a cursor that has no room for another event and does not drop,
// one that rejects before one that blocks, or nil. The caller holds the lock.
func (g *Gate) Full() *Position {
	if g.head < g.limit {
		return nil
	}
	return g.findFull()
}

func (g *Gate) findFull() *Position {
	var full *Position
	g.limit = unlimited
	for _, p := range g.cursors {
		if p.policy == DropOldest {
			continue
		}
		bound := p.bound()
		g.limit = min(g.limit, bound)
		if bound <= g.head && (full == nil || p.policy == Reject) {
			full = p
		}
	}
	return full
}

// Policy returns the policy of the cursor.
func (p *Position) Policy() Policy { return p.policy }

// bound returns how far the log may grow before the cursor is full. What it
// replays does not count.
func (p *Position) bound() uint64 {
	return max(p.base.Load(), p.start) + p.capacity
}

// HasRoom reports whether another event would fit, for a look without the lock.
func (p *Position) HasRoom() bool {
	return p.ended.Load() || p.gate.published() < p.bound()
}

// Taken returns how many events the readers have taken and begun with.
func (p *Position) Taken() uint64 {
	if p.shared {
		p.gate.Lock()
		defer p.gate.Unlock()
	}
	dropped := p.dropped.Load()
	return p.base.Load() - p.first - dropped
}

// Dropped returns how many events the cursor has lost.
func (p *Position) Dropped() uint64 { return p.dropped.Load() }

// Lag returns how many events the cursor has before it.
func (p *Position) Lag() uint64 {
	base := p.base.Load()
	if p.ended.Load() {
		p.gate.Lock()
		defer p.gate.Unlock()
		return p.until - min(base, p.until)
	}
	head := p.gate.published()
	return head - min(base, head)
}

// Wait returns a channel that is closed when there may be room again, or nil
// if there is now. The caller holds the lock; it calls [Position.Leave] if it
// does not wait to the end.
func (p *Position) Wait() chan struct{} {
	room := make(chan struct{})
	p.waiters = append(p.waiters, room)
	p.waiting.Add(1)
	// A reader that has gone on before it could see the waiter has made room.
	if p.bound() > p.gate.head || p.ended.Load() {
		p.waiters = p.waiters[:len(p.waiters)-1]
		p.waiting.Add(-1)
		return nil
	}
	return room
}

// Leave ends the wait for room. A turn that had come goes to the next waiter.
func (p *Position) Leave(room chan struct{}) {
	p.gate.Lock()
	defer p.gate.Unlock()
	if i := slices.Index(p.waiters, room); i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
		p.waiting.Add(-1)
		return
	}
	p.admitLocked(1)
}

// Pass gives the turn of a writer that does not use it to the next one.
func (p *Position) Pass() { p.admit() }

// admit gives a waiting writer its turn, after a reader has made room.
func (p *Position) admit() {
	p.gate.Lock()
	defer p.gate.Unlock()
	p.admitLocked(1)
}

func (p *Position) admitLocked(n int) {
	n = min(n, len(p.waiters))
	for _, room := range p.waiters[:n] {
		close(room)
	}
	p.waiters = slices.Delete(p.waiters, 0, n)
	p.waiting.Add(-int32(n))
}

// wakeAllLocked wakes every reader asleep.
func (g *Gate) wakeAllLocked() {
	g.active.Add(int64(len(g.asleep)))
	for _, p := range g.asleep {
		p.sleeping--
		p.wake <- struct{}{}
	}
	clear(g.asleep)
	g.asleep = g.asleep[:0]
	g.restLocked(-g.resting)
}

// restLocked notes that n more cursors rest, or that there are others.
func (g *Gate) restLocked(n int) {
	g.resting += n
	g.reading.Store(int32(len(g.cursors) - g.resting))
}

// wakeLocked wakes the readers of p.
func (g *Gate) wakeLocked(p *Position) {
	if p.sleeping == 0 {
		return
	}
	g.active.Add(int64(p.sleeping))
	g.asleep = slices.DeleteFunc(g.asleep, func(other *Position) bool { return other == p })
	g.restLocked(-1)
	for ; p.sleeping > 0; p.sleeping-- {
		p.wake <- struct{}{}
	}
}

// Wake tells a reader that is asleep of an event, or of the end.
func (p *Position) Wake() <-chan struct{} { return p.wake }

// Rouse ends the sleep of a reader that has not been woken.
func (p *Position) Rouse() {
	g := p.gate
	g.Lock()
	i := slices.Index(g.asleep, p)
	if i < 0 {
		g.Unlock()
		<-p.wake
		return
	}
	g.asleep = slices.Delete(g.asleep, i, i+1)
	if p.sleeping--; p.sleeping == 0 {
		g.restLocked(-1)
	}
	g.active.Add(1)
	g.Unlock()
}

// Ready reports whether there may be something to take, for a look without
// the lock.
func (p *Position) Ready() bool {
	return p.ended.Load() || p.base.Load() < p.gate.published()
}

// Discarded returns how many events were dropped when the cursor ended.
func (p *Position) Discarded() uint64 { return p.discarded.Load() }

// Cut reports whether the cursor has ended and its events were dropped.
func (p *Position) Cut() bool { return p.cut.Load() }

// Unread reports whether a shared cursor has an event that is not taken.
func (p *Position) Unread() bool {
	p.gate.Lock()
	defer p.gate.Unlock()
	end := p.gate.head
	if p.ended.Load() {
		end = p.until
	}
	return p.next < end
}

// Barrier returns when the writers that have the gate locked are through.
func (p *Position) Barrier() {
	p.gate.Lock()
	defer p.gate.Unlock()
}
