package events_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// around returns a middleware that notes when it is made, entered and left.
func (j *journal) around(name string) events.Middleware {
	return func(next events.Handler) events.Handler {
		j.note("make " + name)
		return func(ctx context.Context, e events.Event) error {
			j.note("enter " + name)
			err := next(ctx, e)
			j.note("leave " + name)
			return err
		}
	}
}

func TestMiddlewareOrder(t *testing.T) {
	var j journal
	bus := events.New(events.WithMiddleware(j.around("bus 1")), events.WithMiddleware(j.around("bus 2")))
	topic := events.NewTopic[account]("account.created", events.WithMiddleware(j.around("topic 1"), j.around("topic 2")))
	own := events.WithMiddleware(j.around("own 1"), j.around("own 2"))

	s := handle(t, bus, topic, j.notingTyped("typed"), own)
	require.Equal(t, []string{"make own 2", "make own 1", "make topic 2", "make topic 1", "make bus 2", "make bus 1"}, j.take())
	for range 2 {
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		require.Equal(t, []string{
			"enter bus 1", "enter bus 2", "enter topic 1", "enter topic 2", "enter own 1", "enter own 2", "typed",
			"leave own 2", "leave own 1", "leave topic 2", "leave topic 1", "leave bus 2", "leave bus 1",
		}, j.take(), "and called once for the subscription")
	}
	s.Unsubscribe()

	t.Run("an untyped handler has not that of the topic", func(t *testing.T) {
		defer subscribe(t, bus, "account.*", j.noting("untyped"), own).Unsubscribe()
		j.take()
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		require.Equal(t, []string{
			"enter bus 1", "enter bus 2", "enter own 1", "enter own 2", "untyped",
			"leave own 2", "leave own 1", "leave bus 2", "leave bus 1",
		}, j.take())
	})

	t.Run("Register has that of the bus", func(t *testing.T) {
		bus := events.New(events.WithMiddleware(j.around("bus")))
		bus.Register("a", j.noting("registered"))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		require.Equal(t, []string{"make bus", "enter bus", "registered", "leave bus"}, j.take())
	})

	t.Run("once for each subscription", func(t *testing.T) {
		bus := events.New(events.WithMiddleware(j.around("bus")))
		for range 3 {
			subscribe(t, bus, "a", quiet)
		}
		require.Equal(t, []string{"make bus", "make bus", "make bus"}, j.take())
	})

	t.Run("the options of one bus are not those of another", func(t *testing.T) {
		shared := []events.BusOption{events.WithMiddleware(j.around("shared"))}
		one := events.New(append(shared, events.WithMiddleware(j.around("one")))...)
		two := events.New(append(shared, events.WithMiddleware(j.around("two")))...)
		subscribe(t, one, "a", quiet)
		require.Equal(t, []string{"make one", "make shared"}, j.take())
		subscribe(t, two, "a", quiet)
		require.Equal(t, []string{"make two", "make shared"}, j.take())
	})
}

func TestMiddlewareMayChangeTheEvent(t *testing.T) {
	bus := events.New()
	topic := events.NewTopic[account]("account.created")
	rename := func(next events.Handler) events.Handler {
		return func(ctx context.Context, e events.Event) error {
			a := e.Data.(account)
			a.Name = "Grace"
			e.Data = a
			return next(context.WithValue(ctx, requestKey{}, "changed"), e)
		}
	}
	var got []string
	handle(t, bus, topic, func(ctx context.Context, a account) error {
		got = append(got, fmt.Sprint(a.Name, " ", ctx.Value(requestKey{})))
		return nil
	}, events.WithMiddleware(rename))
	handle(t, bus, topic, func(ctx context.Context, a account) error {
		got = append(got, fmt.Sprint(a.Name, " ", ctx.Value(requestKey{})))
		return nil
	})
	require.NoError(t, topic.Publish(t.Context(), bus, ada))
	require.Equal(t, []string{"Grace changed", "Ada <nil>"}, got, "for its own handler only")

	t.Run("to what the handler does not take", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, topic, refuse, events.WithMiddleware(func(next events.Handler) events.Handler {
			return func(ctx context.Context, e events.Event) error { return next(ctx, events.Event{Name: e.Name, Data: 7}) }
		}))
		_, ok := errors.AsType[*events.PayloadError](topic.Publish(t.Context(), bus, ada))
		require.True(t, ok)
	})

	t.Run("not to call the handler, or to hide its error", func(t *testing.T) {
		bus := events.New()
		hide := func(next events.Handler) events.Handler {
			return func(ctx context.Context, e events.Event) error { _ = next(ctx, e); return nil }
		}
		drop := func(events.Handler) events.Handler { return quiet }
		handle(t, bus, topic, refuse, events.WithMiddleware(hide))
		handle(t, bus, topic, refuse, events.WithMiddleware(drop))
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
	})
}

