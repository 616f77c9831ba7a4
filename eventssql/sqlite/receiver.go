package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

// receiver is this process's share of a group.
type receiver struct {
	*durable.Consumer
	store *Store
	group int64

	mu      sync.Mutex
	held    map[int64]lease  // what is claimed and not settled; guarded by mu
	suspect bool             // it is one whose lease ran out, alone; guarded by mu
	alone   durable.Solitude // guarded by mu
}

// lease is what a settlement is fenced by.
type lease struct {
	id, token int64
	key       string
	until     int64
}

// never is the due of a delivery that is parked.
const never = math.MaxInt64

// Open opens a group, and makes it if there is none.
func (s *Store) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	r := &receiver{Consumer: &c, store: s, held: make(map[int64]lease)}
	err := s.writer.write(ctx, func(w *writer, ctx context.Context) error { return r.open(ctx, w) })
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *receiver) open(ctx context.Context, w *writer) error {
	start := "(select coalesce(max(id), 0) from @message)"
	if r.FromStart {
		start = "0"
	}
	_, err := w.exec(ctx, "insert into @group (topic, name, cursor, ordered) values (?, ?, "+start+", ?) on conflict do nothing", r.Topic, r.Group, r.OrderByKey)
	if err != nil {
		return err
	}
	var ordered bool
	err = w.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&r.group, &ordered) },
		"select id, ordered from @group where topic = ? and name = ?", r.Topic, r.Group)
	if err == nil && ordered != r.OrderByKey {
		err = fmt.Errorf("%w: it has OrderByKey %t, want %t", durable.ErrGroupConflict, ordered, r.OrderByKey)
	}
	return err
}

// Receive claims deliveries.
func (r *receiver) Receive(ctx context.Context, max int) ([]*durable.Delivery, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.store.writer.isClosed() {
			return nil, durable.ErrClosed
		}
		changed := r.store.watch.changed(r.Topic)
		c := &claim{receiver: r}
		if !r.isToWait() {
			if err := r.store.writer.write(ctx, func(w *writer, ctx context.Context) error {
				*c = claim{receiver: r, w: w, max: max, now: time.Now(), next: never}
				return c.run(ctx)
			}); err != nil {
				return nil, err
			}
		}
		if len(c.claimed) > 0 {
			r.hold(c)
			return c.claimed, nil
		}
		if err := r.wait(ctx, changed, c.next); err != nil {
			return nil, err
		}
	}
}

// isToWait reports whether a delivery in hand is suspected of ending its process:
// then no other is claimed.
func (r *receiver) isToWait() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now().UnixNano()
	for id, l := range r.held {
		if l.until <= now {
			delete(r.held, id) // somebody else may have it
		}
	}
	r.suspect = r.suspect && len(r.held) > 0
	return r.suspect
}

// isToBeAlone reports, for a suspect that is due, whether to wait until nothing is in
// hand, and until when the answer holds; that is zero if nothing is.
func (r *receiver) isToBeAlone() (wait bool, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held) == 0 {
		return false, time.Time{}
	}
	return r.alone.IsToWait(time.Now(), r.Lease)
}

func (r *receiver) hold(c *claim) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suspect = c.suspect
	for _, d := range c.claimed {
		l := d.Lease.(lease)
		r.held[l.id] = l
	}
}

// wait waits until there may be something to claim: a wake, or the time at which
// something is due.
func (r *receiver) wait(ctx context.Context, changed <-chan struct{}, next int64) error {
	pause := time.Hour
	if next != 0 && next != never {
		pause = min(pause, time.Until(time.Unix(0, next)))
	}
	r.mu.Lock()
	for _, l := range r.held {
		pause = min(pause, time.Until(time.Unix(0, l.until)))
	}
	r.mu.Unlock()
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
