// Command jetstream is a shop with two workers, each a process of its own, that share the
// receipts of its orders through a NATS server. One worker is killed while it is at work,
// and the other takes over what it had. An order without an address becomes a dead letter,
// and is handled when the address is known and it was redriven.
//
//	go run .
//
// The server is part of the program, and keeps its files in a temporary folder; there is
// nothing to install.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/typedbus/events/durable"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 5 && os.Args[1] == "worker" {
		err = work(ctx, os.Stdout, os.Args[2], os.Args[3], os.Args[4])
	} else {
		err = demonstrate(ctx, os.Stdout)
	}
	if err != nil {
		slog.Error("jetstream", "error", err)
		os.Exit(1)
	}
}

// orders is how many orders are placed. One has no address.
const (
	orders  = 12
	unknown = 7
)

func demonstrate(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	folder, err := os.MkdirTemp("", "jetstream")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	broker, err := startServer(folder)
	if err != nil {
		return err
	}
	defer func() {
		broker.Shutdown()
		broker.WaitForShutdown()
	}()
	s, err := openShop(ctx, broker.ClientURL(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := durable.Declare(ctx, s.engine, OrderPaid.Name(), receipts); err != nil {
		return err
	}
	done, err := s.countReceipts(out)
	if err != nil {
		return err
	}
	book := filepath.Join(folder, "addresses")
	workers := make([]*exec.Cmd, 2)
	for i := range workers {
		if workers[i], err = startWorker(ctx, out, broker.ClientURL(), fmt.Sprint(i+1), book); err != nil {
			return err
		}
	}
	for id := 1; id <= orders; id++ {
		if err := durable.Publish(ctx, s.engine, OrderPaid, Order{ID: id, Cents: int64(id) * 995}); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "shop     %d orders paid\n", orders)
	if err := await(ctx, done, 4); err != nil {
		return err
	}
	if err := workers[0].Process.Kill(); err != nil { // as kill -9 does
		return err
	}
	_ = workers[0].Wait() // it says that it was killed
	fmt.Fprintln(out, "         worker 1 killed while it was at work")
	if err := await(ctx, done, orders-1); err != nil {
		return err
	}
	if err := s.redrive(ctx, out, book); err != nil {
		return err
	}
	if err := await(ctx, done, orders); err != nil {
		return err
	}
	if err := workers[1].Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := workers[1].Wait(); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d orders, and a receipt for each of them\n", orders)
	return nil
}

func startServer(folder string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: folder, NoLog: true, NoSigs: true})
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("the server is not ready")
	}
	return s, nil
}

// startWorker starts this program as a worker.
func startWorker(ctx context.Context, out io.Writer, address, name, book string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	worker := exec.CommandContext(ctx, program, "worker", address, name, book)
	worker.Stdout, worker.Stderr = out, os.Stderr
	return worker, worker.Start()
}

// await waits until receipts for n orders are there. The numbers of those that are come
// from the channel.
func await(ctx context.Context, done <-chan int, n int) error {
	for {
		select {
		case there := <-done:
			if there >= n {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// work sends receipts until ctx is done.
func work(ctx context.Context, out io.Writer, address, name, book string) error {
	s, err := openShop(ctx, address, false)
	if err != nil {
		return err
	}
	sub, err := durable.Subscribe(ctx, s.engine, OrderPaid, receipts, s.sendReceipt(name, book),
		durable.WithLease(time.Second), // so that the other worker need not wait for long
		durable.WithPrefetch(2),
	)
	if err != nil {
		return errors.Join(err, s.close())
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = sub.Close(closing)
	fmt.Fprintf(out, "worker %s stopped\n", name)
	return errors.Join(err, s.close())
}

func connect(address string) (*nats.Conn, error) {
	return nats.Connect(address, nats.MaxReconnects(-1))
}
