package durabletest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// keyed checks that no two events of a key are at work at once.
type keyed struct {
	mu    sync.Mutex
	busy  map[string]bool
	order map[string][]int // of those that were handled
}

func (c *keyed) handle(k *kit, h handled, f func() error) error {
	c.mu.Lock()
	if h.Key != "" && c.busy[h.Key] {
		k.Errorf("two events of key %q at once", h.Key)
	}
	c.busy[h.Key] = true
	c.mu.Unlock()
	err := f()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy[h.Key] = false
	if err == nil {
		c.order[h.Key] = append(c.order[h.Key], h.Number)
	}
	return err
}

func newKeyed() *keyed { return &keyed{busy: make(map[string]bool), order: make(map[string][]int)} }

func orderByKey(k *kit) { checkOrder(k, func(handled) error { return nil }) }

// orderThroughRetries has every third event fail twice.
func orderThroughRetries(k *kit) {
	checkOrder(k, func(h handled) error {
		if h.Number%3 == 0 && h.Attempt < 3 {
			return errFailed
		}
		return nil
	})
}

func checkOrder(k *kit, verdict func(handled) error) {
	const keys, each = 5, 20
	c := newKeyed()
	var subs []*durable.Subscription
	for range 2 {
		_, sub := k.group("g", func(h handled) error {
			return c.handle(k, h, func() error { return verdict(h) })
		}, durable.WithOrderByKey(), durable.WithWorkers(4), durable.WithPrefetch(8), durable.WithBackoff(time.Millisecond, 5*time.Millisecond))
		subs = append(subs, sub)
	}
	for i := range keys * each {
		k.publishWith(i, durable.WithKey(fmt.Sprint("key ", i%keys)))
	}
	k.eventually("all are handled", func() bool { return subs[0].Stats().Handled+subs[1].Stats().Handled == keys*each })
	for i := range keys {
		var want []int
		for j := range each {
			want = append(want, i+j*keys)
		}
		k.wantSame(fmt.Sprint("key ", i), c.order[fmt.Sprint("key ", i)], want)
	}
}

func deadLetterLetsGoOn(k *kit) {
	var fails atomic.Bool
	fails.Store(true)
	got, _ := k.group("g", func(h handled) error {
		if h.Number == 1 && fails.Load() {
			return events.Permanent(errFailed)
		}
		return nil
	}, durable.WithOrderByKey())
	for i := range 3 {
		k.publishWith(i, durable.WithKey("a"))
	}
	k.wantSame("around a dead letter", k.take(3, got), count(3))
	letters, list := k.dead(1)
	fails.Store(false)
	if _, err := letters.Redrive(k.timely(), k.topic.Name(), "g", list[0].Ref); err != nil {
		k.Fatal(err)
	}
	k.wantSame("redriven", k.take(1, got), []int{1})
}

// longLine has one key stand still behind a handler and one behind a retry, each with a
// long line. Other keys go on, and what has none.
func longLine(k *kit) {
	const n, others = 60, 12
	ready := make(chan struct{})
	release := sync.OnceFunc(func() { close(ready) })
	defer release()
	c := newKeyed()
	got, sub := k.group("g", func(h handled) error {
		return c.handle(k, h, func() error {
			switch {
			case h.Key == "slow" && h.Number == 0:
				<-ready
			case h.Key == "failed":
				return durable.RetryAfter(errFailed, time.Hour)
			}
			return nil
		})
	}, durable.WithOrderByKey(), durable.WithWorkers(2), durable.WithPrefetch(6))
	for _, key := range []string{"slow", "failed"} {
		if err := durable.PublishBatch(k.timely(), k.engine, k.topic, numbered(n), durable.WithKey(key)); err != nil {
			k.Fatal(err)
		}
	}
	k.wantSame("the first of two keys", k.take(2, got), []int{0, 0})
	for i := range others {
		switch i % 3 {
		case 0:
			k.publish(n + i)
		default:
			k.publishWith(n+i, durable.WithKey(fmt.Sprint("key ", i%3)))
		}
	}
	for _, number := range k.take(others, got) {
		if number < n {
			k.Fatalf("event %d came while its key stood still", number)
		}
	}
	release()
	k.eventually("the line is handled", func() bool { return sub.Stats().Handled == n+others })
	c.mu.Lock()
	defer c.mu.Unlock()
	k.wantSame("the line", c.order["slow"], count(n))
}

