package contender

import (
	"context"

	"github.com/gookit/event"
)

func init() {
	register(Contender{
		ID:       "gookit",
		Name:     "gookit/event",
		Module:   "github.com/gookit/event",
		Kind:     Peer,
		Usage:    "On and Fire on a Manager; asynchronous with FireC, whose default of 3 consumers share one channel",
		Parallel: true,
		Modes: map[Mode]Opener{
			Inline: func(int) (Bus, error) { return &gookitBus{event.NewManager("compare"), Inline}, nil },
			Async: func(queue int) (Bus, error) {
				size := func(o *event.Options) { o.ChannelSize = queue }
				return &gookitBus{event.NewManager("compare", size), Async}, nil
			},
		},
		Lacks: map[Mode]string{Concurrent: "runs the listeners of one event one after the other"},
	})
}

type gookitBus struct {
	manager *event.Manager
	mode    Mode
}

func (b *gookitBus) Topic(name string) Topic { return &gookitTopic{b, name} }

func (b *gookitBus) Close(context.Context) error { return b.manager.CloseWait() }

type gookitTopic struct {
	*gookitBus
	name string
}

func (t *gookitTopic) Subscribe(rec *Recorder) (func(), error) {
	listener := event.ListenerFunc(func(e event.Event) error {
		return rec.Handle(NoContext, e.Get("order").(Order))
	})
	t.manager.On(t.name, listener)
	return func() { t.manager.RemoveListener(t.name, listener) }, nil
}

func (t *gookitTopic) Publish(_ context.Context, messages []Message) error {
	if t.mode == Async {
		for i := range messages {
			t.manager.FireC(t.name, messages[i].Fields)
		}
		return nil
	}
	for i := range messages {
		if err, _ := t.manager.Fire(t.name, messages[i].Fields); err != nil {
			return err
		}
	}
	return nil
}
