package contender

import (
	"context"
	"sync"
)

func init() {
	register(Contender{
		ID:    "lookup",
		Name:  "sync.Map lookup",
		Kind:  Floor,
		Usage: "a sync.Map from name to handlers, looked up at each publish, and a loop over what it holds",
		Modes: map[Mode]Opener{Inline: func(int) (Bus, error) { return &lookupBus{}, nil }},
	})
}

// lookupBus holds a []func(context.Context, Order) error under each name that somebody listens to.
type lookupBus struct{ topics sync.Map }

func (b *lookupBus) Topic(name string) Topic { return &lookupTopic{b, name} }

func (b *lookupBus) Close(context.Context) error { return ErrNoClose }

type lookupTopic struct {
	bus  *lookupBus
	name string
}

func (t *lookupTopic) Subscribe(rec *Recorder) (func(), error) {
	var handlers []func(context.Context, Order) error
	if old, ok := t.bus.topics.Load(t.name); ok {
		handlers = append(handlers, old.([]func(context.Context, Order) error)...)
	}
	t.bus.topics.Store(t.name, append(handlers, rec.Handle))
	return nil, nil
}

func (t *lookupTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		found, ok := t.bus.topics.Load(t.name)
		if !ok {
			continue
		}
		for _, h := range found.([]func(context.Context, Order) error) {
			if err := h(ctx, messages[i].Order); err != nil {
				return err
			}
		}
	}
	return nil
}
