package contender

import (
	"context"

	EventBus "github.com/asaskevich/EventBus"
)

func init() {
	register(Contender{
		ID:     "asaskevich",
		Name:   "asaskevich/EventBus",
		Module: "github.com/asaskevich/EventBus",
		Kind:   Peer,
		Usage:  "Subscribe; SubscribeAsync, transactional for a subscriber's events one at a time",
		Modes: map[Mode]Opener{
			Inline:     func(int) (Bus, error) { return &asaskevichBus{EventBus.New(), Inline}, nil },
			Async:      func(int) (Bus, error) { return &asaskevichBus{EventBus.New(), Async}, nil },
			Concurrent: func(int) (Bus, error) { return &asaskevichBus{EventBus.New(), Concurrent}, nil },
		},
	})
}

type asaskevichBus struct {
	bus  EventBus.Bus
	mode Mode
}

func (b *asaskevichBus) Topic(name string) Topic { return &asaskevichTopic{b, name} }

// Close waits for the asynchronous handlers: the library cannot close a bus.
func (b *asaskevichBus) Close(context.Context) error {
	b.bus.WaitAsync()
	return ErrNoClose
}

type asaskevichTopic struct {
	*asaskevichBus
	name string
}

func (t *asaskevichTopic) Subscribe(rec *Recorder) (func(), error) {
	handler := func(o Order) { _ = rec.Handle(NoContext, o) }
	remove := func() { _ = t.bus.Unsubscribe(t.name, handler) }
	switch t.mode {
	case Inline:
		return remove, t.bus.Subscribe(t.name, handler)
	case Async:
		return remove, t.bus.SubscribeAsync(t.name, handler, true)
	default:
		return remove, t.bus.SubscribeAsync(t.name, handler, false)
	}
}

func (t *asaskevichTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		t.bus.Publish(t.name, messages[i].Boxed)
	}
	return nil
}
