package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"
)

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
	return s.inTransaction(func(ctx context.Context, statement string, arguments ...any) error {
		_, err := tx.ExecContext(ctx, statement, arguments...)
		return err
	})
}

// PgxTx is [Store.Tx] for a transaction of pgx.
func (s *Store) PgxTx(tx PgxExecer) durable.Publisher {
	return s.inTransaction(func(ctx context.Context, statement string, arguments ...any) error {
		_, err := tx.Exec(ctx, statement, arguments...)
		return err
	})
}

func (s *Store) inTransaction(exec func(ctx context.Context, statement string, arguments ...any) error) durable.Publisher {
	return s.engine.InTransaction(func(ctx context.Context, rows [][]any) error {
		for statement, arguments := range s.inserts(rows) {
			if err := exec(ctx, statement, arguments...); err != nil {
				return s.explain(err)
			}
		}
		s.watch.announce()
		return nil
	})
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
