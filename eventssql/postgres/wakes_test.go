package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/postgres"
)

func open(t *testing.T, store *postgres.Store, topic, group string, lease time.Duration) durable.Receiver {
	t.Helper()
	r, err := store.Open(t.Context(), durable.Consumer{Topic: topic, Group: group, Lease: lease, MaxInFlight: 10})
	require.NoError(t, err)
	return r
}

// receive returns what comes within a time.
func receive(t *testing.T, r durable.Receiver, most int, within time.Duration) []*durable.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	got, err := r.Receive(ctx, most)
	if !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(t, err)
	}
	return got
}

// TestOpenTakesNoWake has a group be opened just when another one is to be woken.
func TestOpenTakesNoWake(t *testing.T) {
	pool := connectTo(t, needServer(t), "")
	store := openStore(t, pool, postgres.WithoutListen())
	r := open(t, store, orderPaid.Name(), "a", time.Minute)
	got := make(chan []*durable.Delivery, 1)
	go func() { got <- receive(t, r, 10, 20*time.Second) }()
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	publish(t, store.PgxTx(tx), 1)
	time.Sleep(1500 * time.Millisecond) // until it is looked seldom
	require.NoError(t, tx.Commit(t.Context()))
	open(t, store, "other", "b", time.Minute)
	assert.Len(t, <-got, 1)
}

// TestSuspectsTakeNoPlace of a retry that is due, while a delivery is at work for long beside
// which they cannot be claimed.
func TestSuspectsTakeNoPlace(t *testing.T) {
	const lease = time.Second
	store := openStore(t, connectTo(t, needServer(t), ""))
	dies, lives := open(t, store, orderPaid.Name(), "g", lease), open(t, store, orderPaid.Name(), "g", lease)
	publish(t, store, 0)
	long := receive(t, lives, 1, 10*time.Second)
	require.Len(t, long, 1)
	publish(t, store, 1, 2, 3, 4, 5)
	for claimed := 0; claimed < 5; {
		claimed += len(receive(t, dies, 5, 10*time.Second))
	}
	ctx, stop := context.WithCancel(t.Context())
	var renewing sync.WaitGroup
	renewing.Go(func() {
		for ticker := time.NewTicker(lease / 4); ctx.Err() == nil; <-ticker.C {
			_, err := lives.Settle(t.Context(), []durable.Settlement{{Delivery: long[0], Outcome: durable.OutcomeRenew}})
			assert.NoError(t, err)
		}
	})
	defer renewing.Wait()
	defer stop()
	time.Sleep(lease + lease/5) // there are five suspects now
	publish(t, store, 6)
	one := receive(t, lives, 5, 10*time.Second)
	require.Len(t, one, 1)
	_, err := lives.Settle(t.Context(), []durable.Settlement{{Delivery: one[0], Outcome: durable.OutcomeRetry, Reason: "no"}})
	require.NoError(t, err)
	again := receive(t, lives, 5, 5*time.Second)
	require.Len(t, again, 1)
	assert.Equal(t, one[0].Ref, again[0].Ref)
}

// TestHolderIsWhoHasPublished, and not another one that is prepared.
func TestHolderIsWhoHasPublished(t *testing.T) {
	pool := connectTo(t, ownServer(t), "")
	store := openStore(t, pool)
	_, err := pool.Exec(t.Context(), "create table other (n int)")
	require.NoError(t, err)
	for _, who := range []string{"innocent", "guilty"} {
		conn, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		_, err = conn.Exec(t.Context(), "begin")
		require.NoError(t, err)
		if who == "guilty" {
			publish(t, store.PgxTx(conn), 1)
		} else {
			_, err = conn.Exec(t.Context(), "insert into other values (1)")
			require.NoError(t, err)
		}
		_, err = conn.Exec(t.Context(), "prepare transaction '"+who+"'")
		require.NoError(t, err)
		conn.Release()
	}
	require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), "g")) // which looks
	held, holder, err := store.HeldUp(t.Context())
	require.NoError(t, err)
	assert.Positive(t, held)
	assert.Contains(t, holder, "prepared transaction guilty")
}

// TestServerThatIsBehind takes over under the store: what is published then is an error, and
// nothing is stored where nobody looks.
func TestServerThatIsBehind(t *testing.T) {
	s := ownServer(t)
	pool := connectTo(t, s, "")
	schema := newSchema(t)
	store := openStore(t, pool, postgres.WithSchema(schema))
	r := open(t, store, orderPaid.Name(), "g", time.Minute)
	publish(t, store, 1, 2, 3, 4, 5, 6, 7, 8)
	for handled := 0; handled < 8; {
		got := receive(t, r, 8, 10*time.Second)
		for _, d := range got {
			_, err := r.Settle(t.Context(), []durable.Settlement{{Delivery: d}})
			require.NoError(t, err)
		}
		handled += len(got)
	}
	_, err := store.Sweep(t.Context())
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), fmt.Sprintf("alter sequence %s.events_message_id restart", schema))
	require.NoError(t, err)
	s.End(syscall.SIGINT)
	require.NoError(t, s.Launch())
	require.Eventually(t, func() bool {
		err := durable.Publish(t.Context(), store, orderPaid, order{-1})
		require.Error(t, err)
		_, err = pool.Exec(t.Context(), fmt.Sprintf("select setval('%s.events_message_id', 1)", schema))
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	_, err = pool.Exec(t.Context(), fmt.Sprintf("select setval('%s.events_message_id', 100)", schema))
	require.NoError(t, err)
	publishPatiently(t, store, 9)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got, err := r.Receive(ctx, 1)
		return err == nil && len(got) == 1
	}, 30*time.Second, time.Millisecond)
}
