package topiclog_test

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// sleepers opens cursors whose readers sleep.
func sleepers(t *testing.T, l *topiclog.Log[int], n, capacity int) (readers []*topiclog.Reader) {
	t.Helper()
	for range n {
		r := l.Core().Open(topiclog.Options{Capacity: capacity, Lanes: 1}).NewReader()
		require.Equal(t, topiclog.Asleep, r.Sleep())
		readers = append(readers, r)
	}
	return readers
}

// serve has a reader that was woken read all, and sleep.
func serve(t *testing.T, l *topiclog.Log[int], r *topiclog.Reader) {
	t.Helper()
	<-r.Wake()
	var e topiclog.Entry[int]
	for read := true; read; {
		read = l.Next(r, &e)
	}
	require.Equal(t, topiclog.Asleep, r.Sleep())
}

// requireLinear has do take about as long for each of many as for each of few.
// The machine may have other work, so that one good round will do.
func requireLinear(t *testing.T, do func(n int) time.Duration) {
	t.Helper()
	const few, many, slack, rounds = 250, 8000, 8, 5
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var least, most time.Duration
	for round := range rounds {
		runtime.GC()
		a, b := do(few), do(many)
		if round == 0 {
			least, most = a, b
		}
		least, most = min(least, a), min(most, b)
		if most < slack*least*many/few {
			return
		}
	}
	require.Fail(t, "not linear", "%v for %d, %v for %d", least, few, most, many)
}

func TestReadersBesideOneThatLagsBehindCostTheSame(t *testing.T) {
	requireLinear(t, func(n int) time.Duration {
		l := topiclog.New[int]()
		l.Core().Open(topiclog.Options{Capacity: 1 << 20, Lanes: 1})
		for range 2000 {
			require.True(t, l.Offer(t.Context(), 1, "", nil))
		}
		readers := sleepers(t, l, n, 4)
		begun := time.Now()
		for range 2 {
			require.True(t, l.Offer(t.Context(), 1, "", nil))
			for _, r := range readers {
				serve(t, l, r)
			}
		}
		return time.Since(begun)
	})
}

func TestPublisherBehindManyFullQueuesCostsLinear(t *testing.T) {
	requireLinear(t, func(n int) time.Duration {
		l := topiclog.New[int]()
		readers := sleepers(t, l, n, 1)
		require.True(t, l.Offer(t.Context(), 1, "", nil))
		w := &topiclog.Waiter{Woken: make(chan topiclog.Outcome, 1)}
		l.Core().Wait(w, topiclog.Request{})
		begun := time.Now()
		for _, r := range readers {
			require.Empty(t, w.Woken)
			serve(t, l, r)
		}
		require.Equal(t, topiclog.Called, <-w.Woken)
		return time.Since(begun)
	})
}

// TestEndsWithEventsLeftShareThem ends many cursors between two events.
func TestEndsWithEventsLeftShareThem(t *testing.T) {
	const cursors, lag = 1000, 1000
	l := topiclog.New[int]()
	var open []*topiclog.Cursor
	for range cursors {
		open = append(open, l.Core().Open(topiclog.Options{Capacity: lag, Lanes: 1}))
	}
	for range lag {
		require.True(t, l.Offer(t.Context(), 1, "", nil))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, c := range open {
		c.End(false)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), "the ring has 24 KB")
	runtime.KeepAlive(open)
}

func TestManyEndsCostLinear(t *testing.T) {
	for name, retain := range map[string]int{"without replay": 0, "with replay": 3} {
		t.Run(name, func(t *testing.T) {
			requireLinear(t, func(n int) time.Duration {
				l := topiclog.New[int]()
				l.Core().Retain(retain)
				readers := sleepers(t, l, n, 4)
				for range 5 {
					require.True(t, l.Offer(t.Context(), 1, "", nil))
					for _, r := range readers {
						serve(t, l, r)
					}
				}
				begun := time.Now()
				for _, r := range readers {
					r.End(true)
				}
				return time.Since(begun)
			})
		})
	}
}
