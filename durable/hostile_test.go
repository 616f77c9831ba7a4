package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

// nilError is an error whose method needs its pointer.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// exitingError is an error whose method ends the goroutine.
type exitingError struct{}

func (exitingError) Error() string {
	runtime.Goexit()
	return ""
}

// TestErrorThatCannotBeTold is a failure like any other.
func TestErrorThatCannotBeTold(t *testing.T) {
	for name, failure := range map[string]error{"panics": (*nilError)(nil), "exits": exitingError{}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine := durabletest.NewMemory()
				sub := subscribe(t, engine, func(context.Context, order) error { return failure }, durable.WithAttempts(2))
				publish(t, engine, 1)
				time.Sleep(time.Minute)
				require.NoError(t, sub.Close(t.Context()))
				assert.Equal(t, durable.Stats{Retried: 1, DeadLettered: 1}, sub.Stats())
			})
		})
	}
}

// exitingLog is a logger that ends its goroutine, as FailNow in a test's does.
type exitingLog struct{ slog.Handler }

func (exitingLog) Enabled(context.Context, slog.Level) bool { return true }
func (exitingLog) Handle(context.Context, slog.Record) error {
	runtime.Goexit()
	return nil
}

// TestLoggerAndObserverThatEndTheirGoroutine stop nothing.
func TestLoggerAndObserverThatEndTheirGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		engine := &unreliable{Engine: durabletest.NewMemory(), onReceive: func() error {
			if asked.Add(1) == 1 {
				return errFailed
			}
			return nil
		}}
		var observed atomic.Int64
		sub := subscribe(t, engine, func(context.Context, order) error { return nil },
			durable.WithLogger(slog.New(exitingLog{slog.DiscardHandler})),
			durable.WithObserver(func(durable.Observation) {
				observed.Add(1)
				runtime.Goexit()
			}))
		publish(t, engine, 1, 2, 3)
		time.Sleep(time.Hour)
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, uint64(3), sub.Stats().Handled)
		assert.Equal(t, int64(3), observed.Load())
	})
}

// TestObserverThatIsSlow costs nobody a lease, and Close its deadline at most.
func TestObserverThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		var lost atomic.Bool
		var sub *durable.Subscription
		sub = subscribe(t, engine, func(ctx context.Context, o order) error {
			if o.Number == 2 {
				select {
				case <-ctx.Done():
					lost.Store(true)
				case <-time.After(5 * time.Minute):
				}
			}
			return nil
		}, durable.WithWorkers(2), durable.WithObserver(func(durable.Observation) {
			time.Sleep(10 * time.Minute)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_ = sub.Close(ctx) // it waits for its observer, until its deadline
		}))
		publish(t, engine, 1, 2)
		time.Sleep(time.Hour)
		assert.False(t, lost.Load())
		assert.Equal(t, uint64(2), sub.Stats().Handled)
		begun := time.Now()
		_ = sub.Close(t.Context())
		assert.Zero(t, time.Since(begun), "it was closed by then")
	})
}

// panickingCodec panics on what it reads.
type panickingCodec struct{}

func (panickingCodec) ContentType() string                { return "application/json" }
func (panickingCodec) Marshal(any) ([]byte, error)        { return []byte("x"), nil }
func (panickingCodec) Unmarshal(data []byte, _ any) error { return fmt.Errorf("%d", data[10]) }

// TestCodecThatPanics makes a dead letter at once.
func TestCodecThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		sub := subscribe(t, engine, func(context.Context, order) error { return nil }, durable.WithCodec(panickingCodec{}))
		require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{1}, durable.WithCodec(panickingCodec{})))
		time.Sleep(time.Second)
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, durable.Stats{DeadLettered: 1}, sub.Stats())
	})
}

