package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/eventsnats"
)

// serverRole is that of a process with the server in it.
const serverRole = "server"

// serveJetStream is a server with its files in a folder, until ctx is done. SIGUSR1 has it
// cut the connections of its clients.
func serveJetStream(ctx context.Context, folder, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return err
	}
	s, err := natsserver.NewServer(&natsserver.Options{Host: u.Hostname(), Port: port, JetStream: true, StoreDir: folder, NoSigs: true})
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	cut := make(chan os.Signal, 1)
	signal.Notify(cut, syscall.SIGUSR1)
	for {
		select {
		case <-cut:
			connections, err := s.Connz(&natsserver.ConnzOptions{})
			if err != nil {
				return err
			}
			for _, c := range connections.Conns {
				_ = s.DisconnectClientByID(c.Cid) // it may have gone by itself
			}
		case <-ctx.Done():
			s.Shutdown()
			s.WaitForShutdown()
			return nil
		}
	}
}

// jetstreamServer is a process with the server in it, which keeps its folder and its port
// over restarts.
type jetstreamServer struct {
	folder, address string
	process         *exec.Cmd
	stdin           io.Closer // the process ends with it
	waiter          sync.WaitGroup
}

func startJetStream(ctx context.Context, folder string) (*jetstreamServer, error) {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &jetstreamServer{folder: folder, address: "nats://" + free.Addr().String()}
	if err := free.Close(); err != nil {
		return nil, err
	}
	if err := s.restart(ctx); err != nil {
		return nil, errors.Join(err, s.kill())
	}
	return s, nil
}

// restart starts the server, and waits until its streams are there.
func (s *jetstreamServer) restart(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := s.try(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

func (s *jetstreamServer) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	nc, err := nats.Connect(s.address)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return eventsnats.Migrate(ctx, js)
}

func (s *jetstreamServer) launch() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(job{Role: serverRole, Folder: s.folder, Address: s.address})
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.folder, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.process = exec.Command(program, actArgument, string(text))
	s.process.Stdout, s.process.Stderr = log, log
	if s.stdin, err = s.process.StdinPipe(); err == nil {
		err = s.process.Start()
	}
	if err != nil {
		_ = log.Close() // nothing is in it
		return err
	}
	process := s.process
	s.waiter.Go(func() {
		_ = process.Wait() // however it ends
		_ = log.Close()    // of no more use
	})
	return nil
}

func (s *jetstreamServer) kill() error {
	if s.process == nil {
		return nil
	}
	_ = s.process.Process.Kill() // it may have ended
	s.waiter.Wait()
	return nil
}

func (s *jetstreamServer) cut(context.Context) error {
	return s.process.Process.Signal(syscall.SIGUSR1)
}

func (s *jetstreamServer) stop() error { return s.kill() }
