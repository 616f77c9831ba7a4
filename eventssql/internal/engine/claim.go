package engine

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// claim is one call of Receive, in a transaction. It looks first, with few questions that
// go together, and then decides; what it writes is not read again, but for what it parks.
type claim struct {
	*receiver
	tx     Tx
	max    int
	called time.Time // by the clock of this machine
	now    time.Time // by that of the database

	due      []*delivery    // what is
	messages []candidate    // behind the cursor
	next     sql.NullInt64  // when something is due that is not yet
	queued   map[string]int // how many are in the line of each key of the messages

	claimed []*durable.Delivery
	suspect bool               // the one claimed is, alone
	parked  bool               // some were due and are parked now
	keys    map[string][]int64 // the ids of each key that are in claimed
	pause   time.Duration      // for how long to wait if nothing was claimed
}

// run claims what is due, and then what is new.
func (c *claim) run(ctx context.Context) error {
	place, ok, err := c.tx.Enter(ctx, c.group)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q of topic %q was removed", durable.ErrUnknownGroup, c.Group, c.Topic)
	}
	if err != nil {
		return err
	}
	c.now, c.keys = place.Now, make(map[string][]int64)
	if err := c.look(ctx, place); err != nil {
		return err
	}
	if over, err := c.claimSuspect(ctx); err != nil || over {
		return err
	}
	for _, d := range c.due {
		if err := c.claimDue(ctx, d); err != nil {
			return err
		}
	}
	if len(c.claimed) < c.max {
		if err := c.claimNew(ctx, place.Cursor); err != nil {
			return err
		}
	}
	switch {
	case c.parked:
		c.pause = 0 // others may go on
	case c.next.Valid:
		c.wakeAt(c.next.Int64)
	}
	return nil
}

// look asks for all that is to be decided on.
func (c *claim) look(ctx context.Context, place Place) error {
	now := c.now.UnixNano()
	// Where others can settle meanwhile, what they have under way is left out. So a
	// claim never waits for a settlement.
	// Suspects are asked for by themselves: those that cannot be claimed now must not
	// take the place of others.
	for _, which := range []string{"(d.token % 2 = 1 or d.suspect)", "not (d.token % 2 = 1 or d.suspect)"} {
		if err := c.askDeliveries(ctx, &c.due, which+" and d.due <= ? order by d.due, d.id limit ? {skip locked}", now, c.max); err != nil {
			return err
		}
	}
	if err := c.tx.Ask(ctx, func(row Row) error { return row.Scan(&c.next) },
		"select min(due) from @delivery where grp = ? and due > ? and due < ?", c.group, now, int64(never)); err != nil {
		return err
	}
	if err := c.tx.Query(ctx, func(row Row) error {
		var m candidate
		err := row.Scan(&m.id, &m.key, &m.after)
		c.messages = append(c.messages, m)
		return err
	}, "select m.id, m.key, m.after from @message m where m.topic = ? and m.id > ? and m.id <= ? order by m.id limit ?", c.Topic, place.Cursor, place.Final, c.scanned()); err != nil {
		return err
	}
	if !c.OrderByKey {
		return nil
	}
	return errors.Join(c.askLines(ctx), c.askQueues(ctx), c.tx.Answer(ctx))
}

// wakeAt has Receive look again when something is due, if nothing was claimed.
func (c *claim) wakeAt(due int64) { c.pause = min(c.pause, time.Unix(0, due).Sub(c.now)) }

// delivery is a row of the table, with its message.
type delivery struct {
	scanned
	token   int64
	attempt int
	suspect bool
	order   sql.NullString // the key, unless it runs out of order
	line    line
}

// line is what is in the line of a delivery's key, beside it.
type line struct {
	earlier int  // how many have lower ids
	taken   bool // somebody has one with a higher id
	parked  bool // one with a higher id is parked
}

// isSuspect reports whether a lease of the delivery ran out, just now or before.
func (d *delivery) isSuspect() bool { return d.token%2 == 1 || d.suspect }

const deliveryColumns = messageColumns + ", d.token, d.attempt, d.suspect, d.key"

// askDeliveries asks for deliveries of the group.
func (c *claim) askDeliveries(ctx context.Context, rows *[]*delivery, condition string, arguments ...any) error {
	return c.tx.Ask(ctx, func(row Row) error {
		d := new(delivery)
		*rows = append(*rows, d)
		return row.Scan(d.fields(&d.token, &d.attempt, &d.suspect, &d.order)...)
	}, "select "+deliveryColumns+" from @delivery d join @message m on m.id = d.id where d.grp = ? and "+condition, append([]any{c.group}, arguments...)...)
}

