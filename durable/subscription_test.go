package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

type order struct{ Number int }

var orderPaid = events.NewTopic[order]("order.paid")

var errFailed = errors.New("failed on purpose")

func quiet() durable.SubscribeOption {
	return durable.WithLogger(slog.New(slog.DiscardHandler))
}

// unreliable is an engine whose receivers fail when they are told to.
type unreliable struct {
	durable.Engine
	onSettle  func([]durable.Settlement) error // nil for none
	onReceive func() error                     // before it waits
	onClaimed func() error                     // after
}

func (u *unreliable) Unwrap() durable.Engine { return u.Engine }

func (u *unreliable) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	r, err := u.Engine.Open(ctx, c)
	return &unreliableReceiver{r, u}, err
}

type unreliableReceiver struct {
	durable.Receiver
	*unreliable
}

func (r *unreliableReceiver) Receive(ctx context.Context, max int) ([]*durable.Delivery, error) {
	if r.onReceive != nil {
		if err := r.onReceive(); err != nil {
			return nil, err
		}
	}
	deliveries, err := r.Receiver.Receive(ctx, max)
	if err == nil && r.onClaimed != nil {
		if err := r.onClaimed(); err != nil {
			return nil, err
		}
	}
	return deliveries, err
}

func (r *unreliableReceiver) Settle(ctx context.Context, settlements []durable.Settlement) ([]int, error) {
	if r.onSettle != nil {
		if err := r.onSettle(settlements); err != nil {
			return nil, err
		}
	}
	return r.Receiver.Settle(ctx, settlements)
}

func (r *unreliableReceiver) Close() error { return r.Receiver.Close() }

func subscribe(t *testing.T, engine durable.Engine, handler func(context.Context, order) error, options ...durable.SubscribeOption) *durable.Subscription {
	t.Helper()
	sub, err := durable.Subscribe(t.Context(), engine, orderPaid, "g", handler, append([]durable.SubscribeOption{quiet()}, options...)...)
	require.NoError(t, err)
	return sub
}

func publish(t *testing.T, to durable.Publisher, numbers ...int) {
	t.Helper()
	for _, number := range numbers {
		require.NoError(t, durable.Publish(t.Context(), to, orderPaid, order{number}))
	}
}

// TestDefaultAttempts has an event fail as often as it may.
func TestDefaultAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		var times []time.Time
		sub := subscribe(t, engine, func(context.Context, order) error {
			times = append(times, time.Now())
			return errFailed
		})
		publish(t, engine, 1)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		require.Len(t, times, 25)
		whole := times[24].Sub(times[0])
		assert.Greater(t, whole, 6*time.Hour, "half of the longest waits")
		assert.LessOrEqual(t, whole, 14*time.Hour)
		for i := 1; i < len(times); i++ {
			longest := min(time.Hour, time.Second<<(i-1))
			wait := times[i].Sub(times[i-1])
			assert.GreaterOrEqual(t, wait, longest/2, "attempt %d", i+1)
			assert.LessOrEqual(t, wait, longest+10*time.Millisecond, "attempt %d", i+1)
		}
		assert.Equal(t, durable.Stats{Retried: 24, DeadLettered: 1}, sub.Stats())
	})
}

// TestLeaseThatCannotBeRenewed has the handler's context end with the lease, and
// nothing be begun after it.
func TestLeaseThatCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		away := func() error {
			if down.Load() {
				return errors.New("the engine is away")
			}
			return nil
		}
		engine := &unreliable{
			Engine:    durabletest.NewMemory(),
			onReceive: away,
			onClaimed: away,
			onSettle:  func([]durable.Settlement) error { return away() },
		}
		var begun []int
		var ended time.Duration
		sub := subscribe(t, engine, func(ctx context.Context, o order) error {
			if begun = append(begun, o.Number); len(begun) > 1 {
				return nil
			}
			down.Store(true)
			since := time.Now()
			<-ctx.Done()
			ended = time.Since(since)
			assert.ErrorIs(t, context.Cause(ctx), durable.ErrLeaseLost)
			return ctx.Err()
		}, durable.WithLease(30*time.Second), durable.WithPrefetch(5))
		publish(t, engine, 1, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{1}, begun, "nothing begins with a lease that is over")
		assert.InDelta(t, 30, ended.Seconds(), 1)
		down.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		slices.Sort(begun)
		assert.Equal(t, []int{1, 1, 2}, begun, "all comes back")
		assert.Zero(t, sub.Stats().DeadLettered)
	})
}

