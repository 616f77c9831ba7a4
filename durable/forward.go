package durable

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Relay hands the events of an engine on to another publisher, until it is closed.
type Relay struct {
	to        Publisher
	group     string
	receiving context.Context // ends with Close
	stop      context.CancelFunc
	sending   context.Context // ends when Close gives up
	abandon   context.CancelCauseFunc
	flows     sync.WaitGroup
	receivers []Receiver
	forwarded atomic.Uint64

	once sync.Once
	done chan struct{}
	err  error // set before done
}

const (
	forwardBatch   = 100
	longestSetback = time.Minute
)

// Forward has a group of the source hand the events of topics on to another
// publisher, as a broker, with the ids that they have: from the outbox in a
// database to where others listen. An event is settled when the destination has
// it, so it may come there twice, and is never lost. Where the source can, the
// order of keys is kept: a key stops at its first failure until that is mended.
//
// No event is given up because the destination fails. While it does, one event at a
// time is tried, ever more seldom, and the failure is logged with [slog.Default].
//
// ctx bounds the call. Forward returns an [*Error] that names the topic.
func Forward(ctx context.Context, source Engine, to Publisher, group string, topics ...string) (*Relay, error) {
	r := &Relay{to: to, group: group, done: make(chan struct{})}
	r.receiving, r.stop = context.WithCancel(context.Background())
	r.sending, r.abandon = context.WithCancelCause(context.Background())
	if err := r.open(ctx, source, topics); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	featured, ok := to.(interface{ Features() Features })
	for i, receiver := range r.receivers {
		f := &flow{Relay: r, topic: topics[i], receiver: receiver, features: source.Features(), most: forwardBatch}
		f.atomic = ok && featured.Features().AtomicBatch
		persist(&r.flows, f.run)
	}
	return r, nil
}

func (r *Relay) open(ctx context.Context, source Engine, topics []string) error {
	if r.to == nil || len(topics) == 0 {
		return &Error{"forward", "", r.group, errors.New("want a publisher and a topic")}
	}
	for _, topic := range topics {
		receiver, err := r.openOne(ctx, source, Consumer{Topic: topic, Group: r.group, Lease: defaultLease, MaxInFlight: forwardBatch})
		if err != nil {
			return &Error{"forward", topic, r.group, err}
		}
		r.receivers = append(r.receivers, receiver)
	}
	return nil
}

// openOne opens a group in the order of keys where the source can, or as it was
// declared.
func (r *Relay) openOne(ctx context.Context, source Engine, c Consumer) (Receiver, error) {
	if err := checkGroup(source, &c); err != nil {
		return nil, err
	}
	c.OrderByKey = source.Features().OrderByKey
	receiver, err := source.Open(ctx, c)
	if errors.Is(err, ErrGroupConflict) {
		c.OrderByKey = false
		receiver, err = source.Open(ctx, c)
	}
	return receiver, err
}

// Forwarded returns how many events the destination has got.
func (r *Relay) Forwarded() uint64 { return r.forwarded.Load() }

// Close ends the relay when what is under way has arrived. When ctx is done first, the
// context of the destination's Publish is cancelled, and two seconds later Close
// returns with the cause of ctx, whatever the destination does: what was under way is
// then sent once more by whoever forwards next. It may be called more than once, and
// all calls return the same.
func (r *Relay) Close(ctx context.Context) error {
	r.once.Do(func() {
		r.stop()
		go r.end()
	})
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abandon(context.Cause(ctx))
		<-r.done
	}
	return r.err
}

// end is the goroutine that ends the relay.
func (r *Relay) end() {
	defer close(r.done)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		r.flows.Wait()
	}()
	select {
	case <-idle:
	case <-r.sending.Done():
		timer := time.NewTimer(lastWord)
		defer timer.Stop()
		select {
		case <-idle:
		case <-timer.C:
		}
	}
	errs := []error{context.Cause(r.sending)}
	for _, receiver := range r.receivers {
		errs = append(errs, receiver.Close())
	}
	r.err = errors.Join(errs...)
	r.abandon(nil)
}

