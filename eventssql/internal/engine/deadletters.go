package engine

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/typedbus/events/durable"
)

type deadLetters struct{ *Engine }

// DeadLetters returns the dead letters of all groups.
func (e *Engine) DeadLetters() durable.DeadLetters { return deadLetters{e} }

// groupNumber asks for the number of a group.
func groupNumber(topic, name string, ask func(row func(Row) error, query string, arguments ...any) error) (number int64, err error) {
	found := false
	err = ask(func(row Row) error {
		found = true
		return row.Scan(&number)
	}, "select id from @group where topic = ? and name = ?", topic, name)
	if err == nil && !found {
		err = fmt.Errorf("%w: %q of topic %q", durable.ErrUnknownGroup, name, topic)
	}
	return number, err
}

// enter enters a group, and returns its number.
func enter(ctx context.Context, tx Tx, topic, name string) (number int64, place Place, err error) {
	number, err = groupNumber(topic, name, func(row func(Row) error, query string, arguments ...any) error {
		return tx.Query(ctx, row, query, arguments...)
	})
	if err != nil {
		return 0, place, err
	}
	place, ok, err := tx.Enter(ctx, number)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %q of topic %q", durable.ErrUnknownGroup, name, topic)
	}
	return number, place, err
}

func (l deadLetters) List(ctx context.Context, topic, group, after string, most int) (list []durable.DeadLetter, err error) {
	behind := int64(0)
	if after != "" {
		if behind, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: no reference of a dead letter: %q", l.Name, after)
		}
	}
	number, err := groupNumber(topic, group, func(row func(Row) error, query string, arguments ...any) error {
		return l.Read(ctx, row, query, arguments...)
	})
	if err != nil {
		return nil, err
	}
	err = l.Read(ctx, func(row Row) error {
		var m scanned
		var attempt int
		var reason sql.NullString
		if err := row.Scan(m.fields(&attempt, &reason)...); err != nil {
			return err
		}
		list = append(list, durable.DeadLetter{Message: m.message(), Group: group, Ref: fmt.Sprint(m.id), Attempts: attempt, Reason: reason.String})
		return nil
	}, "select "+messageColumns+", d.attempt, d.error from @delivery d join @message m on m.id = d.id where d.grp = ? and d.id > ? and d.due is null order by d.id limit ?", number, behind, max(most, 0))
	return list, err
}

func (l deadLetters) Redrive(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return l.each(ctx, topic, group, refs, func(p Place) (string, []any) {
		return "update @delivery set due = ?, token = token + 2, attempt = 0, suspect = false where grp = ? and id = ? and due is null", []any{p.Now.UnixNano()}
	})
}

func (l deadLetters) Discard(ctx context.Context, topic, group string, refs ...string) (int, error) {
	return l.each(ctx, topic, group, refs, func(Place) (string, []any) {
		return "delete from @delivery where grp = ? and id = ? and due is null", nil
	})
}

// each executes a statement for each of the dead letters named.
func (l deadLetters) each(ctx context.Context, topic, group string, refs []string, statement func(Place) (string, []any)) (n int, err error) {
	changed := make([]int64, len(refs))
	err = l.Write(ctx, func(ctx context.Context, tx Tx) error {
		clear(changed)
		number, place, err := enter(ctx, tx, topic, group)
		if err != nil {
			return err
		}
		for i, ref := range refs {
			id, err := strconv.ParseInt(ref, 10, 64)
			if err != nil {
				continue // there is none of that name
			}
			text, arguments := statement(place)
			if err := tx.Exec(ctx, &changed[i], text, append(arguments, number, id)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, each := range changed {
		n += int(each)
	}
	l.Wake(topic)
	return n, nil
}