// TestSettlementIsRepeated has an engine store what it then says it has not.
func TestSettlementIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := durabletest.NewMemory()
		var stored atomic.Bool
		engine := &unreliable{Engine: memory}
		var log strings.Builder
		var handled int
		engine.onSettle = func(s []durable.Settlement) error {
			if !stored.Swap(true) {
				settleBehind(t, memory, s)
				return errors.New("connection lost")
			}
			return nil
		}
		sub := subscribe(t, engine, func(context.Context, order) error { handled++; return nil },
			durable.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		publish(t, engine, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, 1, handled)
		assert.Equal(t, uint64(1), sub.Stats().InDoubt)
		assert.Contains(t, log.String(), "connection lost")
		assert.Contains(t, log.String(), "it is not known whether the outcome of an event is stored")
		assert.NotContains(t, log.String(), "another process")
	})
}

// settleBehind settles by another receiver of the same group.
func settleBehind(t *testing.T, engine durable.Engine, settlements []durable.Settlement) {
	r, err := engine.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Second})
	require.NoError(t, err)
	lost, err := r.Settle(t.Context(), settlements)
	require.NoError(t, err)
	require.Empty(t, lost)
}

// TestEngineThatIsAway is asked ever more seldom, and logged now and then.
func TestEngineThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var asked atomic.Int64
		engine := &unreliable{Engine: durabletest.NewMemory(), onReceive: func() error {
			if asked.Add(1) < 20 {
				return errors.New("the engine is away")
			}
			return nil
		}}
		handled := false
		sub := subscribe(t, engine, func(context.Context, order) error { handled = true; return nil },
			durable.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		publish(t, engine, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Less(t, asked.Load(), int64(20), "pauses grow to five seconds")
		time.Sleep(time.Hour)
		require.NoError(t, sub.Close(t.Context()))
		assert.True(t, handled)
		lines := strings.Count(log.String(), "cannot fetch events")
		assert.GreaterOrEqual(t, lines, 4, "every ten seconds")
		assert.LessOrEqual(t, lines, 7)
	})
}

// TestCloseWhenTheEngineIsAway gives up two seconds after its context.
func TestCloseWhenTheEngineIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &unreliable{Engine: durabletest.NewMemory(), onSettle: func([]durable.Settlement) error { return errFailed }}
		sub := subscribe(t, engine, func(context.Context, order) error { return nil })
		publish(t, engine, 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		err := sub.Close(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, `close "order.paid", group "g": 0 handlers at work, 1 events to come back`)
		assert.InDelta(t, 12, time.Since(begun).Seconds(), 0.1)
		assert.Equal(t, err, sub.Close(t.Context()), "all calls return the same")
	})
}

// TestCloseLeavesAHandlerThatGoesOn returns all the same.
func TestCloseLeavesAHandlerThatGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		end := make(chan struct{})
		sub := subscribe(t, engine, func(context.Context, order) error { <-end; return nil }, durable.WithPrefetch(5))
		publish(t, engine, 1, 2, 3)
		synctest.Wait()
		assert.Equal(t, 1, sub.Stats().AtWork)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		err := sub.Close(ctx)
		assert.ErrorContains(t, err, "1 handlers at work")
		assert.InDelta(t, 3, time.Since(begun).Seconds(), 0.1)
		assert.Equal(t, uint64(2), sub.Stats().Released, "what had not begun is given back")
		close(end)
		synctest.Wait()
	})
}

// TestTimeout ends an attempt, and logs a handler that goes on.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		var log strings.Builder
		var errs []error
		sub := subscribe(t, engine, func(ctx context.Context, o order) error {
			<-ctx.Done()
			errs = append(errs, ctx.Err())
			if len(errs) == 2 {
				time.Sleep(5 * time.Minute)
				return nil
			}
			return ctx.Err()
		}, durable.WithTimeout(time.Second), durable.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		publish(t, engine, 1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, []error{context.DeadlineExceeded, context.DeadlineExceeded}, errs)
		assert.Equal(t, durable.Stats{Handled: 1, Retried: 1}, sub.Stats())
		assert.Equal(t, 1, strings.Count(log.String(), "goes on after its timeout"))
	})
}

