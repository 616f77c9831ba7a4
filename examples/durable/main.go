// Command durable is a shop whose events outlive its processes. An order and its
// event are committed in one transaction, a worker in a process of its own sends the
// receipts, and is killed while it is at work. Another one goes on where it was.
//
//	go run .
//
// The database is a SQLite file in a temporary folder; there is nothing to install.
package main

import (
	"context"
	"database/sql"
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

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 4 && os.Args[1] == "worker" {
		err = work(ctx, os.Stdout, os.Args[2], os.Args[3])
	} else {
		err = demonstrate(ctx, os.Stdout)
	}
	if err != nil {
		slog.Error("durable", "error", err)
		os.Exit(1)
	}
}

// orders is how many orders are placed. Each fifth is rolled back.
const orders = 15

func demonstrate(ctx context.Context, out io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "durable")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	path := filepath.Join(folder, "shop.db")
	s, err := openShop(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	// The groups are made before anybody publishes, as a deployment does.
	if err := durable.Declare(ctx, s.store, OrderPaid.Name(), receipts); err != nil {
		return err
	}
	if err := placeOrders(ctx, out, s); err != nil {
		return err
	}
	first, err := startWorker(ctx, out, path, "1")
	if err != nil {
		return err
	}
	if err := s.awaitReceipts(ctx, 4); err != nil {
		return err
	}
	if err := first.Process.Kill(); err != nil { // as kill -9 does
		return err
	}
	_ = first.Wait() // it says that it was killed
	fmt.Fprintln(out, "         worker 1 killed while it was at work")

	second, err := startWorker(ctx, out, path, "2")
	if err != nil {
		return err
	}
	committed := orders - orders/5
	if err := s.awaitReceipts(ctx, committed); err != nil {
		return err
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := second.Wait(); err != nil {
		return err
	}
	return s.report(ctx, out, committed)
}

func placeOrders(ctx context.Context, out io.Writer, s *shop) error {
	errCardRefused := errors.New("card refused")
	for id := 1; id <= orders; id++ {
		var refusal error
		if id%5 == 0 {
			refusal = errCardRefused
		}
		switch err := s.placeOrder(ctx, Order{ID: id, Cents: int64(id) * 995}, refusal); {
		case errors.Is(err, errCardRefused):
			fmt.Fprintf(out, "shop     order %d rolled back, and its event with it\n", id)
		case err != nil:
			return err
		default:
			fmt.Fprintf(out, "shop     order %d committed, and its event with it\n", id)
		}
	}
	return nil
}

// startWorker starts this program as a worker.
func startWorker(ctx context.Context, out io.Writer, path, name string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	worker := exec.CommandContext(ctx, program, "worker", path, name)
	worker.Stdout, worker.Stderr = out, os.Stderr
	return worker, worker.Start()
}

// work sends receipts until ctx is done.
func work(ctx context.Context, out io.Writer, path, name string) error {
	s, err := openShop(ctx, path)
	if err != nil {
		return err
	}
	sub, err := durable.Subscribe(ctx, s.store, OrderPaid, receipts, s.sendReceipt(out, name),
		durable.WithLease(time.Second), // so that the next worker need not wait for long
		durable.WithPrefetch(2),
	)
	if err != nil {
		return errors.Join(err, s.close())
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err = sub.Close(closing)
	fmt.Fprintf(out, "worker %s stopped, after %d receipts\n", name, sub.Stats().Handled)
	return errors.Join(err, s.close())
}

// openDB opens the shop's own database, which its events are in, too.
func openDB(path string) (*sql.DB, error) { return sql.Open("sqlite", sqlite.DSN(path)) }
