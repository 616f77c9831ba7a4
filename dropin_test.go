package events_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// What code written for the map-based dispatcher relies on, as the compiler
// sees it.
type (
	// fourMethods is the interface by which services accept the dispatcher.
	fourMethods interface {
		Register(eventName string, handler events.Handler)
		Dispatch(ctx context.Context, event events.Event) error
		DispatchAsync(ctx context.Context, event events.Event)
		HasHandlers(eventName string) bool
	}

	// eventName is a string type of the user's own, which untyped constants fit.
	eventName string
)

var (
	_ fourMethods                               = events.NewEventDispatcher()
	_ fourMethods                               = (*events.EventDispatcher)(nil)
	_ *events.EventDispatcher                   = (*events.Bus)(nil) // one type, not two
	_ func() *events.EventDispatcher            = events.NewEventDispatcher
	_ func(string, events.Handler)              = events.NewEventDispatcher().Register
	_ func(context.Context, events.Event) error = events.NewEventDispatcher().Dispatch
	_ func(context.Context, events.Event)       = events.NewEventDispatcher().DispatchAsync
	_ func(string) bool                         = events.NewEventDispatcher().HasHandlers
	_ func(string, events.Handler)              = events.Register
	_ func(context.Context, events.Event) error = events.Dispatch
	_ func(context.Context, events.Event)       = events.DispatchAsync
	_ func(string) bool                         = events.HasHandlers
	_ func(context.Context, events.Event) error = events.Handler(nil)
	_ events.Handler                            = func(context.Context, events.Event) error { return nil }
	_ struct {                                  // exactly two fields, in this order
		Name string
		Data any
	} = struct {
		Name string
		Data any
	}(events.Event{})
	_           = events.Event{"user.created", nil} // unkeyed, as old code may write it
	_ eventName = events.EventUserCreated
)

func TestDropInNames(t *testing.T) {
	// In an array of strings and by their values, as configuration has them.
	for name, want := range map[string]string{
		events.EventUserCreated:       "user.created",
		events.EventUserUpdated:       "user.updated",
		events.EventUserDeleted:       "user.deleted",
		events.EventUserLoggedIn:      "user.logged_in",
		events.EventUserLoggedOut:     "user.logged_out",
		events.EventUserPasswordReset: "user.password_reset",
		events.EventModuleInstalled:   "module.installed",
		events.EventModuleUninstalled: "module.uninstalled",
		events.EventModuleActivated:   "module.activated",
		events.EventModuleDeactivated: "module.deactivated",
		events.EventModuleUpdated:     "module.updated",
		events.EventSystemStarted:     "system.started",
		events.EventSystemShutdown:    "system.shutdown",
	} {
		require.Equal(t, want, name)
	}
}

