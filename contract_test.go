package events_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// One test for each property of the delivery contract, of the same name. This
// file has those of inline work, contract_async_test.go the others.

func TestSnapshot(t *testing.T) {
	t.Run("subscribing in a handler changes later publishes", func(t *testing.T) {
		var j journal
		bus := events.New()
		topic := events.NewTopic[account]("account.created")
		added := false
		subscribe(t, bus, "account.created", func(context.Context, events.Event) error {
			j.note("first")
			if !added {
				added = true
				subscribe(t, bus, "account.created", j.noting("untyped"))
				subscribe(t, bus, "account.*", j.noting("pattern"))
				handle(t, bus, topic, j.notingTyped("typed"))
				subscribe(t, bus, "account.created", j.noting("urgent"), events.WithPriority(1))
			}
			return nil
		})
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		require.Equal(t, []string{"first"}, j.take())
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		require.Equal(t, []string{"urgent", "first", "untyped", "pattern", "typed"}, j.take())
	})

	t.Run("unsubscribing in a handler changes later publishes", func(t *testing.T) {
		var j journal
		bus := events.New()
		topic := events.NewTopic[account]("account.created")
		var others []*events.Subscription
		subscribe(t, bus, "account.created", func(context.Context, events.Event) error {
			for _, s := range others {
				s.Unsubscribe()
			}
			return nil
		})
		others = append(others,
			subscribe(t, bus, "account.created", j.noting("untyped")),
			subscribe(t, bus, "account.*", j.noting("pattern")),
			handle(t, bus, topic, j.notingTyped("typed")))
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: ada}))
		require.Equal(t, []string{"untyped", "pattern", "typed"}, j.take())
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: ada}))
		require.Empty(t, j.take())
	})

	t.Run("what comes and goes between publishes", func(t *testing.T) {
		for _, order := range [][]string{{"a.b", "a.*", ">"}, {"a.*", "a.b", ">"}, {">", "a.*", "a.b"}} {
			var j journal
			bus := events.New()
			topic := events.NewTopic[account]("a.b")
			publish := func(want ...string) {
				t.Helper()
				require.NoError(t, bus.Dispatch(t.Context(), named("a.b")))
				require.ElementsMatch(t, want, j.take())
				require.NoError(t, topic.Publish(t.Context(), bus, ada))
				require.ElementsMatch(t, want, j.take())
			}
			publish()
			subscriptions := make([]*events.Subscription, len(order))
			for i, name := range order {
				subscriptions[i] = subscribe(t, bus, name, j.noting(name))
				publish(order[:i+1]...)
			}
			for i, s := range subscriptions {
				s.Unsubscribe()
				publish(order[i+1:]...)
			}
		}
	})

	t.Run("WithUntil and WithOnce are stricter", func(t *testing.T) {
		var j journal
		bus := events.New()
		ctx, cancel := context.WithCancel(t.Context())
		nested := false
		subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error {
			cancel()
			if nested {
				return nil
			}
			nested = true
			return bus.Dispatch(ctx, named("a"))
		})
		subscribe(t, bus, "a", j.noting("until"), events.WithUntil(ctx))
		subscribe(t, bus, "a", j.noting("once"), events.WithOnce())
		subscribe(t, bus, "a", j.noting("always"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"once", "always", "always"}, j.take())
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"always"}, j.take())
	})

	t.Run("a publish under way keeps its handlers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			bus := events.New()
			release, open := barrier(t)
			subscribe(t, bus, "a", func(context.Context, events.Event) error { <-release; return nil })
			old := subscribe(t, bus, "a", j.noting("old"))
			published := make(chan error)
			go func() { published <- bus.Dispatch(t.Context(), named("a")) }()
			synctest.Wait()
			old.Unsubscribe()
			subscribe(t, bus, "a", j.noting("new"))
			open()
			require.NoError(t, <-published)
			require.Equal(t, []string{"old"}, j.take())
			require.NoError(t, bus.Dispatch(t.Context(), named("a")))
			require.Equal(t, []string{"new"}, j.take())
		})
	})

	t.Run("an asynchronous publish starts when it is called", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			bus := events.New()
			old := subscribe(t, bus, "a", j.noting("old"))
			bus.DispatchAsync(t.Context(), named("a"))
			old.Unsubscribe()
			subscribe(t, bus, "a", j.noting("new"))
			mustClose(t, bus)
			require.Equal(t, []string{"old"}, j.take())
		})
	})
}

