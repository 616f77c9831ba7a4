package events_test

import (
	"context"
	"errors"
	"fmt"
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

// TestCloseDrainsQueues is the part of CloseDrains for queues. That each test
// runs in a bubble says that no goroutine is left.
func TestCloseDrainsQueues(t *testing.T) {
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }

	for name, options := range queueKinds() {
		t.Run("everything accepted is handled, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := events.New(), number()
				var typed, pattern ledger
				slowly := func(l *ledger) func(context.Context, int) error {
					return func(_ context.Context, n int) error {
						time.Sleep(time.Second)
						l.add(n)
						return nil
					}
				}
				handle(t, bus, topic, slowly(&typed), append(options, events.WithQueue(100))...)
				subscribe(t, bus, "*", func(ctx context.Context, e events.Event) error {
					return slowly(&pattern)(ctx, e.Data.(int))
				}, events.WithQueue(100))
				publish(t, bus, topic, count(50)...)
				mustClose(t, bus)
				require.ElementsMatch(t, count(50), typed.take())
				require.Equal(t, count(50), pattern.take())
				require.ErrorIs(t, topic.Publish(context.Background(), bus, 1), events.ErrClosed)
				require.ErrorIs(t, topic.PublishAsync(context.Background(), bus, 1), events.ErrClosed)
				_, err := topic.Subscribe(bus, typed.handle, events.WithQueue(1))
				require.ErrorIs(t, err, events.ErrClosed)
				_, err = topic.SubscribeBatch(bus, newBatches().handle)
				require.ErrorIs(t, err, events.ErrClosed)
			})
		})

		t.Run("an idle bus closes at once, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := events.New(), number()
				handle(t, bus, topic, new(ledger).handle, append(options, events.WithQueue(1))...)
				handle(t, bus, topic, new(ledger).handle, append(options, events.WithQueue(1))...)
				publish(t, bus, topic, 1)
				synctest.Wait()
				begun := time.Now()
				mustClose(t, bus)
				require.Zero(t, time.Since(begun))
			})
		})
	}

	t.Run("pipelines under way finish", func(t *testing.T) {
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					const length = 5
					topics := make([]*events.Topic[int], length)
					for i := range topics {
						topics[i] = events.NewTopic[int](fmt.Sprint("stage-", i))
					}
					var end ledger
					handle(t, bus, topics[length-1], end.handle, append(options, events.WithQueue(20))...)
					gate, open := barrier(t)
					for i := range length - 1 {
						handle(t, bus, topics[i], func(ctx context.Context, n int) error {
							<-gate
							time.Sleep(time.Second)
							if n%2 == 0 {
								return topics[i+1].PublishAsync(ctx, bus, n)
							}
							return topics[i+1].Publish(ctx, bus, n)
						}, append(options, events.WithQueue(20))...)
					}
					publish(t, bus, topics[0], count(10)...)
					closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
					done, _ := closed()
					require.False(t, done)
					require.ErrorIs(t, topics[0].Publish(context.Background(), bus, 99), events.ErrClosed, "from outside")
					open()
					time.Sleep(time.Minute)
					done, err := closed()
					require.True(t, done)
					require.NoError(t, err)
					require.ElementsMatch(t, count(10), end.take())
					require.Empty(t, reported.take())
				})
			})
		}
	})

	t.Run("a pipeline of full queues finishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			const length = 4
			topics := make([]*events.Topic[int], length)
			for i := range topics {
				topics[i] = events.NewTopic[int](fmt.Sprint("stage-", i))
			}
			end := newTurnstile(t)
			handle(t, bus, topics[length-1], end.handle, events.WithQueue(1))
			for i := range length - 1 {
				handle(t, bus, topics[i], func(ctx context.Context, n int) error { return topics[i+1].Publish(ctx, bus, n) }, events.WithQueue(1))
			}
			var accepted ledger
			publishing := inBackground(func() error {
				for n := range 100 {
					if err := topics[0].Publish(context.Background(), bus, n); err != nil {
						return err
					}
					accepted.add(n)
				}
				return nil
			})
			done, _ := publishing()
			require.False(t, done)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			done, _ = closed()
			require.False(t, done)
			done, err := publishing()
			require.True(t, done)
			require.ErrorIs(t, err, events.ErrClosed, "the publisher that waits is told")
			end.open()
			done, err = closed()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, accepted.take(), end.take())
			require.Empty(t, reported.take())
		})
	})

	t.Run("a subscription that is being drained", func(t *testing.T) {
		// It has left the bus, but its events were accepted.
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t, new(failures).option()), number()
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(10))
			publish(t, bus, topic, count(4)...)
			synctest.Wait()
			drained := inBackground(func() error { return s.Drain(context.Background()) })
			_, _ = drained()
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			done, _ := closed()
			require.False(t, done)
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			done, err = drained()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, count(4), slow.take())
		})
	})

	t.Run("two buses that forward to each other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := newBus(t, new(failures).option()), newBus(t, new(failures).option())
			topic := number()
			slow := newTurnstile(t)
			handle(t, a, topic, func(ctx context.Context, n int) error { return topic.Publish(ctx, b, n) }, events.WithQueue(5))
			handle(t, b, topic, slow.handle, events.WithQueue(1))
			publish(t, a, topic, count(4)...)
			synctest.Wait()
			closed := inBackground(func() error { return closeWithin(context.Background(), a, time.Hour) })
			done, _ := closed()
			require.False(t, done)
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			mustClose(t, b)
			require.Equal(t, count(4), slow.take())
		})
	})

	t.Run("a bus with queues that is idle has no timers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			handle(t, bus, topic, new(ledger).handle, events.WithQueue(1))
			subscribeBatch(t, bus, topic, newBatches().handle)
			publish(t, bus, topic, 1)
			time.Sleep(time.Hour)
			// In a bubble, the time moves on only when all goroutines are blocked,
			// and stops at every timer: none of them may be there.
			begun := time.Now()
			never := make(chan struct{})
			time.AfterFunc(1000*time.Hour, func() { close(never) })
			<-never
			require.Equal(t, 1000*time.Hour, time.Since(begun))
		})
	})

	t.Run("accepted and handled, or refused", func(t *testing.T) {
		// With real goroutines, since the moment of Close is what matters.
		for _, options := range queueKinds() {
			for round := range 40 {
				bus, topic := events.New(new(failures).option()), number()
				var accepted, handled, batched, looped, patterns atomic.Int64
				s := handle(t, bus, topic, func(ctx context.Context, depth int) error {
					handled.Add(1)
					if depth <= 0 {
						return nil
					}
					if err := topic.PublishAsync(ctx, bus, depth-1); err != nil {
						return err
					}
					accepted.Add(1)
					return nil
				}, append(options, events.WithQueue(8))...)
				subscribeBatch(t, bus, topic, func(_ context.Context, numbers []int) error {
					batched.Add(int64(len(numbers)))
					return nil
				}, events.WithBatch(5, time.Millisecond), events.WithQueue(3))
				subscribe(t, bus, "*", func(context.Context, events.Event) error { patterns.Add(1); return nil }, events.WithQueue(2), events.WithLanes(2))
				loop, begun := make(chan struct{}), make(chan struct{})
				seq := topic.All(context.Background(), bus)
				go func() {
					defer close(loop)
					for _, n := range seq {
						if n >= 0 {
							looped.Add(1)
						} else {
							close(begun)
						}
					}
				}()
				publish(t, bus, topic, -1)
				<-begun
				var publishers sync.WaitGroup
				for range 3 {
					publishers.Go(func() {
						for {
							err := topic.Publish(context.Background(), bus, 1)
							if errors.Is(err, events.ErrClosed) {
								return
							}
							if err != nil {
								t.Error(err)
								return
							}
							accepted.Add(1)
						}
					})
				}
				for accepted.Load() < int64(round*5) {
					runtime.Gosched()
				}
				require.NoError(t, bus.Close(context.Background()))
				counts := []int64{handled.Load() - 1 + int64(s.Stats().Dropped), batched.Load() - 1, patterns.Load() - 1}
				publishers.Wait()
				<-loop
				want := accepted.Load()
				require.Equal(t, []int64{want, want, want, want}, append(counts, looped.Load()))
			}
		}
	})
}

