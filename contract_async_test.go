package events_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
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

type requestKey struct{}

func TestAcceptedEventOutlivesItsRequest(t *testing.T) {
	topic := events.NewTopic[account]("account.created")
	publishers := map[string]func(ctx context.Context, bus *events.Bus) error{
		"PublishAsync": func(ctx context.Context, bus *events.Bus) error { return topic.PublishAsync(ctx, bus, ada) },
		"DispatchAsync": func(ctx context.Context, bus *events.Bus) error {
			bus.DispatchAsync(ctx, events.Event{Name: "account.created", Data: ada})
			return nil
		},
	}
	for name, publish := range publishers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := events.New()
				request, cancel := context.WithTimeout(context.WithValue(context.Background(), requestKey{}, "r-1"), time.Second)
				var value any
				var failed error
				var limited, ran bool
				handle(t, bus, topic, func(ctx context.Context, _ account) error {
					time.Sleep(time.Minute) // the request is long over
					ran, value, failed = true, ctx.Value(requestKey{}), ctx.Err()
					_, limited = ctx.Deadline()
					return nil
				})
				require.NoError(t, publish(request, bus))
				cancel()
				mustClose(t, bus)
				require.True(t, ran)
				require.Equal(t, "r-1", value, "the publisher's values")
				require.NoError(t, failed, "without its cancellation")
				require.False(t, limited, "without its deadline")
			})
		})

		t.Run(name+" of a request that is over", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := events.New()
				var got []account
				handle(t, bus, topic, func(ctx context.Context, a account) error { got = append(got, a); return ctx.Err() })
				request, cancel := context.WithCancel(context.Background())
				cancel()
				require.NoError(t, publish(request, bus))
				mustClose(t, bus)
				require.Equal(t, []account{ada}, got)
			})
		})

		t.Run(name+" is cancelled when Close's deadline passes", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := events.New(new(failures).option())
				var after time.Duration
				var cause error
				begun := time.Now()
				handle(t, bus, topic, func(ctx context.Context, _ account) error {
					// A context made of it follows, without a goroutine to wait for it.
					child, cancel := context.WithCancel(ctx)
					defer cancel()
					<-child.Done()
					after, cause = time.Since(begun), context.Cause(ctx)
					return ctx.Err()
				})
				require.NoError(t, publish(context.Background(), bus))
				require.Error(t, closeWithin(context.Background(), bus, 10*time.Second))
				synctest.Wait()
				require.Equal(t, 10*time.Second, after)
				require.ErrorIs(t, cause, context.DeadlineExceeded)
			})
		})
	}

	t.Run("an inline handler has the publisher's context", func(t *testing.T) {
		bus := events.New()
		request, cancel := context.WithCancel(context.WithValue(t.Context(), requestKey{}, "r-2"))
		cancel()
		var got []context.Context
		keep := func(ctx context.Context, _ events.Event) error { got = append(got, ctx); return nil }
		bus.Register("account.created", keep)
		subscribe(t, bus, "account.*", keep)
		handle(t, bus, topic, func(ctx context.Context, _ account) error { got = append(got, ctx); return nil })
		require.NoError(t, topic.Publish(request, bus, ada), "a cancelled context delivers all the same")
		require.Equal(t, []context.Context{request, request, request}, got)
	})

	t.Run("a nil context", func(t *testing.T) {
		// The map-based dispatcher did not look at it.
		synctest.Test(t, func(t *testing.T) {
			for _, options := range [][]events.BusOption{
				nil, {events.WithFailFast()}, {events.WithConcurrency(2)}, {events.WithConcurrency(2), events.WithFailFast()},
			} {
				var ran atomic.Int32
				bus := events.New(options...)
				for range 2 {
					bus.Register("a", func(context.Context, events.Event) error { ran.Add(1); return nil })
				}
				var none context.Context
				require.NotPanics(t, func() { require.NoError(t, bus.Dispatch(none, named("a"))) })
				bus.DispatchAsync(none, named("a"))
				mustClose(t, bus)
				require.EqualValues(t, 4, ran.Load())
			}
		})
	})
}

