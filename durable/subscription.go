package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/typedbus/events"
)

// Subscription is one process's share of a group.
//
// It has a goroutine that fetches deliveries, one that stores what has become of
// them and renews leases in the same calls, one that logs and reports that, one
// that watches over the leases, and the workers. Close ends and waits for all of
// them, but for one in which code of the user's goes on after Close has given up.
type Subscription struct {
	hand     hand
	receiver Receiver
	handle   func(context.Context, *Delivery) error
	counts   counts

	handling context.Context // of handlers, without their event
	cancel   context.CancelCauseFunc
	fetching context.Context
	stop     context.CancelFunc
	settling context.Context
	abandon  context.CancelFunc

	fetcher, workers, settler, teller, keeper sync.WaitGroup
	closed                                    chan struct{} // there is nothing left to watch over

	once   sync.Once
	giveUp context.CancelCauseFunc
	ending context.Context // done when a Close gives up
	done   chan struct{}
	err    error // set before done
}

// errClosing is the cause with which handlers are cancelled when Close gives up.
var errClosing = errors.New("durable: subscription is closed")

// lastWord is how long Close tries to give back what was not begun when its
// context is over.
const lastWord = 2 * time.Second

func newSubscription(ctx context.Context, chosen *subscribeOptions, features Features, receiver Receiver) *Subscription {
	s := &Subscription{receiver: receiver, closed: make(chan struct{}), done: make(chan struct{})}
	s.hand.init(chosen, features)
	s.handling, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.fetching, s.stop = context.WithCancel(context.Background())
	s.settling, s.abandon = context.WithCancel(context.Background())
	s.ending, s.giveUp = context.WithCancelCause(context.Background())
	return s
}

func (s *Subscription) start(handle func(context.Context, *Delivery) error) {
	s.handle = handle
	persist(&s.fetcher, s.fetch)
	persist(&s.settler, s.settle)
	persist(&s.teller, s.tell)
	persist(&s.keeper, s.keep)
	for range s.hand.workers {
		persist(&s.workers, s.work)
	}
}

// persist runs loop in a goroutine of the group, and once more if code of the user's
// has ended that.
func persist(group *sync.WaitGroup, loop func()) {
	group.Go(func() {
		over := false
		defer func() {
			if !over {
				persist(group, loop)
			}
		}()
		loop()
		over = true
	})
}

func (s *Subscription) options() *subscribeOptions { return s.hand.subscribeOptions }

// Topic returns the name of the topic.
func (s *Subscription) Topic() string { return s.options().consumer.Topic }

// Group returns the name of the group.
func (s *Subscription) Group() string { return s.options().consumer.Group }

// fetch claims deliveries for as long as there is room in hand.
func (s *Subscription) fetch() {
	s.fetchAll()
	s.hand.stopFetching()
}

func (s *Subscription) fetchAll() {
	var failing patience
	for {
		room := s.hand.room()
		if room == 0 {
			_, _ = s.receiver.Receive(s.fetching, 1) // which is over: so that it waits for nothing any more
			return
		}
		deliveries, err := s.receiver.Receive(s.fetching, room)
		s.hand.accept(deliveries)
		switch {
		case s.fetching.Err() != nil:
			return
		case errors.Is(err, ErrClosed):
			s.warn("durable: the engine is closed", err, &failing)
			return
		case err != nil:
			s.warn("durable: cannot fetch events", err, &failing)
			if !failing.wait(s.fetching) {
				return
			}
		default:
			failing = patience{}
		}
	}
}

