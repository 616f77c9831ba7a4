// Package names maps names to values, for a bus that looks a name up in every
// publish and has to hold a hundred thousand of them.
//
// Readers (Get, All) take no lock. Writers (Put, Delete, Clear) and Len must
// hold one that the caller owns: the table has none. A value that stays in the
// table is found by every reader, whatever is put or deleted meanwhile; one
// that comes or goes during a Get may be found or not. A value may be returned
// by a Get that began before its Delete and ended after it.
//
// What a maintainer may change: the hash, how full a table gets, the order of
// probes. What must stay, for the readers' sake: within an array of groups no
// value is moved and no slot becomes empty again, and at least one stays empty,
// which ends the search for a name that is not there. A table that grows or
// shrinks gets a new array, and readers end in the old one. For the callers'
// sake, who keep the pointers that Get returns, an entry is never copied. No
// name is put twice. The root uses [Hash], too: within a process one name has one.
package names

import "sync/atomic"

// Entry is a value with its name, which is not in the table's slots: that saves
// 16 bytes for each empty one. The name must not change in the table.
type Entry[V any] struct {
	Name  string
	Value V
}

// Table maps names to values of type V. Its zero value is empty. See the
// package's comment for who may call what when.
type Table[V any] struct {
	groups atomic.Pointer[[]group[V]] // as many as a power of two, or nil
	live   int                        // values in groups
	used   int                        // slots that are not empty: live and deleted ones
}

// group is groupSize slots, and for each a tag that tells most probes that the
// slot does not concern them, without touching the value's memory.
type group[V any] struct {
	tags  atomic.Uint64 // the i-th byte is the tag of the i-th slot
	slots [groupSize]atomic.Pointer[Entry[V]]
}

const groupSize = 8

// Tags of slots without a value. Others have their highest bit set.
const (
	empty   = 0 // ends a probe
	deleted = 1 // does not end it
)

// tagOf returns the tag of a value, from bits that do not choose its slot.
func tagOf(hash uint64) uint8 { return uint8(hash>>57) | 0x80 }

func (g *group[V]) tag(slot uint64) uint8 { return uint8(g.tags.Load() >> (8 * (slot % groupSize))) }

func (g *group[V]) setTag(slot uint64, tag uint8) {
	others := g.tags.Load() &^ (0xFF << (8 * slot))
	g.tags.Store(others | uint64(tag)<<(8*slot))
}

// Get returns the value of that name, or nil. It takes no lock and allocates
// nothing.
func (t *Table[V]) Get(name string) *V {
	if e, _, _ := t.find(name); e != nil {
		return &e.Value
	}
	return nil
}

// find returns the entry of that name and where it is, or nil.
func (t *Table[V]) find(name string) (e *Entry[V], g *group[V], slot uint64) {
	groups := t.groups.Load()
	if groups == nil {
		return nil, nil, 0
	}
	hash := Hash(name)
	mask := uint64(len(*groups)*groupSize - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		g := &(*groups)[i/groupSize]
		switch g.tag(i) {
		case empty:
			return nil, nil, 0
		case tagOf(hash):
			// Nil if it was deleted since its tag was read.
			if e := g.slots[i%groupSize].Load(); e != nil && e.Name == name {
				return e, g, i % groupSize
			}
		}
	}
}

// Put adds a value whose name is not in the table. The caller holds its lock.
func (t *Table[V]) Put(e *Entry[V]) {
	groups := t.groups.Load()
	// Four fifths, which has room for 100,000 names in 2^17 slots.
	if groups == nil || 5*t.used >= 4*groupSize*len(*groups) {
		groups = t.resize()
	}
	hash := Hash(e.Name)
	mask := uint64(len(*groups)*groupSize - 1)
	i := hash & mask
	// A deleted slot serves again: else a name that comes and goes would leave
	// thousands of them behind, for the next one to pass.
	for (*groups)[i/groupSize].tag(i) > deleted {
		i = (i + 1) & mask
	}
	g, slot := &(*groups)[i/groupSize], i%groupSize
	if g.tag(slot) == empty {
		t.used++
	}
	g.slots[slot].Store(e)
	g.setTag(slot, tagOf(hash))
	t.live++
}

// Delete removes the value of that name, if there is one, and gives memory back
// when most values are gone. The caller holds its lock.
func (t *Table[V]) Delete(name string) {
	e, g, slot := t.find(name)
	if e == nil {
		return
	}
	g.setTag(slot, deleted)
	g.slots[slot].Store(nil)
	t.live--
	switch {
	case t.live == 0:
		t.Clear()
	case 8*t.live < groupSize*len(*t.groups.Load()):
		t.resize()
	}
}

// resize makes room for as many values again as there are, without the slots of
// deleted ones.
func (t *Table[V]) resize() *[]group[V] {
	count := 1
	for count*groupSize < 2*t.live {
		count *= 2
	}
	groups := make([]group[V], count)
	var resized Table[V]
	resized.groups.Store(&groups)
	for e := range t.entries {
		resized.Put(e)
	}
	t.groups.Store(&groups)
	t.used = t.live
	return &groups
}

// Len returns the number of values. The caller holds its lock.
func (t *Table[V]) Len() int { return t.live }

// All yields the names and their values in no order. Without the caller's lock
// it may yield some that come or go meanwhile, and all that do not.
func (t *Table[V]) All(yield func(string, *V) bool) {
	for e := range t.entries {
		if !yield(e.Name, &e.Value) {
			return
		}
	}
}

func (t *Table[V]) entries(yield func(*Entry[V]) bool) {
	groups := t.groups.Load()
	if groups == nil {
		return
	}
	for i := range *groups {
		for slot := range groupSize {
			if e := (*groups)[i].slots[slot].Load(); e != nil && !yield(e) {
				return
			}
		}
	}
}

// Clear removes all values and gives their memory back. The caller holds its
// lock.
func (t *Table[V]) Clear() {
	t.groups.Store(nil)
	t.live, t.used = 0, 0
}
