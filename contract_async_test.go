package events_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
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

	t.Run("a nil context is Background to handlers", func(t *testing.T) {
		// The map-based dispatcher did not look at it.
		synctest.Test(t, func(t *testing.T) {
			for _, options := range [][]events.BusOption{
				nil, {events.WithFailFast()}, {events.WithConcurrency(2)}, {events.WithConcurrency(2), events.WithFailFast()},
			} {
				var ran atomic.Int32
				var reported failures
				bus := events.New(append(options, reported.option(), events.WithUnhandled(func(ctx context.Context, _ events.Event) {
					if ctx.Err() == nil {
						ran.Add(1)
					}
				}))...)
				handler := func(ctx context.Context) error {
					ran.Add(1)
					return ctx.Err()
				}
				bus.Register("account.created", func(ctx context.Context, _ events.Event) error { return handler(ctx) })
				limit := events.WithMiddleware(events.Retry(2), events.Timeout(time.Second))
				subscribe(t, bus, "account.*", func(ctx context.Context, _ events.Event) error { return handler(ctx) }, limit)
				handle(t, bus, topic, func(ctx context.Context, _ account) error { return handler(ctx) })
				handle(t, bus, topic, func(ctx context.Context, _ account) error { return handler(ctx) }, limit)
				handle(t, bus, topic, func(ctx context.Context, _ account) error { return handler(ctx) }, events.WithQueue(4))
				var none context.Context
				event := events.Event{Name: "account.created", Data: ada}
				require.NoError(t, bus.Dispatch(none, event))
				require.NoError(t, topic.Publish(none, bus, ada))
				require.NoError(t, topic.PublishAsync(none, bus, ada))
				bus.DispatchAsync(none, event)
				require.NoError(t, bus.Dispatch(none, named("nobody")))
				bus.DispatchAsync(none, named("nobody"))
				mustClose(t, bus)
				require.EqualValues(t, 4*5+2, ran.Load())
				require.Empty(t, reported.take())
			}
		})
	})
}

// measured is a publisher's context that tells how many frames are between
// whoever asks and itself.
type measured struct{ context.Context }

type depthKey struct{}

func (m measured) Value(key any) any {
	if key == (depthKey{}) {
		return runtime.Callers(0, make([]uintptr, 1<<16))
	}
	return m.Context.Value(key)
}

//go:noinline
func depth(ctx context.Context) int {
	return ctx.Value(depthKey{}).(int) - runtime.Callers(0, make([]uintptr, 1<<16))
}

// TestContextsDoNotGrow is about events that beget events, each with the
// context of the one before it.
func TestContextsDoNotGrow(t *testing.T) {
	const hops = 10_000
	var (
		queue      = events.WithQueue(4)
		timeout    = events.WithMiddleware(events.Timeout(time.Hour))
		retry      = events.WithMiddleware(events.Retry(3), events.Timeout(time.Hour), events.Recover())
		failFast   = []events.TopicOption{events.WithConcurrency(2), events.WithFailFast()}
		publish    = (*events.Topic[int]).Publish
		async      = (*events.Topic[int]).PublishAsync
		dispatched = func(t *events.Topic[int], ctx context.Context, bus *events.Bus, n int) error {
			return bus.Dispatch(ctx, events.Event{Name: t.Name(), Data: n})
		}
	)
	for name, test := range map[string]struct {
		publish func(*events.Topic[int], context.Context, *events.Bus, int) error
		topic   []events.TopicOption
		options []events.SubscribeOption
	}{
		"queued":                 {publish, nil, []events.SubscribeOption{queue}},
		"queued, untyped":        {dispatched, nil, []events.SubscribeOption{queue}},
		"lanes":                  {publish, nil, []events.SubscribeOption{queue, events.WithLanes(2)}},
		"keyed lanes":            {publish, nil, []events.SubscribeOption{queue, events.WithLanes(2), events.WithOrderBy(strconv.Itoa)}},
		"with Timeout":           {publish, nil, []events.SubscribeOption{queue, timeout}},
		"with Retry and Timeout": {publish, nil, []events.SubscribeOption{queue, retry}},
		"asynchronous":           {async, nil, nil},
		"asynchronous, Timeout":  {async, nil, []events.SubscribeOption{timeout}},
		"asynchronous, Retry":    {async, nil, []events.SubscribeOption{retry}},
		"fail-fast fan-out":      {async, failFast, nil},
		"fail-fast, Timeout":     {async, failFast, []events.SubscribeOption{timeout}},
		"replayed":               {publish, []events.TopicOption{events.WithReplay(3)}, []events.SubscribeOption{queue, retry}},
	} {
		t.Run(name, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("hop", test.topic...)
			depths := make(map[int]int) // by hop
			handler := func(ctx context.Context, n int) error {
				if n%1000 == 1 {
					depths[n] = depth(ctx)
				}
				if n == hops {
					return nil
				}
				return test.publish(topic, ctx, bus, n+1)
			}
			if len(test.topic) > 0 {
				handle(t, bus, topic, func(context.Context, int) error { return nil }) // without another one there is no fan-out
			}
			handle(t, bus, topic, handler, test.options...)
			require.NoError(t, topic.PublishAsync(measured{context.Background()}, bus, 1))
			require.NoError(t, bus.Wait(context.Background()))
			require.Len(t, depths, hops/1000)
			for n, got := range depths {
				require.Equal(t, depths[1], got, "at hop %d", n)
			}
		})
	}

	t.Run("an inline handler below a queue", func(t *testing.T) {
		bus := newBus(t)
		topic, below := events.NewTopic[int]("hop"), events.NewTopic[int]("below")
		depths := make(map[int]int)
		handle(t, bus, topic, func(ctx context.Context, n int) error { return below.Publish(ctx, bus, n) }, queue, timeout)
		handle(t, bus, below, func(ctx context.Context, n int) error {
			if n%1000 == 1 {
				depths[n] = depth(ctx)
			}
			if n == hops {
				return nil
			}
			return topic.Publish(ctx, bus, n+1)
		}, retry)
		require.NoError(t, topic.Publish(measured{context.Background()}, bus, 1))
		require.NoError(t, bus.Wait(context.Background()))
		require.Len(t, depths, hops/1000)
		for n, got := range depths {
			require.Equal(t, depths[1], got, "at hop %d", n)
		}
	})

	t.Run("values stay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("hop")
			type hopKey struct{ n int }
			var lost []int
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				for i := range n {
					if ctx.Value(hopKey{i}) != i {
						lost = append(lost, n)
					}
				}
				if n == 10 {
					return ctx.Err()
				}
				return topic.Publish(context.WithValue(ctx, hopKey{n}, n), bus, n+1)
			}, queue, retry)
			require.NoError(t, topic.Publish(context.Background(), bus, 0))
			mustClose(t, bus)
			require.Empty(t, lost)
		})
	})
}

