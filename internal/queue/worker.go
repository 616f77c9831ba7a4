package queue

import (
	"context"
	"runtime"

	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// worker is a goroutine that handles events.
type worker struct {
	_ [64]byte // what follows is written for every event
	*Queue
	reader reader
	events events
	batch  *batch // nil for handlers of one event
	maker  origin.Maker

	ctx     *origin.Context // of the event that is handled
	event   string          // its name
	active  bool            // a handler is at it
	dropped uint64          // events dropped before it, to be reported
	_       [64]byte
}

// reader is the part of a reader that does not depend on the type of payloads.
type reader interface {
	origin.Source
	topiclog.Taker
	Event() uint64
	Ready() (ready, ended bool)
	Over() bool
	Sleep() topiclog.State
	Wake() <-chan struct{}
	Exit() (last bool)
}

// events are those that a worker reads.
type events interface {
	serve(w *worker)        // handles events one by one until there are none at hand
	collect(w *worker) bool // adds an event to the batch
	handleBatch(ctx context.Context) error
	forget()             // lets go of what was handled
	next(w *worker) bool // takes the next one, for begin
	begin(w *worker)
	read(from topiclog.Taker)
}

// join makes w a worker of q with a reader of its own.
func (w *worker) join(q *Queue, r reader, e events) *worker {
	w.Queue, w.reader, w.events, w.event = q, r, e, q.Event
	e.read(r)
	w.maker.Origin = &origin.Origin{Life: q.Origin.Life, Bus: q.Origin.Bus, Handler: q.Origin.Handler, Source: r}
	return w
}

// work is the goroutine of w. If a handler ends it, another takes its place.
func (w *worker) work() {
	member := waitgraph.Join(&w.group)
	again := true
	defer func() {
		member.Leave()
		switch last := !again && w.reader.Exit(); {
		case again:
			go w.work()
		case w == w.replay:
			w.start()
		case last:
			w.ended()
		}
	}()
	for again {
		again = w.serve()
	}
}

// serve handles events until there will be none any more, or until a handler
// panics, when it is to be called again.
func (w *worker) serve() (again bool) {
	defer w.recover(&again)
	if w.batch != nil {
		w.serveBatches()
		return false
	}
	for {
		w.events.serve(w)
		w.forget()
		if w.await() == topiclog.Ended {
			return false
		}
	}
}

// recover reports the handler whose panic, or whose end of the goroutine, has
// ended serve.
func (w *worker) recover(again *bool) {
	if !w.active {
		return
	}
	w.active = false
	err := w.Exited
	if value := recover(); value != nil {
		*again = true
		err = w.Panic(value)
	}
	w.fail(err)
}

// fail reports the failure of the event at hand, or of the batch.
func (w *worker) fail(err error) {
	n := 1
	if w.batch != nil {
		n = w.batch.size
		defer w.batch.over(w, false) // it is at work until then
	}
	w.failed.Add(uint64(n))
	w.Failed(w.ctx, w.event, n, err)
}

// forget lets go of what was handled.
func (w *worker) forget() {
	w.ctx, w.event = nil, w.Event
	w.maker.Forget()
	w.events.forget()
}

// patience is how often a worker lets others run before it sleeps.
const patience = 4

// await waits for more events.
func (w *worker) await() topiclog.State {
	for range patience {
		ready, ended := w.reader.Ready()
		if ready {
			return topiclog.Events
		}
		if ended {
			break
		}
		runtime.Gosched()
	}
	state := w.reader.Sleep()
	if state == topiclog.Asleep {
		<-w.reader.Wake()
	}
	return state
}
