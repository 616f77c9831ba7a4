package contender

import (
	"context"

	"github.com/typedbus/events"
)

func init() {
	register(Contender{
		ID:       "events-untyped",
		Name:     "events, untyped",
		Module:   eventsModule,
		Kind:     Ours,
		Usage:    "Register and Dispatch on NewEventDispatcher; asynchronous with DispatchAsync",
		Parallel: true,
		Modes: map[Mode]Opener{
			Inline: func(int) (Bus, error) { return &untypedBus{events.NewEventDispatcher(), false}, nil },
			Async:  func(int) (Bus, error) { return &untypedBus{events.NewEventDispatcher(), true}, nil },
		},
		Lacks: map[Mode]string{Concurrent: "runs the handlers of one event one after the other, as the dispatcher it replaces"},
	})
}

type untypedBus struct {
	dispatcher *events.EventDispatcher
	detach     bool
}

func (b *untypedBus) Topic(name string) Topic { return &untypedTopic{b, name} }

func (b *untypedBus) Close(ctx context.Context) error { return b.dispatcher.Close(ctx) }

type untypedTopic struct {
	*untypedBus
	name string
}

// Subscribe uses the bus's own Subscribe only for a handler that is going to leave, which Register knows no way to.
func (t *untypedTopic) Subscribe(rec *Recorder) (func(), error) {
	handler := func(ctx context.Context, e events.Event) error { return rec.Handle(ctx, e.Data.(Order)) }
	if rec.Key == "" {
		t.dispatcher.Register(t.name, handler)
		return nil, nil
	}
	subscription, err := t.dispatcher.Subscribe(t.name, handler)
	if err != nil {
		return nil, err
	}
	return subscription.Unsubscribe, nil
}

func (t *untypedTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		e := events.Event{Name: t.name, Data: messages[i].Boxed}
		if t.detach {
			t.dispatcher.DispatchAsync(ctx, e)
		} else if err := t.dispatcher.Dispatch(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
