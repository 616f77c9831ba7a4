package events_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// newBus returns a bus that is closed when the test ends, also when it fails:
// the goroutines of its queues would end the test binary with their bubble. It
// logs nothing unless options have it do so.
func newBus(t testing.TB, options ...events.BusOption) *events.Bus {
	bus := events.New(append([]events.BusOption{events.WithLogger(slog.New(slog.DiscardHandler))}, options...)...)
	t.Cleanup(func() { _ = closeWithin(context.Background(), bus, time.Second) })
	return bus
}

// ledger keeps the numbers that handlers got.
type ledger struct {
	mu      sync.Mutex
	numbers []int
}

func (l *ledger) add(numbers ...int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbers = append(l.numbers, numbers...)
}

func (l *ledger) take() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	numbers := l.numbers
	l.numbers = nil
	return numbers
}

func (l *ledger) handle(_ context.Context, n int) error {
	l.add(n)
	return nil
}

func (l *ledger) handleEvent(_ context.Context, e events.Event) error {
	n, ok := e.Data.(int)
	if !ok {
		return fmt.Errorf("got a %T", e.Data)
	}
	l.add(n)
	return nil
}

// turnstile is a handler that notes a number and then waits to be let through.
type turnstile struct {
	ledger
	pass <-chan struct{}
	one  chan struct{}
	open func()
}

func newTurnstile(t testing.TB) *turnstile {
	s := &turnstile{one: make(chan struct{})}
	s.pass, s.open = barrier(t)
	return s
}

func (s *turnstile) handle(_ context.Context, n int) error {
	s.add(n)
	select {
	case <-s.pass:
	case <-s.one:
	}
	return nil
}

func (s *turnstile) handleEvent(ctx context.Context, e events.Event) error {
	return s.handle(ctx, e.Data.(int))
}

// let lets one event through, and waits until all is quiet again.
func (s *turnstile) let() {
	s.one <- struct{}{}
	synctest.Wait()
}

// count returns the numbers from 0 on.
func count(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// between returns the numbers from the first to the last.
func between(first, last int) []int { return count(last + 1)[first:] }

// publish publishes numbers, all of which have to be accepted.
func publish(t testing.TB, bus *events.Bus, topic *events.Topic[int], numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, topic.Publish(context.Background(), bus, n))
	}
}

// inBackground runs f in a goroutine, and returns what tells how that ended:
// false while it is under way.
func inBackground(f func() error) func() (done bool, err error) {
	result := make(chan error, 1)
	go func() { result <- f() }()
	var ended bool
	var err error
	return func() (bool, error) {
		synctest.Wait()
		if !ended {
			select {
			case err = <-result:
				ended = true
			default:
			}
		}
		return ended, err
	}
}

// collectible reports how many of the payloads that it has handed out are
// garbage by now.
type collectible struct {
	made, gone atomic.Int64
}

type tracked struct {
	number int
	_      [1 << 10]byte
}

func (c *collectible) make() *tracked {
	p := &tracked{number: int(c.made.Add(1))}
	runtime.AddCleanup(p, func(c *collectible) { c.gone.Add(1) }, c)
	return p
}

// left waits until at most n payloads are not garbage, and returns how many
// there are if that does not come to be.
func (c *collectible) left(n int64) int64 {
	for range 100 {
		runtime.GC()
		for range 100 {
			runtime.Gosched()
		}
		if c.made.Load()-c.gone.Load() <= n {
			break
		}
	}
	return c.made.Load() - c.gone.Load()
}

