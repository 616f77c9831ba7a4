package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// postgresServer is a PostgreSQL server on loopback, which keeps its folder and its port
// over restarts.
type postgresServer struct {
	binaries, folder string
	port             int
	credential       *syscall.Credential // whom it runs as, or nil for ourselves

	process *exec.Cmd
	over    chan struct{} // closed when the process has ended
	waiter  sync.WaitGroup
}

func postgresBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(installed) == 0 {
		return "", exec.ErrNotFound
	}
	return filepath.Dir(installed[len(installed)-1]), nil
}

func startPostgres(ctx context.Context, folder string) (s *postgresServer, err error) {
	s = &postgresServer{folder: folder}
	if s.binaries, err = postgresBinaries(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // as whom it does not run
		if err := s.runAs("postgres"); err != nil {
			return nil, err
		}
	}
	initialize := s.command("initdb", "-D", s.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
	if out, err := initialize.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return nil, err
	}
	if err := s.restart(ctx); err != nil {
		_ = s.kill() // nothing is lost
		return nil, err
	}
	return s, nil
}

// runAs has the server run as somebody else, who must be able to get to its folder.
func (s *postgresServer) runAs(name string) error {
	account, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	if err := os.Chmod(filepath.Dir(s.folder), 0o755); err != nil {
		return err
	}
	return os.Chown(s.folder, int(uid), int(gid))
}

func (s *postgresServer) data() string { return filepath.Join(s.folder, "data") }

func (s *postgresServer) address() string { return s.addressAt(s.port) }

func (s *postgresServer) addressAt(port int) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
}

func (s *postgresServer) command(name string, arguments ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.binaries, name), arguments...)
	c.Dir = s.folder
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Setpgid: true}
	return c
}

// launch starts the process of the server.
func (s *postgresServer) launch() error {
	log, err := os.OpenFile(filepath.Join(s.folder, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.process = s.command("postgres", "-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_prepared_transactions=10", "-c", "max_connections=300")
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		_ = log.Close() // nothing is in it
		return err
	}
	process, over := s.process, make(chan struct{})
	s.over = over
	s.waiter.Go(func() {
		defer close(over)
		_ = process.Wait() // however it ends
		_ = log.Close()    // of no more use
	})
	return nil
}

func (s *postgresServer) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// kill ends the server and the processes of its connections, which are in groups of their
// own, with SIGKILL.
func (s *postgresServer) kill() error {
	if s.process == nil {
		return nil
	}
	pid := s.process.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = syscall.Kill(-pid, syscall.SIGKILL) // it may have ended
	for child := range strings.FieldsSeq(string(children)) {
		if number, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(number, syscall.SIGKILL) // it may have ended
		}
	}
	s.waiter.Wait()
	return err
}

// stop ends the server when nobody needs what it has any more.
func (s *postgresServer) stop() error {
	_ = s.kill() // that it is over already is no failure
	return nil
}
