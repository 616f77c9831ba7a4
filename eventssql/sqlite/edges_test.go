package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

// consumer is that of the receivers of these tests.
func consumer(group string, ordered bool) durable.Consumer {
	return durable.Consumer{Topic: orderPaid.Name(), Group: group, Lease: 10 * time.Second, OrderByKey: ordered, MaxInFlight: 100}
}

func open(t *testing.T, engine durable.Engine, c durable.Consumer) durable.Receiver {
	t.Helper()
	r, err := engine.Open(t.Context(), c)
	require.NoError(t, err)
	return r
}

// ids returns those of what a receiver claims, without a wait for more.
func ids(t *testing.T, r durable.Receiver, most int) (ids []string, deliveries []*durable.Delivery) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	deliveries, err := r.Receive(ctx, most)
	if !errors.Is(err, context.DeadlineExceeded) {
		require.NoError(t, err)
	}
	for _, d := range deliveries {
		ids = append(ids, d.ID)
	}
	return ids, deliveries
}

// TestGroupThatWasRemoved is never mistaken for one that is made later.
func TestGroupThatWasRemoved(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	old := open(t, store, consumer("old", false))
	require.NoError(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "old"))
	shipped := events.NewTopic[order]("order.shipped")
	require.NoError(t, durable.Declare(t.Context(), store, shipped.Name(), "new"))
	require.NoError(t, durable.Publish(t.Context(), store, shipped, order{1}))
	publish(t, store, 2)
	_, err := old.Receive(t.Context(), 1)
	require.ErrorIs(t, err, durable.ErrUnknownGroup)
	swept, err := store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Zero(t, swept)
	groups, err := store.Groups(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 1)
	assert.Equal(t, int64(1), groups[0].Lag)
}

// TestOnceTellsMessagesApart that differ in their source or in their id.
func TestOnceTellsMessagesApart(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "shop.db"))
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	firsts := make(chan bool, 2)
	sub, err := durable.Subscribe(t.Context(), store, orderPaid, "g", func(ctx context.Context, _ order) error {
		first, err := store.Once(ctx, db)
		firsts <- first
		return err
	})
	require.NoError(t, err)
	one := durable.Message{Topic: orderPaid.Name(), Source: "example.com/shop", ID: "eu/1", Data: []byte("{}")}
	two := durable.Message{Topic: orderPaid.Name(), Source: "example.com/shop/eu", ID: "1", Data: []byte("{}")}
	require.NoError(t, store.Publish(t.Context(), one, two))
	assert.True(t, <-firsts)
	assert.True(t, <-firsts)
	require.NoError(t, sub.Close(t.Context()))

	require.NoError(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "g"))
	notes := 0
	require.NoError(t, db.QueryRowContext(t.Context(), "select count(*) from events_inbox").Scan(&notes))
	assert.Zero(t, notes, "they go with their group")
	require.NoError(t, store.Close(t.Context()))
}

// TestRetentionIsOfStorage and not of when an event was first published.
func TestRetentionIsOfStorage(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	for i, at := range []time.Time{{}, time.Now().Add(-30 * 24 * time.Hour)} {
		require.NoError(t, store.Publish(t.Context(), durable.Message{ID: fmt.Sprint(i), Topic: "forwarded", Time: at}))
	}
	swept, err := store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Zero(t, swept)
}

// TestHeadersThatCannotBeRead make a dead letter, and stop nobody.
func TestHeadersThatCannotBeRead(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "shop.db"))
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	got, sub := subscribe(t, store, "g")
	_, err = db.ExecContext(t.Context(), "insert into events_message (topic, mid, headers, data, at, stored) values ('order.paid', 'x', 'no JSON', '{}', 1, 1)")
	require.NoError(t, err)
	publish(t, store, 1)
	assert.Equal(t, 1, next(t, got))
	require.Eventually(t, func() bool { return sub.Stats().DeadLettered == 1 }, 30*time.Second, time.Millisecond)
	require.NoError(t, sub.Close(t.Context()))
	list, err := store.DeadLetters().List(t.Context(), orderPaid.Name(), "g", "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Contains(t, list[0].Reason, "unreadable headers")
	require.NoError(t, store.Close(t.Context()))
}