// TestBubbles uses one bus inside and outside of testing/synctest, as tests of
// a program do with the default one. It runs in a process of its own, since a
// channel of a bubble that is used outside ends that.
func TestBubbles(t *testing.T) {
	const child = "EVENTS_TEST_BUBBLES"
	// dispatch has a handler wait for a while, with its context.
	dispatch := func() {
		done := make(chan error)
		name := fmt.Sprint("sent.", rand.Uint64())
		events.Register(name, func(ctx context.Context, _ events.Event) error {
			select {
			case <-ctx.Done():
				done <- context.Cause(ctx)
			case <-time.After(time.Millisecond):
				done <- nil
			}
			return nil
		})
		events.DispatchAsync(context.Background(), named(name))
		if err := <-done; err != nil {
			panic(err)
		}
	}
	inside := func() { synctest.Test(t, func(*testing.T) { dispatch() }) }
	orders := map[string]func(){
		"inside first":  func() { inside(); dispatch(); inside() },
		"outside first": func() { dispatch(); inside(); dispatch() },
		"many times": func() {
			for range 300 {
				dispatch()
				inside()
			}
		},
		"closed outside": func() {
			inside()
			dispatch()
			if err := events.Default().Close(context.Background()); err != nil {
				panic(err)
			}
		},
		"a bus of each": func() {
			for range 2 {
				synctest.Test(t, func(t *testing.T) {
					bus := events.New()
					events.SetDefault(bus)
					dispatch()
					mustClose(t, bus)
				})
				bus := events.New()
				events.SetDefault(bus)
				dispatch()
				mustClose(t, bus)
			}
		},
	}
	if which := os.Getenv(child); which != "" {
		orders[which]()
		return
	}
	for which := range orders {
		t.Run(which, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBubbles$", "-test.timeout=30s")
			command.Env = append(os.Environ(), child+"="+which)
			output, err := command.CombinedOutput()
			require.NoError(t, err, "%.500s", output)
		})
	}
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

	t.Run("and where", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			number := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			handle(t, bus, number, slow.handle, events.WithName("mail"), events.WithQueue(9))
			handle(t, bus, number, slow.handle, events.WithName("index"), events.WithQueue(9), events.WithLanes(2))
			handle(t, bus, number, new(ledger).handle, events.WithName("quick"), events.WithQueue(9))
			handle(t, bus, number, slow.handle, events.WithName("drained"), events.WithQueue(9))
			publish(t, bus, number, 1, 2, 3)
			for _, s := range subscriptions(bus) {
				if s.Name() == "drained" {
					go func() { _ = s.Drain(context.Background()) }()
				}
			}
			subscribe(t, bus, "a", func(context.Context, events.Event) error { <-slow.pass; return nil })
			bus.DispatchAsync(t.Context(), named("a"))
			synctest.Wait()
			require.EqualError(t, closeWithin(context.Background(), bus, time.Minute), "events: bus closed with 10 events left ("+
				"asynchronous handlers: 0 queued, 1 at work; drained: 2 queued, 1 at work; index: 1 queued, 2 at work; mail: 2 queued, 1 at work"+
				"): context deadline exceeded")
			slow.open()
		})
	})

	t.Run("and where, without naming hundreds", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			number := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			for i := range 300 {
				handle(t, bus, number, slow.handle, events.WithName("handler "+strconv.Itoa(i)), events.WithQueue(9))
			}
			publish(t, bus, number, 1)
			synctest.Wait()
			err := closeWithin(context.Background(), bus, time.Minute)
			require.ErrorContains(t, err, "300 events left (handler 0: 0 queued, 1 at work; ")
			require.ErrorContains(t, err, "and 290 more)")
			require.Less(t, len(err.Error()), 1000)
			slow.open()
		})
	})

	t.Run("and counts handlers that heed their context at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for range 20 {
				bus := newBus(t, new(failures).option())
				number, asynchronous := events.NewTopic[int]("number"), events.NewTopic[int]("asynchronous")
				heed := func(ctx context.Context, _ int) error { <-ctx.Done(); return nil }
				handle(t, bus, asynchronous, heed)
				for range 10 {
					handle(t, bus, number, heed, events.WithQueue(1))
					handle(t, bus, number, heed, events.WithQueue(3), events.WithLanes(2))
					handle(t, bus, number, heed, events.WithQueue(3), events.WithLanes(2), byRemainder(2))
					require.NoError(t, asynchronous.PublishAsync(context.Background(), bus, 1))
				}
				publish(t, bus, number, 1)
				synctest.Wait()
				require.ErrorContains(t, closeWithin(context.Background(), bus, time.Minute), "bus closed with 40 events left")
			}
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