func TestErrorsNobodyWaitsForAreReported(t *testing.T) {
	topic := events.NewTopic[account]("account.created")

	t.Run("with event, handler and cause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := events.New(reported.option())
			subscribe(t, bus, "account.*", new(journal).noting("", errBoom), events.WithName("one"))
			handle(t, bus, topic, func(context.Context, account) error { panic("two") }, events.WithName("two"))
			require.NoError(t, topic.PublishAsync(t.Context(), bus, ada))
			bus.DispatchAsync(t.Context(), events.Event{Name: "account.created", Data: 7})
			mustClose(t, bus)

			byCause := make(map[string]int)
			for _, err := range reported.take() {
				failure, ok := err.(*events.HandlerError)
				require.True(t, ok, "each by itself, not %T", err)
				require.Equal(t, "account.created", failure.Event)
				byCause[failure.Handler+": "+failure.Err.Error()]++
			}
			require.Equal(t, map[string]int{
				"one: boom":       2,
				"two: panic: two": 1,
				"two: payload of event account.created is int, want events_test.account": 1,
			}, byCause)
		})
	})

	t.Run("only the first with WithFailFast", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := events.New(reported.option(), events.WithFailFast())
			subscribe(t, bus, "a", new(journal).noting("", errBoom))
			subscribe(t, bus, "a", new(journal).noting("", errOther))
			bus.DispatchAsync(t.Context(), named("a"))
			mustClose(t, bus)
			errs := reported.take()
			require.Len(t, errs, 1)
			require.ErrorIs(t, errs[0], errBoom)
		})
	})

	t.Run("also when a later handler ends its goroutine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			bus := events.New(reported.option())
			subscribe(t, bus, "a", new(journal).noting("", errBoom))
			subscribe(t, bus, "a", func(context.Context, events.Event) error { runtime.Goexit(); return nil })
			bus.DispatchAsync(t.Context(), named("a"))
			mustClose(t, bus)
			require.ErrorIs(t, errors.Join(reported.take()...), errBoom)
		})
	})

	t.Run("with the handler's context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var value any
			bus := events.New(events.WithErrorHandler(func(ctx context.Context, _ error) { value = ctx.Value(requestKey{}) }))
			subscribe(t, bus, "a", new(journal).noting("", errBoom))
			bus.DispatchAsync(context.WithValue(t.Context(), requestKey{}, "r-1"), named("a"))
			mustClose(t, bus)
			require.Equal(t, "r-1", value)
		})
	})

	t.Run("not what a publisher gets", func(t *testing.T) {
		var reported failures
		bus := events.New(reported.option())
		subscribe(t, bus, "a", new(journal).noting("", errBoom))
		require.Error(t, bus.Dispatch(t.Context(), named("a")))
		require.Empty(t, reported.take())
	})

	t.Run("what the bus refuses", func(t *testing.T) {
		var reported failures
		bus := events.New(reported.option())
		require.NoError(t, bus.Close(t.Context()))
		bus.DispatchAsync(t.Context(), named("dispatched"))
		bus.Register("registered", new(journal).noting(""))
		errs := reported.take()
		require.Len(t, errs, 2)
		for i, name := range []string{"dispatched", "registered"} {
			require.ErrorIs(t, errs[i], events.ErrClosed)
			require.ErrorContains(t, errs[i], name)
		}
	})

	// logged runs one asynchronous event that fails, and checks the record.
	logged := func(t *testing.T, logs *captured, options ...events.BusOption) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(options...)
			subscribe(t, bus, "a", new(journal).noting("", errBoom), events.WithName("one"))
			bus.DispatchAsync(t.Context(), named("a"))
			mustClose(t, bus)
		})
		records := logs.take()
		require.Len(t, records, 1)
		require.Equal(t, slog.LevelError, records[0].Level)
		has := attributes(records[0])
		require.Equal(t, "a", has["event"].String())
		require.Equal(t, "one", has["handler"].String())
		require.Equal(t, "boom", has["error"].String())
	}

	t.Run("to WithLogger by default", func(t *testing.T) {
		var logs captured
		logged(t, &logs, events.WithLogger(slog.New(&logs)))
	})

	t.Run("to slog.Default at the time by default", func(t *testing.T) {
		var logs captured
		setDefaultLogger(t, slog.New(&logs))
		logged(t, &logs)
	})

	t.Run("a panic of the error handler is logged, with the error", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			bus := events.New(events.WithLogger(slog.New(slog.NewTextHandler(&out, nil))),
				events.WithErrorHandler(func(context.Context, error) { panic("in the error handler") }))
			subscribe(t, bus, "a", new(journal).noting("", errBoom))
			bus.DispatchAsync(t.Context(), named("a"))
			mustClose(t, bus)
			require.Contains(t, out.String(), "boom")
			require.Contains(t, out.String(), "in the error handler")
		})
	})
}