// TestSuspectThatIsParked keeps the attempt in which it was alone.
func TestSuspectThatIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
		require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), "g", durable.WithOrderByKey()))
		require.NoError(t, durable.Publish(t.Context(), store, orderPaid, order{1}, durable.WithKey("k"), durable.WithID("delayed"), durable.WithDelay(15*time.Second)))
		require.NoError(t, durable.Publish(t.Context(), store, orderPaid, order{2}, durable.WithKey("k"), durable.WithID("killer")))
		for range 2 { // the second time it is alone
			got, _ := ids(t, open(t, store, consumer("g", true)), 1)
			assert.Equal(t, []string{"killer"}, got)
			time.Sleep(11 * time.Second)
		}
		r := open(t, store, consumer("g", true))
		got, claimed := ids(t, r, 10)
		require.Equal(t, []string{"delayed"}, got)
		_, err := r.Settle(t.Context(), []durable.Settlement{{Delivery: claimed[0]}})
		require.NoError(t, err)
		got, claimed = ids(t, r, 10)
		require.Equal(t, []string{"killer"}, got)
		assert.Equal(t, 2, claimed[0].Attempt)
		require.NoError(t, store.Close(t.Context()))
	})
}

// TestBacklogOfOneKey costs a publish beside it little, however much is parked.
func TestBacklogOfOneKey(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), "g", durable.WithOrderByKey()))
	messages := make([]durable.Message, 5000)
	for i := range messages {
		messages[i] = durable.Message{ID: fmt.Sprint(i), Topic: orderPaid.Name(), Key: "hot", Data: []byte("{}")}
	}
	require.NoError(t, store.Publish(t.Context(), messages...))
	r := open(t, store, consumer("g", true))
	_, first := ids(t, r, 1)
	require.Len(t, first, 1)
	_, err := r.Settle(t.Context(), []durable.Settlement{{Delivery: first[0], Outcome: durable.OutcomeRetry, After: time.Hour}})
	require.NoError(t, err)
	over := make(chan struct{})
	go func() {
		defer close(over)
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, _ = r.Receive(ctx, 10) // looks at all of them, and can claim none
	}()
	var longest time.Duration
	for i := range 50 {
		begun := time.Now()
		publish(t, store, i)
		longest = max(longest, time.Since(begun))
	}
	<-over
	assert.Less(t, longest, time.Second)
}

// TestDatabaseThatIsBusy fails all that wait for it together, and not one after the
// other.
func TestDatabaseThatIsBusy(t *testing.T) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "shop.db")+"?_pragma=busy_timeout(300)&_pragma=journal_mode(wal)&_txlock=immediate")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var publishers sync.WaitGroup
	begun := time.Now()
	for i := range 20 {
		publishers.Go(func() {
			assert.ErrorContains(t, durable.Publish(context.Background(), store, orderPaid, order{i}), "publish through Store.Tx")
		})
	}
	publishers.Wait()
	assert.Less(t, time.Since(begun), 3*time.Second, "twenty times the patience of the database are 6 s")
	require.NoError(t, tx.Rollback())
	publish(t, store, 1)
	require.NoError(t, store.Close(t.Context()))
}

// TestReceiveOfAClosedStore does not wait for what it has in hand.
func TestReceiveOfAClosedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
		r := open(t, store, consumer("g", false))
		publish(t, store, 1)
		got, _ := ids(t, r, 1)
		require.Len(t, got, 1)
		require.NoError(t, store.Close(t.Context()))
		begun := time.Now()
		_, err := r.Receive(t.Context(), 1)
		assert.ErrorIs(t, err, durable.ErrClosed)
		assert.Zero(t, time.Since(begun))
	})
}

// TestBacklogInBoundedMemory has many more events stored than are in hand at once.
func TestBacklogInBoundedMemory(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), "g"))
	const batches, each = 20, 1000
	note := strings.Repeat("x", 1000)
	messages := make([]durable.Message, each)
	for batch := range batches {
		for i := range messages {
			messages[i] = durable.Message{ID: fmt.Sprint(batch*each + i), Topic: orderPaid.Name(), Data: []byte(`{"Note":"` + note + `"}`)}
		}
		require.NoError(t, store.Publish(t.Context(), messages...))
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	handled, over := 0, make(chan struct{})
	sub, err := durable.Subscribe(t.Context(), store, orderPaid, "g", func(context.Context, order) error {
		if handled++; handled%each == 0 {
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		if handled == batches*each {
			close(over)
		}
		return nil
	}, durable.WithPrefetch(100))
	require.NoError(t, err)
	<-over
	require.NoError(t, sub.Close(t.Context()))
	assert.Less(t, most, before.HeapAlloc+10<<20, "of 20 MB that are stored")
}