// TestHandlerThatDoesNotReturn keeps its event, and no other: neither what was fetched
// behind it, nor what comes beside an event that ended another process.
func TestHandlerThatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		require.NoError(t, durable.Declare(t.Context(), engine, orderPaid.Name(), "g"))
		end := make(chan struct{})
		var handled atomic.Int64
		stuck := func(_ context.Context, o order) error {
			if o.Number == 0 {
				<-end
			}
			handled.Add(1)
			return nil
		}
		publish(t, engine, 0, 1, 2, 3)
		one := subscribe(t, engine, stuck)
		synctest.Wait()
		assert.Equal(t, 4, one.Stats().InHand)
		two := subscribe(t, engine, stuck)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, int64(3), handled.Load(), "another process has them")
		assert.Equal(t, 1, one.Stats().InHand)
		require.NoError(t, two.Close(t.Context()))

		victim, err := engine.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Second})
		require.NoError(t, err)
		publish(t, engine, 4)
		_, err = victim.Receive(t.Context(), 1)
		require.NoError(t, err)
		publish(t, engine, 5, 6)
		close(end)
		require.NoError(t, one.Close(t.Context()))

		end = make(chan struct{})
		three := subscribe(t, engine, func(_ context.Context, o order) error {
			if o.Number == 7 {
				<-end
			}
			handled.Add(1)
			return nil
		}, durable.WithWorkers(2), durable.WithPrefetch(0))
		publish(t, engine, 7)
		time.Sleep(time.Hour)
		publish(t, engine, 8, 9)
		time.Sleep(24 * time.Hour)
		assert.GreaterOrEqual(t, handled.Load(), int64(4+2+2), "one that does not return holds up none of the others")
		close(end)
		time.Sleep(24 * time.Hour)
		require.NoError(t, three.Close(t.Context()))
		assert.Equal(t, int64(10), handled.Load())
	})
}

// TestCloseAfterTheEngine returns although nothing can be stored any more.
func TestCloseAfterTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		end := make(chan struct{})
		sub := subscribe(t, engine, func(context.Context, order) error { <-end; return nil })
		publish(t, engine, 1)
		synctest.Wait()
		require.NoError(t, engine.Close(t.Context()))
		close(end)
		err := sub.Close(context.Background())
		assert.ErrorIs(t, err, durable.ErrClosed)
		assert.ErrorContains(t, err, "1 events to come back")
	})
}

// TestOrderHoldsWhenTheEngineFails has three processes share keys, with an engine and
// handlers that fail now and then.
func TestOrderHoldsWhenTheEngineFails(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) { playKeys(t, seed) })
	}
}

func playKeys(t *testing.T, seed uint64) {
	const keys, each = 4, 15
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 7))
	happens := func(oneIn int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(oneIn) == 0
	}
	memory := durabletest.NewMemory()
	mayFail := func() error {
		if happens(8) {
			return errFailed
		}
		return nil
	}
	engine := &unreliable{Engine: memory, onReceive: mayFail, onClaimed: mayFail, onSettle: func([]durable.Settlement) error { return mayFail() }}
	require.NoError(t, durable.Declare(t.Context(), engine, orderPaid.Name(), "g", durable.WithOrderByKey()))
	running, last := make(map[string]int), make(map[string]int)
	var subs []*durable.Subscription
	for i := range 3 {
		subs = append(subs, subscribe(t, engine, func(ctx context.Context, o order) error {
			key := durable.FromContext(ctx).Key
			mu.Lock()
			assert.Zero(t, running[key], "seed %d, key %s: two at once", seed, key)
			assert.GreaterOrEqual(t, o.Number, last[key], "seed %d, key %s: order", seed, key)
			running[key]++
			last[key] = o.Number
			mu.Unlock()
			time.Sleep(time.Duration(1+o.Number%3) * time.Second)
			mu.Lock()
			running[key]--
			mu.Unlock()
			if happens(3) {
				return errFailed
			}
			return nil
		}, durable.WithOrderByKey(), durable.WithWorkers(3), durable.WithPrefetch(5*i), durable.WithAttempts(30), durable.WithBackoff(time.Second, 3*time.Second)))
	}
	for i := range keys * each {
		require.NoError(t, durable.Publish(t.Context(), memory, orderPaid, order{i}, durable.WithKey(fmt.Sprint(i%keys))))
		if i == keys*each/2 {
			time.Sleep(10 * time.Second)
			require.NoError(t, subs[0].Close(t.Context()))
		}
	}
	time.Sleep(5 * time.Hour)
	var over uint64
	for _, sub := range subs {
		require.NoError(t, sub.Close(t.Context()))
		stats := sub.Stats()
		over += stats.Handled + stats.DeadLettered + stats.InDoubt
	}
	assert.GreaterOrEqual(t, over, uint64(keys*each), "seed %d", seed)
}

