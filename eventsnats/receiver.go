package eventsnats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
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
// before is in arrived, for the next Receive or for Close, which gives it back.
//
// A message was claimed after its request was sent. Nothing in it says which that was, so an
// inbox is used again only when all of its request was answered.
type receiver struct {
	engine *Engine
	durable.Consumer
	names   subjects
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

// inbox is where answers to requests come to.
type inbox struct {
	subject string
	sub     *nats.Subscription
	ended   chan struct{} // closed when nothing will come any more

	// Of the last request, guarded by the lock of the receiver.
	asked time.Time // before it was sent
	until time.Time // when the server forgets it
	left  int       // how many may come
}

// arrival is a message that has come.
type arrival struct {
	message *nats.Msg
	place   place
	asked   time.Time // before its request was sent
}

const (
	longestPull = 5 * time.Second
	grace       = 2 * time.Second // for an answer that is on its way
	lastWord    = 2 * time.Second // of Close
)

func (e *Engine) newReceiver(c durable.Consumer, names subjects, config jetstream.ConsumerConfig, made time.Time) (*receiver, error) {
	r := &receiver{engine: e, Consumer: c, names: names, config: config, made: made, changed: make(chan struct{}, 1)}
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
			return nil, errors.Join(context.Cause(ctx), r.drain())
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

// ask asks for messages, unless an answer is due, and returns how long that may take.
func (r *receiver) ask(n int) (wait time.Duration, err error) {
	now := time.Now()
	if in := r.inbox; in != nil {
		r.mu.Lock()
		left, wait, lost := in.left, in.until.Add(grace).Sub(now), r.lost
		r.lost = false
		r.mu.Unlock()
		switch {
		case lost, left > 0 && wait <= 0, !in.sub.IsValid():
			if err := r.drain(); err != nil {
				return 0, err
			}
		case left > 0:
			return wait, nil
		}
	}
	if err := r.listen(); err != nil {
		return 0, err
	}
	expires := min(longestPull, max(r.Lease/3, time.Millisecond))
	request, err := json.Marshal(struct {
		Batch   int           `json:"batch"`
		Expires time.Duration `json:"expires"`
	}{n, expires})
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.inbox.asked, r.inbox.until, r.inbox.left = now, now.Add(expires), n
	r.mu.Unlock()
	to := r.engine.api() + "CONSUMER.MSG.NEXT." + r.engine.stream + "." + r.names.consumer
	return expires + grace, r.engine.nc.PublishRequest(to, r.inbox.subject, request)
}

// listen has an inbox be there.
func (r *receiver) listen() error {
	if r.inbox != nil {
		return nil
	}
	in := &inbox{subject: r.engine.nc.NewInbox(), ended: make(chan struct{})}
	var err error
	if in.sub, err = r.engine.nc.Subscribe(in.subject, func(m *nats.Msg) { r.arrive(in, m) }); err != nil {
		return err
	}
	in.sub.SetClosedHandler(func(string) { close(in.ended) })
	r.inbox = in
	return in.sub.SetPendingLimits(-1, -1) // what was asked for is the limit
}

// drain ends the inbox, and with it its request: the server sends nothing to where nobody
// listens.
func (r *receiver) drain() error {
	in := r.inbox
	if in == nil {
		return nil
	}
	r.inbox = nil
	open := []*inbox{in}
	for _, d := range r.drained {
		select {
		case <-d.ended:
		default:
			open = append(open, d)
		}
	}
	r.drained = open
	if err := in.sub.Drain(); err != nil && !errors.Is(err, nats.ErrBadSubscription) {
		return err
	}
	return nil
}

// arrive is called, by the goroutine of the subscription, for what comes to an inbox:
// messages, and what the server says of the request.
func (r *receiver) arrive(in *inbox, m *nats.Msg) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if place, err := placeOf(m); err == nil {
		in.left--
		r.arrived = append(r.arrived, arrival{m, place, in.asked})
	} else if status := m.Header.Get("Status"); status != "" {
		r.answered(in, status, m.Header.Get("Description"))
	} // or somebody else has written to the inbox
	r.signal()
}

// answered notes what the server says of a request: that it is over, in most cases because
// of its time.
func (r *receiver) answered(in *inbox, status, description string) {
	switch status {
	case "100": // it is still there
		return
	case "404", "408": // nothing more has come
	case "503":
		r.failure = nats.ErrNoResponders
	case "409":
		switch {
		case strings.Contains(description, "Consumer Deleted"):
			r.failure = unknownGroup(r.Topic, r.Group)
		case strings.Contains(description, "Exceeded"):
			r.failure = fmt.Errorf("stream %q, consumer %q: %s", r.engine.stream, r.names.consumer, description)
		}
	default:
		r.failure = fmt.Errorf("stream %q, consumer %q: %s %s", r.engine.stream, r.names.consumer, status, description)
	}
	in.left = 0
}

func (r *receiver) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// askAnew has Receive give up what was asked of another server.
func (r *receiver) askAnew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
	r.signal()
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

// Close gives back what has arrived and was not received. It waits until the server knows
// that nobody listens any more, for two seconds at most.
func (r *receiver) Close() error {
	r.engine.mu.Lock()
	_, open := r.engine.receivers[r]
	delete(r.engine.receivers, r)
	r.engine.mu.Unlock()
	if !open {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWord)
	defer cancel()
	errs := []error{r.drain()}
	for _, in := range r.drained { // what is on its way still comes
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
