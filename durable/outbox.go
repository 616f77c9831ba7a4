package durable

import "time"

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

// stored notes what the engine has stored, when it was called at a time, and returns what
// has become of the deliveries. After a call that has failed, that of what was lost is in
// doubt.
func (h *hand) stored(settlements []Settlement, lost []int, called time.Time, inDoubt bool) (results []Observation) {
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
			one.result.Lost = isLost[s.Delivery] && !inDoubt
			one.result.InDoubt = isLost[s.Delivery] && inDoubt
			results = append(results, one.result)
			h.forget(one)
		}
	}
	h.untold = append(h.untold, results...)
	h.telling.Signal()
	return results
}

// nextUntold waits for something to log and report, and reports false if there will be
// nothing any more.
func (h *hand) nextUntold() (o Observation, ok bool) {
	h.Lock()
	defer h.Unlock()
	for len(h.untold) == 0 {
		if h.told {
			return o, false
		}
		h.telling.Wait()
	}
	o = h.untold[0]
	h.untold[0] = Observation{}
	h.untold = h.untold[1:]
	h.roomier.Signal()
	return o, true
}

// stopTelling ends the teller when it has told all.
func (h *hand) stopTelling() {
	h.Lock()
	defer h.Unlock()
	h.told = true
	h.telling.Broadcast()
}
