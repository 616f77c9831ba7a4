package events_test

import (
	"context"
	"errors"
	"fmt"
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

// batches keeps the batches that a handler got, and when.
type batches struct {
	mu   sync.Mutex
	all  [][]int
	when []time.Duration

	begun time.Time
}

func newBatches() *batches { return &batches{begun: time.Now()} }

func (b *batches) handle(_ context.Context, numbers []int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, numbers)
	b.when = append(b.when, time.Since(b.begun))
	return nil
}

func (b *batches) take() ([][]int, []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, when := b.all, b.when
	b.all, b.when = nil, nil
	return all, when
}

func subscribeBatch(t testing.TB, bus *events.Bus, topic *events.Topic[int], handler func(context.Context, []int) error, options ...events.SubscribeOption) *events.Subscription {
	t.Helper()
	s, err := topic.SubscribeBatch(bus, handler, options...)
	require.NoError(t, err)
	return s
}

func TestSubscribeBatch(t *testing.T) {
	const seconds = time.Second

	t.Run("goes out when it is full", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(3, time.Hour))
			publish(t, bus, topic, count(7)...)
			synctest.Wait()
			all, when := b.take()
			require.Equal(t, [][]int{{0, 1, 2}, {3, 4, 5}}, all)
			require.Equal(t, []time.Duration{0, 0}, when)
			publish(t, bus, topic, 7, 8)
			synctest.Wait()
			all, _ = b.take()
			require.Equal(t, [][]int{{6, 7, 8}}, all)
		})
	})

	t.Run("goes out when its first event has waited", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, 10*seconds))
			time.Sleep(5 * seconds)
			for n := range 13 { // at 5 s, 6 s, …
				publish(t, bus, topic, n)
				time.Sleep(time.Second)
			}
			time.Sleep(time.Minute)
			all, when := b.take()
			require.Equal(t, []time.Duration{15 * seconds, 25 * seconds}, when, "ten seconds after the first event of each")
			require.Equal(t, count(13), slices.Concat(all...))
			require.Len(t, all, 2)
			require.InDelta(t, 10, len(all[0]), 1)
			time.Sleep(time.Hour)
			all, _ = b.take()
			require.Empty(t, all, "never an empty batch")
		})
	})

	t.Run("the wait begins anew with each batch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(2, 10*seconds))
			publish(t, bus, topic, 0)
			time.Sleep(9 * seconds)
			publish(t, bus, topic, 1) // full at 9 s
			synctest.Wait()
			publish(t, bus, topic, 2)
			time.Sleep(5 * seconds) // the first timer would have fired
			synctest.Wait()
			all, when := b.take()
			require.Equal(t, [][]int{{0, 1}}, all)
			require.Equal(t, []time.Duration{9 * seconds}, when)
			time.Sleep(time.Minute)
			all, when = b.take()
			require.Equal(t, [][]int{{2}}, all)
			require.Equal(t, []time.Duration{19 * seconds}, when)
		})
	})

	t.Run("while the handler is busy, more come together", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
				time.Sleep(time.Minute)
				return b.handle(ctx, numbers)
			}, events.WithBatch(5, seconds))
			for n := range 12 {
				publish(t, bus, topic, n)
				time.Sleep(2 * seconds)
			}
			time.Sleep(time.Hour)
			all, _ := b.take()
			require.Equal(t, [][]int{{0}, between(1, 5), between(6, 10), {11}}, all, "one at a time, in order")
		})
	})

	t.Run("the queue before it", func(t *testing.T) {
		for overflow, lost := range map[events.Overflow]bool{events.Block: false, events.Reject: false, events.DropOldest: true} {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				bus := newBus(t, reported.option())
				topic := events.NewTopic[int]("number")
				b := newBatches()
				gate, open := barrier(t)
				s := subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
					<-gate
					return b.handle(ctx, numbers)
				}, events.WithBatch(2, time.Hour), events.WithQueue(3), events.WithOverflow(overflow))
				publish(t, bus, topic, 0, 1)
				synctest.Wait()
				publish(t, bus, topic, 2, 3, 4)
				ctx, cancel := context.WithTimeout(context.Background(), seconds)
				defer cancel()
				err := topic.Publish(ctx, bus, 5)
				switch overflow {
				case events.Block:
					require.ErrorIs(t, err, context.DeadlineExceeded)
				case events.Reject:
					require.ErrorIs(t, err, events.ErrFull)
				case events.DropOldest:
					require.NoError(t, err)
				}
				open()
				mustClose(t, bus)
				all, _ := b.take()
				if lost {
					require.Equal(t, [][]int{{0, 1}, {3, 4}, {5}}, all)
					require.EqualValues(t, 1, s.Stats().Dropped)
					require.Len(t, reported.take(), 1)
				} else {
					require.Equal(t, [][]int{{0, 1}, {2, 3}, {4}}, all)
				}
			})
		}
	})

	t.Run("a batch of one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(1, time.Hour))
			for n := range 5 {
				publish(t, bus, topic, n)
				synctest.Wait()
				all, _ := b.take()
				require.Equal(t, [][]int{{n}}, all)
			}
		})
	})

	t.Run("a batch longer than the queue", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(10, time.Hour), events.WithQueue(1))
			publish(t, bus, topic, count(20)...)
			synctest.Wait()
			all, _ := b.take()
			require.Equal(t, [][]int{between(0, 9), between(10, 19)}, all)
		})
	})

	t.Run("a batch at its time and an event at the same moment", func(t *testing.T) {
		// Whichever comes first, nothing is lost, doubled or late.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(3, seconds))
			for n := range 200 {
				publish(t, bus, topic, n)
				time.Sleep(seconds / 2 * time.Duration(1+n%3))
			}
			time.Sleep(time.Minute)
			all, _ := b.take()
			require.Equal(t, count(200), slices.Concat(all...))
		})
	})

	t.Run("defaults", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle)
			publish(t, bus, topic, count(101)...)
			time.Sleep(time.Minute)
			all, when := b.take()
			require.Equal(t, [][]int{between(0, 99), {100}}, all)
			require.Equal(t, []time.Duration{0, seconds}, when)
		})
	})

	t.Run("goes out at its time under a steady flow", func(t *testing.T) {
		// The queue is never empty: each report of lost events brings about the
		// next ones, and takes a while.
		synctest.Test(t, func(t *testing.T) {
			const wait, step = 5 * time.Millisecond, time.Millisecond
			topic := events.NewTopic[int]("number")
			var bus *events.Bus
			var flows atomic.Int64
			flows.Store(200)
			bus = newBus(t, events.WithErrorHandler(func(context.Context, error) {
				if flows.Add(-1) > 0 {
					time.Sleep(step)
					publish(t, bus, topic, 1, 2)
				}
			}))
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(1<<30, wait), events.WithQueue(1), events.WithOverflow(events.DropOldest))
			for flows.Load() == 200 { // the worker may take the first one before the second comes
				publish(t, bus, topic, 1, 2)
				synctest.Wait()
			}
			time.Sleep(time.Second)
			_, when := b.take()
			require.GreaterOrEqual(t, len(when), 20)
			last := time.Duration(0)
			for _, at := range when {
				require.LessOrEqual(t, at-last, wait+2*step)
				last = at
			}
			require.Less(t, flows.Load(), int64(1))
		})
	})
}

