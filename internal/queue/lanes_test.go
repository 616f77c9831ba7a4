package queue_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/queue"
	"github.com/typedbus/events/internal/topiclog"
)

// TestLaneForAnEventBehindABusyOne has each event find all lanes so far busy,
// with nothing behind them when they took theirs.
func TestLaneForAnEventBehindABusyOne(t *testing.T) {
	type offer = func(event int) bool
	options := topiclog.Options{Capacity: 10, Lanes: 3}
	for name, open := range map[string]func(*queue.Hooks, queue.Handler[int]) (*queue.Queue, offer){
		"on a log": func(hooks *queue.Hooks, h queue.Handler[int]) (*queue.Queue, offer) {
			log := topiclog.New[int]()
			return queue.New(hooks, log, nil, options, nil, h), func(event int) bool { return log.Offer(t.Context(), event, "", nil) }
		},
		"on keys": func(hooks *queue.Hooks, h queue.Handler[int]) (*queue.Queue, offer) {
			keyed := topiclog.NewKeyed[int](options)
			return queue.New(hooks, keyed, nil, options, nil, h), func(event int) bool { return keyed.Offer(t.Context(), event, string(rune('a'+event)), nil) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hooks := &queue.Hooks{Exited: errors.New("exited"), Ended: func() {}}
				hooks.Origin.Life = new(origin.Life)
				begun, rest := make(chan int, 10), make(chan struct{})
				q, offer := open(hooks, queue.Handler[int]{One: func(_ context.Context, event int) error {
					begun <- event
					<-rest
					return nil
				}})
				q.Start()
				var counts []int
				for event := range 4 {
					require.True(t, offer(event))
					synctest.Wait()
					counts = append(counts, len(begun))
				}
				close(rest)
				q.End(false)
				<-q.Done()
				require.Equal(t, []int{1, 2, 3, 3}, counts, "as many at a time as there are lanes")
				require.Len(t, begun, 4)
			})
		})
	}
}
