// Idempotent takes payments from a provider that sends each of them at least
// once: until it has seen an answer, it sends again. Handlers remember what
// they have done, each for itself, so that a repetition reaches only those
// that failed before.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

type Payment struct {
	ID    string
	Cents int
}

var PaymentReceived = events.NewTopic[Payment]("payment.received")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "idempotent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New()
	balance, mailDown := 0, true

	// A typed handler is known by its payload.
	_, book := PaymentReceived.Subscribe(bus, once(24*time.Hour, func(p Payment) string { return p.ID },
		func(_ context.Context, p Payment) error {
			balance += p.Cents
			log.Printf("   booked %s", p.ID)
			return nil
		}), events.WithName("book"))

	// A middleware serves any payload, and goes by the number of the message
	// that brought the event.
	_, thank := PaymentReceived.Subscribe(bus, func(_ context.Context, p Payment) error {
		if mailDown {
			return errors.New("mail is down")
		}
		log.Printf("   thanked for %s", p.ID)
		return nil
	}, events.WithName("thank"), events.WithMiddleware(Deduplicate(24*time.Hour)))
	if err := errors.Join(book, thank); err != nil {
		return err
	}

	receive := func(message string, payment Payment) {
		log.Printf("message %s: payment %s", message, payment.ID)
		if err := PaymentReceived.Publish(withMessage(ctx, message), bus, payment); err != nil {
			log.Printf("   to be sent again: %v", err)
			return
		}
		log.Print("   done")
	}
	p1, p2 := Payment{ID: "P1", Cents: 3990}, Payment{ID: "P2", Cents: 850}
	receive("m-71", p1)
	mailDown = false
	receive("m-71", p1)
	receive("m-72", p2)
	receive("m-71", p1)
	log.Printf("balance %d.%02d", balance/100, balance%100)
	return bus.Close(ctx)
}
