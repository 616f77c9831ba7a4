// Package pgserver starts PostgreSQL servers for tests, on loopback and in a folder of
// their own.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a server with a cluster of its own, or a pooler before one.
type Server struct {
	folder, binaries string
	port             int
	credential       *syscall.Credential // whom it runs as, or nil for ourselves
	process          *exec.Cmd
}

// New makes a cluster and starts it. It returns [exec.ErrNotFound] where PostgreSQL is not
// installed.
func New() (*Server, error) {
	s := &Server{}
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
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

func (s *Server) start() (err error) {
	if os.Getuid() == 0 { // it does not run as root
		if err := s.runAs("postgres"); err != nil {
			return err
		}
	}
	if err := s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync").Run(); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	return s.Launch()
}

func (s *Server) runAs(name string) error {
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

func freePort() (int, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return free.Addr().(*net.TCPAddr).Port, free.Close()
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

func (s *Server) command(name string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.binaries, name), arguments...)
	c.Dir, c.Stderr = s.folder, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGINT}
	return c
}

// Launch starts a server that was ended, and waits until it takes connections.
func (s *Server) Launch() error {
	return s.launch("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_prepared_transactions=10", "-c", "max_connections=300")
}

func (s *Server) launch(name string, arguments ...string) error {
	log, err := os.OpenFile(filepath.Join(s.folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	s.process = s.command(name, arguments...)
	s.process.Stderr = log
	if err := errors.Join(s.process.Start(), log.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL("default_query_exec_mode=exec"))
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%w\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// End ends the server: with SIGINT in an orderly way, with SIGQUIT as a crash would.
func (s *Server) End(how os.Signal) {
	if s.process != nil {
		_ = s.process.Process.Signal(how)
		_ = s.process.Wait()
		s.process = nil
	}
}

// MakeStandby starts the server anew as one that follows another.
func (s *Server) MakeStandby() error {
	s.End(syscall.SIGINT)
	if err := os.WriteFile(filepath.Join(s.data(), "standby.signal"), nil, 0o600); err != nil {
		return err
	}
	return s.Launch()
}

// BehindPooler starts a pgbouncer in transaction mode before the server. It returns
// [exec.ErrNotFound] where that is not installed.
func (s *Server) BehindPooler() (*Server, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		return nil, exec.ErrNotFound
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf(`[databases]
* = user=postgres host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
max_client_conn = 500
`, s.port, port)
	file := filepath.Join(s.folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(settings), 0o644); err != nil {
		return nil, err
	}
	pooler := &Server{folder: s.folder, binaries: filepath.Dir(path), port: port, credential: s.credential}
	return pooler, pooler.launch("pgbouncer", file)
}

// Remove ends the server and removes its folder.
func (s *Server) Remove() error {
	s.End(syscall.SIGINT)
	return os.RemoveAll(s.folder)
}

// URL is how to connect, with options as of a query string.
func (s *Server) URL(options string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&%s", s.port, options)
}
