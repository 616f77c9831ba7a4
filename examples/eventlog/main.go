// Eventlog records events in two ways that answer two questions. A handler for
// all names writes what happened, one JSON object a line; the Logging
// middleware writes how each handler fared.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/typedbus/events"
)

type User struct {
	ID    int    `json:"id"`
	Email string `json:"email"`
}

type Invoice struct {
	Number string `json:"number"`
	User   int    `json:"user"`
	Cents  int    `json:"cents"`
}

var (
	UserCreated   = events.NewTopic[User](events.EventUserCreated)
	InvoiceIssued = events.NewTopic[Invoice]("invoice.issued")
)

func main() {
	if err := run(context.Background(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "eventlog:", err)
		os.Exit(1)
	}
}

// run writes the events to journal and the handling of them to diary.
func run(ctx context.Context, journal, diary io.Writer) error {
	bus := events.New()
	logged := events.WithMiddleware(events.Logging(slog.New(slog.NewTextHandler(diary, nil))))

	_, welcome := UserCreated.Subscribe(bus, func(_ context.Context, user User) error {
		if user.Email == "" {
			return errors.New("no address to write to")
		}
		return nil
	}, logged, events.WithName("welcome"))
	_, invoice := UserCreated.Subscribe(bus, func(ctx context.Context, user User) error {
		return InvoiceIssued.Publish(ctx, bus, Invoice{Number: fmt.Sprintf("2031-%03d", user.ID), User: user.ID, Cents: 900})
	}, logged, events.WithName("invoice"))

	// Before all others: the cause comes before the events that its handlers
	// publish.
	_, all := bus.Subscribe(">", newRecorder(journal).record, events.WithPriority(100))
	if err := errors.Join(welcome, invoice, all); err != nil {
		return err
	}

	published := errors.Join(
		UserCreated.Publish(ctx, bus, User{ID: 1, Email: "ada@example.com"}),
		bus.Dispatch(ctx, events.Event{Name: events.EventSystemStarted}),
		bus.Dispatch(ctx, events.Event{Name: "disk.low", Data: map[string]any{"free": "3%"}}),
	)
	if published != nil {
		return published
	}
	// The events are recorded and their handling is logged, also when it fails.
	if err := UserCreated.Publish(ctx, bus, User{ID: 2}); err == nil {
		return errors.New("a user without an address was welcomed")
	}
	return bus.Close(ctx)
}
