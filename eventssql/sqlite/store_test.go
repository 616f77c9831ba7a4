package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
	"github.com/typedbus/events/eventssql/sqlite"
)

type order struct{ Number int }

var orderPaid = events.NewTopic[order]("order.paid")

func quiet() sqlite.Option { return sqlite.WithLogger(slog.New(slog.DiscardHandler)) }

func TestConformance(t *testing.T) {
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		return openStore(t, filepath.Join(t.TempDir(), "events.db"))
	})
}

// TestConformanceInDatabaseOfTheUser is the same where the store is a guest.
func TestConformanceInDatabaseOfTheUser(t *testing.T) {
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		db := openDB(t, filepath.Join(t.TempDir(), "shop.db"))
		store, err := sqlite.OpenDB(t.Context(), db, quiet(), sqlite.WithPrefix("shop_events_"))
		require.NoError(t, err)
		return &guest{store, db}
	})
}

// guest is a store with the database that it is a guest of, by which the suite begins
// transactions.
type guest struct {
	durable.Engine
	db *sql.DB
}

func (g *guest) Unwrap() durable.Engine { return g.Engine }

func (g *guest) Begin(ctx context.Context) (to durable.Publisher, commit, rollback func() error, err error) {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	return g.Engine.(*sqlite.Store).Tx(tx), tx.Commit, tx.Rollback, nil
}

func (g *guest) Once(ctx context.Context) (first bool, err error) {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	first, err = g.Engine.(*sqlite.Store).Once(ctx, tx)
	if err != nil {
		return false, errors.Join(err, tx.Rollback())
	}
	return first, tx.Commit()
}

func openStore(t *testing.T, path string, options ...sqlite.Option) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path, append(options, quiet())...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close(context.Background())) })
	return store
}

func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", sqlite.DSN(path))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func subscribe(t *testing.T, engine durable.Engine, group string, options ...durable.SubscribeOption) (<-chan int, *durable.Subscription) {
	t.Helper()
	got := make(chan int, 1000)
	options = append(options, durable.WithLogger(slog.New(slog.DiscardHandler)))
	sub, err := durable.Subscribe(t.Context(), engine, orderPaid, group, func(_ context.Context, o order) error {
		got <- o.Number
		return nil
	}, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close(context.Background()) })
	return got, sub
}

func publish(t *testing.T, to durable.Publisher, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, durable.Publish(t.Context(), to, orderPaid, order{n}))
	}
}

func next(t *testing.T, got <-chan int) int {
	t.Helper()
	select {
	case n := <-got:
		return n
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
		return 0
	}
}

// TestTransaction has an event share the fate of the caller's transaction.
func TestTransaction(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "shop.db"))
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	got, sub := subscribe(t, store, "g")
	for n, commit := range []bool{false, true, false, true} {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		publish(t, store.Tx(tx), n)
		if commit {
			require.NoError(t, tx.Commit())
		} else {
			require.NoError(t, tx.Rollback())
		}
	}
	assert.Equal(t, []int{1, 3}, []int{next(t, got), next(t, got)})
	require.NoError(t, sub.Close(t.Context()))
	require.NoError(t, store.Close(t.Context()))
	assert.Empty(t, got)
	require.NoError(t, db.PingContext(t.Context()), "the database is the user's")
}

// TestTwoStoresOnOneFile are as two processes.
func TestTwoStoresOnOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	one, two := openStore(t, path), openStore(t, path)
	here, _ := subscribe(t, one, "here")
	both1, _ := subscribe(t, one, "both", durable.WithPrefetch(0))
	both2, _ := subscribe(t, two, "both", durable.WithPrefetch(0))
	for n := range 50 {
		publish(t, two, n)
	}
	seen := make(map[int]int)
	for range 50 {
		seen[next(t, here)]++
	}
	for len(seen) < 100 {
		select {
		case n := <-both1:
			seen[100+n]++
		case n := <-both2:
			seen[100+n]++
		case <-time.After(30 * time.Second):
			t.Fatal("events are missing")
		}
	}
	for n, times := range seen {
		assert.Equal(t, 1, times, "event %d", n)
	}
}

