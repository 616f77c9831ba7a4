package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/typedbus/events/durable"
)

// errOutcome is for an outcome that this version does not know.
var errOutcome = errors.New("unknown outcome")

// Settle stores what has become of deliveries.
func (r *receiver) Settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	called := time.Now()
	changed := make([]int64, len(settlements))
	err = r.engine.Write(ctx, func(ctx context.Context, tx Tx) error {
		clear(changed)
		return r.settle(ctx, tx, settlements, changed)
	})
	if err != nil {
		return nil, err
	}
	for i := range settlements {
		if changed[i] == 0 {
			lost = append(lost, i)
		}
	}
	r.letGo(settlements, changed, called)
	r.engine.Wake(r.Topic)
	return lost, nil
}

// letGo notes which deliveries are no longer in hand, and which are for longer.
func (r *receiver) letGo(settlements []durable.Settlement, changed []int64, called time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range settlements {
		l := s.Lease.(lease)
		if s.Outcome == durable.OutcomeRenew && changed[i] > 0 {
			r.held[l.id] = holding{l, called.Add(r.Lease)}
		} else if r.held[l.id].token == l.token {
			delete(r.held, l.id)
		}
	}
}

// settle sets changed to how many rows each settlement has changed: none if the delivery
// is no longer the receiver's.
func (r *receiver) settle(ctx context.Context, tx Tx, settlements []durable.Settlement, changed []int64) error {
	now, err := r.begin(ctx, tx)
	if err != nil {
		return err
	}
	order := make([]int, len(settlements))
	for i := range order {
		order[i] = i
	}
	// Who settles the same deliveries in the same order does not deadlock with others.
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(settlements[a].Lease.(lease).id, settlements[b].Lease.(lease).id)
	})
	for _, i := range order {
		statement, arguments, err := r.statement(settlements[i], now)
		if err != nil {
			return err
		}
		if err := tx.Exec(ctx, &changed[i], statement, arguments...); err != nil {
			return err
		}
	}
	goOn := make(map[string]bool)
	for _, s := range settlements {
		if l := s.Lease.(lease); l.key != "" && s.Outcome != durable.OutcomeRenew && !goOn[l.key] {
			goOn[l.key] = true
			if err := unpark(ctx, tx, r.group, l.key, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin has the group to itself where lines are looked at, and returns the time.
func (r *receiver) begin(ctx context.Context, tx Tx) (time.Time, error) {
	if !r.OrderByKey {
		return tx.Now(ctx)
	}
	place, ok, err := tx.Enter(ctx, r.group)
	if err == nil && !ok {
		return tx.Now(ctx) // all are lost
	}
	return place.Now, err
}

// statement returns what stores a settlement.
func (r *receiver) statement(s durable.Settlement, now time.Time) (string, []any, error) {
	var set string
	var arguments []any
	switch s.Outcome {
	case durable.OutcomeAck:
	case durable.OutcomeRenew:
		set, arguments = "due = ?", []any{nanos(now.Add(r.Lease))}
	case durable.OutcomeRetry:
		set, arguments = "due = ?, token = token + 1, attempt = attempt + 1, suspect = false, error = ?", []any{nanos(now.Add(s.After)), s.Reason}
	case durable.OutcomeRelease:
		set, arguments = "due = ?, token = token + 1", []any{now.UnixNano()}
	case durable.OutcomeDeadLetter:
		set, arguments = "due = null, token = token + 1, attempt = ?, key = null, error = ?", []any{s.Attempt, s.Reason}
	default:
		return "", nil, fmt.Errorf("%w %v", errOutcome, s.Outcome)
	}
	const which = " where grp = ? and id = ? and token = ? and due is not null"
	statement := "update @delivery set " + set + which
	if s.Outcome == durable.OutcomeAck {
		statement = "delete from @delivery" + which
	}
	l := s.Lease.(lease)
	return statement, append(arguments, r.group, l.id, l.token), nil
}

// unpark lets the first of a key go on, if it is parked and nobody has one of the key.
// It is called whenever the first may have become another one.
func unpark(ctx context.Context, tx Tx, group int64, key string, now time.Time) error {
	return tx.Exec(ctx, nil, `update @delivery set due = ? where grp = ? and due = ? and id = (
			select e.id from @delivery e {by key} where e.grp = ? and e.key = ? and `+isInLine+` order by e.id limit 1
		) and not exists (
			select 1 from @delivery e {by live} where e.grp = ? and e.key = ? and `+isTaken+`
		)`, now.UnixNano(), group, int64(never), group, key, now.UnixNano(), int64(never), group, key, now.UnixNano())
}
