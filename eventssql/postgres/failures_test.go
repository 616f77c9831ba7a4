package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/postgres"
)

// makeStandby restarts the server as one that follows another.
func (s *server) makeStandby(t *testing.T) {
	t.Helper()
	s.end(syscall.SIGINT)
	require.NoError(t, os.WriteFile(filepath.Join(s.data(), "standby.signal"), nil, 0o600))
	require.NoError(t, s.launch())
}

// ownServer is a server that the test may end.
func ownServer(t *testing.T) *server {
	t.Helper()
	needServer(t)
	s, err := newServer()
	require.NoError(t, err)
	t.Cleanup(s.remove)
	return s
}

// publishPatiently publishes as a program would that a server is away from.
func publishPatiently(t *testing.T, to durable.Publisher, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.Eventually(t, func() bool { return durable.Publish(t.Context(), to, orderPaid, order{n}) == nil }, 30*time.Second, 10*time.Millisecond)
	}
}

// TestServerCrashes under a subscription, which goes on when it is back.
func TestServerCrashes(t *testing.T) {
	s := ownServer(t)
	store := openStore(t, connectTo(t, s, ""))
	got, _ := subscribe(t, store, "g", durable.WithLease(time.Second))
	stored := 0
	for range 3 {
		for range 20 {
			publish(t, store, stored)
			stored++
		}
		s.end(syscall.SIGQUIT)
		require.Error(t, durable.Publish(t.Context(), store, orderPaid, order{-1}))
		require.NoError(t, s.launch())
		publishPatiently(t, store, stored)
		stored++
	}
	missing := make(map[int]bool)
	for n := range stored {
		missing[n] = true
	}
	for len(missing) > 0 {
		delete(missing, next(t, got))
	}
}

// TestReconnectsWhileIdle has all connections be cut while nothing happens.
func TestReconnectsWhileIdle(t *testing.T) {
	s := ownServer(t)
	pool := connectTo(t, s, "")
	schema := newSchema(t)
	store := openStore(t, pool, postgres.WithSchema(schema))
	other := openStore(t, pool, postgres.WithSchema(schema))
	got, _ := subscribe(t, store, "g")
	publish(t, other, 1)
	assert.Equal(t, 1, next(t, got))
	_, err := pool.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
	require.NoError(t, err)
	publishPatiently(t, other, 2)
	assert.Equal(t, 2, next(t, got))
}

// TestPreparedTransaction holds up what is behind it, also over a restart, and is not lost.
func TestPreparedTransaction(t *testing.T) {
	s := ownServer(t)
	pool := connectTo(t, s, "")
	store := openStore(t, pool)
	got, _ := subscribe(t, store, "g")
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "begin")
	require.NoError(t, err)
	publish(t, store.PgxTx(conn), 1)
	publish(t, store, 2)
	require.Eventually(t, func() bool { held, _, _ := store.HeldUp(t.Context()); return held > 0 }, 30*time.Second, time.Millisecond)
	_, err = conn.Exec(t.Context(), "prepare transaction 'later'")
	require.NoError(t, err)
	conn.Release()
	publish(t, store, 3)
	isHeld := func() {
		time.Sleep(300 * time.Millisecond) // more than one look
		_, holder, err := store.HeldUp(t.Context())
		require.NoError(t, err)
		assert.Contains(t, holder, "prepared transaction later")
		assert.Empty(t, got)
	}
	isHeld()
	s.end(syscall.SIGQUIT)
	require.NoError(t, s.launch())
	publishPatiently(t, store, 4)
	isHeld()
	_, err = pool.Exec(t.Context(), "commit prepared 'later'")
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2, 3, 4}, []int{next(t, got), next(t, got), next(t, got), next(t, got)})
}

// TestSequenceSetBack while the store is open is an error that says what to do.
func TestSequenceSetBack(t *testing.T) {
	pool := connectTo(t, needServer(t), "")
	schema := newSchema(t)
	store := openStore(t, pool, postgres.WithSchema(schema))
	r, err := store.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Minute, MaxInFlight: 10})
	require.NoError(t, err)
	publish(t, store, 1, 2, 3)
	for claimed := 0; claimed < 3; {
		got, err := r.Receive(t.Context(), 3)
		require.NoError(t, err)
		claimed += len(got)
	}
	_, err = pool.Exec(t.Context(), fmt.Sprintf("select setval('%s.events_message_id', 1)", schema))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := r.Receive(ctx, 1)
		return err != nil && !errors.Is(err, context.DeadlineExceeded) && assert.ErrorContains(t, err, "execute select setval")
	}, 30*time.Second, time.Millisecond)
	_, err = pool.Exec(t.Context(), fmt.Sprintf("select setval('%s.events_message_id', 3)", schema))
	require.NoError(t, err)
	publish(t, store, 4)
	require.Eventually(t, func() bool {
		got, err := r.Receive(t.Context(), 1)
		return err == nil && len(got) == 1
	}, 30*time.Second, time.Millisecond)
}

// TestOpenWithFewRights works where the tables are there.
func TestOpenWithFewRights(t *testing.T) {
	s := needServer(t)
	pool := connectTo(t, s, "")
	schema := newSchema(t)
	require.NoError(t, postgres.Migrate(t.Context(), pool, postgres.WithSchema(schema)))
	for _, statement := range []string{
		"create role clerk login",
		"grant usage on schema %s to clerk",
		"grant select, insert, update, delete on all tables in schema %s to clerk",
		"grant usage, select on all sequences in schema %s to clerk",
	} {
		if len(statement) > 30 {
			statement = fmt.Sprintf(statement, schema)
		}
		_, err := pool.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	clerk, err := pgxpool.New(t.Context(), fmt.Sprintf("postgres://clerk@127.0.0.1:%d/postgres?sslmode=disable", s.port))
	require.NoError(t, err)
	t.Cleanup(clerk.Close)
	store := openStore(t, clerk, postgres.WithSchema(schema))
	got, _ := subscribe(t, store, "g", durable.WithOrderByKey())
	publish(t, store, 1)
	assert.Equal(t, 1, next(t, got))
	_, err = store.Sweep(t.Context())
	require.NoError(t, err)
}

// TestManyOpenAtOnce has all of them make the tables.
func TestManyOpenAtOnce(t *testing.T) {
	pool := connectTo(t, needServer(t), "pool_max_conns=8")
	schema := newSchema(t)
	errs := make(chan error)
	for range 8 {
		go func() { errs <- postgres.Migrate(context.Background(), pool, postgres.WithSchema(schema)) }()
	}
	for range 8 {
		require.NoError(t, <-errs)
	}
}