// tries runs a handler that always fails within Retry, in fake time, and
// returns when its tries were.
func tries(ctx context.Context, t *testing.T, err error, retry events.Middleware) (at []time.Duration, result error) {
	t.Helper()
	bus := events.New()
	begun := time.Now()
	subscribe(t, bus, "a", func(context.Context, events.Event) error {
		at = append(at, time.Since(begun))
		return err
	}, events.WithMiddleware(retry), events.WithName("one"))
	result = bus.Dispatch(ctx, named("a"))
	return at, result
}

func TestRetry(t *testing.T) {
	t.Run("counts tries in all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for attempts := 1; attempts <= 5; attempts++ {
				at, err := tries(t.Context(), t, errBoom, events.Retry(attempts))
				require.Len(t, at, attempts)
				require.EqualError(t, err, "handler one failed for event a: boom")
			}
		})
	})

	t.Run("until it succeeds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			n := 0
			subscribe(t, bus, "a", func(context.Context, events.Event) error {
				if n++; n < 3 {
					return errBoom
				}
				return nil
			}, events.WithMiddleware(events.Retry(5)))
			require.NoError(t, bus.Dispatch(t.Context(), named("a")))
			require.Equal(t, 3, n)
		})
	})

	t.Run("waits grow, with jitter", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const ms = time.Millisecond
			for name, test := range map[string]struct {
				retry events.Middleware
				full  []time.Duration
			}{
				"default": {events.Retry(9), []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 10000 * ms}},
				"chosen":  {events.Retry(6, events.WithBackoff(10*ms, 50*ms)), []time.Duration{10 * ms, 20 * ms, 40 * ms, 50 * ms, 50 * ms}},
				"even":    {events.Retry(4, events.WithBackoff(7*ms, 7*ms)), []time.Duration{7 * ms, 7 * ms, 7 * ms}},
				"tiny":    {events.Retry(4, events.WithBackoff(1, 1)), []time.Duration{1, 1, 1}},
			} {
				varied := make(map[time.Duration]bool)
				for range 20 {
					at, err := tries(t.Context(), t, errBoom, test.retry)
					require.ErrorIs(t, err, errBoom)
					require.Len(t, at, len(test.full)+1)
					for i, full := range test.full {
						wait := at[i+1] - at[i]
						require.GreaterOrEqual(t, wait, full/2, name)
						require.LessOrEqual(t, wait, full, name)
						if i == 0 {
							varied[wait] = true
						}
					}
				}
				if name != "tiny" {
					require.Greater(t, len(varied), 1, "%s: no jitter", name)
				}
			}
		})
	})

	t.Run("ends with the context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Minute, cancel)
			begun := time.Now()
			at, err := tries(ctx, t, errBoom, events.Retry(100, events.WithBackoff(20*time.Second, 20*time.Second)))
			require.Equal(t, time.Minute, time.Since(begun), "at once")
			require.Less(t, len(at), 10)
			require.ErrorIs(t, err, errBoom, "the last error")
			require.ErrorIs(t, err, context.Canceled, "and the context's")
			require.ErrorContains(t, err, fmt.Sprintf("%d of 100 tries", len(at)))
		})
	})

	t.Run("does not wait for what a deadline rules out", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begun := time.Now()
			at, err := tries(ctx, t, errBoom, events.Retry(100, events.WithBackoff(time.Hour, time.Hour)))
			require.Len(t, at, 1)
			require.Zero(t, time.Since(begun))
			require.ErrorIs(t, err, errBoom)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})

	t.Run("a context that is done allows one try", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			at, err := tries(ctx, t, errBoom, events.Retry(100))
			require.Len(t, at, 1)
			require.ErrorIs(t, err, errBoom)
			require.ErrorIs(t, err, context.Canceled)
			at, err = tries(ctx, t, nil, events.Retry(100))
			require.Len(t, at, 1)
			require.NoError(t, err, "which may succeed")
		})
	})

	t.Run("the context's error is not told twice", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := tries(ctx, t, context.Canceled, events.Retry(3))
			require.EqualError(t, err, "handler one failed for event a: gave up after 1 of 3 tries: context canceled")
		})
	})

	t.Run("a permanent error ends it at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for _, cause := range []error{
				events.Permanent(errBoom),
				fmt.Errorf("wrapped: %w", events.Permanent(errBoom)),
				events.Permanent(fmt.Errorf("wrapping: %w", errBoom)),
				errors.Join(errOther, events.Permanent(errBoom)),
			} {
				at, err := tries(t.Context(), t, cause, events.Retry(10))
				require.Equal(t, []time.Duration{0}, at)
				require.ErrorIs(t, err, errBoom)
				require.EqualError(t, err, "handler one failed for event a: "+cause.Error())
			}
		})
		require.NoError(t, events.Permanent(nil))
		require.EqualError(t, events.Permanent(errBoom), "boom")
	})

	t.Run("IsPermanent says the same", func(t *testing.T) {
		bus := events.New()
		inner := events.NewTopic[int]("inner")
		handle(t, bus, inner, func(context.Context, int) error { return nil })
		misfit := bus.Dispatch(t.Context(), events.Event{Name: "inner", Data: "junk"})
		var unread *events.PayloadError
		require.ErrorAs(t, misfit, &unread)
		for _, err := range []error{
			events.Permanent(errBoom), fmt.Errorf("wrapped: %w", events.Permanent(errBoom)),
			errors.Join(errOther, events.Permanent(errBoom)), unread, fmt.Errorf("wrapped: %w", unread),
		} {
			require.True(t, events.IsPermanent(err), "%v", err)
		}
		for _, err := range []error{nil, errBoom, context.Canceled, &events.PanicError{Value: "oh"}, misfit, fmt.Errorf("in turn: %w", misfit)} {
			require.False(t, events.IsPermanent(err), "%v", err)
		}
	})

	t.Run("a payload that does not fit ends it at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			n := 0
			count := func(next events.Handler) events.Handler {
				return func(ctx context.Context, e events.Event) error { n++; return next(ctx, e) }
			}
			handle(t, bus, events.NewTopic[account]("a"), refuse, events.WithMiddleware(events.Retry(5), count))
			require.Error(t, bus.Dispatch(t.Context(), events.Event{Name: "a", Data: 7}))
			require.Equal(t, 1, n)
		})
	})

	t.Run("a panic is tried again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			n := 0
			subscribe(t, bus, "a", func(context.Context, events.Event) error {
				if n++; n < 3 {
					panic("not yet")
				}
				return nil
			}, events.WithMiddleware(events.Retry(3)))
			require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		})
	})

	t.Run("in an asynchronous handler it ends with Close's deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := events.New(reported.option())
			subscribe(t, bus, "a", new(journal).noting("", errBoom),
				events.WithMiddleware(events.Retry(1000, events.WithBackoff(time.Minute, time.Minute))))
			bus.DispatchAsync(t.Context(), named("a"))
			require.ErrorContains(t, closeWithin(context.Background(), bus, time.Hour), "1 events left")
			synctest.Wait()
			require.ErrorIs(t, errors.Join(reported.take()...), errBoom)
		})
	})
}

