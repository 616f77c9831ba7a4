package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

// expectation is a check of a scenario without a ledger, which says what it has seen.
type expectation struct{ result }

const checkExpected = "expected"

func (x *expectation) expect(ok bool, format string, arguments ...any) {
	if !ok {
		x.violations = append(x.violations, violation{checkExpected, "", fmt.Sprintf(format, arguments...)})
	}
}

// await waits for a condition.
func (x *expectation) await(within time.Duration, condition func() bool, what string) {
	for deadline := time.Now().Add(within); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.expect(false, "not within %v: %s", within, what)
			return
		}
	}
}

// on opens a store of the stage's database for the time of a function.
func (s *stage) on(ctx context.Context, do func(store) error) error {
	opened, err := s.engine.open(ctx, s.address)
	if err != nil {
		return err
	}
	err = do(opened)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return errors.Join(err, opened.shut(closing))
}

// record is what handlers have seen.
type record struct {
	mu      sync.Mutex
	numbers []int
	retried int // with an attempt that is not the first
}

func (r *record) note(ctx context.Context, e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbers = append(r.numbers, e.Number)
	if d := durable.FromContext(ctx); d != nil && d.Attempt > 1 {
		r.retried++
	}
}

func (r *record) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.numbers)
}

func numbered(n int) []Event {
	list := make([]Event, n)
	for i := range list {
		list[i] = Event{Key: "key", Number: i + 1, Fate: isPlain}
	}
	return list
}

// closeOver calls Close with a context that is over: the handlers at work are cancelled,
// and all that was in hand is to be had at once, although its leases have long to go.
func closeOver(ctx context.Context, s *stage) (result, error) {
	const all, workers = 40, 2
	var x expectation
	err := s.on(ctx, func(st store) error {
		begun := make(chan struct{}, all)
		first, err := durable.Subscribe(ctx, st, topic, "group", func(ctx context.Context, _ Event) error {
			begun <- struct{}{}
			<-ctx.Done()
			return context.Cause(ctx)
		}, durable.WithWorkers(workers), durable.WithPrefetch(all), durable.WithLease(time.Minute))
		if err != nil {
			return err
		}
		if err := durable.PublishBatch(ctx, st, topic, numbered(all)); err != nil {
			return errors.Join(err, first.Close(ctx))
		}
		for range workers {
			<-begun
		}
		x.await(patience, func() bool { return first.Stats().InHand > workers }, "something is fetched ahead")
		over, cancel := context.WithCancel(ctx)
		cancel()
		called := time.Now()
		err = first.Close(over)
		took := time.Since(called)
		x.expect(took < 3*time.Second, "Close took %v", took)
		x.expect(errors.Is(err, context.Canceled), "Close returned %v, want the cause of its context", err)
		x.expect(err != nil && strings.Contains(err.Error(), fmt.Sprintf("%d handlers at work", workers)), "Close returned %v, want how many handlers were at work", err)

		var seen record
		second, err := durable.Subscribe(ctx, st, topic, "group", func(ctx context.Context, e Event) error {
			seen.note(ctx, e)
			return nil
		}, durable.WithWorkers(workers))
		if err != nil {
			return err
		}
		x.await(patience, func() bool { return seen.len() == all }, "all events come back before their lease is over")
		x.expect(seen.retried == 0, "%d events have lost an attempt", seen.retried)
		return second.Close(ctx)
	})
	return x.result, err
}

// conflict opens a group with and without order at the same time: one of them gets it, and
// the other is told.
func conflict(ctx context.Context, s *stage) (result, error) {
	var x expectation
	err := s.on(ctx, func(one store) error {
		return s.on(ctx, func(other store) error {
			for i := range 20 {
				group := fmt.Sprintf("group-%d", i)
				var errs [2]error
				var both sync.WaitGroup
				both.Go(func() { errs[0] = durable.Declare(ctx, one, topic.Name(), group, durable.WithOrderByKey()) })
				both.Go(func() { errs[1] = durable.Declare(ctx, other, topic.Name(), group) })
				both.Wait()
				x.expect((errs[0] == nil) != (errs[1] == nil), "%s: both or none have it: %v, %v", group, errs[0], errs[1])
				err := errors.Join(errs[:]...)
				x.expect(errors.Is(err, durable.ErrGroupConflict), "%s: %v, want ErrGroupConflict", group, err)
				x.expect(err != nil && strings.Contains(err.Error(), "true") && strings.Contains(err.Error(), "false"), "%s: %v, want both orders named", group, err)
			}
			return nil
		})
	})
	return x.result, err
}

// away is a destination that cannot be reached for a while.
type away struct {
	record
	until time.Time
	tries int
}

func (a *away) Publish(ctx context.Context, messages ...durable.Message) error {
	if time.Now().Before(a.until) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.tries++
		return errors.New("nobody is there")
	}
	for i := range messages {
		e, err := eventOf(&messages[i])
		if err != nil {
			return err
		}
		a.note(ctx, e)
	}
	return nil
}

// forwardAway has a relay whose destination is away: nothing is given up, and everything
// arrives in the order of its key, once.
func forwardAway(ctx context.Context, s *stage) (result, error) {
	const all, group = 60, "relay"
	var x expectation
	err := s.on(ctx, func(st store) error {
		to := &away{until: time.Now().Add(4 * time.Second)}
		relay, err := durable.Forward(ctx, st, to, group, topic.Name())
		if err != nil {
			return err
		}
		err = durable.PublishBatch(ctx, st, topic, numbered(all), durable.WithKey("key"))
		isOrdered := st.Features().OrderByKey
		x.await(patience, func() bool { return to.len() >= all }, "all events arrive")
		x.expect(to.tries > 1, "the destination was tried %d times while it was away", to.tries)
		for i, number := range to.numbers {
			x.expect(number == i+1 || !isOrdered, "number %d has arrived as %d", number, i+1)
		}
		dead, failed := st.DeadLetters().List(ctx, topic.Name(), group, "", all)
		x.expect(len(dead) == 0, "%d events were given up", len(dead))
		return errors.Join(err, failed, relay.Close(ctx))
	})
	return x.result, err
}
