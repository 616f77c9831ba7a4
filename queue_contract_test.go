package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

func TestQueuedIsInOrder(t *testing.T) {
	for name, options := range map[string][]events.SubscribeOption{
		"plain":       nil,
		"middleware":  {events.WithMiddleware(func(next events.Handler) events.Handler { return next })},
		"one lane":    {events.WithLanes(1)},
		"one key":     {events.WithLanes(3), events.WithOrderBy(func(int) string { return "" })},
		"drop oldest": {events.WithOverflow(events.DropOldest), events.WithQueue(5000)},
		"reject":      {events.WithOverflow(events.Reject), events.WithQueue(5000)},
	} {
		for _, capacity := range []int{1, 7, 1024} {
			t.Run(fmt.Sprintf("%s, capacity %d", name, capacity), func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				options := append([]events.SubscribeOption{events.WithQueue(capacity)}, options...)
				untyped := slices.Clone(options)
				if name == "one key" {
					untyped[2] = events.WithOrderBy(func(events.Event) string { return "" })
				}
				var twice atomic.Bool
				var ledgers []*ledger
				alone := func(l *ledger) func(context.Context, int) error {
					ledgers = append(ledgers, l)
					var running atomic.Int32
					return func(_ context.Context, n int) error {
						if running.Add(1) > 1 {
							twice.Store(true)
						}
						l.add(n)
						running.Add(-1)
						return nil
					}
				}
				event := func(handler func(context.Context, int) error) events.Handler {
					return func(ctx context.Context, e events.Event) error { return handler(ctx, e.Data.(int)) }
				}
				handle(t, bus, topic, alone(new(ledger)), options...)
				handle(t, bus, topic, alone(new(ledger)), options...)
				subscribe(t, bus, "number", event(alone(new(ledger))), untyped...)
				subscribe(t, bus, "*", event(alone(new(ledger))), untyped...)

				// Each publisher counts on in its own hundreds.
				var publishers sync.WaitGroup
				for p := range 3 {
					publishers.Go(func() {
						for i := range 300 {
							n := p*1000 + i
							var err error
							if i%3 == 2 {
								err = bus.Dispatch(context.Background(), events.Event{Name: "number", Data: n})
							} else {
								err = topic.Publish(context.Background(), bus, n)
							}
							if err != nil {
								t.Error(err)
							}
						}
					})
				}
				publishers.Wait()
				mustClose(t, bus)
				require.False(t, twice.Load(), "two at a time")
				first := ledgers[0].take()
				for p := range 3 {
					of := slices.DeleteFunc(slices.Clone(first), func(n int) bool { return n/1000 != p })
					require.Equal(t, between(p*1000, p*1000+299), of)
				}
				for _, other := range ledgers[1:] {
					require.Equal(t, first, other.take(), "everyone sees the same order")
				}
			})
		}
	}

	t.Run("across names, what happens before another publish comes first", func(t *testing.T) {
		bus := newBus(t)
		var l ledger
		subscribe(t, bus, "number.>", l.handleEvent, events.WithQueue(3))
		for n := range 300 {
			name := fmt.Sprintf("number.%d", n%7)
			require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: name, Data: n}))
		}
		mustClose(t, bus)
		require.Equal(t, count(300), l.take())
	})

	t.Run("A is handled before B begins", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			var j journal
			handle(t, bus, topic, func(_ context.Context, n int) error {
				j.note(fmt.Sprint("begin ", n))
				time.Sleep(time.Duration(3-n) * time.Second)
				j.note(fmt.Sprint("end ", n))
				return nil
			}, events.WithQueue(3))
			publish(t, bus, topic, count(3)...)
			mustClose(t, bus)
			require.Equal(t, []string{"begin 0", "end 0", "begin 1", "end 1", "begin 2", "end 2"}, j.take())
		})
	})

	t.Run("queues of one topic do not wait for each other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			var fast ledger
			handle(t, bus, topic, slow.handle, events.WithQueue(10))
			handle(t, bus, topic, fast.handle, events.WithQueue(1))
			for n := range 10 {
				publish(t, bus, topic, n)
				synctest.Wait()
			}
			require.Equal(t, []int{0}, slow.take())
			require.Equal(t, count(10), fast.take())
			slow.open()
			mustClose(t, bus)
			require.Equal(t, between(1, 9), slow.take())
		})
	})

	t.Run("idle in between", func(t *testing.T) {
		// One that sleeps must wake for the next event, and not for another's.
		synctest.Test(t, func(t *testing.T) {
			for name, options := range queueKinds() {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				var typed, pattern ledger
				handle(t, bus, topic, typed.handle, append(options, events.WithQueue(2))...)
				subscribe(t, bus, "*", pattern.handleEvent, events.WithQueue(2))
				for n := range 50 {
					publish(t, bus, topic, n)
					synctest.Wait()
					require.Equal(t, []int{n}, typed.take(), name)
					require.Equal(t, []int{n}, pattern.take(), name)
				}
			}
		})
	})
}

// everyKind subscribes handlers of each kind without a queue or with one that
// has room, and returns what they get.
func everyKind(t *testing.T, bus *events.Bus, topic *events.Topic[int]) map[string]*ledger {
	t.Helper()
	kinds := make(map[string]*ledger)
	add := func(kind string) *ledger {
		kinds[kind] = new(ledger)
		return kinds[kind]
	}
	queue := events.WithQueue(100)
	handle(t, bus, topic, add("typed").handle)
	subscribe(t, bus, topic.Name(), add("untyped").handleEvent)
	bus.Register(topic.Name(), add("registered").handleEvent)
	subscribe(t, bus, "*", add("pattern").handleEvent)
	handle(t, bus, topic, add("typed queued").handle, queue)
	subscribe(t, bus, topic.Name(), add("untyped queued").handleEvent, queue)
	subscribe(t, bus, ">", add("pattern queued").handleEvent, queue)
	batch := add("batch")
	_, err := topic.SubscribeBatch(bus, func(_ context.Context, numbers []int) error {
		batch.add(numbers...)
		return nil
	}, events.WithBatch(1, time.Second))
	require.NoError(t, err)
	return kinds
}