// TestOnce makes the effect of a handler single, also in another database.
func TestOnce(t *testing.T) {
	folder := t.TempDir()
	store := openStore(t, filepath.Join(folder, "events.db"))
	elsewhere := openDB(t, filepath.Join(folder, "ledger.db"))
	require.NoError(t, sqlite.Migrate(t.Context(), elsewhere))
	results := make(chan bool, 10)
	sub, err := durable.Subscribe(t.Context(), store, orderPaid, "g", func(ctx context.Context, _ order) error {
		tx, err := elsewhere.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		first, err := store.Once(ctx, tx)
		results <- first
		if err = errors.Join(err, tx.Commit()); err == nil && durable.FromContext(ctx).Attempt < 3 {
			err = durable.RetryAfter(errors.New("lost on the way"), 0)
		}
		return err
	}, durable.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	publish(t, store, 1)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 1 }, 30*time.Second, time.Millisecond)
	require.NoError(t, sub.Close(t.Context()))
	assert.Equal(t, []bool{true, false, false}, []bool{<-results, <-results, <-results})

	tx, err := elsewhere.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.Once(t.Context(), tx)
	require.ErrorContains(t, err, "not that of a durable handler")
	require.NoError(t, tx.Rollback())
}

// TestGroupsAndSweep has messages go when every group has handled them.
func TestGroupsAndSweep(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"), sqlite.WithRetention(0))
	for _, group := range []string{"absent", "busy"} {
		require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), group))
	}
	publish(t, store, 1, 2, 3)
	got, sub := subscribe(t, store, "busy")
	next(t, got)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 3 }, 30*time.Second, time.Millisecond)
	require.NoError(t, sub.Close(t.Context()))

	groups, err := store.Groups(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 2)
	assert.Equal(t, "absent", groups[0].Name)
	assert.Equal(t, int64(3), groups[0].Lag)
	assert.Positive(t, groups[0].Age)
	assert.Equal(t, sqlite.Group{Topic: "order.paid", Name: "busy"}, groups[1])

	swept, err := store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Zero(t, swept, "an absent group holds them")
	require.NoError(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "absent"))
	require.ErrorIs(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "absent"), durable.ErrUnknownGroup)
	swept, err = store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(3), swept)

	publish(t, store, 4)
	again, _ := subscribe(t, store, "busy")
	assert.Equal(t, 4, next(t, again), "ids are not used twice")
}

// TestSweepKeepsWhatIsAtWork whatever the cursors say.
func TestSweepKeepsWhatIsAtWork(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	r, err := store.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Minute})
	require.NoError(t, err)
	publish(t, store, 1, 2, 3)
	claimed, err := r.Receive(t.Context(), 3)
	require.NoError(t, err)
	require.Len(t, claimed, 3)
	_, err = r.Settle(t.Context(), []durable.Settlement{
		{Delivery: claimed[0]},
		{Delivery: claimed[1], Outcome: durable.OutcomeDeadLetter, Reason: "no"},
	})
	require.NoError(t, err)
	swept, err := store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(1), swept)
	list, err := store.DeadLetters().List(t.Context(), orderPaid.Name(), "g", "", 10)
	require.NoError(t, err)
	assert.Len(t, list, 1)
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }

	_, err := sqlite.Open(t.Context(), path("no such folder/events.db"))
	require.ErrorContains(t, err, "sqlite: open")

	memory, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, memory.Close()) })
	_, err = sqlite.OpenDB(t.Context(), memory)
	require.ErrorContains(t, err, "in memory, want a file")

	plain, err := sql.Open("sqlite", path("plain.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, plain.Close()) })
	_, err = sqlite.OpenDB(t.Context(), plain)
	require.ErrorContains(t, err, "plain.db is in journal mode delete, want wal")

	hasty, err := sql.Open("sqlite", strings.Replace(sqlite.DSN(path("hasty.db")), "synchronous%28full%29", "synchronous(normal)", 1))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, hasty.Close()) })
	_, err = sqlite.OpenDB(t.Context(), hasty)
	require.ErrorContains(t, err, "synchronous = 1, want 2 (full)")

	narrow := openDB(t, path("narrow.db"))
	narrow.SetMaxOpenConns(1)
	_, err = sqlite.OpenDB(t.Context(), narrow)
	require.ErrorContains(t, err, "at most 1 connections, want 3 or more")

	later := openDB(t, path("later.db"))
	require.NoError(t, sqlite.Migrate(t.Context(), later))
	_, err = later.ExecContext(t.Context(), "update events_schema set version = 99")
	require.NoError(t, err)
	_, err = sqlite.OpenDB(t.Context(), later)
	require.ErrorContains(t, err, "schema version 99, want 1")

	store := openStore(t, path("readonly.db"))
	require.NoError(t, store.Close(t.Context()))
	reading, err := sql.Open("sqlite", "file:"+path("readonly.db")+"?mode=ro")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, reading.Close()) })
	_, err = sqlite.OpenDB(t.Context(), reading)
	require.ErrorContains(t, err, "readonly")

	require.NoError(t, os.WriteFile(path("other.db"), []byte(strings.Repeat("no database ", 1000)), 0o600))
	_, err = sqlite.Open(t.Context(), path("other.db"))
	require.ErrorContains(t, err, "not a database")

	closed := openDB(t, path("closed.db"))
	require.NoError(t, closed.Close())
	_, err = sqlite.OpenDB(t.Context(), closed)
	require.ErrorContains(t, err, "closed")
}

