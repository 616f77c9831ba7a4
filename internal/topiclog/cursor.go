package topiclog

import "sync/atomic"

// Policy is what happens to an event that finds a cursor at its capacity.
type Policy uint8

// The policies.
const (
	Block      Policy = iota // the writer has to wait
	DropOldest               // the cursor loses its oldest event
	Reject                   // the writer has to give up
)

// Cursor reads a log from where it was opened on, and before that what the log
// retains.
type Cursor struct {
	Options
	log    *Core
	shared bool   // readers take events one by one, under the lock
	first  uint64 // where the cursor began, with what it replays
	start  uint64 // where it was opened

	awaited atomic.Bool // a publisher waits for room in this one
	slowest atomic.Bool // it keeps the log from letting go of events; written under the lock
	ended   atomic.Bool // written under the lock
	over    atomic.Bool // what was queued has been dropped
	wake    chan struct{}

	// Guarded by the lock.
	until      uint64 // where it ended
	at         uint64 // base of a cursor that has ended
	final      any    // the ring to read from when ended
	gap        uint64 // dropped since the last take
	dropped    uint64
	discarded  uint64 // by the end
	started    int    // readers
	sleeping   int    // of these
	collecting bool   // the reader asleep has a batch and stays busy
	pending    bool   // there are events for a loop that has not begun
	gone       bool   // it is in no list any more
	atWork     int    // of a shared cursor: readers with an event, or the events of a batch
	rested     uint64 // of one that is not: where base was when its reader had no event
	place      int    // in cursors or leaving
	bed        int    // in asleep

	// base is behind the last event that was taken, and so no longer counts
	// against the capacity. When the cursor ends it is sealed, in the same step
	// in which that is read, and at goes on in its place.
	_    [64]byte // it is written for every event
	base atomic.Uint64
	_    [64]byte
}

// Options are what a cursor is opened with.
type Options struct {
	Owner    any    // whoever opens the cursor
	Capacity int    // how many events may be before it, beside those replayed
	Lanes    int    // readers at most; they share the cursor if that is above 1
	Policy   Policy // for an event beyond the capacity
	Batch    bool   // its one reader collects events
	Loop     bool   // its one reader comes when it likes
}

// Open opens a cursor. Its first reader counts as at work from here on, but for
// a loop, which is so once there are events for it.
func (c *Core) Open(o Options) *Cursor {
	p := &Cursor{Options: o, log: c, shared: o.Lanes > 1 || o.Policy == DropOldest || o.Batch, wake: make(chan struct{}, o.Lanes)}
	c.Lock()
	defer c.Unlock()
	p.start = c.head
	p.first = max(c.tail, c.head-min(c.retain, c.head))
	p.base.Store(p.first)
	p.rested = p.first
	p.place = len(c.cursors)
	c.cursors = append(c.cursors, p)
	if o.Policy == DropOldest {
		c.dropLimit = min(c.dropLimit, p.bound())
	} else {
		c.limit = min(c.limit, p.bound())
	}
	c.free = 0
	switch {
	case !o.Loop:
		p.started = 1
		c.begun()
	case p.first < p.start:
		p.pending = true
		c.begun()
	default:
		p.lieDown()
	}
	return p
}

// bound returns how far the log may grow before the cursor is full. What it
// replays does not count.
func (p *Cursor) bound() uint64 {
	return max(p.base.Load(), p.start) + uint64(p.Capacity)
}

// sealed is in the base of a cursor that has ended.
const sealed = 1 << 63

// position returns base, or what has taken its place.
func (p *Cursor) position() uint64 {
	if p.ended.Load() {
		return p.at
	}
	return p.base.Load()
}

// moveTo sets base, or what has taken its place.
func (p *Cursor) moveTo(position uint64) {
	if p.ended.Load() {
		p.at = position
	} else {
		p.base.Store(position)
	}
}

func (p *Cursor) unread() uint64 {
	if p.over.Load() {
		return 0
	}
	end := p.log.head
	if p.ended.Load() {
		end = p.until
	}
	return end - min(end, p.position())
}