func TestQueuedMemory(t *testing.T) {
	topic := events.NewTopic[*tracked]("tracked")
	// One subscription has handled everything when its last event is.
	until := func(t *testing.T, n int) (func(context.Context, *tracked) error, <-chan struct{}) {
		t.Helper()
		done := make(chan struct{})
		return func(_ context.Context, p *tracked) error {
			if p.number == n {
				close(done)
			}
			return nil
		}, done
	}
	send := func(t *testing.T, bus *events.Bus, c *collectible, n int) {
		t.Helper()
		for range n {
			require.NoError(t, topic.Publish(context.Background(), bus, c.make()))
		}
	}

	for name, options := range map[string][]events.SubscribeOption{
		"queue":       {events.WithQueue(64)},
		"drop oldest": {events.WithQueue(200), events.WithOverflow(events.DropOldest)},
		"lanes":       {events.WithQueue(64), events.WithLanes(3)},
		"keyed lanes": {
			events.WithQueue(64), events.WithLanes(3),
			events.WithOrderBy(func(p *tracked) string { return fmt.Sprint(p.number % 4) }),
		},
	} {
		t.Run("handled events are released, "+name, func(t *testing.T) {
			var c collectible
			bus := newBus(t)
			var handled atomic.Int64
			done := make(chan struct{})
			s := handle(t, bus, topic, func(context.Context, *tracked) error {
				if handled.Add(1) == 100 {
					close(done)
				}
				return nil
			}, options...)
			send(t, bus, &c, 100)
			<-done
			require.Zero(t, c.left(0))
			runtime.KeepAlive(s)
		})

		t.Run("drained subscriptions keep nothing, "+name, func(t *testing.T) {
			var c collectible
			bus := newBus(t)
			gate, open := barrier(t)
			s := handle(t, bus, topic, func(context.Context, *tracked) error { <-gate; return nil }, options...)
			send(t, bus, &c, 50)
			drained := make(chan error)
			go func() { drained <- s.Drain(context.Background()) }()
			open()
			require.NoError(t, <-drained)
			require.Zero(t, c.left(0), "by a subscription that is over")
			runtime.KeepAlive(s)
		})

		t.Run("unsubscribed ones keep nothing, "+name, func(t *testing.T) {
			var c collectible
			bus := newBus(t)
			gate, open := barrier(t)
			s := handle(t, bus, topic, func(context.Context, *tracked) error { <-gate; return nil }, options...)
			other := handle(t, bus, topic, func(context.Context, *tracked) error { return nil }, events.WithQueue(1))
			send(t, bus, &c, 50)
			s.Unsubscribe()
			open()
			require.NoError(t, s.Drain(context.Background()))
			require.NoError(t, other.Drain(context.Background()))
			require.Zero(t, c.left(0))
			runtime.KeepAlive(s)
		})
	}

	t.Run("by the fast and the slow of several", func(t *testing.T) {
		var c collectible
		bus := newBus(t)
		fast, fastDone := until(t, 1000)
		handle(t, bus, topic, fast, events.WithQueue(1000))
		begun := make(chan struct{})
		gate, open := barrier(t)
		slow := handle(t, bus, topic, func(_ context.Context, p *tracked) error {
			if p.number == 1000 {
				close(begun)
				<-gate
			}
			return nil
		}, events.WithQueue(1000))
		send(t, bus, &c, 1000)
		<-fastDone
		<-begun
		// Everyone has handled all but the event at work. A reader lets go of
		// what it has taken after some events, not after each.
		require.LessOrEqual(t, c.left(1), int64(1+32))
		open()
		runtime.KeepAlive(slow)
	})

	t.Run("not held by one that sleeps", func(t *testing.T) {
		// The one that sleeps has been on the log longer than its events.
		var c collectible
		bus := newBus(t)
		pattern := make(chan struct{}, 100)
		subscribe(t, bus, "*", func(context.Context, events.Event) error { pattern <- struct{}{}; return nil }, events.WithQueue(10))
		typed := make(chan struct{}, 100)
		handle(t, bus, topic, func(context.Context, *tracked) error { typed <- struct{}{}; return nil }, events.WithQueue(10))
		for range 10 {
			send(t, bus, &c, 10)
			for range 10 {
				<-pattern
				<-typed
			}
			require.Zero(t, c.left(0))
		}
	})

	t.Run("nobody subscribed any more", func(t *testing.T) {
		var c collectible
		bus := newBus(t)
		s := handle(t, bus, topic, func(context.Context, *tracked) error { return nil }, events.WithQueue(10))
		send(t, bus, &c, 20)
		require.NoError(t, s.Drain(context.Background()))
		send(t, bus, &c, 1000)
		require.Zero(t, c.left(0))
		runtime.KeepAlive(s)
	})

	t.Run("grows only with use", func(t *testing.T) {
		numbers := events.NewTopic[[1024]byte]("numbers")
		bus := newBus(t)
		kept := retained(func() {
			back := make(chan struct{})
			for range 2 {
				handle(t, bus, numbers, func(context.Context, [1024]byte) error { back <- struct{}{}; return nil }, events.WithQueue(1<<30))
			}
			for range 10_000 {
				require.NoError(t, numbers.Publish(context.Background(), bus, [1024]byte{}))
				<-back
				<-back
			}
		})
		require.Less(t, kept, int64(1<<20), "bytes for a queue that was never long")
	})

	t.Run("many capacities cost nothing", func(t *testing.T) {
		bus := newBus(t)
		kept := retained(func() {
			for i := range 100 {
				handle(t, bus, events.NewTopic[int](fmt.Sprint(i)), func(context.Context, int) error { return nil }, events.WithQueue(1<<20))
			}
		})
		require.Less(t, kept, int64(2<<20))
	})

	t.Run("names that come and go", func(t *testing.T) {
		bus := newBus(t)
		kept := retained(func() {
			for i := range 2000 {
				name := "name." + fmt.Sprint(i)
				s := handle(t, bus, events.NewTopic[int](name), func(context.Context, int) error { return nil }, events.WithQueue(8))
				require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: name, Data: i}))
				require.NoError(t, s.Drain(context.Background()))
			}
		})
		require.Less(t, kept, int64(256<<10))
		runtime.KeepAlive(bus)
	})
}