// full fills a queue of the given capacity, behind one event that is at work.
func full(t *testing.T, bus *events.Bus, topic *events.Topic[int], capacity int) {
	t.Helper()
	publish(t, bus, topic, 0)
	synctest.Wait()
	publish(t, bus, topic, between(1, capacity)...)
	synctest.Wait()
}

func TestQueuesAreBounded(t *testing.T) {
	// Who has the queue that is full.
	slowOnes := map[string]func(t *testing.T, bus *events.Bus, topic *events.Topic[int], s *turnstile, options ...events.SubscribeOption) *events.Subscription{
		"typed": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], s *turnstile, options ...events.SubscribeOption) *events.Subscription {
			return handle(t, bus, topic, s.handle, options...)
		},
		"untyped": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], s *turnstile, options ...events.SubscribeOption) *events.Subscription {
			return subscribe(t, bus, topic.Name(), s.handleEvent, options...)
		},
		"pattern": func(t *testing.T, bus *events.Bus, _ *events.Topic[int], s *turnstile, options ...events.SubscribeOption) *events.Subscription {
			return subscribe(t, bus, "*", s.handleEvent, options...)
		},
	}

	publishers := map[string]func(ctx context.Context, bus *events.Bus, topic *events.Topic[int], n int) error{
		"Publish": func(ctx context.Context, bus *events.Bus, topic *events.Topic[int], n int) error {
			return topic.Publish(ctx, bus, n)
		},
		"Dispatch": func(ctx context.Context, bus *events.Bus, topic *events.Topic[int], n int) error {
			return bus.Dispatch(ctx, events.Event{Name: topic.Name(), Data: n})
		},
	}

	for who, subscribeSlow := range slowOnes {
		for how, send := range publishers {
			for _, capacity := range []int{1, 2, 8, 13} {
				t.Run(fmt.Sprintf("Block waits for space, %s, %s, capacity %d", who, how, capacity), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bus := newBus(t)
						topic := events.NewTopic[int]("number")
						slow := newTurnstile(t)
						s := subscribeSlow(t, bus, topic, slow, events.WithQueue(capacity))
						kinds := everyKind(t, bus, topic)
						full(t, bus, topic, capacity)
						require.EqualValues(t, capacity, s.Stats().Lag)
						waits := inBackground(func() error { return send(context.Background(), bus, topic, capacity+1) })
						done, _ := waits()
						require.False(t, done)
						for kind, l := range kinds {
							require.Equal(t, count(capacity+1), l.take(), kind)
						}
						slow.let()
						done, err := waits()
						require.True(t, done, "there is space")
						require.NoError(t, err)
						synctest.Wait()
						for kind, l := range kinds {
							require.Equal(t, []int{capacity + 1}, l.take(), kind)
						}
						slow.open()
						mustClose(t, bus)
						require.Equal(t, count(capacity+2), slow.take())
					})
				})
			}

			t.Run(fmt.Sprintf("Block waits for the end of the context, %s, %s", who, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					subscribeSlow(t, bus, topic, slow, events.WithQueue(2), events.WithName("slow one"))
					kinds := everyKind(t, bus, topic)
					full(t, bus, topic, 2)
					ctx, cancel := context.WithCancelCause(context.Background())
					waits := inBackground(func() error { return send(ctx, bus, topic, 3) })
					done, _ := waits()
					require.False(t, done)
					cancel(errBoom)
					done, err := waits()
					require.True(t, done)
					require.ErrorIs(t, err, errBoom, "the cause of the context")
					require.ErrorContains(t, err, "slow one")
					require.ErrorContains(t, err, `"number"`)
					require.ErrorIs(t, send(ctx, bus, topic, 4), errBoom, "of one that is done before")
					begun := time.Now()
					limited, cancelLimited := context.WithTimeout(context.Background(), time.Minute)
					defer cancelLimited()
					require.ErrorIs(t, send(limited, bus, topic, 5), context.DeadlineExceeded)
					require.Equal(t, time.Minute, time.Since(begun))
					slow.open()
					mustClose(t, bus)
					require.Equal(t, count(3), slow.take())
					for kind, l := range kinds {
						require.Equal(t, count(3), l.take(), "%s got an event that was not accepted", kind)
					}
				})
			})

			t.Run(fmt.Sprintf("Reject, %s, %s", who, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					s := subscribeSlow(t, bus, topic, slow, events.WithQueue(2), events.WithOverflow(events.Reject), events.WithName("slow one"))
					kinds := everyKind(t, bus, topic)
					full(t, bus, topic, 2)
					for range 3 {
						err := send(context.Background(), bus, topic, 99)
						require.ErrorIs(t, err, events.ErrFull)
						require.ErrorContains(t, err, "slow one")
						require.ErrorContains(t, err, `"number"`)
					}
					slow.let()
					require.NoError(t, send(context.Background(), bus, topic, 3))
					require.ErrorIs(t, send(context.Background(), bus, topic, 99), events.ErrFull)
					slow.open()
					mustClose(t, bus)
					require.Equal(t, count(4), slow.take())
					for kind, l := range kinds {
						require.Equal(t, count(4), l.take(), "%s: got an event that was rejected", kind)
					}
					require.Equal(t, events.Stats{Capacity: 2, Delivered: 4}, s.Stats())
				})
			})

			t.Run(fmt.Sprintf("DropOldest, %s, %s", who, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					s := subscribeSlow(t, bus, topic, slow, events.WithQueue(2), events.WithOverflow(events.DropOldest), events.WithName("slow one"))
					kinds := everyKind(t, bus, topic)
					full(t, bus, topic, 2)
					for n := range 5 {
						require.NoError(t, send(context.Background(), bus, topic, 3+n))
					}
					synctest.Wait()
					require.EqualValues(t, 5, s.Stats().Dropped)
					require.Empty(t, reported.take(), "not before the handler is at the gap")
					slow.let()
					slow.let()
					require.Equal(t, []int{0, 6, 7}, slow.take())
					require.NoError(t, send(context.Background(), bus, topic, 8))
					require.NoError(t, send(context.Background(), bus, topic, 9))
					require.NoError(t, send(context.Background(), bus, topic, 10))
					slow.open()
					mustClose(t, bus)
					require.Equal(t, []int{9, 10}, slow.take())
					require.Equal(t, []error{
						&events.OverflowError{Event: "number", Handler: "slow one", Dropped: 5},
						&events.OverflowError{Event: "number", Handler: "slow one", Dropped: 1},
					}, reported.take(), "one for each gap")
					for kind, l := range kinds {
						require.Equal(t, count(11), l.take(), "%s: only the slow one loses", kind)
					}
					require.Equal(t, events.Stats{Capacity: 2, Delivered: 5, Dropped: 6}, s.Stats())
				})
			})
		}
	}
}

