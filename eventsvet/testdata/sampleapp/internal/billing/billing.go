// Package billing writes invoices.
package billing

import (
	"context"
	"errors"
	"fmt"

	"neonex/core/pkg/events"
)

func Listen(dispatcher *events.EventDispatcher) {
	dispatcher.Register("order.placed", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		id := data["order_id"].(int)
		total := data["total"].(float64)
		return dispatcher.Dispatch(ctx, events.Event{
			Name: "invoice.written",
			Data: map[string]interface{}{
				"order": id,
				"total": total,
				"due":   "in 30 days",
			},
		})
	})
	// Written when payments still came in as JSON.
	dispatcher.Register("order.paid", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		amount, ok := data["amount"].(float64)
		if !ok {
			return errors.New("billing: no amount")
		}
		fmt.Println("billing: received", amount)
		return nil
	})
	dispatcher.Register("invoice.written", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Println("billing: invoice for order", data["order"].(int), data["due"].(string))
		return nil
	})
	dispatcher.Register("invoice.written", archive)
	dispatcher.Register("order.cancelled", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Println("billing: refund after", data["seen_by"], "for", data["reason"])
		return nil
	})
}

func archive(ctx context.Context, event events.Event) error {
	invoice, ok := event.Data.(map[string]interface{})
	if !ok {
		return errors.New("no invoice")
	}
	if invoice["total"].(float64) > 100 {
		return fmt.Errorf("archive of order %d is full", invoice["order"].(int))
	}
	fmt.Println("billing: archived")
	return nil
}