// TestQueuedSnapshot is the part of Snapshot for queues: what counts is who is
// subscribed when the publish is called.
func TestQueuedSnapshot(t *testing.T) {
	t.Run("earlier events do not reach a later subscription", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			first := newTurnstile(t)
			handle(t, bus, topic, first.handle, events.WithQueue(10))
			publish(t, bus, topic, count(5)...)
			var later ledger
			handle(t, bus, topic, later.handle, events.WithQueue(10))
			subscribe(t, bus, "number", later.handleEvent, events.WithQueue(10))
			subscribe(t, bus, "*", later.handleEvent, events.WithQueue(10))
			publish(t, bus, topic, 5)
			first.open()
			mustClose(t, bus)
			require.Equal(t, count(6), first.take())
			require.Equal(t, []int{5, 5, 5}, later.take())
		})
	})

	for kind, later := range map[string]func(t *testing.T, bus *events.Bus, topic *events.Topic[int], l *ledger){
		"inline": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], l *ledger) {
			handle(t, bus, topic, l.handle)
		},
		"queued": func(t *testing.T, bus *events.Bus, topic *events.Topic[int], l *ledger) {
			handle(t, bus, topic, l.handle, events.WithQueue(1))
		},
		"queued untyped": func(t *testing.T, bus *events.Bus, _ *events.Topic[int], l *ledger) {
			subscribe(t, bus, "number", l.handleEvent, events.WithQueue(1))
		},
		"queued pattern": func(t *testing.T, bus *events.Bus, _ *events.Topic[int], l *ledger) {
			subscribe(t, bus, "*", l.handleEvent, events.WithQueue(1))
		},
	} {
		t.Run("a publish that waits begins when there is room, "+kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				handle(t, bus, topic, slow.handle, events.WithQueue(1))
				publish(t, bus, topic, 0)
				synctest.Wait()
				publish(t, bus, topic, 1)
				waits := inBackground(func() error { return topic.Publish(context.Background(), bus, 2) })
				done, _ := waits()
				require.False(t, done)
				var l ledger
				later(t, bus, topic, &l)
				slow.open()
				done, err := waits()
				require.True(t, done)
				require.NoError(t, err)
				publish(t, bus, topic, 3)
				mustClose(t, bus)
				require.Equal(t, count(4), slow.take())
				require.Equal(t, []int{2, 3}, l.take(), "the publish of 2 waited, and began after the subscription")
			})
		})
	}

	t.Run("Unsubscribe drops what is queued", func(t *testing.T) {
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t)
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					s := handle(t, bus, topic, slow.handle, append(options, events.WithQueue(10))...)
					publish(t, bus, topic, 0)
					synctest.Wait()
					publish(t, bus, topic, between(1, 5)...)
					slow.let() // and looks for more
					begun := len(slow.take())
					s.Unsubscribe()
					s.Unsubscribe()
					publish(t, bus, topic, 6)
					slow.open()
					mustClose(t, bus)
					require.Empty(t, slow.take(), "begun with after Unsubscribe, %d before", begun)
				})
			})
		}
	})

	t.Run("Unsubscribe by its handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			var l ledger
			gate, open := barrier(t)
			var s *events.Subscription
			s = handle(t, bus, topic, func(_ context.Context, n int) error {
				<-gate
				l.add(n)
				if n == 2 {
					s.Unsubscribe()
				}
				return nil
			}, events.WithQueue(10))
			publish(t, bus, topic, count(6)...)
			open()
			synctest.Wait()
			require.Equal(t, count(3), l.take())
		})
	})

	t.Run("Unsubscribe lets publishers go on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(1))
			var inline, other ledger
			handle(t, bus, topic, inline.handle)
			handle(t, bus, topic, other.handle, events.WithQueue(10))
			publish(t, bus, topic, 0)
			synctest.Wait()
			publish(t, bus, topic, 1)
			var waits []func() (bool, error)
			for n := range 3 {
				waits = append(waits, inBackground(func() error { return topic.Publish(context.Background(), bus, 2+n) }))
			}
			synctest.Wait()
			s.Unsubscribe()
			for _, wait := range waits {
				done, err := wait()
				require.True(t, done)
				require.NoError(t, err)
			}
			slow.open()
			mustClose(t, bus)
			require.Equal(t, []int{0}, slow.take())
			require.ElementsMatch(t, count(5), inline.take())
			require.ElementsMatch(t, count(5), other.take())
		})
	})

	for name, options := range queueKinds() {
		t.Run("Drain has what is queued handled, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				s := handle(t, bus, topic, slow.handle, append(options, events.WithQueue(10))...)
				publish(t, bus, topic, count(5)...)
				drained := inBackground(func() error { return s.Drain(context.Background()) })
				again := inBackground(func() error { return s.Drain(context.Background()) })
				done, _ := drained()
				require.False(t, done)
				publish(t, bus, topic, 5)
				require.False(t, bus.HasHandlers("number"))
				slow.open()
				for _, each := range []func() (bool, error){drained, again} {
					done, err := each()
					require.True(t, done)
					require.NoError(t, err)
				}
				require.ElementsMatch(t, count(5), slow.take())
				require.NoError(t, s.Drain(context.Background()), "once more")
				require.Zero(t, s.Stats().Lag)
			})
		})

		t.Run("Drain gives up with its context, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				slow := newTurnstile(t)
				s := handle(t, bus, topic, slow.handle, append(options, events.WithQueue(10), events.WithName("slow"))...)
				publish(t, bus, topic, count(5)...)
				synctest.Wait()
				left := 5 - len(slow.take())
				ctx, cancel := context.WithCancelCause(context.Background())
				cancel(errBoom)
				err := s.Drain(ctx)
				require.ErrorIs(t, err, errBoom)
				require.ErrorContains(t, err, `"slow"`)
				require.ErrorContains(t, err, fmt.Sprintf("%d events left", left))
				slow.open()
				mustClose(t, bus)
				require.Len(t, slow.take(), left, "the handler goes on")
			})
		})
	}

	t.Run("Drain by its handler", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			var l ledger
			var err error
			gate, open := barrier(t)
			var s *events.Subscription
			s = handle(t, bus, topic, func(ctx context.Context, n int) error {
				<-gate
				l.add(n)
				if n == 1 {
					err = s.Drain(ctx)
				}
				return nil
			}, events.WithQueue(10))
			publish(t, bus, topic, count(4)...)
			open()
			mustClose(t, bus)
			require.ErrorIs(t, err, events.ErrDeadlock)
			require.Equal(t, count(4), l.take(), "which goes on with what is left")
		})
	})

	t.Run("Drain, then Unsubscribe", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			topic := events.NewTopic[int]("number")
			slow := newTurnstile(t)
			s := handle(t, bus, topic, slow.handle, events.WithQueue(10))
			publish(t, bus, topic, count(5)...)
			drained := inBackground(func() error { return s.Drain(context.Background()) })
			_, _ = drained()
			s.Unsubscribe()
			slow.open()
			done, err := drained()
			require.True(t, done)
			require.NoError(t, err)
			require.Equal(t, []int{0}, slow.take(), "what is queued is dropped")
		})
	})

	t.Run("Drain and Unsubscribe of an inline handler", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		s := handle(t, bus, topic, new(ledger).handle)
		require.NoError(t, s.Drain(t.Context()))
		require.False(t, bus.HasHandlers("number"))
	})

	t.Run("WithOnce", func(t *testing.T) {
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t, new(failures).option())
					topic := events.NewTopic[int]("number")
					var l ledger
					handle(t, bus, topic, l.handle, append(options, events.WithQueue(3), events.WithOnce())...)
					publish(t, bus, topic, count(10)...)
					mustClose(t, bus)
					require.Len(t, l.take(), 1)
				})
			})
		}
	})

	t.Run("WithUntil", func(t *testing.T) {
		for name, options := range queueKinds() {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					bus := newBus(t, new(failures).option())
					topic := events.NewTopic[int]("number")
					slow := newTurnstile(t)
					until, cancel := context.WithCancel(context.Background())
					handle(t, bus, topic, slow.handle, append(options, events.WithQueue(1), events.WithUntil(until))...)
					publish(t, bus, topic, 0, 1)
					waits := inBackground(func() error { publish(t, bus, topic, between(2, 9)...); return nil })
					_, _ = waits()
					require.NotEmpty(t, slow.take())
					cancel()
					done, _ := waits()
					require.True(t, done, "the publisher goes on")
					slow.open()
					synctest.Wait()
					require.Empty(t, slow.take(), "run after the end of the context")
					require.False(t, bus.HasHandlers("number"))
				})
			})
		}
	})
}

