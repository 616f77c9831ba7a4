package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// writer is what writes, one goroutine at a time.
type writer struct {
	*engine.Dialect
	*engine.Line[func(context.Context, engine.Tx) error] // in a transaction; maybe more than once

	db   *sql.DB
	conn *sql.Conn            // of who stores, as all below
	stmt map[string]*sql.Stmt // by their text
}

type operation = engine.Operation[func(context.Context, engine.Tx) error]

// newWriter returns a writer. What it has begun to store it stores, until storing is done.
func newWriter(storing context.Context, d *engine.Dialect, db *sql.DB, conn *sql.Conn) *writer {
	w := &writer{Dialect: d, db: db, conn: conn, stmt: make(map[string]*sql.Stmt)}
	w.Line = engine.NewLine(false, func(_ context.Context, ops []*operation) { w.store(storing, ops) })
	return w
}

// store stores operations in one transaction, or each in one of its own if one of
// them fails, so that none fails because of another.
func (w *writer) store(ctx context.Context, ops []*operation) {
	err := w.transact(ctx, ops)
	if _, is := errors.AsType[*operationError](err); is && len(ops) > 1 {
		for _, op := range ops {
			w.store(ctx, []*operation{op})
		}
		return
	}
	engine.Finish(ops, explain(err))
}

func (w *writer) transact(ctx context.Context, ops []*operation) (err error) {
	if _, err := w.conn.ExecContext(ctx, "begin immediate"); err != nil {
		if isBusy(err) {
			return err
		}
		return errors.Join(err, w.reconnect(ctx))
	}
	for _, op := range ops {
		if err = op.What(ctx, w); err != nil {
			err = &operationError{err}
			break
		}
	}
	if err == nil {
		_, err = w.conn.ExecContext(ctx, "commit")
	}
	if err != nil {
		_, undone := w.conn.ExecContext(ctx, "rollback")
		if undone != nil && !strings.Contains(undone.Error(), "no transaction") {
			err = errors.Join(err, undone, w.reconnect(ctx))
		}
	}
	return err
}

// reconnect replaces a connection that is broken, or that may be within a transaction that
// cannot be ended.
func (w *writer) reconnect(ctx context.Context) error {
	conn, err := w.db.Conn(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	for _, stmt := range w.stmt {
		_ = stmt.Close() // or the connection stays open
	}
	_ = w.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that nobody gets it
	_ = w.conn.Close()
	w.conn, w.stmt = conn, make(map[string]*sql.Stmt)
	return nil
}

// operationError is an error of one operation.
type operationError struct{ error }

func (e *operationError) Unwrap() error { return e.error }

// explain says what to do about an error of SQLite that users meet.
func explain(err error) error {
	if err == nil || !isBusy(err) {
		return err
	}
	return fmt.Errorf("%w: another connection has a transaction open that writes; within one of your own, publish through Store.Tx", err)
}

func isBusy(err error) bool { return strings.Contains(err.Error(), "SQLITE_BUSY") }

// prepared returns a statement, which is prepared once, with the prefix of the
// tables in place of @.
func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := w.stmt[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, w.SQL(query))
	if err != nil {
		return nil, err
	}
	w.stmt[query] = stmt
	return stmt, nil
}

// Exec executes a statement.
func (w *writer) Exec(ctx context.Context, changed *int64, statement string, arguments ...any) error {
	stmt, err := w.prepared(ctx, statement)
	if err != nil {
		return err
	}
	result, err := stmt.ExecContext(ctx, arguments...)
	if err == nil && changed != nil {
		*changed, err = result.RowsAffected()
	}
	return err
}

// Query calls row for each row of a result.
func (w *writer) Query(ctx context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	stmt, err := w.prepared(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, arguments...)
	if err != nil {
		return err
	}
	return each(rows, row)
}

// Ask has nothing to wait for: there is no way to the database.
func (w *writer) Ask(ctx context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	return w.Query(ctx, row, query, arguments...)
}

// Answer has nothing left to do.
func (*writer) Answer(context.Context) error { return nil }

// Enter has nothing to lock: nobody else writes.
func (w *writer) Enter(ctx context.Context, group int64) (place engine.Place, ok bool, err error) {
	place = engine.Place{Now: time.Now(), Final: math.MaxInt64}
	err = w.Query(ctx, func(row engine.Row) error {
		ok = true
		return row.Scan(&place.Cursor)
	}, "select cursor from @group where id = ?", group)
	return place, ok, err
}

// Exclude has nothing to wait for: nobody else writes.
func (*writer) Exclude(context.Context) error { return nil }

// Final is the last id: ids are in the order in which messages are stored.
func (w *writer) Final(ctx context.Context) (last int64, err error) {
	err = w.Query(ctx, func(row engine.Row) error { return row.Scan(&last) }, "select coalesce(max(id), 0) from @message")
	return last, err
}

// Now is the time of this machine, on which all are that use the database.
func (*writer) Now(context.Context) (time.Time, error) { return time.Now(), nil }

// each calls row for each row of a result, and closes that.
func each(rows *sql.Rows, row func(engine.Row) error) error {
	defer func() { _ = rows.Close() }() // its error is that of Err
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