// TestEventAtWorkPublishesIntoTheDrain is the part of the property for what a
// draining bus still takes.
func TestEventAtWorkPublishesIntoTheDrain(t *testing.T) {
	for name, w := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				var noted ledger
				bus := newBus(t, reported.option())
				note, later := events.NewTopic[int]("note"), events.NewTopic[int]("later")
				handle(t, bus, note, func(ctx context.Context, n int) error { return later.Publish(ctx, bus, n) })
				handle(t, bus, later, noted.handle, events.WithQueue(20))
				release, open := barrier(t)
				handed := make(map[int]context.Context)
				w.listen(t, bus, func(ctx context.Context, n int) error {
					handed[n] = ctx
					if n == 2 {
						<-release
					}
					return nil
				})
				for n := 1; n <= 2; n++ {
					require.NoError(t, w.send(t.Context(), bus, n))
					synctest.Wait() // 1 is handled, 2 at work
				}
				closed := inBackground(func() error { return bus.Close(context.Background()) })
				done, _ := closed()
				require.False(t, done)

				publish := func(ctx context.Context, n int) error {
					t.Helper()
					nobody := bus.Dispatch(ctx, named("nobody"))
					one, other := note.Publish(ctx, bus, n), note.PublishAsync(ctx, bus, n+1)
					require.Equal(t, nobody == nil, one == nil, "%v, but %v", one, nobody)
					require.Equal(t, nobody == nil, other == nil, "%v, but %v", other, nobody)
					synctest.Wait()
					return nobody
				}
				derived, cancel := context.WithTimeout(context.WithValue(handed[2], requestKey{}, 1), time.Minute)
				defer cancel()
				require.NoError(t, publish(handed[2], 10), "in another goroutine than the handler's")
				require.NoError(t, publish(derived, 20))
				require.ErrorIs(t, publish(handed[1], 30), events.ErrClosed, "an event that was handled")
				require.ErrorIs(t, publish(context.WithValue(handed[1], requestKey{}, 1), 40), events.ErrClosed)
				require.ErrorIs(t, publish(context.Background(), 50), events.ErrClosed)
				require.Equal(t, []int{10, 11, 20, 21}, noted.take())
				open()
				done, err := closed()
				require.True(t, done)
				require.NoError(t, err)
				require.ErrorIs(t, publish(handed[2], 60), events.ErrClosed)
				require.Empty(t, noted.take())
				require.Empty(t, reported.take())
			})
		})

		t.Run(name+", not when its handler has returned and others are at work", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				release, open := barrier(t)
				subscribe(t, bus, "busy", func(context.Context, events.Event) error { <-release; return nil }, events.WithQueue(1))
				subscribe(t, bus, "note", quiet, events.WithQueue(1))
				result := make(chan error, 1)
				returned, isReturned := barrier(t)
				w.listen(t, bus, func(ctx context.Context, _ int) error {
					go func() {
						<-returned
						result <- bus.Dispatch(ctx, named("note"))
					}()
					return nil
				})
				require.NoError(t, bus.Dispatch(t.Context(), named("busy")))
				require.NoError(t, w.send(t.Context(), bus, 1))
				synctest.Wait()
				closed := inBackground(func() error { return bus.Close(context.Background()) })
				done, _ := closed()
				require.False(t, done)
				isReturned()
				require.ErrorIs(t, <-result, events.ErrClosed)
				open()
				_, err := closed()
				require.NoError(t, err)
			})
		})

		if name == "loop" {
			continue // its body returns no error
		}
		t.Run(name+", and so does the error handler", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bus *events.Bus
				var refused error
				var noted ledger
				note := events.NewTopic[int]("note")
				bus = newBus(t, events.WithErrorHandler(func(ctx context.Context, _ error) { refused = note.Publish(ctx, bus, 1) }))
				handle(t, bus, note, noted.handle, events.WithQueue(1))
				release, open := barrier(t)
				w.listen(t, bus, func(context.Context, int) error { <-release; return errBoom })
				require.NoError(t, w.send(t.Context(), bus, 1))
				closed := inBackground(func() error { return bus.Close(context.Background()) })
				done, _ := closed()
				require.False(t, done)
				open()
				_, err := closed()
				require.NoError(t, err)
				require.NoError(t, refused)
				require.Equal(t, []int{1}, noted.take())
			})
		})
	}
}

