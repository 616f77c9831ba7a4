package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// errOutcome is for an outcome that this version does not know.
var errOutcome = errors.New("unknown outcome")

// Settle stores what has become of deliveries.
func (r *receiver) Settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	now := time.Now()
	err = r.store.writer.write(ctx, func(w *writer, ctx context.Context) error {
		lost = nil
		for i, s := range settlements {
			ok, err := r.settle(ctx, w, s, now)
			if err != nil {
				return err
			}
			if !ok {
				lost = append(lost, i)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.letGo(settlements, lost, now)
	r.store.watch.wake(map[string]bool{r.Topic: true})
	return lost, nil
}

// letGo notes which deliveries are no longer in hand, and which are for longer.
func (r *receiver) letGo(settlements []durable.Settlement, lost []int, now time.Time) {
	isLost := make(map[int]bool, len(lost))
	for _, i := range lost {
		isLost[i] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range settlements {
		l := s.Lease.(lease)
		if s.Outcome == durable.OutcomeRenew && !isLost[i] {
			l.until = nanos(now.Add(r.Lease))
			r.held[l.id] = l
		} else if r.held[l.id].token == l.token {
			delete(r.held, l.id)
		}
	}
}

// settle reports false if the delivery is no longer the receiver's.
func (r *receiver) settle(ctx context.Context, w *writer, s durable.Settlement, now time.Time) (ok bool, err error) {
	l := s.Lease.(lease)
	var set string
	var arguments []any
	switch s.Outcome {
	case durable.OutcomeAck:
	case durable.OutcomeRenew:
		set, arguments = "due = ?", []any{nanos(now.Add(r.Lease))}
	case durable.OutcomeRetry:
		set, arguments = "due = ?, token = token + 1, attempt = attempt + 1, suspect = 0, error = ?", []any{nanos(now.Add(s.After)), s.Reason}
	case durable.OutcomeRelease:
		set, arguments = "due = ?, token = token + 1", []any{now.UnixNano()}
	case durable.OutcomeDeadLetter:
		set, arguments = "due = null, token = token + 1, attempt = ?, key = null, error = ?", []any{s.Attempt, s.Reason}
	default:
		return false, fmt.Errorf("%w %v", errOutcome, s.Outcome)
	}
	const which = " where grp = ? and id = ? and token = ? and due is not null"
	query := "update @delivery set " + set + which
	if s.Outcome == durable.OutcomeAck {
		query = "delete from @delivery" + which
	}
	n, err := w.exec(ctx, query, append(arguments, r.group, l.id, l.token)...)
	if err == nil && n > 0 && l.key != "" && s.Outcome != durable.OutcomeRenew {
		err = r.store.unpark(ctx, w, r.group, l.key, now)
	}
	return n > 0, err
}

// unpark lets the first of a key go on, if it is parked and nobody has one of the key.
// It is called whenever the first may have become another one.
func (s *Store) unpark(ctx context.Context, w *writer, group int64, key string, now time.Time) error {
	_, err := w.exec(ctx, `update @delivery set due = ? where grp = ? and due = ? and id = (
			select d.id from @delivery d indexed by @delivery_key where d.grp = ? and d.key = ? and `+isInLine+` order by d.id limit 1
		) and not exists (
			select 1 from @delivery d indexed by @delivery_live where d.grp = ? and d.key = ? and `+isLive+` and d.token % 2 = 1 and d.due > ?
		)`, now.UnixNano(), group, int64(never), group, key, now.UnixNano(), int64(never), group, key, now.UnixNano())
	return err
}