func TestOrder(t *testing.T) {
	t.Run("priority, then subscription, whatever the kind", func(t *testing.T) {
		// Each kind takes each place, so that none is favoured.
		for shift := range 4 {
			t.Run(strconv.Itoa(shift), func(t *testing.T) {
				var j journal
				var want []string
				bus := events.New()
				topic := events.NewTopic[account]("account.created")
				kinds := []func(entry string, priority int){
					func(entry string, _ int) { bus.Register("account.created", j.noting(entry)) },
					func(entry string, p int) {
						subscribe(t, bus, "account.created", j.noting(entry), events.WithPriority(p))
					},
					func(entry string, p int) { subscribe(t, bus, "*.created", j.noting(entry), events.WithPriority(p)) },
					func(entry string, p int) { handle(t, bus, topic, j.notingTyped(entry), events.WithPriority(p)) },
				}
				for i := range kinds {
					kinds[(i+shift)%4]("same "+strconv.Itoa(i), 0)
					want = append(want, "same "+strconv.Itoa(i))
				}
				kinds[1+shift%3]("late", -5)
				kinds[1+(shift+1)%3]("early", 7)
				kinds[1+(shift+2)%3]("earlier", 8)
				want = append(append([]string{"earlier", "early"}, want...), "late")
				require.NoError(t, topic.Publish(t.Context(), bus, ada))
				require.Equal(t, want, j.take(), "typed publish")
				require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: ada}))
				require.Equal(t, want, j.take(), "untyped publish")
			})
		}
	})

	t.Run("in the publisher's goroutine", func(t *testing.T) {
		var j journal
		bus := events.New()
		topic := events.NewTopic[account]("account.created")
		handle(t, bus, topic, func(context.Context, account) error { j.note(goroutine()); return nil })
		subscribe(t, bus, ">", func(context.Context, events.Event) error { j.note(goroutine()); return errBoom })
		subscribe(t, bus, ">", func(context.Context, events.Event) error { j.note(goroutine()); return nil })
		require.Error(t, topic.Publish(t.Context(), bus, ada))
		require.Equal(t, []string{goroutine(), goroutine(), goroutine()}, j.take())
	})

	t.Run("subscribing again goes to the end", func(t *testing.T) {
		var j journal
		bus := events.New()
		first := subscribe(t, bus, "a", j.noting("1"))
		subscribe(t, bus, "a", j.noting("2"))
		first.Unsubscribe()
		first.Unsubscribe()
		subscribe(t, bus, "a", j.noting("3"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"2", "3"}, j.take())
	})

	t.Run("the same function twice is two handlers", func(t *testing.T) {
		var j journal
		bus := events.New()
		handler := j.noting("x")
		first := subscribe(t, bus, "a", handler)
		subscribe(t, bus, "a", handler)
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Len(t, j.take(), 2)
		first.Unsubscribe()
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Len(t, j.take(), 1)
	})

	t.Run("a nested publish is complete before the next handler", func(t *testing.T) {
		var j journal
		bus := events.New()
		subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error {
			j.note("a1")
			return bus.Dispatch(ctx, named("b"))
		})
		subscribe(t, bus, "a", j.noting("a2"))
		subscribe(t, bus, "b", j.noting("b1"))
		subscribe(t, bus, "b", j.noting("b2"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"a1", "b1", "b2", "a2"}, j.take())
	})
}

