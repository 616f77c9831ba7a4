// Package order takes orders.
package order

import (
	"context"
	"fmt"
	"strings"

	"neonex/core/pkg/events"
)

type Orders struct {
	dispatcher *events.EventDispatcher
}

func New(dispatcher *events.EventDispatcher) *Orders {
	o := &Orders{dispatcher: dispatcher}
	dispatcher.Register("order.placed", func(ctx context.Context, event events.Event) error {
		data := event.Data.(map[string]interface{})
		fmt.Printf("order: %d placed for %.2f\n", data["order_id"].(int), data["total"].(float64))
		return nil
	})
	dispatcher.Register("order.placed", o.reserve)
	dispatcher.Register("order.paid", func(ctx context.Context, e events.Event) error {
		payload, ok := e.Data.(map[string]interface{})
		if !ok {
			return fmt.Errorf("order: unexpected %T", e.Data)
		}
		fmt.Println("order: paid", payload["order_id"])
		return nil
	})
	dispatcher.Register("order.shipped", o.printLabel)
	dispatcher.Register("order.cancelled", func(ctx context.Context, event events.Event) error {
		m := event.Data.(map[string]interface{})
		m["seen_by"] = "order"
		return nil
	})
	return o
}

func (o *Orders) Place(ctx context.Context, id int, total float64, items ...string) error {
	return o.dispatcher.Dispatch(ctx, events.Event{
		Name: "order.placed",
		Data: map[string]interface{}{
			"order_id": id,
			"total":    total,
			"items":    items,
		},
	})
}

// Sample places an order that costs nothing.
func (o *Orders) Sample(ctx context.Context, id int) error {
	return o.dispatcher.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]interface{}{
		"order_id": id, "total": 0.0, "items": []string{"sample"},
	}})
}

func (o *Orders) Pay(ctx context.Context, id, cents int) error {
	return o.dispatcher.Dispatch(ctx, events.Event{
		Name: "order.paid",
		Data: map[string]interface{}{"order_id": id, "amount": cents},
	})
}

func (o *Orders) Ship(ctx context.Context, id uint, weight float32) error {
	return o.dispatcher.Dispatch(ctx, events.Event{
		Name: "order.shipped",
		Data: map[string]interface{}{"id": id, "weight": weight, "parcel_no": strings.Repeat("7", 3)},
	})
}

func (o *Orders) Cancel(ctx context.Context, id int, reason string) error {
	return o.dispatcher.Dispatch(ctx, events.Event{
		Name: "order.cancelled",
		Data: map[string]interface{}{"order_id": id, "reason": reason},
	})
}

func (o *Orders) reserve(_ context.Context, event events.Event) error {
	items := event.Data.(map[string]interface{})["items"].([]string)
	fmt.Println("order: reserve", strings.Join(items, "+"))
	return nil
}

func (o *Orders) printLabel(_ context.Context, event events.Event) error {
	data := event.Data.(map[string]interface{})
	parcel, ok := data["parcel_no"].(string)
	if !ok {
		return fmt.Errorf("%s: no parcel number", event.Name)
	}
	fmt.Println("order: label", parcel, data["weight"].(float32))
	return nil
}