// TestCloseDeadline is about what Close says and does when its time is over.
func TestCloseDeadline(t *testing.T) {
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }

	for name, options := range queueKinds() {
		t.Run("the deadline says how many events were left, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t, new(failures).option()), number()
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, append(options, events.WithQueue(6))...)
				publish(t, bus, topic, count(5)...)
				synctest.Wait()
				begun := time.Now()
				err := closeWithin(context.Background(), bus, time.Minute)
				require.Equal(t, time.Minute, time.Since(begun))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "closed with 5 events left")
				atWork := slow.take()
				slow.open()
				synctest.Wait()
				require.Empty(t, slow.take(), "what no handler had begun with is dropped, %d at work", len(atWork))
				require.Equal(t, err, bus.Close(context.Background()), "every call returns the same")
			})
		})

		t.Run("the deadline with a full queue, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t, new(failures).option()), number()
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, append(options, events.WithQueue(3))...)
				publish(t, bus, topic, 0)
				synctest.Wait()
				left := 4
				if name == "lanes" {
					publish(t, bus, topic, -1)
					synctest.Wait()
					left = 5
				}
				publish(t, bus, topic, 1, 2, 3)
				synctest.Wait()
				blocked := inBackground(func() error { return topic.Publish(context.Background(), bus, 4) })
				_, _ = blocked()
				err := closeWithin(context.Background(), bus, time.Minute)
				require.ErrorContains(t, err, fmt.Sprintf("closed with %d events left", left))
				slow.open()
			})
		})

		t.Run("after the handler went on at a run, "+name, func(t *testing.T) {
			// The reader knows of many events when the deadline comes.
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t, new(failures).option()), number()
				var l ledger
				handle(t, bus, topic, func(_ context.Context, n int) error {
					time.Sleep(time.Second)
					l.add(n)
					return nil
				}, append(options, events.WithQueue(20))...)
				publish(t, bus, topic, count(20)...)
				err := closeWithin(context.Background(), bus, 3500*time.Millisecond)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				handled := len(l.take())
				require.ErrorContains(t, err, fmt.Sprintf("%d events left", 20-handled))
				time.Sleep(time.Minute)
				atWork := 1
				if name == "lanes" {
					atWork = 2
				}
				require.Len(t, l.take(), atWork, "only what was at work at the deadline")
			})
		})
	}

	t.Run("the same at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus, topic := newBus(t, reported.option()), number()
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			full(t, bus, topic, 1)
			for n := range 5 {
				require.NoError(t, topic.PublishAsync(context.Background(), bus, 2+n))
			}
			synctest.Wait()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.ErrorContains(t, err, "closed with 7 events left")
			slow.open()
			synctest.Wait()
			require.Equal(t, []int{0}, slow.take())
		})
	})

	t.Run("the deadline with a subscription that is being drained", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t, new(failures).option()), number()
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(10))
			publish(t, bus, topic, count(4)...)
			synctest.Wait()
			drained := inBackground(func() error { return s.Drain(context.Background()) })
			_, _ = drained()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.ErrorContains(t, err, "closed with 4 events left")
			require.Equal(t, []int{0}, slow.take())
			slow.open()
			synctest.Wait()
			require.Empty(t, slow.take(), "what no handler had begun with is dropped")
			done, _ := drained()
			require.True(t, done)
		})
	})

	t.Run("a handler that waits for room at the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus, topic, next := newBus(t, reported.option()), number(), events.NewTopic[int]("next")
			slow := newTurnstile(t)
			handle(t, bus, next, slow.handle, events.WithQueue(1))
			full(t, bus, next, 1)
			handle(t, bus, topic, func(ctx context.Context, n int) error { return next.Publish(ctx, bus, n) }, events.WithQueue(1), events.WithName("forwards"))
			publish(t, bus, topic, 7)
			synctest.Wait()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.ErrorContains(t, err, "closed with 3 events left")
			synctest.Wait()
			errs := reported.take()
			require.Len(t, errs, 1, "it does not wait any longer")
			require.ErrorContains(t, errs[0], "next")
			slow.open()
		})
	})

	t.Run("the error names the queues, with exact counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t, new(failures).option()), number()
			slow := newTurnstile(t)
			gate, open := barrier(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(10), events.WithName("plain"))
			handle(t, bus, topic, slow.handle, events.WithQueue(10), events.WithLanes(3), events.WithName("lanes"))
			handle(t, bus, topic, slow.handle, events.WithQueue(10), events.WithLanes(3), byRemainder(2), events.WithName("keys"))
			handle(t, bus, topic, slow.handle, events.WithQueue(4), events.WithOverflow(events.DropOldest), events.WithName("drops"))
			subscribe(t, bus, "*", slow.handleEvent, events.WithQueue(10), events.WithName("pattern"))
			subscribe(t, bus, "number", slow.handleEvent, events.WithQueue(10), events.WithName("untyped"))
			subscribeBatch(t, bus, topic, func(context.Context, []int) error { <-gate; return nil }, events.WithBatch(3, time.Hour), events.WithName("batch"))
			drained := handle(t, bus, topic, slow.handle, events.WithQueue(10), events.WithName("drained"))
			handle(t, bus, topic, new(ledger).handle, events.WithQueue(10), events.WithName("idle"))
			for n := range 8 {
				publish(t, bus, topic, n)
				synctest.Wait()
			}
			drain := inBackground(func() error { return drained.Drain(context.Background()) })
			_, _ = drain()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.EqualError(t, err, "events: bus closed with 61 events left (batch: 5 queued, 3 at work; drained: 7 queued, 1 at work; "+
				"drops: 4 queued, 1 at work; keys: 6 queued, 2 at work; lanes: 5 queued, 3 at work; pattern: 7 queued, 1 at work; "+
				"plain: 7 queued, 1 at work; untyped: 7 queued, 1 at work): context deadline exceeded")
			done, err := drain()
			require.False(t, done, "its handler is still at work: %v", err)
			slow.open()
			open()
			done, err = drain()
			require.True(t, done)
			require.ErrorIs(t, err, events.ErrClosed)
		})
	})

	t.Run("what was collected for a batch is queued, or at work", func(t *testing.T) {
		// A batch of which the handler has not begun with is dropped.
		synctest.Test(t, func(t *testing.T) {
			for size := range 4 {
				bus, topic := newBus(t, new(failures).option()), number()
				b := newBatches()
				other := newTurnstile(t)
				handle(t, bus, events.NewTopic[int]("other"), other.handle, events.WithQueue(1), events.WithName("other"))
				publish(t, bus, events.NewTopic[int]("other"), 1)
				subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, time.Hour), events.WithName("batch"))
				publish(t, bus, topic, count(size)...)
				synctest.Wait()
				err := closeWithin(context.Background(), bus, time.Minute)
				require.ErrorContains(t, err, "closed with 1 events left (other: 0 queued, 1 at work)", "the batch goes out at once")
				all, _ := b.take()
				require.Len(t, slices.Concat(all...), size)
				other.open()
			}
		})
	})
}

