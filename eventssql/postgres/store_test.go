package postgres_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
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
		return store
	})
}

// openStore opens a store in a schema of its own.
func openStore(t testing.TB, pool *pgxpool.Pool, options ...postgres.Option) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), pool, append([]postgres.Option{quiet(), postgres.WithSchema(newSchema(t))}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close(context.Background())) })
	return store
}
