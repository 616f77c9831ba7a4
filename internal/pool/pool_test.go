package pool_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events/internal/goid"
	"github.com/typedbus/events/internal/origin"
	"github.com/typedbus/events/internal/pool"
)

type task func(ctx context.Context, lost *bool)

func newPool() *pool.Pool[task] {
	p := &pool.Pool[task]{
		Publisher: func(task) context.Context { return context.Background() },
		Run:       func(ctx context.Context, t task, lost *bool) { t(ctx, lost) },
		Bubble:    goid.Bubble(),
	}
	p.Origin.Life = new(origin.Life)
	return p
}

// TestNeverBehindABlockedTask has many tasks block, and one that comes after each.
func TestNeverBehindABlockedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		gate := make(chan struct{})
		var ran atomic.Int64
		const blocked = 50
		for i := range blocked {
			require.Equal(t, pool.Taken, p.Go(func(context.Context, *bool) { <-gate }, false))
			require.Equal(t, pool.Taken, p.Go(func(context.Context, *bool) { ran.Add(1) }, false))
			synctest.Wait()
			require.EqualValues(t, i+1, ran.Load())
			require.EqualValues(t, i+1, p.Len())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Idle(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(gate)
		taken, err := p.Idle(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2*blocked, taken)
		require.NoError(t, p.Done(t.Context()), "workers without work end by themselves")
	})
}

func TestWhoIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.Limit = 3
		gate := make(chan struct{})
		wait := func(context.Context, *bool) { <-gate }
		for range 3 {
			require.Equal(t, pool.Taken, p.Go(wait, false))
		}
		require.Equal(t, pool.Full, p.Go(wait, false))
		require.Equal(t, pool.Full, p.Go(wait, true))
		gate <- struct{}{}
		synctest.Wait()
		require.Equal(t, pool.Taken, p.Go(wait, false))
		gate <- struct{}{}
		synctest.Wait()
		p.Seal()
		require.Equal(t, pool.Refused, p.Go(wait, false))
		require.Equal(t, pool.Taken, p.Go(wait, true), "of a handler at work")
		gate <- struct{}{}
		synctest.Wait()
		p.Shut()
		require.Equal(t, pool.Refused, p.Go(wait, true))
		var again atomic.Bool
		p.Again(func(context.Context, *bool) { again.Store(true) })
		synctest.Wait()
		require.True(t, again.Load(), "the rest of a task that was taken")
		close(gate)
		require.NoError(t, p.Done(t.Context()))
	})
}

// TestEndCountsEachTaskOnce ends pools while tasks run and finish, some of which are
// lost: those that ran, were dropped, were lost and were running at the end are all.
func TestEndCountsEachTaskOnce(t *testing.T) {
	for range 200 {
		p := newPool()
		var ran, lost, running atomic.Int64
		gate := make(chan struct{})
		const tasks = 60
		for i := range tasks {
			verdict := p.Go(func(_ context.Context, isLost *bool) {
				switch i % 3 {
				case 0:
					ran.Add(1)
				case 1:
					lost.Add(1)
					*isLost = true
				default:
					running.Add(1)
					<-gate
				}
			}, false)
			require.Equal(t, pool.Taken, verdict)
		}
		dropped, atWork := p.End()
		close(gate)
		_, err := p.Idle(t.Context())
		require.NoError(t, err)
		require.Zero(t, p.Len())
		require.NoError(t, p.Done(t.Context()))
		// What was dropped has not begun; what was at work at the end has ended as
		// one of the three since.
		begun := ran.Load() + lost.Load() + running.Load()
		require.LessOrEqual(t, int64(dropped), tasks-begun+lost.Load())
		require.GreaterOrEqual(t, int64(dropped+atWork), tasks-ran.Load()-lost.Load())
		require.LessOrEqual(t, int64(dropped+atWork), int64(tasks))
	}
}

// TestContextOfATask has tasks that find their event at work while they run, and not
// afterwards.
func TestContextOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		var kept []*origin.Context
		for range 3 {
			require.Equal(t, pool.Taken, p.Go(func(ctx context.Context, _ *bool) {
				at := origin.Of(ctx)
				if !at.Hold() {
					t.Error("not at work")
				}
				at.Release()
				kept = append(kept, at)
			}, false))
			synctest.Wait()
			for _, at := range kept {
				require.False(t, at.Hold(), "it is over")
			}
		}
		require.NoError(t, p.Done(t.Context()))
	})
}
