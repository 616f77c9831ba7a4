package topiclog_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

const huge = 1 << 40

type (
	numbers = topiclog.Log[int]
	reader  = topiclog.Cursor[int]
)

func newLog() *numbers { return topiclog.New[int](new(atomic.Int64)) }

// write appends numbers for which there is room.
func write(t testing.TB, l *numbers, events ...int) {
	t.Helper()
	for _, event := range events {
		l.Lock()
		require.Nil(t, l.Full())
		l.Append(event)
		l.Unlock()
	}
}

// read takes what a cursor has before it.
func read(c *reader) (events []int) {
	for {
		var event int
		if !c.Next(&event) {
			return events
		}
		events = append(events, event)
	}
}

func full(l *numbers) *topiclog.Position {
	l.Lock()
	defer l.Unlock()
	return l.Full()
}

// replayed returns what the log keeps for cursors to come.
func replayed(l *numbers) []int {
	c := l.Open(nil, huge, 1, topiclog.Block)
	defer c.End(true)
	return read(c)
}

func upTo(first, last int) (events []int) {
	for n := first; n <= last; n++ {
		events = append(events, n)
	}
	return events
}

func TestCursorReadsFromWhereItWasOpened(t *testing.T) {
	l := newLog()
	write(t, l, 1)
	a := l.Open("a", huge, 1, topiclog.Block)
	write(t, l, 2, 3)
	b := l.Open("b", huge, 1, topiclog.Block)
	write(t, l, upTo(4, 100)...)
	require.Equal(t, upTo(2, 100), read(a))
	require.Equal(t, upTo(4, 100), read(b))
	require.Empty(t, read(a))
	write(t, l, 101)
	require.Equal(t, []int{101}, read(a))
	require.EqualValues(t, 1, b.Lag())
	require.EqualValues(t, 100, a.Taken())
	require.Equal(t, "b", b.Owner)
}

func TestFull(t *testing.T) {
	for _, readers := range []int{1, 3} {
		l := newLog()
		blocks := l.Open(nil, 2, readers, topiclog.Block)
		write(t, l, 1, 2)
		require.Same(t, &blocks.Position, full(l))
		require.False(t, blocks.HasRoom())
		rejects := l.Open(nil, 1, readers, topiclog.Reject)
		require.Same(t, &blocks.Position, full(l), "the other has room")
		var event int
		require.True(t, blocks.Next(&event))
		require.True(t, blocks.HasRoom())
		require.Nil(t, full(l))
		write(t, l, 3)
		require.Same(t, &rejects.Position, full(l), "both are full")
		require.Equal(t, topiclog.Reject, full(l).Policy())
		require.True(t, rejects.Next(&event))
		require.Equal(t, 3, event)
		require.Same(t, &blocks.Position, full(l))
		require.Equal(t, []int{2, 3}, read(blocks))
		require.Nil(t, full(l))
	}
}

func TestDropOldest(t *testing.T) {
	l := newLog()
	drops := l.Open(nil, 3, 1, topiclog.DropOldest)
	other := l.Open(nil, huge, 1, topiclog.Block)
	write(t, l, upTo(1, 10)...)
	var event int
	dropped, ok := drops.Take(&event, false)
	require.True(t, ok)
	require.Equal(t, 8, event)
	require.EqualValues(t, 7, dropped)
	dropped, ok = drops.Take(&event, false)
	require.True(t, ok)
	require.Zero(t, dropped, "one gap")
	write(t, l, upTo(11, 13)...)
	dropped, ok = drops.Take(&event, false)
	require.True(t, ok)
	require.Equal(t, 11, event)
	require.EqualValues(t, 1, dropped)
	require.EqualValues(t, 8, drops.Dropped())
	require.EqualValues(t, 3, drops.Taken())
	require.EqualValues(t, 2, drops.Lag())
	require.Equal(t, upTo(1, 13), read(other))
	require.Equal(t, []int{12, 13}, read(drops))
}

func TestHeldEventsCount(t *testing.T) {
	l := newLog()
	c := l.Open(nil, 2, 2, topiclog.Block)
	write(t, l, 1, 2)
	var event int
	_, ok := c.Take(&event, true)
	require.True(t, ok)
	require.NotNil(t, full(l))
	require.EqualValues(t, 2, c.Lag())
	require.Zero(t, c.Taken())
	c.Begin()
	require.Nil(t, full(l))
	require.EqualValues(t, 1, c.Taken())
	require.True(t, c.Unread())
	_, ok = c.Take(&event, true)
	require.True(t, ok)
	require.False(t, c.Unread())
	c.Begin()
	require.Zero(t, c.Lag())
}

