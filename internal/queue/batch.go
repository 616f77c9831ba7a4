package queue

import (
	"context"
	"time"

	"github.com/typedbus/events/internal/topiclog"
)

// BatchOptions say when a batch goes out.
type BatchOptions struct {
	Max  int           // when it has as many events
	Wait time.Duration // when its first event has waited so long
}

// batch is what a worker has collected.
type batch struct {
	*BatchOptions
	size    int
	timer   *time.Timer
	expired bool
}

func newWorker(b *BatchOptions) *worker {
	w := new(worker)
	if b != nil {
		w.batch = &batch{BatchOptions: b}
	}
	return w
}

// finisher is the reader of batches.
type finisher interface {
	Finish(dropped bool)
	Rouse()
}

// serveBatches is serve for batches. It returns when there will be no events
// any more.
func (w *worker) serveBatches() {
	b := w.batch
	for {
		state := topiclog.Events
		switch {
		case w.events.collect(w):
			if b.size++; b.size == 1 {
				b.timer, b.expired = time.NewTimer(b.Wait), false
			}
			b.poll()
		case b.size == 0:
			w.forget()
			state = w.await()
		default:
			state = w.awaitMore()
		}
		due := b.size == b.Max || b.expired || state == topiclog.Hurry || state == topiclog.Ended
		if b.size > 0 && w.reader.Over() {
			b.over(w, true)
		} else if b.size > 0 && due {
			w.handleBatch()
		}
		if state == topiclog.Ended {
			return
		}
	}
}

// poll looks whether the wait is over while events keep coming.
func (b *batch) poll() {
	select {
	case <-b.timer.C:
		b.expired = true
	default:
	}
}

// awaitMore waits for another event for the batch.
func (w *worker) awaitMore() topiclog.State {
	state := w.reader.Sleep()
	if state != topiclog.Asleep {
		return state
	}
	select {
	case <-w.reader.Wake():
	case <-w.batch.timer.C:
		w.batch.expired = true
		w.reader.(finisher).Rouse()
	}
	return topiclog.Events
}

func (w *worker) handleBatch() {
	w.batch.timer.Stop()
	w.ctx = w.maker.For(context.Background(), w.reader.Event())
	w.active = true
	err := w.events.handleBatch(w.ctx)
	w.active = false
	if err != nil {
		w.fail(err)
	} else {
		w.batch.over(w, false)
	}
}

// over ends the batch, which was handled or dropped.
func (b *batch) over(w *worker, dropped bool) {
	b.size = 0
	b.timer.Stop()
	b.expired = false
	w.reader.(finisher).Finish(dropped)
	if dropped {
		w.events.forget()
	}
}