func TestEveryHandlerRuns(t *testing.T) {
	t.Run("one that fails or panics does not stop the others", func(t *testing.T) {
		var j journal
		bus := events.New()
		topic := events.NewTopic[account]("account.created")
		subscribe(t, bus, "account.created", j.noting("1", errBoom), events.WithName("one"))
		handle(t, bus, topic, func(context.Context, account) error { j.note("2"); panic("two") }, events.WithName("two"))
		subscribe(t, bus, "account.>", j.noting("3", errOther), events.WithName("three"))
		handle(t, bus, topic, j.notingTyped("4"))

		err := topic.Publish(t.Context(), bus, ada)
		require.Equal(t, []string{"1", "2", "3", "4"}, j.take())
		require.Len(t, parts(err), 3)
		for i, name := range []string{"one", "two", "three"} {
			failure, ok := parts(err)[i].(*events.HandlerError)
			require.True(t, ok, "%T", parts(err)[i])
			require.Equal(t, name, failure.Handler)
			require.Equal(t, "account.created", failure.Event)
		}
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, errOther)
		panicked, ok := errors.AsType[*events.PanicError](err)
		require.True(t, ok)
		require.Equal(t, "two", panicked.Value)
	})

	t.Run("the text", func(t *testing.T) {
		bus := events.New()
		var j journal
		first := subscribe(t, bus, "user.created", j.noting("", errBoom))
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")), "handler failed for event user.created: boom")
		subscribe(t, bus, "user.created", j.noting("", errOther))
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")),
			"handler failed for event user.created: boom\nhandler failed for event user.created: other")
		first.Unsubscribe()
		subscribe(t, bus, "user.*", func(context.Context, events.Event) error { panic("oh") })
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")),
			"handler failed for event user.created: other\nhandler failed for event user.created: panic: oh")
	})

	t.Run("the first error stops the rest with WithFailFast", func(t *testing.T) {
		quick := events.NewTopic[account]("a", events.WithFailFast())
		slow := events.NewTopic[account]("a")
		for name, test := range map[string]struct {
			bus   *events.Bus
			topic *events.Topic[account]
		}{
			"bus":                {events.New(events.WithFailFast()), slow},
			"topic":              {events.New(), quick},
			"NewEventDispatcher": {events.NewEventDispatcher(), slow},
		} {
			t.Run(name, func(t *testing.T) {
				for kind, handler := range map[string]events.Handler{
					"error": func(context.Context, events.Event) error { return errBoom },
					"panic": func(context.Context, events.Event) error { panic(errBoom) },
				} {
					var j journal
					first := subscribe(t, test.bus, "a", j.noting("1"))
					second := subscribe(t, test.bus, "a", handler)
					third := subscribe(t, test.bus, "*", j.noting("3", errOther))
					err := test.topic.Publish(t.Context(), test.bus, ada)
					require.IsType(t, (*events.HandlerError)(nil), err)
					require.ErrorIs(t, err, errBoom, kind)
					require.NotErrorIs(t, err, errOther)
					require.Equal(t, []string{"1"}, j.take())
					first.Unsubscribe()
					second.Unsubscribe()
					third.Unsubscribe()
				}
			})
		}
	})

	t.Run("the default name is that of the function", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, events.NewTopic[account]("a"), refuse)
		err := bus.Dispatch(t.Context(), events.Event{Name: "a", Data: ada})
		failure, ok := errors.AsType[*events.HandlerError](err)
		require.True(t, ok)
		require.Equal(t, "github.com/typedbus/events_test.refuse", failure.Handler)
	})
}

func TestManyNamesOfPatterns(t *testing.T) {
	// More than a bus remembers the handlers of.
	bus := events.New()
	for _, side := range []string{"left", "right"} {
		subscribe(t, bus, side+".*", new(journal).noting("", errors.New(side)))
	}
	for range 2 {
		for i := range 2000 {
			for _, side := range []string{"left", "right"} {
				name := side + "." + strconv.Itoa(i)
				require.EqualError(t, bus.Dispatch(t.Context(), named(name)), "handler failed for event "+name+": "+side)
			}
		}
	}
}

func refuse(context.Context, account) error { return errBoom }

