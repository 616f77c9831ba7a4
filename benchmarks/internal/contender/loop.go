package contender

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

func init() {
	register(Contender{
		ID:      "loop",
		Name:    "bare loop",
		Kind:    Floor,
		Usage:   "a loop over an atomically loaded slice of the same handlers: no name, no recovery, no errors gathered",
		Values:  true,
		Modes:   map[Mode]Opener{Inline: func(int) (Bus, error) { return loopBus{}, nil }},
		Partial: true,
	})
}

type loopBus struct{}

func (loopBus) Topic(string) Topic { return &loopTopic{} }

func (loopBus) Close(context.Context) error { return ErrNoClose }

type loopTopic struct {
	handlers atomic.Pointer[[]func(context.Context, Order) error]

	mu sync.Mutex // serialises writers of handlers
}

func (t *loopTopic) Subscribe(rec *Recorder) (func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var handlers []func(context.Context, Order) error
	if old := t.handlers.Load(); old != nil {
		handlers = slices.Clone(*old)
	}
	handlers = append(handlers, rec.Handle)
	t.handlers.Store(&handlers)
	return nil, nil
}

func (t *loopTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		handlers := t.handlers.Load()
		if handlers == nil {
			continue
		}
		for _, h := range *handlers {
			if err := h(ctx, messages[i].Order); err != nil {
				return err
			}
		}
	}
	return nil
}
