package contender

import (
	"context"

	"github.com/olebedev/emitter"
)

func init() {
	register(Contender{
		ID:     "olebedev",
		Name:   "olebedev/emitter",
		Module: "github.com/olebedev/emitter",
		Kind:   Peer,
		Usage:  "On and <-Emit, a goroutine that ranges over each listener's channel; inline as callbacks with the Void flag",
		Modes: map[Mode]Opener{
			Inline: func(int) (Bus, error) {
				e := &emitter.Emitter{}
				e.Use("*", emitter.Void)
				return &olebedevBus{e, Inline}, nil
			},
			Async:      openOlebedev,
			Concurrent: openOlebedev,
		},
	})
}

type olebedevBus struct {
	emitter *emitter.Emitter
	mode    Mode
}

func openOlebedev(queue int) (Bus, error) { return &olebedevBus{emitter.New(uint(queue)), Async}, nil }

func (b *olebedevBus) Topic(name string) Topic { return &olebedevTopic{b, name} }

func (b *olebedevBus) Close(context.Context) error {
	b.emitter.Off("*")
	return nil
}

type olebedevTopic struct {
	*olebedevBus
	name string
}

func (t *olebedevTopic) Subscribe(rec *Recorder) (func(), error) {
	if t.mode == Inline {
		events := t.emitter.On(t.name, func(e *emitter.Event) { _ = rec.Handle(NoContext, e.Args[0].(Order)) })
		return func() { t.emitter.Off(t.name, events) }, nil
	}
	events := t.emitter.On(t.name)
	go func() {
		for e := range events {
			_ = rec.Handle(NoContext, e.Args[0].(Order))
		}
	}()
	return func() { t.emitter.Off(t.name, events) }, nil
}

func (t *olebedevTopic) Publish(_ context.Context, messages []Message) error {
	for i := range messages {
		<-t.emitter.Emit(t.name, messages[i].Boxed)
	}
	return nil
}
