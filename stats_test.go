package events_test

import (
	"context"
	"reflect"
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
			require.Equal(t, events.Stats{}, s.Stats())
			publish(t, bus, topic, 0)
			synctest.Wait()
			require.Equal(t, events.Stats{Delivered: 1}, s.Stats(), "the one at work included")
			publish(t, bus, topic, 1, 2)
			require.Equal(t, events.Stats{Delivered: 1, Lag: 2}, s.Stats())
			publish(t, bus, topic, 3, 4, 5)
			require.Equal(t, events.Stats{Delivered: 1, Lag: 3, Dropped: 2}, s.Stats())
			slow.let()
			require.Equal(t, events.Stats{Delivered: 2, Lag: 2, Dropped: 2}, s.Stats())
			slow.open()
			synctest.Wait()
			want := events.Stats{Delivered: 4, Failed: 2, Dropped: 2}
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
				require.Equal(t, events.Stats{Delivered: 3, Lag: 5}, s.Stats())
				slow.open()
				mustClose(t, bus)
				require.Equal(t, events.Stats{Delivered: 8}, s.Stats())
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
				require.Equal(t, events.Stats{Delivered: begun}, s.Stats(), name)
				slow.open()
				mustClose(t, bus)
				require.Equal(t, events.Stats{Delivered: begun}, s.Stats(), name)
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
			require.Equal(t, events.Stats{Delivered: 1, Lag: 4}, s.Stats())
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
			require.Equal(t, events.Stats{Delivered: 5}, s.Stats())
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

func TestTopics(t *testing.T) {
	bus := newBus(t)
	require.Empty(t, slices.Collect(bus.Topics()))
	number, created := events.NewTopic[int]("number"), events.NewTopic[*account]("account.created")
	one := handle(t, bus, number, new(ledger).handle)
	two := handle(t, bus, number, new(ledger).handle, events.WithQueue(1))
	first := subscribe(t, bus, "number", quiet, events.WithPriority(1), events.WithQueue(1), events.WithLanes(2))
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
	require.Equal(t, events.TopicInfo{Name: "number", Payload: reflect.TypeFor[int](), Subscriptions: []*events.Subscription{first, one, two}}, topics[3])
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