func TestTimeout(t *testing.T) {
	hang := func(ctx context.Context, _ events.Event) error { <-ctx.Done(); return ctx.Err() }

	t.Run("of one handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			subscribe(t, bus, "a", hang, events.WithMiddleware(events.Timeout(3*time.Second)), events.WithName("one"))
			var limited bool
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { _, limited = ctx.Deadline(); return ctx.Err() })
			begun := time.Now()
			require.EqualError(t, bus.Dispatch(context.Background(), named("a")), "handler one failed for event a: context deadline exceeded")
			require.Equal(t, 3*time.Second, time.Since(begun))
			require.False(t, limited)
		})
	})

	t.Run("inside Retry, a fresh deadline each try", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			var left []time.Duration
			subscribe(t, bus, "a", func(ctx context.Context, e events.Event) error {
				deadline, _ := ctx.Deadline()
				left = append(left, time.Until(deadline))
				return hang(ctx, e)
			}, events.WithMiddleware(events.Retry(3), events.Timeout(time.Second)))
			require.ErrorIs(t, bus.Dispatch(t.Context(), named("a")), context.DeadlineExceeded)
			require.Equal(t, []time.Duration{time.Second, time.Second, time.Second}, left)
		})
	})

	t.Run("outside Retry, one for all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			begun := time.Now()
			subscribe(t, bus, "a", new(journal).noting("", errBoom),
				events.WithMiddleware(events.Timeout(time.Second), events.Retry(1000)))
			err := bus.Dispatch(t.Context(), named("a"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, errBoom)
			require.LessOrEqual(t, time.Since(begun), time.Second)
		})
	})
}

