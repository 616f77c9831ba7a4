package events_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

func TestStats(t *testing.T) {
	t.Run("count what a queue did", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			s := handle(t, bus, topic, func(ctx context.Context, n int) error {
				_ = slow.handle(ctx, n)
				if n%2 == 1 {
					return errBoom
				}
				return nil
			}, events.WithQueue(3), events.WithOverflow(events.DropOldest))
			require.Equal(t, events.Stats{Capacity: 3}, s.Stats())
			publish(t, bus, topic, 0)
			synctest.Wait()
			require.Equal(t, events.Stats{Capacity: 3, Delivered: 1}, s.Stats(), "the one at work included")
			publish(t, bus, topic, 1, 2)
			require.Equal(t, events.Stats{Capacity: 3, Delivered: 1, Lag: 2}, s.Stats())
			publish(t, bus, topic, 3, 4, 5)
			require.Equal(t, events.Stats{Capacity: 3, Delivered: 1, Lag: 3, Dropped: 2}, s.Stats())
			slow.let()
			require.Equal(t, events.Stats{Capacity: 3, Delivered: 2, Lag: 2, Dropped: 2}, s.Stats())
			slow.open()
			synctest.Wait()
			want := events.Stats{Capacity: 3, Delivered: 4, Failed: 2, Dropped: 2}
			require.Equal(t, want, s.Stats())
			s.Unsubscribe()
			require.Equal(t, want, s.Stats())
			mustClose(t, bus)
			require.Equal(t, want, s.Stats())
		})
	})

	t.Run("lanes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, options := range [][]events.SubscribeOption{{events.WithLanes(3)}, {events.WithLanes(3), byRemainder(3)}} {
				bus := newBus(t, new(failures).option())
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				s := handle(t, bus, topic, slow.handle, append(options, events.WithQueue(10))...)
				publish(t, bus, topic, count(8)...)
				synctest.Wait()
				require.Equal(t, events.Stats{Capacity: 10, Delivered: 3, Lag: 5}, s.Stats())
				slow.open()
				mustClose(t, bus)
				require.Equal(t, events.Stats{Capacity: 10, Delivered: 8}, s.Stats())
			}
		})
	})

	t.Run("of a subscription that unsubscribed with events queued", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for name, options := range queueKinds() {
				bus := newBus(t, new(failures).option())
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				s := handle(t, bus, topic, slow.handle, append(options, events.WithQueue(10))...)
				publish(t, bus, topic, count(8)...)
				synctest.Wait()
				begun := uint64(len(slow.take()))
				s.Unsubscribe()
				require.Equal(t, events.Stats{Capacity: 10, Delivered: begun}, s.Stats(), name)
				slow.open()
				mustClose(t, bus)
				require.Equal(t, events.Stats{Capacity: 10, Delivered: begun}, s.Stats(), name)
			}
		})
	})

	t.Run("replayed events", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number", events.WithReplay(5))
			publish(t, bus, topic, count(20)...)
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(1))
			synctest.Wait()
			require.Equal(t, events.Stats{Capacity: 1, Delivered: 1, Lag: 4}, s.Stats())
		})
	})

	t.Run("Failed is of those delivered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[account]("account.created")
			s := handle(t, bus, topic, refuse, events.WithQueue(1))
			gate, open := barrier(t)
			subscribe(t, bus, "*.*", func(context.Context, events.Event) error { <-gate; return nil }, events.WithQueue(1), events.WithOverflow(events.Reject))
			bad := events.Event{Name: "account.created", Data: 7}
			require.Error(t, bus.Dispatch(context.Background(), bad))
			synctest.Wait()
			require.Error(t, bus.Dispatch(context.Background(), bad))
			require.ErrorIs(t, bus.Dispatch(context.Background(), bad), events.ErrFull)
			require.LessOrEqual(t, s.Stats().Failed, s.Stats().Delivered, "what the handler never got")
			open()
		})
	})

	t.Run("an inline handler has none", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		s := handle(t, bus, topic, new(ledger).handle)
		named := handle(t, bus, topic, new(ledger).handle, events.WithName("named"))
		publish(t, bus, topic, 1)
		require.Equal(t, events.Stats{}, s.Stats())
		require.Equal(t, events.Stats{}, named.Stats())
	})

	t.Run("of a batch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			s := subscribeBatch(t, bus, topic, newBatches().handle, events.WithBatch(3, time.Minute))
			publish(t, bus, topic, count(5)...)
			mustClose(t, bus)
			require.Equal(t, events.Stats{Capacity: 1024, Delivered: 5}, s.Stats())
		})
	})

	t.Run("may be asked for at any time", func(t *testing.T) {
		bus := newBus(t, new(failures).option())
		topic := events.NewTopic[int]("number")
		for _, options := range queueKinds() {
			s := handle(t, bus, topic, new(ledger).handle, append(options, events.WithQueue(5))...)
			stop := make(chan struct{})
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				var last events.Stats
				for {
					stats := s.Stats()
					if stats.Delivered < last.Delivered || stats.Dropped < last.Dropped || stats.Delivered+stats.Dropped > 500 || stats.Lag > 500 {
						t.Errorf("%+v after %+v", stats, last)
						return
					}
					last = stats
					select {
					case <-stop:
						return
					default:
					}
				}
			}()
			publish(t, bus, topic, count(500)...)
			require.NoError(t, s.Drain(context.Background()))
			close(stop)
			<-asked
			require.EqualValues(t, 500, s.Stats().Delivered+s.Stats().Dropped)
			require.Zero(t, s.Stats().Lag)
		}
	})
}

