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
// There are three waits, each with one condition: the fetcher waits until there
// is room (full), the workers until there is something to run or nothing to come
// (ready), the settler until there is something to store or nothing to come
// (outbox). Whoever makes a condition true signals it, under the lock.
type hand struct {
	*subscribeOptions
	fencing, renews bool

	sync.Mutex
	roomier, runnable, outgoing sync.Cond

	held    map[*Delivery]*held
	ready   []*held            // waiting for a worker, oldest first
	lines   map[string][]*held // by key, the first one ready or running; with OrderByKey
	waiting int                // of held: in ready and lines, not yet run
	running int                // of held: with a handler at work
	outbox  []Settlement       // to be stored

	closing bool // nothing is run any more
	settled bool // nothing is settled any more
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
	h.roomier.L, h.runnable.L, h.outgoing.L = h, h, h
}

// room waits until it is worth fetching, and returns how many deliveries there
// is room for, or 0 when there will be none.
func (h *hand) room() int {
	h.Lock()
	defer h.Unlock()
	for !h.closing && (h.waiting > h.prefetch/2 || len(h.held) >= h.consumer.MaxInFlight) {
		h.roomier.Wait()
	}
	if h.closing {
		return 0
	}
	return h.consumer.MaxInFlight - len(h.held)
}

// accept takes deliveries in hand. Those that come after Close go back.
func (h *hand) accept(deliveries []*Delivery) {
	h.Lock()
	defer h.Unlock()
	for _, d := range deliveries {
		one := &held{Delivery: d, until: d.Claimed.Add(h.consumer.Lease)}
		h.held[d] = one
		h.waiting++
		switch line := h.lines[d.Key]; {
		case h.closing:
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
			h.waiting--
			h.running++
			h.roomier.Signal()
			return one, true
		}
	}
}

// trusted reports whether the lease still holds, by the monotonic clock and by
// that of the wall: the one stands still while a machine sleeps, the other may be
// set.
func (one *held) trusted() bool {
	now := time.Now()
	left := one.until.Sub(now)
	return !one.lost && left > 0 && one.until.Round(0).Sub(now.Round(0)) > 0
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
	if one.lost && s.Outcome != OutcomeAck {
		s.Outcome = OutcomeRelease // it may have failed for no other reason
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
	h.waiting--
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

// lose notes that a delivery no longer belongs to this process.
func (h *hand) lose(one *held) {
	if one.lost {
		return
	}
	one.lost = true
	switch {
	case one.state == isWaiting:
		h.release(one) // its token tells whether somebody else has it
		h.advance(one, false)
	case one.cancel != nil:
		one.cancel(ErrLeaseLost)
	}
}

// expire gives up the leases that are over.
func (h *hand) expire() {
	h.Lock()
	defer h.Unlock()
	for _, one := range h.held {
		if one.state != isSettled && !one.trusted() {
			h.lose(one)
		}
	}
}

// renew has all leases renewed that are not over.
func (h *hand) renew() {
	h.Lock()
	defer h.Unlock()
	if !h.renews || h.settled {
		return
	}
	for _, one := range h.held {
		if one.state != isSettled && !one.renewing && one.trusted() {
			one.renewing = true
			h.outbox = append(h.outbox, Settlement{Delivery: one.Delivery, Outcome: OutcomeRenew})
		}
	}
	h.outgoing.Signal()
}

// overdue returns the handlers that go on although their time is over, each once.
func (h *hand) overdue() (overdue []*held) {
	h.Lock()
	defer h.Unlock()
	for _, one := range h.held {
		if one.state == isRunning && h.timeout > 0 && !one.overdue && time.Since(one.began) > h.timeout+h.consumer.Lease {
			one.overdue = true
			overdue = append(overdue, one)
		}
	}
	return overdue
}

// earliest returns when the first lease ends that is still trusted, or a lease
// from now.
func (h *hand) earliest() time.Time {
	h.Lock()
	defer h.Unlock()
	first := time.Now().Add(h.consumer.Lease)
	for _, one := range h.held {
		if !one.lost && one.state != isSettled && one.until.Before(first) {
			first = one.until
		}
	}
	return first
}

// unsettled waits for settlements to store. It returns none when there will be
// none.
func (h *hand) unsettled() []Settlement {
	h.Lock()
	defer h.Unlock()
	for len(h.outbox) == 0 && !h.settled {
		h.outgoing.Wait()
	}
	return h.takeOutbox()
}

// more returns the settlements that have come up while others could not be
// stored.
func (h *hand) more() []Settlement {
	h.Lock()
	defer h.Unlock()
	return h.takeOutbox()
}

func (h *hand) takeOutbox() []Settlement {
	out := h.outbox
	h.outbox = nil
	return out
}

// worthwhile drops the settlements that must not be stored any more by an engine
// that does not fence.
func (h *hand) worthwhile(settlements []Settlement) []Settlement {
	if h.fencing {
		return settlements
	}
	h.Lock()
	defer h.Unlock()
	kept := settlements[:0]
	for _, s := range settlements {
		one := h.held[s.Delivery]
		if one == nil {
			continue
		}
		if s.Outcome != OutcomeAck && !one.trusted() {
			if s.Outcome == OutcomeRenew {
				one.renewing = false
			} else {
				h.forget(one)
			}
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// stored notes what the engine has stored, when it was called at a time, and
// returns what has become of the deliveries.
func (h *hand) stored(settlements []Settlement, lost []int, called time.Time) (results []Observation) {
	h.Lock()
	defer h.Unlock()
	isLost := make(map[*Delivery]bool, len(lost))
	for _, i := range lost {
		isLost[settlements[i].Delivery] = true
	}
	for _, s := range settlements {
		one := h.held[s.Delivery]
		switch {
		case one == nil:
		case s.Outcome == OutcomeRenew && isLost[s.Delivery]:
			one.renewing = false
			h.lose(one)
		case s.Outcome == OutcomeRenew:
			one.renewing = false
			one.until = called.Add(h.consumer.Lease)
		default:
			one.result.Lost = isLost[s.Delivery]
			results = append(results, one.result)
			h.forget(one)
		}
	}
	return results
}

// close has nothing be run any more, and what was not yet run go back.
func (h *hand) close() {
	h.Lock()
	defer h.Unlock()
	if h.closing {
		return
	}
	h.closing = true
	for _, one := range h.held {
		if one.state == isWaiting {
			h.release(one)
		}
	}
	clear(h.lines)
	h.ready = nil
	h.roomier.Broadcast()
	h.runnable.Broadcast()
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

// inHand returns how many deliveries are claimed and not settled.
func (h *hand) inHand() int {
	h.Lock()
	defer h.Unlock()
	return len(h.held)
}
