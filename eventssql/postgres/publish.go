package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"
)

// publication is what one call of Publish stores.
type publication = engine.Operation[[][]any]

// Publish stores messages in a transaction of the store's, all or none. Calls at the same
// time share one. When ctx is done while that is under way, they may be stored all the same.
func (s *Store) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := s.engine.Encode(messages)
	if err != nil {
		return err
	}
	if err := s.line.Do(ctx, rows); err != nil {
		return err
	}
	s.watch.announce()
	return nil
}

// publish stores what several calls publish, or each by itself if that fails, so that none
// fails because of another.
func (s *Store) publish(ctx context.Context, calls []*publication) {
	var rows [][]any
	for _, call := range calls {
		rows = append(rows, call.What...)
	}
	err := s.insert(ctx, rows)
	if refused(err) && len(calls) > 1 {
		for _, call := range calls {
			s.publish(ctx, []*publication{call})
		}
		return
	}
	switch {
	case err != nil && s.storing.Err() != nil:
		err = fmt.Errorf("%w: %w", durable.ErrClosed, err)
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	engine.Finish(calls, err)
}

// refused reports whether the server did not like what it was to store: errors of data and
// of constraints (classes 22 and 23). After others a second try is as good as none.
func refused(err error) bool {
	told, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(told.Code, "22") || strings.HasPrefix(told.Code, "23"))
}

// insert inserts messages, in one transaction.
func (s *Store) insert(ctx context.Context, rows [][]any) error {
	ctx, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	defer context.AfterFunc(s.storing, cancel)()
	if len(rows) == 1 {
		for statement, arguments := range s.inserts(rows) {
			_, err := s.pool.Exec(ctx, statement, arguments...)
			return s.explain(err)
		}
	}
	var batch pgx.Batch
	for chunk := range chunks(rows) {
		batch.Queue(s.dialect.SQL(insertColumns), columns(s.horizon.guard(), chunk)...)
	}
	return s.explain(s.pool.SendBatch(ctx, &batch).Close())
}

// mostBytes is how much data goes into one statement, one message more aside: a server
// takes a gigabyte at most.
const mostBytes = 8 << 20

// chunks cuts rows into some that fit into a statement.
func chunks(rows [][]any) iter.Seq[[][]any] {
	return func(yield func([][]any) bool) {
		begun, size := 0, 0
		for i, row := range rows {
			if size += len(row[4].([]byte)); size < mostBytes && i < len(rows)-1 {
				continue
			}
			if !yield(rows[begun : i+1]) {
				return
			}
			begun, size = i+1, 0
		}
	}
}

// insertColumns inserts many messages for which the values of each column are an array: so
// each costs a third of what it does with a statement of its own.
const insertColumns = `insert into @message (id, topic, mid, key, headers, data, at, after, stored)
	select n.id / (n.id > ?)::int, n.topic, n.mid, n.key, n.headers, n.data, n.at, n.after, n.stored
	from (select nextval('@message_id') as id, u.* from unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::bytea[], ?::bigint[], ?::bigint[], ?::bigint[])
		as u(topic, mid, key, headers, data, at, after, stored)) as n`

// columns returns the arguments of insertColumns.
func columns(final int64, rows [][]any) []any {
	topics, ids, keys, headers := make([]string, len(rows)), make([]string, len(rows)), make([]*string, len(rows)), make([]string, len(rows))
	data, at, after, stored := make([][]byte, len(rows)), make([]int64, len(rows)), make([]*int64, len(rows)), make([]int64, len(rows))
	for i, row := range rows {
		topics[i], ids[i], headers[i] = row[0].(string), row[1].(string), row[3].(string)
		data[i], at[i], stored[i] = row[4].([]byte), row[5].(int64), row[7].(int64)
		if key, ok := row[2].(string); ok {
			keys[i] = &key
		}
		if due, ok := row[6].(int64); ok {
			after[i] = &due
		}
	}
	return []any{final, topics, ids, keys, headers, data, at, after, stored}
}

// inserts returns the statements that insert messages, behind what is final.
func (s *Store) inserts(rows [][]any) iter.Seq2[string, []any] {
	guard := s.horizon.guard()
	behind := make([][]any, len(rows))
	for i, row := range rows {
		behind[i] = append([]any{guard}, row...)
	}
	return func(yield func(string, []any) bool) {
		for statement, arguments := range engine.Inserts(behind) {
			if !yield(s.dialect.SQL(statement), arguments) {
				return
			}
		}
	}
}

// divisionByZero is the code of the error of an id that groups do not look at any more.
const divisionByZero = "22012"

// explain says what to do about a sequence that was set back.
func (s *Store) explain(err error) error {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) || coded.SQLState() != divisionByZero {
		return err
	}
	_, _, back := s.horizon.place()
	if back == nil {
		back = fmt.Errorf("the sequence %s is behind %d: events would be stored where no group looks", s.dialect.SQL("@message_id"), s.horizon.guard())
	}
	return fmt.Errorf("%w (%w)", back, err)
}
