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
// value is moved and no slot becomes empty again. A table that grows or shrinks
// gets a new array, and readers end in the old one.
package names

import (
	"hash/maphash"
	"sync/atomic"
)

// seed makes the hashes differ from one process to the next, so that nobody
// can choose names that collide.
var seed = maphash.MakeSeed()

// Hash returns the hash by which tables find a name. It is the same for as long
// as the process runs.
func Hash(name string) uint64 { return maphash.String(seed, name) }

// Named is what a table needs of a pointer to its values: a name that does not
// change while the value is in the table. It is asked for instead of being
// stored because that saves 16 bytes a slot.
type Named[V any] interface {
	*V
	Name() string
}

// Table maps names to values of type V, which know their own name. Its zero
// value is empty. See the package's comment for who may call what when.
type Table[V any, P Named[V]] struct {
	groups atomic.Pointer[[]group[V]] // as many as a power of two, or nil
	live   int                        // values in groups
	used   int                        // slots that are not empty: live and deleted ones
}

// group is groupSize slots, and for each a tag that tells most probes that the
// slot does not concern them, without touching the value's memory.
type group[V any] struct {
	tags  atomic.Uint64 // the i-th byte is the tag of the i-th slot
	slots [groupSize]atomic.Pointer[V]
}

const groupSize = 8

// Tags of slots without a value. Others have their highest bit set.
const (
	empty   = 0 // ends a probe
	deleted = 1 // does not end it
)

// tagOf returns the tag of a value, from bits that do not choose its slot.
func tagOf(hash uint64) uint8 { return uint8(hash>>57) | 0x80 }

func (g *group[V]) tag(slot uint64) uint8 { return uint8(g.tags.Load() >> (8 * slot)) }

func (g *group[V]) setTag(slot uint64, tag uint8) {
	others := g.tags.Load() &^ (0xFF << (8 * slot))
	g.tags.Store(others | uint64(tag)<<(8*slot))
}

// Get returns the value of that name, or nil. It takes no lock and allocates
// nothing.
func (t *Table[V, P]) Get(name string) *V {
	groups := t.groups.Load()
	if groups == nil {
		return nil
	}
	hash := Hash(name)
	mask := uint64(len(*groups)*groupSize - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		g, slot := &(*groups)[i/groupSize], i%groupSize
		switch g.tag(slot) {
		case empty:
			return nil
		case tagOf(hash):
			// Nil if it was deleted since its tag was read.
			if v := g.slots[slot].Load(); v != nil && P(v).Name() == name {
				return v
			}
		}
	}
}

// Put adds a value whose name is not in the table. The caller holds its lock.
func (t *Table[V, P]) Put(v *V) {
	groups := t.groups.Load()
	// Four fifths, which has room for 100,000 names in 2^17 slots.
	if groups == nil || 5*t.used >= 4*groupSize*len(*groups) {
		groups = t.resize()
	}
	hash := Hash(P(v).Name())
	mask := uint64(len(*groups)*groupSize - 1)
	i := hash & mask
	// A deleted slot serves again: else a name that comes and goes would leave
	// thousands of them behind, for the next one to pass.
	for (*groups)[i/groupSize].tag(i%groupSize) > deleted {
		i = (i + 1) & mask
	}
	g, slot := &(*groups)[i/groupSize], i%groupSize
	if g.tag(slot) == empty {
		t.used++
	}
	g.slots[slot].Store(v)
	g.setTag(slot, tagOf(hash))
	t.live++
}

// Delete removes the value of that name, if there is one, and gives memory back
// when most values are gone. The caller holds its lock.
func (t *Table[V, P]) Delete(name string) {
	v := t.Get(name)
	if v == nil {
		return
	}
	groups := *t.groups.Load()
	mask := uint64(len(groups)*groupSize - 1)
	i := Hash(name) & mask
	for groups[i/groupSize].slots[i%groupSize].Load() != v {
		i = (i + 1) & mask
	}
	groups[i/groupSize].setTag(i%groupSize, deleted)
	groups[i/groupSize].slots[i%groupSize].Store(nil)
	t.live--
	switch {
	case t.live == 0:
		t.Clear()
	case 8*t.live < groupSize*len(groups):
		t.resize()
	}
}

// resize makes room for as many values again as there are, without the slots of
// deleted ones.
func (t *Table[V, P]) resize() *[]group[V] {
	count := 1
	for count*groupSize < 2*t.live {
		count *= 2
	}
	groups := make([]group[V], count)
	var resized Table[V, P]
	resized.groups.Store(&groups)
	for _, v := range t.All {
		resized.Put(v)
	}
	t.groups.Store(&groups)
	t.used = t.live
	return &groups
}

// Len returns the number of values. The caller holds its lock.
func (t *Table[V, P]) Len() int { return t.live }

// All yields the names and their values in no order. Without the caller's lock
// it may yield some that come or go meanwhile, and all that do not.
func (t *Table[V, P]) All(yield func(string, *V) bool) {
	groups := t.groups.Load()
	if groups == nil {
		return
	}
	for i := range *groups {
		for slot := range groupSize {
			if v := (*groups)[i].slots[slot].Load(); v != nil && !yield(P(v).Name(), v) {
				return
			}
		}
	}
}

// Clear removes all values and gives their memory back. The caller holds its
// lock.
func (t *Table[V, P]) Clear() {
	t.groups.Store(nil)
	t.live, t.used = 0, 0
}
