package queue

import (
	"context"

	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// Loop is a queue whose one worker is a loop of the user's, in a goroutine of
// the user's.
type Loop[T any] struct {
	*Queue
	reader *topiclog.Reader
	slot   *slot[T]
}

// NewLoop returns a loop over log.
func NewLoop[T any](hooks *Hooks, log *topiclog.Log[T], o topiclog.Options) *Loop[T] {
	o.Loop, o.Lanes = true, 1
	cursor := log.Open(o)
	reader := cursor.NewReader()
	return &Loop[T]{
		Queue:  newQueue(hooks, cursor, o.Owner, nil),
		reader: reader,
		slot:   &slot[T]{log: log, reader: reader, single: cursor.InPlace()},
	}
}

// Range yields the events, each with its context, until yield returns false, the
// queue has ended, or until is done. ended is called at the end, before the
// loop stops to count as at work. Range is to be called once.
func (l *Loop[T]) Range(until context.Context, ended func(), yield func(context.Context, T) bool) {
	if !l.reader.Begin() {
		l.ended()
		return
	}
	w := new(worker).join(l.Queue, l.reader, l.slot)
	member := waitgraph.Join(&l.group)
	defer func() {
		ended()
		member.Leave()
		l.reader.Exit()
		l.ended()
	}()
	for until.Err() == nil {
		if l.slot.next(w) {
			l.slot.held = false
			if !yield(w.maker.For(l.slot.entry.Context, l.reader.Event()), l.slot.entry.Payload) {
				return
			}
			continue
		}
		w.forget()
		if w.await() == topiclog.Ended {
			return
		}
	}
}