// TestCloseRefusesOutsiders is about who is let in while a bus drains, and who
// is not.
func TestCloseRefusesOutsiders(t *testing.T) {
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }

	t.Run("blocked publishers get ErrClosed, and nobody the event", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1), events.WithName("slow"))
			kinds := everyKind(t, bus, topic)
			full(t, bus, topic, 1)
			var blocked []func() (bool, error)
			for n := range 5 {
				blocked = append(blocked, inBackground(func() error { return topic.Publish(context.Background(), bus, 10+n) }))
			}
			synctest.Wait()
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			_, _ = closed()
			for _, each := range blocked {
				done, err := each()
				require.True(t, done)
				require.ErrorIs(t, err, events.ErrClosed)
				require.ErrorContains(t, err, "number")
			}
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, count(2), slow.take())
			for kind, l := range kinds {
				require.Equal(t, count(2), l.take(), kind)
			}
		})
	})

	t.Run("accepted by PublishAsync, and waiting for a full queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t), number()
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(1))
			full(t, bus, topic, 1)
			for n := range 5 {
				require.NoError(t, topic.PublishAsync(context.Background(), bus, 2+n))
			}
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			done, _ := closed()
			require.False(t, done)
			slow.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			require.ElementsMatch(t, count(7), slow.take())
		})
	})

	t.Run("who may still publish", func(t *testing.T) {
		// The event at work lets its handler's context in, wherever that is by
		// then: nobody else, and nobody later.
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus, topic, next := newBus(t, new(failures).option()), number(), events.NewTopic[int]("next")
					var l ledger
					handle(t, bus, next, l.handle, append(options, events.WithQueue(100))...)
					gate, open := barrier(t)
					other := newTurnstile(t)
					handle(t, bus, events.NewTopic[int]("other"), other.handle, events.WithQueue(1))
					publish(t, bus, events.NewTopic[int]("other"), 1)
					var within, after context.Context
					handle(t, bus, topic, func(ctx context.Context, n int) error {
						if n == 0 {
							after = ctx
							return nil
						}
						within = ctx
						<-gate
						return nil
					}, append(options, events.WithQueue(100))...)
					publish(t, bus, topic, 0)
					synctest.Wait()
					publish(t, bus, topic, 1)
					synctest.Wait()
					closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
					_, _ = closed()
					require.NoError(t, next.Publish(within, bus, 1))
					require.NoError(t, next.PublishAsync(within, bus, 2))
					require.NoError(t, next.Publish(context.WithValue(within, requestKey{}, 1), bus, 3))
					require.NoError(t, bus.Dispatch(within, events.Event{Name: "next", Data: 4}))
					require.ErrorIs(t, next.Publish(after, bus, 5), events.ErrClosed, "its handler has returned")
					require.ErrorIs(t, next.Publish(context.Background(), bus, 6), events.ErrClosed)
					open()
					synctest.Wait()
					require.ErrorIs(t, next.Publish(within, bus, 7), events.ErrClosed, "by now its handler has returned, too")
					require.ErrorIs(t, next.PublishAsync(within, bus, 8), events.ErrClosed)
					done, _ := closed()
					require.False(t, done)
					other.open()
					done, err := closed()
					require.True(t, done)
					require.NoError(t, err)
					require.ElementsMatch(t, between(1, 4), l.take())
				})
			})
		}
	})

	t.Run("the contexts of a batch and of a loop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus, topic, next := newBus(t, new(failures).option()), number(), events.NewTopic[int]("next")
			var l ledger
			handle(t, bus, next, l.handle, events.WithQueue(100))
			gate, open := barrier(t)
			contexts := make(chan context.Context, 2)
			subscribeBatch(t, bus, topic, func(ctx context.Context, _ []int) error {
				contexts <- ctx
				<-gate
				return nil
			}, events.WithBatch(1, time.Hour))
			seq := topic.All(context.Background(), bus)
			go func() {
				for ctx := range seq {
					contexts <- ctx
					<-gate
				}
			}()
			other := newTurnstile(t)
			handle(t, bus, events.NewTopic[int]("other"), other.handle, events.WithQueue(1))
			publish(t, bus, events.NewTopic[int]("other"), 1)
			publish(t, bus, topic, 1)
			synctest.Wait()
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			_, _ = closed()
			both := []context.Context{<-contexts, <-contexts}
			for n, ctx := range both {
				require.NoError(t, next.Publish(ctx, bus, n))
			}
			open()
			synctest.Wait()
			for n, ctx := range both {
				require.ErrorIs(t, next.Publish(ctx, bus, n), events.ErrClosed)
			}
			other.open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, count(2), l.take())
		})
	})

	t.Run("one that waits for room when its handler returns", func(t *testing.T) {
		// It was let in while the event was at work, and so it stays let in.
		synctest.Test(t, func(t *testing.T) {
			bus, topic, next := newBus(t, new(failures).option()), number(), events.NewTopic[int]("next")
			slow := newTurnstile(t)
			handle(t, bus, next, slow.handle, events.WithQueue(1))
			full(t, bus, next, 1)
			gate, open := barrier(t)
			contexts := make(chan context.Context, 1)
			handle(t, bus, topic, func(ctx context.Context, _ int) error {
				contexts <- ctx
				<-gate
				return nil
			}, events.WithQueue(1))
			publish(t, bus, topic, 1)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
			_, _ = closed()
			ctx := <-contexts
			waits := inBackground(func() error { return next.Publish(ctx, bus, 2) })
			done, _ := waits()
			require.False(t, done)
			open()
			done, _ = waits()
			require.False(t, done)
			slow.open()
			done, err := waits()
			require.True(t, done)
			require.NoError(t, err)
			done, err = closed()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, count(3), slow.take())
		})
	})

	t.Run("accepted and handled, or refused, at the last moment", func(t *testing.T) {
		// With real goroutines: a bus that is empty has not been so before.
		for round := range 3000 {
			bus, topic := events.New(), number()
			var handled atomic.Int32
			if round%2 == 0 {
				handle(t, bus, topic, func(context.Context, int) error { handled.Add(1); return nil }, events.WithQueue(1))
			} else {
				subscribe(t, bus, "*", func(context.Context, events.Event) error { handled.Add(1); return nil }, events.WithQueue(1))
			}
			var err error
			var publisher sync.WaitGroup
			publisher.Go(func() { err = topic.Publish(context.Background(), bus, 1) })
			for range round % 50 {
				runtime.Gosched()
			}
			require.NoError(t, bus.Close(context.Background()))
			publisher.Wait()
			if err == nil {
				require.EqualValues(t, 1, handled.Load(), "the publish has returned nil")
			} else {
				require.ErrorIs(t, err, events.ErrClosed)
				require.Zero(t, handled.Load())
			}
		}
	})
}

