package contender

import (
	"context"

	"github.com/typedbus/events"
)

const eventsModule = "github.com/typedbus/events"

func init() {
	register(Contender{
		ID:     "events",
		Name:   "events, typed",
		Module: eventsModule,
		Kind:   Ours,
		Usage:  "Topic.Subscribe and Publish; asynchronous with WithQueue, concurrent with WithConcurrency",
		Values: true,
		Modes: map[Mode]Opener{
			Inline: func(int) (Bus, error) { return &eventsBus{bus: events.New()}, nil },
			Async: func(queue int) (Bus, error) {
				return &eventsBus{bus: events.New(), options: []events.SubscribeOption{events.WithQueue(queue)}}, nil
			},
			Concurrent: func(int) (Bus, error) { return &eventsBus{bus: events.New(events.WithConcurrency(8))}, nil },
		},
	})
	register(Contender{
		ID:       "events-publishasync",
		Name:     "events, PublishAsync",
		Module:   eventsModule,
		Kind:     Ours,
		Usage:    "Topic.Subscribe and PublishAsync",
		Parallel: true,
		Values:   true,
		Modes: map[Mode]Opener{
			Async: func(int) (Bus, error) { return &eventsBus{bus: events.New(), detach: true}, nil },
		},
		Partial: true,
	})
}

type eventsBus struct {
	bus     *events.Bus
	options []events.SubscribeOption
	detach  bool
}

func (b *eventsBus) Topic(name string) Topic {
	topic := eventsTopic{b, events.NewTopic[Order](name)}
	if b.detach {
		return &eventsDetachedTopic{topic}
	}
	return &topic
}

func (b *eventsBus) Close(ctx context.Context) error { return b.bus.Close(ctx) }

type eventsTopic struct {
	*eventsBus
	topic *events.Topic[Order]
}

func (t *eventsTopic) Subscribe(rec *Recorder) (func(), error) {
	subscription, err := t.topic.Subscribe(t.bus, rec.Handle, t.options...)
	if err != nil {
		return nil, err
	}
	return subscription.Unsubscribe, nil
}

func (t *eventsTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		if err := t.topic.Publish(ctx, t.bus, messages[i].Order); err != nil {
			return err
		}
	}
	return nil
}

type eventsDetachedTopic struct{ eventsTopic }

func (t *eventsDetachedTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		if err := t.topic.PublishAsync(ctx, t.bus, messages[i].Order); err != nil {
			return err
		}
	}
	return nil
}
