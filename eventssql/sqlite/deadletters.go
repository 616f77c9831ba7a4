package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/typedbus/events/durable"
)

type deadLetters struct{ store *Store }

// DeadLetters returns the dead letters of all groups.
func (s *Store) DeadLetters() durable.DeadLetters { return deadLetters{s} }

// group returns the number of a group, in the writer's transaction.
func (s *Store) group(ctx context.Context, w *writer, topic, name string) (number int64, err error) {
	return groupNumber(topic, name, func(row func(*sql.Rows) error, query string, arguments ...any) error {
		return w.query(ctx, row, query, arguments...)
	})
}

// groupNumber asks for the number of a group.
func groupNumber(topic, name string, ask func(row func(*sql.Rows) error, query string, arguments ...any) error) (number int64, err error) {
	found := false
	err = ask(func(rows *sql.Rows) error {
		found = true
		return rows.Scan(&number)
	}, "select id from @group where topic = ? and name = ?", topic, name)
	if err == nil && !found {
		err = fmt.Errorf("%w: %q of topic %q", durable.ErrUnknownGroup, name, topic)
	}
	return number, err
}

func (d deadLetters) List(ctx context.Context, topic, group, after string, most int) (list []durable.DeadLetter, err error) {
	behind := int64(0)
	if after != "" {
		if behind, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, fmt.Errorf("sqlite: no reference of a dead letter: %q", after)
		}
	}
	number, err := groupNumber(topic, group, func(row func(*sql.Rows) error, query string, arguments ...any) error {
		return d.store.read(ctx, row, query, arguments...)
	})
	if err != nil {
		return nil, err
	}
	err = d.store.read(ctx, func(rows *sql.Rows) error {
		var m scanned
		var attempt int
		var reason sql.NullString
		if err := rows.Scan(m.fields(&attempt, &reason)...); err != nil {
			return err
		}
		list = append(list, durable.DeadLetter{Message: m.message(), Group: group, Ref: fmt.Sprint(m.id), Attempts: attempt, Reason: reason.String})
		return nil
	}, "select "+messageColumns+", d.attempt, d.error from @delivery d join @message m on m.id = d.id where d.grp = ? and d.id > ? and d.due is null order by d.id limit ?", number, behind, max(most, 0))
	return list, err
}

func (d deadLetters) Redrive(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return d.each(ctx, topic, group, refs, "update @delivery set due = ?, token = token + 2, attempt = 0, suspect = 0 where grp = ? and id = ? and due is null", time.Now().UnixNano())
}

func (d deadLetters) Discard(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return d.each(ctx, topic, group, refs, "delete from @delivery where grp = ? and id = ? and due is null")
}

func (d deadLetters) each(ctx context.Context, topic, group string, refs []string, statement string, arguments ...any) (n int, err error) {
	err = d.store.writer.write(ctx, func(w *writer, ctx context.Context) error {
		n = 0
		number, err := d.store.group(ctx, w, topic, group)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			id, err := strconv.ParseInt(ref, 10, 64)
			if err != nil {
				continue // it is none of a dead letter
			}
			changed, err := w.exec(ctx, statement, append(slices.Clip(arguments), number, id)...)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	d.store.watch.wake(map[string]bool{topic: true})
	return n, nil
}
