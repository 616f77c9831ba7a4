package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
	"github.com/typedbus/events/eventssql/postgres"
)

type order struct{ Number int }

var orderPaid = events.NewTopic[order]("order.paid")

func quiet() postgres.Option { return postgres.WithLogger(slog.New(slog.DiscardHandler)) }

func TestConformance(t *testing.T) {
	pool := connectTo(t, needServer(t), "")
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		store, err := postgres.Open(t.Context(), pool, quiet(), postgres.WithSchema(newSchema(t)))
		require.NoError(t, err)
		return &guest{store, pool}
	})
}

// guest is a store with the pool that it was opened with, by which the suite begins
// transactions.
type guest struct {
	durable.Engine
	pool *pgxpool.Pool
}

func (g *guest) Unwrap() durable.Engine { return g.Engine }

func (g *guest) Begin(ctx context.Context) (to durable.Publisher, commit, rollback func() error, err error) {
	tx, err := g.pool.Begin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	return g.Engine.(*postgres.Store).PgxTx(tx), func() error { return tx.Commit(ctx) }, func() error { return tx.Rollback(ctx) }, nil
}

func (g *guest) Once(ctx context.Context) (first bool, err error) {
	err = pgx.BeginFunc(ctx, g.pool, func(tx pgx.Tx) (err error) {
		first, err = g.Engine.(*postgres.Store).PgxOnce(ctx, tx)
		return err
	})
	return first, err
}

// TestConformanceBehindPooler is the same where each transaction gets another connection.
func TestConformanceBehindPooler(t *testing.T) {
	pool := connectTo(t, needPooler(t), "default_query_exec_mode=exec")
	prefix := newSchema(t)
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		store, err := postgres.Open(t.Context(), pool, quiet(), postgres.WithoutListen(), postgres.WithSchema("Behind #{texts} ? a@b.c"), postgres.WithPrefix(prefix+newSchema(t)+"_"))
		require.NoError(t, err)
		return &guest{store, pool}
	})
}

// openStore opens a store in a schema of its own, or in that of the options.
func openStore(t testing.TB, pool *pgxpool.Pool, options ...postgres.Option) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), pool, append([]postgres.Option{quiet(), postgres.WithSchema(newSchema(t))}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close(context.Background())) })
	return store
}

func subscribe(t testing.TB, engine durable.Engine, group string, options ...durable.SubscribeOption) (<-chan int, *durable.Subscription) {
	t.Helper()
	got := make(chan int, 10_000)
	options = append([]durable.SubscribeOption{durable.WithLogger(slog.New(slog.DiscardHandler))}, options...)
	sub, err := durable.Subscribe(t.Context(), engine, orderPaid, group, func(_ context.Context, o order) error {
		got <- o.Number
		return nil
	}, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close(context.Background()) })
	return got, sub
}

func publish(t testing.TB, to durable.Publisher, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, durable.Publish(t.Context(), to, orderPaid, order{n}))
	}
}

func next(t testing.TB, got <-chan int) int {
	t.Helper()
	select {
	case n := <-got:
		return n
	case <-time.After(30 * time.Second):
		t.Fatal("no event came")
		return 0
	}
}

// TestTransaction has an event share the fate of the caller's transaction, of pgx and of
// database/sql.
func TestTransaction(t *testing.T) {
	s := needServer(t)
	pool := connectTo(t, s, "")
	store := openStore(t, pool)
	got, _ := subscribe(t, store, "g")
	for n, commit := range []bool{false, true, false, true} {
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		publish(t, store.PgxTx(tx), n)
		if commit {
			require.NoError(t, tx.Commit(t.Context()))
		} else {
			require.NoError(t, tx.Rollback(t.Context()))
		}
	}
	assert.Equal(t, []int{1, 3}, []int{next(t, got), next(t, got)})

	db, err := sql.Open("pgx", s.URL(""))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, durable.PublishBatch(t.Context(), store.Tx(tx), orderPaid, []order{{4}, {5}}))
	require.NoError(t, tx.Commit())
	assert.Equal(t, []int{4, 5}, []int{next(t, got), next(t, got)})

	require.ErrorIs(t, durable.Publish(t.Context(), store.Tx(tx), orderPaid, order{}), sql.ErrTxDone)
	require.ErrorIs(t, durable.Publish(t.Context(), store.PgxTx(closedTx(t, pool)), orderPaid, order{}), pgx.ErrTxClosed)
}