func TestCloseDrains(t *testing.T) {
	t.Run("everything accepted is handled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			var handled atomic.Int32
			subscribe(t, bus, "a", func(context.Context, events.Event) error {
				time.Sleep(time.Second)
				handled.Add(1)
				return nil
			})
			for range 100 {
				bus.DispatchAsync(t.Context(), named("a"))
			}
			mustClose(t, bus)
			require.EqualValues(t, 100, handled.Load())
		})
	})

	t.Run("then new events are refused", func(t *testing.T) {
		bus := events.New(new(failures).option())
		topic := events.NewTopic[account]("account.created")
		var j journal
		handle(t, bus, topic, j.notingTyped("typed"))
		subscribe(t, bus, "*.*", j.noting("pattern"))
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		require.Len(t, j.take(), 2)
		require.NoError(t, bus.Close(t.Context()))

		require.ErrorIs(t, topic.Publish(t.Context(), bus, ada), events.ErrClosed)
		require.ErrorIs(t, topic.PublishAsync(t.Context(), bus, ada), events.ErrClosed)
		for _, name := range []string{"account.created", "only.pattern", "nobody"} {
			require.ErrorIs(t, bus.Dispatch(t.Context(), named(name)), events.ErrClosed, name)
			bus.DispatchAsync(t.Context(), named(name))
			require.ErrorIs(t, events.NewTopic[int](name+".int").Publish(t.Context(), bus, 1), events.ErrClosed)
			require.ErrorIs(t, events.NewTopic[int](name+".int").PublishAsync(t.Context(), bus, 1), events.ErrClosed)
		}
		_, err := topic.Subscribe(bus, j.notingTyped(""))
		require.ErrorIs(t, err, events.ErrClosed)
		_, err = bus.Subscribe("*", j.noting(""))
		require.ErrorIs(t, err, events.ErrClosed)
		require.Empty(t, j.take())
	})

	t.Run("a workflow under way ends well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var reported failures
			var j journal
			bus := events.New(reported.option())
			shipped := events.NewTopic[account]("shipped")
			release, open := barrier(t)
			subscribe(t, bus, "placed", func(ctx context.Context, _ events.Event) error {
				<-release
				j.note("placed")
				if err := bus.Dispatch(context.Background(), named("stray")); !errors.Is(err, events.ErrClosed) {
					t.Error("accepted without the handler's context:", err)
				}
				bus.DispatchAsync(ctx, named("paid"))
				return bus.Dispatch(ctx, named("noted"))
			})
			subscribe(t, bus, "paid", func(ctx context.Context, _ events.Event) error {
				j.note("paid")
				type key struct{}
				return shipped.PublishAsync(context.WithValue(ctx, key{}, 1), bus, ada)
			})
			handle(t, bus, shipped, func(context.Context, account) error { j.note("shipped"); return nil })
			subscribe(t, bus, "noted", j.noting("noted"))
			subscribe(t, bus, "stray", j.noting("stray"))
			bus.DispatchAsync(t.Context(), named("placed"))
			closed := make(chan error)
			go func() { closed <- closeWithin(context.Background(), bus, time.Hour) }()
			synctest.Wait()
			require.ErrorIs(t, bus.Dispatch(t.Context(), named("stray")), events.ErrClosed, "while it drains")
			open()
			require.NoError(t, <-closed)
			require.ElementsMatch(t, []string{"placed", "noted", "paid", "shipped"}, j.take())
			require.Empty(t, reported.take())
		})
	})

	t.Run("the deadline says how many events were left", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(new(failures).option())
			release, open := barrier(t)
			subscribe(t, bus, "quick", new(journal).noting(""))
			subscribe(t, bus, "stuck", func(context.Context, events.Event) error { <-release; return nil })
			for range 3 {
				bus.DispatchAsync(t.Context(), named("quick"))
				bus.DispatchAsync(t.Context(), named("stuck"))
			}
			begun := time.Now()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.Equal(t, time.Minute, time.Since(begun))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "3 events left")
			require.ErrorIs(t, bus.Dispatch(t.Context(), named("quick")), events.ErrClosed)
			open()
			require.Equal(t, err, bus.Close(context.Background()), "every call returns the same")
		})
	})

	t.Run("the deadline may be the context's own cause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(new(failures).option())
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error { <-ctx.Done(); return nil })
			bus.DispatchAsync(t.Context(), named("a"))
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(errBoom)
			err := bus.Close(ctx)
			require.ErrorIs(t, err, errBoom)
			require.ErrorContains(t, err, "1 events left")
		})
	})

	t.Run("with nothing to do, a context that is done is in time", func(t *testing.T) {
		bus := events.New()
		subscribe(t, bus, "a", new(journal).noting(""))
		require.NoError(t, bus.Dispatch(t.Context(), named("a")))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, bus.Close(ctx))
	})

	t.Run("at the deadline, what the handlers publish is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(new(failures).option())
			var late error
			subscribe(t, bus, "a", func(ctx context.Context, _ events.Event) error {
				<-ctx.Done()
				late = bus.Dispatch(ctx, named("b"))
				return nil
			})
			bus.DispatchAsync(t.Context(), named("a"))
			require.Error(t, closeWithin(context.Background(), bus, time.Second))
			synctest.Wait()
			require.ErrorIs(t, late, events.ErrClosed)
		})
	})

	t.Run("idempotent, and every call waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			release, open := barrier(t)
			subscribe(t, bus, "a", func(context.Context, events.Event) error { <-release; return nil })
			bus.DispatchAsync(t.Context(), named("a"))
			var returned atomic.Int32
			for range 3 {
				go func() {
					if err := closeWithin(context.Background(), bus, time.Hour); err == nil {
						returned.Add(1)
					}
				}()
			}
			synctest.Wait()
			require.Zero(t, returned.Load())
			open()
			synctest.Wait()
			require.EqualValues(t, 3, returned.Load())
			mustClose(t, bus)
		})
	})

	t.Run("accepted and handled, or refused", func(t *testing.T) {
		// With real goroutines, since the moment of Close is what matters.
		for round := range 50 {
			bus := events.New()
			topic := events.NewTopic[int]("a")
			var accepted, handled atomic.Int64
			handle(t, bus, topic, func(ctx context.Context, depth int) error {
				handled.Add(1)
				if depth == 0 {
					return nil
				}
				accepted.Add(1)
				return topic.PublishAsync(ctx, bus, depth-1)
			})
			var publishers sync.WaitGroup
			for range 3 {
				publishers.Go(func() {
					for range 200 {
						err := topic.PublishAsync(context.Background(), bus, 2)
						if errors.Is(err, events.ErrClosed) {
							return
						}
						if err != nil {
							t.Error(err)
							return
						}
						accepted.Add(1)
					}
				})
			}
			for range round {
				runtime.Gosched()
			}
			require.NoError(t, bus.Close(context.Background()))
			done := handled.Load()
			publishers.Wait()
			require.Equal(t, accepted.Load(), done)
		}
	})

	t.Run("subscriptions may end afterwards", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			until, cancel := context.WithCancel(context.Background())
			s := subscribe(t, bus, "a", new(journal).noting(""), events.WithUntil(until))
			mustClose(t, bus)
			s.Unsubscribe()
			cancel()
		})
	})

	t.Run("the zero bus and an unused one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var zero events.Bus
			mustClose(t, &zero)
			require.ErrorIs(t, zero.Dispatch(t.Context(), named("a")), events.ErrClosed)
			mustClose(t, events.New())
		})
	})

	t.Run("no goroutine is left without Close either", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New()
			var handled atomic.Int32
			subscribe(t, bus, "a", func(context.Context, events.Event) error { handled.Add(1); return nil })
			for range 1000 {
				bus.DispatchAsync(t.Context(), named("a"))
			}
			synctest.Wait()
			require.EqualValues(t, 1000, handled.Load())
		})
	})
}

