package contender

import (
	"context"
	"sync"

	messagebus "github.com/vardius/message-bus"
)

func init() {
	register(Contender{
		ID:     "vardius",
		Name:   "vardius/message-bus",
		Module: "github.com/vardius/message-bus",
		Kind:   Peer,
		Usage:  "Subscribe and Publish, a queue for each handler",
		Modes: map[Mode]Opener{
			Async:      openVardius,
			Concurrent: openVardius,
		},
		Lacks: map[Mode]string{Inline: "every handler has a goroutine of its own"},
	})
}

type vardiusBus struct {
	bus messagebus.MessageBus

	mu    sync.Mutex // guards names
	names []string
}

func openVardius(queue int) (Bus, error) { return &vardiusBus{bus: messagebus.New(queue)}, nil }

func (b *vardiusBus) Topic(name string) Topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = append(b.names, name)
	return &vardiusTopic{b.bus, name}
}

func (b *vardiusBus) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range b.names {
		b.bus.Close(name)
	}
	return nil
}

type vardiusTopic struct {
	bus  messagebus.MessageBus
	name string
}

func (t *vardiusTopic) Subscribe(rec *Recorder) (func(), error) {
	handler := func(o Order) { _ = rec.Handle(NoContext, o) }
	return func() { _ = t.bus.Unsubscribe(t.name, handler) }, t.bus.Subscribe(t.name, handler)
}

func (t *vardiusTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		t.bus.Publish(t.name, messages[i].Boxed)
	}
	return nil
}
