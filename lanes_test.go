package events_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// byRemainder is a key function for numbers: those of the same remainder stay
// in order.
func byRemainder(keys int) events.SubscribeOption {
	return events.WithOrderBy(func(n int) string { return strconv.Itoa(n % keys) })
}

func TestLanes(t *testing.T) {
	t.Run("as many at a time as there are lanes", func(t *testing.T) {
		for lanes := range 6 {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, events.WithQueue(100), events.WithLanes(lanes+1))
				publish(t, bus, topic, count(20)...)
				synctest.Wait()
				require.ElementsMatch(t, count(lanes+1), slow.take())
				slow.let()
				require.Equal(t, []int{lanes + 1}, slow.take())
				slow.open()
				mustClose(t, bus)
				require.ElementsMatch(t, between(lanes+2, 19), slow.take())
			})
		}
	})

	t.Run("untyped, and patterns", func(t *testing.T) {
		for _, pattern := range []string{"number", "*"} {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				key := events.WithOrderBy(func(e events.Event) string { return strconv.Itoa(e.Data.(int) % 2) })
				subscribe(t, bus, pattern, slow.handleEvent, events.WithQueue(100), events.WithLanes(3), key)
				publish(t, bus, topic, count(6)...)
				synctest.Wait()
				require.ElementsMatch(t, []int{0, 1}, slow.take())
				slow.open()
				mustClose(t, bus)
				require.ElementsMatch(t, between(2, 5), slow.take())
			})
		}
	})

	t.Run("once each", func(t *testing.T) {
		for _, options := range [][]events.SubscribeOption{
			{events.WithLanes(4)},
			{events.WithLanes(4), byRemainder(1)},
			{events.WithLanes(4), byRemainder(3)},
			{events.WithLanes(4), byRemainder(1000)},
			{events.WithLanes(1), byRemainder(3)},
		} {
			for _, capacity := range []int{1, 3, 64} {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				var l ledger
				s := handle(t, bus, topic, l.handle, append(options, events.WithQueue(capacity))...)
				publish(t, bus, topic, count(1000)...)
				mustClose(t, bus)
				require.ElementsMatch(t, count(1000), l.take())
				require.Equal(t, events.Stats{Capacity: capacity, Delivered: 1000}, s.Stats())
			}
		}
	})

	t.Run("a lane that is held up holds no other up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			gate, open := barrier(t)
			var l ledger
			handle(t, bus, topic, func(_ context.Context, n int) error {
				if n == 0 {
					<-gate
				}
				l.add(n)
				return nil
			}, events.WithQueue(1), events.WithLanes(2))
			publish(t, bus, topic, count(50)...)
			synctest.Wait()
			require.ElementsMatch(t, between(1, 49), l.take())
			open()
			mustClose(t, bus)
		})
	})
}

