package topiclog

// list is a list of elements that have their links in themselves, so that one
// can be taken out wherever it is.
type list[E any] struct {
	first *E
	ends  links[E] // of the first and the last element
}

// links are those of an element to its neighbours.
type links[E any] struct {
	self           *E
	next, previous *links[E]
}

// push adds an element at the end.
func (l *list[E]) push(e *E, at *links[E]) {
	at.self, at.next, at.previous = e, nil, l.ends.previous
	if at.previous == nil {
		l.ends.next, l.first = at, e
	} else {
		at.previous.next = at
	}
	l.ends.previous = at
}

// remove takes an element out.
func (l *list[E]) remove(at *links[E]) {
	if at.previous == nil {
		l.ends.next = at.next
	} else {
		at.previous.next = at.next
	}
	if at.next == nil {
		l.ends.previous = at.previous
	} else {
		at.next.previous = at.previous
	}
	if l.first = nil; l.ends.next != nil {
		l.first = l.ends.next.self
	}
	*at = links[E]{}
}
