package durabletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

func stored(k *kit) {
	got, sub := k.group("g", nil)
	k.close(sub)
	k.publish(1, 2, 3)
	if n := len(got); n > 0 {
		k.Fatalf("%d events came to a subscription that was closed", n)
	}
	again, _ := k.group("g", nil)
	k.wantSame("events stored while nobody was there", k.take(3, again), []int{1, 2, 3})
}

func allOrNone(k *kit) {
	got, _ := k.group("g", nil)
	good := durable.Message{ID: "1", Topic: k.topic.Name(), Data: []byte(`{"Number":1}`)}
	bad := good
	bad.Topic = ""
	if err := k.engine.Publish(k.timely(), good, bad); err == nil {
		k.Fatal("a message without a topic was taken")
	}
	k.publish(2)
	k.wantSame("events of a batch that failed, and one behind it", k.take(1, got), []int{2})
}

// asItWas has messages of all sorts come as they were published.
func asItWas(k *kit) {
	r := k.receive()
	odd := strings.Repeat("ö'\"\\%\n", 20)
	messages := []durable.Message{
		{ID: "empty", Data: nil},
		{ID: odd, Key: odd, Source: "/a/source?b=c", ContentType: "text/plain; charset=utf-8", Data: []byte("text")},
		{ID: "binary", Data: []byte{0, 255, 128, '\'', 0}, Headers: map[string]string{"a": "", "B-c": odd}},
		{ID: "large", Data: bytes.Repeat([]byte("0123456789abcdef"), 30<<10)},
		{ID: "large and binary", Data: bytes.Repeat([]byte{0, 1, 127, 128, 254, 255, '\n', '\\'}, 50<<10)},
		{ID: "null", Data: []byte("null"), Headers: map[string]string{"null": "null", " ": " ", "ö'\"\\%": "\u2028\U0001F600"}},
		{ID: "headers", Data: []byte{}, Headers: manyHeaders(300)},
		{ID: "names", Headers: map[string]string{"Name": "1", "name": "2", "NAME": "3", "source": "4", "id": "5", "Nats-Msg-Id": "6"}},
		{ID: strings.Repeat("i", 200), Key: strings.Repeat("k", 200), Data: []byte{0}},
	}
	for i := range messages {
		messages[i].Topic, messages[i].Time = k.topic.Name(), time.Now().Add(time.Duration(i)*time.Hour)
	}
	messages[0].Time = time.Time{} // no time, and so no age
	if err := k.engine.Publish(k.timely(), messages...); err != nil {
		k.Fatal(err)
	}
	for len(messages) > 0 {
		for _, d := range k.claim(r, 10) {
			want := messages[0]
			messages = messages[1:]
			if d.ID != want.ID || d.Topic != want.Topic || d.Key != want.Key || d.Source != want.Source || d.ContentType != want.ContentType {
				k.Errorf("got %q %q %q %q %q, want %q %q %q %q %q", d.ID, d.Topic, d.Key, d.Source, d.ContentType, want.ID, want.Topic, want.Key, want.Source, want.ContentType)
			}
			if !bytes.Equal(d.Data, want.Data) || !maps.Equal(d.Headers, want.Headers) {
				k.Errorf("%s: data or headers changed", d.ID)
			}
			if d.Time.IsZero() != want.Time.IsZero() || d.Time.Sub(want.Time).Abs() > time.Millisecond {
				k.Errorf("%s: time is %v, want %v", d.ID, d.Time, want.Time)
			}
			if d.Attempt != 1 && k.features.Attempts || d.Group != "g" || d.Claimed.IsZero() || d.Ref == "" {
				k.Errorf("%s: attempt %d, group %q, claimed %v, ref %q", d.ID, d.Attempt, d.Group, d.Claimed, d.Ref)
			}
			k.settle(r, durable.Settlement{Delivery: d})
		}
	}
}

func manyHeaders(n int) map[string]string {
	headers := make(map[string]string, n)
	for i := range n {
		headers[fmt.Sprint("name ", i)] = strings.Repeat("v", i)
	}
	return headers
}

func everyGroup(k *kit) {
	one, _ := k.group("one", nil)
	two, _ := k.group("two", func(h handled) error {
		if h.Number == 1 {
			return events.Permanent(errors.New("no"))
		}
		return nil
	})
	k.publish(0, 1, 2)
	k.wantSame("one", k.take(3, one), count(3))
	k.wantSame("two", k.take(3, two), count(3))
	three, _ := k.group("three", nil)
	k.publish(3)
	k.wantSame("a group that came later", k.take(1, three), []int{3})
	k.wantSame("one, behind a failure of two", k.take(1, one), []int{3})
}

func processesShare(k *kit) {
	const n = 200
	got := make([]<-chan handled, 3)
	for i := range got {
		got[i], _ = k.group("g", nil, durable.WithWorkers(2), durable.WithPrefetch(4))
	}
	k.publish(count(n)...)
	var all []int
	k.eventually("all are handled", func() bool {
		for _, each := range got {
			for len(each) > 0 {
				all = append(all, (<-each).Number)
			}
		}
		return len(all) >= n
	})
	slices.Sort(all)
	k.wantSame("three processes of one group", all, count(n))
}

