package events_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/typedbus/events"
)

// order is a payload of an ordinary size.
type order struct {
	ID, Customer int64
	Cents        int64
	Currency     string
}

var (
	background = context.Background()
	anOrder    = order{ID: 7, Customer: 42, Cents: 1999, Currency: "EUR"}
)

type orderHandler = func(context.Context, order) error

// floor is the least that a bus can do: a loop over an atomically loaded slice
// of the same handlers.
type floor struct {
	handlers atomic.Pointer[[]orderHandler]
}

func (f *floor) publish(ctx context.Context, o order) error {
	for _, handler := range *f.handlers.Load() {
		if err := handler(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// mapDispatcher is the dispatcher that the package replaces.
type mapDispatcher struct {
	mu       sync.RWMutex
	handlers map[string][]events.Handler
}

func (d *mapDispatcher) Register(name string, handler events.Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[name] = append(d.handlers[name], handler)
}

func (d *mapDispatcher) Dispatch(ctx context.Context, event events.Event) error {
	d.mu.RLock()
	handlers := d.handlers[event.Name]
	d.mu.RUnlock()
	for _, handler := range handlers {
		if err := handler(ctx, event); err != nil {
			return fmt.Errorf("handler failed for event %s: %w", event.Name, err)
		}
	}
	return nil
}

func (d *mapDispatcher) DispatchAsync(ctx context.Context, event events.Event) {
	go d.Dispatch(ctx, event) //nolint:errcheck // as the original did
}

// dispatcher is what code written for the map-based dispatcher calls.
type dispatcher interface {
	Register(name string, handler events.Handler)
	Dispatch(ctx context.Context, event events.Event) error
	DispatchAsync(ctx context.Context, event events.Event)
}

func dispatchers() map[string]func() dispatcher {
	return map[string]func() dispatcher{
		"bus": func() dispatcher { return events.NewEventDispatcher() },
		"map": func() dispatcher { return &mapDispatcher{handlers: make(map[string][]events.Handler)} },
	}
}

// counter counts what the handlers got, without a lock in their way: each
// publishing goroutine has its own.
type counter struct {
	received int64
	_        [7]int64 // a cache line of its own
}

type counterKey struct{}

func counting(t testing.TB, c *counter, want int) {
	t.Helper()
	if c.received != int64(want) {
		t.Fatalf("handlers received %d events, want %d", c.received, want)
	}
}

func handlersFor(n int, c *counter) []orderHandler {
	handlers := make([]orderHandler, n)
	for i := range handlers {
		handlers[i] = func(_ context.Context, o order) error {
			c.received++
			return nil
		}
	}
	return handlers
}

func BenchmarkTyped(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run("handlers="+strconv.Itoa(n)+"/floor", func(b *testing.B) {
			var c counter
			var f floor
			handlers := handlersFor(n, &c)
			f.handlers.Store(&handlers)
			b.ReportAllocs()
			for b.Loop() {
				if err := f.publish(background, anOrder); err != nil {
					b.Fatal(err)
				}
			}
			counting(b, &c, n*b.N)
		})
		b.Run("handlers="+strconv.Itoa(n)+"/bus", func(b *testing.B) {
			var c counter
			bus := events.New()
			topic := events.NewTopic[order]("order.paid")
			for _, handler := range handlersFor(n, &c) {
				if _, err := topic.Subscribe(bus, handler); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := topic.Publish(background, bus, anOrder); err != nil {
					b.Fatal(err)
				}
			}
			counting(b, &c, n*b.N)
		})
	}
}

// BenchmarkTypedParallel publishes from as many goroutines as there are
// processors, and from one.
func BenchmarkTypedParallel(b *testing.B) {
	for _, goroutines := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run("goroutines="+strconv.Itoa(goroutines), func(b *testing.B) {
			bus := events.New()
			topic := events.NewTopic[order]("order.paid")
			if _, err := topic.Subscribe(bus, func(ctx context.Context, o order) error {
				ctx.Value(counterKey{}).(*counter).received++
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			parallel(b, goroutines, func(ctx context.Context) error { return topic.Publish(ctx, bus, anOrder) })
		})
	}
}

// parallel shares b.N calls of publish among goroutines, each with a counter
// in its context, and checks what was received.
func parallel(b *testing.B, goroutines int, publish func(ctx context.Context) error) {
	var group sync.WaitGroup
	counters := make([]*counter, goroutines)
	b.ResetTimer()
	for g := range goroutines {
		n := b.N / goroutines
		if g < b.N%goroutines {
			n++
		}
		counters[g] = new(counter)
		ctx := context.WithValue(background, counterKey{}, counters[g])
		group.Go(func() {
			for range n {
				if err := publish(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	total := new(counter)
	for _, c := range counters {
		total.received += c.received
	}
	counting(b, total, b.N)
}

func BenchmarkUntyped(b *testing.B) {
	event := events.Event{Name: "order.paid", Data: anOrder}
	for _, n := range []int{1, 10} {
		for name, newDispatcher := range dispatchers() {
			b.Run("handlers="+strconv.Itoa(n)+"/"+name, func(b *testing.B) {
				var c counter
				d := newDispatcher()
				for range n {
					d.Register(event.Name, func(context.Context, events.Event) error {
						c.received++
						return nil
					})
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := d.Dispatch(background, event); err != nil {
						b.Fatal(err)
					}
				}
				counting(b, &c, n*b.N)
			})
		}
	}
	for name, newDispatcher := range dispatchers() {
		b.Run("goroutines=8/"+name, func(b *testing.B) {
			d := newDispatcher()
			d.Register(event.Name, func(ctx context.Context, _ events.Event) error {
				ctx.Value(counterKey{}).(*counter).received++
				return nil
			})
			b.ReportAllocs()
			parallel(b, 8, func(ctx context.Context) error { return d.Dispatch(ctx, event) })
		})
	}
}

// BenchmarkNobody publishes what nobody listens to, on a bus with a thousand
// other topics, beside the lookup of the name in a map of as many.
func BenchmarkNobody(b *testing.B) {
	bus := events.New()
	var lookup sync.Map
	for i := range 1000 {
		name := "other.event" + strconv.Itoa(i)
		bus.Register(name, func(context.Context, events.Event) error { return nil })
		lookup.Store(name, &name)
	}
	event := events.Event{Name: "order.paid", Data: anOrder}
	topic := events.NewTopic[order](event.Name)
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, found := lookup.Load(event.Name); found {
				b.Fatal("found")
			}
		}
	})
	b.Run("typed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := topic.Publish(background, bus, anOrder); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("untyped", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := bus.Dispatch(background, event); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAsync times an asynchronous dispatch from the call to the end of
// its handler.
func BenchmarkAsync(b *testing.B) {
	event := events.Event{Name: "order.paid", Data: anOrder}
	for name, newDispatcher := range dispatchers() {
		b.Run(name, func(b *testing.B) {
			var handled atomic.Int64
			done := make(chan struct{})
			d := newDispatcher()
			d.Register(event.Name, func(context.Context, events.Event) error {
				if handled.Add(1) == int64(b.N) {
					close(done)
				}
				return nil
			})
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				d.DispatchAsync(background, event)
			}
			<-done
		})
	}
}

// BenchmarkSubscribe subscribes to many topics once, and reports the memory
// that the bus keeps for each after an event was published to it.
func BenchmarkSubscribe(b *testing.B) {
	const topics = 100_000
	names := make([]string, topics)
	for i := range names {
		names[i] = "order.paid" + strconv.Itoa(i)
	}
	handler := func(context.Context, order) error { return nil }
	b.Run("topics="+strconv.Itoa(topics), func(b *testing.B) {
		var before, after runtime.MemStats
		for b.Loop() {
			b.StopTimer()
			bus := events.New()
			declared := make([]*events.Topic[order], topics)
			for i, name := range names {
				declared[i] = events.NewTopic[order](name)
			}
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.StartTimer()
			for i := range declared {
				if _, err := declared[i].Subscribe(bus, handler); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			for i := range declared {
				if err := declared[i].Publish(background, bus, anOrder); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(bus)
			runtime.KeepAlive(declared)
			b.StartTimer()
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/topics, "bytes/topic")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/topics, "ns/topic")
	})
}

// queued is what hands orders to subscribers that have a queue each.
type queued interface {
	subscribe(handler orderHandler, capacity int) error
	publish(ctx context.Context, o order) error
	close() // returns when everything is handled
}

type queuedBus struct {
	bus   *events.Bus
	topic *events.Topic[order]
}

func (q *queuedBus) subscribe(handler orderHandler, capacity int) error {
	_, err := q.topic.Subscribe(q.bus, handler, events.WithQueue(capacity))
	return err
}

func (q *queuedBus) publish(ctx context.Context, o order) error {
	return q.topic.Publish(ctx, q.bus, o)
}

func (q *queuedBus) close() { _ = q.bus.Close(background) }

// queuedChannels is a buffered channel for each subscriber.
type queuedChannels struct {
	channels []chan order
	done     sync.WaitGroup
}

func (q *queuedChannels) subscribe(handler orderHandler, capacity int) error {
	channel := make(chan order, capacity)
	q.channels = append(q.channels, channel)
	q.done.Go(func() {
		for o := range channel {
			_ = handler(background, o)
		}
	})
	return nil
}

func (q *queuedChannels) publish(_ context.Context, o order) error {
	for _, channel := range q.channels {
		channel <- o
	}
	return nil
}

func (q *queuedChannels) close() {
	for _, channel := range q.channels {
		close(channel)
	}
	q.done.Wait()
}

func queuedKinds() map[string]func() queued {
	return map[string]func() queued{
		"bus": func() queued {
			return &queuedBus{bus: events.New(), topic: events.NewTopic[order]("order.paid")}
		},
		"channel": func() queued { return new(queuedChannels) },
	}
}

// BenchmarkQueued times events from the first publish to the end of the last
// handler, through queues of 1,024.
func BenchmarkQueued(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		for _, publishers := range []int{1, 4} {
			for name, newQueued := range queuedKinds() {
				b.Run(fmt.Sprintf("subscribers=%d/publishers=%d/%s", subscribers, publishers, name), func(b *testing.B) {
					q := newQueued()
					counters := make([]counter, subscribers)
					for i := range counters {
						c := &counters[i]
						if err := q.subscribe(func(context.Context, order) error {
							c.received++
							return nil
						}, 1024); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportAllocs()
					b.ResetTimer()
					var group sync.WaitGroup
					for p := range publishers {
						n := b.N / publishers
						if p < b.N%publishers {
							n++
						}
						group.Go(func() {
							for range n {
								if err := q.publish(background, anOrder); err != nil {
									b.Error(err)
									return
								}
							}
						})
					}
					group.Wait()
					q.close()
					b.StopTimer()
					for i := range counters {
						counting(b, &counters[i], b.N)
					}
				})
			}
		}
	}
}

// BenchmarkWake times the way of an event to an idle subscriber and back.
func BenchmarkWake(b *testing.B) {
	for name, newQueued := range queuedKinds() {
		b.Run(name, func(b *testing.B) {
			q := newQueued()
			back := make(chan struct{}, 1)
			if err := q.subscribe(func(context.Context, order) error {
				back <- struct{}{}
				return nil
			}, 1); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := q.publish(background, anOrder); err != nil {
					b.Fatal(err)
				}
				<-back
			}
			q.close()
		})
	}
}
