package contender

import (
	"context"

	"tailscale.com/util/eventbus"
)

func init() {
	register(Contender{
		ID:       "tailscale",
		Name:     "tailscale eventbus",
		Module:   "tailscale.com",
		Kind:     Peer,
		Usage:    "a Client for each subscriber, whose goroutine receives from Subscribe's Events",
		OneTopic: true,
		Values:   true,
		Modes: map[Mode]Opener{
			Async:      openTailscale,
			Concurrent: openTailscale,
		},
		Lacks: map[Mode]string{Inline: "subscribers get a channel"},
	})
}

type tailscaleBus struct{ bus *eventbus.Bus }

func openTailscale(int) (Bus, error) {
	return tailscaleBus{eventbus.NewWithOptions(eventbus.BusOptions{Logf: func(string, ...any) {}})}, nil
}

func (b tailscaleBus) Topic(name string) Topic {
	return &tailscaleTopic{b.bus, eventbus.Publish[Order](b.bus.Client(name))}
}

func (b tailscaleBus) Close(context.Context) error {
	b.bus.Close()
	return nil
}

type tailscaleTopic struct {
	bus       *eventbus.Bus
	publisher *eventbus.Publisher[Order]
}

func (t *tailscaleTopic) Subscribe(rec *Recorder) (func(), error) {
	client := t.bus.Client("subscriber")
	subscriber := eventbus.Subscribe[Order](client)
	go func() {
		for {
			select {
			case o := <-subscriber.Events():
				_ = rec.Handle(NoContext, o)
			case <-subscriber.Done():
				return
			}
		}
	}()
	return client.Close, nil
}

func (t *tailscaleTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		t.publisher.Publish(messages[i].Order)
	}
	return nil
}
