package postgres

import (
	"context"
	"database/sql"
	"errors"

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
	s.watch.published.Store(true)
	s.watch.look()
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
	if _, refused := errors.AsType[*pgconn.PgError](err); refused && len(calls) > 1 {
		for _, call := range calls {
			s.publish(ctx, []*publication{call})
		}
		return
	}
	engine.Finish(calls, err)
}

// insert inserts messages. Statements that are sent together are one transaction.
func (s *Store) insert(ctx context.Context, rows [][]any) error {
	ctx, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	var batch pgx.Batch
	for statement, arguments := range engine.Inserts(rows) {
		batch.Queue(s.dialect.SQL(statement), arguments...)
	}
	return s.pool.SendBatch(ctx, &batch).Close()
}

// Execer is a transaction of the caller's by way of database/sql: [*sql.Tx], and what wraps
// one.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// PgxExecer is a transaction of the caller's by way of pgx: [pgx.Tx], and what wraps one.
type PgxExecer interface {
	Exec(ctx context.Context, query string, arguments ...any) (pgconn.CommandTag, error)
}

// Tx returns a publisher that stores messages in a transaction of the caller's, in the
// database of the store. They are there when that commits, and not at all when it does not.
// What commits after that transaction has published waits for its end, in all topics: it
// is to publish late, and to be short.
func (s *Store) Tx(tx Execer) durable.Publisher {
	return &inTransaction{s, func(ctx context.Context, statement string, arguments ...any) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	}}
}

// PgxTx is [Store.Tx] for a transaction of pgx.
func (s *Store) PgxTx(tx PgxExecer) durable.Publisher {
	return &inTransaction{s, func(ctx context.Context, statement string, arguments ...any) error {
		_, err := tx.Exec(ctx, statement, arguments...)
		return err
	}}
}

type inTransaction struct {
	store *Store
	exec  func(ctx context.Context, statement string, arguments ...any) error
}

// Features are those of the store.
func (t *inTransaction) Features() durable.Features { return t.store.Features() }

func (t *inTransaction) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := t.store.engine.Encode(messages)
	if err != nil {
		return err
	}
	for statement, arguments := range engine.Inserts(rows) {
		if err := t.exec(ctx, t.store.dialect.SQL(statement), arguments...); err != nil {
			return err
		}
	}
	t.store.watch.published.Store(true)
	t.store.watch.look()
	return nil
}

// Once notes in a transaction of the caller's that the event which is handled with
// ctx was handled by its group, and reports whether that is the first time. So
// the effect of a handler is single, if it is made in the same transaction: when
// first is false there is nothing left to do. The transaction may be of another
// database than that of the store, in which [Migrate] has made the tables.
//
// The note stays until the group is removed.
//
// It returns an error if ctx is not that of a durable handler.
func (s *Store) Once(ctx context.Context, tx Execer) (first bool, err error) {
	return s.engine.Once(ctx, func(arguments ...any) (int64, error) {
		result, err := tx.ExecContext(ctx, s.dialect.SQL(engine.NoteOnce), arguments...)
		if err != nil {
			return 0, err
		}
		return result.RowsAffected()
	})
}

// PgxOnce is [Store.Once] for a transaction of pgx.
func (s *Store) PgxOnce(ctx context.Context, tx PgxExecer) (first bool, err error) {
	return s.engine.Once(ctx, func(arguments ...any) (int64, error) {
		tag, err := tx.Exec(ctx, s.dialect.SQL(engine.NoteOnce), arguments...)
		return tag.RowsAffected(), err
	})
}
