package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
)

func publishMuch(t *testing.T, s *Store) {
	t.Helper()
	for range 20 {
		require.NoError(t, s.Publish(t.Context(), durable.Message{ID: "1", Topic: "t", Data: make([]byte, 10_000)}))
	}
}

// TestLongLog is moved into the database, and warned of while a read stays open.
func TestLongLog(t *testing.T) {
	var warnings bytes.Buffer
	path := filepath.Join(t.TempDir(), "events.db")
	s, err := Open(t.Context(), path, WithLogger(slog.New(slog.NewTextHandler(&warnings, nil))))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close(context.Background())) })
	w := &wal{store: s, path: path + "-wal", limit: 100_000}

	read, err := s.db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var n int
	require.NoError(t, read.QueryRowContext(t.Context(), "select count(*) from events_message").Scan(&n))
	publishMuch(t, s)
	for range 2 { // one warning is enough for a while
		require.NoError(t, w.check(t.Context()))
	}
	assert.Equal(t, 1, bytes.Count(warnings.Bytes(), []byte("a read transaction stays open")))

	require.NoError(t, read.Rollback())
	w.warned = w.warned.Add(-walSilence)
	require.NoError(t, w.check(t.Context()))
	assert.Equal(t, 1, bytes.Count(warnings.Bytes(), []byte("\n")), "%s", &warnings)
}

// TestWriterThatIsStuckInATransaction gets another connection.
func TestWriterThatIsStuckInATransaction(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close(context.Background())) })
	publishMuch(t, s)
	_, err = s.writer.conn.ExecContext(t.Context(), "begin immediate") // while the writer has nothing to do
	require.NoError(t, err)
	require.ErrorContains(t, s.Publish(t.Context(), durable.Message{ID: "1", Topic: "t"}), "within a transaction")
	publishMuch(t, s)
}