func TestDropInDispatch(t *testing.T) {
	t.Run("registration order", func(t *testing.T) {
		var j journal
		d := events.NewEventDispatcher()
		var want []string
		for i := range 50 {
			d.Register("a", j.noting(fmt.Sprint(i)))
			want = append(want, fmt.Sprint(i))
		}
		require.NoError(t, d.Dispatch(t.Context(), named("a")))
		require.Equal(t, want, j.take())
	})

	t.Run("the first error stops the rest", func(t *testing.T) {
		var j journal
		d := events.NewEventDispatcher()
		d.Register("user.created", j.noting("1"))
		d.Register("user.created", j.noting("2", errBoom))
		d.Register("user.created", j.noting("3", errOther))
		err := d.Dispatch(t.Context(), named("user.created"))
		require.EqualError(t, err, "handler failed for event user.created: boom")
		require.ErrorIs(t, err, errBoom)
		require.Equal(t, []string{"1", "2"}, j.take())
	})

	t.Run("the handler gets the very event and context", func(t *testing.T) {
		d := events.NewEventDispatcher()
		data := map[string]any{"id": 1}
		ctx := context.WithValue(t.Context(), requestKey{}, 1)
		d.Register("a", func(got context.Context, e events.Event) error {
			require.Equal(t, ctx, got)
			e.Data.(map[string]any)["seen"] = true
			return nil
		})
		require.NoError(t, d.Dispatch(ctx, events.Event{Name: "a", Data: data}))
		require.Equal(t, map[string]any{"id": 1, "seen": true}, data, "the publisher's map, not a copy")
	})

	t.Run("nobody listens", func(t *testing.T) {
		d := events.NewEventDispatcher()
		require.NoError(t, d.Dispatch(t.Context(), named("a")))
		d.DispatchAsync(t.Context(), named("a"))
		require.False(t, d.HasHandlers("a"))
	})

	t.Run("any string is a literal name", func(t *testing.T) {
		d := events.NewEventDispatcher()
		var j journal
		names := []string{"", ".", "..", "a", "a.", ".a", "a..b", "*", "user.*", "user.>", ">", "**", "a*b", "ünï.çødé", "a b", "\x00", "\xff"}
		for _, name := range names {
			d.Register(name, j.noting("handler of "+name))
		}
		for _, name := range names {
			require.True(t, d.HasHandlers(name), "%q", name)
			require.NoError(t, d.Dispatch(t.Context(), named(name)))
			require.Equal(t, []string{"handler of " + name}, j.take(), "%q", name)
		}
		for _, name := range []string{"user.created", "user", "b", "A", "aab", "a.b"} {
			require.False(t, d.HasHandlers(name), "%q", name)
			require.NoError(t, d.Dispatch(t.Context(), named(name)))
			require.Empty(t, j.take(), "%q", name)
		}
	})

	t.Run("Register and Dispatch in a handler", func(t *testing.T) {
		d := events.NewEventDispatcher()
		var j journal
		d.Register("order.placed", func(ctx context.Context, _ events.Event) error {
			j.note("placed")
			d.Register("order.paid", j.noting("paid"))
			d.Register("order.placed", j.noting("next time"))
			return d.Dispatch(ctx, named("order.paid"))
		})
		require.NoError(t, d.Dispatch(t.Context(), named("order.placed")))
		require.Equal(t, []string{"placed", "paid"}, j.take())
		require.True(t, d.HasHandlers("order.paid"))
	})

	t.Run("an error within a handler's dispatch", func(t *testing.T) {
		d := events.NewEventDispatcher()
		d.Register("outer", func(ctx context.Context, _ events.Event) error { return d.Dispatch(ctx, named("inner")) })
		d.Register("inner", new(journal).noting("", errBoom))
		err := d.Dispatch(t.Context(), named("outer"))
		require.EqualError(t, err, "handler failed for event outer: handler failed for event inner: boom")
		require.ErrorIs(t, err, errBoom)
	})

	t.Run("at the same time as Register", func(t *testing.T) {
		// For the race detector.
		d := events.NewEventDispatcher()
		var wait sync.WaitGroup
		for g := range 4 {
			wait.Go(func() {
				for i := range 200 {
					name := fmt.Sprint("name.", i%10)
					if g%2 == 0 {
						d.Register(name, func(context.Context, events.Event) error { return nil })
					} else if err := d.Dispatch(context.Background(), named(name)); err != nil {
						t.Error(err)
					}
					d.HasHandlers(name)
				}
			})
		}
		wait.Wait()
	})
}

