package eventsnats

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

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

const (
	longestPull = 5 * time.Second
	grace       = 2 * time.Second // for an answer that is on its way
)

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
	return expires + grace, r.engine.nc.PublishRequest(r.next, r.inbox.subject, request)
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