func TestOrderBy(t *testing.T) {
	t.Run("same key in order, one at a time", func(t *testing.T) {
		for _, capacity := range []int{1, 2, 5, 100} {
			for _, lanes := range []int{1, 2, 5} {
				for _, keys := range []int{1, 2, 7} {
					bus := newBus(t)
					topic := events.NewTopic[int]("number")
					ledgers, running := make([]ledger, keys), make([]atomic.Int32, keys)
					handle(t, bus, topic, func(_ context.Context, n int) error {
						if running[n%keys].Add(1) != 1 {
							t.Error("two of a key at a time")
						}
						for range n % 4 {
							runtime.Gosched()
						}
						ledgers[n%keys].add(n)
						running[n%keys].Add(-1)
						return nil
					}, events.WithQueue(capacity), events.WithLanes(lanes), byRemainder(keys))
					publish(t, bus, topic, count(500)...)
					mustClose(t, bus)
					for key := range ledgers {
						want := slices.DeleteFunc(count(500), func(n int) bool { return n%keys != key })
						require.Equal(t, want, ledgers[key].take(), "capacity %d, lanes %d, keys %d", capacity, lanes, keys)
					}
				}
			}
		}
	})

	t.Run("different keys meet", func(t *testing.T) {
		// Events of two keys wait for each other, whatever comes before them.
		synctest.Test(t, func(t *testing.T) {
			for round := range 200 {
				random := rand.New(rand.NewPCG(uint64(round), 1))
				bus := newBus(t, new(failures).option())
				topic := events.NewTopic[int]("number")
				meeting := make(chan struct{})
				handle(t, bus, topic, func(ctx context.Context, n int) error {
					switch {
					case n == 1000:
						select {
						case meeting <- struct{}{}:
						case <-ctx.Done():
							t.Error("nobody came")
						}
					case n == 1001:
						select {
						case <-meeting:
						case <-ctx.Done():
							t.Error("nobody came")
						}
					case n%3 == 0:
						time.Sleep(time.Millisecond)
					}
					return nil
				}, events.WithQueue(30), events.WithLanes(2), events.WithOrderBy(func(n int) string {
					if n >= 1000 {
						return strconv.Itoa(n)
					}
					return strconv.Itoa(n % (1 + round%4))
				}))
				var numbers []int
				for range random.IntN(12) {
					numbers = append(numbers, random.IntN(10))
				}
				publish(t, bus, topic, numbers...)
				if round%2 == 0 {
					synctest.Wait()
				}
				publish(t, bus, topic, 1000)
				publish(t, bus, topic, 1001)
				require.NoError(t, closeWithin(context.Background(), bus, time.Hour), "round %d", round)
			}
		})
	})

	t.Run("a hot key does not starve the others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			gate, open := barrier(t)
			var others ledger
			handle(t, bus, topic, func(_ context.Context, n int) error {
				if n == 0 {
					<-gate
					return nil
				}
				others.add(n)
				return nil
			}, events.WithQueue(100), events.WithLanes(2), events.WithOrderBy(strconv.Itoa))
			for n := range 40 {
				publish(t, bus, topic, 0, n+1, 0)
			}
			synctest.Wait()
			require.Equal(t, between(1, 40), others.take(), "while one of the hot key is at work")
			open()
			mustClose(t, bus)
		})
	})

	t.Run("a hot key that never ends", func(t *testing.T) {
		// There is always another event of the key parked.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			var hot atomic.Int32
			var others ledger
			handle(t, bus, topic, func(_ context.Context, n int) error {
				if n == 0 {
					hot.Add(1)
					time.Sleep(time.Second)
					return nil
				}
				others.add(int(hot.Load()))
				return nil
			}, events.WithQueue(10), events.WithLanes(2), events.WithOrderBy(strconv.Itoa))
			publish(t, bus, topic, slices.Repeat([]int{0}, 9)...)
			for range 20 {
				before := int(hot.Load())
				publish(t, bus, topic, 1)
				synctest.Wait()
				after := others.take()
				require.Len(t, after, 1)
				require.LessOrEqual(t, after[0], before+1, "waits for those in the queue before it at the most")
				publish(t, bus, topic, 0)
			}
			mustClose(t, bus)
		})
	})

	for overflow, name := range map[events.Overflow]string{events.Block: "Block", events.DropOldest: "DropOldest", events.Reject: "Reject"} {
		for _, capacity := range []int{1, 2, 4} {
			t.Run(fmt.Sprintf("parked events count, %s, capacity %d", name, capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t, new(failures).option())
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					s := handle(t, bus, topic, slow.handle, events.WithQueue(capacity), events.WithLanes(3), byRemainder(1), events.WithOverflow(overflow))
					for n := range 1 + capacity {
						publish(t, bus, topic, n)
						synctest.Wait()
					}
					require.EqualValues(t, capacity, s.Stats().Lag)
					next := 1 + capacity
					switch overflow {
					case events.Block:
						waits := inBackground(func() error { return topic.Publish(context.Background(), bus, next) })
						done, _ := waits()
						require.False(t, done, "it holds no more than its capacity")
						slow.let()
						done, err := waits()
						require.True(t, done)
						require.NoError(t, err)
					case events.Reject:
						require.ErrorIs(t, topic.Publish(context.Background(), bus, next), events.ErrFull)
						slow.let()
						publish(t, bus, topic, next)
					case events.DropOldest:
						for range 5 {
							publish(t, bus, topic, next)
							next++
							synctest.Wait()
							require.LessOrEqual(t, s.Stats().Lag, uint64(capacity), "it holds no more than its capacity")
						}
					}
					slow.open()
					mustClose(t, bus)
					got := slow.take()
					require.True(t, slices.IsSorted(got), "%v", got)
					require.Equal(t, events.Stats{Capacity: capacity, Delivered: uint64(len(got)), Dropped: s.Stats().Dropped}, s.Stats())
					if overflow == events.DropOldest {
						require.Equal(t, next, len(got)+int(s.Stats().Dropped))
						require.Equal(t, next-1, got[len(got)-1], "the newest stays")
					} else {
						require.Equal(t, count(next+1), got)
					}
				})
			})
		}
	}

	t.Run("a handler that exits leaves its key to the next event", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			var l ledger
			gate, open := barrier(t)
			handle(t, bus, topic, func(_ context.Context, n int) error {
				<-gate
				l.add(n)
				if n%2 == 0 {
					runtime.Goexit()
				}
				panic(n)
			}, events.WithQueue(20), events.WithLanes(3), byRemainder(1))
			publish(t, bus, topic, count(10)...)
			synctest.Wait()
			open()
			mustClose(t, bus)
			require.Equal(t, count(10), l.take())
			require.Len(t, reported.take(), 10)
		})
	})

	t.Run("many keys that come once leave nothing", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		kept := retained(func() {
			var done sync.WaitGroup
			done.Add(20_000)
			handle(t, bus, topic, func(context.Context, int) error { done.Done(); return nil },
				events.WithQueue(64), events.WithLanes(3), events.WithOrderBy(strconv.Itoa))
			publish(t, bus, topic, count(20_000)...)
			done.Wait()
		})
		require.Less(t, kept, int64(128<<10))
		runtime.KeepAlive(bus)
	})
}