func closedTx(t *testing.T, pool *pgxpool.Pool) pgx.Tx {
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	return tx
}

// TestLateCommit has an event that was stored first be committed last.
func TestLateCommit(t *testing.T) {
	pool := connectTo(t, needServer(t), "")
	schema := newSchema(t)
	store := openStore(t, pool, postgres.WithSchema(schema))
	got, _ := subscribe(t, store, "g")
	// This one goes by ids alone. It is what the engine must not be.
	naive, cursor := []int64{}, int64(0)
	look := func() {
		rows, err := pool.Query(t.Context(), "select id from "+schema+".events_message where id > $1 order by id", cursor)
		require.NoError(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		require.NoError(t, err)
		if naive = append(naive, ids...); len(ids) > 0 {
			cursor = ids[len(ids)-1]
		}
	}
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	publish(t, store.PgxTx(tx), 1)
	publish(t, store, 2, 3)
	look()
	require.Eventually(t, func() bool {
		held, holder, err := store.HeldUp(t.Context())
		require.NoError(t, err)
		return held > 100*time.Millisecond && strings.Contains(holder, "process")
	}, 30*time.Second, time.Millisecond)
	assert.Empty(t, got, "events behind a transaction that is open")
	require.NoError(t, tx.Commit(t.Context()))
	look()
	assert.Equal(t, []int{1, 2, 3}, []int{next(t, got), next(t, got), next(t, got)})
	assert.Equal(t, []int64{2, 3}, naive, "a cursor that goes by ids loses the first")
	require.Eventually(t, func() bool {
		held, _, err := store.HeldUp(t.Context())
		return held == 0 && err == nil
	}, 30*time.Second, time.Millisecond)
}

// TestTwoStores are as two processes.
func TestTwoStores(t *testing.T) {
	pool := connectTo(t, needServer(t), "")
	schema := newSchema(t)
	one := openStore(t, pool, postgres.WithSchema(schema))
	two := openStore(t, pool, postgres.WithSchema(schema))
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

// TestOnce makes the effect of a handler single, by either way.
func TestOnce(t *testing.T) {
	s := needServer(t)
	pool := connectTo(t, s, "")
	store := openStore(t, pool)
	db, err := sql.Open("pgx", s.URL(""))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	results := make(chan bool, 10)
	sub, err := durable.Subscribe(t.Context(), store, orderPaid, "g", func(ctx context.Context, _ order) error {
		var first bool
		attempt := durable.FromContext(ctx).Attempt
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
			first, err = store.PgxOnce(ctx, tx)
			return err
		})
		if attempt == 2 {
			first, err = store.Once(ctx, db)
		}
		results <- first
		if err == nil && attempt < 3 {
			err = durable.RetryAfter(errors.New("lost on the way"), 0)
		}
		return err
	}, durable.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	publish(t, store, 1)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 1 }, 30*time.Second, time.Millisecond)
	assert.Equal(t, []bool{true, false, false}, []bool{<-results, <-results, <-results})
	_, err = store.Once(t.Context(), db)
	require.ErrorContains(t, err, "not that of a durable handler")
}

// TestGroupsAndSweep has messages go when every group has handled them.
func TestGroupsAndSweep(t *testing.T) {
	store := openStore(t, connectTo(t, needServer(t), ""), postgres.WithRetention(0))
	for _, group := range []string{"absent", "busy"} {
		require.NoError(t, durable.Declare(t.Context(), store, orderPaid.Name(), group))
	}
	publish(t, store, 1, 2, 3)
	_, sub := subscribe(t, store, "busy")
	require.Eventually(t, func() bool { return sub.Stats().Handled == 3 }, 30*time.Second, time.Millisecond)

	groups, err := store.Groups(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 2)
	assert.Equal(t, int64(3), groups[0].Lag)
	assert.Positive(t, groups[0].Age)
	assert.Equal(t, postgres.Group{Topic: "order.paid", Name: "busy"}, groups[1])

	swept, err := store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Zero(t, swept, "an absent group holds them")
	require.NoError(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "absent"))
	require.ErrorIs(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "absent"), durable.ErrUnknownGroup)
	swept, err = store.Sweep(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int64(3), swept)
	require.NoError(t, store.RemoveGroup(t.Context(), orderPaid.Name(), "busy"))
	require.Eventually(t, func() bool { return sub.Stats().InHand == 0 }, 30*time.Second, time.Millisecond)
}