// askLines asks what is in the line of each that is due.
func (c *claim) askLines(ctx context.Context) error {
	byID := make(map[int64]*delivery)
	var ids []int64
	for _, d := range c.due {
		if d.order.Valid {
			byID[d.id] = d
			ids = append(ids, d.id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	now := c.now.UnixNano()
	return c.tx.Ask(ctx, func(row Row) error {
		var id int64
		var l line
		err := row.Scan(&id, &l.earlier, &l.taken, &l.parked)
		if d := byID[id]; d != nil {
			d.line = l
		}
		return err
	}, `select d.id,
			(select count(*) from (select 1 from @delivery e {by key} where e.grp = d.grp and e.key = d.key and e.id < d.id and `+isInLine+` limit ?) as earlier),
			exists (select 1 from @delivery e {by live} where e.grp = d.grp and e.key = d.key and e.id > d.id and `+isTaken+`),
			exists (select 1 from @delivery e {by key} where e.grp = d.grp and e.key = d.key and e.id > d.id and e.due = ?)
		from @delivery d where d.grp = ? and d.id in ({numbers})`,
		now, int64(never), c.max+1, now, int64(never), c.group, List(ids))
}

// List is an argument for {numbers} and {texts}.
func List[T any](values []T) string {
	text, _ := json.Marshal(values) // of numbers and strings: it cannot fail
	return string(text)
}

// isInLine is a condition for a delivery of a key: it was not published for a later
// time. It takes the time, and never.
const isInLine = "not (e.token = 0 and e.due > ? and e.due < ?)"

// isLive is a condition for a delivery that is neither parked nor dead. It is in the
// words of an index.
const isLive = "e.due < 9223372036854775807"

// isTaken is a condition for a delivery of a key: somebody has it. It takes the time.
const isTaken = isLive + " and e.token % 2 = 1 and e.due > ?"

// claimSuspect claims one of those due whose lease ran out, alone. It reports whether
// nothing more is to be claimed: that is so also while others are in hand.
func (c *claim) claimSuspect(ctx context.Context) (over bool, err error) {
	for _, d := range c.due {
		if !d.isSuspect() {
			continue
		}
		if wait, pause := c.isToBeAlone(); wait || pause > 0 {
			c.pause = min(c.pause, pause)
			return wait, nil
		}
		if d.token%2 == 1 && d.suspect {
			d.attempt++ // it was alone then, too
		}
		if parked, err := c.park(ctx, d); err != nil {
			return false, err
		} else if parked {
			continue
		}
		c.suspect = true
		return true, c.take(ctx, d, true)
	}
	return false, nil
}

// claimDue claims a delivery, and those of its key that are parked behind it.
func (c *claim) claimDue(ctx context.Context, d *delivery) error {
	if len(c.claimed) >= c.max || d.isSuspect() {
		return nil
	}
	if parked, err := c.park(ctx, d); err != nil || parked {
		return err
	}
	if err := c.take(ctx, d, false); err != nil || !d.line.parked && !c.parked || !d.order.Valid {
		return err
	}
	return c.takeParked(ctx, d)
}

// takeParked claims what is parked behind a delivery, up to one that waits for its
// retry, that somebody has, or that is suspected, and so comes alone.
func (c *claim) takeParked(ctx context.Context, d *delivery) error {
	var parked []*delivery
	if err := c.askDeliveries(ctx, &parked, `d.key = ? and d.due = ? and d.id > ? and d.id < coalesce(
			(select e.id from @delivery e {by live} where e.grp = ? and e.key = ? and e.id > ? and `+isLive+` and `+isInLine+` order by e.id limit 1), ?)
		order by d.id limit ?`,
		d.order.String, int64(never), d.id, c.group, d.order.String, d.id, c.now.UnixNano(), int64(never), int64(never), c.max-len(c.claimed)); err != nil {
		return err
	}
	if err := c.tx.Answer(ctx); err != nil {
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

// park has a delivery wait for those that block it: others of its key that are before
// it, or in somebody's hands, those aside that are claimed here.
func (c *claim) park(ctx context.Context, d *delivery) (parked bool, err error) {
	mine := 0
	for _, id := range c.keys[d.order.String] {
		if id < d.id {
			mine++
		}
	}
	if !d.order.Valid || !d.line.taken && d.line.earlier <= mine {
		return false, nil
	}
	c.parked = true
	err = c.tx.Exec(ctx, nil, "update @delivery set due = ?, token = token + token % 2, attempt = ?, suspect = ? where grp = ? and id = ?",
		int64(never), d.attempt, d.isSuspect(), c.group, d.id)
	if err == nil {
		err = unpark(ctx, c.tx, c.group, d.order.String, c.now)
	}
	return true, err
}

// take makes a row the receiver's.
func (c *claim) take(ctx context.Context, d *delivery, suspect bool) error {
	token := d.token + 1 + d.token%2
	err := c.tx.Exec(ctx, nil, "update @delivery set due = ?, token = ?, attempt = ?, suspect = ? where grp = ? and id = ?",
		nanos(c.now.Add(c.Lease)), token, d.attempt, suspect, c.group, d.id)
	c.add(&d.scanned, lease{d.id, token, d.order.String}, d.attempt)
	return err
}

func (c *claim) add(s *scanned, l lease, attempt int) {
	if l.key != "" {
		c.keys[l.key] = append(c.keys[l.key], l.id)
	}
	c.claimed = append(c.claimed, &durable.Delivery{
		Message: s.message(),
		Group:   c.Group,
		Attempt: attempt + 1,
		Claimed: c.called,
		Ref:     fmt.Sprint(l.id),
		Lease:   l,
	})
}
