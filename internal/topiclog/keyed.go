package topiclog

import "context"

// Keyed is a queue whose events are read in the order of their keys, by several
// lanes. Make one with [NewKeyed].
type Keyed[T any] struct {
	lines    Lines      // not embedded: that would make its methods anew for each T
	payloads []Entry[T] // guarded by the lock
}

// KeyedEntry is an event for a Keyed queue that has to wait for room.
type KeyedEntry[T any] struct {
	Entry[T]
	Key string
}

// NewKeyed returns an empty queue, whose first lane counts as at work.
func NewKeyed[T any](o Options) *Keyed[T] {
	k := new(Keyed[T])
	k.lines.open(o, k)
	return k
}

// Lines returns the part of the queue that does not depend on T.
func (k *Keyed[T]) Lines() *Lines { return &k.lines }

// Offer adds an event if there is room.
func (k *Keyed[T]) Offer(ctx context.Context, payload T, key string) bool {
	k.lines.Lock()
	defer k.lines.Unlock()
	if verdict, _ := k.lines.Ask(nil, false); verdict != Room {
		return false
	}
	k.Append(ctx, payload, key)
	return true
}

// Append adds an event. The caller has the lock and knows from Ask that there
// is room.
func (k *Keyed[T]) Append(ctx context.Context, payload T, key string) {
	if !k.lines.over {
		cell := k.lines.enter(key) // which may replace payloads
		k.payloads[cell] = Entry[T]{Context: ctx, Payload: payload}
	}
}

// Take takes an event into e, and says how many were dropped before it. If more
// is true, the caller starts another lane for those behind.
func (k *Keyed[T]) Take(r *LineReader, e *Entry[T]) (dropped uint64, more, ok bool) {
	k.lines.Lock()
	defer k.lines.Unlock()
	at, dropped, more := r.take()
	if at == nil {
		return 0, false, false
	}
	*e = k.payloads[at.cell]
	k.lines.remove(at)
	k.lines.serve()
	return dropped, more, true
}

func (k *Keyed[T]) add() int {
	k.payloads = append(k.payloads, Entry[T]{})
	return len(k.payloads) - 1
}

func (k *Keyed[T]) write(cell int, entry any) { k.payloads[cell] = entry.(*KeyedEntry[T]).Entry }
func (k *Keyed[T]) forget(cell int)           { k.payloads[cell] = Entry[T]{} }
func (k *Keyed[T]) keyOf(entry any) string    { return entry.(*KeyedEntry[T]).Key }
