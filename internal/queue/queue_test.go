package queue_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/queue"
	"github.com/typedbus/events/internal/topiclog"
)

var (
	errExited = errors.New("exited")
	errBoom   = errors.New("boom")
)

// owner is who made a queue, and what that has told it.
type owner struct {
	mu      sync.Mutex
	failed  []string
	dropped uint64
	ended   int
	exits   bool // its hooks end the goroutine
}

func (o *owner) hooks() *queue.Hooks {
	h := &queue.Hooks{
		Event: "event", Exited: errExited,
		Panic: func(value any) error { return fmt.Errorf("panic: %v", value) },
		Ended: func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.ended++
		},
	}
	h.Origin.Life = new(origin.Life)
	h.Failed = func(_ context.Context, event string, events int, err error) {
		o.mu.Lock()
		o.failed = append(o.failed, fmt.Sprintf("%d %s: %v", events, event, err))
		exits := o.exits
		o.mu.Unlock()
		if exits {
			runtime.Goexit()
		}
	}
	h.Dropped = func(_ context.Context, _ string, dropped uint64) {
		o.mu.Lock()
		o.dropped += dropped
		exits := o.exits
		o.mu.Unlock()
		if exits {
			runtime.Goexit()
		}
	}
	return h
}

// ends ends a queue as Drain does, and waits for it.
func ends(t *testing.T, q *queue.Queue) {
	t.Helper()
	q.End(false)
	<-q.Done()
	synctest.Wait() // Ended follows
	require.Zero(t, q.Counts().Lag)
}

// TestWhateverHandlersDo has handlers fail, panic and end their goroutine, with hooks
// that return or end it as well: each event is handled once, in order.
func TestWhateverHandlersDo(t *testing.T) {
	for _, exits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &owner{exits: exits}
			log := topiclog.New[int]()
			var got []int
			q := queue.New(o.hooks(), log, nil, topiclog.Options{Capacity: 20, Lanes: 1}, nil, queue.Handler[int]{
				One: func(_ context.Context, event int) error {
					got = append(got, event)
					switch event % 4 {
					case 1:
						return errBoom
					case 2:
						panic("no")
					case 3:
						runtime.Goexit()
					}
					return nil
				},
			})
			q.Start()
			var want []int
			for event := range 12 {
				require.True(t, log.Offer(t.Context(), event, "", nil))
				want = append(want, event)
			}
			ends(t, q)
			require.Equal(t, want, got)
			require.Len(t, o.failed, 9)
			require.Equal(t, []string{"1 event: boom", "1 event: panic: no", "1 event: exited"}, o.failed[:3])
			require.Equal(t, queue.Counts{Taken: 12, Failed: 9}, q.Counts())
			require.NotZero(t, o.ended)
			require.True(t, log.Core().Unused())
		})
	}
}

func TestDroppedEventsAreReportedBeforeTheNextOne(t *testing.T) {
	for _, exits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := &owner{exits: exits}
			log := topiclog.New[int]()
			begun, rest := make(chan int, 10), make(chan struct{})
			q := queue.New(o.hooks(), log, nil, topiclog.Options{Capacity: 2, Lanes: 1, Policy: topiclog.DropOldest}, nil, queue.Handler[int]{
				One: func(_ context.Context, event int) error {
					begun <- event
					<-rest
					return nil
				},
			})
			q.Start()
			require.True(t, log.Offer(t.Context(), 0, "", nil))
			require.Equal(t, 0, <-begun)
			for event := range 5 {
				require.True(t, log.Offer(t.Context(), 1+event, "", nil))
			}
			close(rest)
			ends(t, q)
			require.Equal(t, 4, <-begun)
			require.Equal(t, 5, <-begun)
			require.Empty(t, begun)
			require.EqualValues(t, 3, o.dropped)
			require.Equal(t, queue.Counts{Taken: 3, Dropped: 3}, q.Counts())
		})
	}
}