// settle stores what has become of deliveries, many in one call.
func (s *Subscription) settle() {
	var failing patience
	for {
		settlements := s.hand.unsettled()
		if settlements == nil {
			return
		}
		inDoubt := false
		for {
			settlements = s.hand.worthwhile(append(settlements, s.hand.more()...))
			called := time.Now()
			lost, err := s.receiver.Settle(s.settling, settlements)
			if err == nil {
				failing = patience{}
				s.count(s.hand.stored(settlements, lost, called, inDoubt))
				break
			}
			if errors.Is(err, ErrClosed) {
				break // they come back when their lease runs out
			}
			inDoubt = true
			s.warn("durable: cannot store what has become of events", err, &failing)
			if !failing.wait(s.settling) {
				return // what is left comes back when its lease runs out
			}
		}
	}
}

// keep watches over the leases.
func (s *Subscription) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	third := s.options().consumer.Lease / 3
	renewed := time.Now()
	for {
		next := min(time.Until(renewed.Add(third)), time.Until(s.hand.earliest()))
		timer.Reset(max(next, third/64))
		select {
		case <-s.closed:
			return
		case <-timer.C:
		}
		s.hand.expire()
		if time.Since(renewed) >= third {
			renewed = time.Now()
			s.hand.renew()
		}
		for _, one := range s.hand.overdue() {
			s.log(slog.LevelWarn, "durable: handler goes on after its timeout", about(one.Delivery, "running", time.Since(one.began).Round(time.Millisecond))...)
		}
	}
}

// Close ends the subscription: no event is begun any more, those that were
// fetched only go back at once, with their attempt given back, and Close returns
// when the handlers at work have returned and their outcome is stored. The group
// stays, and gets what is stored meanwhile.
//
// When ctx is done first, the context of the handlers at work is cancelled, what
// was fetched is given back all the same, for which Close takes up to two seconds,
// and it returns an [*Error] that says how many handlers were at work, and wraps the
// cause of ctx. Their events come back when their lease runs out, if they do not
// return by then. A handler that fails because of it does not use up an attempt.
//
// Close may be called more than once, from anywhere, and all calls return the
// same; of several deadlines the first counts. Called with the context of a handler
// of its own that is at work it returns [events.ErrDeadlock] at once, and the
// subscription ends by itself.
func (s *Subscription) Close(ctx context.Context) error {
	s.once.Do(func() {
		s.stop() // first: it would fetch what is given back
		s.hand.close()
		go s.end()
	})
	if r, ok := ctx.Value(runningKey{}).(running); ok && r.by == s && s.hand.isAtWork(r.Delivery) {
		return &Error{"close, in a handler of its own,", s.Topic(), s.Group(), events.ErrDeadlock}
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		s.giveUp(context.Cause(ctx))
		<-s.done
	}
	return s.err
}

// end is the goroutine that ends the subscription.
func (s *Subscription) end() {
	defer close(s.done)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		s.workers.Wait()
	}()
	select {
	case <-idle:
	case <-s.ending.Done():
	}
	atWork := s.hand.atWork()
	s.keeper.Go(s.bound)
	select {
	case <-idle:
	case <-s.settling.Done():
	}
	s.fetcher.Wait()
	s.hand.stopSettling()
	s.settler.Wait()
	s.hand.stopTelling()
	told := make(chan struct{})
	go func() {
		defer close(told)
		s.teller.Wait()
	}()
	select {
	case <-told:
	case <-s.settling.Done():
	}
	close(s.closed)
	s.keeper.Wait()
	s.cancel(errClosing)
	err := s.receiver.Close()
	if left := s.hand.inHand(); atWork+left > 0 {
		cause := context.Cause(s.ending)
		if cause == nil {
			cause = ErrClosed // the engine is
		}
		err = errors.Join(fmt.Errorf("%d handlers at work, %d events to come back when their lease runs out: %w", atWork, left, cause), err)
	}
	if err != nil {
		s.err = &Error{"close", s.Topic(), s.Group(), err}
	}
}

// bound cancels the handlers when Close gives up, and what is left a while later.
func (s *Subscription) bound() {
	select {
	case <-s.closed:
		return
	case <-s.ending.Done():
		s.cancel(errClosing)
	}
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closed:
	}
	s.abandon()
}
