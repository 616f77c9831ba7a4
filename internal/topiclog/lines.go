package topiclog

// Lines is the part of a queue in the order of keys that does not depend on the
// type of its payloads. The events of one key are in a line. A line whose first event
// nobody is at is free, and the free lines are served in turn: a lane takes the
// first event of the first one, and when it is through with it, the line is
// free again, at the end of the row. So no event has to be left to somebody,
// and the oldest of all can always be dropped.
type Lines struct {
	Gate
	Options
	wake chan struct{}

	// Guarded by the lock.
	lines   map[string]*line
	row     list[line]  // the free lines
	events  list[event] // all that are queued, oldest first
	cells   uint64      // of the store that are used, or spare
	size    uint64      // of the store
	spare   []*event
	spares  []*line
	counts  counts
	gap     uint64 // dropped since the last take
	over    bool   // it has ended
	started int    // lanes
	asleep  int    // of these
	atWork  int    // of these
}

type counts struct{ queued, taken, dropped, discarded uint64 }

// event is one that is queued. Its payload is in a cell of the store.
type event struct {
	links[event]
	cell   uint64 // in the store
	line   *line
	behind *event // in the line
}

// line is the events of one key.
type line struct {
	links[line]
	key         string
	first, last *event
	atWork      bool
}

// openLines returns the lines of a queue, whose first lane counts as at work. It is
// not inlined: each payload type would have a copy.
//
//go:noinline
func openLines(o Options, s store) *Lines {
	l := &Lines{Options: o, wake: make(chan struct{}, o.Lanes), lines: make(map[string]*line), started: 1}
	l.init(l, s)
	l.begun()
	return l
}

// full is [place].full. Whoever makes room has the lock, and serves the line of
// publishers.
func (l *Lines) full(bool) *Options {
	if l.over || l.Policy == DropOldest || l.counts.queued < uint64(l.Capacity) {
		return nil
	}
	return &l.Options
}

func (l *Lines) wakeForSeal() {}

func (l *Lines) entered() {}

// enter is [place].enter.
func (l *Lines) enter(key string) (cell uint64, ok bool) {
	if l.over {
		return 0, false
	}
	if l.Policy == DropOldest && l.counts.queued >= uint64(l.Capacity) {
		l.counts.dropped++
		l.gap++
		l.remove(l.events.first)
	}
	var e *event
	if n := len(l.spare); n > 0 {
		e, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		if l.cells == l.size {
			l.size = max(8, 2*l.size)
			l.store.grow(0, l.cells, l.size)
		}
		e = &event{cell: l.cells}
		l.cells++
	}
	at := l.lines[key]
	if at == nil {
		if n := len(l.spares); n > 0 {
			at, l.spares = l.spares[n-1], l.spares[:n-1]
		} else {
			at = new(line)
		}
		at.key = key
		l.lines[key] = at
	}
	e.line = at
	l.events.push(e, &e.links)
	if at.first == nil {
		at.first = e
		if !at.atWork {
			l.row.push(at, &at.links)
			l.wakeOne()
		}
	} else {
		at.last.behind = e
	}
	at.last = e
	l.counts.queued++
	l.head++
	return e.cell, true
}

// remove takes the first event of its line out of the queue.
func (l *Lines) remove(e *event) {
	at := e.line
	l.events.remove(&e.links)
	l.store.clear(e.cell, e.cell+1)
	if at.first = e.behind; at.first == nil {
		at.last = nil
		if !at.atWork {
			l.row.remove(&at.links)
			l.retire(at)
		}
	}
	e.line, e.behind = nil, nil
	l.spare = append(l.spare, e)
	l.counts.queued--
}

// retire forgets a line that has no event and is not at work.
func (l *Lines) retire(at *line) {
	delete(l.lines, at.key)
	at.key = "" // it may hold on to a payload that it is a part of
	l.spares = append(l.spares, at)
}

func (l *Lines) wakeOne() {
	if l.asleep > 0 {
		l.asleep--
		l.begun()
		l.wake <- struct{}{}
	}
}

func (l *Lines) left() Left {
	return Left{Owner: l.Owner, Queued: l.counts.queued, AtWork: uint64(l.atWork)}
}

// Left is [Core.Left], of one queue.
func (l *Lines) Left() []Left {
	l.Lock()
	defer l.Unlock()
	if left := l.left(); left.Queued+left.AtWork > 0 {
		return []Left{left}
	}
	return nil
}

// Counts is [Cursor.Counts].
func (l *Lines) Counts() (taken, dropped, discarded uint64) {
	l.Lock()
	defer l.Unlock()
	return l.counts.taken, l.counts.dropped, l.counts.discarded
}

// Lag returns how many events are queued.
func (l *Lines) Lag() uint64 {
	l.Lock()
	defer l.Unlock()
	return l.counts.queued
}

// HasRoom reports whether another event would fit.
func (l *Lines) HasRoom() bool {
	l.Lock()
	defer l.Unlock()
	return l.full(false) == nil
}

// Awake is [Cursor.Awake].
func (l *Lines) Awake() int {
	l.Lock()
	defer l.Unlock()
	return l.started - l.asleep
}

// End ends the queue. Its lanes still get what is in it, unless that is to be
// dropped. It reports whether there is no lane any more.
func (l *Lines) End(drop bool) (gone bool) {
	l.Lock()
	defer l.Unlock()
	return l.end(drop)
}

func (l *Lines) end(drop bool) (gone bool) {
	l.over = true
	for drop && l.events.first != nil {
		l.counts.discarded++
		l.remove(l.events.first)
	}
	for l.asleep > 0 {
		l.wakeOne()
	}
	l.serve()
	return l.started == 0
}

// EndAll is [Core.EndAll], of one queue.
func (l *Lines) EndAll(drop bool) []Left {
	l.Shut()
	l.Lock()
	defer l.Unlock()
	var left []Left
	if each := l.left(); each.Queued+each.AtWork > 0 {
		left = []Left{each}
	}
	l.end(drop)
	return left
}

// Unused reports whether the queue has ended and has no lane any more.
func (l *Lines) Unused() bool {
	l.Lock()
	defer l.Unlock()
	return l.over && l.started == 0
}
