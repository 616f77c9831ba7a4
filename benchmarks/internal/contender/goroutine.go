package contender

import (
	"context"
	"sync"
)

func init() {
	register(Contender{
		ID:       "goroutine",
		Name:     "goroutine per delivery",
		Kind:     Floor,
		Usage:    "a go statement for each handler of each event, waited for with a WaitGroup when concurrent",
		Parallel: true,
		Values:   true,
		Modes: map[Mode]Opener{
			Async:      func(int) (Bus, error) { return goroutineBus(false), nil },
			Concurrent: func(int) (Bus, error) { return goroutineBus(true), nil },
		},
		Partial: true,
	})
}

// goroutineBus says whether Publish waits.
type goroutineBus bool

func (b goroutineBus) Topic(string) Topic { return &goroutineTopic{wait: bool(b)} }

func (b goroutineBus) Close(context.Context) error { return ErrNoClose }

type goroutineTopic struct {
	wait     bool
	handlers []func(context.Context, Order) error
}

func (t *goroutineTopic) Subscribe(rec *Recorder) (func(), error) {
	t.handlers = append(t.handlers, rec.Handle)
	return nil, nil
}

func (t *goroutineTopic) Publish(ctx context.Context, messages []Message) error {
	var running sync.WaitGroup
	for i := range messages {
		for _, h := range t.handlers {
			if t.wait {
				running.Go(func() { _ = h(ctx, messages[i].Order) })
			} else {
				go func() { _ = h(ctx, messages[i].Order) }()
			}
		}
		running.Wait()
	}
	return nil
}