func TestWithQueueDefaults(t *testing.T) {
	number := events.NewTopic[int]("number")
	batch := func(t *testing.T, bus *events.Bus, options ...events.SubscribeOption) *events.Subscription {
		return subscribeBatch(t, bus, number, newBatches().handle, options...)
	}
	capacityOfAll := func(t *testing.T, bus *events.Bus, options ...events.SubscribeOption) int {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := subscriptions(bus)
		_ = number.All(ctx, bus, options...)
		for _, s := range subscriptions(bus) {
			if !slices.Contains(before, s) {
				return s.Stats().Capacity
			}
		}
		return 0
	}

	t.Run("capacities", func(t *testing.T) {
		bus := newBus(t)
		require.Equal(t, 1024, batch(t, bus).Stats().Capacity)
		require.Equal(t, 1024, capacityOfAll(t, bus))
		bus = newBus(t, events.WithQueueDefaults(events.WithQueue(7)))
		require.Equal(t, 7, batch(t, bus).Stats().Capacity)
		require.Equal(t, 7, capacityOfAll(t, bus))
		require.Equal(t, 9, batch(t, bus, events.WithQueue(9)).Stats().Capacity, "its own precedes")
		require.Equal(t, 9, capacityOfAll(t, bus, events.WithQueue(9)))
		require.Equal(t, 9, handle(t, bus, number, new(ledger).handle, events.WithQueue(9)).Stats().Capacity)
		require.Zero(t, handle(t, bus, number, new(ledger).handle).Stats().Capacity, "it stays inline")
		require.Zero(t, handle(t, bus, number, new(ledger).handle, events.WithName("named")).Stats().Capacity)
		require.Zero(t, subscribe(t, bus, "number", quiet, events.WithOnce()).Stats().Capacity)
	})

	t.Run("the later of two", func(t *testing.T) {
		bus := newBus(t, events.WithQueueDefaults(events.WithQueue(7)), events.WithQueueDefaults(events.WithQueue(8), events.WithOverflow(events.Reject)))
		require.Equal(t, 8, batch(t, bus).Stats().Capacity)
	})

	t.Run("overflow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option(), events.WithQueueDefaults(events.WithOverflow(events.DropOldest), events.WithQueue(2)))
			slow := newTurnstile(t)
			dropping := handle(t, bus, number, slow.handle, events.WithQueue(1))
			inline := handle(t, bus, number, new(ledger).handle, events.WithName("inline"))
			require.Zero(t, inline.Stats())
			publish(t, bus, number, 1)
			synctest.Wait()
			publish(t, bus, number, 2, 3, 4)
			require.EqualValues(t, 2, dropping.Stats().Dropped)
			rejecting := handle(t, bus, events.NewTopic[int]("other"), slow.handle, events.WithQueue(1), events.WithOverflow(events.Reject))
			publish(t, bus, events.NewTopic[int]("other"), 1)
			synctest.Wait()
			publish(t, bus, events.NewTopic[int]("other"), 2)
			require.ErrorIs(t, events.NewTopic[int]("other").Publish(t.Context(), bus, 3), events.ErrFull, "its own precedes")
			require.Zero(t, rejecting.Stats().Dropped)
			slow.open()
		})
	})

	t.Run("batches", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, events.WithQueueDefaults(events.WithBatch(2, time.Minute)))
			got, own := newBatches(), newBatches()
			subscribeBatch(t, bus, number, got.handle)
			subscribeBatch(t, bus, number, own.handle, events.WithBatch(4, time.Minute))
			handle(t, bus, number, new(ledger).handle, events.WithQueue(9)) // which has no batches
			publish(t, bus, number, 1, 2, 3)
			mustClose(t, bus)
			numbers, _ := got.take()
			require.Equal(t, [][]int{{1, 2}, {3}}, numbers)
			numbers, _ = own.take()
			require.Equal(t, [][]int{{1, 2, 3}}, numbers)
		})
	})
}