// queueKinds are the ways to subscribe, but for the queue itself.
func queueKinds() map[string][]events.SubscribeOption {
	return map[string][]events.SubscribeOption{
		"plain":       nil,
		"middleware":  {events.WithMiddleware(func(next events.Handler) events.Handler { return next })},
		"drop oldest": {events.WithOverflow(events.DropOldest)},
		"lanes":       {events.WithLanes(2)},
		"keyed lanes": {events.WithLanes(2), events.WithOrderBy(func(int) string { return "" })},
	}
}

// TestQueuedTwoViews is the part of TwoViewsOfOneEvent for queues.
func TestQueuedTwoViews(t *testing.T) {
	topic := events.NewTopic[account]("account.created")
	queue := events.WithQueue(10)

	t.Run("typed publish, untyped handlers", func(t *testing.T) {
		for how, send := range map[string]func(bus *events.Bus) error{
			"Publish":      func(bus *events.Bus) error { return topic.Publish(context.Background(), bus, ada) },
			"PublishAsync": func(bus *events.Bus) error { return topic.PublishAsync(context.Background(), bus, ada) },
			"Dispatch": func(bus *events.Bus) error {
				return bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: ada})
			},
			"DispatchAsync": func(bus *events.Bus) error {
				bus.DispatchAsync(context.Background(), events.Event{Name: "account.created", Data: ada})
				return nil
			},
		} {
			t.Run(how, func(t *testing.T) {
				bus := newBus(t)
				got := make(chan any, 10)
				keep := func(_ context.Context, e events.Event) error { got <- e; return nil }
				subscribe(t, bus, "account.created", keep, queue)
				subscribe(t, bus, "account.*", keep, queue)
				subscribe(t, bus, ">", keep)
				handle(t, bus, topic, func(_ context.Context, a account) error { got <- a; return nil }, queue)
				handle(t, bus, topic, func(_ context.Context, a account) error { got <- a; return nil })
				require.NoError(t, send(bus))
				mustClose(t, bus)
				close(got)
				var all []any
				for each := range got {
					all = append(all, each)
				}
				event := events.Event{Name: "account.created", Data: ada}
				require.ElementsMatch(t, []any{event, event, event, ada, ada}, all)
			})
		}
	})

	t.Run("untyped dispatch, typed handlers", func(t *testing.T) {
		for name, test := range map[string]struct {
			data any
			fits bool
		}{
			"value":       {ada, true},
			"pointer":     {&ada, true},
			"nil pointer": {(*account)(nil), false},
			"map":         {map[string]any{"id": 1, "name": "Ada"}, true},
			"bad map":     {map[string]any{"id": "one"}, false},
			"other map":   {map[string]any{"colour": "red"}, false},
			"nothing":     {nil, false},
			"other type":  {7, false},
		} {
			for _, async := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, async %t", name, async), func(t *testing.T) {
					var reported failures
					bus := newBus(t, reported.option())
					var j journal
					queued := handle(t, bus, topic, func(_ context.Context, a account) error {
						j.note(fmt.Sprint("queued ", a))
						return nil
					}, queue, events.WithName("typed"))
					subscribe(t, bus, "account.created", j.noting("untyped"), queue)
					subscribe(t, bus, "*.*", j.noting("pattern"), queue)
					bus.Register("account.created", j.noting("inline"))
					event := events.Event{Name: "account.created", Data: test.data}
					var err error
					if async {
						bus.DispatchAsync(context.Background(), event)
					} else {
						err = bus.Dispatch(context.Background(), event)
					}
					mustClose(t, bus)
					want := []string{"untyped", "pattern", "inline"}
					if test.fits {
						require.NoError(t, err)
						require.Empty(t, reported.take())
						require.ElementsMatch(t, append(want, fmt.Sprint("queued ", ada)), j.take())
						return
					}
					require.ElementsMatch(t, want, j.take(), "the others get it all the same")
					if async {
						errs := reported.take()
						require.Len(t, errs, 1)
						err = errs[0]
					} else {
						require.Empty(t, reported.take(), "told to the publisher, and nobody else")
					}
					payloadErr, ok := errors.AsType[*events.PayloadError](err)
					require.True(t, ok, "%v", err)
					require.Equal(t, "account.created", payloadErr.Event)
					failure, ok := errors.AsType[*events.HandlerError](err)
					require.True(t, ok)
					require.Equal(t, "typed", failure.Handler)
					require.Zero(t, queued.Stats().Delivered)
				})
			}
		}
	})

	t.Run("one PayloadError for each typed handler, beside other failures", func(t *testing.T) {
		bus := newBus(t)
		handle(t, bus, topic, refuse, queue, events.WithName("one"))
		handle(t, bus, topic, refuse, queue, events.WithName("two"))
		handle(t, bus, topic, refuse, events.WithName("three"))
		subscribe(t, bus, "account.created", func(context.Context, events.Event) error { return errBoom }, events.WithName("four"))
		err := bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: 7})
		require.ErrorIs(t, err, errBoom)
		var names []string
		var collect func(error)
		collect = func(err error) {
			for _, part := range parts(err) {
				if failure, ok := part.(*events.HandlerError); ok {
					names = append(names, failure.Handler)
				} else {
					collect(part)
				}
			}
		}
		collect(err)
		require.ElementsMatch(t, []string{"one", "two", "three", "four"}, names)
	})

	t.Run("fail-fast", func(t *testing.T) {
		bus := newBus(t, events.WithFailFast())
		var j journal
		handle(t, bus, topic, refuse, queue)
		subscribe(t, bus, "account.created", j.noting("untyped"), queue)
		subscribe(t, bus, "account.created", j.noting("inline"))
		err := bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: 7})
		_, ok := errors.AsType[*events.PayloadError](err)
		require.True(t, ok)
		require.Len(t, parts(err), 1)
		mustClose(t, bus)
		require.Empty(t, j.take())
	})

	t.Run("a payload that does not fit", func(t *testing.T) {
		// The queue of the typed handler has nothing to do with it.
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t)
			gate, open := barrier(t)
			s := handle(t, bus, topic, func(context.Context, account) error { <-gate; return nil }, events.WithQueue(1), events.WithOverflow(events.Reject))
			require.NoError(t, topic.Publish(context.Background(), bus, ada))
			synctest.Wait()
			require.NoError(t, topic.Publish(context.Background(), bus, ada))
			require.ErrorIs(t, topic.Publish(context.Background(), bus, ada), events.ErrFull)
			err := bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: map[string]any{"id": "x"}})
			require.Error(t, err)
			open()
			mustClose(t, bus)
			stats := s.Stats()
			require.LessOrEqual(t, stats.Failed, stats.Delivered, "Failed are of those that were delivered")
		})
	})

	t.Run("WithMapPayload", func(t *testing.T) {
		mapped := events.NewTopic[account]("account.created", events.WithMapPayload())
		bus := newBus(t)
		var mu sync.Mutex
		var maps []map[string]any
		keep := func(_ context.Context, e events.Event) error {
			m, ok := e.Data.(map[string]any)
			if !ok {
				return fmt.Errorf("got a %T", e.Data)
			}
			mu.Lock()
			defer mu.Unlock()
			maps = append(maps, m)
			return nil
		}
		subscribe(t, bus, "account.created", keep, queue)
		subscribe(t, bus, "account.created", keep, queue, events.WithLanes(2))
		subscribe(t, bus, "account.*", keep, queue)
		subscribe(t, bus, "account.created", keep)
		var typed []account
		handle(t, bus, mapped, func(_ context.Context, a account) error { typed = append(typed, a); return nil }, queue)
		require.NoError(t, mapped.Publish(context.Background(), bus, ada))
		require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: ada}))
		require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: &ada}))
		require.NoError(t, bus.Dispatch(context.Background(), events.Event{Name: "account.created", Data: map[string]any{"id": 1, "name": "Ada"}}))
		require.NoError(t, mapped.PublishAsync(context.Background(), bus, ada))
		mustClose(t, bus)
		require.Equal(t, []account{ada, ada, ada, ada, ada}, typed)
		require.Len(t, maps, 20)
		for _, m := range maps {
			require.EqualValues(t, 1, m["id"])
			require.Equal(t, "Ada", m["name"])
		}
		maps[0]["id"] = "spoiled"
		spoiled := 0
		for _, m := range maps {
			if m["id"] == "spoiled" {
				spoiled++
			}
		}
		require.Equal(t, 1, spoiled, "each handler has a map of its own")
	})

	t.Run("conflict", func(t *testing.T) {
		bus := newBus(t)
		handle(t, bus, topic, func(context.Context, account) error { return nil }, queue)
		other := events.NewTopic[int]("account.created")
		_, err := other.Subscribe(bus, func(context.Context, int) error { return nil }, queue)
		require.ErrorIs(t, err, events.ErrTopicConflict)
		_, err = other.SubscribeBatch(bus, func(context.Context, []int) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		require.ErrorIs(t, other.Publish(context.Background(), bus, 1), events.ErrTopicConflict)
		require.NoError(t, topic.Publish(context.Background(), bus, ada))
	})

	t.Run("another type when the first is gone", func(t *testing.T) {
		bus := newBus(t)
		s := handle(t, bus, topic, func(context.Context, account) error { return nil }, queue)
		require.NoError(t, topic.Publish(context.Background(), bus, ada))
		require.NoError(t, s.Drain(context.Background()))
		var l ledger
		other := events.NewTopic[int]("account.created")
		handle(t, bus, other, l.handle, queue)
		publish(t, bus, other, 1)
		mustClose(t, bus)
		require.Equal(t, []int{1}, l.take())
	})
}

