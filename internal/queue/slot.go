package queue

import (
	"context"

	"github.com/typedbus/events/internal/topiclog"
)

// Handler is what a queue does with its events: one of the two functions.
type Handler[T any] struct {
	One  func(context.Context, T) error
	Many func(context.Context, []T) error
	Name func(T) string // of an event, where they have their own
}

// slot is the part of a worker that depends on the type of payloads.
type slot[T any] struct {
	Handler[T]
	log    *topiclog.Log[T]
	reader *topiclog.Reader
	single bool // reads runs of events in place
	keyed  *topiclog.Keyed[T]
	lane   *topiclog.LineReader

	_     [64]byte
	entry topiclog.Entry[T] // taken, if held
	held  bool
	batch []T
	_     [64]byte
}

// OnLog returns a queue before handler h that reads log, and is yet to start.
func OnLog[T any](hooks *Hooks, log *topiclog.Log[T], o topiclog.Options, b *BatchOptions, h Handler[T]) *Queue {
	cursor := log.Open(o)
	return newQueue(hooks, cursor, o.Owner, func(q *Queue) *worker {
		s := &slot[T]{Handler: h, log: log, reader: cursor.NewReader(), single: cursor.InPlace()}
		return newWorker(b).join(q, s.reader, s)
	})
}

// OnKeys returns a queue before handler h that reads what is left to it in the
// order of keys, and is yet to start. What log keeps for replay, if there is one,
// the handler gets before, one event at a time: that is in order for any key.
func OnKeys[T any](hooks *Hooks, keyed *topiclog.Keyed[T], log *topiclog.Log[T], h Handler[T]) *Queue {
	q := newQueue(hooks, keyed, keyed.Owner, func(q *Queue) *worker {
		s := &slot[T]{Handler: h, keyed: keyed, lane: keyed.NewReader()}
		return new(worker).join(q, s.lane, s)
	})
	if log != nil {
		q.kept = log.Open(topiclog.Options{Owner: keyed.Owner, Capacity: 1, Lanes: 1})
		q.kept.End(false)
		s := &slot[T]{Handler: h, log: log, reader: q.kept.NewReader(), single: true}
		q.replay = new(worker).join(q, s.reader, s)
	}
	return q
}

func (s *slot[T]) serve(w *worker) {
	if !s.single {
		for s.next(w) {
			s.held = false
			s.handle(s.entry.Context, w, s.entry.Payload, w.reader.Event())
		}
		return
	}
	var e topiclog.Entry[T]
	for s.log.Next(s.reader, &e) {
		s.handle(e.Context, w, e.Payload, s.reader.Event())
	}
}

func (s *slot[T]) handle(publisher context.Context, w *worker, payload T, event uint64) {
	w.ctx = w.maker.For(publisher, event)
	if s.Name != nil {
		w.event = s.Name(payload)
	}
	w.active = true
	err := s.One(w.ctx, payload)
	w.active = false
	if err != nil {
		w.fail(err)
	}
}

// next takes the next event into entry, unless that holds one which a report
// of lost events has kept from being handled.
func (s *slot[T]) next(w *worker) bool {
	if !s.held {
		var more bool
		switch {
		case s.keyed != nil:
			w.dropped, more, s.held = s.keyed.Take(s.lane, &s.entry)
		case s.single:
			s.held = s.log.Next(s.reader, &s.entry)
		default:
			w.dropped, more, s.held = s.log.Take(s.reader, &s.entry)
		}
		if more {
			w.start()
		}
	}
	if n := w.dropped; n > 0 {
		w.dropped = 0
		if s.Name != nil {
			w.event = s.Name(s.entry.Payload)
		}
		w.Dropped(w.maker.For(s.entry.Context, w.reader.Event()), w.event, n)
	}
	return s.held
}

func (s *slot[T]) collect(w *worker) bool {
	if !s.next(w) {
		return false
	}
	s.held = false
	s.batch = append(s.batch, s.entry.Payload)
	s.entry = topiclog.Entry[T]{}
	return true
}

func (s *slot[T]) handleBatch(ctx context.Context) error {
	batch := s.batch
	s.batch = nil
	return s.Many(ctx, batch)
}

func (s *slot[T]) forget() {
	s.entry, s.batch = topiclog.Entry[T]{}, nil
}