// TestCloseByQueuedHandlers is about handlers, which cannot wait for the end of
// the bus: their Close returns ErrDeadlock at once, and the bus ends by itself.
func TestCloseByQueuedHandlers(t *testing.T) {
	const seconds = time.Second
	number := func() *events.Topic[int] { return events.NewTopic[int]("number") }
	callers := closers()
	contexts := map[string]func(ctx context.Context) context.Context{
		"its context": func(ctx context.Context) context.Context { return ctx },
		"Background":  func(context.Context) context.Context { return context.Background() },
	}
	for who, subscribeCaller := range callers {
		for how, with := range contexts {
			t.Run(fmt.Sprintf("%s with %s", who, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var bus *events.Bus
					topic := number()
					var l ledger
					gate, open := barrier(t)
					call := func(ctx context.Context, n int) {
						<-gate
						begun := time.Now()
						err := closeWithin(with(ctx), bus, time.Hour)
						if !errors.Is(err, events.ErrDeadlock) || time.Since(begun) > 0 {
							t.Errorf("Close returned %v after %v", err, time.Since(begun))
						}
						if err := topic.Publish(context.Background(), bus, 9); !errors.Is(err, events.ErrClosed) {
							t.Errorf("the bus takes events from outside: %v", err)
						}
						if ctx.Err() != nil {
							t.Error("the handler's context is done")
						}
						l.add(n)
					}
					bus = newBus(t, tellingNumbers(call))
					busy := newTurnstile(t)
					handle(t, bus, topic, busy.handle, events.WithQueue(5))
					subscribeCaller(t, bus, topic, call)
					publish(t, bus, topic, count(3)...)
					time.Sleep(2 * seconds)
					open()
					synctest.Wait()
					require.ElementsMatch(t, count(3), l.take(), "the event at work, and those behind it")
					closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Hour) })
					done, _ := closed()
					require.False(t, done, "the other is at work")
					busy.open()
					done, err := closed()
					require.True(t, done)
					require.NoError(t, err)
					require.Equal(t, count(3), busy.take())
				})
			})
		}
	}

	t.Run("the bus ends by itself", func(t *testing.T) {
		// Nobody calls Close from outside: that no goroutine is left ends the
		// bubble.
		for who, subscribeCaller := range callers {
			t.Run(who, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var bus *events.Bus
					topic := number()
					var l ledger
					call := func(ctx context.Context, n int) {
						ctx, cancel := context.WithCancel(ctx)
						defer cancel() // which is not to abandon anything
						if err := bus.Close(ctx); !errors.Is(err, events.ErrDeadlock) {
							t.Errorf("Close returned %v", err)
						}
						l.add(n)
					}
					bus = events.New(tellingNumbers(call))
					subscribeCaller(t, bus, topic, call)
					publish(t, bus, topic, 1)
					time.Sleep(2 * seconds)
					require.Equal(t, []int{1}, l.take())
					require.ErrorIs(t, topic.Publish(context.Background(), bus, 2), events.ErrClosed)
				})
			})
		}
	})

	t.Run("its deadline counts, and the error handler is told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus, topic := newBus(t, reported.option()), number()
			slow := newTurnstile(t)
			var cause error
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				_ = slow.handle(ctx, n)
				cause = context.Cause(ctx)
				return nil
			}, events.WithQueue(5), events.WithName("slow"))
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				if n == 2 {
					_ = closeWithin(ctx, bus, time.Minute)
				}
				return nil
			}, events.WithQueue(5))
			publish(t, bus, topic, count(3)...)
			time.Sleep(time.Minute - 1)
			synctest.Wait()
			require.Empty(t, reported.take())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			errs := reported.take()
			require.Len(t, errs, 1)
			require.EqualError(t, errs[0], "events: bus closed with 3 events left (slow: 2 queued, 1 at work): context deadline exceeded")
			require.ErrorIs(t, errs[0], context.DeadlineExceeded)
			slow.open()
			synctest.Wait()
			require.ErrorIs(t, cause, context.DeadlineExceeded)
			require.Equal(t, []int{0}, slow.take())
			require.Equal(t, errs[0], bus.Close(context.Background()), "and Close from outside")
		})
	})

	t.Run("an error handler that is told calls Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var bus *events.Bus
			var l ledger
			bus = events.New(events.WithErrorHandler(func(ctx context.Context, err error) {
				// Close from outside waits for it.
				if again := closeWithin(ctx, bus, time.Hour); !errors.Is(again, events.ErrDeadlock) {
					t.Errorf("told %v, Close says %v", err, again)
				}
				l.add(1)
			}))
			topic := number()
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(5))
			handle(t, bus, topic, func(ctx context.Context, _ int) error {
				_ = closeWithin(ctx, bus, time.Minute)
				return nil
			}, events.WithQueue(5))
			publish(t, bus, topic, 0)
			time.Sleep(time.Minute)
			begun := time.Now()
			require.ErrorIs(t, bus.Close(context.Background()), context.DeadlineExceeded)
			synctest.Wait()
			require.Less(t, time.Since(begun), time.Hour)
			require.Equal(t, []int{1}, l.take())
			slow.open()
		})
	})

	t.Run("the end of its context otherwise does not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus, topic := newBus(t, reported.option()), number()
			slow := newTurnstile(t)
			handle(t, bus, topic, slow.handle, events.WithQueue(5))
			handle(t, bus, topic, func(ctx context.Context, _ int) error {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				if err := bus.Close(ctx); !errors.Is(err, events.ErrDeadlock) {
					t.Errorf("Close returned %v", err)
				}
				return nil
			}, events.WithQueue(5))
			publish(t, bus, topic, 0)
			time.Sleep(time.Hour)
			slow.open()
			synctest.Wait()
			mustClose(t, bus)
			require.Equal(t, []int{0}, slow.take())
			require.Empty(t, reported.take())
		})
	})

	t.Run("the first deadline counts, whoever names it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, first := range []string{"handler", "outside"} {
				bus, topic := newBus(t, new(failures).option()), number()
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, events.WithQueue(5))
				within, outside := time.Minute, time.Hour
				if first == "outside" {
					within, outside = outside, within
				}
				handle(t, bus, topic, func(ctx context.Context, _ int) error {
					_ = closeWithin(ctx, bus, within)
					return nil
				}, events.WithQueue(5))
				publish(t, bus, topic, 0)
				synctest.Wait()
				begun := time.Now()
				require.ErrorIs(t, closeWithin(context.Background(), bus, outside), context.DeadlineExceeded)
				require.Equal(t, time.Minute, time.Since(begun))
				slow.open()
			}
		})
	})

	t.Run("a goroutine that a handler has started waits", func(t *testing.T) {
		// It is a stranger, with whatever context, and so is the publisher of an
		// inline handler.
		synctest.Test(t, func(t *testing.T) {
			bus, topic := newBus(t, new(failures).option()), number()
			var closed func() (bool, error)
			handle(t, bus, topic, func(ctx context.Context, _ int) error {
				closed = inBackground(func() error { return closeWithin(ctx, bus, time.Hour) })
				time.Sleep(time.Minute)
				return nil
			}, events.WithQueue(5))
			publish(t, bus, topic, 0)
			synctest.Wait()
			done, _ := closed()
			require.False(t, done)
			time.Sleep(time.Minute)
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
		})
	})

	t.Run("Wait by a handler", func(t *testing.T) {
		for who, subscribeCaller := range callers {
			synctest.Test(t, func(t *testing.T) {
				var bus *events.Bus
				topic := number()
				var calls ledger
				call := func(ctx context.Context, n int) {
					begun := time.Now()
					if err := bus.Wait(ctx); !errors.Is(err, events.ErrDeadlock) || time.Since(begun) > 0 {
						t.Errorf("%s: Wait returned %v after %v", who, err, time.Since(begun))
					}
					calls.add(n)
				}
				bus = newBus(t, tellingNumbers(call))
				subscribeCaller(t, bus, topic, call)
				publish(t, bus, topic, 0)
				require.NoError(t, bus.Wait(context.Background()))
				require.Equal(t, []int{0}, calls.take())
				publish(t, bus, topic, 1) // it is open
				mustClose(t, bus)
			})
		}
	})

	t.Run("two buses whose handlers close each other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic := number()
			buses := []*events.Bus{newBus(t, new(failures).option()), newBus(t, new(failures).option())}
			gate, open := barrier(t)
			var results [2]error
			for i, bus := range buses {
				handle(t, bus, topic, func(ctx context.Context, _ int) error {
					<-gate
					results[i] = closeWithin(ctx, buses[1-i], time.Hour)
					return nil
				}, events.WithQueue(1))
				publish(t, bus, topic, 0)
			}
			begun := time.Now()
			open()
			for _, bus := range buses {
				mustClose(t, bus)
			}
			require.Less(t, time.Since(begun), 5*seconds)
			require.ErrorIs(t, errors.Join(results[:]...), events.ErrDeadlock, "at least one of them")
		})
	})
}