// TestBatchesGoOut has batches that are full, that have waited, that fail, and one
// that is collected when the queue ends.
func TestBatchesGoOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(owner)
		log := topiclog.New[int]()
		batches := make(chan []int, 10)
		q := queue.New(o.hooks(), log, nil, topiclog.Options{Capacity: 20, Lanes: 1, Batch: true},
			&queue.BatchOptions{Max: 3, Wait: time.Second}, queue.Handler[int]{
				Many: func(_ context.Context, events []int) error {
					batches <- events
					if len(events) == 2 {
						return errBoom
					}
					return nil
				},
			})
		q.Start()
		offer := func(events ...int) {
			for _, event := range events {
				require.True(t, log.Offer(t.Context(), event, "", nil))
			}
			synctest.Wait()
		}
		offer(1, 2, 3, 4)
		require.Equal(t, []int{1, 2, 3}, <-batches)
		time.Sleep(900 * time.Millisecond)
		offer(5)
		require.Empty(t, batches)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, []int{4, 5}, <-batches, "a second after its first event")
		require.Equal(t, []string{"2 event: boom"}, o.failed)
		offer(6)
		log.Core().Seal()
		synctest.Wait()
		require.Equal(t, []int{6}, <-batches, "the bus drains")
		ends(t, q)
		require.Equal(t, queue.Counts{Taken: 6, Failed: 2}, q.Counts())
	})

	synctest.Test(t, func(t *testing.T) {
		log := topiclog.New[int]()
		q := queue.New(new(owner).hooks(), log, nil, topiclog.Options{Capacity: 20, Lanes: 1, Batch: true},
			&queue.BatchOptions{Max: 3, Wait: time.Hour}, queue.Handler[int]{
				Many: func(context.Context, []int) error { t.Error("handled"); return nil },
			})
		q.Start()
		require.True(t, log.Offer(t.Context(), 1, "", nil))
		synctest.Wait()
		q.End(true)
		<-q.Done()
		require.Equal(t, queue.Counts{Taken: 1, Discarded: 1}, q.Counts())
	})
}

// TestLoops has loops that get what is queued, leave, or never begin.
func TestLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(owner)
		log := topiclog.New[int]()
		open := func() (*queue.Loop, func(context.Context, func(context.Context, int) bool) bool) {
			return queue.NewLoop(o.hooks(), log, topiclog.Options{Capacity: 20})
		}
		first, at := open()
		never, _ := open()
		empty, _ := open()
		empty.Queue.End(false)
		<-empty.Queue.Done()
		for event := range 5 {
			require.True(t, log.Offer(t.Context(), event, "", nil))
		}
		var got []int
		left := 0
		first.Range(t.Context(), func() { left++ }, func(ctx context.Context) bool {
			return at(ctx, func(_ context.Context, event int) bool {
				got = append(got, event)
				return event < 2
			})
		})
		require.Equal(t, []int{0, 1, 2}, got)
		require.Equal(t, 1, left, "told before it stops to count as at work")
		first.Queue.End(true)
		<-first.Queue.Done()
		require.EqualValues(t, 2, first.Queue.Counts().Discarded)

		never.Queue.End(false)
		select {
		case <-never.Queue.Done():
			t.Error("events are queued for it")
		default:
		}
		never.Queue.End(true)
		<-never.Queue.Done()
		never.Range(t.Context(), func() { t.Error("begun") }, func(context.Context) bool { t.Error("yielded"); return false })

		until, cancel := context.WithCancel(t.Context())
		last, at := open()
		require.True(t, log.Offer(t.Context(), 5, "", nil))
		last.Range(until, func() {}, func(ctx context.Context) bool {
			return at(ctx, func(context.Context, int) bool { cancel(); return true })
		})
		last.Queue.End(true)
		<-last.Queue.Done()
		require.True(t, log.Core().Unused())
	})
}

// TestKeysWithReplay has what a log keeps come first, then each key in order, though
// lanes handle several at once.
func TestKeysWithReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := topiclog.New[int]()
		kept.Core().Retain(3)
		for event := range 5 {
			require.True(t, kept.Offer(t.Context(), event-5, "", nil))
		}
		o := new(owner)
		options := topiclog.Options{Capacity: 50, Lanes: 3}
		keyed := topiclog.NewKeyed[int](options)
		var mu sync.Mutex
		var got []int
		q := queue.New(o.hooks(), keyed, kept, options, nil, queue.Handler[int]{
			One: func(_ context.Context, event int) error {
				mu.Lock()
				got = append(got, event)
				mu.Unlock()
				if event%5 == 0 {
					runtime.Goexit()
				}
				time.Sleep(time.Duration(event%3) * time.Second)
				return nil
			},
		})
		for event := range 20 {
			require.True(t, keyed.Offer(t.Context(), event, string(rune('a'+event%4)), nil))
		}
		q.Start()
		ends(t, q)
		require.Equal(t, []int{-3, -2, -1}, got[:3])
		require.Len(t, got, 23)
		last := map[int]int{0: -1, 1: -1, 2: -1, 3: -1}
		for _, event := range got[3:] {
			require.Greater(t, event, last[event%4], "of one key")
			last[event%4] = event
		}
		require.Equal(t, queue.Counts{Taken: 23, Failed: 4}, q.Counts())
	})
}
