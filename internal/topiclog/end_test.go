package topiclog_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// TestEndBesideAReader ends a cursor whose reader may be copying an event at the
// moment. What the end says is left is exactly what the reader does not get. The
// race detector sees it if something is written to that is copied.
func TestEndBesideAReader(t *testing.T) {
	const events = 50
	offer := func(l *topiclog.Log[int]) {
		for n := range events {
			require.True(t, l.Offer(t.Context(), n, "", nil))
		}
	}
	for name, test := range map[string]struct {
		end   func(*topiclog.Log[int], *topiclog.Cursor) (left []topiclog.Left)
		drops bool
	}{
		"End(true)": {drops: true, end: func(_ *topiclog.Log[int], c *topiclog.Cursor) []topiclog.Left {
			c.End(true)
			return nil
		}},
		"EndAll(true)": {drops: true, end: func(l *topiclog.Log[int], _ *topiclog.Cursor) []topiclog.Left {
			return l.Core().EndAll(true)
		}},
		"End(false), EndAll(true)": {drops: true, end: func(l *topiclog.Log[int], c *topiclog.Cursor) []topiclog.Left {
			c.End(false)
			return l.Core().EndAll(true)
		}},
		"End(true) and more events": {drops: true, end: func(l *topiclog.Log[int], c *topiclog.Cursor) []topiclog.Left {
			other := l.Core().Open(topiclog.Options{Capacity: 100, Lanes: 1})
			c.End(true)
			offer(l)
			other.End(true)
			return nil
		}},
		"End(false) and more events": {end: func(l *topiclog.Log[int], c *topiclog.Cursor) []topiclog.Left {
			l.Core().Open(topiclog.Options{Capacity: 100, Lanes: 1})
			c.End(false)
			offer(l)
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 300 {
				l := topiclog.New[int]()
				c := l.Core().Open(topiclog.Options{Capacity: 100, Lanes: 1})
				offer(l)
				r := c.NewReader()
				taken := 0
				var reading sync.WaitGroup
				reading.Go(func() {
					for range round % 16 {
						runtime.Gosched() // which orders nothing
					}
					for e := (topiclog.Entry[int]{}); l.Next(r, &e); taken++ {
						if e.Payload != taken {
							t.Errorf("%d, want %d", e.Payload, taken)
						}
					}
				})
				left := test.end(l, c)
				reading.Wait()
				counted, dropped, discarded := c.Counts()
				require.EqualValues(t, taken, counted)
				require.Zero(t, dropped)
				require.EqualValues(t, events-taken, discarded)
				if !test.drops {
					require.Equal(t, events, taken)
				}
				if len(left) > 0 {
					require.Equal(t, discarded, left[0].Queued)
				}
			}
		})
	}
}

func TestEndAllOfLoopsThatHaveNotBegun(t *testing.T) {
	l := topiclog.New[int]()
	var loops []*topiclog.Cursor
	for range 4 {
		loops = append(loops, l.Core().Open(topiclog.Options{Capacity: 4, Lanes: 1, Loop: true}))
	}
	require.True(t, l.Offer(t.Context(), 1, "", nil))
	require.Equal(t, 4, l.Core().Busy())
	for _, c := range loops[1:] {
		c.End(false)
	}
	require.Len(t, l.Core().EndAll(true), 4)
	require.True(t, l.Core().Unused())
	require.Zero(t, l.Core().Busy())
}
