package events_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"strconv"
	"testing"

	"github.com/typedbus/events"
)

// queueCapacity is that of the queues, and of the channels beside them.
const queueCapacity = 1024

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

func newQueuedBus() *queuedBus {
	return &queuedBus{bus: events.New(), topic: events.NewTopic[order]("order.paid")}
}

func (q *queuedBus) subscribe(handler orderHandler, capacity int) error {
	_, err := q.topic.Subscribe(q.bus, handler, events.WithQueue(capacity))
	return err
}

func (q *queuedBus) publish(ctx context.Context, o order) error {
	return q.topic.Publish(ctx, q.bus, o)
}

func (q *queuedBus) close() { _ = q.bus.Close(background) }

// channelReader is a buffered channel, and the goroutine that hands its events to a
// handler.
type channelReader[E any] struct {
	events chan E
	done   chan struct{}
}

func newChannelReader[E any](capacity int, handler func(context.Context, E) error) *channelReader[E] {
	r := &channelReader[E]{make(chan E, capacity), make(chan struct{})}
	go func() {
		defer close(r.done)
		for e := range r.events {
			_ = handler(background, e)
		}
	}()
	return r
}

// close returns when everything is handled.
func (r *channelReader[E]) close() {
	close(r.events)
	<-r.done
}

// queuedChannels is a buffered channel for each subscriber.
type queuedChannels struct{ readers []*channelReader[order] }

func (q *queuedChannels) subscribe(handler orderHandler, capacity int) error {
	q.readers = append(q.readers, newChannelReader(queueCapacity, handler))
	return nil
}

func (q *queuedChannels) publish(_ context.Context, o order) error {
	for _, reader := range q.readers {
		reader.events <- o
	}
	return nil
}

func (q *queuedChannels) close() {
	for _, reader := range q.readers {
		reader.close()
	}
}

func queuedKinds() map[string]func() queued {
	return map[string]func() queued{
		"bus":     func() queued { return newQueuedBus() },
		"channel": func() queued { return new(queuedChannels) },
	}
}

// timeStream times b.N events from the first publish to the end of the last
// handler, which is when finish returns. So it counts to b.N: b.Loop would stop
// the clock while the queues are full.
func timeStream(b *testing.B, publishers int, publish func(i int) error, finish func()) {
	b.ReportAllocs()
	b.ResetTimer()
	shareOut(b, publishers, func(_, i int) error { return publish(i) })
	finish()
	b.StopTimer()
}

// BenchmarkQueued is a service that publishes faster than its subscribers
// handle, so that the queues run full, or as fast.
func BenchmarkQueued(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		for _, publishers := range []int{1, 4} {
			for kind, newQueued := range queuedKinds() {
				b.Run(fmt.Sprintf("subscribers=%d/publishers=%d/%s", subscribers, publishers, kind), func(b *testing.B) {
					benchmarkQueued(b, newQueued(), queueCapacity, subscribers, publishers)
				})
			}
		}
	}
}

// BenchmarkQueuedOne is the same with room for one event, so that a publish
// waits for the handler of the one before.
func BenchmarkQueuedOne(b *testing.B) {
	for kind, newQueued := range queuedKinds() {
		b.Run(kind, func(b *testing.B) { benchmarkQueued(b, newQueued(), 1, 1, 1) })
	}
}

func benchmarkQueued(b *testing.B, q queued, capacity, subscribers, publishers int) {
	counters := make([]counter, subscribers)
	for i := range counters {
		c := &counters[i]
		if err := q.subscribe(func(context.Context, order) error {
			c.received++
			return nil
		}, capacity); err != nil {
			b.Fatal(err)
		}
	}
	timeStream(b, publishers, func(int) error { return q.publish(background, anOrder) }, q.close)
	for i := range counters {
		counting(b, &counters[i], b.N)
	}
}