func TestRecover(t *testing.T) {
	bus := events.New()
	throw := func(events.Handler) events.Handler {
		return func(context.Context, events.Event) error { panic("middleware") }
	}
	var seen error
	see := func(next events.Handler) events.Handler {
		return func(ctx context.Context, e events.Event) error {
			seen = next(ctx, e)
			return seen
		}
	}
	subscribe(t, bus, "a", quiet, events.WithMiddleware(see, events.Recover(), throw))
	subscribe(t, bus, "b", func(context.Context, events.Event) error { panic(errBoom) }, events.WithMiddleware(see))

	require.Error(t, bus.Dispatch(t.Context(), named("a")))
	panicked, ok := seen.(*events.PanicError)
	require.True(t, ok, "%T", seen)
	require.Equal(t, "middleware", panicked.Value)
	require.Contains(t, string(panicked.Stack), "middleware_test.go")

	require.Error(t, bus.Dispatch(t.Context(), named("b")))
	require.ErrorIs(t, seen, errBoom, "a handler's panic is an error without Recover")
}

func TestLogging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logs captured
		bus := events.New(events.WithMiddleware(events.Logging(slog.New(&logs))))
		subscribe(t, bus, "good", func(context.Context, events.Event) error { time.Sleep(5 * time.Second); return nil }, events.WithName("one"))
		subscribe(t, bus, "bad", new(journal).noting("", errBoom), events.WithName("two"))
		subscribe(t, bus, "worse", func(context.Context, events.Event) error { panic("oh") }, events.WithName("three"))
		for name, want := range map[string]struct {
			level   slog.Level
			took    time.Duration
			handler string
			err     string
		}{
			"good":  {slog.LevelInfo, 5 * time.Second, "one", ""},
			"bad":   {slog.LevelError, 0, "two", "boom"},
			"worse": {slog.LevelError, 0, "three", "oh"},
		} {
			err := bus.Dispatch(t.Context(), named(name))
			require.Equal(t, want.err != "", err != nil, "the result stays")
			records := logs.take()
			require.Len(t, records, 1)
			require.Equal(t, want.level, records[0].Level)
			has := attributes(records[0])
			require.Equal(t, name, has["event"].String())
			require.Equal(t, want.took, has["took"].Duration())
			require.Equal(t, want.handler, has["handler"].String())
			if want.err == "" {
				require.NotContains(t, has, "error")
			} else {
				require.Contains(t, has["error"].String(), want.err)
			}
		}
	})
}

//go:noinline
func throwHere(context.Context, int) error { panic("oh") }

