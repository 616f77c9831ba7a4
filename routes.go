package events

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"

	"github.com/typedbus/events/internal/topiclog"
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
	delivery      delivery        // of that topic
	shared        bool            // a plan has subscriptions too, so they must not change
	logs          *logs           // for queued subscriptions, or nil
}

// logs are the logs of a name, each of which is nil until it is needed.
type logs struct {
	typed  typedLog
	events *topiclog.Log[entry[Event]]
}

// nameSeed makes the names' hashes differ from one process to the next.
var nameSeed = maphash.MakeSeed()

// removed marks the slot of a deleted route, so that a probe goes on past it.
var removed = new(route)

// routeTable maps names to routes: an open-addressed table that readers probe
// without a lock, sized for little memory per route and a short way to it.
// Writers hold the bus's lock. The zero table is empty.
type routeTable struct {
	slots atomic.Pointer[[]atomic.Pointer[route]] // length is a power of two
	live  int                                     // routes in slots
	used  int                                     // slots that are not nil

	// literals has some of the routes at the place of their name's address.
	// The linker keeps one copy of a literal, so a name that was subscribed to
	// and published as one is found here, without hashing or comparing it.
	literals atomic.Pointer[[256]atomic.Pointer[route]]
}

// literal returns the place of a name in literals.
func literal(name string) uint8 {
	address := uint64(uintptr(unsafe.Pointer(unsafe.StringData(name))))
	return uint8(address * 0x9E3779B97F4A7C15 >> 56)
}

func (t *routeTable) get(name string) *route {
	if literals := t.literals.Load(); literals != nil {
		r := literals[literal(name)].Load()
		if r != nil && len(r.name) == len(name) && unsafe.StringData(r.name) == unsafe.StringData(name) {
			return r
		}
	}
	return t.find(name)
}

func (t *routeTable) find(name string) *route {
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
		slots = t.resize()
	}
	mask := uint64(len(*slots) - 1)
	i := maphash.String(nameSeed, r.name) & mask
	for (*slots)[i].Load() != nil {
		i = (i + 1) & mask
	}
	(*slots)[i].Store(r)
	t.live++
	t.used++

	if t.literals.Load() == nil {
		t.literals.Store(new([256]atomic.Pointer[route]))
	}
	t.literals.Load()[literal(r.name)].CompareAndSwap(nil, r)
}

// resize makes room for as many routes again as there are, without the slots
// of deleted ones.
func (t *routeTable) resize() *[]atomic.Pointer[route] {
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
			t.literals.Load()[literal(r.name)].CompareAndSwap(r, nil)
			t.live--
			if len(*slots) > 64 && t.live < len(*slots)/8 {
				t.resize()
			}
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