// TestWait is about Close without closing.
func TestWait(t *testing.T) {
	for name, w := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var handled ledger
				w.listen(t, bus, func(ctx context.Context, n int) error {
					time.Sleep(time.Second)
					handled.add(n)
					if n == 0 {
						return nil
					}
					return w.send(ctx, bus, n-1)
				})
				require.NoError(t, bus.Wait(context.Background()), "there is nothing to wait for")
				for range 2 {
					require.NoError(t, w.send(t.Context(), bus, 5))
					require.NoError(t, bus.Wait(context.Background()))
					require.Equal(t, []int{5, 4, 3, 2, 1, 0}, handled.take(), "with what handlers publish, and the bus is open")
				}
				require.NoError(t, w.send(t.Context(), bus, 5))
				ctx, cancel := context.WithTimeoutCause(context.Background(), 2500*time.Millisecond, errBoom)
				defer cancel()
				require.ErrorIs(t, bus.Wait(ctx), errBoom)
				require.Equal(t, []int{5, 4}, handled.take(), "and that goes on")
				require.NoError(t, bus.Wait(nil)) //nolint:staticcheck // nil stands for Background
				require.Equal(t, []int{3, 2, 1, 0}, handled.take())
				mustClose(t, bus)
				require.NoError(t, bus.Wait(context.Background()))
			})
		})

		t.Run(name+", in the handler", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, other := newBus(t), newBus(t)
				own := make(chan error, 2)
				var elsewhere error
				var waited time.Duration
				subscribe(t, other, "busy", func(context.Context, events.Event) error { time.Sleep(time.Minute); return nil }, events.WithQueue(1))
				w.listen(t, bus, func(ctx context.Context, _ int) error {
					own <- bus.Wait(ctx)
					go func() { own <- bus.Wait(context.Background()) }() // is a stranger
					begun := time.Now()
					elsewhere = other.Wait(ctx)
					waited = time.Since(begun)
					return nil
				})
				require.NoError(t, other.Dispatch(t.Context(), named("busy")))
				require.NoError(t, w.send(t.Context(), bus, 1))
				require.ErrorIs(t, <-own, events.ErrDeadlock)
				require.NoError(t, <-own)
				require.NoError(t, elsewhere)
				require.Equal(t, time.Minute, waited, "for another bus it waits")
			})
		})
	}

	t.Run("a batch goes out in its time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			got := newBatches()
			subscribeBatch(t, bus, topic, got.handle, events.WithBatch(3, time.Minute))
			publish(t, bus, topic, 1, 2)
			begun := time.Now()
			require.NoError(t, bus.Wait(context.Background()))
			require.Equal(t, time.Minute, time.Since(begun))
			numbers, _ := got.take()
			require.Equal(t, [][]int{{1, 2}}, numbers)
		})
	})
}