func TestPanicsAreErrors(t *testing.T) {
	values := map[string]any{
		"string": "oh", "error": errBoom, "number": 7, "nil": nil,
	}
	modes := map[string]func() []events.BusOption{
		"inline":     func() []events.BusOption { return nil },
		"concurrent": func() []events.BusOption { return []events.BusOption{events.WithConcurrency(2)} },
		"fail-fast":  func() []events.BusOption { return []events.BusOption{events.WithConcurrency(2), events.WithFailFast()} },
	}
	check := func(t *testing.T, err error, value any) {
		t.Helper()
		failure, ok := errors.AsType[*events.HandlerError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "a", failure.Event)
		require.Equal(t, "thrower", failure.Handler)
		panicked, ok := failure.Err.(*events.PanicError)
		require.True(t, ok, "%T", failure.Err)
		require.Contains(t, string(panicked.Stack), "contract_test.go", "the stack of the panic")
		if value == nil {
			require.IsType(t, (*runtime.PanicNilError)(nil), panicked.Value)
		} else {
			require.Equal(t, value, panicked.Value)
		}
		if cause, ok := value.(error); ok {
			require.ErrorIs(t, err, cause)
		}
	}
	for mode, options := range modes {
		for kind, value := range values {
			t.Run(mode+" "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := events.New(append(options(), reported.option())...)
					subscribe(t, bus, "a", func(context.Context, events.Event) error { panic(value) }, events.WithName("thrower"))
					subscribe(t, bus, "a", new(journal).noting("quiet"))
					check(t, bus.Dispatch(t.Context(), named("a")), value)
					require.Empty(t, reported.take(), "the publisher has it")
					bus.DispatchAsync(t.Context(), named("a"))
					mustClose(t, bus)
					errs := reported.take()
					require.Len(t, errs, 1)
					check(t, errs[0], value)
				})
			})
		}
	}

	t.Run("of a runtime error", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, events.NewTopic[*account]("a"), func(_ context.Context, a *account) error { a.ID++; return nil })
		err := events.NewTopic[*account]("a").Publish(t.Context(), bus, nil)
		_, ok := errors.AsType[runtime.Error](err)
		require.True(t, ok, "%v", err)
	})

	t.Run("of middleware", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting(""), events.WithMiddleware(func(events.Handler) events.Handler {
			return func(context.Context, events.Event) error { panic("middleware") }
		}))
		require.EqualError(t, bus.Dispatch(t.Context(), named("a")), "handler failed for event a: panic: middleware")
	})

	t.Run("of WithUnhandled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := events.New(reported.option(), events.WithUnhandled(func(context.Context, events.Event) { panic("unhandled") }))
			require.NoError(t, bus.Dispatch(t.Context(), named("a")))
			require.Len(t, reported.take(), 1)
			bus.DispatchAsync(t.Context(), named("a"))
			mustClose(t, bus)
			errs := reported.take()
			require.Len(t, errs, 1)
			require.ErrorContains(t, errs[0], "unhandled")
		})
	})

	t.Run("Goexit ends the publisher's goroutine", func(t *testing.T) {
		for mode, options := range modes {
			t.Run(mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var j journal
					bus := events.New(options()...)
					once := subscribe(t, bus, "a", func(context.Context, events.Event) error { runtime.Goexit(); return nil })
					subscribe(t, bus, "a", j.noting("ran"))
					require.True(t, exits(func() { _ = bus.Dispatch(t.Context(), named("a")) }))
					once.Unsubscribe()
					j.take()
					require.False(t, exits(func() { _ = bus.Dispatch(t.Context(), named("a")) }))
					require.Equal(t, []string{"ran"}, j.take(), "the bus works on")
					mustClose(t, bus)
				})
			})
		}
	})

	t.Run("Goexit behind a failure", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting("", errBoom))
		subscribe(t, bus, "a", func(context.Context, events.Event) error { runtime.Goexit(); return nil })
		require.True(t, exits(func() { _ = bus.Dispatch(t.Context(), named("a")) }))
	})

	t.Run("Goexit of a handler with WithOnce", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", func(context.Context, events.Event) error { runtime.Goexit(); return nil }, events.WithOnce())
		require.True(t, exits(func() { _ = bus.Dispatch(t.Context(), named("a")) }))
		require.False(t, exits(func() { _ = bus.Dispatch(t.Context(), named("a")) }))
		require.False(t, bus.HasHandlers("a"))
	})

	t.Run("Goexit of an asynchronous handler wedges nothing", func(t *testing.T) {
		for mode, options := range modes {
			t.Run(mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var j journal
					var reported failures
					bus := events.New(append(options(), reported.option())...)
					subscribe(t, bus, "a", func(context.Context, events.Event) error { runtime.Goexit(); return nil }, events.WithName("leaver"))
					subscribe(t, bus, "b", j.noting("b"))
					for range 10 {
						bus.DispatchAsync(t.Context(), named("a"))
						bus.DispatchAsync(t.Context(), named("b"))
					}
					mustClose(t, bus)
					require.Len(t, j.take(), 10)
					errs := reported.take()
					require.Len(t, errs, 10, "never silent")
					failure, ok := errors.AsType[*events.HandlerError](errs[0])
					require.True(t, ok)
					require.Equal(t, "a", failure.Event)
					require.Equal(t, "leaver", failure.Handler)
				})
			})
		}
	})

	t.Run("Goexit of the error handler wedges nothing", func(t *testing.T) {
		for kind, handler := range map[string]events.Handler{
			"error":  func(context.Context, events.Event) error { return errBoom },
			"panic":  func(context.Context, events.Event) error { panic("oh") },
			"goexit": func(context.Context, events.Event) error { runtime.Goexit(); return nil },
		} {
			t.Run(kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var j journal
					bus := events.New(events.WithErrorHandler(func(context.Context, error) { runtime.Goexit() }))
					subscribe(t, bus, "a", handler)
					subscribe(t, bus, "b", j.noting("b"))
					bus.DispatchAsync(t.Context(), named("a"))
					bus.DispatchAsync(t.Context(), named("b"))
					mustClose(t, bus)
					require.Equal(t, []string{"b"}, j.take())
				})
			})
		}
	})
}

