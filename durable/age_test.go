package durable_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

// deadLetters returns those of group g.
func deadLetters(t *testing.T, engine durable.Engine) (durable.DeadLetters, []durable.DeadLetter) {
	t.Helper()
	letters, err := durable.DeadLettersOf(engine)
	require.NoError(t, err)
	list, err := letters.List(t.Context(), orderPaid.Name(), "g", "", 100)
	require.NoError(t, err)
	return letters, list
}

// TestMaxAge keeps what is too old as a dead letter and runs the rest.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		require.NoError(t, durable.Declare(t.Context(), engine, orderPaid.Name(), "g"))
		publish(t, engine, 1)
		require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{2}, durable.WithDelay(time.Hour)))
		require.NoError(t, engine.Publish(t.Context(), durable.Message{ID: "without a time", Topic: orderPaid.Name(), Data: []byte(`{"Number":3}`)}))
		time.Sleep(time.Minute)
		publish(t, engine, 4)
		time.Sleep(time.Minute) // which is the limit, and allowed

		var mu sync.Mutex
		var ran []int
		handler := func(_ context.Context, o order) error {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, o.Number)
			return nil
		}
		var seen []durable.Observation
		sub := subscribe(t, engine, handler, durable.WithMaxAge(time.Minute), durable.WithObserver(func(o durable.Observation) { seen = append(seen, o) }))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		slices.Sort(ran)
		assert.Equal(t, []int{2, 3, 4}, ran)
		assert.Equal(t, durable.Stats{Handled: 3, DeadLettered: 1}, sub.Stats())
		require.Len(t, seen, 4)
		assert.Equal(t, durable.OutcomeDeadLetter, seen[0].Outcome)
		assert.Zero(t, seen[0].Took, "it did not run")
		letters, list := deadLetters(t, engine)
		require.Len(t, list, 1)
		assert.Equal(t, "2m0s old, of 1m0s allowed", list[0].Reason)
		assert.Zero(t, list[0].Attempts)

		// A redriven one is as old as before.
		for _, allowed := range []time.Duration{time.Minute, 3 * time.Hour} {
			_, err := letters.Redrive(t.Context(), orderPaid.Name(), "g", list[0].Ref)
			require.NoError(t, err)
			again := subscribe(t, engine, handler, durable.WithMaxAge(allowed))
			time.Sleep(time.Second)
			synctest.Wait()
			require.NoError(t, again.Close(t.Context()))
			_, left := deadLetters(t, engine)
			assert.Len(t, left, map[time.Duration]int{time.Minute: 1}[allowed])
		}
		assert.Equal(t, 1, ran[3], "with a higher limit it runs")
	})
}

// TestMaxAgeOfRetries has an event go on being tried until it is too old, and the next
// of its key then go on.
func TestMaxAgeOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		ran := make(map[int]int)
		sub := subscribe(t, engine, func(_ context.Context, o order) error {
			if ran[o.Number]++; o.Number == 1 {
				return durable.RetryAfter(errFailed, time.Minute)
			}
			return nil
		}, durable.WithOrderByKey(), durable.WithMaxAge(150*time.Second))
		for n := 1; n <= 2; n++ {
			require.NoError(t, durable.Publish(t.Context(), engine, orderPaid, order{n}, durable.WithKey("k")))
			time.Sleep(time.Minute)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.NoError(t, sub.Close(t.Context()))
		assert.Equal(t, map[int]int{1: 3, 2: 1}, ran)
		_, list := deadLetters(t, engine)
		require.Len(t, list, 1)
		assert.Equal(t, 3, list[0].Attempts, "the one that was not begun does not count")
		assert.Equal(t, "3m0s old, of 2m30s allowed", list[0].Reason)
	})
}

func TestMaxAgeRefuses(t *testing.T) {
	for _, d := range []time.Duration{0, -1} {
		assert.PanicsWithValue(t, "durable: WithMaxAge("+d.String()+"): want more than 0", func() { durable.WithMaxAge(d) })
	}
}
