package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
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
		first := subscribe(t, bus, "user.created", j.noting("", errBoom), events.WithName("mail"))
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")), "handler mail failed for event user.created: boom")
		subscribe(t, bus, "user.created", j.noting("", errOther), events.WithName("count"))
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")),
			"handler mail failed for event user.created: boom\nhandler count failed for event user.created: other")
		first.Unsubscribe()
		subscribe(t, bus, "user.*", func(context.Context, events.Event) error { panic("oh") }, events.WithName("audit"))
		require.EqualError(t, bus.Dispatch(t.Context(), named("user.created")),
			"handler count failed for event user.created: other\nhandler audit failed for event user.created: panic: oh")
	})

	t.Run("the text is the old one on a bus of NewEventDispatcher", func(t *testing.T) {
		const text = "handler failed for event a: boom"
		topic := events.NewTopic[account]("a")
		mail := events.WithName("mail")
		for name, subscribe := range map[string]func(bus *events.Bus) (*events.Subscription, error){
			"untyped": func(bus *events.Bus) (*events.Subscription, error) {
				return bus.Subscribe("a", new(journal).noting("", errBoom), mail)
			},
			"pattern": func(bus *events.Bus) (*events.Subscription, error) {
				return bus.Subscribe("*", new(journal).noting("", errBoom), mail)
			},
			"typed": func(bus *events.Bus) (*events.Subscription, error) { return topic.Subscribe(bus, refuse, mail) },
			"middleware": func(bus *events.Bus) (*events.Subscription, error) {
				return topic.Subscribe(bus, refuse, mail, events.WithMiddleware(events.Recover()))
			},
		} {
			bus := events.NewEventDispatcher()
			_, err := subscribe(bus)
			require.NoError(t, err)
			require.EqualError(t, topic.Publish(t.Context(), bus, ada), text, name)
			require.EqualError(t, bus.Dispatch(t.Context(), events.Event{Name: "a", Data: ada}), text, name)
		}
		require.EqualError(t, &events.HandlerError{Event: "a", Handler: "mail", Err: errBoom}, text, "as one made by hand")
	})

	t.Run("Failures tells them apart", func(t *testing.T) {
		bus := events.New()
		inner := subscribe(t, bus, "inner", new(journal).noting("", errBoom), events.WithName("inner"))
		subscribe(t, bus, "a", new(journal).noting("", errOther), events.WithName("one"))
		subscribe(t, bus, "a", new(journal).noting(""), events.WithName("well"))
		subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { return bus.Dispatch(ctx, named("inner")) }, events.WithName("two"))
		handlers := func(err error) (names []string) {
			for failure := range events.Failures(err) {
				names = append(names, failure.Handler)
			}
			return names
		}
		both := bus.Dispatch(t.Context(), named("a"))
		require.Equal(t, []string{"one", "two"}, handlers(both), "and not what one of them has failed with")
		require.Equal(t, []string{"inner"}, handlers(bus.Dispatch(t.Context(), named("inner"))), "a single one")
		require.Equal(t, []string{"one", "two", "inner"}, handlers(errors.Join(fmt.Errorf("wrapped: %w", both), errOther, bus.Dispatch(t.Context(), named("inner")))))
		require.Empty(t, handlers(nil))
		require.Empty(t, handlers(errBoom))
		inner.Unsubscribe()
		for failure := range events.Failures(both) {
			require.Equal(t, "one", failure.Handler)
			break // the loop may be left
		}
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
		subscribe(t, bus, side+".*", new(journal).noting("", errors.New(side)), events.WithName("the "+side))
	}
	for range 2 {
		for i := range 2000 {
			for _, side := range []string{"left", "right"} {
				name := side + "." + strconv.Itoa(i)
				require.EqualError(t, bus.Dispatch(t.Context(), named(name)), "handler the "+side+" failed for event "+name+": "+side)
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
		}), events.WithName("one"))
		require.EqualError(t, bus.Dispatch(t.Context(), named("a")), "handler one failed for event a: panic: middleware")
	})

	t.Run("of WithOrderBy's key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			number := events.NewTopic[int]("number")
			keyed := []events.SubscribeOption{events.WithName("keyed"), events.WithQueue(3), events.WithLanes(2)}
			typed := append(slices.Clone(keyed), events.WithOrderBy(func(n int) string {
				if n == 0 {
					panic(errBoom)
				}
				return ""
			}))
			untyped := append(slices.Clone(keyed), events.WithOrderBy(func(e events.Event) string {
				if e.Data == 0 {
					panic(errBoom)
				}
				return ""
			}))
			for kind, subscribed := range map[string]func(bus *events.Bus, l *ledger){
				"typed":   func(bus *events.Bus, l *ledger) { handle(t, bus, number, l.handle, typed...) },
				"untyped": func(bus *events.Bus, l *ledger) { subscribe(t, bus, "number", l.handleEvent, untyped...) },
				"pattern": func(bus *events.Bus, l *ledger) { subscribe(t, bus, "*", l.handleEvent, untyped...) },
			} {
				var reported failures
				var lanes, others, inline ledger
				bus := newBus(t, reported.option())
				subscribed(bus, &lanes)
				handle(t, bus, number, others.handle, events.WithQueue(9))
				handle(t, bus, number, inline.handle)
				checkKey := func(err error) {
					t.Helper()
					failure, ok := errors.AsType[*events.HandlerError](err)
					require.True(t, ok, "%s: %v", kind, err)
					require.Equal(t, "keyed", failure.Handler)
					require.Equal(t, "number", failure.Event)
					require.IsType(t, (*events.PanicError)(nil), failure.Err)
					require.ErrorIs(t, err, errBoom)
				}
				checkKey(number.Publish(t.Context(), bus, 0))
				checkKey(bus.Dispatch(t.Context(), events.Event{Name: "number", Data: 0}))
				require.NoError(t, number.Publish(t.Context(), bus, 1))
				require.Empty(t, reported.take(), "the publisher has it")
				require.NoError(t, number.PublishAsync(t.Context(), bus, 0))
				mustClose(t, bus)
				errs := reported.take()
				require.Len(t, errs, 1)
				checkKey(errs[0])
				require.Equal(t, []int{1}, lanes.take(), kind)
				require.Equal(t, []int{0, 0, 1, 0}, others.take(), kind)
				require.Equal(t, []int{0, 0, 1, 0}, inline.take(), kind)
			}
			bus := newBus(t, events.WithFailFast())
			var others ledger
			handle(t, bus, number, others.handle)
			handle(t, bus, number, others.handle, typed...)
			require.ErrorIs(t, number.Publish(t.Context(), bus, 0), errBoom)
			mustClose(t, bus)
			require.Empty(t, others.take(), "with fail-fast no handler has got it")
		})
	})

	t.Run("of a logger", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithLogger(slog.New(throwing{})))
			var j journal
			subscribe(t, bus, "bad", new(journal).noting("", errBoom), events.WithQueue(2))
			subscribe(t, bus, "good", j.noting("good"))
			for range 2 {
				require.NoError(t, bus.Dispatch(t.Context(), named("bad")))
				bus.DispatchAsync(t.Context(), named("bad"))
			}
			bus.DispatchAsync(t.Context(), named("good"))
			mustClose(t, bus)
			require.Equal(t, []string{"good"}, j.take())
		})
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

