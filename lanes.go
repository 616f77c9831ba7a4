package events

import (
	"sync"
)

// ordering keeps events of the same key in order on several lanes: a worker
// that takes an event whose key another is at leaves it to that one.
type ordering[E any] struct {
	key  func(E) string
	most int           // events that may be left to workers
	turn chan struct{} // whoever has it takes events and asks for their keys

	mu      sync.Mutex
	fewer   sync.Cond             // of mu: an event has been taken out of waiting
	waiting map[string][]entry[E] // by the keys that workers are at
	parked  int                   // events in waiting
}

func newOrdering[E any](key func(E) string, most int) *ordering[E] {
	o := &ordering[E]{
		key: key, most: most,
		turn:    make(chan struct{}, 1),
		waiting: make(map[string][]entry[E]),
	}
	o.fewer.L = &o.mu
	o.turn <- struct{}{}
	return o
}

// nextInOrder takes the next event of the key that w is at, or else the next
// one whose key no worker is at.
func (c *consumer[E]) nextInOrder(w *worker, e *entry[E]) bool {
	if w.hasKey {
		if c.ordering.nextOf(w.key, e) {
			c.cursor.Begin()
			return true
		}
		w.hasKey = false
	}
	for {
		mine, ok := c.claim(w, e)
		if mine {
			c.cursor.Begin()
		}
		if mine || !ok {
			return ok
		}
	}
}

// claim takes one event and either makes its key that of w or leaves it to the
// worker that is at this key. In between no other worker takes one, and the
// key is asked for without a lock held.
func (c *consumer[E]) claim(w *worker, e *entry[E]) (mine, ok bool) {
	o := c.ordering
	w.state.Store(lining)
	c.takeTurn()
	defer func() { o.turn <- struct{}{} }()
	w.state.Store(busy)
	dropped, ok := c.cursor.Take(e, true)
	if !ok {
		return false, false
	}
	w.lost = dropped
	var key string
	asked := false
	defer func() {
		if !asked { // runtime.Goexit
			c.cursor.Begin()
			c.failed(c.bus.detach(e.ctx, nil, w), e.payload, errGoexit)
		}
	}()
	err := guard(func() {
		c.reportLost(w, e)
		key = o.key(e.payload)
	})
	asked = true
	if c.cursor.Cut() {
		c.cursor.Begin()
		return false, true
	}
	if err != nil {
		c.cursor.Begin()
		c.failed(c.bus.detach(e.ctx, nil, w), e.payload, err)
		return false, true
	}
	if !o.claim(key, *e) {
		return false, true
	}
	w.key = key
	w.hasKey = true
	return true, true
}

// takeTurn waits for the turn, and then until another event may be left to a
// worker. Whoever waits does not count as active: only others can end that.
func (c *consumer[E]) takeTurn() {
	o := c.ordering
	select {
	case <-o.turn:
		if !o.isFull() {
			return
		}
		c.bus.activity.queues.Add(-1)
	default:
		c.bus.activity.queues.Add(-1)
		c.bus.changed()
		<-o.turn
	}
	c.bus.changed()
	o.awaitFewer()
	c.bus.activity.queues.Add(1)
}

// claim reports whether no worker is at key, which now one is. Otherwise it
// leaves e to the worker that is.
func (o *ordering[E]) claim(key string, e entry[E]) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting, taken := o.waiting[key]
	if taken {
		o.waiting[key] = append(waiting, e)
		o.parked++
		return false
	}
	o.waiting[key] = nil
	return true
}

// nextOf takes the next event of a key into e, or gives the key up.
func (o *ordering[E]) nextOf(key string, e *entry[E]) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting := o.waiting[key]
	if len(waiting) == 0 {
		delete(o.waiting, key)
		return false
	}
	*e = waiting[0]
	waiting[0] = entry[E]{}
	o.waiting[key] = waiting[1:]
	o.parked--
	o.fewer.Signal()
	return true
}

// drop drops the events that are left to workers.
func (o *ordering[E]) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.waiting {
		o.waiting[key] = nil
	}
	o.parked = 0
	o.fewer.Broadcast()
}

// awaitFewer waits until another event may be left to a worker.
func (o *ordering[E]) awaitFewer() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.parked >= o.most {
		o.fewer.Wait()
	}
}

// isFull reports whether awaitFewer would wait.
func (o *ordering[E]) isFull() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.parked >= o.most
}
