package contender

import (
	"context"
	"fmt"
	"sync"
)

func init() {
	register(Contender{
		ID:       "rwmutex",
		Name:     "RWMutex+map dispatcher",
		Kind:     Reference,
		Usage:    "the dispatcher that services write themselves: read lock, map lookup, loop until the first error; go Dispatch for asynchronous ones",
		Parallel: true,
		Modes: map[Mode]Opener{
			Inline: func(int) (Bus, error) { return &rwmutexBus{newRWMutexDispatcher(), false}, nil },
			Async:  func(int) (Bus, error) { return &rwmutexBus{newRWMutexDispatcher(), true}, nil },
		},
		Lacks: map[Mode]string{Concurrent: "runs the handlers of one event one after the other"},
	})
}

type namedEvent struct {
	name string
	data any
}

type namedHandler func(ctx context.Context, e namedEvent) error

type rwmutexDispatcher struct {
	mu       sync.RWMutex // guards handlers
	handlers map[string][]namedHandler
}

func newRWMutexDispatcher() *rwmutexDispatcher {
	return &rwmutexDispatcher{handlers: make(map[string][]namedHandler)}
}

func (d *rwmutexDispatcher) register(name string, h namedHandler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[name] = append(d.handlers[name], h)
}

func (d *rwmutexDispatcher) dispatch(ctx context.Context, e namedEvent) error {
	d.mu.RLock()
	handlers := d.handlers[e.name]
	d.mu.RUnlock()
	for _, h := range handlers {
		if err := h(ctx, e); err != nil {
			return fmt.Errorf("handler failed for event %s: %w", e.name, err)
		}
	}
	return nil
}

type rwmutexBus struct {
	dispatcher *rwmutexDispatcher
	detach     bool
}

func (b *rwmutexBus) Topic(name string) Topic { return &rwmutexTopic{b, name} }

func (b *rwmutexBus) Close(context.Context) error { return ErrNoClose }

type rwmutexTopic struct {
	*rwmutexBus
	name string
}

func (t *rwmutexTopic) Subscribe(rec *Recorder) (func(), error) {
	t.dispatcher.register(t.name, func(ctx context.Context, e namedEvent) error { return rec.Handle(ctx, e.data.(Order)) })
	return nil, nil
}

func (t *rwmutexTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		e := namedEvent{t.name, messages[i].Boxed}
		if t.detach {
			go func() { _ = t.dispatcher.dispatch(ctx, e) }()
		} else if err := t.dispatcher.dispatch(ctx, e); err != nil {
			return err
		}
	}
	return nil
}
