package contender

import (
	"context"

	"github.com/samber/ro"
)

func init() {
	register(Contender{
		ID:     "ro",
		Name:   "samber/ro",
		Module: "github.com/samber/ro",
		Kind:   Peer,
		Usage:  "a PublishSubject for each topic; asynchronous through ObserveOn",
		Values: true,
		Modes: map[Mode]Opener{
			Inline:     func(int) (Bus, error) { return &roBus{}, nil },
			Async:      func(queue int) (Bus, error) { return &roBus{queue: queue}, nil },
			Concurrent: func(queue int) (Bus, error) { return &roBus{queue: queue}, nil },
		},
	})
}

// roBus keeps its subjects, which belong to no bus, so that it can complete them.
type roBus struct {
	queue    int
	subjects []ro.Subject[Order]
}

func (b *roBus) Topic(string) Topic {
	subject := ro.NewPublishSubject[Order]()
	b.subjects = append(b.subjects, subject)
	return &roTopic{subject, b.queue}
}

func (b *roBus) Close(context.Context) error {
	for _, subject := range b.subjects {
		subject.Complete()
	}
	return nil
}

type roTopic struct {
	subject ro.Subject[Order]
	queue   int
}

func (t *roTopic) Subscribe(rec *Recorder) (func(), error) {
	observer := ro.OnNextWithContext(func(ctx context.Context, o Order) { _ = rec.Handle(ctx, o) })
	if t.queue == 0 {
		return t.subject.Subscribe(observer).Unsubscribe, nil
	}
	observable := ro.Pipe1(t.subject.AsObservable(), ro.ObserveOn[Order](t.queue))
	return observable.Subscribe(observer).Unsubscribe, nil
}

func (t *roTopic) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		t.subject.NextWithContext(ctx, messages[i].Order)
	}
	return nil
}
