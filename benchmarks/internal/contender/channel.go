package contender

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

func init() {
	register(Contender{
		ID:     "channel",
		Name:   "buffered channels",
		Kind:   Floor,
		Usage:  "a buffered channel and a goroutine for each subscriber, a loop that sends to each",
		Values: true,
		Modes: map[Mode]Opener{
			Async:      openChannel,
			Concurrent: openChannel,
		},
		Partial: true,
	})
}

type channelBus struct {
	queue    int
	handlers sync.WaitGroup

	mu     sync.Mutex // guards topics
	topics []*channelTopic
}

func openChannel(queue int) (Bus, error) { return &channelBus{queue: queue}, nil }

func (b *channelBus) Topic(string) Topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := &channelTopic{bus: b}
	b.topics = append(b.topics, t)
	return t
}

func (b *channelBus) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.topics {
		for _, queue := range t.load() {
			close(queue)
		}
	}
	b.handlers.Wait()
	return nil
}

type channelTopic struct {
	bus    *channelBus
	queues atomic.Pointer[[]chan Order]

	mu sync.Mutex // serialises writers of queues
}

func (t *channelTopic) load() []chan Order {
	if queues := t.queues.Load(); queues != nil {
		return *queues
	}
	return nil
}

func (t *channelTopic) Subscribe(rec *Recorder) (func(), error) {
	queue := make(chan Order, t.bus.queue)
	t.mu.Lock()
	defer t.mu.Unlock()
	queues := append(slices.Clone(t.load()), queue)
	t.queues.Store(&queues)
	t.bus.handlers.Go(func() {
		for o := range queue {
			_ = rec.Handle(NoContext, o)
		}
	})
	return nil, nil
}

func (t *channelTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		for _, queue := range t.load() {
			queue <- messages[i].Order
		}
	}
	return nil
}
