package durable

import (
	"context"
	"sync"
	"time"
)

// hand is what a subscription has in hand: the deliveries that are claimed and
// not settled. Its one lock guards all of it; no user's code and no call of the
// engine is made under it.
//
// There are four waits, each with one condition: the fetcher waits until there is
// room, the workers until there is something to run (ready), the settler until
// there is something to store (outbox), the teller until there is something to tell
// (untold), or until there will be nothing any more. Whoever makes a condition true signals it, under the lock.
type hand struct {
	*subscribeOptions
	fencing, renews bool

	sync.Mutex
	roomier, runnable, outgoing, telling sync.Cond

	held    map[*Delivery]*held
	ready   []*held            // waiting for a worker, oldest first
	lines   map[string][]*held // by key, the first one ready or running; with OrderByKey
	running int                // of held: with a handler at work
	outbox  []Settlement       // to be stored
	untold  []Observation      // stored, to be logged and reported

	closing bool // nothing is run any more
	fetched bool // nothing is fetched any more
	settled bool // nothing is settled any more
	told    bool // nothing is stored any more
}

// held is a delivery in hand.
type held struct {
	*Delivery
	state    state
	until    time.Time               // how long the lease is trusted
	lost     bool                    // it is not any more
	renewing bool                    // a renewal is in the outbox
	cancel   context.CancelCauseFunc // of the handler at work
	began    time.Time               // of that
	overdue  bool                    // that was logged to go on after its timeout
	result   Observation
}

type state uint8

const (
	isWaiting state = iota
	isRunning
	isSettled // its settlement is in the outbox, or it is given up
)

func (h *hand) init(o *subscribeOptions, f Features) {
	h.subscribeOptions, h.fencing, h.renews = o, f.Fencing, f.Renew
	h.held, h.lines = make(map[*Delivery]*held), make(map[string][]*held)
	h.roomier.L, h.runnable.L, h.outgoing.L, h.telling.L = h, h, h, h
}

// room waits until it is worth fetching, and returns how many deliveries there
// is room for, or 0 when there will be none.
func (h *hand) room() int {
	h.Lock()
	defer h.Unlock()
	for !h.closing && !h.hasRoom() {
		h.roomier.Wait()
	}
	if h.closing {
		return 0
	}
	return h.consumer.MaxInFlight - len(h.held)
}

// hasRoom reports whether it is worth fetching: workers run out of deliveries, an
// observer is not behind, and not all workers are at handlers that go on and on.
func (h *hand) hasRoom() bool {
	return len(h.ready) <= h.prefetch/2 && len(h.held) < h.consumer.MaxInFlight &&
		len(h.untold) <= h.consumer.MaxInFlight && !h.isStuck()
}

// isStuck reports whether all workers have been at one delivery for longer than a
// lease. What waits behind them is better off with another process.
func (h *hand) isStuck() bool {
	if h.running < h.workers {
		return false
	}
	for _, one := range h.held {
		if one.state == isRunning && time.Since(one.began) <= h.consumer.Lease {
			return false
		}
	}
	return true
}

// accept takes deliveries in hand. Those that come after Close go back.
func (h *hand) accept(deliveries []*Delivery) {
	h.Lock()
	defer h.Unlock()
	for _, d := range deliveries {
		one := &held{Delivery: d, until: d.Claimed.Add(h.consumer.Lease)}
		h.held[d] = one
		switch line := h.lines[d.Key]; {
		case h.closing, len(line) >= h.longestLine():
			h.release(one)
		case !h.consumer.OrderByKey || d.Key == "":
			h.ready = append(h.ready, one)
		default:
			h.lines[d.Key] = append(line, one)
			if len(line) == 0 {
				h.ready = append(h.ready, one)
			}
		}
	}
	h.runnable.Broadcast()
}

// longestLine is how many deliveries of a key may be in hand, so that there are some
// of other keys for all workers, however slow one key is.
func (h *hand) longestLine() int { return max(1, h.consumer.MaxInFlight/h.workers) }

// next waits for a delivery to run, and reports false if there will be none.
func (h *hand) next() (*held, bool) {
	h.Lock()
	defer h.Unlock()
	for {
		for len(h.ready) == 0 && !h.closing {
			h.runnable.Wait()
		}
		if h.closing {
			return nil, false
		}
		one := h.ready[0]
		h.ready[0] = nil
		h.ready = h.ready[1:]
		switch {
		case one.state != isWaiting:
		case !one.trusted():
			h.lose(one)
		default:
			one.state, one.began = isRunning, time.Now()
			h.running++
			h.roomier.Signal()
			return one, true
		}
	}
}

