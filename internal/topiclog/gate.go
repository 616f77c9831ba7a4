package topiclog

import (
	"context"
	"runtime"
	"sync/atomic"
)

// Gate is the part of a log, or of another place that takes events, which does
// not depend on how they are kept: its lock, whether there is room, the line of
// publishers that wait for some, and how many goroutines are at work behind it.
// With several gates, a publisher locks them in the order of their IDs and
// leaves its event behind all or none.
type Gate struct {
	ID uint64 // in the order of creation

	_ [64]byte // what follows is written for every event

	// word is twice the head, for readers without the lock, and odd while
	// somebody has the lock: an append takes two atomic operations, where a
	// sync.Mutex and a separate head take three. Nobody holds it for long, but for
	// who copies a ring.
	word atomic.Uint64

	// Guarded by the lock.
	head  uint64 // how many events were accepted; where the next one goes
	free  uint64 // below this an event needs no preparation: 0 with a line or a seal
	alert bool   // after an event there is something to do: somebody sleeps, or the log replays
	shut  shut
	place place
	store store
	line  []*Waiter // oldest first
	busy  int       // goroutines awake, events held, loops that have not begun on their events
	idle  chan struct{}
}

// shut says whom the gate keeps out.
type shut uint8

const (
	toNobody    shut = iota
	toOutsiders      // all but the handlers at work, in the drain of a bus
	toEveryone
)

// place keeps the events behind a gate. Its methods are called under the lock.
type place interface {
	// full returns the options of a queue without room for another event, of one
	// that rejects before one that blocks. Where await is true, what makes room in
	// that queue calls serve.
	full(await bool) *Options
	// enter says where an event goes for which there is room, and false if
	// nobody is there for it. entered is called when it has been stored.
	enter(key string) (at uint64, ok bool)
	entered()
	// wakeForSeal has what was collected for a batch go out.
	wakeForSeal()
}

// store is the events themselves, by their places. Its methods are called under
// the lock.
type store interface {
	grow(from, to, size uint64) // makes room for size, and keeps those from from to to
	clear(from, to uint64)      // lets go of events
	write(at uint64, entry any) // puts an entry in its place
	leave() any                 // the store as it is, for a reader to go on with
}

var lastID atomic.Uint64

func (g *Gate) init(p place, s store) {
	g.ID = lastID.Add(1)
	g.place, g.store = p, s
}

// put adds an entry for which there is room.
func (g *Gate) put(entry any, key string) {
	if at, ok := g.place.enter(key); ok {
		g.store.write(at, entry)
		g.place.entered()
	}
}

// Lock locks the gate.
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
		// Whoever has the lock needs some ten nanoseconds, copies a ring, or has
		// been stopped.
		if tries%8 == 0 {
			runtime.Gosched()
		}
	}
}

// Unlock unlocks the gate and publishes what was added.
func (g *Gate) Unlock() { g.word.Store(2 * g.head) }

// published returns how many events have been published.
func (g *Gate) published() uint64 { return g.word.Load() / 2 }

// begun counts a goroutine that has woken, or an event that is held.
func (g *Gate) begun() { g.busy++ }

// rested undoes begun, and is the one signal to those who wait for idleness.
func (g *Gate) rested() {
	if g.busy--; g.busy == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Idle waits until nothing behind the gate is unread, collected or at work, and
// every goroutine sleeps or has ended. It returns how many events were accepted
// until that moment, or the cause of ctx.
func (g *Gate) Idle(ctx context.Context) (accepted uint64, err error) {
	for {
		g.Lock()
		if g.busy == 0 {
			accepted = g.head
			g.Unlock()
			return accepted, nil
		}
		if g.idle == nil {
			g.idle = make(chan struct{})
		}
		idle := g.idle
		g.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// Done waits until every goroutine behind the gate has ended, after its end:
// they are at work until then.
func (g *Gate) Done(ctx context.Context) error {
	_, err := g.Idle(ctx)
	return err
}

// Release ends a hold of an event that is at work.
func (g *Gate) Release() {
	g.Lock()
	defer g.Unlock()
	g.rested()
}

// Seal refuses outsiders from now on, those included who wait in the line, and
// has no batch wait for more.
func (g *Gate) Seal() { g.shutTo(toOutsiders) }

// Shut refuses everyone from now on.
func (g *Gate) Shut() { g.shutTo(toEveryone) }

// shutTo keeps publishers out, and sends those in the line away.
func (g *Gate) shutTo(whom shut) {
	g.Lock()
	defer g.Unlock()
	g.shut = max(g.shut, whom)
	g.free = 0
	rest := g.line[:0]
	for _, w := range g.line {
		if g.admits(w.Admitted) {
			rest = append(rest, w)
		} else {
			w.inLine = false
			if !w.called { // otherwise it finds out when it comes back
				w.Woken <- Refused
			}
		}
	}
	clear(g.line[len(rest):])
	g.line = rest
	g.place.wakeForSeal()
	g.serve()
}

func (g *Gate) admits(admitted bool) bool {
	return g.shut == toNobody || g.shut == toOutsiders && admitted
}