// TestQueuesTogether is the part of QueuesAreBounded for several queues of one
// event, and for asynchronous publishes and replayed events.
func TestQueuesTogether(t *testing.T) {
	t.Run("a full queue that rejects and one that blocks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, names := range [][2]string{{"*", "number"}, {"number", "*"}, {"number", "number"}, {"*", "*"}} {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				blocks, rejects := newTurnstile(t), newTurnstile(t)
				subscribe(t, bus, names[0], blocks.handleEvent, events.WithQueue(1))
				subscribe(t, bus, names[1], rejects.handleEvent, events.WithQueue(1), events.WithOverflow(events.Reject))
				full(t, bus, topic, 1)
				require.ErrorIs(t, topic.Publish(context.Background(), bus, 2), events.ErrFull, "and at once")
				blocks.open()
				rejects.open()
			}
		})
	})

	t.Run("one that fills up while another is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			x, y := events.NewTopic[int]("x.1"), events.NewTopic[int]("x.2")
			pattern, rejects := newTurnstile(t), newTurnstile(t)
			var inline ledger
			subscribe(t, bus, "x.*", pattern.handleEvent, events.WithQueue(2))
			handle(t, bus, x, rejects.handle, events.WithQueue(1), events.WithOverflow(events.Reject))
			handle(t, bus, x, inline.handle)
			full(t, bus, x, 1)
			publish(t, bus, y, 2)
			waits := inBackground(func() error { return x.Publish(context.Background(), bus, 3) })
			done, err := waits()
			require.True(t, done)
			require.ErrorIs(t, err, events.ErrFull)
			require.Equal(t, []int{0, 1}, inline.take())
		})
	})

	t.Run("a turn that is not used goes to the next publisher", func(t *testing.T) {
		// Two publishers wait for one queue. The first to be let in finds that
		// another queue of its own is full, so the room is the second one's.
		for _, overflow := range []events.Overflow{events.Block, events.Reject} {
			t.Run(fmt.Sprint(overflow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					common, own := newTurnstile(t), newTurnstile(t)
					subscribe(t, bus, "a.*", common.handleEvent, events.WithQueue(1))
					subscribe(t, bus, "*.x", own.handleEvent, events.WithQueue(1), events.WithOverflow(overflow))
					send := func(name string) error {
						return bus.Dispatch(context.Background(), events.Event{Name: name, Data: 0})
					}
					require.NoError(t, send("a.y"))
					synctest.Wait()
					require.NoError(t, send("a.y"))
					first := inBackground(func() error { return send("a.x") })
					_, _ = first()
					second := inBackground(func() error { return send("a.y") })
					_, _ = second()
					require.NoError(t, send("b.x"))
					synctest.Wait()
					require.NoError(t, send("b.x")) // now the first could not go on
					common.open()
					done, err := second()
					require.True(t, done, "the queue is empty")
					require.NoError(t, err)
					own.open()
				})
			})
		}
	})

	t.Run("PublishAsync", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			var inline ledger
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			handle(t, bus, topic, inline.handle)
			full(t, bus, topic, 1)
			require.Equal(t, count(2), inline.take())
			for n := range 3 {
				require.NoError(t, topic.PublishAsync(context.Background(), bus, 2+n), "at once")
			}
			bus.DispatchAsync(context.Background(), events.Event{Name: "number", Data: 5})
			synctest.Wait()
			require.Empty(t, inline.take(), "not before it is accepted")
			slow.open()
			mustClose(t, bus)
			require.ElementsMatch(t, count(6), slow.take())
			require.ElementsMatch(t, between(2, 5), inline.take())
		})
	})

	t.Run("PublishAsync to one that rejects", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			var inline ledger
			handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithOverflow(events.Reject))
			handle(t, bus, topic, inline.handle)
			full(t, bus, topic, 1)
			require.ErrorIs(t, topic.PublishAsync(context.Background(), bus, 2), events.ErrFull)
			bus.DispatchAsync(context.Background(), events.Event{Name: "number", Data: 3})
			errs := reported.take()
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], events.ErrFull)
			slow.open()
			mustClose(t, bus)
			require.Equal(t, count(2), slow.take())
			require.Equal(t, count(2), inline.take())
			require.Empty(t, reported.take())
		})
	})

	t.Run("replayed events do not count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number", events.WithReplay(10))
			publish(t, bus, topic, count(10)...)
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(2))
			synctest.Wait()
			publish(t, bus, topic, 10, 11)
			waits := inBackground(func() error { return topic.Publish(context.Background(), bus, 12) })
			done, _ := waits()
			require.False(t, done)
			slow.open()
			done, _ = waits()
			require.True(t, done)
			mustClose(t, bus)
			require.Equal(t, count(13), slow.take())
		})
	})

	t.Run("DropOldest drops what is replayed, too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number", events.WithReplay(10))
			publish(t, bus, topic, count(10)...)
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(2), events.WithOverflow(events.DropOldest))
			synctest.Wait()
			publish(t, bus, topic, between(10, 14)...)
			slow.open()
			mustClose(t, bus)
			require.Equal(t, []int{0, 13, 14}, slow.take())
			errs := reported.take()
			require.Len(t, errs, 1)
			overflow, ok := errs[0].(*events.OverflowError)
			require.True(t, ok)
			require.EqualValues(t, 12, overflow.Dropped)
			require.Equal(t, events.Stats{Capacity: 2, Delivered: 3, Dropped: 12}, s.Stats())
		})
	})

	t.Run("every waiting publisher gets its turn", func(t *testing.T) {
		// With real goroutines: nothing is lost between room and those who wait.
		for _, options := range queueKinds() {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			var l ledger
			s := handle(t, bus, topic, l.handle, append(options, events.WithQueue(1))...)
			var group sync.WaitGroup
			for p := range 8 {
				group.Go(func() {
					for i := range 200 {
						ctx, cancel := context.WithCancel(context.Background())
						if i%3 == 0 { // some give up, whose turn is the next one's
							go cancel()
						}
						if err := topic.Publish(ctx, bus, p); err == nil {
							l.add(-1)
						} else if !errors.Is(err, context.Canceled) {
							t.Error(err)
						}
						cancel()
					}
				})
			}
			group.Wait()
			mustClose(t, bus)
			accepted, handled := 0, 0
			for _, n := range l.take() {
				if n == -1 {
					accepted++
				} else {
					handled++
				}
			}
			require.Equal(t, accepted, handled+int(s.Stats().Dropped))
		}
	})
}

