package durable

import (
	"context"
	"errors"
	"log/slog"
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
	for i, receiver := range r.receivers {
		f := &flow{Relay: r, topic: topics[i], receiver: receiver, features: source.Features()}
		r.flows.Go(f.run)
	}
	return r, nil
}

func (r *Relay) open(ctx context.Context, source Engine, topics []string) error {
	if r.to == nil || len(topics) == 0 {
		return errors.New("durable: Forward: want a publisher and a topic")
	}
	for _, topic := range topics {
		c := Consumer{Topic: topic, Group: r.group, Lease: defaultLease, MaxInFlight: forwardBatch}
		err := checkGroup(source, &c)
		if err == nil {
			c.OrderByKey = source.Features().OrderByKey
			var receiver Receiver
			if receiver, err = source.Open(ctx, c); err == nil {
				r.receivers = append(r.receivers, receiver)
			}
		}
		if err != nil {
			return &Error{"forward", topic, r.group, err}
		}
	}
	return nil
}

// Forwarded returns how many events the destination has got.
func (r *Relay) Forwarded() uint64 { return r.forwarded.Load() }

// Close ends the relay when what is under way has arrived, or with the cause of ctx
// when that is done first: what was under way is then sent once more by whoever
// forwards next. It may be called more than once, and all calls return the same.
func (r *Relay) Close(ctx context.Context) error {
	r.once.Do(func() {
		r.stop()
		go func() {
			defer close(r.done)
			r.flows.Wait()
			errs := []error{context.Cause(r.sending)}
			for _, receiver := range r.receivers {
				errs = append(errs, receiver.Close())
			}
			r.err = errors.Join(errs...)
			r.abandon(nil)
		}()
	})
	select {
	case <-r.done:
	case <-ctx.Done():
		r.abandon(context.Cause(ctx))
		<-r.done
	}
	return r.err
}

// flow is the goroutine of one topic.
type flow struct {
	*Relay
	topic    string
	receiver Receiver
	features Features
	failing  patience
}

func (f *flow) run() {
	for {
		most := forwardBatch
		if f.failing.tries > 0 {
			most = 1
		}
		deliveries, err := f.receiver.Receive(f.receiving, most)
		if len(deliveries) > 0 {
			settlements, failed := f.send(deliveries)
			if _, unstored := f.receiver.Settle(f.sending, settlements); unstored != nil {
				failed = errors.Join(failed, unstored) // sent once more when the lease is over
			}
			err = failed
		}
		switch {
		case f.receiving.Err() != nil:
			return
		case err == nil:
			f.failing = patience{}
			continue
		case f.failing.isToWarn():
			slog.Default().Warn("durable: cannot forward events", "topic", f.topic, "group", f.group, "error", err)
		}
		if !f.failing.wait(f.receiving) {
			return
		}
	}
}

// send publishes deliveries, and says what becomes of them. A key stops at its
// first failure.
func (f *flow) send(deliveries []*Delivery) (settlements []Settlement, err error) {
	messages := make([]Message, len(deliveries))
	for i, d := range deliveries {
		messages[i] = d.Message
	}
	ctx, cancel := context.WithDeadline(f.sending, deliveries[0].Claimed.Add(defaultLease*2/3))
	defer cancel()
	err = f.to.Publish(ctx, messages...)
	partly, isPartly := errors.AsType[*BatchError](err)
	stopped := make(map[string]bool)
	for i, d := range deliveries {
		settlement := Settlement{Delivery: d}
		failed := err != nil
		if isPartly && len(partly.Errs) == len(deliveries) {
			failed = partly.Errs[i] != nil
		}
		switch {
		case !failed && (d.Key == "" || !stopped[d.Key]):
			f.forwarded.Add(1)
		case f.features.Delay && (len(deliveries) == 1 || isPartly && failed):
			// It steps back, or one that can never arrive would hold up all.
			settlement.Outcome, settlement.After, settlement.Reason = OutcomeRetry, setback(d.Attempt), err.Error()
		default:
			settlement.Outcome = OutcomeRelease
		}
		stopped[d.Key] = stopped[d.Key] || failed
		settlements = append(settlements, settlement)
	}
	return settlements, err
}

func setback(attempt int) time.Duration {
	return min(longestSetback, time.Second<<min(max(attempt-1, 0), 10))
}
