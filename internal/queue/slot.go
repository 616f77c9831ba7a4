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
	log     *topiclog.Log[T]
	taker   topiclog.Taker
	inPlace *topiclog.Reader // the same, if it may read without the lock

	_     [64]byte
	entry topiclog.Entry[T] // taken, if held
	held  bool
	batch []T
	_     [64]byte
}

// New returns a queue before handler h that reads log, and is yet to start. If
// that is in the order of keys, what kept keeps for replay, unless it is nil,
// comes before, one event at a time: that is in order for any key.
func New[T any](hooks *Hooks, log, kept *topiclog.Log[T], o topiclog.Options, b *BatchOptions, h Handler[T]) *Queue {
	q := open(hooks, log.Core(), log.Lines(), o, b, func() events { return &slot[T]{handler: h, log: log} })
	if kept != nil {
		q.replayFrom(kept.Core(), &slot[T]{handler: h, log: kept})
	}
	return q
}

func (s *slot[T]) read(t topiclog.Taker) {
	s.taker = t
	if r, ok := t.(*topiclog.Reader); ok && r.InPlace() {
		s.inPlace = r
	}
}

func (s *slot[T]) serve(w *worker) {
	if s.inPlace == nil {
		for s.next(w) {
			s.held = false
			s.handle(s.entry.Context, w, s.entry.Payload, w.reader.Event())
		}
		return
	}
	var e topiclog.Entry[T]
	for s.log.Next(s.inPlace, &e) {
		s.handle(e.Context, w, e.Payload, s.inPlace.Event())
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
		if s.inPlace != nil {
			s.held = s.log.Next(s.inPlace, &s.entry)
		} else {
			w.dropped, more, s.held = s.log.Take(s.taker, &s.entry)
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