// TestPublishersThatWait is the part of QueuesAreBounded for those who wait for
// room.
func TestPublishersThatWait(t *testing.T) {
	t.Run("who gives up says of which queue, and why", func(t *testing.T) {
		topic := events.NewTopic[int]("number")
		for cause, overflow := range map[error]events.Overflow{
			errBoom: events.Block, context.DeadlineExceeded: events.Block, events.ErrFull: events.Reject, events.ErrDeadlock: events.Block,
		} {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t, new(failures).option())
				gate, open := barrier(t)
				var err error
				handle(t, bus, topic, func(ctx context.Context, n int) error {
					<-gate
					if n == 0 && errors.Is(cause, events.ErrDeadlock) {
						err = topic.Publish(ctx, bus, 9)
					}
					return nil
				}, events.WithQueue(1), events.WithOverflow(overflow), events.WithName("clerk"))
				full(t, bus, topic, 1)
				ctx, cancel := context.WithCancelCause(context.Background())
				if errors.Is(cause, context.DeadlineExceeded) {
					limited, stop := context.WithTimeout(ctx, time.Second)
					defer stop()
					ctx = limited
				}
				if !errors.Is(cause, events.ErrDeadlock) {
					done := inBackground(func() error { return topic.Publish(ctx, bus, 2) })
					_, _ = done()
					if errors.Is(cause, errBoom) {
						cancel(errBoom)
					}
					time.Sleep(time.Second)
					_, err = done()
				}
				open()
				mustClose(t, bus)
				cancel(nil)
				failure, ok := err.(*events.QueueError)
				require.True(t, ok, "%v", err)
				require.Equal(t, events.QueueError{Operation: "publish", Event: "number", Handler: "clerk", Err: cause}, *failure)
				for _, says := range []string{"publish", `"number"`, "clerk", cause.Error()} {
					require.ErrorContains(t, err, says)
				}
			})
		}
	})

	t.Run("in the order of their coming", func(t *testing.T) {
		// A publisher that comes later overtakes none that waits, whether it
		// finds room or not.
		for name, options := range queueKinds() {
			if name == "drop oldest" {
				continue // nobody waits
			}
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t, new(failures).option())
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, append(options, events.WithQueue(2))...)
				atWork := 1
				if name == "lanes" {
					atWork = 2
				}
				publish(t, bus, topic, count(atWork)...)
				synctest.Wait()
				publish(t, bus, topic, between(atWork, atWork+1)...)
				var accepted ledger
				for n := range 20 {
					go func() {
						if err := topic.Publish(context.Background(), bus, n); err != nil {
							t.Error(err)
						}
						accepted.add(n)
					}()
					synctest.Wait()
				}
				for n := range 20 {
					slow.let()
					require.Equal(t, []int{n}, accepted.take(), name)
				}
				slow.open()
			})
		}
	})

	t.Run("the room that a handler makes is not its own", func(t *testing.T) {
		// It would fill the place of each event that it has taken at once, and
		// starve those who wait.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			gate, open := barrier(t)
			var l ledger
			errs := make(chan error, 10)
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				if l.add(n); n == 1 {
					errs <- topic.Publish(ctx, bus, 9)
				}
				return nil
			}, events.WithQueue(1))
			full(t, bus, topic, 1)
			waits := inBackground(func() error { return topic.Publish(context.Background(), bus, 2) })
			done, _ := waits()
			require.False(t, done)
			open()
			require.ErrorIs(t, <-errs, events.ErrDeadlock, "the place is the other's")
			done, err := waits()
			require.True(t, done)
			require.NoError(t, err)
			mustClose(t, bus)
			require.Equal(t, count(3), l.take())
		})
	})

	t.Run("a place in line is nobody's while an error is reported", func(t *testing.T) {
		// An asynchronous publish waits for the first queue and is rejected by
		// the second. Who waits behind it is not held up by the error handler.
		synctest.Test(t, func(t *testing.T) {
			gate, open := barrier(t)
			bus := newBus(t, events.WithErrorHandler(func(context.Context, error) { <-gate }))
			topic, other := events.NewTopic[int]("n.1"), events.NewTopic[int]("n.2")
			blocks, rejects := newTurnstile(t), newTurnstile(t)
			handle(t, bus, topic, blocks.handle, events.WithQueue(1))
			subscribe(t, bus, "*.*", rejects.handleEvent, events.WithQueue(2), events.WithOverflow(events.Reject))
			full(t, bus, topic, 1)
			require.NoError(t, topic.PublishAsync(context.Background(), bus, 2))
			synctest.Wait()
			behind := inBackground(func() error { return topic.Publish(context.Background(), bus, 3) })
			done, _ := behind()
			require.False(t, done)
			publish(t, bus, other, 4) // now the pattern's queue is full
			blocks.let()
			done, err := behind()
			require.True(t, done, "it waits behind one that is gone")
			require.ErrorIs(t, err, events.ErrFull)
			open()
			blocks.open()
			rejects.open()
		})
	})

	t.Run("neither many lanes nor a great capacity costs anything until it is used", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		gate, open := barrier(t)
		var l ledger
		goroutines := runtime.NumGoroutine()
		kept := retained(func() {
			for _, options := range [][]events.SubscribeOption{nil, {events.WithLanes(1_000_000)}, {events.WithLanes(1_000_000), byRemainder(7)}} {
				handle(t, bus, topic, func(_ context.Context, n int) error {
					<-gate
					l.add(n)
					return nil
				}, append(options, events.WithQueue(math.MaxInt))...)
			}
			publish(t, bus, topic, count(5)...)
		})
		require.Less(t, kept, int64(256<<10))
		require.LessOrEqual(t, runtime.NumGoroutine(), goroutines+1+6+6)
		open()
		mustClose(t, bus)
		require.Len(t, l.take(), 15)
	})
}

