package contender

import (
	"context"

	"github.com/cskr/pubsub/v2"
)

func init() {
	register(Contender{
		ID:     "cskr",
		Name:   "cskr/pubsub",
		Module: "github.com/cskr/pubsub/v2",
		Kind:   Peer,
		Usage:  "Sub and Pub, a goroutine that ranges over each subscriber's channel",
		Modes: map[Mode]Opener{
			Async:      openCskr,
			Concurrent: openCskr,
		},
		Lacks: map[Mode]string{Inline: "subscribers get a channel"},
	})
}

type cskrBus struct{ pubsub *pubsub.PubSub[string, Order] }

func openCskr(queue int) (Bus, error) { return cskrBus{pubsub.New[string, Order](queue)}, nil }

func (b cskrBus) Topic(name string) Topic { return &cskrTopic{b.pubsub, name} }

func (b cskrBus) Close(context.Context) error {
	b.pubsub.Shutdown()
	return nil
}

type cskrTopic struct {
	pubsub *pubsub.PubSub[string, Order]
	name   string
}

func (t *cskrTopic) Subscribe(rec *Recorder) (func(), error) {
	events := t.pubsub.Sub(t.name)
	go func() {
		for o := range events {
			_ = rec.Handle(NoContext, o)
		}
	}()
	return func() { t.pubsub.Unsub(events, t.name) }, nil
}

func (t *cskrTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		t.pubsub.Pub(messages[i].Order, t.name)
	}
	return nil
}
