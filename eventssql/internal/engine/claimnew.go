package engine

import (
	"context"
	"database/sql"
	"slices"
	"strings"
)

// Of how many messages one transaction looks at no more: others wait for it.
const (
	leastScanned = 64
	mostScanned  = 1000
)

// candidate is what tells whether a message can be claimed.
type candidate struct {
	id    int64
	key   sql.NullString
	after sql.NullInt64
}

// scanned is how many messages to look at.
func (c *claim) scanned() int { return min(max(leastScanned, 2*c.max), mostScanned) }

// claimNew claims messages behind the cursor. Those of a key that others have, and
// those that are due later, get a row to wait in.
func (c *claim) claimNew(ctx context.Context, cursor int64) error {
	var rows [][]any
	var leases []lease
	looked := cursor
	for _, m := range c.messages {
		if len(c.claimed)+len(leases) >= c.max {
			break
		}
		looked = m.id
		l, due := lease{m.id, 1, ""}, nanos(c.now.Add(c.Lease))
		var order any
		if c.OrderByKey && m.key.Valid {
			l.key, order = m.key.String, m.key.String
		}
		switch {
		case m.after.Valid && m.after.Int64 > c.now.UnixNano():
			l.token, due = 0, m.after.Int64
			c.wakeAt(due)
		case l.key != "" && c.queued[l.key] > len(c.keys[l.key]):
			l.token, due = 0, never
		default:
			leases = append(leases, l)
		}
		rows = append(rows, []any{c.group, m.id, due, l.token, order})
	}
	if len(c.messages) == c.scanned() && len(c.claimed)+len(leases) == 0 {
		c.pause = 0 // there may be more
	}
	if looked == cursor {
		return nil
	}
	if err := c.insert(ctx, rows); err != nil {
		return err
	}
	if err := c.tx.Exec(ctx, nil, "update @group set cursor = ? where id = ?", looked, c.group); err != nil {
		return err
	}
	return c.fetch(ctx, leases)
}

// askQueues asks how many are in the line of each key of the messages. Those that are
// claimed here are among them: they are in it before as after.
func (c *claim) askQueues(ctx context.Context) error {
	c.queued = make(map[string]int)
	var keys []string
	for _, m := range c.messages {
		if _, ok := c.queued[m.key.String]; m.key.Valid && !ok {
			c.queued[m.key.String] = 0
			keys = append(keys, m.key.String)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return c.tx.Ask(ctx, func(row Row) error {
		var key string
		var n int
		err := row.Scan(&key, &n)
		c.queued[key] = n
		return err
	}, `select k.value, (select count(*) from (select 1 from @delivery e {by key} where e.grp = ? and e.key = k.value and `+isInLine+` limit ?) as others)
		from ({texts}) as k`, c.group, c.now.UnixNano(), int64(never), c.max+1, List(keys))
}

const insertDelivery = "insert into @delivery (grp, id, due, token, attempt, suspect, key) values (?, ?, ?, ?, 0, false, ?)"

var insertDeliveries = insertDelivery + strings.Repeat(", (?, ?, ?, ?, 0, false, ?)", inOneInsert-1)

func (c *claim) insert(ctx context.Context, rows [][]any) error {
	for ; len(rows) >= inOneInsert; rows = rows[inOneInsert:] {
		if err := c.tx.Exec(ctx, nil, insertDeliveries, slices.Concat(rows[:inOneInsert]...)...); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if err := c.tx.Exec(ctx, nil, insertDelivery, row...); err != nil {
			return err
		}
	}
	return nil
}

// fetch adds the messages of leases to what is claimed.
func (c *claim) fetch(ctx context.Context, leases []lease) error {
	if len(leases) == 0 {
		return nil
	}
	ids, byID := make([]int64, len(leases)), make(map[int64]lease, len(leases))
	for i, l := range leases {
		ids[i], byID[l.id] = l.id, l
	}
	return c.tx.Ask(ctx, func(row Row) error {
		var s scanned
		err := row.Scan(s.fields()...)
		c.add(&s, byID[s.id], 0)
		return err
	}, "select "+messageColumns+" from @message m where m.id in ({numbers}) order by m.id", List(ids))
}