// TestForwardKeepsOrderWhenSomeAreStored has a destination that stores one and not
// another.
func TestForwardKeepsOrderWhenSomeAreStored(t *testing.T) {
	unlogged(t)
	synctest.Test(t, func(t *testing.T) {
		source := durabletest.NewMemory()
		failures := 1
		to := &destination{refuse: func(m durable.Message) error {
			if m.ID == "0" && failures > 0 {
				failures--
				return errFailed
			}
			return nil
		}}
		for i := range 3 {
			require.NoError(t, durable.Publish(t.Context(), source, orderPaid, order{i}, durable.WithKey("k"), durable.WithID(fmt.Sprint(i))))
		}
		require.NoError(t, durable.Declare(t.Context(), source, orderPaid.Name(), "other"))
		relay, err := durable.Forward(t.Context(), source, to, "relay", orderPaid.Name())
		require.NoError(t, err)
		for i := range 3 {
			require.NoError(t, durable.Publish(t.Context(), source, orderPaid, order{i}, durable.WithKey("k"), durable.WithID(fmt.Sprint(i))))
		}
		time.Sleep(time.Hour)
		require.NoError(t, relay.Close(t.Context()))
		assert.Equal(t, []string{`{"Number":0}`, `{"Number":1}`, `{"Number":2}`}, to.data())
	})
}

// stubborn is a destination that panics, or does not look at its context.
type stubborn struct{ panics atomic.Bool }

func (s *stubborn) Publish(context.Context, ...durable.Message) error {
	if s.panics.Load() {
		panic("on purpose")
	}
	time.Sleep(time.Hour)
	return nil
}

// TestForwardToAStubbornDestination neither ends the process nor holds up Close.
func TestForwardToAStubbornDestination(t *testing.T) {
	unlogged(t)
	synctest.Test(t, func(t *testing.T) {
		source, to := durabletest.NewMemory(), new(stubborn)
		to.panics.Store(true)
		require.NoError(t, durable.Declare(t.Context(), source, orderPaid.Name(), "relay"), "without order, as Forward then takes it")
		relay, err := durable.Forward(t.Context(), source, to, "relay", orderPaid.Name())
		require.NoError(t, err)
		publish(t, source, 1)
		time.Sleep(time.Minute)
		to.panics.Store(false)
		time.Sleep(2 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		assert.ErrorIs(t, relay.Close(ctx), context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(begun))
		time.Sleep(time.Hour)
	})
}

// TestWaitsThatAreTooLong are cut and do not wrap around.
func TestWaitsThatAreTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ever = time.Duration(1<<63 - 1)
		engine := durabletest.NewMemory()
		var handled atomic.Int64
		sub := subscribe(t, engine, func(context.Context, order) error {
			handled.Add(1)
			return durable.RetryAfter(errors.New("never again"), ever)
		}, durable.WithLease(ever), durable.WithBackoff(ever, ever))
		publish(t, engine, 1)
		require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{2}, durable.WithDelay(ever)))
		time.Sleep(time.Hour)
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, int64(1), handled.Load())
	})
}
