package waitgraph_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/goid"
	"github.com/typedbus/events/internal/waitgraph"
)

// queue is a group with what the graph asks of it.
type queue struct {
	waitgraph.Group
	room   atomic.Bool
	atWork atomic.Int64
}

func newQueue() *queue {
	q := new(queue)
	q.HasRoom = q.room.Load
	q.AtWork = func() int { return int(q.atWork.Load()) }
	return q
}

func never() bool { return false }

// cast is goroutines that do as they are told, one at a time.
type cast struct {
	t    *testing.T
	all  sync.WaitGroup
	ends []chan func()
}

func newCast(t *testing.T) *cast {
	c := &cast{t: t}
	t.Cleanup(func() {
		for _, tell := range c.ends {
			close(tell)
		}
		c.all.Wait()
	})
	return c
}

// actor returns what has a new goroutine do something and waits for that.
func (c *cast) actor() (do func(func())) {
	tell := make(chan func())
	c.ends = append(c.ends, tell)
	c.all.Go(func() {
		for f := range tell {
			f()
		}
	})
	return func(f func()) {
		done := make(chan struct{})
		tell <- func() {
			defer close(done)
			f()
		}
		<-done
	}
}

// worker is a goroutine that handles an event of a queue.
func (c *cast) worker(q *queue) (do func(func())) {
	do = c.actor()
	q.atWork.Add(1)
	var member *waitgraph.Member
	do(func() { member = waitgraph.Join(&q.Group) })
	c.t.Cleanup(func() { member.Leave() })
	return do
}

// waits has a goroutine wait for room, until the end of the test.
func waits(t *testing.T, do func(func()), q *queue, over func() bool) (w *waitgraph.Wait) {
	do(func() { w = waitgraph.ForRoom(&q.Group, over) })
	t.Cleanup(func() { w.Over() })
	return w
}

func groups(all ...*queue) func() []*waitgraph.Group {
	return func() (groups []*waitgraph.Group) {
		for _, q := range all {
			groups = append(groups, &q.Group)
		}
		return groups
	}
}

func TestWaitForRoom(t *testing.T) {
	t.Run("in the own queue", func(t *testing.T) {
		q := newQueue()
		w := waits(t, newCast(t).worker(q), q, never)
		require.True(t, w.Hopeless())
		q.room.Store(true)
		require.False(t, w.Hopeless(), "there is room")
		q.room.Store(false)
		q.atWork.Add(1)
		require.False(t, w.Hopeless(), "another lane has been woken, and is yet to join")
	})

	t.Run("in a queue that somebody else works off", func(t *testing.T) {
		c, q, other := newCast(t), newQueue(), newQueue()
		w := waits(t, c.worker(q), other, never)
		require.True(t, w.Hopeless(), "nobody works there")
		c.worker(other)
		require.False(t, w.Hopeless())
	})

	t.Run("in a cycle", func(t *testing.T) {
		c := newCast(t)
		queues := []*queue{newQueue(), newQueue(), newQueue()}
		var workers []func(func())
		for _, q := range queues {
			workers = append(workers, c.worker(q))
		}
		var all []*waitgraph.Wait
		for i, do := range workers {
			all = append(all, waits(t, do, queues[(i+1)%len(queues)], never))
			if i+1 < len(queues) {
				require.False(t, all[i].Hopeless(), "the last one does not wait yet")
			}
		}
		for _, w := range all {
			require.True(t, w.Hopeless())
		}
		outside := waits(t, c.worker(newQueue()), queues[0], never)
		require.True(t, outside.Hopeless(), "before a cycle")
		all[1].Over()
		require.False(t, all[0].Hopeless(), "one has given up")
		require.False(t, outside.Hopeless())
	})

	t.Run("in a cycle of which one has got its place", func(t *testing.T) {
		c, a, b := newCast(t), newQueue(), newQueue()
		first := waits(t, c.worker(a), b, func() bool { return true })
		second := waits(t, c.worker(b), a, never)
		require.False(t, first.Hopeless())
		require.False(t, second.Hopeless())
	})

	t.Run("in a cycle with a lane that is free", func(t *testing.T) {
		c, a, b := newCast(t), newQueue(), newQueue()
		first := waits(t, c.worker(a), b, never)
		second := waits(t, c.worker(b), a, never)
		do := c.worker(b)
		require.False(t, first.Hopeless())
		require.False(t, second.Hopeless(), "who waits for the first has a way out with it")
		third := waits(t, do, a, never)
		require.True(t, third.Hopeless())
		require.True(t, first.Hopeless())
	})
}