func TestReentrancy(t *testing.T) {
	t.Run("a handler publishes its own event", func(t *testing.T) {
		bus := events.New()
		topic := events.NewTopic[int]("countdown")
		var got []int
		handle(t, bus, topic, func(ctx context.Context, n int) error {
			got = append(got, n)
			if n == 0 {
				return nil
			}
			return topic.Publish(ctx, bus, n-1)
		})
		require.NoError(t, topic.Publish(t.Context(), bus, 100))
		require.Len(t, got, 101)
	})

	t.Run("a handler unsubscribes itself", func(t *testing.T) {
		var j journal
		bus := events.New()
		var self *events.Subscription
		self = subscribe(t, bus, "a", func(context.Context, events.Event) error {
			j.note("ran")
			self.Unsubscribe()
			return nil
		})
		subscribe(t, bus, "a", j.noting("next"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"ran", "next", "next"}, j.take())
	})

	t.Run("a handler closes the bus", func(t *testing.T) {
		bus := events.New()
		var nested, again error
		subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error {
			if err := bus.Close(ctx); err != nil {
				return err
			}
			nested = bus.Dispatch(ctx, named("b"))
			again = bus.Close(context.Background())
			return nil
		})
		var j journal
		subscribe(t, bus, "a", j.noting("next"))
		subscribe(t, bus, "b", j.noting("b"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.ErrorIs(t, nested, events.ErrClosed)
		require.NoError(t, again)
		require.Equal(t, []string{"next"}, j.take(), "the publish under way goes on")
	})

	t.Run("no lock is held while user code runs", func(t *testing.T) {
		// useAll would hang under a lock of the bus; the bubble turns that into
		// a failure.
		useAll := func(bus *events.Bus) {
			s, err := bus.Subscribe("z.*", func(context.Context, events.Event) error { return nil })
			require.NoError(t, err)
			bus.Register("z.z", func(context.Context, events.Event) error { return nil })
			require.NoError(t, bus.Dispatch(context.Background(), named("z.z")))
			require.True(t, bus.HasHandlers("z.z"))
			bus.DispatchAsync(context.Background(), named("z.z"))
			s.Unsubscribe()
		}
		synctest.Test(t, func(t *testing.T) {
			var j journal
			var bus *events.Bus
			using := func(entry string) { j.note(entry); useAll(bus) }
			around := func(next events.Handler) events.Handler {
				return func(ctx context.Context, e events.Event) error { using("middleware"); return next(ctx, e) }
			}
			bus = events.New(
				events.WithErrorHandler(func(context.Context, error) { using("error handler") }),
				events.WithUnhandled(func(context.Context, events.Event) { using("unhandled") }),
			)
			subscribe(t, bus, "a", func(context.Context, events.Event) error { using("handler"); return errBoom },
				events.WithMiddleware(around, func(next events.Handler) events.Handler { using("making"); return next }))
			require.Error(t, bus.Dispatch(t.Context(), named("a")))
			require.NoError(t, bus.Dispatch(t.Context(), named("nobody")))
			bus.DispatchAsync(t.Context(), named("a"))
			synctest.Wait()
			mustClose(t, bus)
			require.Equal(t, []string{
				"making", "middleware", "handler", "unhandled", "middleware", "handler", "error handler",
			}, j.take())
		})
	})

	t.Run("no limit is shared between nested publishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithConcurrency(2))
			topic := events.NewTopic[int]("tree")
			var leaves atomic.Int32
			for range 3 {
				handle(t, bus, topic, func(ctx context.Context, depth int) error {
					if depth == 0 {
						leaves.Add(1)
						return nil
					}
					return topic.Publish(ctx, bus, depth-1)
				})
			}
			require.NoError(t, topic.Publish(t.Context(), bus, 4))
			require.EqualValues(t, 243, leaves.Load())
			require.NoError(t, topic.PublishAsync(t.Context(), bus, 4))
			mustClose(t, bus)
			require.EqualValues(t, 2*243, leaves.Load())
		})
	})

	t.Run("everything at once", func(t *testing.T) {
		// For the race detector.
		var reported failures
		bus := events.New(reported.option())
		topic := events.NewTopic[int]("a.b")
		done := make(chan struct{})
		for g := range 4 {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range 200 {
					exact, err := topic.Subscribe(bus, func(context.Context, int) error { return nil }, events.WithPriority(g))
					if err != nil {
						t.Error(err)
						return
					}
					wild, err := bus.Subscribe("a.*", func(context.Context, events.Event) error { return nil }, events.WithOnce())
					if err != nil {
						t.Error(err)
						return
					}
					err = errors.Join(topic.Publish(context.Background(), bus, i),
						bus.Dispatch(context.Background(), events.Event{Name: "a.b", Data: i}),
						topic.PublishAsync(context.Background(), bus, i))
					if err != nil {
						t.Error(err)
					}
					exact.Unsubscribe()
					wild.Unsubscribe()
				}
			}()
		}
		for range 4 {
			<-done
		}
		require.NoError(t, bus.Close(t.Context()))
		require.Empty(t, reported.take())
		require.False(t, bus.HasHandlers("a.b"))
	})
}

