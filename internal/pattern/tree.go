package pattern

import (
	"cmp"
	"strings"

	"github.com/typedbus/events/internal/names"
)

// Tree has values under patterns and finds those whose pattern matches a name.
// Its zero value is empty. It has no lock: see the package's comment.
//
// Insert and Remove take a time that grows with the pattern's segments and with
// nothing else, amortised. Match visits the nodes to which the name leads, each
// once: below a node one by the segment's text and one by *, so at most 2^depth
// of them, and never more than there are.
type Tree[V comparable] struct {
	root   node[V]
	length int
}

// node stands for the segments from the root to itself, and has the values of
// the pattern that these spell.
type node[V comparable] struct {
	parent   *node[V] // nil in the root
	segment  string
	children names.Table[node[V]] // wildcards among them
	values   set[V]
}

// Insert adds a value under a pattern. To add it once more changes nothing.
func (t *Tree[V]) Insert(p Pattern, v V) {
	n := &t.root
	for segment := range strings.SplitSeq(p.text, ".") {
		child := n.children.Get(segment)
		if child == nil {
			// Without a copy the node would keep the whole text of the pattern,
			// for as long as others have the segment in common with it.
			added := &names.Entry[node[V]]{Name: strings.Clone(segment)}
			child = &added.Value
			child.parent, child.segment = n, added.Name
			n.children.Put(added)
		}
		n = child
	}
	if n.values.add(v) {
		t.length++
	}
}

// Remove removes a value from under a pattern and reports whether it was there.
func (t *Tree[V]) Remove(p Pattern, v V) (found bool) {
	n := &t.root
	for segment := range strings.SplitSeq(p.text, ".") {
		if n = n.children.Get(segment); n == nil {
			return false
		}
	}
	if !n.values.remove(v) {
		return false
	}
	t.length--
	for n.parent != nil && len(n.values.members) == 0 && n.children.Len() == 0 {
		n.parent.children.Delete(n.segment)
		n = n.parent
	}
	return true
}

// Len returns the number of values, each counted once for each of its patterns.
func (t *Tree[V]) Len() int { return t.length }

// All yields the values, each once for each of its patterns, in no order.
func (t *Tree[V]) All(yield func(V) bool) {
	// Not by recursion, for which a pattern may have too many segments.
	for pending := []*node[V]{&t.root}; len(pending) > 0; {
		n := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if !n.yieldValues(yield) {
			return
		}
		for _, child := range n.children.All {
			pending = append(pending, child)
		}
	}
}

// Match yields the values whose pattern matches the name, each once for each
// such pattern, in no order. It allocates nothing.
func (t *Tree[V]) Match(name string, yield func(V) bool) { t.root.match(name, yield) }

// Matches reports whether a pattern of the tree matches the name.
func (t *Tree[V]) Matches(name string) bool {
	return !t.root.match(name, func(V) bool { return false })
}

// match yields the values of the nodes below n to which the name leads. It
// reports whether yield wants more.
func (n *node[V]) match(name string, yield func(V) bool) bool {
	for n != nil {
		segment, remaining, more := strings.Cut(name, ".")
		literal, one, rest := n.children.Get(segment), n.children.Get(anyOne), n.children.Get(anyRest)
		if literal == one || literal == rest {
			literal = nil // a name with the segment * or > has no more rights than others
		}
		if !rest.yieldValues(yield) {
			return false
		}
		if !more {
			return literal.yieldValues(yield) && one.yieldValues(yield)
		}
		if literal != nil && one != nil {
			// Only a fork takes a frame of the stack. Each fork on a way has a
			// pattern of its own that spells the way to it, so the patterns are
			// longer than the square of the number of frames.
			if !literal.match(remaining, yield) {
				return false
			}
			literal = nil
		}
		n, name = cmp.Or(literal, one), remaining
	}
	return true
}

// yieldValues yields the values of a node, which may be nil. It reports whether
// yield wants more.
func (n *node[V]) yieldValues(yield func(V) bool) bool {
	if n == nil {
		return true
	}
	for v := range n.values.members {
		if !yield(v) {
			return false
		}
	}
	return true
}
