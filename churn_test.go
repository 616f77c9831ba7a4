package events_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// TestQueuesThatComeAndGo has publishers wait for queues that are made and ended all
// the time: whoever waits may find a queue before the one who makes it is through.
func TestQueuesThatComeAndGo(t *testing.T) {
	topic := events.NewTopic[int]("number")
	for range 20 {
		bus := events.New(new(failures).option())
		var handled atomic.Int64
		handle(t, bus, topic, func(context.Context, int) error { handled.Add(1); return nil }, events.WithQueue(2))
		var publishers, churn sync.WaitGroup
		var over atomic.Bool
		const each = 200
		for range 3 {
			publishers.Go(func() {
				for n := range each {
					if err := topic.Publish(t.Context(), bus, n); err != nil {
						t.Error(err)
					}
				}
			})
			churn.Go(func() {
				for !over.Load() {
					options := []events.SubscribeOption{events.WithQueue(1 + rand.IntN(2)), events.WithOverflow(events.Overflow(rand.IntN(2)))}
					if rand.IntN(2) == 0 {
						options = append(options, events.WithLanes(2), events.WithOrderBy(func(int) string { return "k" }))
					}
					s, err := topic.Subscribe(bus, func(context.Context, int) error { runtime.Gosched(); return nil }, options...)
					if err != nil {
						t.Error(err)
						return
					}
					for range rand.IntN(30) {
						runtime.Gosched()
					}
					if rand.IntN(2) == 0 {
						s.Unsubscribe()
					} else if err := s.Drain(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		publishers.Wait()
		over.Store(true)
		churn.Wait()
		require.NoError(t, bus.Close(t.Context()))
		require.EqualValues(t, 3*each, handled.Load())
	}
}

// TestHandlerThatMovesHearsAll is the part of Snapshot for a handler that goes from a
// name to a pattern and back, and is always there.
func TestHandlerThatMovesHearsAll(t *testing.T) {
	topic, bus := events.NewTopic[int]("number.made"), newBus(t)
	var heard atomic.Int64
	s := handle(t, bus, topic, func(context.Context, int) error { heard.Add(1); return nil })
	var over atomic.Bool
	var mover sync.WaitGroup
	mover.Go(func() {
		for !over.Load() {
			p := subscribe(t, bus, "number.*", func(context.Context, events.Event) error { heard.Add(1); return nil })
			s.Unsubscribe()
			s = handle(t, bus, topic, func(context.Context, int) error { heard.Add(1); return nil })
			p.Unsubscribe()
		}
	})
	for n := range 200_000 {
		if !bus.HasHandlers(topic.Name()) {
			t.Errorf("event %d: has no handlers", n)
			break
		}
		before := heard.Load()
		if err := topic.Publish(t.Context(), bus, n); err != nil || heard.Load() == before {
			t.Errorf("event %d: heard by nobody, %v", n, err)
			break
		}
	}
	over.Store(true)
	mover.Wait()
}
