package eventsnats_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
)

// TestServerIsAway says so at the start, and later.
func TestServerIsAway(t *testing.T) {
	s := startServer(t)
	js := s.connect()
	e := newEngine(t, js)
	s.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, durable.Publish(ctx, e, orderPaid, order{1}), context.DeadlineExceeded)
	_, err := eventsnats.New(ctx, js)
	assert.ErrorContains(t, err, `stream "events"`)
	assert.ErrorContains(t, durable.Declare(ctx, e, orderPaid.Name(), "g"), "deadline")
}

// TestWithoutJetStream has a server that has no streams at all.
func TestWithoutJetStream(t *testing.T) {
	s := startServer(t)
	s.options.JetStream, s.options.Port = false, -1
	s.start()
	defer s.stop()
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = eventsnats.New(t.Context(), js)
	assert.ErrorContains(t, err, "no server with JetStream answers")
}

// TestServerRestarts has events go on after their server was away: those that were stored
// are handled, in time.
func TestServerRestarts(t *testing.T) {
	s := startServer(t)
	e := newEngine(t, s.connect())
	got, _ := subscribe(t, e, nil, durable.WithLease(time.Second))
	seen := make(map[int]bool)
	for n := range 5 {
		publish(t, e, n)
		for !seen[n] { // what was handled may come twice
			seen[take(t, got, 1)[0]] = true
		}
		s.stop()
		s.start()
		require.Eventually(t, func() bool {
			return durable.Publish(t.Context(), e, orderPaid, order{100 + n}) == nil
		}, patience, 10*time.Millisecond)
		for begun := time.Now(); !seen[100+n]; {
			seen[take(t, got, 1)[0]] = true
			assert.Less(t, time.Since(begun), patience/2)
		}
	}
}

// TestPublishersThroughRestarts loses nothing that it has said was stored.
func TestPublishersThroughRestarts(t *testing.T) {
	const publishers, each = 4, 50
	s := startServer(t)
	e := newEngine(t, s.connect())
	got, _ := subscribe(t, e, nil, durable.WithLease(time.Second), durable.WithWorkers(4))
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range each {
				for durable.Publish(t.Context(), e, orderPaid, order{p*each + i}) != nil && t.Context().Err() == nil {
					time.Sleep(time.Millisecond) // the server is away
				}
			}
		})
	}
	for range 3 {
		time.Sleep(30 * time.Millisecond) // in the midst of it
		s.stop()
		s.start()
	}
	publishing.Wait()
	seen := make(map[int]bool)
	for len(seen) < publishers*each {
		seen[take(t, got, 1)[0]] = true
	}
}

// TestCloseGivesBackWhatWasSent has a receiver end with a request open: what the server has
// sent comes to others at once.
func TestCloseGivesBackWhatWasSent(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	open := func() durable.Receiver {
		r, err := e.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Hour})
		require.NoError(t, err)
		return r
	}
	first := open()
	publish(t, e, 1, 2, 3)
	got, err := first.Receive(t.Context(), 10)
	require.NoError(t, err)
	for _, d := range got {
		_, err := first.Settle(t.Context(), []durable.Settlement{{Delivery: d}})
		require.NoError(t, err)
	}
	publish(t, e, 4, 5, 6)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "once more")
	second := open()
	defer func() { assert.NoError(t, second.Close()) }()
	for left := 6 - len(got); left > 0; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		again, err := second.Receive(ctx, 10)
		cancel()
		require.NoError(t, err)
		left -= len(again)
	}
}

// TestStaleIsLeft has a receiver end that has had an event for longer than its lease, without
// taking it from who has it now.
func TestStaleIsLeft(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	open := func() durable.Receiver {
		r, err := e.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: 500 * time.Millisecond})
		require.NoError(t, err)
		return r
	}
	slow, quick, third := open(), open(), open()
	publish(t, e, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	first, err := slow.Receive(ctx, 10) // and more may come, until its request is over
	require.NoError(t, err)
	_, err = slow.Settle(ctx, []durable.Settlement{{Delivery: first[0]}})
	require.NoError(t, err)
	publish(t, e, 2)
	taken := receiveOne(t, quick)
	assert.Equal(t, 2, taken.Attempt, "slow was sent it before")
	require.NoError(t, slow.Close())
	soon, stop := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer stop()
	_, err = third.Receive(soon, 1)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = quick.Settle(ctx, []durable.Settlement{{Delivery: taken}})
	require.NoError(t, err)
	require.NoError(t, quick.Close())
	require.NoError(t, third.Close())
}

// TestWaitThatEndsGivesBack has a receiver stop waiting while it has an event at work: what
// the server has sent it meanwhile comes to others at once, and not when it is closed.
func TestWaitThatEndsGivesBack(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	open := func() durable.Receiver {
		r, err := e.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Hour})
		require.NoError(t, err)
		return r
	}
	first, second := open(), open()
	publish(t, e, 1)
	atWork, err := first.Receive(t.Context(), 10) // and nine more may come
	require.NoError(t, err)
	require.Len(t, atWork, 1)
	publish(t, e, 2, 3)
	group, err := js.Consumer(t.Context(), "events", "order~paid@g")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := group.Info(t.Context())
		return err == nil && info.NumAckPending == 3
	}, patience, time.Millisecond, "the server has sent all")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = first.Receive(over, 10)
	require.ErrorIs(t, err, context.Canceled)
	for range 2 {
		assert.Equal(t, 1, receiveOne(t, second).Attempt)
	}
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
}
