package sqlite

import (
	"context"
	"database/sql"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"
)

// Execer is a transaction of the caller's: [*sql.Tx], and what wraps one.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Publish stores messages in a transaction of the store's, all or none. Where
// the caller has one open that writes, it waits for that in vain: use [Store.Tx].
func (s *Store) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := s.engine.Encode(messages)
	if err != nil {
		return err
	}
	err = s.writer.Do(ctx, func(ctx context.Context, tx engine.Tx) error {
		for statement, arguments := range engine.Inserts(rows) {
			if err := tx.Exec(ctx, nil, statement, arguments...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.engine.Wake(engine.Topics(messages)...)
	}
	return err
}

// Tx returns a publisher that stores messages in a transaction of the caller's, in
// the database of the store. They are there when that commits, and not at all
// when it does not.
func (s *Store) Tx(tx Execer) durable.Publisher {
	return s.engine.InTransaction(func(ctx context.Context, rows [][]any) error {
		for statement, arguments := range engine.Inserts(rows) {
			if _, err := tx.ExecContext(ctx, s.dialect.SQL(statement), arguments...); err != nil {
				return err
			}
		}
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