func fromStart(k *kit) {
	k.publish(0, 1)
	whole, _ := k.group("whole", nil, durable.WithFromStart())
	late, _ := k.group("late", nil)
	k.publish(2)
	k.wantSame("from the start", k.take(3, whole), count(3))
	k.wantSame("from now on", k.take(1, late), []int{2})
}

func declared(k *kit) {
	for range 2 { // once more changes nothing
		if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), "g"); err != nil {
			k.Fatal(err)
		}
	}
	k.publish(1)
	got, _ := k.group("g", nil)
	k.wantSame("a group that was declared", k.take(1, got), []int{1})
}

func delayed(k *kit) {
	got, _ := k.group("g", nil)
	k.publishWith(0, durable.WithDelay(time.Hour))
	k.publish(1)
	k.wantSame("behind one that is not due", k.take(1, got), []int{1})
	k.publishWith(2, durable.WithDelay(shortLease))
	late := k.next(got)
	if wait := late.NotBefore.Sub(late.Time); late.Number != 2 || (wait-shortLease).Abs() > 2*time.Millisecond {
		k.Errorf("event %d came, %v later due than it was published, want event 2, %v", late.Number, wait, shortLease)
	}
	if early := late.NotBefore.Sub(late.at); early > 2*time.Millisecond {
		k.Errorf("an event came %v before it was due", early)
	}
}

// killed has a process end with events in hand.
func killed(k *kit) {
	dead := k.receive()
	k.publish(1, 2, 3)
	var claimed int
	for claimed < 3 {
		claimed += len(k.claim(dead, 3))
	}
	got, _ := k.group("g", nil, durable.WithLease(shortLease))
	numbers := k.take(3, got)
	slices.Sort(numbers)
	k.wantSame("what a process had when it ended", numbers, []int{1, 2, 3})
}

func slowConsumer(k *kit) {
	release := make(chan struct{})
	slow, _ := k.group("slow", func(handled) error { <-release; return nil }, durable.WithPrefetch(0))
	defer close(release)
	if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), "absent"); err != nil {
		k.Fatal(err)
	}
	fast, _ := k.group("fast", nil)
	k.publish(count(100)...)
	k.take(1, slow)
	k.wantSame("a group beside one that stands still", k.take(100, fast), count(100))
}

// slowEvent has one of two workers stand still.
func slowEvent(k *kit) {
	const n = 40
	ready := make(chan struct{})
	release := sync.OnceFunc(func() { close(ready) })
	defer release()
	got, sub := k.group("g", func(h handled) error {
		if h.Number == 0 {
			<-ready
		}
		return nil
	}, durable.WithWorkers(2), durable.WithPrefetch(4))
	if err := durable.PublishBatch(k.timely(), k.engine, k.topic, numbered(n)); err != nil {
		k.Fatal(err)
	}
	numbers := k.take(n, got)
	slices.Sort(numbers)
	k.wantSame("beside one that goes on and on", numbers, count(n))
	release()
	k.eventually("all are handled", func() bool { return sub.Stats().Handled == n })
}

func closeDrains(k *kit) {
	var finished atomic.Bool
	var sub *durable.Subscription
	ready := make(chan struct{})
	got, sub := k.group("g", func(h handled) error {
		if h.Number == 1 {
			<-ready
			if err := sub.Close(h.ctx); !errors.Is(err, events.ErrDeadlock) {
				k.Errorf("Close in a handler returned %v, want ErrDeadlock", err)
			}
		}
		finished.Store(true)
		return nil
	})
	close(ready)
	k.publish(1)
	k.take(1, got)
	k.close(sub)
	if !finished.Load() {
		k.Error("Close returned while a handler was at work")
	}
	if s := sub.Stats(); s.Handled != 1 || s.InHand != 0 {
		k.Errorf("after Close: %+v", s)
	}
	k.publish(2)
	again, _ := k.group("g", nil)
	k.wantSame("after Close", k.take(1, again), []int{2})
}

// closeGivesBack has Close give up a handler, whose event comes back with its
// attempt, and give back what was only fetched.
func closeGivesBack(k *kit) {
	got, sub := k.group("g", func(h handled) error {
		<-h.ctx.Done()
		return context.Cause(h.ctx)
	}, durable.WithPrefetch(10))
	k.publish(1, 2, 3)
	k.take(1, got)
	over, cancel := context.WithCancel(k.Context())
	cancel()
	if err := sub.Close(over); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 handlers at work") {
		k.Errorf("Close with a context that is over returned %v", err)
	}
	again, _ := k.group("g", nil)
	for range 3 {
		if h := k.next(again); h.Attempt != 1 && k.features.Attempts {
			k.Errorf("event %d came back with attempt %d, want 1", h.Number, h.Attempt)
		}
	}
}