// TestPanicsAreLoggedWithTheirStack looks at what loggers make of a panic.
func TestPanicsAreLoggedWithTheirStack(t *testing.T) {
	number := events.NewTopic[int]("number")
	handlers := map[string]slog.HandlerOptions{"text": {}, "JSON": {}}
	for format := range handlers {
		for name, test := range map[string]struct {
			bus     func(logger *slog.Logger) *events.Bus
			options []events.SubscribeOption
			publish func(context.Context, *events.Bus) error
		}{
			"queued, by default": {
				func(logger *slog.Logger) *events.Bus { return events.New(events.WithLogger(logger)) },
				[]events.SubscribeOption{events.WithQueue(1)},
				func(ctx context.Context, bus *events.Bus) error { return number.Publish(ctx, bus, 1) },
			},
			"asynchronous, by default": {
				func(logger *slog.Logger) *events.Bus { return events.New(events.WithLogger(logger)) },
				nil,
				func(ctx context.Context, bus *events.Bus) error { return number.PublishAsync(ctx, bus, 1) },
			},
			"behind a Retry, by default": {
				func(logger *slog.Logger) *events.Bus { return events.New(events.WithLogger(logger)) },
				[]events.SubscribeOption{events.WithQueue(1), events.WithMiddleware(events.Timeout(time.Nanosecond), events.Retry(2))},
				func(ctx context.Context, bus *events.Bus) error { return number.Publish(ctx, bus, 1) },
			},
			"by Logging": {
				func(logger *slog.Logger) *events.Bus {
					return events.New(events.WithMiddleware(events.Logging(logger)), new(failures).option())
				},
				[]events.SubscribeOption{events.WithQueue(1)},
				func(ctx context.Context, bus *events.Bus) error { return number.Publish(ctx, bus, 1) },
			},
		} {
			t.Run(name+", "+format, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var out bytes.Buffer
					logger := slog.New(slog.NewTextHandler(&out, nil))
					if format == "JSON" {
						logger = slog.New(slog.NewJSONHandler(&out, nil))
					}
					bus := test.bus(logger)
					handle(t, bus, number, throwHere, append(test.options, events.WithName("thrower"))...)
					require.NoError(t, test.publish(t.Context(), bus))
					mustClose(t, bus)
					require.Equal(t, 1, strings.Count(out.String(), "events_test.throwHere("), "the stack, once:\n%s", out.String())
					require.Contains(t, out.String(), "middleware_test.go")
					require.Contains(t, out.String(), "oh")
					require.Contains(t, out.String(), "thrower")
				})
			})
		}
	}

	t.Run("a PanicError is a slog.LogValuer", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, number, throwHere)
		panicked, ok := errors.AsType[*events.PanicError](number.Publish(t.Context(), bus, 1))
		require.True(t, ok)
		var valuer slog.LogValuer = panicked
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Error("mine", "error", valuer)
		require.Contains(t, out.String(), "oh")
		require.Contains(t, out.String(), "middleware_test.go")
		require.EqualError(t, panicked, "panic: oh", "the text is short")
	})
}

