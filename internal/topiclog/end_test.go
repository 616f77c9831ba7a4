package topiclog_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// TestEndBesideAReaderInPlace drops what a reader may be copying at the moment.
// The race detector sees it if that is written to.
func TestEndBesideAReaderInPlace(t *testing.T) {
	for name, end := range map[string]func(*topiclog.Log[int], *topiclog.Cursor){
		"End(true)":    func(_ *topiclog.Log[int], c *topiclog.Cursor) { c.End(true) },
		"EndAll(true)": func(l *topiclog.Log[int], _ *topiclog.Cursor) { l.EndAll(true) },
		"End(true) and more events": func(l *topiclog.Log[int], c *topiclog.Cursor) {
			other := l.Open(topiclog.Options{Capacity: 100, Lanes: 1})
			c.End(true)
			for n := range 60 {
				l.Offer(t.Context(), n)
			}
			other.End(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 300 {
				l := topiclog.New[int]()
				c := l.Open(topiclog.Options{Capacity: 100, Lanes: 1})
				for n := range 50 {
					require.True(t, l.Offer(t.Context(), n))
				}
				r := c.NewReader()
				taken := 0
				var reading sync.WaitGroup
				ring := l.Run(r)
				reading.Go(func() {
					for range round % 16 {
						runtime.Gosched() // which orders nothing
					}
					for ; ring != nil; ring = l.Run(r) {
						for at, ok := r.At(len(ring)); ok; at, ok = r.At(len(ring)) {
							event := ring[at].Payload
							if ok, _ := r.Step(); ok {
								if event != taken {
									t.Errorf("%d, want %d", event, taken)
								}
								taken++
							}
						}
					}
				})
				end(l, c)
				reading.Wait()
				counted, dropped, discarded := c.Counts()
				require.EqualValues(t, taken, counted)
				require.Zero(t, dropped)
				require.EqualValues(t, 50-taken, discarded)
			}
		})
	}
}

func TestEndAllOfLoopsThatHaveNotBegun(t *testing.T) {
	l := topiclog.New[int]()
	var loops []*topiclog.Cursor
	for range 4 {
		loops = append(loops, l.Open(topiclog.Options{Capacity: 4, Lanes: 1, Loop: true}))
	}
	require.True(t, l.Offer(t.Context(), 1))
	require.Equal(t, 4, l.Busy())
	for _, c := range loops[1:] {
		c.End(false)
	}
	require.Len(t, l.EndAll(true), 4)
	require.True(t, l.Unused())
	require.Zero(t, l.Busy())
}