func TestConcurrencyIsAskedFor(t *testing.T) {
	// meet returns a bus with n handlers that note their coming and wait.
	meet := func(t *testing.T, n int, release <-chan struct{}, options ...events.BusOption) (*events.Bus, *atomic.Int32) {
		bus := events.New(options...)
		var came atomic.Int32
		for range n {
			subscribe(t, bus, "a", func(context.Context, events.Event) error {
				came.Add(1)
				<-release
				return nil
			})
		}
		return bus, &came
	}
	for limit, together := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 5: 5, 100: 5} {
		t.Run(fmt.Sprint("up to ", limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				free := sync.OnceFunc(func() { close(release) })
				defer free()
				bus, came := meet(t, 5, release, events.WithConcurrency(limit))
				returned := false
				go func() {
					_ = bus.Dispatch(context.Background(), named("a"))
					returned = true
				}()
				for begun := together; begun <= 5; begun++ {
					synctest.Wait()
					require.EqualValues(t, begun, came.Load())
					require.False(t, returned, "waits for all")
					release <- struct{}{}
				}
				free()
				synctest.Wait()
				require.True(t, returned)
			})
		})
	}

	t.Run("of a topic", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic := events.NewTopic[int]("a", events.WithConcurrency(3))
			release, open := barrier(t)
			bus, came := meet(t, 3, release)
			go func() { _ = topic.Publish(context.Background(), bus, 1) }()
			synctest.Wait()
			require.EqualValues(t, 3, came.Load())
			open()
		})
	})

	t.Run("a single handler stays inline", func(t *testing.T) {
		bus := events.New(events.WithConcurrency(4))
		var in string
		subscribe(t, bus, "a", func(context.Context, events.Event) error { in = goroutine(); return nil })
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, goroutine(), in)
	})

	t.Run("errors come in the order of the handlers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithConcurrency(3))
			for i := range 3 {
				subscribe(t, bus, "a", func(context.Context, events.Event) error {
					time.Sleep(time.Duration(3-i) * time.Second)
					return fmt.Errorf("%d", i)
				})
			}
			require.EqualError(t, bus.Dispatch(t.Context(), named("a")),
				"handler failed for event a: 0\nhandler failed for event a: 1\nhandler failed for event a: 2")
		})
	})

	t.Run("with fail-fast the others' context is cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithConcurrency(2), events.WithFailFast())
			var j journal
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error {
				<-ctx.Done()
				j.note("cancelled")
				return ctx.Err()
			})
			subscribe(t, bus, "a", func(context.Context, events.Event) error { time.Sleep(time.Second); return errBoom })
			subscribe(t, bus, "a", j.noting("behind"))
			err := bus.Dispatch(t.Context(), named("a"))
			require.EqualError(t, err, "handler failed for event a: boom")
			require.Equal(t, []string{"cancelled"}, j.take())
		})
	})

	t.Run("without fail-fast it is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithConcurrency(2))
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { time.Sleep(time.Second); return ctx.Err() })
			subscribe(t, bus, "a", func(context.Context, events.Event) error { return errBoom })
			require.EqualError(t, bus.Dispatch(t.Context(), named("a")), "handler failed for event a: boom")
		})
	})

	t.Run("a cancelled publisher reaches all handlers", func(t *testing.T) {
		for _, options := range [][]events.BusOption{
			{events.WithConcurrency(2)}, {events.WithConcurrency(2), events.WithFailFast()},
		} {
			bus := events.New(options...)
			var ran atomic.Int32
			for range 5 {
				subscribe(t, bus, "a", func(context.Context, events.Event) error { ran.Add(1); return nil })
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.NoError(t, bus.Dispatch(ctx, named("a")))
			require.EqualValues(t, 5, ran.Load())
		}
	})
}