// TestSubscriptionFrom has each context tell whose handler it is for.
func TestSubscriptionFrom(t *testing.T) {
	number := events.NewTopic[int]("number")
	var j journal
	name := func(ctx context.Context) string {
		if s := events.SubscriptionFrom(ctx); s != nil {
			return s.Name()
		}
		return "nobody"
	}
	telling := func(where string) events.Middleware {
		return func(next events.Handler) events.Handler {
			return func(ctx context.Context, e events.Event) error {
				j.note(where + ": " + name(ctx))
				return next(ctx, e)
			}
		}
	}
	handler := func(ctx context.Context, _ int) error { j.note("handler: " + name(ctx)); return nil }

	t.Run("outside of handlers", func(t *testing.T) {
		require.Nil(t, events.SubscriptionFrom(nil)) //nolint:staticcheck // which is allowed
		require.Nil(t, events.SubscriptionFrom(context.Background()))
	})

	t.Run("middleware of bus, topic and subscription", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for kind, options := range map[string][]events.SubscribeOption{
				"inline": nil, "queued": {events.WithQueue(1)}, "lanes": {events.WithQueue(3), events.WithLanes(2), events.WithOrderBy(strconv.Itoa)},
			} {
				bus := newBus(t, events.WithMiddleware(telling("bus")))
				topic := events.NewTopic[int]("number", events.WithMiddleware(telling("topic")))
				options = append(options, events.WithMiddleware(telling("own"), events.Retry(2), events.Timeout(time.Hour)))
				handle(t, bus, topic, handler, append(options, events.WithName("one"))...)
				for _, publish := range []func(*events.Topic[int], context.Context, *events.Bus, int) error{(*events.Topic[int]).Publish, (*events.Topic[int]).PublishAsync} {
					require.NoError(t, publish(topic, t.Context(), bus, 1))
					synctest.Wait()
					require.Equal(t, []string{"bus: one", "topic: one", "own: one", "handler: one"}, j.take(), kind)
				}
			}
		})
	})

	t.Run("of each its own", func(t *testing.T) {
		for mode, options := range map[string][]events.BusOption{
			"one after the other": nil, "fail-fast": {events.WithFailFast(), events.WithConcurrency(2)},
		} {
			bus := events.New(append(options, events.WithMiddleware(telling("bus")))...)
			for _, s := range []string{"one", "two"} {
				subscribe(t, bus, "number", func(ctx context.Context, _ events.Event) error { j.note(s + ": " + name(ctx)); return nil }, events.WithName(s))
			}
			require.NoError(t, number.Publish(t.Context(), bus, 1))
			require.ElementsMatch(t, []string{"bus: one", "one: one", "bus: two", "two: two"}, j.take(), mode)
		}
	})

	t.Run("handlers of queues", func(t *testing.T) {
		for kind, w := range ways() {
			if strings.HasPrefix(kind, "asynchronous") {
				continue // an inline handler has its publisher's context
			}
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var got *events.Subscription
				w.listen(t, bus, func(ctx context.Context, _ int) error { got = events.SubscriptionFrom(ctx); return nil })
				require.NoError(t, w.send(t.Context(), bus, 1))
				synctest.Wait()
				require.Contains(t, subscriptions(bus), got, kind)
				require.NotZero(t, got.Stats().Capacity, "%s: the one with the queue", kind)
			})
		}
	})

	t.Run("not that of the publisher", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			far := events.NewTopic[int]("far")
			handle(t, bus, number, func(ctx context.Context, n int) error { return far.Publish(ctx, bus, n) },
				events.WithName("near"), events.WithMiddleware(telling("near")))
			handle(t, bus, far, handler, events.WithName("far"), events.WithMiddleware(telling("far")))
			handle(t, bus, far, handler, events.WithName("queued"), events.WithQueue(1))
			require.NoError(t, number.Publish(t.Context(), bus, 1))
			mustClose(t, bus)
			require.ElementsMatch(t, []string{"near: near", "far: far", "handler: far", "handler: queued"}, j.take())
		})
	})

	t.Run("error handlers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, events.WithErrorHandler(func(ctx context.Context, _ error) { j.note("error: " + name(ctx)) }))
			handle(t, bus, number, throwHere, events.WithName("queued"), events.WithQueue(1))
			require.NoError(t, number.Publish(t.Context(), bus, 1))
			mustClose(t, bus)
			require.Equal(t, []string{"error: queued"}, j.take())
		})
	})
}

