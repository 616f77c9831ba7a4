package events

import (
	"context"
	"runtime"
	"sync/atomic"

	"github.com/typedbus/events/internal/topiclog"
)

// entry is an event in a log. E is the payload type of a topic, or Event.
type entry[E any] struct {
	ctx     context.Context // of the publisher
	payload E
}

// queue is what a subscription knows of its queue.
type queue interface {
	position() *topiclog.Position
	start()
	left() uint64 // events that are not handled
	quiet() bool  // no event is left that a worker will take
	// end takes the queue off its log and reports how many events were before
	// it; its handler still gets those unless they are to be dropped.
	end(drop bool) uint64
	// stopped is closed when no handler of the queue runs any more.
	stopped() <-chan struct{}
	workers() []*worker
	// idles reports whether a worker that waits for no queue has nothing to do
	// and so cannot make room, as with WithOrderBy when all events before it
	// are left to others.
	idles(w *worker) bool
}

// worker is a goroutine that handles the events of a queue.
type worker struct {
	subscription *Subscription
	lost         uint64          // events dropped before the one taken, to be reported
	pause        int             // how often it lets others run before it looks for events
	key          string          // whose events it handles, with WithOrderBy
	hasKey       bool            // it is at those
	state        atomic.Int32    // one of the below
	waitsFor     []*Subscription // guarded by waits
}

// consumer handles the events of a queue, on one goroutine or, with lanes, on
// several.
type consumer[E any] struct {
	bus          *Bus
	subscription *Subscription
	cursor       *topiclog.Cursor[entry[E]]
	handle       func(context.Context, E) error
	serve        func(*worker) (again bool)
	ordering     *ordering[E] // nil without WithOrderBy
	team         []*worker
	running      atomic.Int32
	done         chan struct{}
}

// newConsumer opens a cursor on log. The consumer begins with start.
func newConsumer[E any](s *Subscription, log *topiclog.Log[entry[E]], o *queueOptions, handle func(context.Context, E) error) *consumer[E] {
	c := &consumer[E]{bus: s.bus, subscription: s, handle: handle, done: make(chan struct{})}
	c.serve = c.serveEach
	lanes := max(1, o.lanes)
	for range lanes {
		c.team = append(c.team, &worker{subscription: s})
	}
	if key, ok := o.orderBy.(func(E) string); ok {
		most := o.capacity
		if o.overflow == DropOldest {
			most = max(1, most-1) // room for the newest, which cannot wait
		}
		c.ordering = newOrdering(key, most)
		lanes = max(2, lanes) // events that wait for others of their key are held
	}
	c.cursor = log.Open(s, o.capacity, lanes, topiclog.Policy(o.overflow))
	return c
}

func (c *consumer[E]) position() *topiclog.Position { return &c.cursor.Position }
func (c *consumer[E]) quiet() bool                  { return c.cursor.Lag() == 0 }
func (c *consumer[E]) stopped() <-chan struct{}     { return c.done }
func (c *consumer[E]) workers() []*worker           { return c.team }

func (c *consumer[E]) left() uint64 {
	left := c.cursor.Lag()
	for _, w := range c.team {
		if w.state.Load() == busy {
			left++
		}
	}
	return left
}

func (c *consumer[E]) end(drop bool) uint64 {
	left := c.cursor.End(drop)
	if drop && c.ordering != nil {
		c.ordering.drop()
	}
	c.bus.changed() // fewer events may be left to wait for
	return left
}

// The states of a worker.
const (
	busy    = iota
	resting // it has found no event
	lining  // it waits to take one, until fewer are left to others
)

func (c *consumer[E]) idles(w *worker) bool {
	switch w.state.Load() {
	case resting:
		return !c.cursor.Unread()
	case lining:
		return c.ordering.isFull()
	default:
		return false
	}
}

func (c *consumer[E]) start() {
	c.running.Store(int32(len(c.team)))
	for _, w := range c.team {
		c.bus.activity.started()
		c.bus.activity.queues.Add(1)
		go c.work(w)
	}
}

// work is the goroutine of w. If a handler ends it, another takes its place.
func (c *consumer[E]) work(w *worker) {
	exits := true
	defer func() {
		if exits {
			go c.work(w)
			return
		}
		w.state.Store(resting)
		if c.running.Add(-1) == 0 {
			c.bus.left(c.subscription)
			close(c.done)
		}
		c.bus.activity.queues.Add(-1)
		c.bus.ended()
	}()
	for c.serve(w) {
	}
	exits = false
}

// serveEach handles events until there will be none any more, or until a
// handler panics, when it is to be called again.
func (c *consumer[E]) serveEach(w *worker) (again bool) {
	var e entry[E]
	var ctx *handlerContext
	handling, handled := false, 0
	defer func() {
		if !handling {
			return
		}
		if value := recover(); value != nil {
			again = true
			c.failed(ctx, e.payload, newPanicError(value))
		} else {
			c.failed(ctx, e.payload, errGoexit)
		}
	}()
	for {
		if !c.next(w, &e) {
			ctx, e = nil, entry[E]{} // lets go of what the handler had
			if !c.await(w, handled) {
				return false
			}
			handled = 0
			continue
		}
		handled++
		ctx = c.bus.detach(e.ctx, ctx, w)
		handling = true
		c.reportLost(w, &e)
		err := c.handle(ctx, e.payload)
		handling = false
		if err != nil {
			c.failed(ctx, e.payload, err)
		}
	}
}

// next takes the next event that is for w.
func (c *consumer[E]) next(w *worker, e *entry[E]) bool {
	if c.ordering != nil {
		return c.nextInOrder(w, e)
	}
	if c.cursor.Policy() != topiclog.DropOldest {
		return c.cursor.Next(e)
	}
	dropped, ok := c.cursor.Take(e, false)
	w.lost = dropped
	return ok
}

// reportLost reports events that were dropped before e.
func (c *consumer[E]) reportLost(w *worker, e *entry[E]) {
	if dropped := w.lost; dropped > 0 {
		w.lost = 0
		ctx := c.bus.detach(e.ctx, nil, nil)
		c.bus.report(ctx, &OverflowError{Event: eventOf(c.subscription, e.payload), Handler: c.subscription.Name(), Dropped: dropped})
	}
}

// maxPause bounds the pause of a worker, to some microseconds.
const maxPause = 16

// await waits for more events after w has handled some, and reports false if
// there will be none. Where many come, looking for each at once would have the
// publisher and the worker wait for each other's memory: the worker takes its
// time, and finds several.
func (c *consumer[E]) await(w *worker, handled int) bool {
	w.state.Store(resting)
	defer w.state.Store(busy)
	if handled > 1 {
		w.pause = min(2*w.pause+1, maxPause)
	} else {
		w.pause /= 2
	}
	for range w.pause {
		runtime.Gosched()
	}
	for range patience {
		if c.cursor.Ready() {
			break
		}
		runtime.Gosched()
	}
	asleep, ended := c.cursor.Sleep()
	if asleep {
		c.bus.changed()
		<-c.cursor.Wake()
	}
	return !ended
}

// failed reports the failure of a handler, which no publisher waits for.
func (c *consumer[E]) failed(ctx context.Context, payload E, err error) {
	c.subscription.more.failures.Add(1)
	c.bus.report(ctx, &HandlerError{Event: eventOf(c.subscription, payload), Handler: c.subscription.Name(), Err: err})
}

// eventOf returns the name of the event that a payload came with.
func eventOf(s *Subscription, payload any) string {
	if event, ok := payload.(Event); ok && s.pattern != nil {
		return event.Name
	}
	return s.event
}
