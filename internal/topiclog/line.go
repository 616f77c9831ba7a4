package topiclog

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
)

// Waiter is a publisher that waits for room, or is about to.
//
// A waiter is in one line at most. Whoever makes room serves the line of that
// gate, under its lock: an entry that is still to go where it was meant for is
// added in the publisher's name, and otherwise the publisher is called to come
// back. It stays at the head of the line until it does, so that nobody
// overtakes it, and must not run a user's code before.
type Waiter struct {
	Woken chan Outcome // gets one value for each time that the waiter is in a line

	age uint64
	at  *Gate // in whose line it was last; of the publisher alone

	// Guarded by that one's lock.
	Request
	inLine bool
	called bool
}

// Request is what a publisher waits with.
type Request struct {
	Entry    any         // for the one gate that has to take it; nil if the publisher has to come back
	Key      string      // of it
	Fresh    func() bool // whether Entry is still to be added; asked under the lock
	Admitted bool        // while only handlers at work are let in
}

// Outcome is how a wait ends.
type Outcome int

// The outcomes of a wait.
const (
	Called  Outcome = iota // there may be room: try again
	Added                  // the entry was added
	Refused                // the gate has been shut
)

var lastAge atomic.Uint64

// newcomer is the age of who has not waited.
const newcomer = math.MaxUint64

func (w *Waiter) ageOf() uint64 {
	if w == nil || w.age == 0 {
		return newcomer
	}
	return w.age
}

// Verdict is what a gate says to a publisher.
type Verdict int

// The verdicts of a gate.
const (
	Room    Verdict = iota
	NoRoom          // wait, or give up if a queue rejects
	NoEntry         // the gate is shut
)

// behindOthers is what a publisher finds in the way that is younger than those in the
// line.
var behindOthers = Options{Policy: Block}

// Ask tells a publisher, who has the lock, whether it may add an event. w is
// nil for one that has not waited.
func (g *Gate) Ask(w *Waiter, admitted bool) (Verdict, *Options) {
	if !g.admits(admitted) {
		return NoEntry, nil
	}
	full := g.place.full(false)
	switch {
	case full != nil:
		return NoRoom, full
	case len(g.line) > 0 && g.line[0].age < w.ageOf():
		return NoRoom, &behindOthers
	}
	return Room, nil
}

// FullQueue returns a queue without room, or nil, and how many publishers wait.
func (g *Gate) FullQueue() (full *Options, waiting int) {
	g.Lock()
	defer g.Unlock()
	return g.place.full(false), len(g.line)
}

// Wait puts w in the line of the gate, by its age, and has it leave any other.
func (g *Gate) Wait(w *Waiter, r Request) {
	if w.age == 0 {
		w.age = lastAge.Add(1)
	}
	if w.at != g {
		w.Leave()
		w.at = g
	}
	g.Lock()
	defer g.Unlock()
	w.Request = r
	switch {
	case w.inLine:
		w.called = false
	case !g.admits(w.Admitted):
		w.Woken <- Refused
		return
	default:
		g.line = slices.Insert(g.line, g.placeOf(w), w)
		w.inLine, w.called = true, false
	}
	g.serve()
}

// Leave takes w out of the line and reports whether it was in one, not yet
// called. If it was not, its outcome is in Woken, unless that has been taken.
func (w *Waiter) Leave() (waiting bool) {
	g := w.at
	if g == nil {
		return false
	}
	w.at = nil
	g.Lock()
	defer g.Unlock()
	if !w.inLine {
		return false
	}
	waiting = !w.called
	i := g.placeOf(w)
	g.line = slices.Delete(g.line, i, i+1)
	w.inLine, w.called = false, false
	g.serve()
	return waiting
}

// placeOf returns where w is in the line, or is to be.
func (g *Gate) placeOf(w *Waiter) int {
	place, _ := slices.BinarySearchFunc(g.line, w, func(a, b *Waiter) int { return cmp.Compare(a.age, b.age) })
	return place
}

// serve lets in those who wait, oldest first, for as long as there is room.
func (g *Gate) serve() {
	for len(g.line) > 0 {
		w := g.line[0]
		if w.called {
			break
		}
		full := g.place.full(true)
		if full != nil && full.Policy != Reject {
			break
		}
		if full != nil || w.Entry == nil || !w.Fresh() {
			w.called = true
			w.Woken <- Called
			break
		}
		g.put(w.Entry, w.Key)
		g.line[0] = nil
		g.line = g.line[1:]
		w.inLine = false
		w.Woken <- Added
	}
	if len(g.line) > 0 {
		g.free = 0
	} else {
		g.line = nil
	}
}

// IsOver reports whether w, which has waited in the line of the gate, has been
// let in, called or sent away.
func (g *Gate) IsOver(w *Waiter) bool {
	g.Lock()
	defer g.Unlock()
	return !w.inLine || w.called
}
