package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

// unlogged keeps the log of a test that is full of failures from the terminal.
func unlogged(t *testing.T) {
	was := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(was) })
}

// destination takes messages, unless it is told to refuse one.
type destination struct {
	refuse func(durable.Message) error
	calls  atomic.Int64
	got    []durable.Message
}

func (d *destination) Publish(_ context.Context, messages ...durable.Message) error {
	d.calls.Add(1)
	partly := &durable.BatchError{Errs: make([]error, len(messages))}
	failed := 0
	for i, m := range messages {
		if d.refuse != nil {
			partly.Errs[i] = d.refuse(m)
		}
		if partly.Errs[i] != nil {
			failed++
		} else {
			d.got = append(d.got, m)
		}
	}
	if failed > 0 {
		return partly
	}
	return nil
}

func (d *destination) data() (data []string) {
	for _, m := range d.got {
		data = append(data, string(m.Data))
	}
	return data
}

func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, to := durabletest.NewMemory(), &destination{}
		relay, err := durable.Forward(t.Context(), source, to, "relay", "order.paid", "order.shipped")
		require.NoError(t, err)
		publish(t, source, 1, 2)
		synctest.Wait()
		require.NoError(t, relay.Close(t.Context()))
		assert.Equal(t, []string{`{"Number":1}`, `{"Number":2}`}, to.data())
		assert.Equal(t, source.Messages("order.paid"), to.got, "with their ids and times")
		assert.Equal(t, uint64(2), relay.Forwarded())

		publish(t, source, 3)
		relay, err = durable.Forward(t.Context(), source, to, "relay", "order.paid")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, relay.Close(t.Context()))
		assert.Equal(t, []string{`{"Number":1}`, `{"Number":2}`, `{"Number":3}`}, to.data(), "it goes on where it was")
	})
}

// TestForwardWhenTheDestinationIsAway loses nothing and asks ever more seldom.
func TestForwardWhenTheDestinationIsAway(t *testing.T) {
	unlogged(t)
	synctest.Test(t, func(t *testing.T) {
		source := durabletest.NewMemory()
		var away atomic.Bool
		away.Store(true)
		to := &destination{refuse: func(durable.Message) error {
			if away.Load() {
				return errors.New("the broker is away")
			}
			return nil
		}}
		relay, err := durable.Forward(t.Context(), source, to, "relay", "order.paid")
		require.NoError(t, err)
		for i := range 50 {
			require.NoError(t, durable.Publish(t.Context(), source, orderPaid, order{i}, durable.WithKey(fmt.Sprint(i%3))))
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		assert.Less(t, to.calls.Load(), int64(24*3600/5+100), "every five seconds at most")
		away.Store(false)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		require.NoError(t, relay.Close(t.Context()))
		require.Len(t, to.got, 50)
		for key := range 3 {
			var ofKey []string
			for _, m := range to.got {
				if m.Key == fmt.Sprint(key) {
					ofKey = append(ofKey, string(m.Data))
				}
			}
			var want []string
			for i := key; i < 50; i += 3 {
				want = append(want, fmt.Sprintf(`{"Number":%d}`, i))
			}
			assert.Equal(t, want, ofKey, "key %d in order", key)
		}
		dead, err := source.DeadLetters().List(t.Context(), "order.paid", "relay", "", 10)
		require.NoError(t, err)
		assert.Empty(t, dead, "no event is given up because the destination fails")
	})
}

// TestForwardAroundOneThatIsRefused has all others arrive.
func TestForwardAroundOneThatIsRefused(t *testing.T) {
	unlogged(t)
	synctest.Test(t, func(t *testing.T) {
		source := durabletest.NewMemory()
		to := &destination{refuse: func(m durable.Message) error {
			if string(m.Data) == `{"Number":1}` {
				return durable.ErrTooLarge
			}
			return nil
		}}
		relay, err := durable.Forward(t.Context(), source, to, "relay", "order.paid")
		require.NoError(t, err)
		publish(t, source, 0, 1, 2, 3)
		time.Sleep(time.Minute)
		synctest.Wait()
		publish(t, source, 4)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.NoError(t, relay.Close(t.Context()))
		got := to.data()
		slices.Sort(got)
		assert.Equal(t, []string{`{"Number":0}`, `{"Number":2}`, `{"Number":3}`, `{"Number":4}`}, slices.Compact(got))
	})
}

func TestForwardRefuses(t *testing.T) {
	source := durabletest.NewMemory()
	_, err := durable.Forward(t.Context(), source, &destination{}, "relay")
	require.ErrorContains(t, err, "want a publisher and a topic")
	_, err = durable.Forward(t.Context(), source, &destination{}, "", "order.paid")
	require.ErrorContains(t, err, `forward "order.paid"`)
	require.NoError(t, source.Close(t.Context()))
	_, err = durable.Forward(t.Context(), source, &destination{}, "relay", "order.paid")
	require.ErrorIs(t, err, durable.ErrClosed)
}
