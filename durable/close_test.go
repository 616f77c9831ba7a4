package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable/durabletest"
)

// TestCloseWithTheContextOfAHandler waits once that handler is over: a goroutine that
// has kept it holds nothing up.
func TestCloseWithTheContextOfAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := durabletest.NewMemory()
		kept := make(chan context.Context, 2)
		sub := subscribe(t, engine, func(ctx context.Context, o order) error {
			kept <- context.WithoutCancel(ctx)
			if o.Number == 2 {
				time.Sleep(time.Minute)
			}
			return nil
		})
		publish(t, engine, 1)
		over := <-kept
		synctest.Wait()
		publish(t, engine, 2)
		atWork := <-kept
		assert.ErrorIs(t, sub.Close(atWork), events.ErrDeadlock)
		begun := time.Now()
		require.NoError(t, sub.Close(over))
		assert.Equal(t, time.Minute, time.Since(begun))
		require.NoError(t, sub.Close(atWork), "that is over, too, by now")
		assert.Equal(t, uint64(2), sub.Stats().Handled)
	})
}
