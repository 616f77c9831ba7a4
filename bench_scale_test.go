package events_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/typedbus/events"
)

// manyAndFew are how many things a benchmark makes, to see whether each costs
// more when there are more of them.
var manyAndFew = []int{1000, 16_000}

// BenchmarkSubscribe is a service that starts, with a great many topics of one
// subscription each. It reports the time of a subscription, and the memory that
// the bus keeps for each topic after an event was published to it.
func BenchmarkSubscribe(b *testing.B) {
	const topics = 100_000
	names := make([]string, topics)
	for i := range names {
		names[i] = "order.paid" + strconv.Itoa(i)
	}
	var c counter
	handler := func(context.Context, order) error {
		c.received++
		return nil
	}
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
		counting(b, &c, topics*b.N)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/topics, "bytes/topic")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/topics, "ns/topic")
	})
}

// perItem reports the time of one of n things.
func perItem(b *testing.B, n int, item string) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/"+item)
}

// BenchmarkClose is a service that stops, with many queues that have handled
// their events: each on a topic of its own, or all on one topic.
func BenchmarkClose(b *testing.B) {
	newTopics := func(n int) []*events.Topic[order] {
		topics := make([]*events.Topic[order], n)
		for i := range topics {
			topics[i] = events.NewTopic[order]("order.paid" + strconv.Itoa(i))
		}
		return topics
	}
	for _, kind := range []struct {
		name              string
		topics, perTopics func(n int) int
	}{
		{"topics", func(n int) int { return n }, func(int) int { return 1 }},
		{"queues", func(int) int { return 1 }, func(n int) int { return n }},
	} {
		for _, n := range manyAndFew {
			topics := newTopics(kind.topics(n))
			b.Run(fmt.Sprintf("%s=%d", kind.name, n), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					all := newCountdown(n)
					bus := events.New()
					for _, topic := range topics {
						for range kind.perTopics(n) {
							if _, err := topic.Subscribe(bus, all.handle, events.WithQueue(1)); err != nil {
								b.Fatal(err)
							}
						}
						if err := topic.Publish(background, bus, anOrder); err != nil {
							b.Fatal(err)
						}
					}
					all.await(b)
					runtime.GC() // so that what Close pays is for closing
					b.StartTimer()
					if err := bus.Close(background); err != nil {
						b.Fatal(err)
					}
				}
				perItem(b, n, "queue")
			})
		}
	}
}

// patternsAndNames returns n patterns of two kinds, and n names of which each
// is for one of the patterns.
func patternsAndNames(n int) (patterns, names []string) {
	for i := range n {
		pattern, name := "customer%d.*", "customer%d.registered"
		if i%2 == 1 {
			pattern, name = "*.order%d", "shop.order%d"
		}
		patterns, names = append(patterns, fmt.Sprintf(pattern, i)), append(names, fmt.Sprintf(name, i))
	}
	return patterns, names
}

// BenchmarkPatterns is a service whose clients listen to patterns of their own.
func BenchmarkPatterns(b *testing.B) {
	for _, n := range manyAndFew {
		patterns, names := patternsAndNames(n)
		var received int
		handler := func(context.Context, events.Event) error {
			received++
			return nil
		}
		subscribe := func(b *testing.B, bus *events.Bus) []*events.Subscription {
			b.Helper()
			subscriptions := make([]*events.Subscription, n)
			for i, pattern := range patterns {
				var err error
				if subscriptions[i], err = bus.Subscribe(pattern, handler); err != nil {
					b.Fatal(err)
				}
			}
			return subscriptions
		}
		dispatch := func(b *testing.B, bus *events.Bus, names []string) {
			b.Helper()
			for _, name := range names {
				if err := bus.Dispatch(background, events.Event{Name: name}); err != nil {
					b.Fatal(err)
				}
			}
		}
		check := func(b *testing.B, want int) {
			b.Helper()
			if received != want {
				b.Fatalf("handlers received %d events, want %d", received, want)
			}
			received = 0
		}

		// Clients come and go while as many names have handlers and are known.
		b.Run(fmt.Sprintf("come-and-go=%d", n), func(b *testing.B) {
			bus := events.New()
			for _, name := range names {
				bus.Register(name, func(context.Context, events.Event) error { return nil })
			}
			dispatch(b, bus, names)
			for b.Loop() {
				subscriptions := subscribe(b, bus)
				b.StopTimer()
				sample := names[:min(n, 100)]
				dispatch(b, bus, sample)
				check(b, len(sample))
				b.StartTimer()
				for _, subscription := range subscriptions {
					subscription.Unsubscribe()
				}
			}
			dispatch(b, bus, names)
			check(b, 0)
			perItem(b, n, "pattern")
		})

		// Each event has a name that the bus has not met before.
		b.Run(fmt.Sprintf("names=%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				bus := events.New()
				subscribe(b, bus)
				runtime.GC()
				b.StartTimer()
				dispatch(b, bus, names)
			}
			check(b, n*b.N)
			perItem(b, n, "name")
		})
	}
}