func TestRetain(t *testing.T) {
	l := newLog()
	l.Retain(3)
	l.Retain(2) // does not take back
	write(t, l, upTo(1, 50)...)
	require.Equal(t, upTo(48, 50), replayed(l))
	for _, capacity := range []int{1, 5} {
		c := l.Open(nil, capacity, 1, topiclog.Block)
		require.Nil(t, full(l), "what it replays does not count")
		require.EqualValues(t, 3, c.Lag())
		require.Equal(t, upTo(48, 50), read(c))
		require.EqualValues(t, 3, c.Taken())
		c.End(true)
	}
	write(t, l, 51)
	require.Equal(t, upTo(49, 51), replayed(l))
	c := l.Open(nil, 1, 1, topiclog.Block)
	write(t, l, 52)
	require.NotNil(t, full(l))
	require.Equal(t, upTo(49, 52), read(c))
}

func TestWaitForRoom(t *testing.T) {
	for _, readers := range []int{1, 2} {
		t.Run(fmt.Sprint(readers), func(t *testing.T) {
			l := newLog()
			c := l.Open(nil, 1, readers, topiclog.Block)
			write(t, l, 1)
			wait := func() chan struct{} {
				l.Lock()
				defer l.Unlock()
				p := l.Full()
				require.NotNil(t, p)
				return p.Wait()
			}
			first, second, third := wait(), wait(), wait()
			let := func(room chan struct{}) bool {
				select {
				case <-room:
					return true
				default:
					return false
				}
			}
			require.False(t, let(first))
			var event int
			require.True(t, c.Next(&event))
			require.True(t, let(first))
			require.False(t, let(second), "one event, one turn")
			c.Leave(first)
			require.True(t, let(second), "a turn that is not used is the next one's")
			require.False(t, let(third))
			c.Leave(third)
			c.Leave(second)
			l.Lock()
			require.Nil(t, c.Wait(), "there is room by now")
			l.Unlock()

			write(t, l, 2)
			fourth, fifth := wait(), wait()
			c.End(true)
			require.True(t, let(fourth))
			require.True(t, let(fifth), "nobody waits for one that is over")
			require.Nil(t, full(l))
			require.True(t, c.HasRoom())
		})
	}
}

func TestSleepAndWake(t *testing.T) {
	var active atomic.Int64
	active.Store(3)
	l := topiclog.New[int](&active)
	a := l.Open(nil, huge, 1, topiclog.Block)
	b := l.Open(nil, huge, 2, topiclog.Block)
	awake := func(c *reader) int { return len(c.Wake()) }
	sleep := func(c *reader) {
		t.Helper()
		asleep, ended := c.Sleep()
		require.True(t, asleep)
		require.False(t, ended)
	}
	sleep(a)
	sleep(b)
	sleep(b)
	require.Zero(t, active.Load())
	require.False(t, a.Ready())
	write(t, l, 1)
	require.Equal(t, 1, awake(a))
	require.Equal(t, 2, awake(b), "each of its readers")
	require.EqualValues(t, 3, active.Load())
	require.True(t, a.Ready())
	<-a.Wake()
	<-b.Wake()
	<-b.Wake()
	asleep, ended := a.Sleep()
	require.False(t, asleep || ended, "there is something to read")
	require.Equal(t, []int{1}, read(a))
	require.Equal(t, []int{1}, read(b))

	sleep(a)
	a.Rouse()
	require.EqualValues(t, 3, active.Load())
	write(t, l, 2)
	require.Zero(t, awake(a))
	require.Equal(t, []int{2}, read(a))
	sleep(a)
	write(t, l, 3)
	a.Rouse() // it has been woken: takes the token
	require.Zero(t, awake(a))
	require.EqualValues(t, 3, active.Load())
	require.Equal(t, []int{3}, read(a))

	require.Equal(t, []int{2, 3}, read(b))
	sleep(b)
	b.End(false)
	require.Equal(t, 1, awake(b), "of its end")
	<-b.Wake()
	asleep, ended = b.Sleep()
	require.False(t, asleep)
	require.True(t, ended)
	require.EqualValues(t, 3, active.Load())
}

