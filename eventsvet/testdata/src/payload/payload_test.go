package payload

import (
	"context"

	"github.com/typedbus/events"
)

func tested(bus *events.Bus) {
	bus.Dispatch(context.Background(), events.Event{Name: "user.created", Data: 7})
}
