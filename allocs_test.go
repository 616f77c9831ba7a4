package events_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// large does not fit an interface's word, so that boxing it would show.
type large struct{ a, b, c, d int } //nolint:unused // it is about their size

// TestAllocations keeps the hot paths free of allocations.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ctx := context.Background()
	ran := 0
	typed := func(context.Context, large) error { ran++; return nil }
	untyped := func(context.Context, events.Event) error { ran++; return nil }

	for _, handlers := range []int{1, 10} {
		t.Run("typed publish, handlers "+strconv.Itoa(handlers), func(t *testing.T) {
			bus, topic := events.New(), events.NewTopic[large]("a.b")
			for range handlers {
				handle(t, bus, topic, typed)
			}
			allocates(t, 0, handlers, &ran, func() error { return topic.Publish(ctx, bus, large{}) })
		})

		t.Run("typed publish beside topics and names, handlers "+strconv.Itoa(handlers), func(t *testing.T) {
			bus, topic := events.New(), events.NewTopic[large]("a.b")
			subscribe(t, bus, "other.*", untyped)
			bus.Register("c", untyped)
			for range handlers {
				handle(t, bus, topic, typed, events.WithPriority(1), events.WithName("x"), events.WithUntil(ctx))
			}
			allocates(t, 0, handlers, &ran, func() error { return topic.Publish(ctx, bus, large{}) })
		})

		var boxed any = large{}
		t.Run("Dispatch, handlers "+strconv.Itoa(handlers), func(t *testing.T) {
			for _, bus := range []*events.Bus{events.New(), events.NewEventDispatcher()} {
				for range handlers {
					bus.Register("a.b", untyped)
				}
				allocates(t, 0, handlers, &ran, func() error { return bus.Dispatch(ctx, events.Event{Name: "a.b", Data: boxed}) })
			}
		})

		t.Run("Dispatch to typed handlers, "+strconv.Itoa(handlers), func(t *testing.T) {
			bus, topic := events.New(), events.NewTopic[large]("a.b")
			for range handlers {
				handle(t, bus, topic, typed)
			}
			allocates(t, 0, handlers, &ran, func() error { return bus.Dispatch(ctx, events.Event{Name: "a.b", Data: boxed}) })
		})

		t.Run("Dispatch to patterns, "+strconv.Itoa(handlers), func(t *testing.T) {
			bus := events.New()
			for range handlers {
				subscribe(t, bus, "a.*", untyped)
			}
			allocates(t, 0, handlers, &ran, func() error { return bus.Dispatch(ctx, events.Event{Name: "a.b", Data: boxed}) })
		})

		t.Run("typed publish to untyped handlers boxes once, "+strconv.Itoa(handlers), func(t *testing.T) {
			bus, topic := events.New(), events.NewTopic[large]("a.b")
			for range handlers {
				subscribe(t, bus, "a.b", untyped)
			}
			require.NoError(t, topic.Publish(ctx, bus, large{}))
			allocates(t, 1, handlers, &ran, func() error { return topic.Publish(ctx, bus, large{a: 1}) })
		})
	}

	t.Run("nobody listens", func(t *testing.T) {
		bus, topic := events.New(), events.NewTopic[large]("a.b")
		var boxed any = large{}
		bus.Register("other", untyped)
		allocates(t, 0, 0, &ran, func() error { return bus.Dispatch(ctx, events.Event{Name: "a.b", Data: boxed}) })
		allocates(t, 0, 0, &ran, func() error { return topic.Publish(ctx, bus, large{}) })
		subscribe(t, bus, "other.*", untyped)
		allocates(t, 0, 0, &ran, func() error { return bus.Dispatch(ctx, events.Event{Name: "a.b", Data: boxed}) })
		allocates(t, 0, 0, &ran, func() error { return topic.Publish(ctx, bus, large{}) })
		handle(t, bus, topic, typed).Unsubscribe()
		allocates(t, 0, 0, &ran, func() error { return topic.Publish(ctx, bus, large{}) })
	})

	t.Run("HasHandlers", func(t *testing.T) {
		bus := events.New()
		bus.Register("a.b", untyped)
		subscribe(t, bus, "c.*", untyped)
		allocates(t, 0, 0, &ran, func() error {
			_ = bus.HasHandlers("a.b") && bus.HasHandlers("c.d") && bus.HasHandlers("nobody")
			return nil
		})
	})

	t.Run("queues", func(t *testing.T) {
		// Each event is handled before the next one, so that nobody waits and the
		// ring does not grow. A block of contexts is for 32 of them.
		for name, options := range map[string][]events.SubscribeOption{
			"one":   {events.WithQueue(8)},
			"lanes": {events.WithQueue(8), events.WithLanes(2)},
		} {
			for kind, subscribed := range map[string]func(bus *events.Bus, done chan<- struct{}){
				"typed": func(bus *events.Bus, done chan<- struct{}) {
					handle(t, bus, events.NewTopic[large]("a.b"), func(context.Context, large) error { done <- struct{}{}; return nil }, options...)
				},
				"untyped": func(bus *events.Bus, done chan<- struct{}) {
					subscribe(t, bus, "a.b", func(context.Context, events.Event) error { done <- struct{}{}; return nil }, options...)
				},
			} {
				bus, topic, done := newBus(t), events.NewTopic[large]("a.b"), make(chan struct{})
				subscribed(bus, done)
				boxed := events.Event{Name: "a.b", Data: large{}}
				for publisher, publish := range map[string]func() error{
					"Dispatch": func() error { return bus.Dispatch(ctx, boxed) },
					"Publish":  func() error { return topic.Publish(ctx, bus, large{}) },
				} {
					most := 0.5
					if publisher == "Publish" && kind == "untyped" {
						most++ // it boxes
					}
					require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
						if err := publish(); err != nil {
							t.Error(err)
						}
						<-done
					}), most, "%s, %s, %s", publisher, kind, name)
				}
			}
		}
	})

	t.Run("middleware", func(t *testing.T) {
		pass := func(next events.Handler) events.Handler {
			return func(ctx context.Context, e events.Event) error { return next(ctx, e) }
		}
		// The context that names the subscription is one.
		for _, handlers := range []int{1, 10} {
			bus := events.New(events.WithMiddleware(pass))
			for range handlers {
				subscribe(t, bus, "a.b", untyped, events.WithMiddleware(pass, pass))
			}
			allocates(t, float64(handlers), handlers, &ran, func() error { return bus.Dispatch(ctx, named("a.b")) })
		}
		bus := events.New(events.WithMiddleware(pass))
		handle(t, bus, events.NewTopic[large]("a.b"), typed)
		boxed := events.Event{Name: "a.b", Data: large{}}
		allocates(t, 1, 1, &ran, func() error { return bus.Dispatch(ctx, boxed) })
	})
}

// allocates checks what one publish allocates, and that each runs handlers.
func allocates(t *testing.T, most float64, handlers int, ran *int, publish func() error) {
	t.Helper()
	*ran = 0
	const runs = 100
	var failed error
	got := testing.AllocsPerRun(runs, func() {
		if err := publish(); err != nil {
			failed = err
		}
	})
	require.NoError(t, failed)
	require.Equal(t, (runs+1)*handlers, *ran)
	require.LessOrEqual(t, got, most)
}