// TestWithAsyncLimit is the bound of asynchronous work.
func TestWithAsyncLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reported failures
		bus := newBus(t, reported.option(), events.WithAsyncLimit(3))
		topic := events.NewTopic[int]("number")
		var queued ledger
		slow := newTurnstile(t)
		handle(t, bus, topic, slow.handle)
		handle(t, bus, topic, queued.handle, events.WithQueue(10))
		for n := range 3 {
			require.NoError(t, topic.PublishAsync(t.Context(), bus, n))
		}
		synctest.Wait()
		require.Equal(t, []int{0, 1, 2}, queued.take())
		full := topic.PublishAsync(t.Context(), bus, 3)
		require.ErrorIs(t, full, events.ErrFull)
		refusal, ok := full.(*events.QueueError)
		require.True(t, ok, "%T", full)
		require.Equal(t, "publish", refusal.Operation)
		require.Equal(t, "number", refusal.Event)
		require.ErrorContains(t, full, "3")
		bus.DispatchAsync(t.Context(), events.Event{Name: "number", Data: 4})
		errs := reported.take()
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], events.ErrFull)
		synctest.Wait()
		require.Empty(t, queued.take(), "no handler has got it")
		require.NoError(t, bus.Dispatch(t.Context(), named("nobody")))

		slow.let()
		require.NoError(t, topic.PublishAsync(t.Context(), bus, 5), "there is room")
		require.ErrorIs(t, topic.PublishAsync(t.Context(), bus, 6), events.ErrFull)
		slow.open()
		mustClose(t, bus)
		require.ElementsMatch(t, []int{0, 1, 2, 5}, slow.take())
		require.Equal(t, []int{5}, queued.take())
		require.Empty(t, reported.take())
	})

	t.Run("leaves queues and synchronous publishes alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, events.WithAsyncLimit(1))
			release, open := barrier(t)
			subscribe(t, bus, "stuck", func(context.Context, events.Event) error { <-release; return nil })
			var inline, queued ledger
			topic, far := events.NewTopic[int]("number"), events.NewTopic[int]("far")
			handle(t, bus, topic, inline.handle)
			handle(t, bus, far, queued.handle, events.WithQueue(10))
			bus.DispatchAsync(t.Context(), named("stuck"))
			synctest.Wait()
			for range 3 {
				require.NoError(t, topic.Publish(t.Context(), bus, 1))
				require.NoError(t, far.PublishAsync(t.Context(), bus, 2), "only queues take it")
			}
			open()
			mustClose(t, bus)
			require.Equal(t, []int{1, 1, 1}, inline.take())
			require.Equal(t, []int{2, 2, 2}, queued.take())
		})
	})

	t.Run("counts the event of a handler that publishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, events.WithAsyncLimit(1))
			topic := events.NewTopic[int]("number")
			var nested error
			handle(t, bus, topic, func(ctx context.Context, n int) error {
				nested = topic.PublishAsync(ctx, bus, n)
				return nil
			})
			require.NoError(t, topic.PublishAsync(t.Context(), bus, 1))
			mustClose(t, bus)
			require.ErrorIs(t, nested, events.ErrFull)
		})
	})
}