// begin gives the handler of one a context to be cancelled with.
func (h *hand) begin(one *held, cancel context.CancelCauseFunc) {
	h.Lock()
	defer h.Unlock()
	one.cancel = cancel
	if one.lost {
		cancel(ErrLeaseLost)
	}
}

// finish settles a delivery that has run. What follows it in its line runs next
// if it is over and done with, and goes back with it if not.
func (h *hand) finish(one *held, s Settlement, result Observation) {
	h.Lock()
	defer h.Unlock()
	h.running--
	h.roomier.Signal()
	if one.lost && s.Reason != "" {
		s.Reason = ErrLeaseLost.Error() + ": " + s.Reason
	}
	one.result, one.result.Outcome = result, s.Outcome
	if h.settled || one.lost && !h.fencing && s.Outcome != OutcomeAck {
		h.forget(one) // nobody to tell, or it would be told of another's delivery
	} else {
		h.settle(one, s)
	}
	h.advance(one, !one.lost && (s.Outcome == OutcomeAck || s.Outcome == OutcomeDeadLetter))
}

// advance has the next of the line of one run, or the whole rest go back.
func (h *hand) advance(one *held, goOn bool) {
	line := h.lines[one.Key]
	if len(line) == 0 || line[0] != one {
		return
	}
	rest := line[1:]
	if goOn && len(rest) > 0 {
		h.lines[one.Key] = rest
		if rest[0].state == isWaiting {
			h.ready = append(h.ready, rest[0])
			h.runnable.Signal()
			return
		}
	}
	delete(h.lines, one.Key)
	for _, later := range rest {
		if later.state == isWaiting {
			h.release(later)
		}
	}
}

// release gives back a delivery that has not run.
func (h *hand) release(one *held) {
	if one.lost && !h.fencing {
		h.forget(one)
		return
	}
	h.settle(one, Settlement{Delivery: one.Delivery, Outcome: OutcomeRelease})
}

func (h *hand) settle(one *held, s Settlement) {
	one.state = isSettled
	if one.result.Delivery == nil {
		one.result = Observation{Delivery: one.Delivery, Outcome: s.Outcome}
	}
	h.outbox = append(h.outbox, s)
	h.outgoing.Signal()
}

// forget lets go of a delivery about which there is nothing to store.
func (h *hand) forget(one *held) {
	one.state = isSettled
	delete(h.held, one.Delivery)
	h.roomier.Signal()
}

// close has nothing be run any more, and what was not yet run go back.
func (h *hand) close() {
	h.Lock()
	defer h.Unlock()
	if h.closing {
		return
	}
	h.closing = true
	h.giveBack()
	h.roomier.Broadcast()
	h.runnable.Broadcast()
}

// stopFetching notes that nothing is fetched any more.
func (h *hand) stopFetching() {
	h.Lock()
	defer h.Unlock()
	h.fetched = true
	h.giveBack()
}

// giveBack releases what will not be run, once the engine has been told that nobody waits
// for anything: it could hand out what was given back to a wait that is still open.
func (h *hand) giveBack() {
	if !h.closing || !h.fetched {
		return
	}
	for _, one := range h.held {
		if one.state == isWaiting {
			h.release(one)
		}
	}
	clear(h.lines)
	h.ready = nil
}

// stopSettling ends the settler when it has stored what there is.
func (h *hand) stopSettling() {
	h.Lock()
	defer h.Unlock()
	h.settled = true
	h.outgoing.Broadcast()
}

// atWork returns how many handlers are running.
func (h *hand) atWork() int {
	h.Lock()
	defer h.Unlock()
	return h.running
}

// isAtWork reports whether the handler of a delivery is running.
func (h *hand) isAtWork(d *Delivery) bool {
	h.Lock()
	defer h.Unlock()
	one := h.held[d]
	return one != nil && one.state == isRunning
}

// inHand returns how many deliveries are claimed and not settled.
func (h *hand) inHand() int {
	h.Lock()
	defer h.Unlock()
	return len(h.held)
}
