// Package waitgraph knows which goroutine waits for whom, and so whether a wait
// can ever end.
//
// Who waits is a goroutine; whom it waits for is a [Group], the goroutines that
// handle the events of one queue, or those of one bus. A goroutine is a member
// of a group while it runs handlers for it, and may be a member of several, as
// a loop inside a handler is. A goroutine that was started for another one, who
// waits for its end, stands for that one.
//
// A wait for room is hopeless if the queue is full and all who could take an
// event from it are in hopeless waits themselves; a wait for the end is
// hopeless if one of those who have to end is. What a goroutine of no group
// waits for keeps nobody else waiting, and is not noted.
//
// One lock guards everything here, for all buses, since handlers forward from
// one to another. It is taken when a goroutine begins or ends to run handlers, by
// publishes that fan out, and by waits, those for room once they have lasted. The
// functions of groups and waits are called under it and take locks, under which
// nobody may call this package.
//
// What a maintainer may change: the search, if it supposes at first that all
// waits are hopeless and takes that back. What must stay, for the sake of those
// who wait: no wait that can end is hopeless, for it ends with ErrDeadlock. So
// AtWork counts members that are about to join, and is asked before HasRoom. The
// package wakes nobody: who waits asks again.
package waitgraph

import (
	"slices"
	"sync"

	"github.com/typedbus/events/internal/goid"
)

// Group is those goroutines that handle the events of one queue, or the
// asynchronous ones of a bus. Its functions may take locks under which nobody
// calls this package. The fields are immutable once it is used.
type Group struct {
	Owner   any         // whoever made it
	HasRoom func() bool // whether there is room for an event; nil if nobody waits for that
	AtWork  func() int  // how many members are not asleep, those included that are about to join

	members []*Member // guarded by mu
}

// Member is a goroutine that handles the events of a group.
type Member struct {
	group     *Group
	goroutine uint64
}

// Wait is a goroutine that waits.
type Wait struct {
	goroutine uint64
	room      *Group          // for room in this one, or else
	end       func() []*Group // for the end of these
	over      func() bool     // with room
	hopeless  bool
}

var (
	mu      sync.Mutex
	members = make(map[uint64][]*Member) // by goroutine
	callers = make(map[uint64]uint64)    // for whom a goroutine stands
	waits   []*Wait
)

// Join makes the calling goroutine, or the one that it stands for, a member of g,
// until Leave.
func Join(g *Group) *Member {
	self := goid.Current()
	mu.Lock()
	defer mu.Unlock()
	m := &Member{group: g, goroutine: standsFor(self)}
	g.members = append(g.members, m)
	members[m.goroutine] = append(members[m.goroutine], m)
	return m
}

// Leave ends the membership, from whichever goroutine.
func (m *Member) Leave() {
	mu.Lock()
	defer mu.Unlock()
	m.group.members = without(m.group.members, m)
	if rest := without(members[m.goroutine], m); len(rest) > 0 {
		members[m.goroutine] = rest
	} else {
		delete(members, m.goroutine)
	}
}

// Caller returns the number of the calling goroutine for StandFor if it is a
// member of a group or stands for one that is, and otherwise goid.Unknown.
func Caller() uint64 {
	mu.Lock()
	nobody := len(members) == 0
	mu.Unlock()
	if nobody {
		return goid.Unknown
	}
	self := goid.Current()
	mu.Lock()
	defer mu.Unlock()
	if self = standsFor(self); len(members[self]) == 0 {
		return goid.Unknown
	}
	return self
}

// StandFor notes that the calling goroutine works for caller, who waits for
// it, until the function that it returns is called.
func StandFor(caller uint64) (over func()) {
	if caller == goid.Unknown {
		return func() {}
	}
	self := goid.Current()
	mu.Lock()
	defer mu.Unlock()
	callers[self] = caller
	return func() {
		mu.Lock()
		defer mu.Unlock()
		delete(callers, self)
	}
}

// ForRoom notes that the calling goroutine waits for room in g, until Over. It
// returns nil if that keeps nobody else waiting.
//
// over reports whether the goroutine has got its place and is yet to run, which
// must be no part of a cycle.
func ForRoom(g *Group, over func() bool) *Wait { return begin(&Wait{room: g, over: over}) }

// ForEnd notes that the calling goroutine waits for all members of some groups
// to fall idle or to end, until Over. It returns nil if that keeps nobody else
// waiting. groups is asked each time, as groups may come and go.
func ForEnd(groups func() []*Group) *Wait { return begin(&Wait{end: groups}) }

func begin(w *Wait) *Wait {
	if w.goroutine = Caller(); w.goroutine == goid.Unknown {
		return nil
	}
	mu.Lock()
	defer mu.Unlock()
	waits = append(waits, w)
	return w
}

// Over ends the wait. It does nothing for a nil wait.
func (w *Wait) Over() {
	if w == nil {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	waits = without(waits, w)
}

// Hopeless reports whether the wait cannot end. It first supposes that of
// every wait, and takes it back from those that have a way out until that
// changes nothing more. It reports false for a nil wait.
func (w *Wait) Hopeless() bool {
	if w == nil {
		return false
	}
	mu.Lock()
	defer mu.Unlock()
	for _, each := range waits {
		each.hopeless = true
	}
	for changed := true; changed; {
		stuck := make(map[uint64]bool)
		for _, each := range waits {
			if each.hopeless {
				stuck[each.goroutine] = true
			}
		}
		changed = false
		for _, each := range waits {
			if each.hopeless && each.hasWayOut(stuck) {
				each.hopeless, changed = false, true
			}
		}
	}
	return w.hopeless
}

func (w *Wait) hasWayOut(stuck map[uint64]bool) bool {
	if w.room != nil {
		if w.over() {
			return true
		}
		// In this order: a member that is stuck has begun to wait before.
		atWork := w.room.AtWork()
		return atWork > w.room.stuckMembers(stuck) || w.room.HasRoom()
	}
	return !slices.ContainsFunc(w.end(), func(g *Group) bool { return g.stuckMembers(stuck) > 0 })
}

func (g *Group) stuckMembers(stuck map[uint64]bool) (n int) {
	for _, m := range g.members {
		if stuck[m.goroutine] {
			n++
		}
	}
	return n
}

// standsFor returns who waits in the end if a goroutine does.
func standsFor(goroutine uint64) uint64 {
	for caller, found := callers[goroutine]; found; caller, found = callers[goroutine] {
		goroutine = caller
	}
	return goroutine
}

// without returns list without one of its elements, which lose their order.
func without[E comparable](list []E, e E) []E {
	i := slices.Index(list, e)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	clear(list[last:])
	return list[:last]
}