// TestWithDrain is about inline handlers that Drain waits for.
func TestWithDrain(t *testing.T) {
	topic := events.NewTopic[int]("number")
	event := events.Event{Name: "number", Data: 1}
	kinds := map[string]func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error){
		"typed": func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error) {
			return topic.Subscribe(bus, func(ctx context.Context, _ int) error { return handler(ctx) }, events.WithDrain())
		},
		"with middleware": func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error) {
			return topic.Subscribe(bus, func(ctx context.Context, _ int) error { return handler(ctx) }, events.WithDrain(), events.WithMiddleware(events.Recover()))
		},
		"untyped": func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error) {
			return bus.Subscribe("number", func(ctx context.Context, _ events.Event) error { return handler(ctx) }, events.WithDrain())
		},
		"pattern": func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error) {
			return bus.Subscribe("*", func(ctx context.Context, _ events.Event) error { return handler(ctx) }, events.WithDrain())
		},
		"with WithOnce": func(bus *events.Bus, handler func(context.Context) error) (*events.Subscription, error) {
			return topic.Subscribe(bus, func(ctx context.Context, _ int) error { return handler(ctx) }, events.WithDrain(), events.WithOnce())
		},
	}
	publishes := map[string]func(bus *events.Bus) error{
		"Publish":      func(bus *events.Bus) error { return topic.Publish(context.Background(), bus, 1) },
		"PublishAsync": func(bus *events.Bus) error { return topic.PublishAsync(context.Background(), bus, 1) },
		"Dispatch":     func(bus *events.Bus) error { return bus.Dispatch(context.Background(), event) },
	}
	for kind, subscribe := range kinds {
		for how, publish := range publishes {
			t.Run(kind+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					release, open := barrier(t)
					var ran atomic.Int32
					s, err := subscribe(bus, func(context.Context) error { <-release; ran.Add(1); return nil })
					require.NoError(t, err)
					published := inBackground(func() error { return publish(bus) })
					_, err = published()
					require.NoError(t, err)
					ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errBoom)
					defer cancel()
					require.ErrorIs(t, s.Drain(ctx), errBoom)
					drained := inBackground(func() error { return s.Drain(context.Background()) })
					done, _ := drained()
					require.False(t, done, "it waits")
					require.False(t, bus.HasHandlers("number"))
					open()
					done, err = drained()
					require.True(t, done)
					require.NoError(t, err)
					require.EqualValues(t, 1, ran.Load())
					require.NoError(t, s.Drain(context.Background()), "again")
					_, err = published()
					require.NoError(t, err)
				})
			})
		}

		t.Run(kind+", no run after Drain", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				release, open := barrier(t)
				handle(t, bus, topic, func(context.Context, int) error { <-release; return nil }, events.WithPriority(1))
				ran := false
				s, err := subscribe(bus, func(context.Context) error { ran = true; return nil })
				require.NoError(t, err)
				published := inBackground(func() error { return topic.Publish(context.Background(), bus, 1) })
				done, _ := published()
				require.False(t, done)
				require.NoError(t, s.Drain(context.Background()))
				open()
				_, err = published()
				require.NoError(t, err)
				require.False(t, ran, "not by a publish under way")
			})
		})

		t.Run(kind+", by the handler", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for how, publish := range publishes {
					bus := newBus(t)
					var s *events.Subscription
					var result error
					s, err := subscribe(bus, func(ctx context.Context) error { result = s.Drain(ctx); return nil })
					require.NoError(t, err)
					require.NoError(t, publish(bus))
					mustClose(t, bus)
					require.ErrorIs(t, result, events.ErrDeadlock, how)
					refusal, ok := result.(*events.QueueError)
					require.True(t, ok, "%T", result)
					require.Equal(t, "drain", refusal.Operation)
					require.Equal(t, s.Event(), refusal.Event)
					require.Equal(t, s.Name(), refusal.Handler)
					require.False(t, bus.HasHandlers("number"), "it has ended all the same")
				}
			})
		})

		t.Run(kind+", of a handler that panics or ends its goroutine", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, fail := range []func(){func() { panic("oh") }, runtime.Goexit} {
					bus := newBus(t, new(failures).option())
					s, err := subscribe(bus, func(context.Context) error { fail(); return nil })
					require.NoError(t, err)
					require.NoError(t, topic.PublishAsync(t.Context(), bus, 1))
					synctest.Wait()
					require.NoError(t, closeWithin(t.Context(), bus, time.Minute))
					require.NoError(t, s.Drain(context.Background()))
				}
			})
		})
	}

	t.Run("all at once", func(t *testing.T) {
		// With real goroutines, since the moment of Drain is what matters.
		for range 50 {
			bus := events.New()
			var closed, late atomic.Bool
			s := handle(t, bus, topic, func(context.Context, int) error {
				if closed.Load() {
					late.Store(true)
				}
				return nil
			}, events.WithDrain())
			var publishers sync.WaitGroup
			for range 3 {
				publishers.Go(func() {
					for range 100 {
						_ = topic.Publish(context.Background(), bus, 1)
					}
				})
			}
			runtime.Gosched()
			require.NoError(t, s.Drain(context.Background()))
			closed.Store(true)
			publishers.Wait()
			require.False(t, late.Load())
		}
	})

	t.Run("not without the option", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			release, _ := barrier(t)
			s := handle(t, bus, topic, func(context.Context, int) error { <-release; return nil })
			published := inBackground(func() error { return topic.Publish(context.Background(), bus, 1) })
			done, _ := published()
			require.False(t, done)
			require.NoError(t, s.Drain(context.Background()))
		})
	})
}