func TestTwoViewsOfOneEvent(t *testing.T) {
	topic := events.NewTopic[account]("account.created")

	t.Run("a typed publish reaches untyped handlers", func(t *testing.T) {
		bus := events.New()
		var got []events.Event
		keep := func(_ context.Context, e events.Event) error { got = append(got, e); return nil }
		bus.Register("account.created", keep)
		subscribe(t, bus, "account.*", keep)
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		want := events.Event{Name: "account.created", Data: ada}
		require.Equal(t, []events.Event{want, want}, got)
	})

	t.Run("an untyped dispatch reaches typed handlers", func(t *testing.T) {
		bus := events.New()
		var got []account
		handle(t, bus, topic, func(_ context.Context, a account) error { got = append(got, a); return nil })
		for _, data := range []any{ada, &ada, map[string]any{"id": 1, "name": "Ada"}} {
			require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: data}))
		}
		require.Equal(t, []account{ada, ada, ada}, got)
	})

	t.Run("anything else is a PayloadError for that handler", func(t *testing.T) {
		var j journal
		bus := events.New()
		handle(t, bus, topic, j.notingTyped("typed"))
		bus.Register("account.created", j.noting("untyped"))
		for _, data := range []any{
			nil, (*account)(nil), 7, "Ada",
			[]account{ada},
			struct{ ID int }{1},
			map[string]any{},
			map[string]any(nil),
			map[string]any{"unknown": 1},
			map[string]any{"id": "one"},
			map[string]any{"id": 1, "name": 2},
			map[int]any{1: 1},
		} {
			err := bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: data})
			mismatch, ok := errors.AsType[*events.PayloadError](err)
			require.True(t, ok, "%#v gave %v", data, err)
			require.Len(t, parts(err), 1)
			require.Equal(t, "account.created", mismatch.Event)
			require.Equal(t, "events_test.account", mismatch.Want.String())
			if data == nil {
				require.Nil(t, mismatch.Got)
			} else {
				require.Equal(t, fmt.Sprintf("%T", data), mismatch.Got.String())
			}
			require.Equal(t, []string{"untyped"}, j.take(), "%#v", data)
		}
	})

	t.Run("the same name with two types is a conflict", func(t *testing.T) {
		bus := events.New()
		var j journal
		handle(t, bus, topic, j.notingTyped("account"))
		number := events.NewTopic[int]("account.created")
		_, err := number.Subscribe(bus, func(context.Context, int) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		require.ErrorIs(t, number.Publish(t.Context(), bus, 1), events.ErrTopicConflict)
		require.ErrorIs(t, number.PublishAsync(t.Context(), bus, 1), events.ErrTopicConflict)
		require.Empty(t, j.take())
		require.NoError(t, number.Publish(t.Context(), events.New(), 1), "another bus")
	})
}

