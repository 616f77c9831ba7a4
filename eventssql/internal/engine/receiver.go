package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

// receiver is this process's share of a group.
type receiver struct {
	*durable.Consumer
	engine *Engine
	group  int64

	mu      sync.Mutex
	held    map[int64]holding // what is claimed and not settled, by id; guarded by mu
	suspect bool              // it is one whose lease ran out, alone; guarded by mu
	alone   durable.Solitude  // guarded by mu
}

// lease is what a settlement is fenced by.
type lease struct {
	id, token int64
	key       string
}

// holding is a lease and how long it lasts by the clock of this machine.
type holding struct {
	lease
	until time.Time
}

// never is the due of a delivery that is parked.
const never = math.MaxInt64

// Open opens a group, and makes it if there is none.
func (e *Engine) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	if err := errors.Join(checkName("topic", c.Topic), checkName("name of the group", c.Group)); err != nil {
		return nil, err
	}
	r := &receiver{Consumer: &c, engine: e, held: make(map[int64]holding)}
	if err := e.Write(ctx, r.open); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *receiver) open(ctx context.Context, tx Tx) error {
	found, err := r.find(ctx, tx)
	if err != nil || found {
		return err
	}
	start := int64(0)
	if r.FromStart {
		err = tx.Exclude(ctx)
	} else {
		start, err = tx.Final(ctx)
	}
	if err != nil {
		return err
	}
	if err := tx.Exec(ctx, nil, "insert into @group (topic, name, cursor, ordered) values (?, ?, ?, ?) on conflict do nothing", r.Topic, r.Group, start, r.OrderByKey); err != nil {
		return err
	}
	if found, err = r.find(ctx, tx); err == nil && !found {
		err = fmt.Errorf("%w: %q of topic %q was removed as it was made", durable.ErrUnknownGroup, r.Group, r.Topic)
	}
	return err
}

// find looks for the group.
func (r *receiver) find(ctx context.Context, tx Tx) (found bool, err error) {
	var ordered bool
	err = tx.Query(ctx, func(row Row) error {
		found = true
		return row.Scan(&r.group, &ordered)
	}, "select id, ordered from @group where topic = ? and name = ?", r.Topic, r.Group)
	if err == nil && found && ordered != r.OrderByKey {
		err = fmt.Errorf("%w: it has OrderByKey %t, want %t", durable.ErrGroupConflict, ordered, r.OrderByKey)
	}
	return found, err
}

// Receive claims deliveries.
func (r *receiver) Receive(ctx context.Context, max int) ([]*durable.Delivery, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.engine.Closed() {
			return nil, durable.ErrClosed
		}
		changed := r.engine.Changed(r.Topic)
		c := &claim{receiver: r, pause: time.Hour}
		if !r.isToWait() {
			if err := r.engine.Claim(ctx, func(ctx context.Context, tx Tx) error {
				*c = claim{receiver: r, tx: tx, max: max, called: time.Now(), pause: time.Hour}
				return c.run(ctx)
			}); err != nil {
				return nil, err
			}
		}
		if len(c.claimed) > 0 {
			r.hold(c)
			return c.claimed, nil
		}
		if err := r.wait(ctx, changed, c.pause); err != nil {
			return nil, err
		}
	}
}

// isToWait reports whether a delivery in hand is suspected of ending its process:
// then no other is claimed.
func (r *receiver) isToWait() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for id, h := range r.held {
		if !h.until.After(now) {
			delete(r.held, id) // somebody else may have it
		}
	}
	r.suspect = r.suspect && len(r.held) > 0
	return r.suspect
}

// isToBeAlone reports, for a suspect that is due, whether to wait until nothing is in
// hand, and for how long the answer holds; that is zero if nothing is.
func (r *receiver) isToBeAlone() (wait bool, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held) == 0 {
		return false, 0
	}
	now := time.Now()
	wait, until := r.alone.IsToWait(now, r.Lease)
	return wait, until.Sub(now)
}

func (r *receiver) hold(c *claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspect = c.suspect
	for _, d := range c.claimed {
		l := d.Lease.(lease)
		r.held[l.id] = holding{l, d.Claimed.Add(r.Lease)}
	}
}

// wait waits until there may be something to claim: a wake, or the time at which
// something is due.
func (r *receiver) wait(ctx context.Context, changed <-chan struct{}, pause time.Duration) error {
	r.mu.Lock()
	for _, h := range r.held {
		pause = min(pause, time.Until(h.until))
	}
	r.mu.Unlock()
	r.engine.Await()
	timer := time.NewTimer(max(pause, time.Millisecond))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Close gives up the receiver.
func (r *receiver) Close() error { return nil }