// subscriptions lists all of a bus.
func subscriptions(bus *events.Bus) (all []*events.Subscription) {
	for topic := range bus.Topics() {
		all = append(all, topic.Subscriptions...)
	}
	return all
}

// here returns the line that is some lines below the call.
func here(below int) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line+below)
}

// TestSubscriptionKnowsItself is about what a subscription tells of where it
// comes from.
func TestSubscriptionKnowsItself(t *testing.T) {
	number := events.NewTopic[int]("number")
	handler := func(context.Context, int) error { return nil }
	queue, named := events.WithQueue(1), events.WithName("named")
	// Each returns the line of the call.
	for name, test := range map[string]struct {
		subscribe func(bus *events.Bus) (line string)
		event     string
	}{
		"Topic.Subscribe": {func(bus *events.Bus) string {
			_, _ = number.Subscribe(bus, handler)
			return here(-1)
		}, "number"},
		"Topic.Subscribe with a queue": {func(bus *events.Bus) string {
			_, _ = number.Subscribe(bus, handler, queue)
			return here(-1)
		}, "number"},
		"Topic.Subscribe with middleware": {func(bus *events.Bus) string {
			_, _ = number.Subscribe(bus, handler, named, events.WithMiddleware(events.Recover()))
			return here(-1)
		}, "number"},
		"SubscribeBatch": {func(bus *events.Bus) string {
			_, _ = number.SubscribeBatch(bus, func(context.Context, []int) error { return nil })
			return here(-1)
		}, "number"},
		"All": {func(bus *events.Bus) string {
			_ = number.All(context.Background(), bus)
			return here(-1)
		}, "number"},
		"Bus.Subscribe": {func(bus *events.Bus) string {
			_, _ = bus.Subscribe("number", quiet)
			return here(-1)
		}, "number"},
		"Bus.Subscribe to a pattern": {func(bus *events.Bus) string {
			_, _ = bus.Subscribe("number.*", quiet, queue)
			return here(-1)
		}, "number.*"},
		"Bus.Register": {func(bus *events.Bus) string {
			bus.Register("any name", quiet)
			return here(-1)
		}, "any name"},
		"Register": {func(bus *events.Bus) string {
			previous := events.Default()
			defer events.SetDefault(previous)
			events.SetDefault(bus)
			events.Register("any name", quiet)
			return here(-1)
		}, "any name"},
		"through the interface of the dispatcher": {func(bus *events.Bus) string {
			var d fourMethods = bus
			d.Register("any name", quiet)
			return here(-1)
		}, "any name"},
	} {
		t.Run(name, func(t *testing.T) {
			bus := newBus(t)
			line := test.subscribe(bus)
			all := subscriptions(bus)
			require.Len(t, all, 1)
			require.Equal(t, line, all[0].Source())
			require.Equal(t, test.event, all[0].Event())
			all[0].Unsubscribe()
			require.Equal(t, line, all[0].Source())
			require.Equal(t, test.event, all[0].Event())
		})
	}
}

