package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/durabletest"
)

// Receipt is the payload of the examples.
type Receipt struct{ Order string }

var ReceiptDue = events.NewTopic[Receipt]("receipt.due")

func Example() {
	ctx := context.Background()
	store := durabletest.NewMemory() // a program has a database or a broker here
	sent := make(chan struct{})
	sub, err := durable.Subscribe(ctx, store, ReceiptDue, "mail", func(ctx context.Context, r Receipt) error {
		fmt.Println("receipt for", r.Order)
		close(sent)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := durable.Publish(ctx, store, ReceiptDue, Receipt{"A-1"}); err != nil {
		fmt.Println(err)
	}
	<-sent
	fmt.Println("closed:", sub.Close(ctx))
	// Output:
	// receipt for A-1
	// closed: <nil>
}

func ExampleSubscribe_retry() {
	ctx := context.Background()
	store := durabletest.NewMemory()
	done := make(chan struct{})
	sub, err := durable.Subscribe(ctx, store, ReceiptDue, "mail", func(ctx context.Context, r Receipt) error {
		attempt := durable.FromContext(ctx).Attempt
		fmt.Println("attempt", attempt)
		if attempt == 1 {
			return durable.RetryAfter(errors.New("the mail server is busy"), 10*time.Millisecond)
		}
		close(done)
		return nil
	}, durable.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = durable.Publish(ctx, store, ReceiptDue, Receipt{"A-1"})
	<-done
	_ = sub.Close(ctx)
	// Output:
	// attempt 1
	// attempt 2
}

func ExampleDeadLettersOf() {
	ctx := context.Background()
	store := durabletest.NewMemory()
	broken, handled := true, make(chan error)
	sub, _ := durable.Subscribe(ctx, store, ReceiptDue, "mail", func(ctx context.Context, r Receipt) error {
		if broken {
			return events.Permanent(errors.New("no address"))
		}
		fmt.Println("receipt for", r.Order)
		return nil
	}, durable.WithLogger(slog.New(slog.DiscardHandler)), durable.WithObserver(func(o durable.Observation) { handled <- o.Err }))
	_ = durable.Publish(ctx, store, ReceiptDue, Receipt{"A-1"})
	<-handled

	letters, _ := durable.DeadLettersOf(store)
	list, _ := letters.List(ctx, ReceiptDue.Name(), "mail", "", 10)
	for _, letter := range list {
		fmt.Printf("%s after %d attempt: %s\n", letter.Data, letter.Attempts, letter.Reason)
	}
	broken = false
	n, _ := letters.Redrive(ctx, ReceiptDue.Name(), "mail", list[0].Ref)
	<-handled
	fmt.Println("redriven:", n)
	_ = sub.Close(ctx)
	// Output:
	// {"Order":"A-1"} after 1 attempt: no address
	// receipt for A-1
	// redriven: 1
}
