package topiclog

// Reader is a goroutine that reads a cursor: the one of a cursor with one lane,
// or one of several.
type Reader struct {
	*Cursor

	// Of the reader of a cursor with one, who alone uses them: the run of
	// events at hand, and where it has had the log let go of what it read.
	_                   [64]byte // they are written for every event
	next, end, released uint64
	_                   [64]byte

	current uint64 // of a shared cursor: behind the event it is at, 0 for none; guarded by the lock
}

// mostHeld bounds how many events are read and not let go of.
const mostHeld = 32

// NewReader returns a reader of the cursor, which counts as one already.
func (p *Cursor) NewReader() *Reader {
	p.log.Lock()
	defer p.log.Unlock()
	at := p.position()
	return &Reader{Cursor: p, next: at, end: at, released: at}
}

// extend lengthens the run at hand. It reports false if that takes the lock: to
// fall idle, to let go of what was read, or because the cursor has ended.
func (r *Reader) extend() bool {
	if r.ended.Load() {
		return false
	}
	if r.next-r.released >= mostHeld {
		if r.slowest.Load() {
			return false
		}
		r.released = r.next
	}
	end := min(r.log.published(), r.released+mostHeld)
	if r.next == end {
		return false
	}
	r.end = end
	return true
}

// claim takes the next event of the run, once it has been copied, unless the
// cursor has ended: then only the lock tells what is left for it.
func (r *Reader) claim() bool {
	if r.base.Swap(r.next+1) >= sealed {
		r.end = r.next
		return false
	}
	r.next++
	if r.awaited.Load() {
		r.madeRoom()
	}
	return true
}

// Event returns the number of the event that was taken last, for Hold.
func (r *Reader) Event() uint64 {
	if r.shared {
		return r.current
	}
	return r.next
}

func (p *Cursor) madeRoom() {
	p.log.Lock()
	defer p.log.Unlock()
	p.serveAwaited()
}

// serveAwaited lets in who waits for room in this cursor.
func (p *Cursor) serveAwaited() {
	if p.awaited.Load() {
		p.awaited.Store(false)
		p.log.limit = 0
		p.log.serve()
	}
}

// take is [Taker].take. more is true if another lane is to be started, which is
// counted already. Where there is no event, the one that the reader was at is
// over.
func (r *Reader) take() (at, dropped uint64, more, ok bool) {
	c := r.log
	if !r.shared {
		c.releaseSoon(max(1, r.next-r.released))
		r.released = r.next
	} else if !r.Batch {
		r.finish()
	}
	at = r.position()
	if r.unread() == 0 {
		r.rested = at
		return 0, 0, false, false
	}
	r.moveTo(at + 1)
	r.next, r.end = at+1, at+1
	if !r.shared {
		return at, 0, false, true
	}
	r.current = at + 1
	r.atWork++
	dropped, r.gap = r.gap, 0
	// One lane is always to spare, for an event that comes while others work.
	if r.sleeping == 0 && r.started < r.Lanes {
		r.started++
		c.begun()
		more = true
	}
	return at, dropped, more, true
}

// from is [Taker].from.
func (r *Reader) from() any { return r.final }

// taken is [Taker].taken.
func (r *Reader) taken() {
	if r.shared {
		r.log.releaseSoon(1)
	}
	r.serveAwaited()
}

// finish ends the event that a reader of a shared cursor is at.
func (r *Reader) finish() {
	if r.current != 0 {
		r.current = 0
		r.atWork--
	}
}

// Finish ends the events of a batch, which were handled or dropped.
func (r *Reader) Finish(dropped bool) {
	r.log.Lock()
	defer r.log.Unlock()
	if dropped {
		r.discarded += uint64(r.atWork)
	}
	r.current, r.atWork = 0, 0
}

// State is what a reader finds that wants to sleep.
type State int

// The states of a reader.
const (
	Asleep State = iota // wait for Wake
	Events              // there are some after all
	Hurry               // hand out what was collected: the bus drains
	Ended               // there will be none any more
)

// Sleep has the reader wait for Wake if there is nothing to read. One that has
// collected events for a batch stays busy.
func (r *Reader) Sleep() State {
	c := r.log
	c.Lock()
	defer c.Unlock()
	collecting := r.Batch && r.atWork > 0
	switch {
	case r.over.Load():
		return Ended
	case r.unread() > 0:
		return Events
	case r.ended.Load():
		r.final = nil
		return Ended
	case collecting && c.shut != toNobody:
		return Hurry
	}
	if !collecting {
		r.finish()
	}
	r.rested = r.position()
	r.collecting = collecting
	r.lieDown()
	if !collecting {
		c.rested()
	}
	if c.busy == 0 {
		c.release()
	} else {
		c.releaseSoon(1)
	}
	return Asleep
}

// Wake returns the channel by which a reader asleep is woken.
func (p *Cursor) Wake() <-chan struct{} { return p.wake }

// Rouse wakes a reader asleep that has not been woken, for a reason of its own.
func (r *Reader) Rouse() {
	r.log.Lock()
	if r.sleeping > 0 {
		r.log.wakeOne(r.Cursor)
	}
	r.log.Unlock()
	<-r.wake
}

// Ready reports whether there is something to read, for a look without the
// lock. ended says that only Sleep knows, since the cursor has ended.
func (p *Cursor) Ready() (ready, ended bool) {
	ended = p.ended.Load()
	return !ended && p.base.Load() < p.log.published(), ended
}

// Exit ends the reader, and reports whether it was the last one.
func (r *Reader) Exit() (last bool) {
	c := r.log
	c.Lock()
	defer c.Unlock()
	r.finish()
	r.rested = r.position()
	r.started--
	c.rested()
	if c.busy == 0 {
		c.release()
	}
	if r.ended.Load() && r.started == 0 {
		r.leave()
	}
	return r.started == 0
}

// Begin makes the calling loop the reader of its cursor. It reports false if
// the cursor has ended and nothing is left.
func (r *Reader) Begin() bool {
	c := r.log
	c.Lock()
	defer c.Unlock()
	switch {
	case r.sleeping > 0:
		c.wakeOne(r.Cursor)
	case !r.pending:
		return false
	}
	r.pending, r.started = false, 1
	return true
}

// Hold reports whether the event of that number is at work, and if so keeps the
// gate busy until Release.
func (r *Reader) Hold(event uint64) bool {
	c := r.log
	c.Lock()
	defer c.Unlock()
	if r.shared && r.current != event || !r.shared && (r.position() != event || r.rested == event) {
		return false
	}
	c.begun()
	return true
}

// lieDown notes that a reader sleeps.
func (p *Cursor) lieDown() {
	c := p.log
	if p.sleeping++; p.sleeping == 1 {
		p.bed = len(c.asleep)
		c.asleep = append(c.asleep, p)
	}
	c.alert = true
}

// wakeOne wakes a reader and counts it.
func (c *Core) wakeOne(p *Cursor) {
	if p.sleeping--; p.sleeping == 0 {
		last := len(c.asleep) - 1
		c.asleep[p.bed] = c.asleep[last]
		c.asleep[p.bed].bed = p.bed
		c.asleep[last] = nil
		c.asleep = c.asleep[:last]
	}
	if !p.collecting {
		c.begun()
	}
	p.collecting = false
	p.pending = p.Loop && p.started == 0
	if !p.pending {
		p.wake <- struct{}{}
	}
}
