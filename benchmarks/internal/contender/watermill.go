package contender

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

func init() {
	register(Contender{
		ID:     "watermill",
		Name:   "watermill GoChannel",
		Module: "github.com/ThreeDotsLabs/watermill",
		Kind:   Peer,
		Usage:  "a message with a fresh UUID for each publish, a goroutine that ranges over Subscribe's messages and acks them",
		Modes: map[Mode]Opener{
			Async:      openWatermill,
			Concurrent: openWatermill,
		},
		Lacks: map[Mode]string{Inline: "subscribers get a channel"},
	})
}

type watermillBus struct{ channel *gochannel.GoChannel }

func openWatermill(queue int) (Bus, error) {
	config := gochannel.Config{OutputChannelBuffer: int64(queue)}
	return watermillBus{gochannel.NewGoChannel(config, watermill.NopLogger{})}, nil
}

func (b watermillBus) Topic(name string) Topic { return &watermillTopic{b.channel, name} }

func (b watermillBus) Close(context.Context) error { return b.channel.Close() }

type watermillTopic struct {
	channel *gochannel.GoChannel
	name    string
}

func (t *watermillTopic) Subscribe(rec *Recorder) (func(), error) {
	ctx, cancel := context.WithCancel(context.Background())
	messages, err := t.channel.Subscribe(ctx, t.name)
	go func() {
		for m := range messages {
			_ = rec.Handle(m.Context(), decode(m.Payload))
			m.Ack()
		}
	}()
	return cancel, err
}

func (t *watermillTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		m := message.NewMessageWithContext(ctx, watermill.NewUUID(), messages[i].Encoded)
		if err := t.channel.Publish(t.name, m); err != nil {
			return err
		}
	}
	return nil
}
