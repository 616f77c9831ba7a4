package contender

import (
	"context"

	"github.com/maniartech/signals"
)

func init() {
	register(Contender{
		ID:       "maniartech",
		Name:     "maniartech/signals",
		Module:   "github.com/maniartech/signals",
		Kind:     Peer,
		Usage:    "NewSync, AddListenerWithErr and TryEmit; New and Emit for concurrent listeners, go Emit for asynchronous ones",
		Parallel: true,
		Values:   true,
		Modes: map[Mode]Opener{
			Inline:     func(int) (Bus, error) { return maniartechBus(Inline), nil },
			Async:      func(int) (Bus, error) { return maniartechBus(Async), nil },
			Concurrent: func(int) (Bus, error) { return maniartechBus(Concurrent), nil },
		},
	})
}

// maniartechBus is only the mode: a signal is a topic that belongs to no bus.
type maniartechBus Mode

func (b maniartechBus) Topic(string) Topic {
	switch Mode(b) {
	case Inline:
		return &maniartechSync{signals.NewSync[Order]()}
	case Async:
		return &maniartechAsync{signals.New[Order](), true}
	default:
		return &maniartechAsync{signals.New[Order](), false}
	}
}

func (b maniartechBus) Close(context.Context) error { return ErrNoClose }

type maniartechSync struct{ signal *signals.SyncSignal[Order] }

func (t *maniartechSync) Subscribe(rec *Recorder) (func(), error) {
	if rec.Key == "" {
		t.signal.AddListenerWithErr(rec.Handle)
		return nil, nil
	}
	t.signal.AddListenerWithErr(rec.Handle, rec.Key)
	return func() { t.signal.RemoveListener(rec.Key) }, nil
}

func (t *maniartechSync) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		if err := t.signal.TryEmit(ctx, messages[i].Order); err != nil {
			return err
		}
	}
	return nil
}

type maniartechAsync struct {
	signal *signals.AsyncSignal[Order]
	detach bool
}

func (t *maniartechAsync) Subscribe(rec *Recorder) (func(), error) {
	listener := func(ctx context.Context, o Order) { _ = rec.Handle(ctx, o) }
	if rec.Key == "" {
		t.signal.AddListener(listener)
		return nil, nil
	}
	t.signal.AddListener(listener, rec.Key)
	return func() { t.signal.RemoveListener(rec.Key) }, nil
}

func (t *maniartechAsync) Publish(ctx context.Context, messages []Message) error {
	for i := range messages {
		if t.detach {
			go t.signal.Emit(ctx, messages[i].Order)
		} else {
			t.signal.Emit(ctx, messages[i].Order)
		}
	}
	return nil
}
