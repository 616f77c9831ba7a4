package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
)

// disk is what takes a second to store, and notes what it has stored together.
type disk struct{ stored [][]int }

func (d *disk) store(ctx context.Context, ops []*Operation[int]) {
	var together []int
	for _, op := range ops {
		together = append(together, op.What)
	}
	var err error
	select {
	case <-time.After(time.Second):
		d.stored = append(d.stored, together)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	Finish(ops, err)
}

// inLine runs a test with a line that is at work, and wants it to end.
func inLine(t *testing.T, impatient bool, test func(*testing.T, *Line[int], *disk)) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		l := NewLine(impatient, d.store)
		over := make(chan struct{})
		go func() {
			defer close(over)
			l.Run(context.Background())
		}()
		test(t, l, d)
		l.Close()
		<-over
		require.ErrorIs(t, l.Do(t.Context(), 0), durable.ErrClosed)
	})
}

func do(ctx context.Context, l *Line[int], what int) <-chan error {
	err := make(chan error, 1)
	go func() { err <- l.Do(ctx, what) }()
	synctest.Wait()
	return err
}

// TestLineStoresTogether what has come up while something was stored.
func TestLineStoresTogether(t *testing.T) {
	inLine(t, false, func(t *testing.T, l *Line[int], d *disk) {
		var errs []<-chan error
		for what := range 4 {
			errs = append(errs, do(t.Context(), l, what))
		}
		for _, err := range errs {
			require.NoError(t, <-err)
		}
		assert.Equal(t, [][]int{{0}, {1, 2, 3}}, d.stored)
	})
}

// TestLineStoresNothingWithdrawn whose context was over before it had begun.
func TestLineStoresNothingWithdrawn(t *testing.T) {
	inLine(t, false, func(t *testing.T, l *Line[int], d *disk) {
		first := do(t.Context(), l, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		withdrawn, kept := do(ctx, l, 2), do(t.Context(), l, 3)
		cancel(errors.New("no more of it"))
		require.EqualError(t, <-withdrawn, "no more of it")
		require.NoError(t, <-first)
		require.NoError(t, <-kept)
		require.EqualError(t, l.Do(ctx, 4), "no more of it")
		assert.Equal(t, [][]int{{1}, {3}}, d.stored)
	})
}

// TestImpatientLine waits for nothing when its context is over, and others lose nothing by it.
func TestImpatientLine(t *testing.T) {
	for _, impatient := range []bool{false, true} {
		inLine(t, impatient, func(t *testing.T, l *Line[int], d *disk) {
			first := do(t.Context(), l, 1)
			ctx, cancel := context.WithCancel(t.Context())
			second, third := do(ctx, l, 2), do(t.Context(), l, 3)
			require.NoError(t, <-first)
			synctest.Wait() // the others are under way
			begun := time.Now()
			cancel()
			if err := <-second; impatient {
				require.ErrorIs(t, err, context.Canceled)
				assert.Zero(t, time.Since(begun))
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, <-third)
			assert.Equal(t, [][]int{{1}, {2, 3}}, d.stored)
		})
	}
}

// TestLineCloses when all is stored that it has taken.
func TestLineCloses(t *testing.T) {
	inLine(t, false, func(t *testing.T, l *Line[int], d *disk) {
		first, second := do(t.Context(), l, 1), do(t.Context(), l, 2)
		l.Close()
		require.ErrorIs(t, l.Do(t.Context(), 3), durable.ErrClosed)
		require.NoError(t, <-first)
		require.NoError(t, <-second)
		assert.Equal(t, [][]int{{1}, {2}}, d.stored)
	})
}

func TestDialects(t *testing.T) {
	const statement = "select @group where id in ({numbers}) and a = ? {by key}"
	assert.Equal(t, `select a?@group where id in (select json_array_elements_text($1::json)::bigint as value) and a = $2 `, Postgres("a?@").SQL(statement))
	assert.Equal(t, `select e_group where id in (select value from json_each(?)) and a = ? indexed by e_delivery_key`, SQLite("e_").SQL(statement))
}