// BenchmarkWake is a service that has little to do: it times the way of an
// event to an idle subscriber and back.
func BenchmarkWake(b *testing.B) {
	for kind, newQueued := range queuedKinds() {
		b.Run(kind, func(b *testing.B) {
			q := newQueued()
			var c counter
			back := make(chan struct{}, 1)
			if err := q.subscribe(func(context.Context, order) error {
				c.received++
				back <- struct{}{}
				return nil
			}, queueCapacity); err != nil {
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
			counting(b, &c, b.N)
		})
	}
}

// BenchmarkTwoLogs is a typed publish to a typed subscriber and to an untyped
// one of the same name, as an audit of everything is: both have a queue, and
// either both get the event or none.
func BenchmarkTwoLogs(b *testing.B) {
	const name = "order.paid"
	var typed, untyped counter
	handle := func(context.Context, order) error {
		typed.received++
		return nil
	}
	handleEvent := func(_ context.Context, event events.Event) error {
		_ = event.Data.(order)
		untyped.received++
		return nil
	}
	b.Run("channel", func(b *testing.B) {
		typed, untyped = counter{}, counter{}
		orders, boxed := newChannelReader(queueCapacity, handle), newChannelReader(queueCapacity, handleEvent)
		timeStream(b, 1, func(int) error {
			orders.events <- anOrder
			boxed.events <- events.Event{Name: name, Data: anOrder}
			return nil
		}, func() {
			orders.close()
			boxed.close()
		})
		counting(b, &typed, b.N)
		counting(b, &untyped, b.N)
	})
	b.Run("bus", func(b *testing.B) {
		typed, untyped = counter{}, counter{}
		q := newQueuedBus()
		if err := q.subscribe(handle, queueCapacity); err != nil {
			b.Fatal(err)
		}
		if _, err := q.bus.Subscribe(name, handleEvent, events.WithQueue(queueCapacity)); err != nil {
			b.Fatal(err)
		}
		timeStream(b, 1, func(int) error { return q.publish(background, anOrder) }, q.close)
		counting(b, &typed, b.N)
		counting(b, &untyped, b.N)
	})
}

// BenchmarkDispatchQueued is a service that was written for the map-based
// dispatcher, some subscribers of which have got a queue, or a type and a queue.
func BenchmarkDispatchQueued(b *testing.B) {
	event := events.Event{Name: "order.paid", Data: anOrder}
	var c counter
	handle := func(context.Context, order) error {
		c.received++
		return nil
	}
	handleEvent := func(ctx context.Context, event events.Event) error { return handle(ctx, event.Data.(order)) }
	subscribe := map[string]func(q *queuedBus) error{
		"typed": func(q *queuedBus) error { return q.subscribe(handle, queueCapacity) },
		"untyped": func(q *queuedBus) error {
			_, err := q.bus.Subscribe(event.Name, handleEvent, events.WithQueue(queueCapacity))
			return err
		},
	}
	for kind, subscribe := range subscribe {
		b.Run(kind+"/channel", func(b *testing.B) {
			c = counter{}
			r := newChannelReader(queueCapacity, handleEvent)
			timeStream(b, 1, func(int) error {
				r.events <- event
				return nil
			}, r.close)
			counting(b, &c, b.N)
		})
		b.Run(kind+"/bus", func(b *testing.B) {
			c = counter{}
			q := newQueuedBus()
			if err := subscribe(q); err != nil {
				b.Fatal(err)
			}
			timeStream(b, 1, func(int) error { return q.bus.Dispatch(background, event) }, q.close)
			counting(b, &c, b.N)
		})
	}
}

// BenchmarkKeyed is a subscriber that handles the orders of a customer one at a
// time and those of several at once: eight customers take turns, on four lanes,
// beside four channels of which each has its share of the customers.
func BenchmarkKeyed(b *testing.B) {
	const lanes = 4
	var customers [8]string
	for i := range customers {
		customers[i] = "customer" + strconv.Itoa(i)
	}
	key := func(o order) string { return customers[o.Customer] }
	orderOf := func(i int) order {
		o := anOrder
		o.ID, o.Customer = int64(i), int64(i%len(customers))
		return o
	}
	// No two events of a customer are handled at once, so each has a counter
	// without a lock.
	var counters [len(customers)]struct {
		counter
		last int64
	}
	handle := func(_ context.Context, o order) error {
		c := &counters[o.Customer]
		if o.ID < c.last {
			return fmt.Errorf("order %d after order %d", o.ID, c.last)
		}
		c.last = o.ID
		c.received++
		return nil
	}
	check := func(b *testing.B) {
		b.Helper()
		var all counter
		for i := range counters {
			all.received += counters[i].received
			counters[i].received, counters[i].last = 0, 0
		}
		counting(b, &all, b.N)
	}
	b.Run("channel", func(b *testing.B) {
		var readers [lanes]*channelReader[order]
		for lane := range readers {
			readers[lane] = newChannelReader(queueCapacity/lanes, handle)
		}
		seed := maphash.MakeSeed()
		timeStream(b, 1, func(i int) error {
			o := orderOf(i)
			readers[maphash.String(seed, key(o))%lanes].events <- o
			return nil
		}, func() {
			for _, reader := range readers {
				reader.close()
			}
		})
		check(b)
	})
	b.Run("bus", func(b *testing.B) {
		q := newQueuedBus()
		if _, err := q.topic.Subscribe(q.bus, handle,
			events.WithQueue(queueCapacity), events.WithLanes(lanes), events.WithOrderBy(key)); err != nil {
			b.Fatal(err)
		}
		timeStream(b, 1, func(i int) error { return q.publish(background, orderOf(i)) }, q.close)
		check(b)
	})
}
