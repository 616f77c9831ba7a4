package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// How the engine sweeps.
const (
	sweepEvery = time.Minute
	sweepBatch = 1000
)

// Sweep deletes the messages that every group of their topic has handled, and of topics
// without groups those whose time is over. It returns how many these were. It does so for
// half of the time at most, as others wait for it.
func (e *Engine) Sweep(ctx context.Context) (swept int64, err error) {
	for {
		begun := time.Now()
		ids, err := e.sweepable(ctx)
		if err != nil || len(ids) == 0 {
			return swept, err
		}
		var changed int64
		if err := e.Write(ctx, func(ctx context.Context, tx Tx) error {
			// A group that was made from the start meanwhile may be at them.
			return errors.Join(tx.Exclude(ctx), tx.Exec(ctx, &changed, `delete from @message where id in ({numbers}) and not exists (
				select 1 from @group g where g.topic = @message.topic and (g.cursor < @message.id or exists (
					select 1 from @delivery d where d.grp = g.id and d.id = @message.id)))`, List(ids)))
		}); err != nil {
			return swept, err
		}
		swept += changed
		if len(ids) < sweepBatch || changed == 0 {
			return swept, nil // what has come up meanwhile is for the next time
		}
		timer := time.NewTimer(time.Since(begun))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return swept, context.Cause(ctx)
		}
	}
}

// sweepable returns some messages that are of no more use.
func (e *Engine) sweepable(ctx context.Context) (ids []int64, err error) {
	err = e.Read(ctx, func(row Row) error {
		var id int64
		err := row.Scan(&id)
		ids = append(ids, id)
		return err
	}, `select * from (
			select m.id from (select topic, min(cursor) as handled from @group group by topic) g
			join @message m on m.topic = g.topic and m.id <= g.handled
			where not exists (select 1 from @group h join @delivery d on d.grp = h.id and d.id = m.id where h.topic = g.topic)
			limit ?
		) as handled union all select * from (
			select m.id from @message m where m.stored < ? and m.topic not in (select topic from @group) limit ?
		) as old`, sweepBatch, time.Now().Add(-e.Retention).UnixNano(), sweepBatch)
	return ids, err
}

// SweepNowAndThen sweeps until ctx is done.
func (e *Engine) SweepNowAndThen(ctx context.Context) {
	every := sweepEvery/2 + rand.N(sweepEvery) // so that processes do not sweep together
	e.Chore(ctx, every, "sweep", func(ctx context.Context) error {
		_, err := e.Sweep(ctx)
		return err
	})
}
