package payload

import (
	"context"

	"github.com/typedbus/events"

	"account"
)

type other struct{ ID int }

type userMap map[string]any

func bad(ctx context.Context, bus *events.Bus) {
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: other{7}})                                             // want `event "user.created": other does not become the topic's account.User`
	bus.Dispatch(ctx, events.Event{"user.created", "seven"})                                                          // want `event "user.created": string does not become the topic's account.User`
	bus.Dispatch(ctx, events.Event{Name: events.EventUserCreated, Data: nil})                                         // want `nil does not become`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[int]any{1: 2}})                                    // want `map\[int\]any does not become`
	bus.Dispatch(ctx, events.Event{Name: "user.created"})                                                             // want `no payload does not become`
	bus.DispatchAsync(ctx, events.Event{Name: "user.created", Data: map[string]any{"user_id": 7}})                    // want `key "user_id" names no field of account.User`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]interface{}{"id": "7"}})                    // want `key "id": "7" of type string does not fit int`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"id": 7.5}})                            // want `key "id": 7.5 of type float64 does not fit int`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"id": nil}})                            // want `key "id": nil does not fit int`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"level": 256}})                         // want `256 of type int does not fit uint8`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"level": -1}})                          // want `-1 of type int does not fit uint8`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"tags": "a,b"}})                        // want `"a,b" of type string does not fit \[\]string`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"sponsor": true}})                      // want `true of type bool does not fit \*account.User`
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"email": func() string { return "" }}}) // want `func\(\) string does not fit string`

	e := events.Event{Name: "user.created", Data: []account.User{}} // want `\[\]account.User does not become`
	_ = e
}

func good(ctx context.Context, bus *events.Bus, user account.User, unknown any, m map[string]any, key string, n int64) {
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: user})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: &user})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: unknown})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: m})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: userMap{"id": 7}})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]int{"id": 7}})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{key: "x", "ID": n, "Email": "a@b"}})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{
		"id":      7.0,
		"score":   3,
		"level":   uint64(255),
		"tags":    []any{"a"},
		"since":   "2026-01-01T00:00:00Z",
		"sponsor": map[string]any{"id": "checked when it runs"},
	}})
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: map[string]any{"id": unknown, "sponsor": nil}})
	bus.Dispatch(ctx, events.Event{Name: "order.paid", Data: other{7}}) // no topic
	e := events.Event{Name: "user.created"}
	e.Data = user
	bus.Dispatch(ctx, e)
	//eventsvet:ignore payload,untyped shows what goes wrong
	bus.Dispatch(ctx, events.Event{Name: "user.created", Data: 7})
}