func (p *Cursor) left() Left {
	l := Left{Owner: p.Owner, Queued: p.unread(), AtWork: uint64(p.atWork)}
	if !p.shared && p.rested != p.position() {
		l.AtWork = 1
	}
	return l
}

// Left returns how many events the cursor has before it, and how many its
// readers are at.
func (p *Cursor) Left() Left {
	p.log.Lock()
	defer p.log.Unlock()
	return p.left()
}

// Counts returns how many events were taken, dropped because there was no
// room, and dropped by the end.
func (p *Cursor) Counts() (taken, dropped, discarded uint64) {
	p.log.Lock()
	defer p.log.Unlock()
	return p.position() - p.first - p.dropped, p.dropped, p.discarded
}

// HasRoom reports whether another event would fit.
func (p *Cursor) HasRoom() bool {
	p.log.Lock()
	defer p.log.Unlock()
	return p.ended.Load() || p.log.head < p.bound()
}

// Awake returns how many readers are not asleep, or about to come.
func (p *Cursor) Awake() int {
	p.log.Lock()
	defer p.log.Unlock()
	if p.pending {
		return 1
	}
	if p.started == 0 {
		return 0
	}
	return p.started - p.sleeping
}

// End takes the cursor off the log. Its readers still get what was published
// before, unless that is to be dropped, and nobody waits for room in it. It
// reports whether there is no reader, nor will be one.
func (p *Cursor) End(drop bool) (gone bool) {
	p.log.Lock()
	defer p.log.Unlock()
	p.end(drop)
	if p.log.busy == 0 {
		p.log.release()
	} else {
		p.log.releaseSoon(1)
	}
	p.log.serve()
	return p.gone
}

// Lag returns how many events are queued.
func (p *Cursor) Lag() uint64 { return p.Left().Queued }

// Over reports whether what was queued has been dropped.
func (p *Cursor) Over() bool { return p.over.Load() }

func (p *Cursor) end(drop bool) {
	c := p.log
	if !p.ended.Load() {
		p.until, p.at = c.head, p.base.Or(sealed)
		p.ended.Store(true)
		for p.sleeping > 0 {
			c.wakeOne(p)
		}
		c.cursors[p.place] = c.cursors[len(c.cursors)-1]
		c.cursors[p.place].place = p.place
		c.cursors[len(c.cursors)-1] = nil
		c.cursors = c.cursors[:len(c.cursors)-1]
		if c.slowest == p {
			c.slowest = nil
			if len(c.cursors) > 0 { // any: it finds out when it asks
				c.slowest = c.cursors[0]
				c.slowest.slowest.Store(true)
			}
		}
		p.place = len(c.leaving)
		c.leaving = append(c.leaving, p)
		if p.unread() > 0 && (!drop || !p.shared) {
			// A reader may be at it: it keeps the ring, the log goes on in another.
			p.final = c.store.leave()
			c.lent = true
		}
		c.limit, c.dropLimit, c.free = 0, 0, 0
	}
	if drop {
		p.discarded += p.unread()
		p.final = nil
		p.over.Store(true)
	}
	if p.pending && p.unread() == 0 {
		p.pending = false
		c.rested()
	}
	if p.started == 0 && !p.pending {
		p.leave()
	}
}

// leave forgets a cursor that has ended when its last reader has.
func (p *Cursor) leave() {
	if p.gone {
		return
	}
	p.gone = true
	c := p.log
	c.leaving[p.place] = c.leaving[len(c.leaving)-1]
	c.leaving[p.place].place = p.place
	c.leaving[len(c.leaving)-1] = nil
	c.leaving = c.leaving[:len(c.leaving)-1]
}

// Release ends a hold.
func (p *Cursor) Release() { p.log.Release() }

// InPlace reports whether the cursor's reader reads runs of events in place.
func (p *Cursor) InPlace() bool { return !p.shared }