// TestObserver learns of everything, and does no harm.
func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		var seen []string
		sub := subscribe(t, engine, func(ctx context.Context, o order) error {
			if o.Number == 1 && durable.FromContext(ctx).Attempt == 1 {
				return errFailed
			}
			time.Sleep(time.Millisecond)
			return nil
		}, durable.WithObserver(func(o durable.Observation) {
			seen = append(seen, fmt.Sprint(string(o.Data), " ", o.Outcome, " ", o.Err, " ", o.Took))
			if len(seen) == 1 {
				panic("the observer fails")
			}
		}))
		publish(t, engine, 1, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, []string{
			`{"Number":1} retry failed on purpose 0s`,
			`{"Number":2} ack <nil> 1ms`,
			`{"Number":1} ack <nil> 1ms`,
		}, seen)
	})
}

// TestMiddleware runs that of the topic around that of the subscription.
func TestMiddleware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		named := func(name string) events.Middleware {
			return func(next events.Handler) events.Handler {
				return func(ctx context.Context, event events.Event) error {
					calls = append(calls, name+" "+event.Name)
					err := next(ctx, event)
					_, panicked := errors.AsType[*events.PanicError](err)
					calls = append(calls, fmt.Sprint(name, " ", panicked))
					return nil
				}
			}
		}
		topic := events.NewTopic[order]("order.shipped", events.WithMiddleware(named("topic")))
		engine := durabletest.NewMemory()
		sub, err := durable.Subscribe(t.Context(), engine, topic, "g", func(context.Context, order) error { panic("no") },
			durable.WithMiddleware(named("subscription")), quiet())
		require.NoError(t, err)
		require.NoError(t, durable.Publish(t.Context(), engine, topic, order{1}))
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, []string{"topic order.shipped", "subscription order.shipped", "subscription true", "topic false"}, calls)
		assert.Equal(t, uint64(1), sub.Stats().Handled)
	})
}

// TestValuesOfSubscribeReachHandlers and its end does not.
func TestValuesOfSubscribeReachHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		engine := durabletest.NewMemory()
		var value any
		sub, err := durable.Subscribe(ctx, engine, orderPaid, "g", func(ctx context.Context, _ order) error {
			value = ctx.Value(key{})
			return ctx.Err()
		}, quiet())
		require.NoError(t, err)
		cancel()
		publish(t, engine, 1)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, "value", value)
		assert.Equal(t, uint64(1), sub.Stats().Handled)
	})
}

// TestPrefetchBoundsWhatIsInHand whatever the workers do.
func TestPrefetchBoundsWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		var mu sync.Mutex
		end := make(chan struct{})
		most := 0
		var sub *durable.Subscription
		sub = subscribe(t, engine, func(context.Context, order) error {
			<-end
			mu.Lock()
			defer mu.Unlock()
			most = max(most, sub.Stats().InHand)
			return nil
		}, durable.WithWorkers(3), durable.WithPrefetch(4))
		for i := range 100 {
			publish(t, engine, i)
		}
		synctest.Wait()
		assert.GreaterOrEqual(t, sub.Stats().InHand, 3+2, "half of what may be fetched ahead")
		assert.Equal(t, 3, sub.Stats().AtWork)
		close(end)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.LessOrEqual(t, most, 7)
		assert.Equal(t, uint64(100), sub.Stats().Handled)
	})
}

// TestSlowKeyLeavesRoomForOthers although many of its events are at hand.
func TestSlowKeyLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		end := make(chan struct{})
		var slow, quick atomic.Int64
		sub := subscribe(t, engine, func(ctx context.Context, o order) error {
			if durable.FromContext(ctx).Key == "slow" {
				<-end
				slow.Add(1)
			} else {
				quick.Add(1)
			}
			return nil
		}, durable.WithWorkers(4), durable.WithPrefetch(8), durable.WithOrderByKey())
		for i := range 100 {
			require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{i}, durable.WithKey("slow")))
		}
		for i := range 20 {
			require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{i}, durable.WithKey(fmt.Sprint(i%5))))
		}
		synctest.Wait()
		assert.Equal(t, int64(20), quick.Load())
		close(end)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, int64(100), slow.Load())
	})
}
