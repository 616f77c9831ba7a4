package queue

import (
	"context"

	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// Loop is a queue whose one worker is a loop of the user's, in a goroutine of
// the user's.
type Loop struct {
	Queue  *Queue
	reader *topiclog.Reader
	events events
}

// NewLoop returns a loop over log, and what calls a function with the event that
// the loop is at.
func NewLoop[T any](hooks *Hooks, log *topiclog.Log[T], o topiclog.Options) (*Loop, func(context.Context, func(context.Context, T) bool) bool) {
	s := &slot[T]{log: log}
	return newLoop(hooks, log.Core(), o, s), func(ctx context.Context, yield func(context.Context, T) bool) bool {
		return yield(ctx, s.entry.Payload)
	}
}

// newLoop is not inlined, as [open] is not.
//
//go:noinline
func newLoop(hooks *Hooks, log *topiclog.Core, o topiclog.Options, e events) *Loop {
	o.Loop, o.Lanes = true, 1
	cursor := log.Open(o)
	return &Loop{Queue: newQueue(hooks, cursor, o.Owner, nil), reader: cursor.NewReader(), events: e}
}

// Range calls yield for each event, with its context, until that returns false,
// the queue has ended, or until is done. ended is called at the end, before the
// loop stops to count as at work. Range is to be called once.
func (l *Loop) Range(until context.Context, ended func(), yield func(context.Context) bool) {
	if !l.reader.Begin() {
		l.Queue.ended()
		return
	}
	w := new(worker).join(l.Queue, l.reader, l.events)
	member := waitgraph.Join(&l.Queue.group)
	defer func() {
		ended()
		member.Leave()
		l.reader.Exit()
		l.Queue.ended()
	}()
	for until.Err() == nil {
		if l.events.next(w) {
			l.events.begin(w)
			if !yield(w.ctx) {
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
