package postgres_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/eventssql/internal/pgserver"
)

// theServer is what all tests share that do not end it. Each has a schema of its own.
var theServer *pgserver.Server

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	s, err := pgserver.New()
	switch {
	case err == nil:
		theServer = s
		defer func() { _ = s.Remove() }()
	case !errors.Is(err, exec.ErrNotFound):
		fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
		return 1
	}
	return m.Run()
}

// needServer skips the test where there is no PostgreSQL.
func needServer(t testing.TB) *pgserver.Server {
	t.Helper()
	if theServer == nil {
		t.Skip("PostgreSQL is not installed: its engine is not tested")
	}
	return theServer
}

// ownServer is a server that the test may end.
func ownServer(t *testing.T) *pgserver.Server {
	t.Helper()
	needServer(t)
	s, err := pgserver.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Remove()) })
	return s
}

// needPooler skips the test where there is no pgbouncer.
func needPooler(t *testing.T) *pgserver.Server {
	t.Helper()
	pooler, err := needServer(t).BehindPooler()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("pgbouncer is not installed: what it changes is not tested")
	}
	require.NoError(t, err)
	t.Cleanup(func() { pooler.End(syscall.SIGQUIT) })
	return pooler
}

func connectTo(t testing.TB, s *pgserver.Server, options string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), s.URL(options))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

var schemas atomic.Int64

// newSchema returns the name of a schema that is not there.
func newSchema(t testing.TB) string {
	t.Helper()
	return fmt.Sprint("s", schemas.Add(1), strings.ToLower(t.Name())[:min(10, len(t.Name()))])
}
