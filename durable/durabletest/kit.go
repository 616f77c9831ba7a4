package durabletest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// order is the payload of the suite.
type order struct {
	Number int
	Note   string
}

// kit is what a case works with.
type kit struct {
	*testing.T
	engine   durable.Engine
	features durable.Features
	topic    *events.Topic[order]
}

// patience is how long a case waits for what must happen.
const patience = 30 * time.Second

// shortLease is one that a case waits for.
const shortLease = 500 * time.Millisecond

// timely returns a context that ends when the case has no more patience.
func (k *kit) timely() context.Context {
	ctx, cancel := context.WithTimeout(k.Context(), patience)
	k.Cleanup(cancel)
	return ctx
}

func (k *kit) publish(numbers ...int) {
	k.Helper()
	for _, number := range numbers {
		k.publishWith(number)
	}
}

func (k *kit) publishWith(number int, options ...durable.PublishOption) {
	k.Helper()
	if err := durable.Publish(k.timely(), k.engine, k.topic, order{Number: number}, options...); err != nil {
		k.Fatal(err)
	}
}

// handled is what a handler of a case got.
type handled struct {
	order
	durable.Delivery
	ctx context.Context
	at  time.Time
}

// group subscribes a group, whose handler reports what it got and returns what
// verdict says. It is closed at the end of the case.
func (k *kit) group(name string, verdict func(handled) error, options ...durable.SubscribeOption) (<-chan handled, *durable.Subscription) {
	k.Helper()
	got := make(chan handled, 10_000)
	options = append([]durable.SubscribeOption{durable.WithLogger(slog.New(slog.DiscardHandler))}, options...)
	sub, err := durable.Subscribe(k.timely(), k.engine, k.topic, name, func(ctx context.Context, o order) error {
		h := handled{o, *durable.FromContext(ctx), ctx, time.Now()}
		got <- h
		if verdict == nil {
			return nil
		}
		return verdict(h)
	}, options...)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(k.Context()), 5*time.Second)
		defer cancel()
		_ = sub.Close(ctx) // of a case that has failed, a handler may be at work for good
	})
	return got, sub
}

func (k *kit) close(sub *durable.Subscription) {
	k.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.Context()), patience)
	defer cancel()
	if err := sub.Close(ctx); err != nil {
		k.Error(err)
	}
}

// receive opens group g as an engine's receiver, which is closed at the end.
func (k *kit) receive() durable.Receiver {
	k.Helper()
	return k.receiveAs(durable.Consumer{Lease: shortLease})
}

// receiveAs is receive for a group in the order of keys, or with another lease.
func (k *kit) receiveAs(c durable.Consumer) durable.Receiver {
	k.Helper()
	c.Topic, c.Group, c.MaxInFlight = k.topic.Name(), "g", 100
	r, err := k.engine.Open(k.timely(), c)
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { _ = r.Close() })
	return r
}

func (k *kit) claim(r durable.Receiver, max int) []*durable.Delivery {
	k.Helper()
	got, err := r.Receive(k.timely(), max)
	if err != nil {
		k.Fatal(err)
	}
	return got
}

// claimAll claims n deliveries and more than one at a time, if the engine does.
func (k *kit) claimAll(r durable.Receiver, n int) (claimed []*durable.Delivery) {
	k.Helper()
	for len(claimed) < n {
		claimed = append(claimed, k.claim(r, n-len(claimed))...)
	}
	return claimed
}

// claimAtOnce claims what there is, without patience for more.
func (k *kit) claimAtOnce(r durable.Receiver, max int, wait time.Duration) []*durable.Delivery {
	k.Helper()
	ctx, cancel := context.WithTimeout(k.Context(), wait)
	defer cancel()
	got, err := r.Receive(ctx, max)
	switch {
	case err == nil:
		return got
	case !errors.Is(err, context.DeadlineExceeded):
		k.Fatal(err)
	case len(got) > 0:
		k.Fatalf("Receive returned %d deliveries and %v", len(got), err)
	}
	return nil
}

// settle settles one delivery and reports whether it was lost.
func (k *kit) settle(r durable.Receiver, s durable.Settlement) (lost bool) {
	k.Helper()
	indices, err := r.Settle(k.timely(), []durable.Settlement{s})
	if err != nil {
		k.Fatal(err)
	}
	return len(indices) > 0
}

// next returns what a handler gets next.
func (k *kit) next(got <-chan handled) handled {
	k.Helper()
	select {
	case h := <-got:
		return h
	case <-time.After(patience):
		k.Fatal("no event came")
	}
	panic("unreachable")
}

// take returns the numbers of what a handler gets next.
func (k *kit) take(n int, got <-chan handled) (numbers []int) {
	k.Helper()
	for range n {
		numbers = append(numbers, k.next(got).Number)
	}
	return numbers
}

func (k *kit) wantSame(what string, got, want []int) {
	k.Helper()
	if !slices.Equal(got, want) {
		k.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// eventually waits until a condition holds.
func (k *kit) eventually(what string, condition func() bool) {
	k.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			k.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// dead returns the dead letters of group g, once there are n.
func (k *kit) dead(n int) (letters durable.DeadLetters, list []durable.DeadLetter) {
	k.Helper()
	letters, err := durable.DeadLettersOf(k.engine)
	if err != nil {
		k.Fatal(err)
	}
	k.eventually(fmt.Sprintf("%d dead letters", n), func() bool {
		list, err = letters.List(k.timely(), k.topic.Name(), "g", "", 100)
		if err != nil {
			k.Fatal(err)
		}
		return len(list) == n
	})
	return letters, list
}

// together runs f for 0 to n-1 at once, and waits for all.
func together(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// together is the same for what must not fail.
func (k *kit) together(n int, f func(i int) error) {
	k.Helper()
	if err := together(n, f); err != nil {
		k.Fatal(err)
	}
}

// numberOf returns the number of a delivery that was published with it as its id.
func (k *kit) numberOf(d *durable.Delivery) int {
	k.Helper()
	number, err := strconv.Atoi(d.ID)
	if err != nil {
		k.Fatal(err)
	}
	return number
}

// extension returns the engine, or one that it decorates, as one with a method that not
// every engine has, and skips the case if it has none.
func extension[E any](k *kit, method string) E {
	k.Helper()
	for e := k.engine; e != nil; {
		if found, ok := e.(E); ok {
			return found
		}
		decorator, ok := e.(interface{ Unwrap() durable.Engine })
		if !ok {
			break
		}
		e = decorator.Unwrap()
	}
	k.Skipf("%T has no method %s", k.engine, method)
	panic("unreachable")
}

func count(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

// numbered returns n payloads, from number 0 on.
func numbered(n int) []order {
	payloads := make([]order, n)
	for i := range payloads {
		payloads[i].Number = i
	}
	return payloads
}