// throwing is the handler of a logger that panics.
type throwing struct{}

func (throwing) Enabled(context.Context, slog.Level) bool  { return true }
func (throwing) Handle(context.Context, slog.Record) error { panic("logger") }
func (h throwing) WithAttrs([]slog.Attr) slog.Handler      { return h }
func (h throwing) WithGroup(string) slog.Handler           { return h }

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
				}, events.WithName("h"+strconv.Itoa(i)))
			}
			require.EqualError(t, bus.Dispatch(t.Context(), named("a")),
				"handler h0 failed for event a: 0\nhandler h1 failed for event a: 1\nhandler h2 failed for event a: 2")
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
			subscribe(t, bus, "a", func(context.Context, events.Event) error { time.Sleep(time.Second); return errBoom }, events.WithName("first"))
			subscribe(t, bus, "a", j.noting("behind"))
			err := bus.Dispatch(t.Context(), named("a"))
			require.EqualError(t, err, "handler first failed for event a: boom")
			require.Equal(t, []string{"cancelled"}, j.take())
		})
	})

	t.Run("without fail-fast it is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(events.WithConcurrency(2))
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { time.Sleep(time.Second); return ctx.Err() })
			subscribe(t, bus, "a", func(context.Context, events.Event) error { return errBoom }, events.WithName("one"))
			require.EqualError(t, bus.Dispatch(t.Context(), named("a")), "handler one failed for event a: boom")
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