// warnings collects what is logged about publishers that wait.
func warnings() (*captured, events.BusOption) {
	records := new(captured)
	return records, events.WithLogger(slog.New(records))
}

// cycleKinds are the ways to subscribe, with more lanes and keys.
func cycleKinds() map[string][]events.SubscribeOption {
	return map[string][]events.SubscribeOption{
		"plain":             nil,
		"lanes":             {events.WithLanes(3)},
		"keyed lanes":       {events.WithLanes(3), events.WithOrderBy(func(n int) string { return fmt.Sprint(n % 5) })},
		"all behind a key":  {events.WithLanes(3), events.WithOrderBy(func(int) string { return "" })},
		"one keyed lane":    {events.WithLanes(1), events.WithOrderBy(func(int) string { return "" })},
		"with a middleware": {events.WithMiddleware(func(next events.Handler) events.Handler { return next })},
	}
}

func TestCyclesDoNotHang(t *testing.T) {
	kinds := cycleKinds()
	for kind, options := range kinds {
		for _, capacity := range []int{1, 2, 5} {
			// Handlers publish two for each that they get, until all are full.
			for _, length := range []int{1, 2, 3, 5} {
				t.Run(fmt.Sprintf("a ring of %d, %s, capacity %d", length, kind, capacity), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bus := newBus(t, new(failures).option())
						ring(t, capacity, length, func(int) *events.Bus { return bus }, options)
						mustClose(t, bus)
					})
				})
			}

			t.Run(fmt.Sprintf("across two buses, %s, capacity %d", kind, capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					buses := []*events.Bus{newBus(t, new(failures).option()), newBus(t, new(failures).option())}
					ring(t, capacity, 2, func(i int) *events.Bus { return buses[i%2] }, options)
				})
			})

			t.Run(fmt.Sprintf("replayed events, %s, capacity %d", kind, capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t, new(failures).option())
					topic := events.NewTopic[int]("number", events.WithReplay(10))
					publish(t, bus, topic, count(10)...)
					var deadlocks atomic.Int32
					handle(t, bus, topic, func(ctx context.Context, n int) error {
						if n >= 10 {
							return nil
						}
						for range 20 {
							if err := topic.Publish(ctx, bus, 10); errors.Is(err, events.ErrDeadlock) {
								deadlocks.Add(1)
							}
						}
						return nil
					}, append(options, events.WithQueue(capacity))...)
					time.Sleep(time.Minute)
					require.NoError(t, closeWithin(context.Background(), bus, time.Second))
					require.NotZero(t, deadlocks.Load())
				})
			})
		}
	}

	t.Run("through an inline handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic, inline := events.NewTopic[int]("number"), events.NewTopic[int]("inline")
			var err error
			handle(t, bus, inline, func(ctx context.Context, n int) error { return topic.Publish(ctx, bus, n) })
			gate, open := barrier(t)
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				if n == 0 {
					err = inline.Publish(context.WithValue(ctx, requestKey{}, "derived"), bus, 2)
				}
				return nil
			}, events.WithQueue(1))
			full(t, bus, topic, 1)
			open()
			time.Sleep(time.Second)
			synctest.Wait()
			require.ErrorIs(t, err, events.ErrDeadlock)
			require.ErrorContains(t, err, "number")
			mustClose(t, bus)
		})
	})

	t.Run("through untyped handlers and a pattern", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			var deadlocks atomic.Int32
			subscribe(t, bus, "a.*", func(ctx context.Context, e events.Event) error {
				for range 3 {
					if err := bus.Dispatch(ctx, named("b")); errors.Is(err, events.ErrDeadlock) {
						deadlocks.Add(1)
					}
				}
				return nil
			}, events.WithQueue(1))
			var rounds atomic.Int32
			subscribe(t, bus, "b", func(ctx context.Context, e events.Event) error {
				if rounds.Add(1) > 100 {
					return nil
				}
				if err := bus.Dispatch(ctx, named("a.b")); errors.Is(err, events.ErrDeadlock) {
					deadlocks.Add(1)
				}
				return nil
			}, events.WithQueue(1))
			require.NoError(t, bus.Dispatch(context.Background(), named("a.a")))
			time.Sleep(time.Minute)
			mustClose(t, bus)
			require.NotZero(t, deadlocks.Load())
		})
	})

	t.Run("no handler gets the event", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			gate, open := barrier(t)
			var err error
			s := handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				if n == 0 {
					err = topic.Publish(ctx, bus, 99)
				}
				return nil
			}, events.WithQueue(2), events.WithName("self"))
			kinds := everyKind(t, bus, topic)
			full(t, bus, topic, 2)
			open()
			mustClose(t, bus)
			require.ErrorIs(t, err, events.ErrDeadlock)
			require.ErrorContains(t, err, "self")
			require.EqualValues(t, 3, s.Stats().Delivered)
			for kind, l := range kinds {
				require.Equal(t, count(3), l.take(), kind)
			}
		})
	})

	t.Run("a loop over All", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			seq := topic.All(context.Background(), bus, events.WithQueue(1))
			publish(t, bus, topic, 0)
			var errs []error
			for ctx := range seq {
				errs = append(errs, topic.Publish(ctx, bus, 1), topic.Publish(ctx, bus, 2))
				break
			}
			require.NoError(t, errs[0])
			require.ErrorIs(t, errs[1], events.ErrDeadlock)
		})
	})

	t.Run("batches", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			var errs []error
			_, err := topic.SubscribeBatch(bus, func(ctx context.Context, numbers []int) error {
				for range 2 {
					if numbers[0] == 0 {
						errs = append(errs, topic.Publish(ctx, bus, 1))
					}
				}
				return nil
			}, events.WithBatch(1, time.Second), events.WithQueue(1))
			require.NoError(t, err)
			publish(t, bus, topic, 0)
			mustClose(t, bus)
			require.NoError(t, errs[0])
			require.ErrorIs(t, errs[1], events.ErrDeadlock)
		})
	})

	t.Run("PublishAsync waits, but not for itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			var l ledger
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				l.add(n)
				if n > 0 {
					return nil
				}
				var errs []error
				for i := range 10 {
					errs = append(errs, topic.PublishAsync(ctx, bus, 1+i))
				}
				return errors.Join(errs...)
			}, events.WithQueue(1))
			publish(t, bus, topic, 0)
			synctest.Wait()
			require.Empty(t, reported.take())
			require.ElementsMatch(t, count(11), l.take())
		})
	})
}