func TestEnd(t *testing.T) {
	for name, test := range map[string]struct {
		readers int
		policy  topiclog.Policy
	}{"one reader": {1, topiclog.Block}, "shared": {2, topiclog.Block}, "drop": {1, topiclog.DropOldest}} {
		for _, other := range []bool{false, true} {
			for _, known := range []bool{false, true} { // it has looked how much there is
				t.Run(fmt.Sprintf("%s, other %t, known %t", name, other, known), func(t *testing.T) {
					open := func() (*numbers, *reader) {
						l := newLog()
						c := l.Open(nil, 100, test.readers, test.policy)
						if other {
							l.Open(nil, huge, 1, topiclog.Block)
						}
						write(t, l, upTo(1, 20)...)
						if known {
							var event int
							require.True(t, c.Next(&event))
						}
						return l, c
					}
					rest := upTo(1, 20)
					if known {
						rest = rest[1:]
					}

					l, c := open()
					require.EqualValues(t, len(rest), c.End(false))
					write(t, l, upTo(21, 200)...)
					require.EqualValues(t, len(rest), c.Lag())
					require.True(t, c.Ready())
					require.Equal(t, rest, read(c), "what was published before")
					asleep, ended := c.Sleep()
					require.False(t, asleep)
					require.True(t, ended)
					require.Zero(t, c.Lag())
					require.EqualValues(t, 20, c.Taken())

					l, c = open()
					require.EqualValues(t, len(rest), c.End(true))
					write(t, l, 21)
					require.Empty(t, read(c), "dropped")
					require.Zero(t, c.Lag())
					_, ended = c.Sleep()
					require.True(t, ended)
					require.EqualValues(t, 20-len(rest), c.Taken())

					_, c = open()
					c.End(false)
					require.EqualValues(t, len(rest), c.End(true), "first this, then that")
					require.Empty(t, read(c))
					require.Zero(t, c.Lag())
					require.Zero(t, c.End(true))
				})
			}
		}
	}
}

// TestEndBesideAReader ends a cursor while its reader looks for what there is:
// it gets that, and not what is left of it in the log.
func TestEndBesideAReader(t *testing.T) {
	for round := range 5000 {
		l := newLog()
		c := l.Open(nil, huge, 1, topiclog.Block)
		got := make(chan []int)
		go func() {
			var events []int
			for {
				events = append(events, read(c)...)
				asleep, ended := c.Sleep()
				if ended {
					got <- events
					return
				}
				if asleep {
					<-c.Wake()
				}
			}
		}()
		for range round % 7 {
			runtime.Gosched()
		}
		write(t, l, 7, 8)
		for range round % 3 {
			runtime.Gosched()
		}
		c.End(false)
		require.Equal(t, []int{7, 8}, <-got)
	}
}

func TestEventsAreReleased(t *testing.T) {
	type payload [64]byte
	log := topiclog.New[*payload](new(atomic.Int64))
	var made, gone atomic.Int64
	write := func(n int) {
		for range n {
			p := new(payload)
			made.Add(1)
			runtime.AddCleanup(p, func(*atomic.Int64) { gone.Add(1) }, &gone)
			log.Lock()
			log.Append(p)
			log.Unlock()
		}
	}
	left := func(most int64) int64 {
		for range 100 {
			runtime.GC()
			for range 100 {
				runtime.Gosched()
			}
			if made.Load()-gone.Load() <= most {
				break
			}
		}
		return made.Load() - gone.Load()
	}
	take := func(c *topiclog.Cursor[*payload], n int) {
		for len(c.Wake()) > 0 {
			<-c.Wake()
		}
		var p *payload
		for range n {
			require.True(t, c.Next(&p))
		}
	}
	write(10)
	require.Zero(t, left(0), "nobody listens")
	a := log.Open(nil, huge, 1, topiclog.Block)
	b := log.Open(nil, huge, 2, topiclog.Block)
	write(100)
	take(a, 100)
	_, _ = a.Sleep()
	require.EqualValues(t, 100, left(100))
	take(b, 100)
	_, _ = b.Sleep()
	require.Zero(t, left(0))

	write(100)
	take(a, 100)
	_, _ = a.Sleep()
	b.End(false)
	require.EqualValues(t, 100, left(100), "b still has to read them")
	take(b, 100)
	_, ended := b.Sleep()
	require.True(t, ended)
	require.Zero(t, left(0))

	write(50)
	take(a, 10)
	a.End(true)
	_, ended = a.Sleep() // the reader learns of it
	require.True(t, ended)
	require.Zero(t, left(0))
	runtime.KeepAlive(log)
	runtime.KeepAlive(a)
	runtime.KeepAlive(b)
}