func TestDropInDispatchAsync(t *testing.T) {
	t.Run("hundreds of handlers that block all get started", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := events.NewEventDispatcher()
			var started, ended atomic.Int32
			release, open := barrier(t)
			d.Register("a", func(context.Context, events.Event) error {
				started.Add(1)
				<-release
				ended.Add(1)
				return nil
			})
			for range 700 {
				d.DispatchAsync(t.Context(), named("a"))
			}
			synctest.Wait()
			require.EqualValues(t, 700, started.Load())
			require.Zero(t, ended.Load())
			open()
			synctest.Wait()
			require.EqualValues(t, 700, ended.Load())
			// Without Close: a goroutine left would fail the bubble.
		})
	})

	t.Run("handlers that wait for later events", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := events.NewEventDispatcher()
			gates := make([]chan struct{}, 100)
			for i := range gates {
				gates[i] = make(chan struct{})
			}
			var ended atomic.Int32
			d.Register("a", func(_ context.Context, e events.Event) error {
				i := e.Data.(int)
				if i+1 < len(gates) {
					<-gates[i+1]
				}
				close(gates[i])
				ended.Add(1)
				return nil
			})
			for i := range gates {
				d.DispatchAsync(t.Context(), events.Event{Name: "a", Data: i})
			}
			synctest.Wait()
			require.EqualValues(t, len(gates), ended.Load())
		})
	})

	t.Run("handlers that dispatch the next step", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := events.NewEventDispatcher()
			steps := 0
			d.Register("step", func(ctx context.Context, e events.Event) error {
				steps++
				if n := e.Data.(int); n > 0 {
					d.DispatchAsync(ctx, events.Event{Name: "step", Data: n - 1})
				}
				return nil
			})
			d.DispatchAsync(t.Context(), events.Event{Name: "step", Data: 500})
			synctest.Wait()
			require.Equal(t, 501, steps)
		})
	})

	t.Run("bursts, with pauses between", func(t *testing.T) {
		// The workers end and begin anew; no event may be left to wait.
		synctest.Test(t, func(t *testing.T) {
			d := events.NewEventDispatcher()
			var handled atomic.Int32
			d.Register("a", func(context.Context, events.Event) error { handled.Add(1); return nil })
			want := 0
			for burst := range 60 {
				for range burst%5 + 1 {
					d.DispatchAsync(t.Context(), named("a"))
					want++
				}
				synctest.Wait()
				require.EqualValues(t, want, handled.Load())
			}
		})
	})
}

func TestDropInGlobals(t *testing.T) {
	// Another test's handlers are out of the way on a bus of its own.
	previous := events.Default()
	t.Cleanup(func() { events.SetDefault(previous) })
	require.Same(t, previous, events.Default(), "made once")

	// The one in place before SetDefault is a dispatcher of the old kind.
	// The name is new each time, for -count.
	var j journal
	first := fmt.Sprint("dropin.", rand.Uint64())
	events.Register(first, j.noting("1", errBoom))
	events.Register(first, j.noting("2"))
	require.True(t, events.HasHandlers(first))
	err := events.Dispatch(t.Context(), named(first))
	require.EqualError(t, err, "handler failed for event "+first+": boom")
	require.Equal(t, []string{"1"}, j.take())

	bus := events.New()
	events.SetDefault(bus)
	require.Same(t, bus, events.Default())
	require.False(t, events.HasHandlers(first))
	require.True(t, previous.HasHandlers(first), "what has subscribed before stays there")
	events.Register("a", j.noting("a"))
	require.NoError(t, events.Dispatch(t.Context(), named("a")))
	events.DispatchAsync(t.Context(), named("a"))
	require.NoError(t, bus.Close(t.Context()))
	require.Equal(t, []string{"a", "a"}, j.take())
	require.True(t, errors.Is(events.Dispatch(t.Context(), named("a")), events.ErrClosed))
}

func TestDropInBesideTopics(t *testing.T) {
	// Half migrated: the publisher has types, a handler does not, and the other
	// way round.
	d := events.NewEventDispatcher()
	created := events.NewTopic[account](events.EventUserCreated, events.WithMapPayload())
	var j journal
	handle(t, d, created, func(_ context.Context, a account) error {
		j.note(fmt.Sprint("typed ", a.ID, a.Name))
		return nil
	})
	d.Register(events.EventUserCreated, func(_ context.Context, e events.Event) error {
		data := e.Data.(map[string]any)
		j.note(fmt.Sprint("untyped ", data["id"], data["name"]))
		return nil
	})
	require.NoError(t, created.Publish(t.Context(), d, ada))
	require.NoError(t, d.Dispatch(t.Context(), events.Event{
		Name: events.EventUserCreated, Data: map[string]any{"id": 1, "name": "Ada"},
	}))
	require.Equal(t, []string{"typed 1Ada", "untyped 1Ada", "typed 1Ada", "untyped 1Ada"}, j.take())
}
