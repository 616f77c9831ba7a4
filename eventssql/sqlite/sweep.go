package sqlite

import (
	"context"
	"database/sql"
	"time"
)

// How the store sweeps.
const (
	sweepEvery = time.Minute
	sweepBatch = 1000
)

// Sweep deletes the messages that every group of their topic has handled, and of topics
// without groups those that were stored longer ago than [WithRetention] says. It
// returns how many these were. The store does so by itself, every minute.
func (s *Store) Sweep(ctx context.Context) (swept int64, err error) {
	for {
		ids, err := s.sweepable(ctx)
		if err != nil || len(ids) == 0 {
			return swept, err
		}
		// What could be swept a moment ago still can.
		if err := s.writer.write(ctx, func(w *writer, ctx context.Context) error {
			for _, id := range ids {
				if _, err := w.exec(ctx, "delete from @message where id = ?", id); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return swept, err
		}
		swept += int64(len(ids))
	}
}

// sweepable returns some messages that are of no more use.
func (s *Store) sweepable(ctx context.Context) (ids []int64, err error) {
	err = s.read(ctx, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	}, `select * from (
			select m.id from (select topic, min(cursor) as handled from @group group by topic) g
			join @message m on m.topic = g.topic and m.id <= g.handled
			where not exists (select 1 from @group h join @delivery d on d.grp = h.id and d.id = m.id where h.topic = g.topic)
			limit ?
		) union all select * from (
			select m.id from @message m where m.stored < ? and m.topic not in (select topic from @group) limit ?
		)`, sweepBatch, time.Now().Add(-s.retention).UnixNano(), sweepBatch)
	return ids, err
}

func (s *Store) sweepNowAndThen(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.logger.Warn("sqlite: cannot sweep", "error", err)
		}
	}
}
