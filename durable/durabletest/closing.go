package durabletest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// closedFromEverywhere has handlers and others close a subscription at once, and once
// more.
func closedFromEverywhere(k *kit) {
	const workers, n = 3, 20
	var sub *durable.Subscription
	var atWork atomic.Int64
	ready, closing := make(chan struct{}), make(chan struct{})
	got, sub := k.group("g", func(h handled) error {
		<-ready // sub is there
		if atWork.Add(1) == workers {
			close(closing)
		}
		<-closing
		if err := sub.Close(h.ctx); !errors.Is(err, events.ErrDeadlock) {
			k.Errorf("Close by a handler returned %v, want ErrDeadlock", err)
		}
		return nil
	}, durable.WithWorkers(workers), durable.WithPrefetch(4))
	close(ready)
	k.publish(count(n)...)
	k.eventually("all workers are at work", func() bool { return atWork.Load() == workers })
	k.together(4, func(int) error { return sub.Close(k.timely()) })
	k.close(sub)
	first := len(got)
	if s := sub.Stats(); first != workers || s.Handled != workers || s.InHand != 0 {
		k.Errorf("%d events were begun, of %d at work when it was closed: %+v", first, workers, s)
	}
	numbers := k.take(first, got)
	again, _ := k.group("g", nil)
	numbers = append(numbers, k.take(n-first, again)...)
	slices.Sort(numbers)
	k.wantSame("before and after Close", numbers, count(n))
}

// closedAtWork has a subscription be closed whose hand is full while a handler goes on:
// what it had fetched comes to others before that returns.
func closedAtWork(k *kit) {
	const n = 20
	ready := make(chan struct{})
	release := sync.OnceFunc(func() { close(ready) })
	defer release()
	got, sub := k.group("g", func(handled) error { <-ready; return nil }, durable.WithPrefetch(4), durable.WithLease(time.Hour))
	if err := durable.PublishBatch(k.timely(), k.engine, k.topic, numbered(n)); err != nil {
		k.Fatal(err)
	}
	k.take(1, got)
	k.eventually("the hand is full", func() bool { return sub.Stats().InHand == 5 })
	closed := make(chan error, 1)
	go func() { closed <- sub.Close(k.timely()) }()
	k.eventually("it is closing", func() bool { return sub.Stats().InHand == 1 })
	again, _ := k.group("g", nil, durable.WithWorkers(2))
	numbers := k.take(n-1, again)
	slices.Sort(numbers)
	k.wantSame("while a handler of a closing subscription goes on", numbers, count(n)[1:])
	release()
	if err := <-closed; err != nil {
		k.Error(err)
	}
}

// closedAtAnyMoment has one subscription follow another while events are published:
// each is handled once.
func closedAtAnyMoment(k *kit) {
	const n = 100
	if err := durable.Declare(k.timely(), k.engine, k.topic.Name(), "g"); err != nil {
		k.Fatal(err)
	}
	published := make(chan error, 1)
	go func() {
		published <- together(2, func(half int) error {
			for i := half; i < n; i += 2 {
				if err := durable.Publish(k.timely(), k.engine, k.topic, order{Number: i}); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	var all []int
	for generation := 0; len(all) < n; generation++ {
		enough := int64(min(generation%5*2, n-len(all))) // with 0 it is closed while it waits, or before
		var begun atomic.Int64
		reached := make(chan struct{}, 1)
		got, sub := k.group("g", func(handled) error {
			if begun.Add(1) == enough {
				reached <- struct{}{}
			}
			time.Sleep(rand.N(time.Millisecond)) // others wait for a worker
			return nil
		}, durable.WithWorkers(2), durable.WithPrefetch(8))
		if enough > 0 {
			select {
			case <-reached:
			case <-time.After(patience):
				k.Fatalf("only %d of %d events came, and %d in a subscription for %d more", len(all), n, len(got), enough)
			}
		}
		k.close(sub)
		for len(got) > 0 {
			all = append(all, (<-got).Number)
		}
	}
	if err := <-published; err != nil {
		k.Fatal(err)
	}
	slices.Sort(all)
	k.wantSame("by all subscriptions together", all, count(n))
}

// receiveGivesUp ends the context of a Receive when there may be something to claim: then
// it has claimed nothing, or returns it.
func receiveGivesUp(k *kit) {
	const n = 32
	errEnough := errors.New("waited for long enough")
	r := k.receiveAs(durable.Consumer{Lease: time.Hour}) // what is lost does not come back
	var all []int
	take := func(deliveries []*durable.Delivery) {
		for _, d := range deliveries {
			all = append(all, k.numberOf(d))
			k.settle(r, durable.Settlement{Delivery: d})
		}
	}
	for i := range n {
		ctx, stop := context.WithCancelCause(k.timely())
		published := make(chan error, 1)
		go func() {
			if i%4 == 0 {
				time.AfterFunc(rand.N(5*time.Millisecond), func() { stop(errEnough) })
			}
			published <- durable.Publish(k.timely(), k.engine, k.topic, order{Number: i}, durable.WithID(fmt.Sprint(i)))
			time.Sleep(rand.N(200*time.Microsecond) * time.Duration(i%4)) // now it may be claimed
			stop(errEnough)
		}()
		for {
			got, err := r.Receive(ctx, 5)
			if err != nil && (len(got) > 0 || !errors.Is(err, errEnough)) {
				k.Fatalf("Receive returned %d deliveries and %v, want the cause of its context", len(got), err)
			}
			take(got)
			if err != nil {
				break
			}
		}
		if err := <-published; err != nil {
			k.Fatal(err)
		}
	}
	for len(all) < n {
		take(k.claim(r, 5))
	}
	slices.Sort(all)
	k.wantSame("around calls that gave up", all, count(n))
}
