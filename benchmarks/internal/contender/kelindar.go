package contender

import (
	"context"
	"sync/atomic"

	"github.com/kelindar/event"
)

func init() {
	register(Contender{
		ID:     "kelindar",
		Name:   "kelindar/event",
		Module: "github.com/kelindar/event",
		Kind:   Peer,
		Usage:  "SubscribeTo and Publish on a Dispatcher, with its own queue limit of 50,000 events",
		Values: true,
		Modes: map[Mode]Opener{
			Async:      openKelindar,
			Concurrent: openKelindar,
		},
		Lacks: map[Mode]string{Inline: "every subscriber has a goroutine of its own"},
	})
}

// kelindarEvent carries its type, a number, since the library finds subscribers by that and not by a name.
type kelindarEvent struct {
	Order
	kind uint32
}

func (e kelindarEvent) Type() uint32 { return e.kind }

type kelindarBus struct {
	dispatcher *event.Dispatcher
	kinds      *atomic.Uint32
}

func openKelindar(int) (Bus, error) {
	return kelindarBus{event.NewDispatcher(), new(atomic.Uint32)}, nil
}

func (b kelindarBus) Topic(string) Topic { return &kelindarTopic{b.dispatcher, b.kinds.Add(1)} }

func (b kelindarBus) Close(context.Context) error { return b.dispatcher.Close() }

type kelindarTopic struct {
	dispatcher *event.Dispatcher
	kind       uint32
}

func (t *kelindarTopic) Subscribe(rec *Recorder) (func(), error) {
	return event.SubscribeTo(t.dispatcher, t.kind, func(e kelindarEvent) { _ = rec.Handle(NoContext, e.Order) }), nil
}

func (t *kelindarTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		event.Publish(t.dispatcher, kelindarEvent{messages[i].Order, t.kind})
	}
	return nil
}