// usedTopic is declared as those of programs are, at package level.
var usedTopic = events.NewTopic[*tracked]("tracked.used")

// TestNothingIsHeld is the part of the property for single objects: each is
// garbage when it has had its use, though the bus lives on.
func TestNothingIsHeld(t *testing.T) {
	ctx := context.Background()
	// holding returns a handler that holds on to something of its own.
	holding := func(c *collectible) func(context.Context, *tracked) error {
		own := c.make()
		return func(context.Context, *tracked) error { runtime.KeepAlive(own); return nil }
	}
	untyped := func(handler func(context.Context, *tracked) error) events.Handler {
		return func(ctx context.Context, _ events.Event) error { return handler(ctx, nil) }
	}
	carrying := func(c *collectible) context.Context { return context.WithValue(ctx, requestKey{}, c.make()) }

	t.Run("events that were handled", func(t *testing.T) {
		for kind, publish := range map[string]func(ctx context.Context, bus *events.Bus, p *tracked) error{
			"Publish": func(ctx context.Context, bus *events.Bus, p *tracked) error { return usedTopic.Publish(ctx, bus, p) },
			"PublishAsync": func(ctx context.Context, bus *events.Bus, p *tracked) error {
				return usedTopic.PublishAsync(ctx, bus, p)
			},
			"Dispatch": func(ctx context.Context, bus *events.Bus, p *tracked) error {
				return bus.Dispatch(ctx, events.Event{Name: usedTopic.Name(), Data: p})
			},
		} {
			for name, options := range map[string][]events.SubscribeOption{
				"inline":      nil,
				"middleware":  {events.WithMiddleware(events.Retry(2), events.Timeout(time.Hour))},
				"queued":      {events.WithQueue(4)},
				"lanes":       {events.WithQueue(4), events.WithLanes(2)},
				"keyed lanes": {events.WithQueue(4), events.WithLanes(2), events.WithOrderBy(func(p *tracked) string { return strconv.Itoa(p.number) })},
			} {
				bus := newBus(t)
				handle(t, bus, usedTopic, func(ctx context.Context, _ *tracked) error {
					child, cancel := context.WithCancel(ctx)
					defer cancel()
					return child.Err()
				}, options...)
				subscribe(t, bus, "tracked.*", quiet)
				var c collectible
				for range 20 {
					require.NoError(t, publish(carrying(&c), bus, c.make()))
				}
				require.NoError(t, bus.Wait(ctx))
				require.Zero(t, c.left(0), "%s, %s", kind, name)
				runtime.KeepAlive(bus)
			}
		}
	})

	t.Run("handlers that have left", func(t *testing.T) {
		bus := newBus(t)
		keep := subscribe(t, bus, "tracked.used", quiet)
		for name, subscribed := range map[string]func(handler func(context.Context, *tracked) error, options ...events.SubscribeOption) *events.Subscription{
			"typed": func(handler func(context.Context, *tracked) error, options ...events.SubscribeOption) *events.Subscription {
				return handle(t, bus, usedTopic, handler, options...)
			},
			"untyped": func(handler func(context.Context, *tracked) error, options ...events.SubscribeOption) *events.Subscription {
				return subscribe(t, bus, "tracked.used", untyped(handler), options...)
			},
			"pattern": func(handler func(context.Context, *tracked) error, options ...events.SubscribeOption) *events.Subscription {
				return subscribe(t, bus, "tracked.*", untyped(handler), options...)
			},
		} {
			for kind, options := range map[string][]events.SubscribeOption{
				"inline": nil, "queued": {events.WithQueue(1)}, "lanes": {events.WithQueue(2), events.WithLanes(2)},
				"once": {events.WithOnce()}, "until": {events.WithUntil(t.Context())}, "drain": {events.WithDrain()},
				"middleware": {events.WithMiddleware(events.Recover())},
			} {
				var c collectible
				for _, published := range []bool{false, true} {
					s := subscribed(holding(&c), options...)
					other := subscribed(holding(&c), options...)
					if published {
						require.NoError(t, usedTopic.Publish(ctx, bus, new(tracked)))
						require.NoError(t, bus.Dispatch(ctx, named("tracked.by.nobody")))
						require.NoError(t, bus.Dispatch(ctx, named("tracked.unused")), "which only patterns hear")
						require.NoError(t, bus.Wait(ctx))
					}
					s.Unsubscribe()
					require.NoError(t, other.Drain(ctx))
				}
				require.Zero(t, c.left(0), "%s, %s: nobody has published since", name, kind)
			}
		}
		runtime.KeepAlive(keep)
	})

	t.Run("handlers in plans that are stale", func(t *testing.T) {
		bus := newBus(t)
		var c collectible
		// Names with subscriptions of their own, and plans that have the pattern.
		for i := range 20 {
			subscribe(t, bus, "tracked.n"+strconv.Itoa(i), quiet)
		}
		publishAll := func() {
			for i := range 40 { // half of them are heard by patterns only
				require.NoError(t, bus.Dispatch(ctx, named("tracked.n"+strconv.Itoa(i))))
			}
		}
		leaving := subscribe(t, bus, "tracked.*", untyped(holding(&c)))
		publishAll()
		stays := subscribe(t, bus, "*.n1", quiet) // all plans are stale now
		require.NoError(t, bus.Dispatch(ctx, named("tracked.n1")))
		require.NoError(t, bus.Dispatch(ctx, named("tracked.n21")))
		leaving.Unsubscribe()
		leaving = nil
		require.Zero(t, c.left(0), "a pattern that has left")

		exact := handle(t, bus, usedTopic, holding(&c))
		require.NoError(t, usedTopic.Publish(ctx, bus, nil))
		subscribe(t, bus, "*.n2", quiet)
		exact.Unsubscribe()
		exact = nil
		require.Zero(t, c.left(0), "a typed handler that has left")
		runtime.KeepAlive(leaving)
		runtime.KeepAlive(exact)
		runtime.KeepAlive(stays)
	})

	t.Run("events that were dropped", func(t *testing.T) {
		for kind, options := range queueKinds() {
			var c collectible
			bus := newBus(t, new(failures).option())
			release, open := barrier(t)
			at := make(chan struct{}, 9)
			s := handle(t, bus, events.NewTopic[int]("number"), func(context.Context, int) error { at <- struct{}{}; <-release; return nil },
				slices.Concat([]events.SubscribeOption{events.WithQueue(9)}, options)...)
			for n := range 9 {
				require.NoError(t, events.NewTopic[int]("number").Publish(carrying(&c), bus, n))
			}
			<-at
			s.Unsubscribe()
			// What handlers are at has not been dropped.
			require.LessOrEqual(t, c.left(3), int64(3), kind)
			open()
			require.Zero(t, c.left(0), kind)
			runtime.KeepAlive(bus)
		}
	})

	t.Run("asynchronous publishes that wait for room", func(t *testing.T) {
		var c collectible
		bus := events.New(new(failures).option(), events.WithLogger(slog.New(slog.DiscardHandler)))
		release, open := barrier(t)
		handle(t, bus, usedTopic, func(context.Context, *tracked) error { <-release; return nil }, events.WithQueue(1))
		for range 9 {
			require.NoError(t, usedTopic.PublishAsync(carrying(&c), bus, c.make()))
		}
		closed, cancel := context.WithCancel(ctx)
		cancel()
		require.Error(t, bus.Close(closed))
		open()
		require.Zero(t, c.left(0))
		runtime.KeepAlive(bus)
	})

	t.Run("buses that are closed", func(t *testing.T) {
		topic := events.NewTopic[int]("number")
		for name, use := range map[string]func(bus *events.Bus){
			"not at all": func(*events.Bus) {},
			"inline":     func(bus *events.Bus) { handle(t, bus, topic, func(context.Context, int) error { return nil }) },
			"queued": func(bus *events.Bus) {
				handle(t, bus, topic, func(context.Context, int) error { return nil }, events.WithQueue(3))
			},
			"lanes": func(bus *events.Bus) {
				handle(t, bus, topic, func(context.Context, int) error { return nil }, events.WithQueue(3), events.WithLanes(2), byRemainder(2))
			},
			"batches": func(bus *events.Bus) {
				subscribeBatch(t, bus, topic, func(context.Context, []int) error { return nil })
			},
			"a loop that nobody begins": func(bus *events.Bus) { _ = topic.All(ctx, bus, events.WithName("idle")) },
			"until": func(bus *events.Bus) {
				subscribe(t, bus, "number", quiet, events.WithUntil(t.Context()))
			},
			"patterns": func(bus *events.Bus) {
				subscribe(t, bus, "*", quiet)
				subscribe(t, bus, ">", quiet, events.WithQueue(1))
			},
			"replay": func(bus *events.Bus) { _ = events.NewTopic[int]("number", events.WithReplay(3)).Publish(ctx, bus, 1) },
			"handler with its context": func(bus *events.Bus) {
				handle(t, bus, topic, func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }, events.WithMiddleware(events.Timeout(1)), events.WithQueue(1))
			},
		} {
			for _, drop := range []bool{false, true} {
				gone := make(chan struct{})
				var c collectible
				func() {
					held := c.make()
					bus := events.New(events.WithErrorHandler(func(context.Context, error) { runtime.KeepAlive(held) }), events.WithLogger(slog.New(slog.DiscardHandler)))
					runtime.AddCleanup(bus, func(gone chan struct{}) { close(gone) }, gone)
					use(bus)
					if name != "a loop that nobody begins" {
						require.NoError(t, topic.Publish(ctx, bus, 1))
						require.NoError(t, topic.PublishAsync(ctx, bus, 1))
						require.NoError(t, usedTopic.Publish(ctx, bus, nil))
					}
					closing, cancel := context.WithCancel(ctx)
					if drop {
						cancel()
					}
					_ = bus.Close(closing)
					cancel()
					require.ErrorIs(t, topic.Publish(ctx, bus, 1), events.ErrClosed)
				}()
				require.Zero(t, c.left(0), "%s, drop %t", name, drop)
				collected := false
				for range 100 {
					runtime.GC()
					runtime.Gosched()
					select {
					case <-gone:
						collected = true
					default:
						continue
					}
					break
				}
				require.True(t, collected, "%s, drop %t: the bus", name, drop)
			}
		}
		runtime.KeepAlive(topic)
	})

	t.Run("what a closed bus had", func(t *testing.T) {
		var c collectible
		bus := events.New()
		handle(t, bus, usedTopic, holding(&c))
		handle(t, bus, usedTopic, holding(&c), events.WithQueue(1))
		subscribe(t, bus, "tracked.*", untyped(holding(&c)), events.WithMiddleware(events.Recover()))
		subscribe(t, bus, "*.used", untyped(holding(&c)), events.WithUntil(t.Context()))
		replayed := events.NewTopic[*tracked]("tracked.replayed", events.WithReplay(3))
		require.NoError(t, replayed.Publish(carrying(&c), bus, c.make()))
		require.NoError(t, usedTopic.Publish(carrying(&c), bus, c.make()))
		require.NoError(t, bus.Close(ctx))
		require.Zero(t, c.left(0))
		runtime.KeepAlive(bus)
		runtime.KeepAlive(replayed)
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

// TestNothingIsHeldBehindASlowOne is the part of MemoryFollowsSubscriptions for events
// that only one of many was still to get, and that has left.
func TestNothingIsHeldBehindASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic, bus := events.NewTopic[*tracked]("tracked"), newBus(t)
		for range 100 {
			handle(t, bus, topic, func(context.Context, *tracked) error { return nil }, events.WithQueue(1000))
		}
		gate, open := barrier(t)
		slow := handle(t, bus, topic, func(context.Context, *tracked) error { <-gate; return nil }, events.WithQueue(1000))
		var c collectible
		for range 200 {
			require.NoError(t, topic.Publish(t.Context(), bus, c.make()))
		}
		synctest.Wait()
		slow.Unsubscribe()
		open()
		require.NoError(t, bus.Wait(t.Context()))
		require.Zero(t, c.left(0))
		runtime.KeepAlive(bus)
	})
}
