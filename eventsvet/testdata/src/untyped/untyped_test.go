package untyped

import (
	"context"

	"github.com/typedbus/events"
)

func check(s *shop) error {
	s.bus.Register("order.shipped", func(context.Context, events.Event) error { return nil })
	return s.tested(context.Background(), events.Event{})
}
