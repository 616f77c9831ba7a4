package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"
)

// mostAtOnce is how many operations go into one transaction.
const mostAtOnce = 512

// writer is the one goroutine that writes. It takes the operations that have come
// up while the last transaction was stored, and stores them in one.
type writer struct {
	engine.Dialect
	conn *sql.Conn
	stmt map[string]*sql.Stmt // of the goroutine alone

	mu      sync.Mutex
	pending []*operation  // guarded by mu
	closed  bool          // guarded by mu
	work    chan struct{} // has a token while there may be pending operations
}

// operation is what is to be written.
type operation struct {
	do   func(context.Context, engine.Tx) error // in the writer's goroutine, in a transaction; maybe more than once
	err  error
	done chan struct{}
}

func newWriter(d engine.Dialect, conn *sql.Conn) *writer {
	return &writer{Dialect: d, conn: conn, stmt: make(map[string]*sql.Stmt), work: make(chan struct{}, 1)}
}

// write has an operation done and returns when it is stored. If ctx is done
// before it has begun, it is not done at all.
func (w *writer) write(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	op := &operation{do: do, done: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return durable.ErrClosed
	}
	w.pending = append(w.pending, op)
	w.mu.Unlock()
	w.signal()
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		if w.withdraw(op) {
			return context.Cause(ctx)
		}
		<-op.done
		return op.err
	}
}

func (w *writer) signal() {
	select {
	case w.work <- struct{}{}:
	default:
	}
}

func (w *writer) withdraw(op *operation) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, each := range w.pending {
		if each == op {
			w.pending = append(w.pending[:i], w.pending[i+1:]...)
			return true
		}
	}
	return false
}

func (w *writer) next() []*operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.pending), mostAtOnce)
	ops := w.pending[:n:n]
	w.pending = w.pending[n:]
	if len(w.pending) > 0 {
		w.signal()
	}
	return ops
}

func (w *writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}

// close refuses operations from now on.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// run is the goroutine. When ctx is done it stores what is pending, for as long as
// storing lasts, and ends.
func (w *writer) run(ctx, storing context.Context) {
	for over := false; !over; {
		select {
		case <-w.work:
		case <-ctx.Done():
			over = true
		}
		for ops := w.next(); len(ops) > 0; ops = w.next() {
			w.store(storing, ops)
		}
	}
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
	for _, op := range ops {
		op.err = explain(err)
		close(op.done)
	}
}

func (w *writer) transact(ctx context.Context, ops []*operation) (err error) {
	if _, err := w.conn.ExecContext(ctx, "begin immediate"); err != nil {
		return err
	}
	for _, op := range ops {
		if err = op.do(ctx, w); err != nil {
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
			err = errors.Join(err, undone)
		}
	}
	return err
}

// operationError is an error of one operation.
type operationError struct{ error }

func (e *operationError) Unwrap() error { return e.error }

// explain says what to do about an error of SQLite that users meet.
func explain(err error) error {
	if err == nil || !strings.Contains(err.Error(), "SQLITE_BUSY") {
		return err
	}
	return fmt.Errorf("%w: another connection has a transaction open that writes; within one of your own, publish through Store.Tx", err)
}

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

// Enter has nothing to lock: nobody else writes.
func (w *writer) Enter(ctx context.Context, group int64) (place engine.Place, ok bool, err error) {
	place = engine.Place{Now: time.Now(), Final: math.MaxInt64}
	err = w.Query(ctx, func(row engine.Row) error {
		ok = true
		return row.Scan(&place.Cursor)
	}, "select cursor from @group where id = ?", group)
	return place, ok, err
}

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