func TestWaitForTheEnd(t *testing.T) {
	c, a, b := newCast(t), newQueue(), newQueue()
	doA, doB := c.worker(a), c.worker(b)
	var end *waitgraph.Wait
	doA(func() { end = waitgraph.ForEnd(groups(b)) })
	defer func() { end.Over() }()
	require.False(t, end.Hopeless())
	room := waits(t, doB, a, never)
	require.True(t, end.Hopeless())
	require.True(t, room.Hopeless())
	a.room.Store(true)
	require.False(t, end.Hopeless(), "room is a way out for the one that is to end")
	end.Over()

	b.room.Store(true)
	doA(func() { end = waitgraph.ForEnd(groups(b, a)) })
	require.True(t, end.Hopeless(), "its own end, from which no room is a way out")
}

func TestWhoWaits(t *testing.T) {
	t.Run("a stranger", func(t *testing.T) {
		q := newQueue()
		w := waitgraph.ForRoom(&q.Group, never)
		require.Nil(t, w, "it keeps nobody else waiting")
		require.False(t, w.Hopeless())
		w.Over()
		newCast(t).worker(newQueue())
		require.Nil(t, waitgraph.ForEnd(groups(q)))
		require.EqualValues(t, goid.Unknown, waitgraph.Caller())
	})

	t.Run("who stands for another one", func(t *testing.T) {
		c, q := newCast(t), newQueue()
		do, helper, another := c.worker(q), c.actor(), c.actor()
		var caller uint64
		do(func() { caller = waitgraph.Caller() })
		require.NotEqualValues(t, goid.Unknown, caller)
		var over, overToo func()
		helper(func() { over = waitgraph.StandFor(caller) })
		helper(func() { require.Equal(t, caller, waitgraph.Caller()) })
		// One that stands for one that stands for another.
		var between uint64
		helper(func() { between = goid.Current() })
		another(func() { overToo = waitgraph.StandFor(between) })
		w := waits(t, another, q, never)
		require.True(t, w.Hopeless())
		w.Over()
		overToo()
		another(func() { require.EqualValues(t, goid.Unknown, waitgraph.Caller()) })
		over()
		helper(func() { require.EqualValues(t, goid.Unknown, waitgraph.Caller()) })
	})

	t.Run("a loop within a handler", func(t *testing.T) {
		c, a, b := newCast(t), newQueue(), newQueue()
		do := c.worker(a)
		var member *waitgraph.Member
		do(func() { member = waitgraph.Join(&b.Group) })
		b.atWork.Add(1)
		w := waits(t, do, a, never)
		require.True(t, w.Hopeless())
		w.Over()
		w = waits(t, do, b, never)
		require.True(t, w.Hopeless(), "it is of both queues")
		member.Leave()
		b.atWork.Add(-1)
		b.room.Store(true)
		require.False(t, w.Hopeless())
	})

	t.Run("nobody any more", func(t *testing.T) {
		q := newQueue()
		member := waitgraph.Join(&q.Group)
		w := waitgraph.ForRoom(&q.Group, never)
		require.NotNil(t, w)
		w.Over()
		w.Over()
		member.Leave()
		require.Nil(t, waitgraph.ForRoom(&q.Group, never))
	})
}
