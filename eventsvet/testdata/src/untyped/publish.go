package untyped

import (
	"context"
	"time"

	"account"

	"github.com/typedbus/events"
)

type Order struct {
	ID    int       `json:"id"`
	Total float64   `json:"total"`
	Notes []string  `json:"notes"`
	Extra any       `json:"extra"`
	At    time.Time `json:"at"`
}

type Refund struct {
	ID   int    `json:"id,omitempty"`
	Note string `json:"note"`
}

var (
	OrderPlaced   = events.NewTopic[Order]("order.placed", events.WithMapPayload())
	OrderShipped  = events.NewTopic[Order]("order.shipped")
	OrderRefunded = events.NewTopic[Refund]("order.refunded", events.WithMapPayload())
	OrderReplayed = events.NewTopic[Order]("order.replayed", events.WithReplay(1))
	all           = struct{ Paid *events.Topic[Order] }{events.NewTopic[Order]("order.paid")}
)

type shop struct {
	*events.Bus
	bus  *events.Bus
	zero events.Bus
}

func (s *shop) fixed(ctx context.Context, order Order, user account.User, now time.Time, id int, total float64) error {
	events.Dispatch(ctx, events.Event{Name: "order.shipped", Data: order})                      // want `event "order.shipped" is dispatched by name, past its topic OrderShipped$`
	s.bus.DispatchAsync(ctx, events.Event{"order.shipped", order})                              // want `dispatched by name, past its topic OrderShipped$`
	s.zero.Dispatch(ctx, events.Event{Data: Order{ID: 7}, Name: "order.shipped"})               // want `dispatched by name, past its topic OrderShipped$`
	s.bus.Dispatch(ctx, events.Event{Name: events.EventUserCreated, Data: user})                // want `past its topic UserCreated$`
	return s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]interface{}{ // want `event "order.placed" is dispatched by name, past its topic OrderPlaced$`
		"total": total, // with tax
		"id":    id,
		"notes": []string{"fragile"},
		"extra": nil,
		"at":    now,
	}})
}

func (s *shop) left(ctx context.Context, order Order, data map[string]any, make func() *events.Bus) {
	all := 1
	_ = all
	s.bus.Dispatch(ctx, events.Event{Name: "order.shipped", Data: &order})                               // want `no fix: the payload is neither of the topic's type nor a map literal`
	s.bus.Dispatch(ctx, events.Event{Name: "order.shipped", Data: map[string]any{"id": 1}})              // want `no fix: untyped handlers would no longer get a map`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: data})                                  // want `no fix: the payload is neither`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: order})                                 // want `no fix: untyped handlers would get a map in place of untyped.Order`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]any{"id": 1}})               // want `no fix: key "total" is missing`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]any{"id": int64(1)}})        // want `no fix: key "id" holds int64, the field int`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]any{"total": 1}})            // want `no fix: key "total" holds int, the field float64`
	s.bus.Dispatch(ctx, events.Event{Name: "order.placed", Data: map[string]any{"ID": 1}})               // want `no fix: key "ID" names no field`
	s.bus.Dispatch(ctx, events.Event{Name: "order.refunded", Data: map[string]any{"id": 1, "note": ""}}) // want `no fix: the topic's type does not write the same map`
	s.bus.Dispatch(ctx, events.Event{Name: "order.replayed", Data: order})                               // want `no fix: the topic has options`
	s.bus.Dispatch(ctx, events.Event{Name: "order.paid", Data: order})                                   // want `past its topic of untyped.Order \(no fix: the topic is not a variable of its own\)`
	s.Dispatch(ctx, events.Event{Name: "order.shipped", Data: order})                                    // want `no fix: the bus is a part of another type`
	make().Dispatch(ctx, events.Event{Name: "order.shipped", Data: order})                               // want `no fix: the bus is the result of a call`
	s.bus.Dispatch(ctx, events.Event{Name: "user.deleted"})                                              // want `no fix: the payload is not written out`
	s.bus.Dispatch(ctx, events.Event{Name: "order.shipped" /* by air */, Data: order})                   // want `no fix: a comment would be lost`
	{
		OrderShipped := 1
		s.bus.Dispatch(ctx, events.Event{Name: "order.shipped", Data: order}) // want `no fix: OrderShipped means something else here`
		_ = OrderShipped
	}

	s.bus.Dispatch(ctx, events.Event{Name: "order.lost", Data: order})
	OrderShipped.Publish(ctx, s.bus, order)
	name := "order.shipped"
	s.bus.Dispatch(ctx, events.Event{Name: name, Data: order})
}
