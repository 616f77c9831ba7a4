package events_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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

// BenchmarkTyped is a module that tells others of an order, beside the loop over
// their functions that it would have without a bus.
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

// BenchmarkTypedParallel publishes from one goroutine and from two, each with a
// counter of its own, to see whether the throughput grows with the cores.
func BenchmarkTypedParallel(b *testing.B) {
	for _, goroutines := range []int{1, 2} {
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
	counters := make([]*counter, goroutines)
	contexts := make([]context.Context, goroutines)
	for g := range contexts {
		counters[g] = new(counter)
		contexts[g] = context.WithValue(background, counterKey{}, counters[g])
	}
	b.ResetTimer()
	shareOut(b, goroutines, func(g, _ int) error { return publish(contexts[g]) })
	b.StopTimer()
	total := new(counter)
	for _, c := range counters {
		total.received += c.received
	}
	counting(b, total, b.N)
}

// shareOut shares b.N calls of publish among goroutines, and tells it which one
// calls and how many calls it has made before.
func shareOut(b *testing.B, goroutines int, publish func(g, i int) error) {
	var group sync.WaitGroup
	for g := range goroutines {
		n := b.N / goroutines
		if g < b.N%goroutines {
			n++
		}
		group.Go(func() {
			for i := range n {
				if err := publish(g, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// nameRing has the names that a benchmark publishes in turn.
type nameRing [64]string

// constantName is a name in the source: one and the same string.
func constantName(name string) (n nameRing) {
	for i := range n {
		n[i] = name
	}
	return n
}

// madeName is a name that was made at run time, as those of events that were
// decoded: equal strings that lie at different places.
func madeName(name string) (n nameRing) {
	for i := range n {
		n[i] = strings.Clone(name)
	}
	return n
}

// BenchmarkUntyped is a service that was written for the map-based dispatcher,
// on the bus and on that dispatcher.
func BenchmarkUntyped(b *testing.B) {
	const name = "order.paid"
	for _, bench := range []struct {
		name     string
		handlers int
		names    nameRing
	}{
		{"handlers=1/name=constant", 1, constantName(name)},
		{"handlers=1/name=made", 1, madeName(name)},
		{"handlers=10/name=constant", 10, constantName(name)},
	} {
		for kind, newDispatcher := range dispatchers() {
			b.Run(bench.name+"/"+kind, func(b *testing.B) {
				var c counter
				d := newDispatcher()
				for range bench.handlers {
					d.Register(name, func(context.Context, events.Event) error {
						c.received++
						return nil
					})
				}
				event := events.Event{Data: anOrder}
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					event.Name = bench.names[i%len(bench.names)]
					i++
					if err := d.Dispatch(background, event); err != nil {
						b.Fatal(err)
					}
				}
				counting(b, &c, bench.handlers*b.N)
			})
		}
	}
	event := events.Event{Name: name, Data: anOrder}
	for kind, newDispatcher := range dispatchers() {
		b.Run("goroutines=8/"+kind, func(b *testing.B) {
			d := newDispatcher()
			d.Register(name, func(ctx context.Context, _ events.Event) error {
				ctx.Value(counterKey{}).(*counter).received++
				return nil
			})
			b.ReportAllocs()
			parallel(b, 8, func(ctx context.Context) error { return d.Dispatch(ctx, event) })
		})
	}
}

// BenchmarkBoxed is a typed publish in a program whose handler is still an
// untyped one, so that the order has to become an Event.
func BenchmarkBoxed(b *testing.B) {
	topic := events.NewTopic[order]("order.paid")
	var c counter
	handler := func(_ context.Context, event events.Event) error {
		_ = event.Data.(order)
		c.received++
		return nil
	}
	b.Run("floor", func(b *testing.B) {
		c = counter{}
		var handlers atomic.Pointer[[]events.Handler]
		handlers.Store(&[]events.Handler{handler})
		b.ReportAllocs()
		for b.Loop() {
			event := events.Event{Name: topic.Name(), Data: anOrder}
			for _, handler := range *handlers.Load() {
				if err := handler(background, event); err != nil {
					b.Fatal(err)
				}
			}
		}
		counting(b, &c, b.N)
	})
	b.Run("bus", func(b *testing.B) {
		c = counter{}
		bus := events.New()
		bus.Register(topic.Name(), handler)
		b.ReportAllocs()
		for b.Loop() {
			if err := topic.Publish(background, bus, anOrder); err != nil {
				b.Fatal(err)
			}
		}
		counting(b, &c, b.N)
	})
}

// BenchmarkNobody publishes what nobody listens to, on a bus with a thousand
// other topics, beside the lookup of the name in a map of as many.
func BenchmarkNobody(b *testing.B) {
	bus := events.New()
	var lookup sync.Map
	var others counter
	for i := range 1000 {
		name := "other.event" + strconv.Itoa(i)
		bus.Register(name, func(context.Context, events.Event) error {
			others.received++
			return nil
		})
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
	counting(b, &others, 0)
}

// BenchmarkAsync times an asynchronous dispatch from the call to the end of
// its handler, beside a goroutine for each.
func BenchmarkAsync(b *testing.B) {
	event := events.Event{Name: "order.paid", Data: anOrder}
	for kind, newDispatcher := range dispatchers() {
		b.Run(kind, func(b *testing.B) {
			all := newCountdown(b.N)
			d := newDispatcher()
			d.Register(event.Name, func(context.Context, events.Event) error {
				all.get()
				return nil
			})
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				d.DispatchAsync(background, event)
			}
			all.await(b)
		})
	}
}

// BenchmarkPublishAsync does the same with a typed publish, beside a goroutine
// for each that runs the handler.
func BenchmarkPublishAsync(b *testing.B) {
	b.Run("go", func(b *testing.B) {
		all := newCountdown(b.N)
		f := new(floor)
		f.handlers.Store(&[]orderHandler{all.handle})
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			go f.publish(background, anOrder) //nolint:errcheck // the handler has none
		}
		all.await(b)
	})
	b.Run("bus", func(b *testing.B) {
		all := newCountdown(b.N)
		bus := events.New()
		topic := events.NewTopic[order]("order.paid")
		if _, err := topic.Subscribe(bus, all.handle); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if err := topic.PublishAsync(background, bus, anOrder); err != nil {
				b.Fatal(err)
			}
		}
		all.await(b)
	})
}

// countdown waits for handlers that run at the same time.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func newCountdown(n int) *countdown {
	c := &countdown{done: make(chan struct{})}
	c.left.Store(int64(n))
	return c
}

func (c *countdown) get() {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

func (c *countdown) handle(context.Context, order) error {
	c.get()
	return nil
}

// await ends the time that is measured when all events were received, and
// fails if there were more.
func (c *countdown) await(b *testing.B) {
	<-c.done
	b.StopTimer()
	if left := c.left.Load(); left != 0 {
		b.Fatalf("handlers received %d events too many", -left)
	}
}