// TestKeyFunctions is about the functions of WithOrderBy, which are the user's.
func TestKeyFunctions(t *testing.T) {
	t.Run("the key of another type", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		lanes := []events.SubscribeOption{events.WithQueue(1), events.WithLanes(2)}
		of := func(key events.SubscribeOption) []events.SubscribeOption { return append(lanes, key) }
		_, err := topic.Subscribe(bus, new(ledger).handle, of(events.WithOrderBy(func(string) string { return "" }))...)
		require.ErrorContains(t, err, "WithOrderBy has a key of string, want one of int")
		_, err = topic.Subscribe(bus, new(ledger).handle, of(events.WithOrderBy(func(events.Event) string { return "" }))...)
		require.ErrorContains(t, err, "WithOrderBy has a key of events.Event, want one of int")
		_, err = bus.Subscribe("number", quiet, of(events.WithOrderBy(func(int) string { return "" }))...)
		require.ErrorContains(t, err, "WithOrderBy has a key of int, want one of events.Event")
		require.Panics(t, func() { events.WithOrderBy[int](nil) })
		require.False(t, bus.HasHandlers("number"))
		stillWorks(t, bus)
	})

	// Ways to publish a number, each with a key function that is asked in it.
	publishes := map[string]func(bus *events.Bus, topic *events.Topic[int], n int) error{
		"Publish": func(bus *events.Bus, topic *events.Topic[int], n int) error {
			return topic.Publish(context.Background(), bus, n)
		},
		"Dispatch": func(bus *events.Bus, topic *events.Topic[int], n int) error {
			return bus.Dispatch(context.Background(), events.Event{Name: topic.Name(), Data: n})
		},
	}

	for how, send := range publishes {
		for _, untyped := range []bool{false, true} {
			keyed := func(t *testing.T, bus *events.Bus, topic *events.Topic[int], l *ledger, key func(n int) string) *events.Subscription {
				t.Helper()
				options := []events.SubscribeOption{events.WithQueue(50), events.WithLanes(2), events.WithName("keyed")}
				if untyped {
					key := events.WithOrderBy(func(e events.Event) string { return key(e.Data.(int)) })
					return subscribe(t, bus, "*", l.handleEvent, append(options, key)...)
				}
				return handle(t, bus, topic, l.handle, append(options, events.WithOrderBy(key))...)
			}

			t.Run(fmt.Sprintf("a key function that panics is the publisher's error, %s, untyped %t", how, untyped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					topic := events.NewTopic[int]("number")
					var l ledger
					s := keyed(t, bus, topic, &l, func(n int) string {
						if n%5 == 2 {
							panic(errBoom)
						}
						return strconv.Itoa(n % 3)
					})
					kinds := everyKind(t, bus, topic)
					for n := range 50 {
						err := send(bus, topic, n)
						if n%5 != 2 {
							require.NoError(t, err)
							continue
						}
						failure, ok := err.(*events.HandlerError)
						require.True(t, ok, "%v", err)
						require.Equal(t, "keyed", failure.Handler)
						require.Equal(t, "number", failure.Event)
						require.ErrorIs(t, err, errBoom)
					}
					mustClose(t, bus)
					require.ElementsMatch(t, slices.DeleteFunc(count(50), func(n int) bool { return n%5 == 2 }), l.take())
					require.Empty(t, reported.take())
					require.Equal(t, events.Stats{Capacity: 50, Delivered: 40}, s.Stats())
					for kind, each := range kinds {
						require.Equal(t, count(50), each.take(), "%s gets it all the same", kind)
					}
				})
			})

			t.Run(fmt.Sprintf("a key function that ends the publisher's goroutine, %s, untyped %t", how, untyped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					topic := events.NewTopic[int]("number")
					var l ledger
					keyed(t, bus, topic, &l, func(n int) string {
						if n == 1 {
							runtime.Goexit()
						}
						return ""
					})
					kinds := everyKind(t, bus, topic)
					for n := range 3 {
						require.Equal(t, n == 1, exits(func() { _ = send(bus, topic, n) }))
					}
					mustClose(t, bus)
					require.Equal(t, []int{0, 2}, l.take())
					for kind, each := range kinds {
						require.Equal(t, []int{0, 2}, each.take(), "%s: nothing was queued before", kind)
					}
				})
			})
		}
	}

	t.Run("a key function that ends the goroutine of a handler while the bus drains", func(t *testing.T) {
		// That handler's event lets the publish in; nobody may wait for a
		// publish that never ends.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic, keyed := events.NewTopic[int]("number"), events.NewTopic[int]("keyed")
			gate, open := barrier(t)
			handle(t, bus, keyed, new(ledger).handle, events.WithQueue(1), events.WithLanes(2),
				events.WithOrderBy(func(int) string { runtime.Goexit(); return "" }))
			for _, send := range []func(ctx context.Context) error{
				func(ctx context.Context) error { return keyed.Publish(ctx, bus, 1) },
				func(ctx context.Context) error { return keyed.PublishAsync(ctx, bus, 1) },
			} {
				handle(t, bus, topic, func(ctx context.Context, _ int) error {
					<-gate
					return send(ctx)
				}, events.WithQueue(1))
			}
			publish(t, bus, topic, 1)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			done, _ := closed()
			require.False(t, done)
			open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("the key is asked for by PublishAsync in the call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			var asked ledger
			handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithLanes(1), events.WithName("keyed"), events.WithOrderBy(func(n int) string {
				if asked.add(n); n == 3 {
					panic(errBoom)
				}
				return ""
			}))
			full(t, bus, topic, 1)
			asked.take()
			for n := range 2 {
				require.NoError(t, topic.PublishAsync(context.Background(), bus, 2+n))
			}
			require.Equal(t, []int{2, 3}, asked.take())
			errs := reported.take()
			require.Len(t, errs, 1, "nobody waits for it")
			require.ErrorIs(t, errs[0], errBoom)
			slow.open()
			mustClose(t, bus)
			require.Equal(t, count(3), slow.take())
			require.Empty(t, asked.take(), "once")
		})
	})

	t.Run("the key is asked for once", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		asked := make([]atomic.Int32, 300)
		handle(t, bus, topic, new(ledger).handle, events.WithQueue(7), events.WithLanes(3), events.WithOrderBy(func(n int) string {
			asked[n].Add(1)
			return strconv.Itoa(n % 3)
		}))
		publish(t, bus, topic, count(300)...)
		mustClose(t, bus)
		for n := range asked {
			require.EqualValues(t, 1, asked[n].Load())
		}
	})

	t.Run("a key function that uses the bus", func(t *testing.T) {
		// No lock is held: it may even subscribe, or end its own subscription.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic, other := events.NewTopic[int]("number"), events.NewTopic[int]("other")
			var l ledger
			var s *events.Subscription
			ready := make(chan struct{})
			s = handle(t, bus, topic, l.handle, events.WithQueue(10), events.WithLanes(2), events.WithOrderBy(func(n int) string {
				<-ready
				if err := other.Publish(context.Background(), bus, n); err != nil {
					t.Error(err)
				}
				one, err := other.Subscribe(bus, new(ledger).handle, events.WithQueue(1))
				if err != nil {
					t.Error(err)
				}
				one.Unsubscribe()
				_ = s.Stats()
				return ""
			}))
			close(ready)
			publish(t, bus, topic, count(10)...)
			synctest.Wait()
			mustClose(t, bus)
			require.Equal(t, count(10), l.take())
		})
	})
}