// TestBatchEnds is about batches that the end of a subscription, or of the bus,
// finds.
func TestBatchEnds(t *testing.T) {
	t.Run("goes out on Drain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			s := subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, time.Hour))
			publish(t, bus, topic, count(3)...)
			synctest.Wait()
			require.NoError(t, s.Drain(context.Background()))
			publish(t, bus, topic, 3)
			all, when := b.take()
			require.Equal(t, [][]int{count(3)}, all)
			require.Zero(t, when[0], "at once")
		})
	})

	t.Run("goes out on Close", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, time.Hour))
			publish(t, bus, topic, count(3)...)
			synctest.Wait()
			require.NoError(t, closeWithin(context.Background(), bus, time.Minute))
			all, when := b.take()
			require.Equal(t, [][]int{count(3)}, all)
			require.Zero(t, when[0], "at once")
		})
	})

	t.Run("goes out on Close, with what is queued behind it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			gate, open := barrier(t)
			subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
				<-gate
				return b.handle(ctx, numbers)
			}, events.WithBatch(4, time.Hour))
			publish(t, bus, topic, count(11)...)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Minute) })
			done, _ := closed()
			require.False(t, done)
			open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			all, _ := b.take()
			require.Equal(t, [][]int{between(0, 3), between(4, 7), between(8, 10)}, all)
		})
	})

	t.Run("what a pipeline publishes while the bus closes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic, next := events.NewTopic[int]("number"), events.NewTopic[int]("next")
			b := newBatches()
			subscribeBatch(t, bus, next, b.handle, events.WithBatch(100, time.Hour))
			gate, open := barrier(t)
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				return next.Publish(ctx, bus, n)
			}, events.WithQueue(10))
			publish(t, bus, topic, count(5)...)
			closed := inBackground(func() error { return closeWithin(context.Background(), bus, time.Minute) })
			_, _ = closed()
			open()
			done, err := closed()
			require.True(t, done)
			require.NoError(t, err)
			all, _ := b.take()
			require.Equal(t, count(5), slices.Concat(all...))
		})
	})

	t.Run("Unsubscribe drops what it has collected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			s := subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, time.Hour))
			publish(t, bus, topic, count(3)...)
			synctest.Wait()
			s.Unsubscribe()
			mustClose(t, bus)
			all, _ := b.take()
			require.Empty(t, all, "what is queued is dropped")
		})
	})

	t.Run("WithUntil", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			until, cancel := context.WithCancel(context.Background())
			subscribeBatch(t, bus, topic, b.handle, events.WithBatch(100, time.Hour), events.WithUntil(until))
			publish(t, bus, topic, count(3)...)
			synctest.Wait()
			cancel()
			synctest.Wait()
			all, _ := b.take()
			require.Empty(t, all, "from then on the handler is not run")
			require.False(t, bus.HasHandlers("number"))
		})
	})

	t.Run("Close's deadline drops what it has collected and counts it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			b := newBatches()
			gate, open := barrier(t)
			subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
				<-gate
				return b.handle(ctx, numbers)
			}, events.WithBatch(3, time.Hour))
			publish(t, bus, topic, count(8)...)
			synctest.Wait()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.ErrorContains(t, err, "8 events left", "3 at work and 5 in the queue")
			open()
			synctest.Wait()
			all, _ := b.take()
			require.Equal(t, [][]int{count(3)}, all)
		})
	})

	t.Run("no timer and no goroutine is left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			for i := range 10 {
				subscribeBatch(t, bus, topic, newBatches().handle, events.WithBatch(3, time.Hour), events.WithName(strconv.Itoa(i)))
			}
			publish(t, bus, topic, count(4)...)
			begun := time.Now()
			mustClose(t, bus)
			require.Zero(t, time.Since(begun))
		})
	})
}