func groupConflict(k *kit) {
	k.group("g", nil, durable.WithOrderByKey())
	_, err := durable.Subscribe(k.timely(), k.engine, k.topic, "g", func(context.Context, order) error { return nil })
	if !errors.Is(err, durable.ErrGroupConflict) {
		k.Errorf("a group in order of keys opened without: %v, want ErrGroupConflict", err)
	}
}

// refuses asks for each thing that the engine says it cannot do.
func refuses(k *kit) {
	subscribe := func(options ...durable.SubscribeOption) error {
		sub, err := durable.Subscribe(k.timely(), k.engine, k.topic, "g", func(context.Context, order) error { return nil }, options...)
		if err == nil {
			k.close(sub)
		}
		return err
	}
	for _, ask := range []struct {
		what   string
		claims bool
		err    func() error
	}{
		{"WithOrderByKey", k.features.OrderByKey, func() error { return subscribe(durable.WithOrderByKey()) }},
		{"WithFromStart", k.features.FromStart, func() error { return subscribe(durable.WithFromStart()) }},
		{"WithAttempts", k.features.Attempts, func() error { return subscribe(durable.WithAttempts(3)) }},
		{"WithBackoff", k.features.Delay, func() error { return subscribe(durable.WithBackoff(1, 2)) }},
		{"WithDelay", k.features.DelayedPublish, func() error {
			return durable.Publish(k.timely(), k.engine, k.topic, order{}, durable.WithDelay(time.Second))
		}},
		{"DeadLettersOf", k.features.DeadLetters, func() error {
			_, err := durable.DeadLettersOf(k.engine)
			return err
		}},
	} {
		err := ask.err()
		if ask.claims || ask.what == "WithOrderByKey" && errors.Is(err, durable.ErrGroupConflict) {
			continue // what is claimed has a case of its own
		}
		if !errors.Is(err, durable.ErrUnsupported) {
			k.Errorf("%s: %v, want ErrUnsupported", ask.what, err)
		}
	}
	for what, err := range map[string]error{
		"a message without an id":    k.engine.Publish(k.timely(), durable.Message{Topic: k.topic.Name()}),
		"a message without a topic":  k.engine.Publish(k.timely(), durable.Message{ID: "1"}),
		"a header that is no UTF-8":  k.engine.Publish(k.timely(), durable.Message{ID: "1", Topic: k.topic.Name(), Headers: map[string]string{"a": "\xff"}}),
		"a message of a hundred MiB": k.engine.Publish(k.timely(), durable.Message{ID: "1", Topic: k.topic.Name(), Data: make([]byte, 100<<20)}),
	} {
		if err == nil {
			k.Errorf("%s was taken", what)
		}
	}
}

func refusesWhenClosed(k *kit) {
	r := k.receive()
	waits := make(chan error, 1)
	go func() {
		_, err := r.Receive(k.timely(), 1)
		waits <- err
	}()
	if err := k.engine.Close(k.timely()); err != nil {
		k.Fatal(err)
	}
	if err := <-waits; err == nil {
		k.Error("Receive returned nothing and no error when the engine was closed")
	}
	if err := durable.Publish(k.timely(), k.engine, k.topic, order{}); !errors.Is(err, durable.ErrClosed) {
		k.Errorf("Publish on a closed engine: %v, want ErrClosed", err)
	}
	if _, err := k.engine.Open(k.timely(), durable.Consumer{Topic: k.topic.Name(), Group: "new", Lease: shortLease}); !errors.Is(err, durable.ErrClosed) {
		k.Errorf("Open on a closed engine: %v, want ErrClosed", err)
	}
}
