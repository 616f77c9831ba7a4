package name

import (
	"context"

	"github.com/typedbus/events"
)

const shouting = "USER_CREATED"

var (
	_ = events.NewTopic[int]("user.created")
	_ = events.NewTopic[int]("billing.invoice.paid_late2")
	_ = events.NewTopic[int]("user.logged-in")
	_ = events.NewTopic[int]("created")       // want `event name "created" is not of the form domain.action`
	_ = events.NewTopic[int]("User.Created")  // want `event name "User.Created"`
	_ = events.NewTopic[int]("user..created") // want `event name "user..created"`
	_ = events.NewTopic[int]("user.*")        // want `event name "user.\*"`
)

func uses(ctx context.Context, bus *events.Bus, dynamic string) {
	bus.Register("userCreated", nil) // want `event name "userCreated"`
	bus.Register("userCreated", nil) // once is enough
	bus.Register(dynamic, nil)
	bus.Register(events.EventUserDeleted, nil)
	events.Dispatch(ctx, events.Event{Name: shouting}) // want `event name "USER_CREATED"`
	events.Dispatch(ctx, events.Event{})
	bus.Subscribe("user.*", nil)
	bus.Subscribe("*.created", nil)
	bus.Subscribe("user.>", nil)
	bus.Subscribe("user.**", nil)
	bus.Subscribe(">", nil)
	bus.Subscribe("*", nil)
	bus.Subscribe("user", nil)     // want `pattern "user" is not`
	bus.Subscribe("user.>.x", nil) // want `pattern "user.>.x" is not`
	bus.Subscribe("User.*", nil)   // want `pattern "User.\*" is not`
}
