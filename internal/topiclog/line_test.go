package topiclog_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/topiclog"
)

// TestPublisherInLineLearnsThatAQueueRejects fills a queue that rejects by who
// was ahead in the line.
func TestPublisherInLineLearnsThatAQueueRejects(t *testing.T) {
	l := topiclog.New[int]()
	blocks := l.Core().Open(topiclog.Options{Owner: "blocks", Capacity: 1, Lanes: 2}).NewReader()
	rejects := l.Core().Open(topiclog.Options{Owner: "rejects", Capacity: 1, Lanes: 2, Policy: topiclog.Reject}).NewReader()
	var e topiclog.Entry[int]
	take := func(r *topiclog.Reader) {
		t.Helper()
		_, _, ok := l.Take(r, &e)
		require.True(t, ok)
	}
	require.True(t, l.Offer(t.Context(), 0, "", nil))
	take(rejects)
	wait := func(event int) *topiclog.Waiter {
		w := &topiclog.Waiter{Woken: make(chan topiclog.Outcome, 1)}
		l.Core().Wait(w, topiclog.Request{
			Entry: &topiclog.Entry[int]{Context: t.Context(), Payload: event},
			Fresh: func() bool { return true },
		})
		return w
	}
	first, second := wait(1), wait(2)
	require.Empty(t, first.Woken)
	take(blocks)
	require.Equal(t, topiclog.Added, <-first.Woken)
	take(blocks)
	require.Len(t, second.Woken, 1, "it would be refused now: rejects is full")
	require.Equal(t, topiclog.Called, <-second.Woken)
	l.Core().Lock()
	verdict, full := l.Core().Ask(second, false)
	l.Core().Unlock()
	require.Equal(t, topiclog.NoRoom, verdict)
	require.Equal(t, "rejects", full.Owner)
	require.Equal(t, topiclog.Reject, full.Policy)
	require.False(t, second.Leave())
}
