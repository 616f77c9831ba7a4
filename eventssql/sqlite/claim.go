package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// claim is one call of Receive, in the writer's goroutine.
type claim struct {
	*receiver
	w   *writer
	max int
	now time.Time

	claimed []*durable.Delivery
	suspect bool           // the one claimed is, alone
	parked  bool           // some were due and are parked now
	keys    map[string]int // how many of each key are in claimed
	next    int64          // when something is due, if nothing was claimed
}

// run claims what is due, and then what is new.
func (c *claim) run(ctx context.Context) error {
	c.keys = make(map[string]int)
	due, err := c.due(ctx)
	if err != nil {
		return err
	}
	for _, row := range due {
		if !row.isSuspect() {
			continue
		}
		if wait, until := c.isToBeAlone(); wait || !until.IsZero() {
			if c.next = nanos(until); wait {
				return nil
			}
			break
		}
		if err := c.claimSuspect(ctx, row); err != nil || c.suspect {
			return err
		}
	}
	for _, row := range due {
		if err := c.claimDue(ctx, row); err != nil {
			return err
		}
	}
	if len(c.claimed) < c.max {
		if err := c.claimNew(ctx); err != nil {
			return err
		}
	}
	if c.parked && len(c.claimed) == 0 {
		c.next = c.now.UnixNano() // others may go on
	}
	if len(c.claimed) > 0 {
		return nil
	}
	return c.w.query(ctx, func(rows *sql.Rows) error {
		var next sql.NullInt64
		if err := rows.Scan(&next); err != nil || !next.Valid {
			return err
		}
		c.next = min(c.next, next.Int64)
		return nil
	}, "select min(due) from @delivery where grp = ? and due > ? and due < ?", c.group, c.now.UnixNano(), int64(never))
}

// delivery is a row of the table, with its message.
type delivery struct {
	scanned
	token   int64
	attempt int
	suspect bool
	order   sql.NullString // the key, unless it runs out of order
}

// isSuspect reports whether a lease of the delivery ran out, just now or before.
func (d *delivery) isSuspect() bool { return d.token%2 == 1 || d.suspect }

const deliveryColumns = messageColumns + ", d.token, d.attempt, d.suspect, d.key"

func (c *claim) query(ctx context.Context, condition string, arguments ...any) (rows []*delivery, err error) {
	err = c.w.query(ctx, func(r *sql.Rows) error {
		d := new(delivery)
		rows = append(rows, d)
		return r.Scan(d.fields(&d.token, &d.attempt, &d.suspect, &d.order)...)
	}, "select "+deliveryColumns+" from @delivery d join @message m on m.id = d.id where d.grp = ? and "+condition, append([]any{c.group}, arguments...)...)
	return rows, err
}

func (c *claim) due(ctx context.Context) ([]*delivery, error) {
	return c.query(ctx, "d.due <= ? order by d.due, d.id limit ?", c.now.UnixNano(), c.max)
}

// claimSuspect claims a delivery whose lease ran out, alone. The time before it that
// counts is the one in which it was alone, too.
func (c *claim) claimSuspect(ctx context.Context, d *delivery) error {
	if d.token%2 == 1 && d.suspect {
		d.attempt++
	}
	if blocked, err := c.park(ctx, d); err != nil || blocked {
		return err
	}
	c.suspect = true
	return c.take(ctx, d, true)
}

// claimDue claims a delivery, and those of its key that are parked behind it.
func (c *claim) claimDue(ctx context.Context, d *delivery) error {
	if len(c.claimed) >= c.max || d.isSuspect() {
		return nil
	}
	if blocked, err := c.park(ctx, d); err != nil || blocked {
		return err
	}
	if err := c.take(ctx, d, false); err != nil || !d.order.Valid {
		return err
	}
	return c.takeParked(ctx, d)
}