// closer has somebody call a function for each number of a topic, from a
// goroutine that runs handlers of the bus.
type closer func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int))

func closers() map[string]closer {
	callers := map[string]closer{
		"batch": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
				for _, n := range numbers {
					call(ctx, n)
				}
				return nil
			}, events.WithBatch(3, time.Second))
		},
		"pattern": func(t *testing.T, bus *events.Bus, _ *events.Topic[int], call func(ctx context.Context, n int)) {
			subscribe(t, bus, "*", func(ctx context.Context, e events.Event) error {
				call(ctx, e.Data.(int))
				return nil
			}, events.WithQueue(5))
		},
		"loop": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			seq := topic.All(context.Background(), bus)
			go func() {
				for ctx, n := range seq {
					call(ctx, n)
				}
			}()
		},
		"inline handler below": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			inner := events.NewTopic[int]("inner")
			handle(t, bus, inner, func(ctx context.Context, n int) error { call(ctx, n); return nil })
			handle(t, bus, topic, func(ctx context.Context, n int) error { return inner.Publish(ctx, bus, n) }, events.WithQueue(5))
		},
		"concurrent handler below": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			inner := events.NewTopic[int]("inner", events.WithConcurrency(2))
			handle(t, bus, inner, func(ctx context.Context, n int) error { call(ctx, n); return nil })
			handle(t, bus, inner, func(context.Context, int) error { return nil })
			handle(t, bus, topic, func(ctx context.Context, n int) error { return inner.Publish(ctx, bus, n) }, events.WithQueue(5))
		},
		"asynchronous handler": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			inner := events.NewTopic[int]("inner")
			handle(t, bus, inner, func(ctx context.Context, n int) error { call(ctx, n); return nil })
			handle(t, bus, topic, func(ctx context.Context, n int) error { return inner.PublishAsync(ctx, bus, n) }, events.WithQueue(5))
		},
		"error handler": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], _ func(ctx context.Context, n int)) {
			handle(t, bus, topic, func(_ context.Context, n int) error { return numberError(n) }, events.WithQueue(5))
		},
	}
	for name, options := range queueKinds() {
		callers[name] = func(t *testing.T, bus *events.Bus, topic *events.Topic[int], call func(ctx context.Context, n int)) {
			handle(t, bus, topic, func(ctx context.Context, n int) error { call(ctx, n); return nil }, append(options, events.WithQueue(5))...)
		}
	}
	return callers
}