// TestQueuedErrorsAreReported is the part of ErrorsNobodyWaitsForAreReported
// for queues.
func TestQueuedErrorsAreReported(t *testing.T) {
	t.Run("to the error handler, with the handler's context", func(t *testing.T) {
		var mu sync.Mutex
		var errs []error
		var values []any
		bus := newBus(t, events.WithErrorHandler(func(ctx context.Context, err error) {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			values = append(values, ctx.Value(requestKey{}))
		}))
		topic := events.NewTopic[int]("number")
		handle(t, bus, topic, func(context.Context, int) error { return errBoom }, events.WithQueue(4), events.WithName("typed"))
		subscribe(t, bus, "*", func(context.Context, events.Event) error { return errOther }, events.WithQueue(4), events.WithName("pattern"))
		require.NoError(t, topic.Publish(context.WithValue(context.Background(), requestKey{}, "r"), bus, 1))
		mustClose(t, bus)
		require.Len(t, errs, 2)
		require.Equal(t, []any{"r", "r"}, values)
		causes := make(map[string]error)
		for _, err := range errs {
			failure, ok := err.(*events.HandlerError)
			require.True(t, ok, "%T", err)
			require.Equal(t, "number", failure.Event)
			causes[failure.Handler] = failure.Err
		}
		require.Equal(t, map[string]error{"typed": errBoom, "pattern": errOther}, causes)
	})

	t.Run("to the logger without one", func(t *testing.T) {
		records := new(captured)
		bus := newBus(t, events.WithLogger(slog.New(records)))
		handle(t, bus, events.NewTopic[int]("number"), func(context.Context, int) error { return errBoom }, events.WithQueue(4), events.WithName("typed"))
		publish(t, bus, events.NewTopic[int]("number"), 1)
		mustClose(t, bus)
		logged := records.take()
		require.Len(t, logged, 1)
		require.Equal(t, "number", attributes(logged[0])["event"].String())
		require.Equal(t, "typed", attributes(logged[0])["handler"].String())
		require.Equal(t, errBoom, attributes(logged[0])["error"].Any())
	})

	t.Run("each once, and the queue goes on", func(t *testing.T) {
		for name, options := range queueKinds() {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			handle(t, bus, topic, func(_ context.Context, n int) error { return fmt.Errorf("failure %d", n) }, append(options, events.WithQueue(50), events.WithName("clerk"))...)
			publish(t, bus, topic, count(50)...)
			mustClose(t, bus)
			var texts []string
			for _, err := range reported.take() {
				texts = append(texts, err.Error())
			}
			want := make([]string, 50)
			for i := range want {
				want[i] = fmt.Sprintf("handler clerk failed for event number: failure %d", i)
			}
			require.ElementsMatch(t, want, texts, name)
		}
	})

	t.Run("an error handler that fails itself", func(t *testing.T) {
		for how, fail := range map[string]func(){"panics": func() { panic("oh") }, "exits": runtime.Goexit} {
			for name, options := range queueKinds() {
				var calls atomic.Int32
				bus := newBus(t, events.WithLogger(slog.New(new(captured))), events.WithErrorHandler(func(context.Context, error) {
					calls.Add(1)
					fail()
				}))
				topic := events.NewTopic[int]("number")
				handle(t, bus, topic, func(_ context.Context, n int) error {
					if n%2 == 0 {
						panic(n)
					}
					return errBoom
				}, append(options, events.WithQueue(10))...)
				publish(t, bus, topic, count(10)...)
				mustClose(t, bus)
				require.EqualValues(t, 10, calls.Load(), "%s, %s", how, name)
			}
		}
	})

	t.Run("an error handler that publishes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			topic, failed := events.NewTopic[int]("number"), events.NewTopic[string]("failed")
			var bus *events.Bus
			bus = newBus(t, events.WithErrorHandler(func(ctx context.Context, err error) {
				if err := failed.Publish(ctx, bus, err.Error()); err != nil {
					t.Error(err)
				}
			}))
			var j journal
			handle(t, bus, topic, func(_ context.Context, n int) error { return fmt.Errorf("no %d", n) }, events.WithQueue(1))
			handle(t, bus, failed, func(_ context.Context, text string) error { j.note(text); return nil }, events.WithQueue(1))
			publish(t, bus, topic, count(3)...)
			mustClose(t, bus)
			require.Len(t, j.take(), 3)
		})
	})
}