func TestTopics(t *testing.T) {
	bus := newBus(t)
	require.Empty(t, slices.Collect(bus.Topics()))
	number, created := events.NewTopic[int]("number"), events.NewTopic[*account]("account.created")
	one := handle(t, bus, number, new(ledger).handle)
	two := handle(t, bus, number, new(ledger).handle, events.WithQueue(1))
	first := handle(t, bus, number, new(ledger).handle, events.WithPriority(1))
	three := subscribe(t, bus, "number", quiet, events.WithQueue(1), events.WithLanes(2))
	pattern := subscribe(t, bus, "account.*", quiet, events.WithQueue(1))
	other := subscribe(t, bus, "account.*", quiet)
	batch, err := created.SubscribeBatch(bus, func(context.Context, []*account) error { return nil })
	require.NoError(t, err)
	plain := subscribe(t, bus, "untyped", quiet)
	bus.Register("Zebra*", quiet)

	topics := slices.Collect(bus.Topics())
	names := make([]string, len(topics))
	for i, topic := range topics {
		names[i] = topic.Name
	}
	require.Equal(t, []string{"Zebra*", "account.*", "account.created", "number", "untyped"}, names, "in byte order")
	require.Len(t, topics[0].Subscriptions, 1)
	require.Equal(t, events.TopicInfo{Name: "account.*", Subscriptions: []*events.Subscription{pattern, other}}, topics[1])
	require.Equal(t, events.TopicInfo{Name: "account.created", Payload: reflect.TypeFor[*account](), Subscriptions: []*events.Subscription{batch}}, topics[2])
	require.Equal(t, events.TopicInfo{Name: "number", Payload: reflect.TypeFor[int](), Subscriptions: []*events.Subscription{first, one, two, three}}, topics[3])
	require.Equal(t, events.TopicInfo{Name: "untyped", Subscriptions: []*events.Subscription{plain}}, topics[4])

	t.Run("as they are when the loop begins", func(t *testing.T) {
		var seen []string
		for topic := range bus.Topics() {
			seen = append(seen, topic.Name)
			for _, s := range topic.Subscriptions {
				s.Unsubscribe() // no lock is held
			}
		}
		require.Equal(t, names, seen)
		require.Empty(t, slices.Collect(bus.Topics()))
		for range bus.Topics() {
			t.Error("a topic without subscriptions")
		}
	})

	t.Run("the loop may be left", func(t *testing.T) {
		handle(t, bus, number, new(ledger).handle)
		subscribe(t, bus, "a", quiet)
		for topic := range bus.Topics() {
			require.Equal(t, "a", topic.Name)
			break
		}
	})

	t.Run("of All", func(t *testing.T) {
		bus := newBus(t)
		seq := number.All(t.Context(), bus)
		topics := slices.Collect(bus.Topics())
		require.Len(t, topics, 1)
		require.Equal(t, `All("number")`, topics[0].Subscriptions[0].Name())
		publish(t, bus, number, 1)
		require.EqualValues(t, 1, topics[0].Subscriptions[0].Stats().Lag)
		for range seq {
			break
		}
		require.Empty(t, slices.Collect(bus.Topics()))
	})
}