// TestOpenRefuses what would lose events, and says what to do.
func TestOpenRefuses(t *testing.T) {
	s := needServer(t)
	pool := connectTo(t, s, "")
	refused := func(pool *pgxpool.Pool, options ...postgres.Option) error {
		store, err := postgres.Open(t.Context(), pool, append(options, quiet())...)
		if err == nil {
			_ = store.Close(t.Context())
		}
		return err
	}
	require.ErrorContains(t, refused(nil), "pool is nil")

	closed := connectTo(t, s, "")
	closed.Close()
	require.ErrorContains(t, refused(closed), "closed")

	require.ErrorContains(t, refused(connectTo(t, s, "options=-csynchronous_commit%3Doff")), "synchronous_commit is off, want on")

	schema := newSchema(t)
	in := postgres.WithSchema(schema)
	require.NoError(t, postgres.Migrate(t.Context(), pool, in))
	execute := func(statement string) {
		_, err := pool.Exec(t.Context(), fmt.Sprintf(statement, schema))
		require.NoError(t, err)
	}
	execute("update %s.events_schema set version = 99")
	require.ErrorContains(t, refused(pool, in), "schema version 99, want 1")
	execute("update %s.events_schema set version = 1")
	execute("alter sequence %s.events_message_id cache 10")
	require.ErrorContains(t, refused(pool, in), "cache of 10, want 1: alter sequence")
	execute("alter sequence %s.events_message_id cache 1")

	store := openStore(t, pool, in)
	publish(t, store, 1, 2, 3)
	execute("select setval('%s.events_message_id', 1)")
	err := refused(pool, in)
	require.ErrorContains(t, err, "is at 1, behind 3")
	_, remedy, _ := strings.Cut(err.Error(), "execute ")
	execute(strings.ReplaceAll(remedy, "%", "%%") + " -- %s")
	require.NoError(t, refused(pool, in))
}

// TestStandby is refused.
func TestStandby(t *testing.T) {
	standby := ownServer(t)
	require.NoError(t, standby.MakeStandby())
	_, err := postgres.Open(t.Context(), connectTo(t, standby, ""), quiet())
	require.ErrorContains(t, err, "is a standby, want the one that takes writes")
}

func TestPublishRefuses(t *testing.T) {
	store := openStore(t, connectTo(t, needServer(t), ""), postgres.WithMaxSize(100))
	got, _ := subscribe(t, store, "g")
	err := durable.Publish(t.Context(), store, events.NewTopic[string]("order.note"), strings.Repeat("x", 100))
	require.ErrorIs(t, err, durable.ErrTooLarge)
	require.ErrorContains(t, err, `publish "order.note"`)
	err = durable.Publish(t.Context(), store, orderPaid, order{}, durable.WithHeader("a", "\xff"))
	require.ErrorContains(t, err, `header "a": not UTF-8`)
	err = durable.Publish(t.Context(), store, orderPaid, order{}, durable.WithKey(strings.Repeat("k", 501)))
	require.ErrorContains(t, err, "the key has 501 bytes, want 500 at most")
	require.ErrorIs(t, durable.Declare(t.Context(), store, "t", strings.Repeat("g", 501)), durable.ErrTooLarge)
	publish(t, store, 1)
	assert.Equal(t, 1, next(t, got), "nothing else was stored")
}

// TestManyPublishersShareTransactions and all of their events are there.
func TestManyPublishersShareTransactions(t *testing.T) {
	store := openStore(t, connectTo(t, needServer(t), ""))
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

// TestAllConnectionsOfTheUserAreBusy and the engine goes on.
func TestAllConnectionsOfTheUserAreBusy(t *testing.T) {
	pool := connectTo(t, needServer(t), "pool_max_conns=2")
	store := openStore(t, pool)
	started, release := make(chan struct{}, 2), make(chan struct{})
	sub, err := durable.Subscribe(t.Context(), store, orderPaid, "g", func(ctx context.Context, _ order) error {
		return pool.AcquireFunc(ctx, func(*pgxpool.Conn) error {
			started <- struct{}{}
			<-release
			return ctx.Err()
		})
	}, durable.WithWorkers(2), durable.WithLease(500*time.Millisecond), durable.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	publish(t, store, 1, 2)
	<-started
	<-started
	time.Sleep(1500 * time.Millisecond) // three leases
	publish(t, store, 3)
	close(release)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 3 }, 30*time.Second, time.Millisecond)
	assert.Zero(t, sub.Stats().Lost)
	require.NoError(t, sub.Close(t.Context()))
}
