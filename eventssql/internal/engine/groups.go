package engine

import (
	"context"
	"database/sql"
	"time"
)

// Group is how far a group has come.
type Group struct {
	Topic, Name string
	OrderByKey  bool
	Lag         int64
	Age         time.Duration
	Waiting     int64
	Dead        int64
}

// Groups returns all groups, by topic and name.
func (e *Engine) Groups(ctx context.Context) (groups []Group, err error) {
	err = e.Read(ctx, func(row Row) error {
		var g Group
		var unseen int64
		var oldest sql.NullInt64
		if err := row.Scan(&g.Topic, &g.Name, &g.OrderByKey, &unseen, &g.Waiting, &g.Dead, &oldest); err != nil {
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

// RemoveGroup forgets a group with all that it has not handled, its dead letters and the
// notes of Once.
func (e *Engine) RemoveGroup(ctx context.Context, topic, name string) error {
	return e.Write(ctx, func(ctx context.Context, tx Tx) error {
		number, _, err := enter(ctx, tx, topic, name)
		if err != nil {
			return err
		}
		if err := tx.Exec(ctx, nil, "delete from @delivery where grp = ?", number); err != nil {
			return err
		}
		if err := tx.Exec(ctx, nil, "delete from @inbox where topic = ? and grp = ?", topic, name); err != nil {
			return err
		}
		return tx.Exec(ctx, nil, "delete from @group where id = ?", number)
	})
}
