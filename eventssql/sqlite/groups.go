package sqlite

import (
	"context"
	"database/sql"
	"time"
)

// Group is how far a group has come.
type Group struct {
	Topic, Name string
	OrderByKey  bool
	Lag         int64         // how many events are stored and not handled, dead letters aside
	Age         time.Duration // of the oldest of these, 0 without one
	Waiting     int64         // of these, how many were tried, or wait behind one of their key, or for their time
	Dead        int64         // dead letters
}

// Groups returns all groups, by topic and name.
func (s *Store) Groups(ctx context.Context) (groups []Group, err error) {
	err = s.writer.write(ctx, func(w *writer, ctx context.Context) error {
		groups = nil
		return w.query(ctx, func(rows *sql.Rows) error {
			var g Group
			var unseen int64
			var oldest sql.NullInt64
			if err := rows.Scan(&g.Topic, &g.Name, &g.OrderByKey, &unseen, &g.Waiting, &g.Dead, &oldest); err != nil {
				return err
			}
			g.Lag = unseen + g.Waiting
			if oldest.Valid {
				g.Age = max(0, time.Since(time.Unix(0, oldest.Int64)))
			}
			groups = append(groups, g)
			return nil
		}, `select g.topic, g.name, g.ordered,
				(select count(*) from @message m where m.topic = g.topic and m.id > g.cursor),
				(select count(*) from @delivery d where d.grp = g.id and d.due is not null),
				(select count(*) from @delivery d where d.grp = g.id and d.due is null),
				(select min(m.at) from @message m where m.topic = g.topic and
					m.id >= min(g.cursor + 1, coalesce((select min(d.id) from @delivery d where d.grp = g.id and d.due is not null), g.cursor + 1))
					and (m.id > g.cursor or exists (select 1 from @delivery d where d.grp = g.id and d.id = m.id and d.due is not null)))
			from @group g order by g.topic, g.name`)
	})
	return groups, err
}

// RemoveGroup forgets a group with all that it has not handled and its dead letters, so that
// it holds no messages any more. A subscription of it gets an error from then on.
func (s *Store) RemoveGroup(ctx context.Context, topic, name string) error {
	return s.writer.write(ctx, func(w *writer, ctx context.Context) error {
		number, err := s.group(ctx, w, topic, name)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "delete from @delivery where grp = ?", number); err != nil {
			return err
		}
		_, err = w.exec(ctx, "delete from @group where id = ?", number)
		return err
	})
}

// How the store sweeps.
const (
	sweepEvery = time.Minute
	sweepBatch = 1000
)

// Sweep deletes the messages that every group of their topic has handled, and of topics
// without groups those that are older than [WithRetention], and returns how many
// these were. The store does so by itself, every minute.
func (s *Store) Sweep(ctx context.Context) (swept int64, err error) {
	for {
		var n int64
		err := s.writer.write(ctx, func(w *writer, ctx context.Context) (err error) {
			n, err = w.exec(ctx, `delete from @message where id in (
					select m.id from @message m
					where case when exists (select 1 from @group g where g.topic = m.topic)
						then not exists (select 1 from @group g where g.topic = m.topic and g.cursor < m.id)
							and not exists (select 1 from @group g join @delivery d on d.grp = g.id where g.topic = m.topic and d.id = m.id)
						else m.at < ? end
					order by m.id limit ?)`, time.Now().Add(-s.retention).UnixNano(), sweepBatch)
			return err
		})
		swept += n
		if err != nil || n < sweepBatch {
			return swept, err
		}
	}
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
