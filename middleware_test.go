package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	}, events.WithMiddleware(retry))
	result = bus.Dispatch(ctx, named("a"))
	return at, result
}

func TestRetry(t *testing.T) {
	t.Run("counts tries in all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for attempts := 1; attempts <= 5; attempts++ {
				at, err := tries(t.Context(), t, errBoom, events.Retry(attempts))
				require.Len(t, at, attempts)
				require.EqualError(t, err, "handler failed for event a: boom")
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
			require.EqualError(t, err, "handler failed for event a: gave up after 1 of 3 tries: context canceled")
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
				require.EqualError(t, err, "handler failed for event a: "+cause.Error())
			}
		})
		require.NoError(t, events.Permanent(nil))
		require.EqualError(t, events.Permanent(errBoom), "boom")
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
			subscribe(t, bus, "a", hang, events.WithMiddleware(events.Timeout(3*time.Second)))
			var limited bool
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { _, limited = ctx.Deadline(); return ctx.Err() })
			begun := time.Now()
			require.EqualError(t, bus.Dispatch(context.Background(), named("a")), "handler failed for event a: context deadline exceeded")
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
		subscribe(t, bus, "good", func(context.Context, events.Event) error { time.Sleep(5 * time.Second); return nil })
		subscribe(t, bus, "bad", new(journal).noting("", errBoom))
		subscribe(t, bus, "worse", func(context.Context, events.Event) error { panic("oh") })
		for name, want := range map[string]struct {
			level slog.Level
			took  time.Duration
			err   string
		}{
			"good":  {slog.LevelInfo, 5 * time.Second, ""},
			"bad":   {slog.LevelError, 0, "boom"},
			"worse": {slog.LevelError, 0, "panic: oh"},
		} {
			err := bus.Dispatch(t.Context(), named(name))
			require.Equal(t, want.err != "", err != nil, "the result stays")
			records := logs.take()
			require.Len(t, records, 1)
			require.Equal(t, want.level, records[0].Level)
			has := attributes(records[0])
			require.Equal(t, name, has["event"].String())
			require.Equal(t, want.took, has["took"].Duration())
			if want.err == "" {
				require.NotContains(t, has, "error")
			} else {
				require.Equal(t, want.err, has["error"].String())
			}
		}
	})
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

	t.Run("that panics", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting("", errBoom),
			events.WithMiddleware(events.DeadLetter(func(context.Context, events.Event, error) error { panic("oh") })))
		_, ok := errors.AsType[*events.PanicError](bus.Dispatch(t.Context(), named("a")))
		require.True(t, ok)
	})
}