// TestCloseDrainsFromHandlers is the part of the property for a Close that a
// handler calls, which must not wait for itself.
func TestCloseDrainsFromHandlers(t *testing.T) {
	// Which context the handler closes with must make no difference.
	contexts := map[string]func(ctx context.Context) context.Context{
		"handler's context": func(ctx context.Context) context.Context { return ctx },
		"other context":     func(context.Context) context.Context { return context.Background() },
	}
	modes := map[string]struct {
		handlers int
		options  func() []events.BusOption
	}{
		"one":              {1, func() []events.BusOption { return nil }},
		"two":              {2, func() []events.BusOption { return nil }},
		"two, concurrent":  {2, func() []events.BusOption { return []events.BusOption{events.WithConcurrency(2)} }},
		"four, concurrent": {4, func() []events.BusOption { return []events.BusOption{events.WithConcurrency(2)} }},
	}
	for kind, from := range contexts {
		for mode, test := range modes {
			for _, async := range []bool{false, true} {
				t.Run(kind+", "+mode+", async "+strconv.FormatBool(async), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bus := events.New(append(test.options(), new(failures).option())...)
						var j journal
						release, open := barrier(t)
						subscribe(t, bus, "busy", func(context.Context, events.Event) error { <-release; j.note("busy"); return nil })
						for range test.handlers {
							subscribe(t, bus, "close", func(ctx context.Context, _ events.Event) error {
								err := closeWithin(from(ctx), bus, time.Minute)
								if err != nil {
									t.Error(err)
								}
								j.note("closed")
								return nil
							})
						}
						bus.DispatchAsync(t.Context(), named("busy"))
						if async {
							bus.DispatchAsync(t.Context(), named("close"))
						} else {
							go func() { _ = bus.Dispatch(context.Background(), named("close")) }()
						}
						synctest.Wait()
						require.Empty(t, j.take(), "Close returned with an event under way")
						open()
						synctest.Wait()
						time.Sleep(time.Hour) // for those that hang
						want := []string{"busy"}
						for range test.handlers {
							want = append(want, "closed")
						}
						require.Equal(t, want, j.take())
						mustClose(t, bus)
					})
				})
			}
		}

		t.Run("two events at once, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := events.New(new(failures).option())
				var closed atomic.Int32
				gate, open := barrier(t)
				subscribe(t, bus, "close", func(ctx context.Context, _ events.Event) error {
					<-gate
					if err := closeWithin(from(ctx), bus, time.Minute); err != nil {
						t.Error(err)
					}
					closed.Add(1)
					return nil
				})
				bus.DispatchAsync(t.Context(), named("close"))
				bus.DispatchAsync(t.Context(), named("close"))
				synctest.Wait()
				open()
				mustClose(t, bus)
				require.EqualValues(t, 2, closed.Load())
			})
		})

		t.Run("in a nested publish, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := events.New(new(failures).option())
				var err error
				subscribe(t, bus, "outer", func(ctx context.Context, _ events.Event) error { return bus.Dispatch(ctx, named("inner")) })
				subscribe(t, bus, "inner", func(ctx context.Context, _ events.Event) error {
					err = closeWithin(from(ctx), bus, time.Minute)
					return nil
				})
				bus.DispatchAsync(t.Context(), named("outer"))
				synctest.Wait()
				mustClose(t, bus)
				require.NoError(t, err)
			})
		})

		t.Run("another bus is drained, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := events.New(), events.New()
				var j journal
				release, open := barrier(t)
				subscribe(t, far, "busy", func(ctx context.Context, _ events.Event) error {
					<-release
					if ctx.Err() == nil {
						j.note("handled")
					}
					return nil
				})
				subscribe(t, near, "close", func(ctx context.Context, _ events.Event) error {
					if err := closeWithin(from(ctx), far, time.Minute); err != nil {
						t.Error(err)
					}
					j.note("closed")
					return nil
				})
				far.DispatchAsync(t.Context(), named("busy"))
				near.DispatchAsync(t.Context(), named("close"))
				synctest.Wait()
				open()
				mustClose(t, near)
				mustClose(t, far)
				require.Equal(t, []string{"handled", "closed"}, j.take())
			})
		})
	}

	t.Run("the deadline of a handler's Close leaves itself out of the count", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := events.New(new(failures).option())
			var err error
			subscribe(t, bus, "stuck", func(ctx context.Context, _ events.Event) error { <-ctx.Done(); return nil })
			subscribe(t, bus, "close", func(ctx context.Context, _ events.Event) error {
				err = closeWithin(ctx, bus, time.Minute)
				return nil
			})
			bus.DispatchAsync(t.Context(), named("stuck"))
			bus.DispatchAsync(t.Context(), named("stuck"))
			bus.DispatchAsync(t.Context(), named("close"))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			require.ErrorContains(t, err, "2 events left")
		})
	})
}
