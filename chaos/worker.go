package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

const (
	workersOfGroup = 4
	backoffFirst   = 20 * time.Millisecond
	backoffMax     = 200 * time.Millisecond
)

// work handles events until ctx is done.
func (a *actor) work(ctx context.Context) (err error) {
	var subscriptions []*durable.Subscription
	for _, g := range engineOf(a.Engine).groups() {
		if len(a.Groups) > 0 && !slices.Contains(a.Groups, g.name) {
			continue
		}
		options := []durable.SubscribeOption{
			durable.WithWorkers(workersOfGroup), durable.WithPrefetch(a.Prefetch), durable.WithLease(a.Lease),
			durable.WithAttempts(a.Attempts), durable.WithBackoff(backoffFirst, backoffMax),
		}
		if g.ordered {
			options = append(options, durable.WithOrderByKey())
		}
		err = a.insist(ctx, g.name, func() error {
			s, err := durable.Subscribe(ctx, a.store, topic, g.name, a.handler(g), options...)
			if err == nil {
				subscriptions = append(subscriptions, s)
			}
			return err
		})
		if err != nil {
			break
		}
	}
	if err == nil {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil // it was asked to end, perhaps before it has begun
	}
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if a.Careless {
		closing = ctx
	}
	for _, s := range subscriptions {
		a.complain(s.Group(), s.Close(closing))
	}
	return err
}

// handler returns what handles the events of a group.
func (a *actor) handler(g group) func(context.Context, Event) error {
	return func(ctx context.Context, e Event) error {
		began := now()
		d := durable.FromContext(ctx)
		r := entry{Kind: isBegun, At: began, Group: g.name, Key: e.Key, Number: e.Number, Attempt: d.Attempt, Since: began - int64(time.Since(d.Claimed))}
		a.ledger.write(r)
		r.Kind, r.Since = isEnded, began
		if e.Fate == isKiller && g.fateful {
			a.ledger.write(entry{Kind: isSlain})
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it has come
		}
		r.At, r.Note = a.spend(ctx, began, a.length())
		err := errors.New(r.Note)
		panicking := false
		if r.Note == outcomeOK {
			err = nil
			if g.fateful {
				err, panicking = meet(e.Fate, d.Attempt)
			}
			switch {
			case events.IsPermanent(err):
				r.Note = outcomeRefused
			case err != nil || panicking:
				r.Note = outcomeFailed
			}
		}
		a.ledger.write(r)
		if panicking {
			panic("fate")
		}
		return err
	}
}

// meet returns what a handler makes of an event of a fate.
func meet(f fate, attempt int) (err error, panicking bool) { //nolint:revive // the error is what it is about
	switch {
	case f == isHopeless, f == failsTwice && attempt <= 2:
		return errors.New("fate"), false
	case f == asksLater && attempt == 1:
		return durable.RetryAfter(errors.New("fate"), 100*time.Millisecond), false
	case f == isRefused:
		return events.Permanent(errors.New("fate")), false
	}
	return nil, f == panics && attempt == 1
}

// length returns how long a handler is at work.
func (a *actor) length() time.Duration {
	if a.Long > 0 && rand.IntN(400) == 0 {
		return a.Long
	}
	return rand.N(a.Length)
}

const (
	slice = 5 * time.Millisecond
	grace = 250 * time.Millisecond
)

// spend is the work of a handler, and returns when and how it has ended. It looks at its
// context as an honest handler does, again and again, and before it has an effect. After
// it was held up itself, so was what cancels its context, which gets a moment to do so.
func (a *actor) spend(ctx context.Context, began int64, length time.Duration) (ended int64, outcome string) {
	timer := time.NewTimer(min(slice, length))
	defer timer.Stop()
	last := began
	for first := true; ; first = false {
		wait(ctx, timer)
		at := now()
		if at-last > int64(a.Lease/2) {
			timer.Reset(grace)
			wait(ctx, timer)
			at = now()
		}
		last = at
		switch {
		case errors.Is(context.Cause(ctx), durable.ErrLeaseLost) && first:
			return at, outcomeVoid
		case errors.Is(context.Cause(ctx), durable.ErrLeaseLost):
			return at, outcomeLost
		case ctx.Err() != nil:
			return at, outcomeClosing
		case at-began >= int64(length):
			return at, outcomeOK
		}
		timer.Reset(slice)
	}
}

func wait(ctx context.Context, timer *time.Timer) {
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