// TestQueuedPanicsAreErrors is the part of PanicsAreErrors for queues.
func TestQueuedPanicsAreErrors(t *testing.T) {
	kinds := queueKinds()
	kinds["many lanes"] = []events.SubscribeOption{events.WithLanes(4)}
	kinds["many keyed lanes"] = []events.SubscribeOption{events.WithLanes(4), events.WithOrderBy(func(n int) string { return fmt.Sprint(n % 6) })}
	for name, options := range kinds {
		t.Run(name, func(t *testing.T) {
			var reported failures
			bus := newBus(t, reported.option())
			topic := events.NewTopic[int]("number")
			var l ledger
			s := handle(t, bus, topic, func(_ context.Context, n int) error {
				l.add(n)
				switch n % 5 {
				case 1:
					panic(errBoom)
				case 2:
					runtime.Goexit()
				case 3:
					panic("text")
				}
				return nil
			}, append(options, events.WithQueue(100), events.WithName("fails"))...)
			publish(t, bus, topic, count(100)...)
			mustClose(t, bus)
			if strings.Contains(name, "lanes") {
				require.ElementsMatch(t, count(100), l.take())
			} else {
				require.Equal(t, count(100), l.take())
			}
			var booms, texts, exits int
			for _, err := range reported.take() {
				failure, ok := err.(*events.HandlerError)
				require.True(t, ok)
				require.Equal(t, "fails", failure.Handler)
				panicked, ok := errors.AsType[*events.PanicError](err)
				switch {
				case !ok:
					require.ErrorContains(t, err, "Goexit")
					exits++
				case errors.Is(err, errBoom):
					require.Contains(t, string(panicked.Stack), "TestQueuedPanicsAreErrors")
					booms++
				default:
					require.Equal(t, "text", panicked.Value)
					texts++
				}
			}
			require.Equal(t, []int{20, 20, 20}, []int{booms, texts, exits})
			require.Equal(t, events.Stats{Capacity: 100, Delivered: 100, Failed: 60}, s.Stats())
		})
	}

	t.Run("a nil panic", func(t *testing.T) {
		var reported failures
		bus := newBus(t, reported.option())
		topic := events.NewTopic[int]("number")
		handle(t, bus, topic, func(context.Context, int) error {
			var none any
			panic(none) //nolint:govet // the handler means to
		}, events.WithQueue(2))
		publish(t, bus, topic, 1, 2)
		mustClose(t, bus)
		require.Len(t, reported.take(), 2)
	})

	t.Run("t.FailNow in a queued handler", func(t *testing.T) {
		// What a test's helper does in a handler must not wedge the bus.
		var reported failures
		bus := newBus(t, reported.option())
		topic := events.NewTopic[int]("number")
		var after ledger
		handle(t, bus, topic, func(_ context.Context, n int) error {
			if n == 0 {
				new(testing.T).FailNow()
			}
			after.add(n)
			return nil
		}, events.WithQueue(2))
		publish(t, bus, topic, count(3)...)
		mustClose(t, bus)
		require.Equal(t, []int{1, 2}, after.take())
		require.Len(t, reported.take(), 1)
	})
}