// TestCloseDrainsFromHandlers is the part of the property for a Close that a
// handler calls, whose event is among those to be waited for.
func TestCloseDrainsFromHandlers(t *testing.T) {
	const stays, closes = 1, 2
	// Which context the handler closes with makes no difference.
	contexts := map[string]func(ctx context.Context) context.Context{
		"its context": func(ctx context.Context) context.Context { return ctx },
		"Background":  func(context.Context) context.Context { return context.Background() },
		"a cancelled one": func(context.Context) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		},
		"no context": func(context.Context) context.Context { return nil },
	}
	for name, w := range ways() {
		for kind, from := range contexts {
			t.Run(name+", with "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					release, open := barrier(t)
					var result, refused, nested error
					var took time.Duration
					var handled, noted atomic.Int32
					var last context.Context
					subscribe(t, bus, "busy", func(context.Context, events.Event) error { <-release; return nil })
					subscribe(t, bus, "note", func(context.Context, events.Event) error { noted.Add(1); return nil })
					sent, allSent := barrier(t)
					w.listen(t, bus, func(ctx context.Context, n int) error {
						if n == closes {
							<-sent
							last = ctx
							begun := time.Now()
							result = bus.Close(from(ctx))
							took = time.Since(begun)
							refused = bus.Dispatch(context.Background(), named("note"))
							nested = bus.Dispatch(ctx, named("note"))
						}
						handled.Add(1)
						return nil
					})
					bus.DispatchAsync(t.Context(), named("busy"))
					require.NoError(t, w.send(t.Context(), bus, closes))
					require.NoError(t, w.send(t.Context(), bus, stays))
					allSent()
					synctest.Wait()
					require.ErrorIs(t, result, events.ErrDeadlock)
					require.Zero(t, took, "at once")
					require.ErrorIs(t, refused, events.ErrClosed)
					require.NoError(t, nested, "with the context of an event at work")
					require.ErrorIs(t, w.send(t.Context(), bus, stays), events.ErrClosed)
					require.EqualValues(t, 2, handled.Load(), "what is behind it is handled")
					require.EqualValues(t, 1, noted.Load())
					require.NoError(t, last.Err(), "the bus is not over yet")

					fromOutside := inBackground(func() error { return bus.Close(context.Background()) })
					done, _ := fromOutside()
					require.False(t, done, "Close from outside waits")
					open()
					done, err := fromOutside()
					require.True(t, done)
					require.NoError(t, err)
					require.ErrorIs(t, context.Cause(last), events.ErrClosed)
					require.Empty(t, reported.take())
				})
			})
		}

		t.Run(name+", and nobody waits", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reported failures
				bus := events.New(reported.option(), events.WithLogger(slog.New(slog.DiscardHandler)))
				var result error
				var last context.Context
				w.listen(t, bus, func(ctx context.Context, _ int) error {
					last = ctx
					result = bus.Close(ctx)
					return nil
				})
				require.NoError(t, w.send(t.Context(), bus, closes))
				synctest.Wait()
				require.ErrorIs(t, result, events.ErrDeadlock)
				require.ErrorIs(t, context.Cause(last), events.ErrClosed, "the bus has ended by itself")
				require.Empty(t, reported.take())
				// A goroutine that is left would fail the bubble.
			})
		})

		t.Run(name+", of its context only the deadline counts", func(t *testing.T) {
			for limit, want := range map[time.Duration]error{time.Minute: context.DeadlineExceeded, 3 * time.Minute: nil} {
				synctest.Test(t, func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					subscribe(t, bus, "busy", func(ctx context.Context, _ events.Event) error {
						select {
						case <-time.After(2 * time.Minute):
						case <-ctx.Done():
						}
						return nil
					})
					w.listen(t, bus, func(_ context.Context, _ int) error {
						if err := closeWithin(context.Background(), bus, limit); !errors.Is(err, events.ErrDeadlock) {
							t.Error(err)
						}
						return nil // the context is cancelled by now
					})
					begun := time.Now()
					bus.DispatchAsync(t.Context(), named("busy"))
					require.NoError(t, w.send(t.Context(), bus, closes))
					synctest.Wait()
					err := bus.Close(context.Background())
					require.Equal(t, min(limit, 2*time.Minute), time.Since(begun))
					if want == nil {
						require.NoError(t, err)
						require.Empty(t, reported.take())
						return
					}
					require.ErrorIs(t, err, want)
					require.ErrorContains(t, err, "1 events left")
					require.Equal(t, []error{err}, reported.take(), "reported, and what Close returns outside")
				})
			}
		})

		t.Run(name+", another bus", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := newBus(t, new(failures).option()), newBus(t)
				var j journal
				release, open := barrier(t)
				subscribe(t, far, "busy", func(ctx context.Context, _ events.Event) error {
					<-release
					if ctx.Err() == nil {
						j.note("handled")
					}
					return nil
				}, events.WithQueue(1))
				w.listen(t, near, func(ctx context.Context, _ int) error {
					if err := closeWithin(ctx, far, time.Hour); err != nil {
						t.Error(err)
					}
					j.note("closed")
					return nil
				})
				require.NoError(t, far.Dispatch(t.Context(), named("busy")))
				require.NoError(t, w.send(t.Context(), near, closes))
				synctest.Wait()
				require.Empty(t, j.take(), "it waits")
				open()
				mustClose(t, near)
				mustClose(t, far)
				require.Equal(t, []string{"handled", "closed"}, j.take())
			})
		})

		t.Run(name+", two buses in a cycle", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, two := newBus(t, new(failures).option()), newBus(t, new(failures).option())
				var results [2]error
				begin, open := barrier(t)
				for i, buses := range [][2]*events.Bus{{one, two}, {two, one}} {
					w.listen(t, buses[0], func(context.Context, int) error {
						<-begin
						time.Sleep(time.Duration(i) * time.Second) // the one has begun to wait
						results[i] = buses[1].Close(context.Background())
						return nil
					})
					require.NoError(t, w.send(t.Context(), buses[0], closes))
				}
				open()
				time.Sleep(time.Minute)
				synctest.Wait()
				require.NoError(t, results[0], "it waits for the other")
				require.ErrorIs(t, results[1], events.ErrDeadlock)
				mustClose(t, one)
				mustClose(t, two)
			})
		})

		t.Run(name+", by a goroutine that it has started", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				var closed func() (bool, error)
				release, open := barrier(t)
				result := make(chan error, 1)
				w.listen(t, bus, func(context.Context, int) error {
					go func() { result <- bus.Close(context.Background()) }()
					<-release
					return nil
				})
				require.NoError(t, w.send(t.Context(), bus, closes))
				closed = inBackground(func() error { return <-result })
				done, _ := closed()
				require.False(t, done, "it waits")
				open()
				done, err := closed()
				require.True(t, done)
				require.NoError(t, err)
			})
		})
	}

	t.Run("by an inline handler whose publisher is an outsider", func(t *testing.T) {
		for mode, options := range map[string][]events.BusOption{
			"one after the other": nil,
			"concurrent":          {events.WithConcurrency(2)},
		} {
			t.Run(mode, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t, options...)
					var j journal
					release, open := barrier(t)
					subscribe(t, bus, "busy", func(context.Context, events.Event) error { <-release; j.note("busy"); return nil })
					for range 3 {
						subscribe(t, bus, "close", func(ctx context.Context, _ events.Event) error {
							err := closeWithin(ctx, bus, time.Hour)
							j.note("closed")
							return err
						})
					}
					bus.DispatchAsync(t.Context(), named("busy"))
					published := inBackground(func() error { return bus.Dispatch(context.Background(), named("close")) })
					done, _ := published()
					require.False(t, done, "it waits")
					open()
					_, err := published()
					require.NoError(t, err)
					require.Equal(t, []string{"busy", "closed", "closed", "closed"}, j.take())
				})
			})
		}
	})

	t.Run("all at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			var refused atomic.Int32
			gate, open := barrier(t)
			subscribe(t, bus, "close", func(ctx context.Context, _ events.Event) error {
				<-gate
				if err := closeWithin(ctx, bus, time.Minute); errors.Is(err, events.ErrDeadlock) {
					refused.Add(1)
				}
				return nil
			})
			for range 5 {
				bus.DispatchAsync(t.Context(), named("close"))
			}
			synctest.Wait()
			open()
			mustClose(t, bus)
			require.EqualValues(t, 5, refused.Load())
		})
	})

	t.Run("the earliest deadline counts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			subscribe(t, bus, "busy", func(ctx context.Context, _ events.Event) error { <-ctx.Done(); return nil }, events.WithName("busy"), events.WithQueue(1))
			subscribe(t, bus, "close", func(ctx context.Context, e events.Event) error {
				_ = closeWithin(ctx, bus, e.Data.(time.Duration))
				return nil
			})
			begun := time.Now()
			require.NoError(t, bus.Dispatch(t.Context(), named("busy")))
			for _, limit := range []time.Duration{time.Hour, time.Minute, 2 * time.Minute} {
				bus.DispatchAsync(t.Context(), events.Event{Name: "close", Data: limit})
			}
			synctest.Wait()
			require.EqualError(t, bus.Close(context.Background()), "events: bus closed with 1 events left (busy: 0 queued, 1 at work): context deadline exceeded")
			require.Equal(t, time.Minute, time.Since(begun))
		})
	})
}

