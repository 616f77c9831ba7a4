package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/typedbus/events/durable"
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
	err = s.read(ctx, func(rows *sql.Rows) error {
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
			(select m.stored from @message m where m.id = coalesce(
				(select min(d.id) from @delivery d where d.grp = g.id and d.due is not null),
				(select min(n.id) from @message n where n.topic = g.topic and n.id > g.cursor)))
		from @group g order by g.topic, g.name`)
	return groups, err
}

// read calls row for each row of a result, without holding a writer up.
func (s *Store) read(ctx context.Context, row func(*sql.Rows) error, query string, arguments ...any) error {
	if s.writer.isClosed() {
		return durable.ErrClosed
	}
	rows, err := s.db.QueryContext(ctx, s.sql(query), arguments...)
	if err != nil {
		return err
	}
	return each(rows, row)
}

// RemoveGroup forgets a group with all that it has not handled, its dead letters and the
// notes of [Store.Once], so that it holds no messages any more. A subscription of it
// gets [durable.ErrUnknownGroup] from then on.
func (s *Store) RemoveGroup(ctx context.Context, topic, name string) error {
	return s.writer.write(ctx, func(w *writer, ctx context.Context) error {
		number, err := s.group(ctx, w, topic, name)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, "delete from @delivery where grp = ?", number); err != nil {
			return err
		}
		if _, err := w.exec(ctx, "delete from @inbox where topic = ? and grp = ?", topic, name); err != nil {
			return err
		}
		_, err = w.exec(ctx, "delete from @group where id = ?", number)
		return err
	})
}