// TestQueuedEventsOutliveTheirRequest is the part of
// AcceptedEventOutlivesItsRequest for queues.
func TestQueuedEventsOutliveTheirRequest(t *testing.T) {
	for name, options := range queueKinds() {
		t.Run("values but no cancellation, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := newBus(t)
				topic := events.NewTopic[int]("number")
				var mu sync.Mutex
				var values []any
				check := func(ctx context.Context) error {
					time.Sleep(time.Minute)
					mu.Lock()
					defer mu.Unlock()
					if _, limited := ctx.Deadline(); ctx.Err() != nil || limited {
						t.Error("the request's end reached the handler")
					}
					values = append(values, ctx.Value(requestKey{}))
					return nil
				}
				handle(t, bus, topic, func(ctx context.Context, _ int) error { return check(ctx) }, append(options, events.WithQueue(10))...)
				subscribe(t, bus, "number", func(ctx context.Context, _ events.Event) error { return check(ctx) }, events.WithQueue(10))
				for i := range 3 {
					request, cancel := context.WithTimeout(context.WithValue(context.Background(), requestKey{}, i), time.Second)
					require.NoError(t, topic.Publish(request, bus, i))
					cancel()
				}
				mustClose(t, bus)
				require.ElementsMatch(t, []any{0, 1, 2, 0, 1, 2}, values)
			})
		})
	}

	t.Run("of a request that is over", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		var l ledger
		handle(t, bus, topic, l.handle, events.WithQueue(1))
		request, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, topic.Publish(request, bus, 1), "there is room, so nothing asks the context")
		mustClose(t, bus)
		require.Equal(t, []int{1}, l.take())
	})

	t.Run("a nil context", func(t *testing.T) {
		bus := newBus(t)
		var l ledger
		subscribe(t, bus, "number", l.handleEvent, events.WithQueue(1))
		var none context.Context
		for n := range 5 {
			require.NoError(t, bus.Dispatch(none, events.Event{Name: "number", Data: n}))
		}
		mustClose(t, bus)
		require.Equal(t, count(5), l.take())
	})

	t.Run("contexts that cannot be compared", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		var l ledger
		handle(t, bus, topic, l.handle, events.WithQueue(10))
		for n := range 3 {
			require.NoError(t, topic.Publish(oddContext{context.Background(), []int{n}}, bus, n))
		}
		mustClose(t, bus)
		require.Equal(t, count(3), l.take())
	})

	t.Run("cancelled when Close's deadline passes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			bus := newBus(t, new(failures).option())
			topic := events.NewTopic[int]("number")
			var after time.Duration
			var cause error
			begun := time.Now()
			handle(t, bus, topic, func(ctx context.Context, _ int) error {
				child, cancel := context.WithCancel(ctx)
				defer cancel()
				<-child.Done()
				after, cause = time.Since(begun), context.Cause(ctx)
				return nil
			}, events.WithQueue(1))
			publish(t, bus, topic, 1)
			require.Error(t, closeWithin(context.Background(), bus, 10*time.Second))
			synctest.Wait()
			require.Equal(t, 10*time.Second, after)
			require.ErrorIs(t, cause, context.DeadlineExceeded)
		})
	})

	t.Run("and after a Close that drained", func(t *testing.T) {
		bus := newBus(t)
		topic := events.NewTopic[int]("number")
		var kept context.Context
		handle(t, bus, topic, func(ctx context.Context, _ int) error { kept = ctx; return nil }, events.WithQueue(1))
		publish(t, bus, topic, 1)
		mustClose(t, bus)
		require.ErrorIs(t, context.Cause(kept), events.ErrClosed)
	})
}