// TestEndOfAContextIsToldToAll is the part of AcceptedEventsOutliveTheirRequest for
// whoever keeps no more of a handler's context than a channel, or a function.
func TestEndOfAContextIsToldToAll(t *testing.T) {
	topic := events.NewTopic[int]("number")
	for name, publish := range map[string]func(*events.Bus, func(context.Context, int) error) error{
		"asynchronous": func(bus *events.Bus, handler func(context.Context, int) error) error {
			handle(t, bus, topic, handler)
			return topic.PublishAsync(t.Context(), bus, 1)
		},
		"queued": func(bus *events.Bus, handler func(context.Context, int) error) error {
			s := handle(t, bus, topic, handler, events.WithQueue(1))
			if err := topic.Publish(t.Context(), bus, 1); err != nil {
				return err
			}
			return s.Drain(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			bus := events.New()
			called, closed := make(chan struct{}), make(chan struct{})
			require.NoError(t, publish(bus, func(ctx context.Context, _ int) error {
				context.AfterFunc(ctx, func() { close(called) })
				done := ctx.Done()
				go func() {
					<-done
					close(closed)
				}()
				return nil
			}))
			require.NoError(t, bus.Wait(t.Context()))
			for range 5 {
				runtime.GC()
			}
			require.NoError(t, bus.Close(t.Context()))
			<-called
			<-closed
		})
	}
}

// TestAsynchronousWorkStaysInItsBubble has handlers in a bubble end their goroutine, and
// time that has gone far, on a bus that others use outside.
func TestAsynchronousWorkStaysInItsBubble(t *testing.T) {
	bus := events.New(new(failures).option())
	defer func() { require.NoError(t, bus.Close(t.Context())) }()
	inside, outside := events.NewTopic[int]("inside"), events.NewTopic[int]("outside")
	handle(t, bus, outside, func(context.Context, int) error { return nil })
	over := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				if err := outside.PublishAsync(context.Background(), bus, 1); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(30 * 365 * 24 * time.Hour)
		for range 50 {
			done := make(chan struct{})
			first := handle(t, bus, inside, func(context.Context, int) error { runtime.Goexit(); return nil })
			second := handle(t, bus, inside, func(context.Context, int) error { close(done); return nil })
			require.NoError(t, inside.PublishAsync(t.Context(), bus, 1))
			<-done
			first.Unsubscribe()
			second.Unsubscribe()
		}
	})
	close(over)
	others.Wait()
}
