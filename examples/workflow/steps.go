package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/typedbus/events"
)

// Handlers publish with the context they were given: it is by this that a bus
// which is closing knows an order under way from a new one.

type warehouse struct {
	bus   *events.Bus
	mu    sync.Mutex // guards stock
	stock map[string]int
}

func (w *warehouse) subscribe(bus *events.Bus) error {
	_, reserve := OrderPlaced.Subscribe(bus, w.reserve, events.WithName("reserve"))
	_, unpaid := PaymentFailed.Subscribe(bus, w.release, events.WithName("release"))
	_, refunded := PaymentRefunded.Subscribe(bus, w.release, events.WithName("release"))
	_, cancel := StockReleased.Subscribe(bus, w.cancel, events.WithName("cancel"))
	return errors.Join(reserve, unpaid, refunded, cancel)
}

func (w *warehouse) reserve(ctx context.Context, order Order) error {
	if !w.take(order.SKU) {
		return OrderCancelled.Publish(ctx, w.bus, Refusal{order, order.SKU + " is out of stock"})
	}
	return StockReserved.Publish(ctx, w.bus, order)
}

// take unlocks before the next step is published, which may come back here.
func (w *warehouse) take(sku string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stock[sku] == 0 {
		return false
	}
	w.stock[sku]--
	return true
}

func (w *warehouse) release(ctx context.Context, refusal Refusal) error {
	w.mu.Lock()
	w.stock[refusal.Order.SKU]++
	w.mu.Unlock()
	return StockReleased.Publish(ctx, w.bus, refusal)
}

func (w *warehouse) cancel(ctx context.Context, refusal Refusal) error {
	return OrderCancelled.Publish(ctx, w.bus, refusal)
}

type bank struct {
	bus   *events.Bus
	mu    sync.Mutex // guards cents
	cents int
}

func (b *bank) subscribe(bus *events.Bus) error {
	_, charge := StockReserved.Subscribe(bus, b.charge, events.WithName("charge"))
	_, refund := ShippingFailed.Subscribe(bus, b.refund, events.WithName("refund"))
	return errors.Join(charge, refund)
}

func (b *bank) charge(ctx context.Context, order Order) error {
	switch order.Card {
	case "valid":
		b.book(order.Cents)
		return PaymentTaken.Publish(ctx, b.bus, order)
	case "declined":
		return PaymentFailed.Publish(ctx, b.bus, Refusal{order, "card declined"})
	default:
		return fmt.Errorf("card is %s", order.Card)
	}
}

func (b *bank) refund(ctx context.Context, refusal Refusal) error {
	b.book(-refusal.Order.Cents)
	return PaymentRefunded.Publish(ctx, b.bus, refusal)
}

func (b *bank) book(cents int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cents += cents
}

type carrier struct{ bus *events.Bus }

func (c *carrier) subscribe(bus *events.Bus) error {
	_, err := PaymentTaken.Subscribe(bus, c.ship, events.WithName("ship"))
	return err
}

func (c *carrier) ship(ctx context.Context, order Order) error {
	if order.Shipping == "AQ" {
		return ShippingFailed.Publish(ctx, c.bus, Refusal{order, "nobody ships to Antarctica"})
	}
	return OrderShipped.Publish(ctx, c.bus, order)
}