// TestCyclesOfWaits is the part of CyclesDoNotHang for who waits, and for waits
// that are not for room.
func TestCyclesOfWaits(t *testing.T) {
	t.Run("by whatever context", func(t *testing.T) {
		// Who waits is a goroutine, and what it passes on says nothing of that.
		synctest.Test(t, func(t *testing.T) {
			for name, with := range map[string]func(context.Context) context.Context{
				"its own":    func(ctx context.Context) context.Context { return ctx },
				"Background": func(context.Context) context.Context { return context.Background() },
				"none":       func(context.Context) context.Context { return nil },
			} {
				bus := newBus(t, new(failures).option())
				topic := events.NewTopic[int]("number")
				gate, open := barrier(t)
				var err error
				var took time.Duration
				handle(t, bus, topic, func(ctx context.Context, n int) error {
					<-gate
					if n == 0 {
						begun := time.Now()
						err = topic.Publish(with(ctx), bus, 9)
						took = time.Since(begun)
					}
					return nil
				}, events.WithQueue(1))
				full(t, bus, topic, 1)
				open()
				time.Sleep(time.Second)
				synctest.Wait()
				require.ErrorIs(t, err, events.ErrDeadlock, name)
				require.Equal(t, time.Millisecond, took, name)
			}
		})
	})

	t.Run("below a queued handler, on several goroutines", func(t *testing.T) {
		// Those that the package starts stand for the handler, who waits for
		// them; a handler that is at work there is the handler, too.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic, inner := events.NewTopic[int]("number"), events.NewTopic[int]("inner", events.WithConcurrency(2))
			gate, open := barrier(t)
			errs := make(chan error, 2)
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				if n > 0 {
					return nil
				}
				return inner.Publish(ctx, bus, n)
			}, events.WithQueue(1))
			handle(t, bus, inner, func(ctx context.Context, _ int) error {
				errs <- topic.Publish(ctx, bus, 9)
				return nil
			})
			var s *events.Subscription
			s = handle(t, bus, inner, func(context.Context, int) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				errs <- s.Drain(ctx)
				return nil
			}, events.WithDrain())
			full(t, bus, topic, 1)
			open()
			for range 2 {
				require.ErrorIs(t, <-errs, events.ErrDeadlock)
			}
			mustClose(t, bus)
		})
	})

	t.Run("Drain and publishes in one cycle", func(t *testing.T) {
		for _, drainsFirst := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t, new(failures).option())
				a, b := events.NewTopic[int]("a"), events.NewTopic[int]("b")
				gates, opens := make([]<-chan struct{}, 2), make([]func(), 2)
				for i := range gates {
					gates[i], opens[i] = barrier(t)
				}
				errs := make(chan error, 2)
				var s *events.Subscription
				handle(t, bus, a, func(ctx context.Context, n int) error {
					if <-gates[0]; n == 0 {
						errs <- s.Drain(ctx)
					}
					return nil
				}, events.WithQueue(1))
				s = handle(t, bus, b, func(ctx context.Context, n int) error {
					if <-gates[1]; n == 0 {
						errs <- a.Publish(ctx, bus, 9)
					}
					return nil
				}, events.WithQueue(1))
				full(t, bus, a, 1)
				publish(t, bus, b, 0)
				synctest.Wait()
				first, second := opens[0], opens[1]
				if !drainsFirst {
					first, second = second, first
				}
				first()
				time.Sleep(time.Minute)
				require.Empty(t, errs, "the other may still go on")
				second()
				require.ErrorIs(t, errors.Join(<-errs, <-errs), events.ErrDeadlock)
				mustClose(t, bus)
			})
		}
	})

	t.Run("of buses that wait for each other, one of which has given up", func(t *testing.T) {
		// Its handlers are still at work.
		synctest.Test(t, func(t *testing.T) {
			topic := events.NewTopic[int]("number")
			one, two := newBus(t, new(failures).option()), newBus(t, new(failures).option())
			gate, open := barrier(t)
			wait := func(bus *events.Bus) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				return bus.Wait(ctx)
			}
			errs := make(chan error, 2)
			handle(t, one, topic, func(context.Context, int) error {
				<-gate
				errs <- wait(two)
				return nil
			}, events.WithQueue(1))
			handle(t, two, topic, func(context.Context, int) error {
				errs <- wait(one)
				return nil
			}, events.WithQueue(1))
			publish(t, one, topic, 0)
			publish(t, two, topic, 0)
			synctest.Wait()
			require.Error(t, closeWithin(context.Background(), one, time.Second))
			open()
			for range 2 {
				if err := <-errs; err != nil {
					require.ErrorIs(t, err, events.ErrDeadlock)
				}
			}
		})
	})
}

