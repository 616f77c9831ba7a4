package untyped

import (
	"context"
	"errors"
	"fmt"

	"github.com/typedbus/events"
)

func (s *shop) subscribe() error {
	events.Register("order.shipped", func(ctx context.Context, event events.Event) error { // want `event "order.shipped" is handled by name, past its topic OrderShipped$`
		order := event.Data.(Order)
		fmt.Println(event.Name, order.ID)
		return nil
	})
	s.bus.Register("order.shipped", func(_ context.Context, e events.Event) error { // want `handled by name, past its topic \w+$`
		if e.Data.(Order).ID == 0 {
			return errors.New("no id")
		}
		return nil
	})
	s.bus.Register("order.shipped", func(context.Context, events.Event) error { // want `handled by name, past its topic \w+$`
		return nil
	})
	s.bus.Register("order.placed", s.onPlaced)                                                        // want `handled by name, past its topic \w+$`
	sub, err := s.bus.Subscribe("order.placed", func(ctx context.Context, event events.Event) error { // want `handled by name, past its topic \w+$`
		data, ok := event.Data.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: payload is %T", event.Name, event.Data)
		}
		id, ok := data["id"].(int)
		if !ok {
			return errors.New("no id")
		}
		fmt.Println(id, data["total"].(float64))
		return nil
	}, events.WithPriority(7))
	_ = sub
	return err
}

func (s *shop) onPlaced(_ context.Context, event events.Event) error {
	total := event.Data.(map[string]any)["total"].(float64)
	_, err := fmt.Println(total)
	return err
}

func (s *shop) leave(ctx context.Context) {
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: key "total" is asserted as int, the field is float64`
		_ = event.Data.(map[string]any)["total"].(int)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: key "order_id" names no field`
		data := event.Data.(map[string]any)
		_ = data["order_id"].(int)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: data\["id"\] is used without a type`
		data := event.Data.(map[string]any)
		fmt.Println(data["id"])
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler uses the map as a whole`
		data := event.Data.(map[string]any)
		fmt.Println(len(data))
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler uses the event as a whole`
		fmt.Println(event)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler takes the payload as it comes`
		fmt.Println(event.Data)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler goes on when the payload is of another type`
		if order, ok := event.Data.(Order); ok {
			fmt.Println(order)
		}
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler goes on when "id" has another type`
		data := event.Data.(map[string]any)
		id, _ := data["id"].(int)
		fmt.Println(id)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the result of a check is used twice`
		data := event.Data.(map[string]any)
		id, ok := data["id"].(int)
		if !ok {
			return errors.New("no id")
		}
		fmt.Println(id, ok)
		return nil
	})
	s.bus.Register("order.placed", func(ctx context.Context, event events.Event) error { // want `no fix: the handler goes on when the payload is of another type`
		data, ok := event.Data.(map[string]any)
		if !ok {
			return nil
		}
		_ = data["id"].(int)
		return nil
	})
	s.bus.Register("order.shipped", s.shared) // want `no fix: shared is used elsewhere too`
	s.bus.Register("order.returned", s.shared)
	s.bus.Register("order.shipped", Exported)                                              // want `no fix: Exported is exported`
	s.bus.Register("order.shipped", logged(nil))                                           // want `no fix: the handler is made by a call`
	s.bus.Register("order.shipped", s.tested)                                              // want `no fix: tested is used elsewhere too`
	s.bus.Subscribe("order.shipped", func(ctx context.Context, event events.Event) error { // want `no fix: option events.WithMiddleware\(logged\) depends on the payload`
		return nil
	}, events.WithMiddleware(logged))

	s.bus.Subscribe("order.*", s.shared)
	s.bus.Register("order.returned", func(ctx context.Context, event events.Event) error { return nil })
	s.bus.HasHandlers("order.shipped")
}

func (s *shop) shared(context.Context, events.Event) error { return nil }
func (s *shop) tested(context.Context, events.Event) error { return nil }
func Exported(context.Context, events.Event) error         { return nil }

func logged(next events.Handler) events.Handler { return next }

var Labelled = events.NewTopic[map[string]any]("order.labelled")

func labels(bus *events.Bus) {
	bus.Register("order.labelled", func(ctx context.Context, event events.Event) error { // want `handled by name, past its topic Labelled$`
		labels := event.Data.(map[string]any)
		fmt.Println(len(labels), labels["x"])
		return nil
	})
}
