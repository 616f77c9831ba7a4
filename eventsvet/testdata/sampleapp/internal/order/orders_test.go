package order

import (
	"context"
	"testing"

	"neonex/core/pkg/events"
)

func TestPlace(t *testing.T) {
	dispatcher := events.NewEventDispatcher()
	placed := 0
	orders := New(dispatcher)
	dispatcher.Register("order.placed", func(context.Context, events.Event) error {
		placed++
		return nil
	})
	if err := orders.Place(context.Background(), 1, 2, "tea"); err != nil || placed != 1 {
		t.Errorf("placed %d orders: %v", placed, err)
	}
}