func TestPublishRefuses(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "shop.db"))
	store, err := sqlite.OpenDB(t.Context(), db, quiet(), sqlite.WithMaxSize(100))
	require.NoError(t, err)
	got, _ := subscribe(t, store, "g")

	err = durable.Publish(t.Context(), store, events.NewTopic[string]("order.note"), strings.Repeat("x", 100))
	require.ErrorIs(t, err, durable.ErrTooLarge)
	require.ErrorContains(t, err, `publish "order.note"`)
	err = durable.Publish(t.Context(), store, events.NewTopic[chan int]("order.note"), make(chan int))
	require.ErrorContains(t, err, "write chan int as application/json")
	err = durable.Publish(t.Context(), store, orderPaid, order{}, durable.WithHeader("a", "\xff"))
	require.ErrorContains(t, err, `header "a": not UTF-8`)

	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	err = durable.Publish(t.Context(), store.Tx(tx), orderPaid, order{})
	require.ErrorIs(t, err, sql.ErrTxDone)

	publish(t, store, 1)
	assert.Equal(t, 1, next(t, got), "nothing else was stored")
	require.NoError(t, store.Close(t.Context()))
}

// TestFullDisk has a publish fail, and nothing be lost.
func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	db, err := sql.Open("sqlite", sqlite.DSN(path)+"&_pragma=max_page_count(40)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	require.NoError(t, durable.Declare(t.Context(), store, "order.note", "g"))
	note := events.NewTopic[string]("order.note")
	stored := 0
	for ; err == nil; stored++ {
		require.Less(t, stored, 1000)
		err = durable.Publish(t.Context(), store, note, strings.Repeat("x", 10_000))
	}
	require.ErrorContains(t, err, "full")
	require.NoError(t, store.Close(t.Context()))
	require.NoError(t, db.Close())

	again := openStore(t, path)
	handled := make(chan struct{}, 1000)
	_, err = durable.Subscribe(t.Context(), again, note, "g", func(context.Context, string) error {
		handled <- struct{}{}
		return nil
	})
	require.NoError(t, err)
	for range stored - 1 {
		<-handled
	}
}

// TestWriterThatIsHeldUp says what to do.
func TestWriterThatIsHeldUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", strings.Replace(sqlite.DSN(path), "5000", "10", 1))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	store, err := sqlite.OpenDB(t.Context(), db, quiet())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close(context.Background())) })
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	err = durable.Publish(t.Context(), store, orderPaid, order{1})
	require.ErrorContains(t, err, "publish through Store.Tx")
	require.NoError(t, tx.Rollback())
	publish(t, store, 2)
}

// TestManyPublishersShareTransactions and all of their events are there.
func TestManyPublishersShareTransactions(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "events.db"))
	require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), "g"))
	errs := make(chan error)
	const publishers, each = 32, 20
	for p := range publishers {
		go func() {
			var err error
			for n := range each {
				if err == nil {
					err = durable.Publish(context.Background(), store, orderPaid, order{p*each + n}, durable.WithKey(fmt.Sprint(p)))
				}
			}
			errs <- err
		}()
	}
	for range publishers {
		require.NoError(t, <-errs)
	}
	got, _ := subscribe(t, store, "g")
	last := make(map[int]int)
	for range publishers * each {
		n := next(t, got)
		assert.GreaterOrEqual(t, n, last[n/each], "in the order of its publisher")
		last[n/each] = n
	}
}