// TestWaitsThatEnd is about waits that end, which ErrDeadlock would keep from
// doing so.
func TestWaitsThatEnd(t *testing.T) {
	kinds := cycleKinds()
	for kind, options := range kinds {
		t.Run("a ring with room to spare goes round, "+kind, func(t *testing.T) {
			// Never more events under way than queues and handlers have places,
			// so that no publish waits for ever: ErrDeadlock would be a lie.
			const length, capacity, laps = 3, 2, 4000
			bus := newBus(t, new(failures).option())
			var topics []*events.Topic[int]
			for i := range length {
				topics = append(topics, events.NewTopic[int](fmt.Sprint("station-", i)))
			}
			var lies atomic.Int32
			var lap atomic.Int32
			done := make(chan struct{})
			var once sync.Once
			for i := range topics {
				handle(t, bus, topics[i], func(ctx context.Context, n int) error {
					if lap.Add(1) > laps {
						once.Do(func() { close(done) })
						return nil
					}
					if err := topics[(i+1)%length].Publish(ctx, bus, n); err != nil {
						if errors.Is(err, events.ErrDeadlock) {
							lies.Add(1)
						}
						once.Do(func() { close(done) })
					}
					return nil
				}, append(options, events.WithQueue(capacity))...)
			}
			// Each station has one place more than its queue; one in the ring
			// stays free.
			for n := range length*(capacity+1) - 1 {
				publish(t, bus, topics[n%length], n)
			}
			<-done
			mustClose(t, bus)
			require.Zero(t, lies.Load())
		})
	}

	t.Run("a pipeline of full queues only waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			_, logger := warnings()
			bus := newBus(t, reported.option(), logger)
			const length = 20
			topics := make([]*events.Topic[int], length)
			for i := range topics {
				topics[i] = events.NewTopic[int](fmt.Sprint("stage-", i))
			}
			end := newTurnstile(t)
			handle(t, bus, topics[length-1], end.handle, events.WithQueue(1))
			for i := range length - 1 {
				handle(t, bus, topics[i], func(ctx context.Context, n int) error {
					return topics[i+1].Publish(ctx, bus, n)
				}, append(kinds[[]string{"plain", "keyed lanes", "all behind a key"}[i%3]], events.WithQueue(1))...)
			}
			waits := inBackground(func() error {
				publish(t, bus, topics[0], count(100)...)
				return nil
			})
			done, _ := waits()
			require.False(t, done)
			time.Sleep(time.Hour)
			require.Empty(t, reported.take(), "nobody waits for himself")
			end.open()
			done, _ = waits()
			require.True(t, done)
			mustClose(t, bus)
			require.Empty(t, reported.take())
			require.ElementsMatch(t, count(100), end.take())
		})
	})

	t.Run("a lane that is free keeps the ring going", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			gate, open := barrier(t)
			var errs []error
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				switch n {
				case 0:
					errs = append(errs, topic.Publish(ctx, bus, 3))
				case 1:
					<-gate
				}
				return nil
			}, events.WithQueue(1), events.WithLanes(2))
			publish(t, bus, topic, 1)
			synctest.Wait()
			publish(t, bus, topic, 0)
			synctest.Wait() // 0 publishes 3, which the queue has room for
			require.Equal(t, []error{nil}, errs)
			open()
			mustClose(t, bus)
		})
	})

	t.Run("a publisher from outside waits for room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, logger := warnings()
			bus := newBus(t, logger)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			full(t, bus, topic, 1)
			waits := inBackground(func() error { return topic.Publish(context.Background(), bus, 2) })
			time.Sleep(time.Hour)
			done, _ := waits()
			require.False(t, done)
			slow.open()
			done, err := waits()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("a ring that closes while one waits", func(t *testing.T) {
		// The wait begins when another worker still could make room.
		synctest.Test(t, func(t *testing.T) {
			_, logger := warnings()
			bus := newBus(t, new(failures).option(), logger)
			topic := events.NewTopic[int]("number")
			var deadlocks atomic.Int32
			gates := make([]<-chan struct{}, 2)
			opens := make([]func(), 2)
			for i := range gates {
				gates[i], opens[i] = barrier(t)
			}
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				if n > 1 {
					return nil
				}
				<-gates[n]
				if err := topic.Publish(ctx, bus, 5); errors.Is(err, events.ErrDeadlock) {
					deadlocks.Add(1)
				}
				return nil
			}, events.WithQueue(1), events.WithLanes(2))
			publish(t, bus, topic, 0)
			synctest.Wait()
			publish(t, bus, topic, 1)
			synctest.Wait()
			publish(t, bus, topic, 2)
			opens[0]() // waits: the other lane is at work, and may make room
			time.Sleep(10 * time.Second)
			require.Zero(t, deadlocks.Load())
			opens[1]() // now neither will
			time.Sleep(10 * time.Second)
			require.NotZero(t, deadlocks.Load())
			mustClose(t, bus)
		})
	})

	t.Run("a goroutine that a handler has started is a stranger", func(t *testing.T) {
		// It waits, with whatever context, be its handler at work or through.
		for name, with := range map[string]func(context.Context) context.Context{
			"the handler's context": func(ctx context.Context) context.Context { return ctx },
			"Background":            func(context.Context) context.Context { return context.Background() },
		} {
			for _, returns := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, handler returns %t", name, returns), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bus := newBus(t, new(failures).option())
						topic := events.NewTopic[int]("number")
						gate, open := barrier(t)
						var l ledger
						var waits func() (bool, error)
						handle(t, bus, topic, func(ctx context.Context, n int) error {
							l.add(n)
							switch n {
							case 0:
								waits = inBackground(func() error {
									time.Sleep(time.Millisecond) // the queue is full by then
									return topic.Publish(with(ctx), bus, 9)
								})
								if !returns {
									<-gate
								}
							case 1:
								<-gate
							}
							return nil
						}, events.WithQueue(1))
						publish(t, bus, topic, 0)
						synctest.Wait()
						publish(t, bus, topic, 1)
						synctest.Wait()
						if returns {
							publish(t, bus, topic, 2)
						}
						time.Sleep(time.Minute)
						done, err := waits()
						require.False(t, done, "%v", err)
						open()
						done, err = waits()
						require.True(t, done)
						require.NoError(t, err)
						mustClose(t, bus)
						got := l.take()
						require.Equal(t, 9, got[len(got)-1])
					})
				})
			}
		}
	})

	t.Run("an asynchronous publish that waits, whoever ends its goroutine", func(t *testing.T) {
		// What was accepted is not lost by a logger.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, events.WithLogger(slog.New(loggerFunc(runtime.Goexit))))
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			full(t, bus, topic, 1)
			require.NoError(t, topic.PublishAsync(context.Background(), bus, 2))
			time.Sleep(5 * time.Second)
			slow.open()
			mustClose(t, bus)
			require.Equal(t, count(3), slow.take())
		})
	})
}