func TestMemoryGrowsWithUse(t *testing.T) {
	log := topiclog.New[[1 << 10]byte](new(atomic.Int64))
	c := log.Open(nil, huge, 1, topiclog.Block)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var event [1 << 10]byte
	for range 10_000 {
		log.Lock()
		log.Append(event)
		log.Unlock()
		require.True(t, c.Next(&event))
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestIDsGrow(t *testing.T) {
	require.Less(t, newLog().ID, newLog().ID)
}

// TestConcurrentUse has writers, and readers of all kinds that come and go.
func TestConcurrentUse(t *testing.T) {
	const writers, each = 3, 3000
	l := newLog()
	var writing, reading sync.WaitGroup
	follow := func(capacity, readers int, policy topiclog.Policy, stay bool) {
		c := l.Open(nil, capacity, readers, policy)
		var mu sync.Mutex
		last := slices.Repeat([]int{-1}, writers)
		seen := make(map[int]int)
		lost := 0
		var inside sync.WaitGroup
		for range readers {
			inside.Go(func() {
				for taken := 0; ; {
					var event int
					var dropped uint64
					var ok bool
					if readers > 1 || policy == topiclog.DropOldest {
						dropped, ok = c.Take(&event, false)
					} else {
						ok = c.Next(&event)
					}
					if !ok {
						asleep, ended := c.Sleep()
						if asleep {
							<-c.Wake()
						}
						if ended {
							return
						}
						continue
					}
					mu.Lock()
					lost += int(dropped)
					seen[event]++
					if readers == 1 && event%each <= last[event/each] {
						t.Errorf("%d after %d", event%each, last[event/each])
					}
					last[event/each] = event % each
					mu.Unlock()
					if taken++; !stay && taken == 100 {
						c.End(taken%2 == 0)
					}
				}
			})
		}
		reading.Go(func() {
			if stay {
				writing.Wait()
				c.End(false)
			}
			inside.Wait()
			for event, times := range seen {
				if times != 1 {
					t.Errorf("%d %d times", event, times)
				}
			}
			if stay && len(seen)+lost != writers*each {
				t.Errorf("%d seen, %d lost", len(seen), lost)
			}
			if policy != topiclog.DropOldest && lost > 0 {
				t.Errorf("%d lost", lost)
			}
			if int(c.Taken()) != len(seen) || stay && int(c.Dropped()) != lost {
				t.Errorf("Taken: %d of %d, Dropped: %d of %d", c.Taken(), len(seen), c.Dropped(), lost)
			}
		})
	}
	writing.Add(writers)
	follow(1, 1, topiclog.Block, true)
	follow(5, 3, topiclog.Block, true)
	follow(100, 1, topiclog.Block, true)
	follow(3, 1, topiclog.DropOldest, true)
	follow(50, 2, topiclog.DropOldest, true)
	for i := range 10 {
		follow(1+i, 1+i%3, topiclog.Policy(i%2), false)
	}
	for w := range writers {
		go func() {
			defer writing.Done()
			for n := range each {
				for {
					l.Lock()
					p := l.Full()
					if p == nil {
						l.Append(w*each + n)
						l.Unlock()
						break
					}
					room := p.Wait()
					l.Unlock()
					if room != nil {
						<-room
					}
				}
			}
		}()
	}
	reading.Wait()
}

// BenchmarkLog appends an event and has each cursor read it.
func BenchmarkLog(b *testing.B) {
	for _, cursors := range []int{0, 1, 10} {
		for name, readers := range map[string]int{"own": 1, "shared": 2} {
			b.Run(fmt.Sprintf("cursors=%d/%s", cursors, name), func(b *testing.B) {
				l := newLog()
				open := make([]*reader, cursors)
				for i := range open {
					open[i] = l.Open(nil, 1024, readers, topiclog.Block)
				}
				b.ReportAllocs()
				for b.Loop() {
					l.Lock()
					l.Append(1)
					l.Unlock()
					for _, c := range open {
						var event int
						c.Next(&event)
					}
				}
			})
		}
	}
}
