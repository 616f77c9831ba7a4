package contender

import (
	"context"
	"regexp"
	"strconv"
	"sync/atomic"

	"github.com/mustafaturan/bus/v3"
)

func init() {
	register(Contender{
		ID:     "mustafaturan",
		Name:   "mustafaturan/bus",
		Module: "github.com/mustafaturan/bus/v3",
		Kind:   Peer,
		Usage:  "RegisterTopics, RegisterHandler with an anchored matcher, Emit with a transaction in the context; identifiers from a counter",
		Modes:  map[Mode]Opener{Inline: openMustafaturan},
		Lacks: map[Mode]string{
			Async:      "handlers run in the publisher's goroutine; going on from there is left to them",
			Concurrent: "runs the handlers of one event one after the other",
		},
	})
}

type mustafaturanBus struct {
	bus  *bus.Bus
	keys *atomic.Uint64
}

func openMustafaturan(int) (Bus, error) {
	var ids atomic.Uint64
	var next bus.Next = func() string { return strconv.FormatUint(ids.Add(1), 36) }
	b, err := bus.NewBus(next)
	if err != nil {
		return nil, err
	}
	return &mustafaturanBus{b, new(atomic.Uint64)}, nil
}

func (b *mustafaturanBus) Topic(name string) Topic {
	b.bus.RegisterTopics(name)
	return &mustafaturanTopic{b, name}
}

func (b *mustafaturanBus) Close(context.Context) error { return ErrNoClose }

type mustafaturanTopic struct {
	*mustafaturanBus
	name string
}

func (t *mustafaturanTopic) Subscribe(rec *Recorder) (func(), error) {
	// A key must be the handler's own: registering a second handler under it would replace the first.
	key := strconv.FormatUint(t.keys.Add(1), 10)
	t.bus.RegisterHandler(key, bus.Handler{
		Handle:  func(ctx context.Context, e bus.Event) { _ = rec.Handle(ctx, e.Data.(Order)) },
		Matcher: "^" + regexp.QuoteMeta(t.name) + "$",
	})
	return func() { t.bus.DeregisterHandler(key) }, nil
}

func (t *mustafaturanTopic) Publish(ctx context.Context, messages []Message) error {
	ctx = context.WithValue(ctx, bus.CtxKeyTxID, "request-1")
	for i := range messages {
		if err := t.bus.Emit(ctx, t.name, messages[i].Boxed); err != nil {
			return err
		}
	}
	return nil
}
