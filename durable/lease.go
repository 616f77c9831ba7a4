package durable

import (
	"slices"
	"time"
)

// trusted reports whether the lease still holds, by the monotonic clock and by
// that of the wall: the one stands still while a machine sleeps, the other may be
// set.
func (one *held) trusted() bool {
	now := time.Now()
	left := one.until.Sub(now)
	return !one.lost && left > 0 && one.until.Round(0).Sub(now.Round(0)) > 0
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
		switch {
		case one.state == isSettled || one.renewing || !one.trusted():
		case one.state == isWaiting && time.Since(one.Claimed) > h.consumer.Lease:
			h.putBack(one)
		default:
			one.renewing = true
			h.outbox = append(h.outbox, Settlement{Delivery: one.Delivery, Outcome: OutcomeRenew})
		}
	}
	h.outgoing.Signal()
}

// putBack gives back what has waited for a worker for too long, with what is behind it
// in its line.
func (h *hand) putBack(one *held) {
	h.ready = slices.DeleteFunc(h.ready, func(other *held) bool { return other == one })
	line := h.lines[one.Key]
	i := slices.Index(line, one)
	if i < 0 {
		h.release(one)
		return
	}
	for _, later := range line[i:] {
		if later.state == isWaiting {
			h.release(later)
		}
	}
	if h.lines[one.Key] = line[:i:i]; i == 0 {
		delete(h.lines, one.Key)
	}
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