// numberError is the failure of a handler that wants its number told to the
// error handler.
type numberError int

func (n numberError) Error() string { return fmt.Sprint("number ", int(n)) }

// tellingNumbers is an error handler that calls call with such numbers.
func tellingNumbers(call func(ctx context.Context, n int)) events.BusOption {
	return events.WithErrorHandler(func(ctx context.Context, err error) {
		if n, ok := errors.AsType[numberError](err); ok {
			call(ctx, int(n))
		}
	})
}

// TestCloseCountsAsynchronousPublishes is the part of CloseDrains for those that
// wait for room when Close gives up: each is left once, wherever it is by then.
func TestCloseCountsAsynchronousPublishes(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			reported := new(failures)
			bus := events.New(reported.option())
			gate, open := barrier(t)
			// Several parts, which Close goes through in no order.
			for i := range 4 {
				topic := events.NewTopic[int](fmt.Sprint("number.", i))
				handle(t, bus, topic, func(context.Context, int) error { <-gate; return nil }, events.WithQueue(1))
				for n := range 5 {
					require.NoError(t, topic.PublishAsync(t.Context(), bus, n))
					synctest.Wait()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := bus.Close(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "closed with 20 events left")
			open()
			synctest.Wait()
			require.Len(t, reported.take(), 12, "of those that waited each is told")
		})
	}
}
