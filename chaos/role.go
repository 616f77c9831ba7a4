package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// job is what a process of the rig is told to do.
type job struct {
	Role    string // publisher, worker, relay or server
	Name    string // of the process, which no other has
	Engine  string
	Address string
	Folder  string // of the ledgers
	Seed    uint64

	Lease    time.Duration
	Groups   []string      // that a worker subscribes to, or none for all
	Prefetch int           // of a worker
	Attempts int           // of a worker
	Length   time.Duration // of a worker's handlers, at most
	Long     time.Duration // of a few of them, or 0
	Careless bool          // a worker closes with the context that its signal has ended
	Pause    time.Duration // of a publisher, between events, on the average
	Hold     time.Duration // how long a publisher's transaction stays open at most
	Stubborn bool          // it always stays open for that long
	Outbox   string        // of a relay: the database that it forwards from
}

// actor is a process at its job.
type actor struct {
	job
	store  store
	ledger *ledger
	random *rand.Rand // of the goroutine that has made the actor
}

// patience is how long a process waits for what it has begun.
const patience = 20 * time.Second

// act is the main function of a process that the director has started. It ends when it is
// asked to by SIGTERM, and when the director is gone, whose end of the pipe to its
// standard input is closed then.
func act(text string) error {
	var a actor
	if err := json.Unmarshal([]byte(text), &a.job); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	signal.Ignore(os.Interrupt) // the terminal's is for the director
	if a.Role == serverRole {
		return serveJetStream(ctx, a.Folder, a.Address)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3) // nobody waits for what it would say
	}()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	slog.Info("begin", "process", a.Name, "pid", os.Getpid())
	var err error
	if a.ledger, err = openLedger(a.Folder, a.Name); err != nil {
		return err
	}
	a.random = rand.New(rand.NewPCG(a.Seed, 1))
	work := map[string]func(context.Context) error{"publisher": a.publish, "worker": a.work, "relay": a.forward}[a.Role]
	switch a.store, err = a.open(ctx); {
	case ctx.Err() != nil && err != nil: // it was asked to end before it has begun
	case err != nil:
		return err
	default:
		err = work(ctx)
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		a.complain("", a.store.shut(closing))
		if err != nil {
			return err
		}
	}
	return a.ledger.close()
}

// open opens the store, as often as it takes.
func (a *actor) open(ctx context.Context) (s store, err error) {
	err = a.insist(ctx, "", func() (err error) {
		s, err = engineOf(a.Engine).open(ctx, a.Address)
		return err
	})
	return s, err
}

// insist does something again and again until it succeeds, for as long as patience lasts:
// the database may be away.
func (a *actor) insist(ctx context.Context, group string, do func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := do()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		a.complain(group, err)
		time.Sleep(100 * time.Millisecond)
	}
}

// complain notes an error that may be the price of what the rig does.
func (a *actor) complain(group string, err error) {
	if err != nil {
		a.ledger.write(entry{Kind: isComplaint, Group: group, Note: err.Error()})
	}
}
