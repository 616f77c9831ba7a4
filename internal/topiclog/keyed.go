package topiclog

import "context"

// Keyed is a queue whose events are read in the order of their keys, by several
// lanes. Make one with [NewKeyed].
type Keyed[T any] struct {
	Lines
	payloads []Entry[T] // guarded by the lock
}

// KeyedEntry is an event for a Keyed queue that has to wait for room.
type KeyedEntry[T any] struct {
	Entry[T]
	Key string
}

// NewKeyed returns an empty queue, whose first lane counts as at work.
func NewKeyed[T any](o Options) *Keyed[T] {
	k := new(Keyed[T])
	k.Options = o
	k.init(&k.Lines)
	k.cells = k
	k.wake = make(chan struct{}, o.Lanes)
	k.lines = make(map[string]*line)
	k.started = 1
	k.begun()
	return k
}

// Offer adds an event if there is room.
func (k *Keyed[T]) Offer(ctx context.Context, payload T, key string) bool {
	k.Lock()
	defer k.Unlock()
	if verdict, _ := k.Ask(nil, false); verdict != Room {
		return false
	}
	k.Append(ctx, payload, key)
	return true
}

// Append adds an event. The caller has the lock and knows from Ask that there
// is room.
func (k *Keyed[T]) Append(ctx context.Context, payload T, key string) {
	if !k.over {
		cell := k.enter(key) // which may replace payloads
		k.payloads[cell] = Entry[T]{Context: ctx, Payload: payload}
	}
}

// Take takes an event into e, and says how many were dropped before it. If more
// is true, the caller starts another lane for those behind.
func (k *Keyed[T]) Take(r *LineReader, e *Entry[T]) (dropped uint64, more, ok bool) {
	k.Lock()
	defer k.Unlock()
	at, dropped, more := r.take()
	if at == nil {
		return 0, false, false
	}
	*e = k.payloads[at.cell]
	k.remove(at)
	k.serve()
	return dropped, more, true
}

func (k *Keyed[T]) add() int {
	k.payloads = append(k.payloads, Entry[T]{})
	return len(k.payloads) - 1
}

func (k *Keyed[T]) write(cell int, entry any) { k.payloads[cell] = entry.(*KeyedEntry[T]).Entry }
func (k *Keyed[T]) forget(cell int)           { k.payloads[cell] = Entry[T]{} }
func (k *Keyed[T]) keyOf(entry any) string    { return entry.(*KeyedEntry[T]).Key }

// LineReader is one of the lanes of a [Keyed] queue.
type LineReader struct {
	*Lines
	at      *line  // guarded by the lock: whose event it is at, or nil
	current uint64 // guarded by the lock: the number of that event, 0 for none
}

// NewReader returns a lane, which counts as one already.
func (l *Lines) NewReader() *LineReader { return &LineReader{Lines: l} }

// take returns the event to handle next, nil if there is none, which ends the
// one that the lane was at.
func (r *LineReader) take() (e *event, dropped uint64, more bool) {
	r.finish()
	at := r.row.first
	if at == nil {
		return nil, 0, false
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
	return at.first, dropped, more
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