// retained returns how much more of the heap is in use after f.
func retained(f func()) int64 {
	use := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := use()
	f()
	return use() - before
}

func TestMemoryFollowsSubscriptions(t *testing.T) {
	names := 1_000_000
	if raceEnabled || testing.Short() {
		names = 50_000
	}
	const slack = 128 << 10 // for all names, not for each
	var ran int
	count := func(context.Context, events.Event) error { ran++; return nil }

	dispatch := func(t *testing.T, bus *events.Bus, i int) {
		if err := bus.Dispatch(context.Background(), named("name."+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(options ...events.TopicOption) func(*testing.T, *events.Bus, int) {
		return func(t *testing.T, bus *events.Bus, i int) {
			topic := events.NewTopic[int]("name."+strconv.Itoa(i), options...)
			if err := topic.Publish(context.Background(), bus, i); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		names   int
		pattern string
		do      func(*testing.T, *events.Bus, int)
	}{
		"untyped that nobody hears":                   {names, "", dispatch},
		"untyped that a pattern hears":                {names, "name.*", dispatch},
		"untyped that a pattern does not hear":        {names, "other.*", dispatch},
		"typed that nobody hears":                     {names / 10, "", publish()},
		"typed that a pattern hears":                  {names / 10, "name.*", publish()},
		"typed with options that nobody hears":        {names / 10, "", publish(events.WithFailFast())},
		"typed with options that a pattern hears":     {names / 10, "name.*", publish(events.WithFailFast())},
		"subscribed and unsubscribed":                 {names / 10, "", comeAndGo},
		"subscribed and unsubscribed, with a pattern": {1_000, "name.*", comeAndGo},
	} {
		t.Run(name, func(t *testing.T) {
			ran = 0
			bus := events.New()
			if test.pattern != "" {
				subscribe(t, bus, test.pattern, count)
			}
			kept := retained(func() {
				for i := range test.names {
					test.do(t, bus, i)
				}
			})
			if test.pattern == "name.*" {
				require.Equal(t, test.names, ran)
			}
			require.Less(t, kept, int64(slack), "bytes kept")
			runtime.KeepAlive(bus)
		})
	}

	t.Run("many subscriptions at a time", func(t *testing.T) {
		bus := events.New()
		many := max(names/10, 20_000)
		kept := retained(func() {
			subscriptions := make([]*events.Subscription, many)
			for i := range subscriptions {
				subscriptions[i] = subscribe(t, bus, "name."+strconv.Itoa(i), count)
			}
			for _, s := range subscriptions {
				s.Unsubscribe()
			}
		})
		require.Less(t, kept, int64(slack), "bytes kept")
		runtime.KeepAlive(bus)
	})

	t.Run("asynchronous ones", func(t *testing.T) {
		bus := events.New()
		var handled atomic.Int64
		subscribe(t, bus, "name.*", func(context.Context, events.Event) error { handled.Add(1); return nil })
		kept := retained(func() {
			for i := range names / 10 {
				bus.DispatchAsync(context.Background(), named("name."+strconv.Itoa(i)))
			}
			require.NoError(t, bus.Close(context.Background()))
		})
		require.EqualValues(t, names/10, handled.Load())
		require.Less(t, kept, int64(slack), "bytes kept")
		runtime.KeepAlive(bus)
	})
}

// comeAndGo subscribes to a name, publishes it and unsubscribes.
func comeAndGo(t *testing.T, bus *events.Bus, i int) {
	topic := events.NewTopic[int]("name." + strconv.Itoa(i))
	s, err := topic.Subscribe(bus, func(context.Context, int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := topic.Publish(context.Background(), bus, i); err != nil {
		t.Fatal(err)
	}
	s.Unsubscribe()
}