// TestBatchHandlers is about what handlers of batches get, and fail with.
func TestBatchHandlers(t *testing.T) {
	const seconds = time.Second

	for how, fail := range map[string]func() error{
		"fails":  func() error { return errBoom },
		"panics": func() error { panic(errBoom) },
		"exits":  func() error { runtime.Goexit(); return nil },
	} {
		t.Run("a handler that "+how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				bus := newBus(t, reported.option())
				topic := events.NewTopic[int]("number")
				b := newBatches()
				s := subscribeBatch(t, bus, topic, func(ctx context.Context, numbers []int) error {
					_ = b.handle(ctx, numbers)
					if numbers[0]%2 == 0 {
						return fail()
					}
					return nil
				}, events.WithBatch(3, 10*seconds), events.WithName("batcher"))
				publish(t, bus, topic, count(13)...)
				time.Sleep(time.Minute)
				all, when := b.take()
				require.Equal(t, [][]int{{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}, {12}}, all)
				require.Equal(t, 10*seconds, when[4])
				errs := reported.take()
				require.Len(t, errs, 3, "one for each batch")
				for _, err := range errs {
					failure, ok := err.(*events.HandlerError)
					require.True(t, ok)
					require.Equal(t, "batcher", failure.Handler)
					require.Equal(t, "number", failure.Event)
					require.Equal(t, how != "exits", errors.Is(err, errBoom))
				}
				require.Equal(t, events.Stats{Capacity: 1024, Delivered: 13, Failed: 7}, s.Stats())
				mustClose(t, bus)
			})
		})
	}

	t.Run("middleware sees the batch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var seen []events.Event
			look := func(next events.Handler) events.Handler {
				return func(ctx context.Context, e events.Event) error {
					seen = append(seen, e)
					e.Data = append(slices.Clone(e.Data.([]int)), -1)
					return next(ctx, e)
				}
			}
			for name, where := range map[string]func() (*events.Bus, *events.Topic[int], []events.SubscribeOption){
				"bus": func() (*events.Bus, *events.Topic[int], []events.SubscribeOption) {
					return newBus(t, events.WithMiddleware(look)), events.NewTopic[int]("number"), nil
				},
				"topic": func() (*events.Bus, *events.Topic[int], []events.SubscribeOption) {
					return newBus(t), events.NewTopic[int]("number", events.WithMiddleware(look)), nil
				},
				"subscription": func() (*events.Bus, *events.Topic[int], []events.SubscribeOption) {
					return newBus(t), events.NewTopic[int]("number"), []events.SubscribeOption{events.WithMiddleware(look)}
				},
			} {
				seen = nil
				bus, topic, options := where()
				b := newBatches()
				subscribeBatch(t, bus, topic, b.handle, append(options, events.WithBatch(2, seconds))...)
				publish(t, bus, topic, 1, 2)
				mustClose(t, bus)
				all, _ := b.take()
				require.Equal(t, [][]int{{1, 2, -1}}, all, name)
				require.Equal(t, []events.Event{{Name: "number", Data: []int{1, 2}}}, seen, name)
			}
		})
	})

	t.Run("Retry runs a batch again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			tries := 0
			subscribeBatch(t, bus, topic, func(_ context.Context, numbers []int) error {
				if tries++; tries < 3 {
					return errBoom
				}
				require.Equal(t, []int{1, 2}, numbers)
				return nil
			}, events.WithBatch(2, seconds), events.WithMiddleware(events.Retry(3)))
			publish(t, bus, topic, 1, 2)
			mustClose(t, bus)
			require.Equal(t, 3, tries)
			require.Empty(t, reported.take())
		})
	})

	t.Run("the slice is the handler's", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		var kept [][]int
		subscribeBatch(t, bus, topic, func(_ context.Context, numbers []int) error {
			kept = append(kept, numbers)
			return nil
		}, events.WithBatch(10, seconds))
		publish(t, bus, topic, count(100)...)
		mustClose(t, bus)
		require.Equal(t, count(100), slices.Concat(kept...))
	})

	t.Run("the context is of no publisher", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		var value any
		subscribeBatch(t, bus, topic, func(ctx context.Context, _ []int) error { value = ctx.Value(requestKey{}); return ctx.Err() })
		require.NoError(t, topic.Publish(context.WithValue(context.Background(), requestKey{}, 1), bus, 1))
		mustClose(t, bus)
		require.Nil(t, value)
	})

	t.Run("untyped publishes", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[account]("account.created")
		var got []account
		s, err := topic.SubscribeBatch(bus, func(_ context.Context, accounts []account) error {
			got = append(got, accounts...)
			return nil
		}, events.WithBatch(2, seconds))
		require.NoError(t, err)
		require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: &ada}))
		require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: map[string]any{"id": 2}}))
		err = bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: 7})
		_, ok := errors.AsType[*events.PayloadError](err)
		require.True(t, ok)
		mustClose(t, bus)
		require.Equal(t, []account{ada, {ID: 2}}, got)
		require.EqualValues(t, 2, s.Stats().Delivered)
	})

	t.Run("without a handler", func(t *testing.T) {
		topic := events.NewTopic[int]("number")
		text := panicText(t, func() { _, _ = topic.SubscribeBatch(events.New(), nil) })
		for _, says := range []string{"SubscribeBatch", `"number"`, "handler is nil"} {
			require.Contains(t, text, says)
		}
		_, err := topic.SubscribeBatch(nil, newBatches().handle)
		require.Error(t, err)
		require.Contains(t, fmt.Sprint(err), "number")
	})
}