// oddContext makes a comparison of contexts panic.
type oddContext struct {
	context.Context
	odd []int
}

// TestQueueOptions is about options that are wrong, or make no sense together:
// an error from Subscribe says which and why.
func TestQueueOptions(t *testing.T) {
	topic := events.NewTopic[int]("number")
	queue, lanes := events.WithQueue(1), events.WithLanes(2)
	batch := events.WithBatch(1, time.Second)
	key := events.WithOrderBy(func(int) string { return "" })
	for name, test := range map[string]struct {
		options []events.SubscribeOption
		says    string
		in      []string // of handler, untyped, batch and all
	}{
		"queue of 0":          {[]events.SubscribeOption{events.WithQueue(0)}, "WithQueue(0): want a capacity of 1 or more", []string{"handler", "untyped", "batch", "all"}},
		"queue of -5":         {[]events.SubscribeOption{events.WithQueue(-5)}, "WithQueue(-5): want a capacity", []string{"handler", "untyped", "batch", "all"}},
		"queue of 0, then 1":  {[]events.SubscribeOption{events.WithQueue(0), queue}, "WithQueue(0)", []string{"handler", "untyped", "batch", "all"}},
		"unknown overflow":    {[]events.SubscribeOption{queue, events.WithOverflow(17)}, "WithOverflow(17): want Block, DropOldest or Reject", []string{"handler", "untyped", "batch", "all"}},
		"no lanes":            {[]events.SubscribeOption{queue, events.WithLanes(0)}, "WithLanes(0): want 1 lane or more", []string{"handler", "untyped"}},
		"lanes of -1":         {[]events.SubscribeOption{queue, events.WithLanes(-1)}, "WithLanes(-1)", []string{"handler", "untyped"}},
		"overflow, no queue":  {[]events.SubscribeOption{events.WithOverflow(events.Reject)}, "WithOverflow has no queue", []string{"handler", "untyped"}},
		"Block, no queue":     {[]events.SubscribeOption{events.WithOverflow(events.Block)}, "WithOverflow has no queue", []string{"handler", "untyped"}},
		"lanes, no queue":     {[]events.SubscribeOption{lanes}, "WithLanes has no queue", []string{"handler", "untyped"}},
		"priority":            {[]events.SubscribeOption{queue, events.WithPriority(1)}, "WithPriority is for inline handlers", []string{"handler", "untyped", "batch", "all"}},
		"key, no lanes":       {[]events.SubscribeOption{queue, key}, "WithOrderBy has no lanes", []string{"handler"}},
		"key, no queue":       {[]events.SubscribeOption{key}, "WithOrderBy has no lanes", []string{"handler"}},
		"key of another type": {[]events.SubscribeOption{queue, lanes, events.WithOrderBy(func(string) string { return "" })}, "WithOrderBy has a key of string, want one of int", []string{"handler"}},
		"key for an Event":    {[]events.SubscribeOption{queue, lanes, key}, "WithOrderBy has a key of int, want one of events.Event", []string{"untyped"}},
		"batch of 0":          {[]events.SubscribeOption{events.WithBatch(0, time.Second)}, "WithBatch(0, 1s): want 1 event or more", []string{"batch"}},
		"batch without wait":  {[]events.SubscribeOption{events.WithBatch(1, 0)}, "a wait above 0", []string{"batch"}},
		"batch before now":    {[]events.SubscribeOption{events.WithBatch(1, -time.Second)}, "WithBatch(1, -1s)", []string{"batch"}},
		"batch on a handler":  {[]events.SubscribeOption{batch}, "WithBatch is for SubscribeBatch", []string{"handler", "untyped", "all"}},
		"queue and batch":     {[]events.SubscribeOption{queue, batch}, "WithBatch is for SubscribeBatch", []string{"handler", "untyped", "all"}},
		"batch with lanes":    {[]events.SubscribeOption{queue, lanes}, "WithLanes is for handlers", []string{"batch", "all"}},
		"batch, once":         {[]events.SubscribeOption{events.WithOnce()}, "WithOnce is for handlers", []string{"batch", "all"}},
		"nil":                 {[]events.SubscribeOption{queue, nil}, "option is nil", []string{"handler", "untyped", "batch", "all"}},
	} {
		for _, in := range test.in {
			t.Run(name+", "+in, func(t *testing.T) {
				var reported failures
				bus := newBus(t, reported.option())
				var err error
				switch in {
				case "handler":
					_, err = topic.Subscribe(bus, new(ledger).handle, test.options...)
				case "untyped":
					_, err = bus.Subscribe("number", quiet, test.options...)
				case "batch":
					_, err = topic.SubscribeBatch(bus, newBatches().handle, test.options...)
				case "all":
					for range topic.All(t.Context(), bus, test.options...) {
						t.Error("got an event")
					}
					err = errors.Join(reported.take()...)
				}
				require.ErrorContains(t, err, test.says)
				require.ErrorContains(t, err, `events: subscribe to "number"`)
				require.False(t, bus.HasHandlers("number"))
				publish(t, bus, topic, 1)
				stillWorks(t, bus)
				mustClose(t, bus)
			})
		}
	}
}
