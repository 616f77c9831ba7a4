package pattern

import "maps"

// set is the values under one pattern: most often one, sometimes thousands.
type set[V comparable] struct {
	members map[V]struct{}
	peak    int // the most members that this map has had
}

// add reports whether the value is new.
func (s *set[V]) add(v V) bool {
	before := len(s.members)
	if s.members == nil {
		s.members = make(map[V]struct{})
	}
	s.members[v] = struct{}{}
	s.peak = max(s.peak, len(s.members))
	return len(s.members) > before
}

// remove reports whether the value was there.
func (s *set[V]) remove(v V) bool {
	before := len(s.members)
	delete(s.members, v)
	if 4*len(s.members) < s.peak {
		// A map keeps the memory of its largest size, a copy made by key does not.
		s.members, s.peak = maps.Collect(maps.All(s.members)), len(s.members)
	}
	return len(s.members) < before
}
