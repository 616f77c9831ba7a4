package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// server is a PostgreSQL server of the tests' own, on loopback.
type server struct {
	folder, binaries string
	port             int
	credential       *syscall.Credential // whom it runs as, or nil for ourselves
	process          *exec.Cmd
}

// theServer is what all tests share that do not end it. Each has a schema of its own.
var theServer *server

// noServer is why there is none, on a machine without PostgreSQL.
var noServer string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	s, err := newServer()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		noServer = "PostgreSQL is not installed: its engine is not tested"
	case err != nil:
		fmt.Fprintln(os.Stderr, "start PostgreSQL:", err)
		return 1
	default:
		defer s.remove()
		theServer = s
	}
	return m.Run()
}

// newServer makes a cluster and starts it.
func newServer() (*server, error) {
	s := &server{}
	path, err := exec.LookPath("initdb")
	if err != nil {
		installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(installed) == 0 {
			return nil, exec.ErrNotFound
		}
		path = installed[len(installed)-1]
	}
	s.binaries = filepath.Dir(path)
	if s.folder, err = os.MkdirTemp("", "events-postgres-"); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *server) start() error {
	if os.Getuid() == 0 { // it does not run as root
		if err := s.runAs("postgres"); err != nil {
			return err
		}
	}
	if err := s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync").Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return err
	}
	return s.launch()
}

func (s *server) runAs(name string) error {
	account, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return err
	}
	s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.folder, uid, gid)
}

func (s *server) data() string { return filepath.Join(s.folder, "data") }

func (s *server) command(name string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.binaries, name), arguments...)
	c.Dir, c.Stderr = s.folder, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGINT}
	return c
}

// launch starts the server and waits until it takes connections.
func (s *server) launch() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	s.process = s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_prepared_transactions=10", "-c", "max_connections=300")
	s.process.Stderr = log
	err = s.process.Start()
	if err = errors.Join(err, log.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url(""))
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(filepath.Join(s.folder, "log"))
			return fmt.Errorf("%w\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// end ends the server: SIGINT in an orderly way, SIGQUIT as a crash would.
func (s *server) end(how os.Signal) {
	if s.process != nil {
		_ = s.process.Process.Signal(how)
		_ = s.process.Wait()
		s.process = nil
	}
}

func (s *server) remove() {
	s.end(syscall.SIGINT)
	_ = os.RemoveAll(s.folder)
}

func (s *server) url(options string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&%s", s.port, options)
}

func connectTo(t testing.TB, s *server, options string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), s.url(options))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// needServer skips the test where there is no PostgreSQL.
func needServer(t testing.TB) *server {
	t.Helper()
	if theServer == nil {
		t.Skip(noServer)
	}
	return theServer
}

var schemas atomic.Int64

// newSchema returns the name of a schema that is not there.
func newSchema(t testing.TB) string {
	t.Helper()
	return fmt.Sprint("s", schemas.Add(1), strings.ToLower(t.Name())[:min(10, len(t.Name()))])
}
