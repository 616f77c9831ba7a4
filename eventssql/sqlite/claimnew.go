package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/typedbus/events/durable"
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

// claimNew claims messages behind the cursor. Those of a key that others have, and
// those that are due later, get a row to wait in.
func (c *claim) claimNew(ctx context.Context) error {
	cursor, err := c.cursor(ctx)
	if err != nil {
		return err
	}
	begun := cursor
	limit := min(max(leastScanned, 2*c.max), mostScanned)
	var messages []candidate
	if err := c.w.query(ctx, func(rows *sql.Rows) error {
		var m candidate
		err := rows.Scan(&m.id, &m.key, &m.after)
		messages = append(messages, m)
		return err
	}, "select m.id, m.key, m.after from @message m where m.topic = ? and m.id > ? order by m.id limit ?", c.Topic, cursor, limit); err != nil {
		return err
	}
	for _, m := range messages {
		if len(c.claimed) >= c.max {
			break
		}
		if err := c.claimMessage(ctx, &m); err != nil {
			return err
		}
		cursor = m.id
	}
	if len(messages) == limit && len(c.claimed) == 0 {
		c.next = c.now.UnixNano() // there may be more
	}
	if cursor != begun {
		_, err = c.w.exec(ctx, "update @group set cursor = ? where id = ?", cursor, c.group)
	}
	return err
}

// cursor returns up to where messages were looked at.
func (c *claim) cursor(ctx context.Context) (cursor int64, err error) {
	found := false
	err = c.w.query(ctx, func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&cursor)
	}, "select cursor from @group where id = ?", c.group)
	if err == nil && !found {
		err = fmt.Errorf("%w: %q of topic %q was removed", durable.ErrUnknownGroup, c.Group, c.Topic)
	}
	return cursor, err
}

func (c *claim) claimMessage(ctx context.Context, m *candidate) error {
	var order any
	l := lease{m.id, 1, "", nanos(c.now.Add(c.Lease))}
	due := l.until
	if c.OrderByKey && m.key.Valid {
		l.key, order = m.key.String, m.key.String
	}
	if m.after.Valid && m.after.Int64 > c.now.UnixNano() {
		l.token, due = 0, m.after.Int64
		c.next = min(c.next, due)
	} else if l.key != "" {
		taken, err := c.isTaken(ctx, l.key)
		if err != nil {
			return err
		}
		if taken {
			l.token, due = 0, never
		}
	}
	_, err := c.w.exec(ctx, "insert into @delivery (grp, id, due, token, attempt, suspect, key) values (?, ?, ?, ?, 0, 0, ?)", c.group, m.id, due, l.token, order)
	if err != nil || l.token == 0 {
		return err
	}
	var message scanned
	err = c.w.query(ctx, func(rows *sql.Rows) error { return rows.Scan(message.fields()...) },
		"select "+messageColumns+" from @message m where m.id = ?", m.id)
	c.add(&message, l, 0)
	return err
}
