// Package queue runs handlers behind queues: one event at a time, on several
// lanes, in the order of keys, in batches, or in a loop of the user's.
//
// A [Queue] has workers. Each is a goroutine with a reader of its own, for a
// log or for lines of keys, and knows nothing else of other workers: who gets
// which event, who is counted as at work and who is woken is decided by the place
// that it reads from, in internal/topiclog. A worker that takes an event while no
// lane sleeps starts the next one, which is counted by then: one lane is always
// to spare. What a log replays for a queue by keys is handled before the first
// lane starts. If a handler ends the goroutine, another one takes the worker over.
//
// What a queue needs of whoever made it are the functions in [Hooks]. They are
// called under no lock, in the goroutine of a worker, and may end that, but not
// panic. Ended may come more than once, and from whoever calls End or Range.
//
// What a maintainer may change: patience, and how a batch is collected. What must
// stay, for the publishers' sake: an event that was taken is handled, reported as
// failed or counted as dropped, whichever function ends the goroutine; and a
// queue has no lock, only its failures and its end.
package queue

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/topiclog"
	"github.com/typedbus/events/internal/waitgraph"
)

// Hooks are what a queue needs of its owner.
type Hooks struct {
	Origin  origin.Origin // of the contexts of events, but for its Source
	Event   string        // the name of all events, or empty if they have their own
	Failed  func(ctx context.Context, event string, events int, err error)
	Dropped func(ctx context.Context, event string, dropped uint64)
	Panic   func(value any) error // makes an error of a panic
	Exited  error                 // of a handler that has ended its goroutine
	Ended   func()                // the last worker has ended
}

// Queue is the workers of one subscription.
type Queue struct {
	*Hooks
	group  waitgraph.Group
	source source
	kept   *topiclog.Cursor // with what is replayed before the events of source, or nil
	replay *worker          // of kept
	new    func(*Queue) *worker
	failed atomic.Uint64
	once   sync.Once
	done   chan struct{}
}

// source is what the workers of a queue read from.
type source interface {
	End(drop bool) (gone bool)
	HasRoom() bool
	Awake() int
	Lag() uint64
	Counts() (taken, dropped, discarded uint64)
}

func newQueue(h *Hooks, s source, owner any, worker func(*Queue) *worker) *Queue {
	return &Queue{
		Hooks:  h,
		group:  waitgraph.Group{Owner: owner, HasRoom: s.HasRoom, AtWork: s.Awake},
		source: s,
		new:    worker,
		done:   make(chan struct{}),
	}
}

// open returns a queue that reads lines, or else a cursor of log. It is not inlined:
// each payload type would have a copy. Nor is what else generic code calls here.
//
//go:noinline
func open(hooks *Hooks, log *topiclog.Core, lines *topiclog.Lines, o topiclog.Options, b *BatchOptions, slot func() events) *Queue {
	if lines != nil {
		return newQueue(hooks, lines, o.Owner, func(q *Queue) *worker { return newWorker(nil).join(q, lines.NewReader(), slot()) })
	}
	cursor := log.Open(o)
	return newQueue(hooks, cursor, o.Owner, func(q *Queue) *worker { return newWorker(b).join(q, cursor.NewReader(), slot()) })
}

// replayFrom has the queue begin with what log keeps.
//
//go:noinline
func (q *Queue) replayFrom(log *topiclog.Core, e events) {
	q.kept = log.Open(topiclog.Options{Owner: q.group.Owner, Capacity: 1, Lanes: 1})
	q.kept.End(false)
	q.replay = newWorker(nil).join(q, q.kept.NewReader(), e)
}

// Start starts the first worker. A loop has none to start.
func (q *Queue) Start() {
	switch {
	case q.replay != nil:
		go q.replay.work()
	case q.new != nil:
		q.start()
	}
}

func (q *Queue) start() { go q.new(q).work() }

// End ends the queue: its handler still gets what is in it, unless that is to
// be dropped.
func (q *Queue) End(drop bool) {
	gone := q.source.End(drop)
	if q.kept != nil {
		q.kept.End(drop)
	}
	if gone { // a loop that has not begun
		q.ended()
	}
}

// Done is closed when the last worker of a queue that was ended has ended.
func (q *Queue) Done() <-chan struct{} { return q.done }

// Group is the workers, to those who wait for them.
func (q *Queue) Group() *waitgraph.Group { return &q.group }

// Counts are the counts of a queue.
type Counts struct {
	Taken, Failed, Dropped, Discarded, Lag uint64
}

// Counts returns how many events were taken, of these failed, were dropped for
// want of room, were dropped by the end, and are queued.
func (q *Queue) Counts() (c Counts) {
	c.Taken, c.Dropped, c.Discarded = q.source.Counts()
	c.Failed, c.Lag = q.failed.Load(), q.source.Lag()
	if q.kept != nil {
		taken, _, discarded := q.kept.Counts()
		c.Taken, c.Discarded, c.Lag = c.Taken+taken, c.Discarded+discarded, c.Lag+q.kept.Lag()
	}
	return c
}

func (q *Queue) ended() {
	q.once.Do(func() { close(q.done) })
	q.Ended()
}