// takeParked claims what is parked behind a delivery, up to one that waits for its
// retry, that somebody has, or that is suspected, and so comes alone.
func (c *claim) takeParked(ctx context.Context, d *delivery) error {
	end := int64(never)
	err := c.w.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&end) },
		"select d.id from @delivery d indexed by @delivery_live where d.grp = ? and d.key = ? and d.id > ? and "+isLive+" and "+isInLine+" order by d.id limit 1",
		c.group, d.order.String, d.id, c.now.UnixNano(), int64(never))
	if err != nil {
		return err
	}
	parked, err := c.query(ctx, "d.key = ? and d.due = ? and d.id > ? and d.id < ? order by d.id limit ?", d.order.String, int64(never), d.id, end, c.max-len(c.claimed))
	if err != nil {
		return err
	}
	for _, next := range parked {
		if next.isSuspect() {
			break
		}
		if err := c.take(ctx, next, false); err != nil {
			return err
		}
	}
	return nil
}

// isBlocked reports whether there is an earlier delivery of the key, or one that
// somebody has, those aside that are claimed here.
func (c *claim) isBlocked(ctx context.Context, d *delivery) (bool, error) {
	if !d.order.Valid {
		return false, nil
	}
	mine, now := c.keys[d.order.String], c.now.UnixNano()
	others := 0
	err := c.w.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&others) },
		`select (select count(*) from (select 1 from @delivery d indexed by @delivery_key where d.grp = ? and d.key = ? and d.id < ? and `+isInLine+` limit ?))
			+ (select count(*) from @delivery d indexed by @delivery_live where d.grp = ? and d.key = ? and d.id > ? and `+isLive+` and d.token % 2 = 1 and d.due > ?)`,
		c.group, d.order.String, d.id, now, int64(never), mine+1,
		c.group, d.order.String, d.id, now)
	return others > mine, err
}

// isInLine is a condition for a delivery of a key: it was not published for a later
// time. It takes the time, and never.
const isInLine = "not (d.token = 0 and d.due > ? and d.due < ?)"

// isLive is a condition for a delivery that is neither parked nor dead. It is in the
// words of an index.
const isLive = "d.due < 9223372036854775807"

// park has a delivery that is blocked wait for those that block it.
func (c *claim) park(ctx context.Context, d *delivery) (parked bool, err error) {
	if blocked, err := c.isBlocked(ctx, d); err != nil || !blocked {
		return false, err
	}
	_, err = c.w.exec(ctx, "update @delivery set due = ?, token = token + token % 2, attempt = ?, suspect = ? where grp = ? and id = ?", int64(never), d.attempt, d.isSuspect(), c.group, d.id)
	if c.parked = true; err == nil {
		err = c.store.unpark(ctx, c.w, c.group, d.order.String, c.now)
	}
	return true, err
}

// isTaken reports whether others than those claimed here are in the line of a key.
func (c *claim) isTaken(ctx context.Context, key string) (bool, error) {
	mine, others := c.keys[key], 0
	err := c.w.query(ctx, func(rows *sql.Rows) error { return rows.Scan(&others) },
		"select count(*) from (select 1 from @delivery d indexed by @delivery_key where d.grp = ? and d.key = ? and "+isInLine+" limit ?)",
		c.group, key, c.now.UnixNano(), int64(never), mine+1)
	return others > mine, err
}

// take makes a row the receiver's.
func (c *claim) take(ctx context.Context, d *delivery, suspect bool) error {
	token := d.token + 1 + d.token%2
	until := nanos(c.now.Add(c.Lease))
	_, err := c.w.exec(ctx, "update @delivery set due = ?, token = ?, attempt = ?, suspect = ? where grp = ? and id = ?", until, token, d.attempt, suspect, c.group, d.id)
	if err != nil {
		return err
	}
	c.add(&d.scanned, lease{d.id, token, d.order.String, until}, d.attempt)
	return nil
}

func (c *claim) add(s *scanned, l lease, attempt int) {
	if l.key != "" {
		c.keys[l.key]++
	}
	c.claimed = append(c.claimed, &durable.Delivery{
		Message: s.message(),
		Group:   c.Group,
		Attempt: attempt + 1,
		Claimed: c.now,
		Ref:     fmt.Sprint(l.id),
		Lease:   l,
	})
}
