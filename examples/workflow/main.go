// Workflow takes orders through stock, payment and shipping. Every step
// handles the event of the one before and publishes its own, and a step that
// cannot be done publishes what has the others undo theirs:
//
//	order.placed ──▶ stock.reserved ──▶ payment.taken ──▶ order.shipped
//	     │                 ▼                  ▼
//	     │           payment.failed     shipping.failed
//	     │                 │                  ▼
//	     │                 │            payment.refunded
//	     │                 ▼                  │
//	     │           stock.released ◀─────────┘
//	     ▼                 │
//	order.cancelled ◀──────┘
//
// A refusal is part of the business and travels as an event. An error is for
// what the workflow has no answer to; it stops the order where it is and goes
// to the error handler.
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

type Order struct {
	ID       string
	SKU      string
	Cents    int
	Card     string
	Shipping string // country
}

// Refusal is an order with the reason why it will not be shipped.
type Refusal struct {
	Order  Order
	Reason string
}

var (
	OrderPlaced     = events.NewTopic[Order]("order.placed")
	StockReserved   = events.NewTopic[Order]("stock.reserved")
	PaymentTaken    = events.NewTopic[Order]("payment.taken")
	OrderShipped    = events.NewTopic[Order]("order.shipped")
	PaymentFailed   = events.NewTopic[Refusal]("payment.failed")
	ShippingFailed  = events.NewTopic[Refusal]("shipping.failed")
	PaymentRefunded = events.NewTopic[Refusal]("payment.refunded")
	StockReleased   = events.NewTopic[Refusal]("stock.released")
	OrderCancelled  = events.NewTopic[Refusal]("order.cancelled")
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "workflow:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	history := newHistory()
	bus := events.New(events.WithErrorHandler(history.stopped))
	warehouse := &warehouse{bus: bus, stock: map[string]int{"KETTLE": 3, "MUG": 1}}
	bank := &bank{bus: bus}
	carrier := &carrier{bus: bus}

	err := errors.Join(warehouse.subscribe(bus), bank.subscribe(bus), carrier.subscribe(bus), history.subscribe(bus))
	if err != nil {
		return err
	}
	for _, order := range []Order{
		{ID: "1", SKU: "KETTLE", Cents: 3990, Card: "valid", Shipping: "FR"},
		{ID: "2", SKU: "GRINDER", Cents: 11900, Card: "valid", Shipping: "DE"},
		{ID: "3", SKU: "KETTLE", Cents: 3990, Card: "declined", Shipping: "SE"},
		{ID: "4", SKU: "MUG", Cents: 850, Card: "valid", Shipping: "AQ"},
		{ID: "5", SKU: "KETTLE", Cents: 3990, Card: "unreadable", Shipping: "IT"},
	} {
		if err := OrderPlaced.PublishAsync(ctx, bus, order); err != nil {
			return err
		}
	}

	// The orders are under way. The bus takes no new ones from here on, but
	// lets each of these take its remaining steps.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := bus.Close(ctx); err != nil {
		return err
	}
	history.print(log)
	log.Printf("in stock: %d KETTLE, %d MUG; in the bank: %d.%02d",
		warehouse.stock["KETTLE"], warehouse.stock["MUG"], bank.cents/100, bank.cents%100)
	return nil
}
