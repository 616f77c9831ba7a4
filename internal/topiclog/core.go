package topiclog

import "slices"

// Core is the part of a log that does not depend on the type of its payloads.
type Core struct {
	Gate

	// Guarded by the lock.
	size      uint64    // of the ring
	tail      uint64    // all events before may be written over
	cleared   uint64    // of these, all before have been let go of
	limit     uint64    // no cursor that blocks or rejects is full below this
	dropLimit uint64    // no cursor that drops is full below this
	retain    uint64    // how many events stay to be replayed
	cursors   []*Cursor // that events are still for
	leaving   []*Cursor // that have ended, with a reader at work
	asleep    []*Cursor // of cursors, those with a reader to wake
	lent      bool      // a reader of an ended cursor goes on with the ring: not to be written any more
	slowest   *Cursor   // which was the last of cursors that release looked at, or nil
	search    int       // where in cursors a full one is looked for next
	asked     uint64    // for how many events releaseSoon was called since the last release
}

func (c *Core) init(s store) {
	c.Gate.init(c, s)
	c.limit, c.dropLimit = unlimited, unlimited
}

// enter is [place].enter.
func (c *Core) enter(string) (at uint64, ok bool) {
	return c.head, c.head < c.free || c.prepare()
}

// prepare makes room for an event and notes for how many more. It reports
// false if nobody is there for it.
func (c *Core) prepare() bool {
	if len(c.cursors) == 0 && c.retain == 0 {
		return false
	}
	if c.head >= c.dropLimit {
		c.dropOldest()
	}
	if c.head-c.tail >= c.size {
		c.tail = c.needed()
		if c.head-c.tail >= c.size {
			c.resize(max(8, 2*c.size))
		}
	}
	if c.lent {
		c.resize(c.size)
	}
	if c.free = 0; c.shut == toNobody && len(c.line) == 0 {
		c.free = min(c.limit, c.dropLimit, c.tail+c.size)
	}
	return true
}

// resize moves the events to another ring. Readers that have the old one may go
// on with it: it is not written to any more.
func (c *Core) resize(size uint64) {
	c.store.grow(c.tail, c.head, size)
	c.size, c.cleared, c.lent = size, c.tail, false
}

// entered is [place].entered.
func (c *Core) entered() {
	c.head++
	if c.alert {
		c.attend()
	}
}

func (c *Core) attend() {
	// From behind: whoever is woken last leaves the list.
	for _, p := range slices.Backward(c.asleep) {
		c.wakeOne(p)
	}
	// What is no longer retained goes at once, or with many cursors soon.
	if c.retain > 0 && c.head-c.cleared > c.retain+2*uint64(len(c.cursors)) {
		c.release()
	}
	c.alert = c.retain > 0 || len(c.asleep) > 0
}

// full is [place].full.
func (c *Core) full(await bool) *Options {
	if c.head < c.limit {
		return nil
	}
	// In a line, from where it was held up last: whoever makes room there finds
	// the next one, and not all of them look at all.
	if n := len(c.cursors); await && n > 0 {
		c.limit = 0
		for range n {
			if c.search >= n {
				c.search = 0
			}
			p := c.cursors[c.search]
			if p.Policy == Block && p.bound() <= c.head {
				// In this order: a reader that makes room from here on sees that
				// somebody waits for it.
				p.awaited.Store(true)
				if p.bound() <= c.head {
					return &p.Options
				}
			}
			c.search++
		}
	}
	var full *Cursor
	c.limit = unlimited
	for _, p := range c.cursors {
		if p.Policy == DropOldest {
			continue
		}
		bound := p.bound()
		c.limit = min(c.limit, bound)
		if bound <= c.head && (full == nil || p.Policy == Reject) {
			full = p
		}
	}
	if full == nil {
		return nil
	}
	return &full.Options
}

// dropOldest makes room in every cursor that drops.
func (c *Core) dropOldest() {
	c.dropLimit = unlimited
	dropped := false
	for _, p := range c.cursors {
		if p.Policy != DropOldest {
			continue
		}
		if c.head >= p.bound() {
			excess := c.head + 1 - uint64(p.Capacity) - p.base.Load()
			p.base.Add(excess)
			p.gap += excess
			p.dropped += excess
			dropped = true
		}
		c.dropLimit = min(c.dropLimit, p.bound())
	}
	if dropped {
		c.releaseSoon(1)
	}
}

// needed returns the first event that a cursor has before it, or that is
// retained, and notes whose it is.
func (c *Core) needed() uint64 {
	needed := c.head - min(c.retain, c.head)
	var slowest *Cursor
	for _, p := range c.cursors {
		if base := p.base.Load(); base <= needed {
			needed, slowest = base, p
		}
	}
	if slowest != c.slowest {
		if c.slowest != nil {
			c.slowest.slowest.Store(false)
		}
		if slowest != nil {
			slowest.slowest.Store(true)
		}
		c.slowest = slowest
	}
	return max(needed, c.tail)
}

// release lets go of the events that all cursors have taken.
func (c *Core) release() {
	if c.cleared == c.head {
		return
	}
	c.asked = 0
	needed := c.needed()
	if needed == c.cleared {
		return
	}
	if c.lent {
		c.tail = needed
		c.resize(c.size)
		return
	}
	c.store.clear(max(c.cleared, c.head-min(c.head, c.size)), needed)
	c.tail, c.cleared = needed, max(c.cleared, needed)
}

// releaseSoon releases, for a reader that has read some events, if it is worth
// asking each cursor.
func (c *Core) releaseSoon(read uint64) {
	c.asked += read
	if 8*min(c.asked, c.head-c.cleared) >= uint64(len(c.cursors)) {
		c.release()
	}
}

// Retain has the log keep its last n events, or more if it does so already,
// for cursors to come.
func (c *Core) Retain(n int) {
	c.Lock()
	defer c.Unlock()
	if c.retain = max(c.retain, uint64(n)); c.retain > 0 {
		c.alert = true
	}
}

// Unused reports whether the log has no cursor and no reader any more.
func (c *Core) Unused() bool {
	c.Lock()
	defer c.Unlock()
	return len(c.cursors)+len(c.leaving) == 0
}

// Left is what a queue has not handled.
type Left struct {
	Owner  any
	Queued uint64
	AtWork uint64
}

// Left returns what each queue that has not handled everything has left.
func (c *Core) Left() []Left {
	c.Lock()
	defer c.Unlock()
	return c.left()
}

func (c *Core) left() (left []Left) {
	for _, list := range [][]*Cursor{c.leaving, c.cursors} {
		for _, p := range list {
			if each := p.left(); each.Queued+each.AtWork > 0 {
				left = append(left, each)
			}
		}
	}
	return left
}

// EndAll ends all cursors in one pass, refuses every further event, keeps nothing
// for replay, and returns what was left.
func (c *Core) EndAll(drop bool) []Left {
	c.Shut()
	c.Lock()
	defer c.Unlock()
	for _, p := range slices.Backward(c.cursors) {
		p.end(false) // what is left for it changes under the lock only from here on
	}
	left := c.left()
	if drop {
		for _, p := range slices.Backward(c.leaving) {
			p.end(true)
		}
	}
	c.retain = 0
	c.release()
	return left
}

// wakeForSeal is [place].wakeForSeal.
func (c *Core) wakeForSeal() {
	for _, p := range slices.Backward(c.asleep) {
		if p.collecting {
			c.wakeOne(p)
		}
	}
}
