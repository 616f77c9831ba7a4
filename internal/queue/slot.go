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
	handler Handler[T]
	log     *topiclog.Log[T] // with a reader, or else
	reader  *topiclog.Reader
	keyed   *topiclog.Keyed[T] // with a lane
	lane    *topiclog.LineReader

	_     [64]byte
	entry topiclog.Entry[T] // taken, if held
	held  bool
	batch []T
	_     [64]byte
}

func (s *slot[T]) readLog(r *topiclog.Reader) { s.reader = r }

func (s *slot[T]) readLane(r *topiclog.LineReader) { s.lane = r }

// OnLog returns a queue before handler h that reads log, and is yet to start.
func OnLog[T any](hooks *Hooks, log *topiclog.Log[T], o topiclog.Options, b *BatchOptions, h Handler[T]) *Queue {
	return onLog(hooks, log.Core(), o, b, func() events { return &slot[T]{handler: h, log: log} })
}

// OnKeys returns a queue before handler h that reads what is left to it in the
// order of keys, and is yet to start. What log keeps for replay, if there is one,
// the handler gets before, one event at a time: that is in order for any key.
func OnKeys[T any](hooks *Hooks, keyed *topiclog.Keyed[T], log *topiclog.Log[T], h Handler[T]) *Queue {
	q := onLines(hooks, keyed.Lines(), func() events { return &slot[T]{handler: h, keyed: keyed} })
	if log != nil {
		q.replayFrom(log.Core(), &slot[T]{handler: h, log: log})
	}
	return q
}

func (s *slot[T]) serve(w *worker) {
	if s.reader == nil || !s.reader.InPlace() {
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
	if s.handler.Name != nil {
		w.event = s.handler.Name(payload)
	}
	w.active = true
	err := s.handler.One(w.ctx, payload)
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
		case s.reader.InPlace():
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
		if s.handler.Name != nil {
			w.event = s.handler.Name(s.entry.Payload)
		}
		w.Dropped(w.maker.For(s.entry.Context, w.reader.Event()), w.event, n)
	}
	return s.held
}

// begin makes the event taken the one that w is at.
func (s *slot[T]) begin(w *worker) {
	s.held = false
	w.ctx = w.maker.For(s.entry.Context, w.reader.Event())
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
	return s.handler.Many(ctx, batch)
}

func (s *slot[T]) forget() {
	s.entry, s.batch = topiclog.Entry[T]{}, nil
}
