// Package benchmarks_test has the benchmarks beside other libraries that are
// rows of the budget, which make bench runs together with those of the library.
// (The comparison of all buses is cmd/compare.)
package benchmarks_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/kelindar/event"

	"github.com/typedbus/events"
)

// order is a payload of an ordinary size, and an event of kelindar/event.
type order struct {
	ID, Customer int64
	Cents        int64
	Currency     string
}

func (order) Type() uint32 { return 1 }

// A peer hands orders to subscribers that have a queue each.
type peer interface {
	subscribe(handler func(order)) error
	publish(o order) error
	close() error
}

type bus struct {
	bus   *events.Bus
	topic *events.Topic[order]
}

func (b *bus) subscribe(handler func(order)) error {
	_, err := b.topic.Subscribe(b.bus, func(_ context.Context, o order) error {
		handler(o)
		return nil
	}, events.WithQueue(1024))
	return err
}

func (b *bus) publish(o order) error { return b.topic.Publish(context.Background(), b.bus, o) }

func (b *bus) close() error { return b.bus.Close(context.Background()) }

// kelindar has its own capacity of 50,000 events for each subscriber.
type kelindar struct{ dispatcher *event.Dispatcher }

func (k *kelindar) subscribe(handler func(order)) error {
	event.Subscribe(k.dispatcher, handler)
	return nil
}

func (k *kelindar) publish(o order) error {
	event.Publish(k.dispatcher, o)
	return nil
}

func (k *kelindar) close() error { return k.dispatcher.Close() }

// BenchmarkPeer is a service that publishes faster than its subscribers handle,
// or as fast. It times events from the first publish to the end of the last
// handler, so it counts to b.N: b.Loop would stop the clock while the queues
// are full.
func BenchmarkPeer(b *testing.B) {
	peers := map[string]func() peer{
		"bus":      func() peer { return &bus{events.New(), events.NewTopic[order]("order.paid")} },
		"kelindar": func() peer { return &kelindar{event.NewDispatcher()} },
	}
	for _, bench := range []struct{ cores, subscribers int }{{1, 1}, {2, 1}, {2, 10}} {
		for name, newPeer := range peers {
			b.Run(fmt.Sprintf("cores=%d/subscribers=%d/%s", bench.cores, bench.subscribers, name), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(bench.cores))
				p := newPeer()
				var handled sync.WaitGroup
				counters := make([]struct {
					received int
					_        [7]int64 // a cache line of its own
				}, bench.subscribers)
				for i := range counters {
					c := &counters[i]
					handled.Add(1)
					if err := p.subscribe(func(order) {
						if c.received++; c.received == b.N {
							handled.Done()
						}
					}); err != nil {
						b.Fatal(err)
					}
				}
				o := order{ID: 7, Customer: 42, Cents: 1999, Currency: "EUR"}
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if err := p.publish(o); err != nil {
						b.Fatal(err)
					}
				}
				handled.Wait()
				b.StopTimer()
				if err := p.close(); err != nil {
					b.Fatal(err)
				}
				for i := range counters {
					if counters[i].received != b.N {
						b.Errorf("a subscriber received %d events, want %d", counters[i].received, b.N)
					}
				}
			})
		}
	}
}