// flow is the goroutine of one topic.
type flow struct {
	*Relay
	topic    string
	receiver Receiver
	features Features
	atomic   bool // the destination stores all messages of a call or none
	most     int  // how many deliveries to fetch: fewer after a failure
	failing  patience
}

func (f *flow) run() {
	for {
		deliveries, err := f.receiver.Receive(f.receiving, f.most)
		if len(deliveries) > 0 {
			settlements, failed := f.send(deliveries)
			if _, unstored := f.receiver.Settle(f.sending, settlements); unstored != nil {
				failed = errors.Join(failed, unstored) // sent once more when the lease is over
			}
			err = failed
		}
		switch {
		case f.receiving.Err() != nil || errors.Is(err, ErrClosed) && len(deliveries) == 0:
			return
		case err == nil:
			f.failing, f.most = patience{}, min(f.most+f.most/8+1, forwardBatch)
			continue
		}
		f.most = max(1, len(deliveries)/2)
		if f.failing.isToWarn() {
			_ = guard(func() {
				slog.Default().Warn("durable: cannot forward events", "topic", f.topic, "group", f.group, "error", err)
			})
		}
		if !f.failing.wait(f.receiving) {
			return
		}
	}
}

// send publishes deliveries, and says what becomes of them. A key stops at its first
// failure. A destination that may store some messages and not others gets those of one
// key one after the other.
func (f *flow) send(deliveries []*Delivery) (settlements []Settlement, err error) {
	ctx, cancel := context.WithDeadline(f.sending, deliveries[0].Claimed.Add(defaultLease*2/3))
	defer cancel()
	stopped := make(map[string]bool)
	for rest := deliveries; len(rest) > 0; {
		var now, later []*Delivery
		inCall := make(map[string]bool)
		for _, d := range rest {
			switch {
			case d.Key != "" && stopped[d.Key]:
				settlements = append(settlements, Settlement{Delivery: d, Outcome: OutcomeRelease})
			case d.Key != "" && inCall[d.Key] && !f.atomic:
				later = append(later, d)
			default:
				inCall[d.Key] = true
				now = append(now, d)
			}
		}
		if len(now) > 0 {
			failures, failed := f.publish(ctx, now)
			err = errors.Join(err, failed)
			for i, d := range now {
				settlements = append(settlements, f.settlement(d, failures[i], len(deliveries) == 1 || !f.atomic))
				stopped[d.Key] = stopped[d.Key] || failures[i] != nil
			}
		}
		rest = later
	}
	return settlements, err
}

// publish publishes deliveries in one call, and returns for each what it failed with.
func (f *flow) publish(ctx context.Context, deliveries []*Delivery) (failures []error, err error) {
	messages := make([]Message, len(deliveries))
	for i, d := range deliveries {
		messages[i] = d.Message
	}
	err = errUnspoken // of a destination that ends the goroutine
	if panicked := guard(func() { err = f.to.Publish(ctx, messages...) }); panicked != nil {
		err = panicked
	}
	if partly, ok := errors.AsType[*BatchError](err); ok && len(partly.Errs) == len(deliveries) {
		return partly.Errs, err
	}
	return slices.Repeat([]error{err}, len(deliveries)), err
}

// settlement says what becomes of a delivery. One that has failed by itself steps
// back, or one that can never arrive would hold up all.
func (f *flow) settlement(d *Delivery, err error, byItself bool) Settlement {
	switch {
	case err == nil:
		f.forwarded.Add(1)
		return Settlement{Delivery: d}
	case f.features.Delay && byItself:
		return Settlement{Delivery: d, Outcome: OutcomeRetry, After: setback(d.Attempt), Reason: err.Error()}
	}
	return Settlement{Delivery: d, Outcome: OutcomeRelease}
}

func setback(attempt int) time.Duration {
	return min(longestSetback, time.Second<<min(max(attempt-1, 0), 10))
}