// TestWithOnceAndMiddleware is about what counts as the one event.
func TestWithOnceAndMiddleware(t *testing.T) {
	reply := events.NewTopic[account]("reply")
	junk := events.Event{Name: "reply", Data: "junk"}
	deliveries := map[string][]events.SubscribeOption{
		"inline": nil, "queued": {events.WithQueue(8)}, "lanes": {events.WithQueue(8), events.WithLanes(3)},
	}
	for kind, options := range deliveries {
		once := func(t *testing.T, bus *events.Bus, handler func(context.Context, account) error, middleware ...events.Middleware) {
			handle(t, bus, reply, handler, append(slices.Clone(options), events.WithOnce(), events.WithMiddleware(middleware...))...)
		}
		t.Run("a misfit beside an event that fits, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var j journal
				release, open := barrier(t)
				first := true
				once(t, bus, j.notingTyped("handled"), func(next events.Handler) events.Handler {
					return func(ctx context.Context, e events.Event) error {
						if first {
							first = false
							<-release
						}
						return next(ctx, e)
					}
				})
				misfit := inBackground(func() error { return bus.Dispatch(context.Background(), junk) })
				_, _ = misfit() // waits within the middleware if it is inline, and is refused otherwise
				fits := inBackground(func() error { return reply.Publish(context.Background(), bus, ada) })
				_, err := fits()
				require.NoError(t, err)
				open()
				synctest.Wait()
				require.Equal(t, []string{"handled"}, j.take())
				require.False(t, bus.HasHandlers("reply"))
				_, err = misfit()
				require.Error(t, err)
			})
		})

		t.Run("a misfit that DeadLetter takes, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var j journal
				once(t, bus, j.notingTyped("handled"), events.DeadLetter(func(context.Context, events.Event, error) error { j.note("kept"); return nil }))
				err := bus.Dispatch(t.Context(), junk)
				if kind == "inline" {
					require.NoError(t, err)
					require.Equal(t, []string{"kept"}, j.take())
				}
				require.True(t, bus.HasHandlers("reply"))
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				synctest.Wait()
				require.Equal(t, []string{"handled"}, j.take())
				require.False(t, bus.HasHandlers("reply"))
			})
		})

		t.Run("the tries of Retry are one event, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				bus := newBus(t, reported.option())
				var j journal
				once(t, bus, func(context.Context, account) error { j.note("tried"); return errBoom }, events.Retry(3))
				results := make(chan error, 2)
				for range 2 {
					go func() { results <- reply.Publish(context.Background(), bus, ada) }()
				}
				errs := errors.Join(<-results, <-results)
				synctest.Wait()
				time.Sleep(time.Minute)
				require.Equal(t, []string{"tried", "tried", "tried"}, j.take())
				require.ErrorIs(t, errors.Join(append(reported.take(), errs)...), errBoom)
				require.False(t, bus.HasHandlers("reply"))
			})
		})

		t.Run("a try that succeeds, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				bus := newBus(t, reported.option())
				n := 0
				once(t, bus, func(context.Context, account) error {
					if n++; n < 2 {
						return errBoom
					}
					return nil
				}, events.Retry(5))
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				time.Sleep(time.Minute)
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				synctest.Wait()
				require.Equal(t, 2, n)
				require.Empty(t, reported.take())
			})
		})

		t.Run("a handler that publishes its own event, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				n := 0
				once(t, bus, func(ctx context.Context, a account) error {
					n++
					return reply.Publish(ctx, bus, a)
				}, events.Recover())
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				synctest.Wait()
				require.Equal(t, 1, n)
				require.False(t, bus.HasHandlers("reply"))
			})
		})

		t.Run("middleware that does not call the handler, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var j journal
				let := false
				once(t, bus, j.notingTyped("handled"), func(next events.Handler) events.Handler {
					return func(ctx context.Context, e events.Event) error {
						if !let {
							return nil
						}
						return next(ctx, e)
					}
				})
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				synctest.Wait()
				require.True(t, bus.HasHandlers("reply"), "it was not handled")
				let = true
				require.NoError(t, reply.Publish(t.Context(), bus, ada))
				synctest.Wait()
				require.Equal(t, []string{"handled"}, j.take())
			})
		})
	}

	t.Run("many at the same time", func(t *testing.T) {
		// With real goroutines, since who comes first is what matters.
		for range 100 {
			bus := events.New()
			var n atomic.Int32
			handle(t, bus, reply, func(context.Context, account) error { n.Add(1); return nil }, events.WithOnce(), events.WithMiddleware(events.Retry(2), events.Recover()))
			var publishers sync.WaitGroup
			for range 4 {
				publishers.Go(func() {
					_ = bus.Dispatch(context.Background(), junk)
					_ = reply.Publish(context.Background(), bus, ada)
				})
			}
			publishers.Wait()
			require.EqualValues(t, 1, n.Load())
			require.False(t, bus.HasHandlers("reply"))
		}
	})
}

// TestSubscriptionEndsBetweenTries is about a Retry whose handler is not to run
// again.
func TestSubscriptionEndsBetweenTries(t *testing.T) {
	number := events.NewTopic[int]("number")
	for name, test := range map[string]struct {
		option func(ctx context.Context) events.SubscribeOption
		end    func(s *events.Subscription, cancel func())
	}{
		"WithUntil": {events.WithUntil, func(_ *events.Subscription, cancel func()) { cancel() }},
		"WithDrain": {
			func(context.Context) events.SubscribeOption { return events.WithDrain() },
			func(s *events.Subscription, _ func()) { _ = s.Drain(context.Background()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				until, cancel := context.WithCancel(context.Background())
				defer cancel()
				n := 0
				s := handle(t, bus, number, func(context.Context, int) error { n++; return errBoom }, test.option(until),
					events.WithMiddleware(events.Retry(3, events.WithBackoff(time.Minute, time.Minute))))
				published := inBackground(func() error { return number.Publish(context.Background(), bus, 1) })
				done, _ := published()
				require.False(t, done)
				test.end(s, cancel)
				time.Sleep(time.Hour)
				done, err := published()
				require.True(t, done)
				require.Equal(t, 1, n, "it does not run any more")
				require.ErrorIs(t, err, errBoom, "and its failure is not lost")
			})
		})
	}
}

