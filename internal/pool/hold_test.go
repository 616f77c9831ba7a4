package pool

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/origin"
)

func TestTaskThatHasEndedItsGoroutineIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts, rest := make(chan context.Context, 2), make(chan struct{})
		p := &Pool[bool]{
			Origin:    origin.Origin{Life: new(origin.Life)},
			Publisher: func(bool) context.Context { return context.Background() },
			Run: func(ctx context.Context, exits bool, _ *bool) {
				contexts <- ctx
				if exits {
					runtime.Goexit()
				}
				<-rest
			},
		}
		require.Equal(t, Taken, p.Go(true, false))
		over := origin.Of(<-contexts)
		require.Equal(t, Taken, p.Go(false, false))
		running := origin.Of(<-contexts)
		synctest.Wait()
		held := over.Hold()
		require.True(t, running.Hold())
		running.Release()
		close(rest)
		synctest.Wait()
		require.False(t, held, "its task is over")
		require.False(t, running.Hold())
	})
}
