package eventsnats

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
)

// receiver is one process's share of a group.
//
// It asks the server for messages by a pull request, one at a time, whose answers come to an
// inbox: the goroutine of that subscription puts them into arrived, and Receive takes them
// from there. Requests are made by hand, and not by the client's Fetch, because of what is
// under way when a wait is given up: Fetch forgets it, and it would come back when its lease
// is over. Here the inbox is drained: the server forgets the request, and what it had sent
// before is given back.
//
// A message was claimed after its request was sent. Nothing in it says which that was, so an
// inbox is used again only when all of its request was answered.
type receiver struct {
	engine *Engine
	durable.Consumer
	names   subjects
	next    string                   // the subject of requests for messages
	config  jetstream.ConsumerConfig // of its consumer
	made    time.Time                // and when that was made
	changed chan struct{}            // has a token when something below has changed

	// Of the goroutine that calls Receive, and then of that which calls Close.
	inbox   *inbox   // or nil
	drained []*inbox // to which something may still come

	mu      sync.Mutex
	arrived []arrival // guarded by mu
	failure error     // for the next Receive; guarded by mu
	lost    bool      // the connection is another one; guarded by mu
}

// arrival is a message that has come.
type arrival struct {
	message *nats.Msg
	place   place
	asked   time.Time // before its request was sent
}

// lastWord is how long a receiver takes to give back what has arrived.
const lastWord = 2 * time.Second

func (e *Engine) newReceiver(c durable.Consumer, names subjects, config jetstream.ConsumerConfig, made time.Time) (*receiver, error) {
	r := &receiver{
		engine: e, Consumer: c, names: names, config: config, made: made, changed: make(chan struct{}, 1),
		next: e.api + "CONSUMER.MSG.NEXT." + e.stream + "." + names.consumer,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, durable.ErrClosed
	}
	e.receivers[r] = struct{}{}
	return r, nil
}

func (r *receiver) Receive(ctx context.Context, max int) ([]*durable.Delivery, error) {
	for {
		if r.engine.isClosed() {
			return nil, durable.ErrClosed
		}
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), r.giveBack())
		}
		if deliveries := r.take(max); len(deliveries) > 0 {
			return deliveries, nil
		}
		err := r.failed()
		if errors.Is(err, nats.ErrNoResponders) {
			err = r.missing(ctx)
		}
		if err != nil {
			return nil, err
		}
		wait, err := r.ask(max)
		if err != nil {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.changed:
		case <-r.engine.done:
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take returns what has arrived, up to max. What was on its way for most of its lease is left
// to the server, which hands it out again.
func (r *receiver) take(max int) (deliveries []*durable.Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.arrived) > 0 && len(deliveries) < max {
		next := r.arrived[0]
		r.arrived[0] = arrival{}
		r.arrived = r.arrived[1:]
		if time.Since(next.asked) < r.Lease*3/4 {
			deliveries = append(deliveries, r.delivery(next))
		}
	}
	return deliveries
}

// failed returns what has gone wrong, once.
func (r *receiver) failed() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	err, r.failure = r.failure, nil
	return err
}

// missing says why nobody has answered a request.
func (r *receiver) missing(ctx context.Context) error {
	_, err := r.engine.js.Consumer(ctx, r.engine.stream, r.names.consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return unknownGroup(r.Topic, r.Group)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		err = nats.ErrNoResponders
	}
	return r.engine.explain(ctx, r.engine.stream, nil, err)
}

// delivery returns what has arrived as a delivery.
func (r *receiver) delivery(a arrival) *durable.Delivery {
	before, _ := strconv.Atoi(a.message.Header.Get(attempts)) // it has none if it was never given back
	return &durable.Delivery{
		Message: r.engine.decode(r.Topic, a.place.sequence, a.place.stored, a.message.Header, a.message.Data),
		Group:   r.Group,
		Attempt: before + a.place.attempt,
		Claimed: a.asked,
		Ref:     strconv.FormatUint(a.place.sequence, 10),
		Lease:   lease{a.message, a.place},
	}
}

// Close gives back what has arrived and was not received.
func (r *receiver) Close() error {
	r.engine.mu.Lock()
	_, open := r.engine.receivers[r]
	delete(r.engine.receivers, r)
	r.engine.mu.Unlock()
	if !open {
		return nil
	}
	return r.giveBack()
}

// giveBack ends what was asked for, and gives back what comes all the same. For both it has
// two seconds.
func (r *receiver) giveBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	errs := []error{r.drain()}
	for _, in := range r.drained {
		select {
		case <-in.ended:
		case <-ctx.Done():
		}
	}
	var releases []durable.Settlement
	for _, d := range r.take(math.MaxInt) {
		releases = append(releases, durable.Settlement{Delivery: d, Outcome: durable.OutcomeRelease})
	}
	if len(releases) > 0 && !r.engine.isClosed() {
		_, err := r.settle(ctx, releases)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
