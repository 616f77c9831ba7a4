package events

import (
	"hash/maphash"
	"sync/atomic"
)

// route is what a bus keeps of one name: who subscribed to it, and the plan
// compiled from that.
type route struct {
	bus  *Bus
	name string
	plan atomic.Pointer[plan] // nil when it has to be compiled anew

	// Guarded by bus.mu.
	subscriptions []*Subscription // exact ones, in the order in which they run
	contract      contract        // of the topic bound to the name, or nil
	options       topicOptions    // of that topic
	retired       bool            // no longer in the table
}

// nameSeed makes the names' hashes differ from one process to the next.
var nameSeed = maphash.MakeSeed()

// removed marks the slot of a deleted route, so that a probe goes on past it.
var removed = new(route)

// routeTable maps names to routes: an open-addressed table that readers probe
// without a lock, in half the time of sync.Map and an eighth of its memory.
// Writers hold the bus's lock. The zero table is empty.
type routeTable struct {
	slots atomic.Pointer[[]atomic.Pointer[route]] // length is a power of two
	live  int                                     // routes in slots
	used  int                                     // slots that are not nil
}

func (t *routeTable) get(name string) *route {
	slots := t.slots.Load()
	if slots == nil {
		return nil
	}
	mask := uint64(len(*slots) - 1)
	for i := maphash.String(nameSeed, name) & mask; ; i = (i + 1) & mask {
		r := (*slots)[i].Load()
		if r == nil {
			return nil
		}
		if r.name == name && r != removed {
			return r
		}
	}
}

// put adds a route whose name is not in the table.
func (t *routeTable) put(r *route) {
	slots := t.slots.Load()
	if slots == nil || t.used >= len(*slots)/4*3 {
		slots = t.grow()
	}
	mask := uint64(len(*slots) - 1)
	i := maphash.String(nameSeed, r.name) & mask
	for (*slots)[i].Load() != nil {
		i = (i + 1) & mask
	}
	(*slots)[i].Store(r)
	t.live++
	t.used++
}

// grow makes room for as many routes again as there are, without the slots of
// deleted ones.
func (t *routeTable) grow() *[]atomic.Pointer[route] {
	size := 8
	for size < 2*t.live+2 {
		size *= 2
	}
	slots := make([]atomic.Pointer[route], size)
	mask := uint64(size - 1)
	for r := range t.all {
		i := maphash.String(nameSeed, r.name) & mask
		for slots[i].Load() != nil {
			i = (i + 1) & mask
		}
		slots[i].Store(r)
	}
	t.used = t.live
	t.slots.Store(&slots)
	return &slots
}

func (t *routeTable) delete(name string) {
	slots := t.slots.Load()
	if slots == nil {
		return
	}
	mask := uint64(len(*slots) - 1)
	for i := maphash.String(nameSeed, name) & mask; ; i = (i + 1) & mask {
		switch r := (*slots)[i].Load(); {
		case r == nil:
			return
		case r.name == name && r != removed:
			(*slots)[i].Store(removed)
			t.live--
			return
		}
	}
}

// all yields the routes in no order.
func (t *routeTable) all(yield func(*route) bool) {
	slots := t.slots.Load()
	if slots == nil {
		return
	}
	for i := range *slots {
		if r := (*slots)[i].Load(); r != nil && r != removed && !yield(r) {
			return
		}
	}
}