func TestDeadLetter(t *testing.T) {
	var letters []events.Event
	var causes []error
	take := func(_ context.Context, e events.Event, err error) error {
		letters, causes = append(letters, e), append(causes, err)
		return nil
	}
	reset := func() { letters, causes = nil, nil }

	t.Run("takes what failed", func(t *testing.T) {
		reset()
		bus := events.New(events.WithMiddleware(events.DeadLetter(take)))
		topic := events.NewTopic[account]("account.created")
		handle(t, bus, topic, refuse)
		handle(t, bus, topic, func(context.Context, account) error { return nil })
		handle(t, bus, topic, func(context.Context, account) error { panic("oh") })
		require.NoError(t, topic.Publish(t.Context(), bus, ada), "it counts as handled")
		want := events.Event{Name: "account.created", Data: ada}
		require.Equal(t, []events.Event{want, want}, letters)
		require.ErrorIs(t, causes[0], errBoom)
		require.IsType(t, (*events.PanicError)(nil), causes[1])

		reset()
		require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: 7}))
		require.Len(t, letters, 3, "payloads that do not fit, too")
		require.IsType(t, (*events.PayloadError)(nil), causes[0])
	})

	t.Run("around Retry it gets what the last try left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reset()
			bus := events.New()
			n := 0
			subscribe(t, bus, "a", func(context.Context, events.Event) error { n++; return fmt.Errorf("try %d", n) },
				events.WithMiddleware(events.DeadLetter(take), events.Retry(3)))
			require.NoError(t, bus.Dispatch(t.Context(), named("a")))
			require.Len(t, letters, 1)
			require.EqualError(t, causes[0], "try 3")
		})
	})

	t.Run("that fails too", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting("", errBoom),
			events.WithMiddleware(events.DeadLetter(func(context.Context, events.Event, error) error { return errOther })))
		err := bus.Dispatch(t.Context(), named("a"))
		require.ErrorIs(t, err, errBoom)
		require.ErrorIs(t, err, errOther)
	})

	t.Run("knows whose handler has failed", func(t *testing.T) {
		var names []string
		bus := events.New(events.WithMiddleware(events.DeadLetter(func(ctx context.Context, _ events.Event, _ error) error {
			names = append(names, events.SubscriptionFrom(ctx).Name())
			return errOther
		}), events.Retry(2, events.WithBackoff(1, 1))))
		for _, name := range []string{"one", "two"} {
			subscribe(t, bus, "a", new(journal).noting("", errBoom), events.WithName(name))
		}
		err := bus.Dispatch(t.Context(), named("a"))
		require.Equal(t, []string{"one", "two"}, names)
		require.ErrorContains(t, err, "dead letter of one: other")
		require.ErrorContains(t, err, "dead letter of two: other")
	})

	t.Run("that panics", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting("", errBoom),
			events.WithMiddleware(events.DeadLetter(func(context.Context, events.Event, error) error { panic("oh") })))
		_, ok := errors.AsType[*events.PanicError](bus.Dispatch(t.Context(), named("a")))
		require.True(t, ok)
	})
}

// TestWrap runs a handler as a subscription does: within the topic's middleware and
// that of the call, with a panic as an error.
func TestWrap(t *testing.T) {
	var calls []string
	named := func(name string) events.Middleware {
		return func(next events.Handler) events.Handler {
			return func(ctx context.Context, event events.Event) error {
				calls = append(calls, fmt.Sprint(name, " ", event.Name, " ", event.Data))
				return next(ctx, event)
			}
		}
	}
	topic := events.NewTopic[int]("number", events.WithMiddleware(named("topic")))
	handler := topic.Wrap(func(_ context.Context, n int) error { panic(n) }, named("call"))
	var panicked *events.PanicError
	require.ErrorAs(t, handler(t.Context(), 7), &panicked)
	require.Equal(t, 7, panicked.Value)
	require.Equal(t, []string{"topic number 7", "call number 7"}, calls)
	require.Panics(t, func() { topic.Wrap(nil) })
}
