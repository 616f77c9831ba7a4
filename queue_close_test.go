package events_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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

	t.Run("pipelines under way finish", func(t *testing.T) {
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					const length = 5
					topics := make([]*events.Topic[int], length)
					for i := range topics {
						topics[i] = events.NewTopic[int](fmt.Sprint("stage ", i))
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
				topics[i] = events.NewTopic[int](fmt.Sprint("stage ", i))
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

	contexts := map[string]func(ctx context.Context) context.Context{
		"its context": func(ctx context.Context) context.Context { return ctx },
		"Background":  func(context.Context) context.Context { return context.Background() },
	}
	for how, with := range contexts {
		for name, options := range queueKinds() {
			t.Run(fmt.Sprintf("by a queued handler with %s, %s", how, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus, topic := newBus(t, new(failures).option()), number()
					busy := newTurnstile(t)
					handle(t, bus, topic, busy.handle, events.WithQueue(5))
					var result error
					var returned atomic.Bool
					handle(t, bus, topic, func(ctx context.Context, _ int) error {
						result = closeWithin(with(ctx), bus, time.Hour)
						returned.Store(true)
						return nil
					}, append(options, events.WithQueue(5))...)
					publish(t, bus, topic, 1)
					synctest.Wait()
					require.False(t, returned.Load(), "the other is at work")
					begun := time.Now()
					busy.open()
					time.Sleep(time.Minute)
					require.True(t, returned.Load())
					require.NoError(t, result)
					mustClose(t, bus)
					require.Less(t, time.Since(begun), time.Hour)
				})
			})

			t.Run(fmt.Sprintf("by a queued handler with %s and events behind it, %s", how, name), func(t *testing.T) {
				// Nothing that was accepted is lost in silence: the handler gets it
				// after it has returned, or Close says that it was left.
				synctest.Test(t, func(t *testing.T) {
					bus, topic := newBus(t, new(failures).option()), number()
					var l ledger
					var called atomic.Bool
					var result error
					var took time.Duration
					gate, open := barrier(t)
					handle(t, bus, topic, func(ctx context.Context, n int) error {
						<-gate
						if called.CompareAndSwap(false, true) {
							begun := time.Now()
							result = closeWithin(with(ctx), bus, time.Minute)
							took = time.Since(begun)
						}
						l.add(n)
						return nil
					}, append(options, events.WithQueue(5))...)
					publish(t, bus, topic, 0)
					synctest.Wait()
					publish(t, bus, topic, between(1, 4)...)
					synctest.Wait()
					open()
					time.Sleep(time.Hour)
					mustCloseOr(t, bus)
					if result == nil {
						require.ElementsMatch(t, count(5), l.take(), "Close returned nil")
						require.Zero(t, took, "it waits for what cannot be")
					} else {
						require.ErrorContains(t, result, fmt.Sprintf("%d events left", 5-len(l.take())))
					}
				})
			})
		}

		t.Run("by two queued handlers at once with "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t, new(failures).option()), number()
				var results ledger
				for range 2 {
					handle(t, bus, topic, func(ctx context.Context, _ int) error {
						if err := closeWithin(with(ctx), bus, time.Hour); err != nil {
							t.Error(err)
						}
						results.add(1)
						return nil
					}, events.WithQueue(5))
				}
				publish(t, bus, topic, 1)
				time.Sleep(time.Minute)
				require.Equal(t, []int{1, 1}, results.take())
				mustClose(t, bus)
			})
		})

		t.Run("by a batch with "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic := newBus(t, new(failures).option()), number()
				var results ledger
				subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
					if err := closeWithin(with(ctx), bus, time.Hour); err != nil {
						t.Error(err)
					}
					results.add(numbers...)
					return nil
				}, events.WithBatch(2, time.Second))
				publish(t, bus, topic, 1, 2)
				time.Sleep(time.Minute)
				require.Equal(t, []int{1, 2}, results.take())
				mustClose(t, bus)
			})
		})

		t.Run("by an inline handler below a queued one with "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, topic, inner := newBus(t, new(failures).option()), number(), events.NewTopic[int]("inner")
				var results ledger
				handle(t, bus, inner, func(ctx context.Context, n int) error {
					if err := closeWithin(with(ctx), bus, time.Hour); err != nil {
						t.Error(err)
					}
					results.add(n)
					return nil
				})
				handle(t, bus, topic, func(ctx context.Context, n int) error { return inner.Publish(ctx, bus, n) }, events.WithQueue(1))
				publish(t, bus, topic, 7)
				time.Sleep(time.Minute)
				require.Equal(t, []int{7}, results.take())
				mustClose(t, bus)
			})
		})
	}

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

// mustCloseOr closes a bus that may have had to give up.
func mustCloseOr(t *testing.T, bus *events.Bus) {
	t.Helper()
	begun := time.Now()
	_ = closeWithin(context.Background(), bus, time.Hour)
	require.Less(t, time.Since(begun), time.Hour)
}
