package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

const (
	lanes = 3 // goroutines of a publisher
	keys  = 3 // of each of them
)

// lane is a goroutine of a publisher. Its keys are its own, and it publishes one thing
// after the other, so the order of its calls is that of the numbers.
type lane struct {
	*actor
	number     int
	random     *rand.Rand
	keys       [keys]string
	next       [keys]int
	generation int
}

// publish publishes until ctx is done.
func (a *actor) publish(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for i := range lanes {
		l := &lane{actor: a, number: i, random: rand.New(rand.NewPCG(a.Seed, uint64(i+2)))}
		for k := range keys {
			l.renew(k)
		}
		running.Go(func() { l.run(ctx) })
	}
	return nil
}

// renew gives up a key for a new one. What became of a publish that failed is not known
// until much later, so nothing may follow it.
func (l *lane) renew(k int) {
	l.generation++
	l.keys[k], l.next[k] = fmt.Sprintf("%s-%d-%d", l.Name, l.number, l.generation), 0
}

func (l *lane) run(ctx context.Context) {
	ways := []func(context.Context, int) error{l.one, l.one, l.batch, l.delayed, l.transact, l.transact}
	switch {
	case engineOf(l.Engine).broker:
		ways = ways[:3]
	case l.Stubborn:
		ways = ways[4:]
	}
	for ctx.Err() == nil {
		k := l.random.IntN(keys)
		// The end of ctx does not cut a call short, as it does not in a service that drains.
		calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		if err := ways[l.random.IntN(len(ways))](calling, k); err != nil {
			l.complain("", err)
			for k := range keys {
				l.renew(k)
			}
		}
		cancel()
		time.Sleep(time.Duration(l.random.Int64N(int64(2*l.Pause) + 1)))
	}
}

// intend notes an event that is about to be published.
func (l *lane) intend(k int, f fate) Event {
	l.next[k]++
	if f == isPlain && l.random.IntN(12) == 0 {
		unlucky := []fate{failsTwice, failsTwice, asksLater, asksLater, panics, isRefused, isHopeless}
		f = unlucky[l.random.IntN(len(unlucky))]
	}
	e := Event{l.keys[k], l.next[k], f}
	l.note(isIntended, e)
	return e
}

func (l *lane) note(k kind, events ...Event) {
	entries := make([]entry, len(events))
	for i, e := range events {
		entries[i] = entry{Kind: k, Key: e.Key, Number: e.Number, Note: string(e.Fate)}
	}
	l.ledger.write(entries...)
}

// noteIf notes that events are stored if err is nil, and returns err.
func (l *lane) noteIf(err error, events ...Event) error {
	if err == nil {
		l.note(isStored, events...)
	}
	return err
}

func (l *lane) one(ctx context.Context, k int) error {
	e := l.intend(k, isPlain)
	return l.noteIf(durable.Publish(ctx, l.store, topic, e, durable.WithKey(e.Key)), e)
}

func (l *lane) delayed(ctx context.Context, k int) error {
	e := l.intend(k, isDelayed)
	delay := time.Duration(l.random.Int64N(int64(2 * l.Lease)))
	return l.noteIf(durable.Publish(ctx, l.store, topic, e, durable.WithKey(e.Key), durable.WithDelay(delay)), e)
}

func (l *lane) batch(ctx context.Context, k int) error {
	events := make([]Event, 2+l.random.IntN(24))
	for i := range events {
		events[i] = l.intend(k, isPlain)
	}
	return l.noteIf(durable.PublishBatch(ctx, l.store, topic, events, durable.WithKey(events[0].Key)), events...)
}

// transact publishes in a transaction that stays open for a while and is, now and then,
// rolled back.
func (l *lane) transact(ctx context.Context, _ int) error {
	tx, err := l.store.(transactor).begin(ctx)
	if err != nil {
		return err
	}
	var events []Event
	for range 1 + l.random.IntN(5) {
		e := l.intend(l.random.IntN(keys), isPlain)
		if err := durable.Publish(ctx, tx, topic, e, durable.WithKey(e.Key)); err != nil {
			_ = tx.rollback(ctx) // of no effect on what is known
			return err
		}
		events = append(events, e)
	}
	switch {
	case l.Stubborn:
		time.Sleep(l.Hold)
	case l.random.IntN(8) == 0:
		time.Sleep(time.Duration(l.random.Int64N(int64(l.Hold) + 1)))
	}
	if l.random.IntN(3) > 0 {
		return l.noteIf(tx.commit(ctx), events...)
	}
	if err := tx.rollback(ctx); err != nil {
		return err
	}
	l.note(isUndone, events...)
	return nil
}
