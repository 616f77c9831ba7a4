package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
	"github.com/typedbus/events/eventssql/sqlite"
)

func quiet() sqlite.Option { return sqlite.WithLogger(slog.New(slog.DiscardHandler)) }

func TestConformance(t *testing.T) {
	durabletest.Run(t, func(t *testing.T) durable.Engine {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), quiet())
		require.NoError(t, err)
		return store
	})
}