// TestSlowQueuesAreReported is about publishers that wait for long.
func TestSlowQueuesAreReported(t *testing.T) {
	t.Run("a long wait is reported with who holds it up", func(t *testing.T) {
		for who, within := range map[string]bool{"from outside": false, "from a handler": true} {
			t.Run(who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					records, logger := warnings()
					bus := newBus(t, logger)
					topic, other := events.NewTopic[int]("number"), events.NewTopic[int]("other")
					slow := newTurnstile(t)
					handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithName("the slow one"))
					handle(t, bus, topic, new(ledger).handle, events.WithQueue(1), events.WithName("a fast one"))
					handle(t, bus, other, func(ctx context.Context, n int) error { return topic.Publish(ctx, bus, n) }, events.WithQueue(1))
					full(t, bus, topic, 1)
					if within {
						publish(t, bus, other, 2)
					} else {
						go func() { _ = topic.Publish(context.Background(), bus, 2) }()
					}
					time.Sleep(999 * time.Millisecond)
					synctest.Wait()
					require.Empty(t, records.take(), "not before a second")
					time.Sleep(time.Millisecond)
					synctest.Wait()
					logged := records.take()
					require.Len(t, logged, 1)
					require.Equal(t, slog.LevelWarn, logged[0].Level)
					require.Equal(t, "the slow one", attributes(logged[0])["handler"].String())
					require.Equal(t, "number", attributes(logged[0])["event"].String())
					time.Sleep(time.Hour)
					require.Empty(t, records.take(), "once is enough")
					slow.open()
					mustClose(t, bus)
				})
			})
		}
	})

	t.Run("once a second, however many wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			records, logger := warnings()
			bus := newBus(t, logger)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithName("slow"))
			full(t, bus, topic, 1)
			wait := func(n int) {
				for range n {
					go func() { _ = topic.Publish(context.Background(), bus, 2) }()
				}
			}
			wait(50)
			time.Sleep(time.Second)
			synctest.Wait()
			logged := records.take()
			require.Len(t, logged, 1)
			require.Equal(t, "publisher waits for a full queue", logged[0].Message)
			said := attributes(logged[0])
			require.Equal(t, "number", said["event"].String())
			require.Equal(t, "slow", said["handler"].String())
			require.Equal(t, s.Source(), said["subscribed"].String())
			require.EqualValues(t, 50, said["publishers"].Any())
			require.Equal(t, time.Second, said["waited"].Duration())
			// More of them, all the time: more lines, but one a second.
			for range 100 {
				wait(3)
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
			lines := len(records.take())
			require.Greater(t, lines, 5)
			require.LessOrEqual(t, lines, 10)
			slow.open()
		})
	})

	t.Run("a logger holds no one up", func(t *testing.T) {
		// Not even one that publishes what it is told, and waits in turn, one
		// that takes its time, or one that does not return.
		for name, logs := range map[string]func(bus *events.Bus, topic *events.Topic[int], pass <-chan struct{}){
			"publishes": func(bus *events.Bus, topic *events.Topic[int], _ <-chan struct{}) {
				_ = topic.Publish(context.Background(), bus, -1)
			},
			"waits":  func(_ *events.Bus, _ *events.Topic[int], pass <-chan struct{}) { <-pass },
			"panics": func(*events.Bus, *events.Topic[int], <-chan struct{}) { panic("logger") },
			"exits":  func(*events.Bus, *events.Topic[int], <-chan struct{}) { runtime.Goexit() },
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					pass, open := barrier(t)
					topic := events.NewTopic[int]("number")
					var bus *events.Bus
					bus = newBus(t, events.WithLogger(slog.New(loggerFunc(func() { logs(bus, topic, pass) }))))
					slow := newTurnstile(t)
					handle(t, bus, topic, slow.handle, events.WithQueue(1))
					full(t, bus, topic, 1)
					go func() { _ = topic.Publish(context.Background(), bus, 2) }()
					time.Sleep(500 * time.Millisecond)
					behind := inBackground(func() error { return topic.Publish(context.Background(), bus, 3) })
					time.Sleep(700 * time.Millisecond) // the first one is reported to wait
					done, _ := behind()
					require.False(t, done)
					for range 2 {
						slow.let()
					}
					slow.open()
					done, err := behind()
					require.True(t, done)
					require.NoError(t, err)
					open()
					synctest.Wait()
					mustClose(t, bus)
					got := slow.take()
					require.Contains(t, got, 3)
					require.Equal(t, name != "exits", slices.Contains(got, 2))
					require.Equal(t, name == "publishes", slices.Contains(got, -1))
				})
			})
		}
	})
}

// ring has handlers forward to each other, each two for one, until every queue
// is full and somebody has to be told.
func ring(t *testing.T, capacity, length int, bus func(i int) *events.Bus, options []events.SubscribeOption) {
	t.Helper()
	topics := make([]*events.Topic[int], length)
	for i := range topics {
		topics[i] = events.NewTopic[int](fmt.Sprint("station-", i))
	}
	var deadlocks, others, handled atomic.Int32
	for i := range topics {
		handle(t, bus(i), topics[i], func(ctx context.Context, n int) error {
			next := (i + 1) % length
			if handled.Add(1) > 500 {
				return nil // it has gone round long enough
			}
			for k := range 2 {
				err := topics[next].Publish(ctx, bus(next), 2*n+k)
				switch {
				case errors.Is(err, events.ErrDeadlock):
					deadlocks.Add(1)
				case err != nil:
					others.Add(1)
				}
			}
			return nil
		}, append(options, events.WithQueue(capacity))...)
	}
	publish(t, bus(0), topics[0], 1)
	time.Sleep(time.Hour)
	require.NotZero(t, deadlocks.Load(), "nobody was told")
	require.Zero(t, others.Load())
	require.Greater(t, handled.Load(), int32(500), "it hangs")
}

// loggerFunc is a slog.Handler that calls a function for each record.
type loggerFunc func()

func (f loggerFunc) Enabled(context.Context, slog.Level) bool  { return true }
func (f loggerFunc) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f loggerFunc) WithGroup(string) slog.Handler             { return f }
func (f loggerFunc) Handle(context.Context, slog.Record) error { f(); return nil }
