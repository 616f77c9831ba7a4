package topiclog

// LineReader is one of the lanes of a queue in the order of keys.
type LineReader struct {
	*Lines

	// Guarded by the lock.
	at      *line  // whose event it is at, or nil
	current uint64 // the number of that event, 0 for none
}

// NewReader returns a lane, which counts as one already.
func (l *Lines) NewReader() *LineReader { return &LineReader{Lines: l} }

// take is [Taker].take.
func (r *LineReader) take() (cell, dropped uint64, more, ok bool) {
	r.finish()
	at := r.row.first
	if at == nil {
		return 0, 0, false, false
	}
	r.row.remove(&at.links)
	at.atWork = true
	r.at = at
	r.atWork++
	r.counts.taken++
	r.current = r.counts.taken
	dropped, r.gap = r.gap, 0
	// One lane is always to spare, for an event that comes while others work.
	if r.asleep == 0 && r.started < r.Lanes {
		r.started++
		r.begun()
		more = true
	} else if r.row.first != nil {
		r.wakeOne()
	}
	return at.first.cell, dropped, more, true
}

// from is [Taker].from.
func (r *LineReader) from() any { return nil }

// taken is [Taker].taken.
func (r *LineReader) taken() {
	r.remove(r.at.first)
	r.serve()
}

// finish ends the event that the lane is at, which frees the line.
func (r *LineReader) finish() {
	at := r.at
	if at == nil {
		return
	}
	r.at, r.current = nil, 0
	r.atWork--
	if at.atWork = false; at.first != nil {
		r.row.push(at, &at.links)
	} else {
		r.retire(at)
	}
}

// Event returns the number of the event that the lane is at, for Hold.
func (r *LineReader) Event() uint64 { return r.current }

// Hold is [Reader.Hold].
func (r *LineReader) Hold(event uint64) bool {
	r.Lock()
	defer r.Unlock()
	if r.current != event {
		return false
	}
	r.begun()
	return true
}

// Sleep is [Reader.Sleep].
func (r *LineReader) Sleep() State {
	r.Lock()
	defer r.Unlock()
	r.finish()
	switch {
	case r.row.first != nil:
		return Events
	case r.Lines.over && r.events.first == nil:
		return Ended
	}
	r.Lines.asleep++
	r.rested()
	return Asleep
}

// Exit is [Reader.Exit].
func (r *LineReader) Exit() (last bool) {
	r.Lock()
	defer r.Unlock()
	r.finish()
	r.started--
	r.rested()
	for r.Lines.over && r.events.first == nil && r.Lines.asleep > 0 {
		r.wakeOne() // who waited for the line of a lane that was at work
	}
	return r.started == 0
}

// Wake returns the channel by which a lane asleep is woken.
func (l *Lines) Wake() <-chan struct{} { return l.wake }

// Ready is [Cursor.Ready]: of lines only Sleep knows.
func (l *Lines) Ready() (ready, ended bool) { return false, true }

// Over reports whether the queue has ended and is empty.
func (l *Lines) Over() bool {
	l.Lock()
	defer l.Unlock()
	return l.over && l.events.first == nil
}
