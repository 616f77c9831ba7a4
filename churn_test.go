package events_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// TestReplayGoesOverIntoTheQueue is the part of QueuedIsInOrder for subscriptions with
// replay that are made while others publish: between what is replayed and what is
// queued there is no gap, and nothing comes twice.
func TestReplayGoesOverIntoTheQueue(t *testing.T) {
	for name, options := range map[string][]events.SubscribeOption{
		"log":  {events.WithQueue(10_000)},
		"keys": {events.WithQueue(10_000), events.WithLanes(2), events.WithOrderBy(func(int) string { return "k" })},
	} {
		for range 10 {
			topic, bus := events.NewTopic[int]("number", events.WithReplay(10_000)), events.New()
			var over atomic.Bool
			var publisher sync.WaitGroup
			publisher.Go(func() {
				for n := 1; n < 3000 && !over.Load(); n++ {
					if err := topic.Publish(t.Context(), bus, n); err != nil {
						t.Error(err)
					}
				}
			})
			for range 20 {
				last := 0
				handle(t, bus, topic, func(_ context.Context, n int) error {
					if n != last+1 {
						t.Errorf("%s: %d after %d", name, n, last)
					}
					last = n
					return nil
				}, options...)
				runtime.Gosched()
			}
			over.Store(true)
			publisher.Wait()
			require.NoError(t, bus.Close(t.Context()))
		}
	}
}

// TestEndOfAContextIsToldToAll is the part of AcceptedEventsOutliveTheirRequest for
// whoever keeps no more of a handler's context than a channel, or a function.
func TestEndOfAContextIsToldToAll(t *testing.T) {
	topic := events.NewTopic[int]("number")
	for name, publish := range map[string]func(*events.Bus, func(context.Context, int) error) error{
		"asynchronous": func(bus *events.Bus, handler func(context.Context, int) error) error {
			handle(t, bus, topic, handler)
			return topic.PublishAsync(t.Context(), bus, 1)
		},
		"queued": func(bus *events.Bus, handler func(context.Context, int) error) error {
			s := handle(t, bus, topic, handler, events.WithQueue(1))
			if err := topic.Publish(t.Context(), bus, 1); err != nil {
				return err
			}
			return s.Drain(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bus := events.New()
			called, closed := make(chan struct{}), make(chan struct{})
			require.NoError(t, publish(bus, func(ctx context.Context, _ int) error {
				context.AfterFunc(ctx, func() { close(called) })
				done := ctx.Done()
				go func() {
					<-done
					close(closed)
				}()
				return nil
			}))
			require.NoError(t, bus.Wait(t.Context()))
			for range 5 {
				runtime.GC()
			}
			require.NoError(t, bus.Close(t.Context()))
			<-called
			<-closed
		})
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
		before := heard.Load()
		if err := topic.Publish(t.Context(), bus, n); err != nil || heard.Load() == before {
			t.Errorf("event %d: heard by nobody, %v", n, err)
			break
		}
	}
	over.Store(true)
	mover.Wait()
}

// TestNothingIsHeldBehindASlowOne is the part of MemoryFollowsSubscriptions for events
// that only one of many was still to get, and that has left.
func TestNothingIsHeldBehindASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic, bus := events.NewTopic[*tracked]("tracked"), newBus(t)
		for range 100 {
			handle(t, bus, topic, func(context.Context, *tracked) error { return nil }, events.WithQueue(1000))
		}
		gate, open := barrier(t)
		slow := handle(t, bus, topic, func(context.Context, *tracked) error { <-gate; return nil }, events.WithQueue(1000))
		var c collectible
		for range 200 {
			require.NoError(t, topic.Publish(t.Context(), bus, c.make()))
		}
		synctest.Wait()
		slow.Unsubscribe()
		open()
		require.NoError(t, bus.Wait(t.Context()))
		require.Zero(t, c.left(0))
		runtime.KeepAlive(bus)
	})
}

// TestAsynchronousWorkStaysInItsBubble has handlers in a bubble end their goroutine, and
// time that has gone far, on a bus that others use outside.
func TestAsynchronousWorkStaysInItsBubble(t *testing.T) {
	bus := events.New(new(failures).option())
	defer func() { require.NoError(t, bus.Close(t.Context())) }()
	inside, outside := events.NewTopic[int]("inside"), events.NewTopic[int]("outside")
	handle(t, bus, outside, func(context.Context, int) error { return nil })
	over := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				if err := outside.PublishAsync(context.Background(), bus, 1); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour)
		for range 50 {
			done := make(chan struct{})
			first := handle(t, bus, inside, func(context.Context, int) error { runtime.Goexit(); return nil })
			second := handle(t, bus, inside, func(context.Context, int) error { close(done); return nil })
			require.NoError(t, inside.PublishAsync(t.Context(), bus, 1))
			<-done
			first.Unsubscribe()
			second.Unsubscribe()
		}
	})
	close(over)
	others.Wait()
}

func TestTopicsOfNoBus(t *testing.T) {
	for range (*events.Bus)(nil).Topics() {
		t.Error("a topic")
	}
}
