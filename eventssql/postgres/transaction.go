package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// transaction is one of the engine's. What it is to execute goes to the server together
// with the next query, or with the commit, so that it takes few round trips.
type transaction struct {
	store *Store
	conn  *pgx.Conn
	batch pgx.Batch
}

// How long a transaction may take, how much longer when its caller has given up, and for
// how long a client that has a group locked may be silent: one that was paused then is
// disconnected, and others go on.
const (
	longestTransaction = 10 * time.Second
	grace              = time.Second
	longestSilence     = "1s"
)

// transact runs an operation in a transaction. One that has begun is not broken off at
// once when ctx is done: what a claim has stored by then would be nobody's for a lease.
func (s *Store) transact(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.working.Done()
	asked := ctx
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestTransaction)
	defer cancel()
	defer context.AfterFunc(s.storing, cancel)()
	conn, err := s.acquire(asked)
	if err != nil {
		return err
	}
	defer context.AfterFunc(asked, func() { time.AfterFunc(grace, cancel) })()
	defer conn.Release() // a connection within a transaction is closed then
	t := &transaction{store: s, conn: conn.Conn()}
	t.batch.Queue("begin isolation level read committed read write")
	if err := do(ctx, t); err != nil {
		_, _ = t.conn.Exec(ctx, "rollback") // if it fails, Release ends the transaction
		return err
	}
	t.batch.Queue("commit")
	return t.Answer(ctx)
}

// acquire takes a connection of the pool.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	conn, err := s.pool.Acquire(limited)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return conn, err
}

func (t *transaction) Answer(ctx context.Context) error {
	if t.batch.Len() == 0 {
		return nil
	}
	batch := t.batch
	t.batch = pgx.Batch{}
	return t.conn.SendBatch(ctx, &batch).Close()
}

func (t *transaction) Exec(_ context.Context, changed *int64, statement string, arguments ...any) error {
	queued := t.batch.Queue(t.store.dialect.SQL(statement), arguments...)
	if changed != nil {
		queued.Exec(func(tag pgconn.CommandTag) error {
			*changed = tag.RowsAffected()
			return nil
		})
	}
	return nil
}

func (t *transaction) Ask(_ context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	t.batch.Queue(t.store.dialect.SQL(query), arguments...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := row(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return nil
}

func (t *transaction) Query(ctx context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	return errors.Join(t.Ask(ctx, row, query, arguments...), t.Answer(ctx))
}

// now is the time of the server, in microseconds.
const now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

// Enter locks the group. What is final is not, if the server is another one by now, or has
// crashed since it was looked at: then the connection is new.
func (t *transaction) Enter(ctx context.Context, group int64) (place engine.Place, ok bool, err error) {
	if !hasLooked(t.conn) {
		if err := t.store.horizon.look(ctx, t.store, t.conn); err != nil {
			return place, false, err
		}
	}
	final, known, err := t.store.horizon.place()
	if err != nil {
		return place, false, err
	}
	t.batch.Queue("set local idle_in_transaction_session_timeout = '" + longestSilence + "'")
	var clock, server int64
	// The time is asked for outside of the query that locks: that may have to wait.
	err = t.Query(ctx, func(row engine.Row) error {
		ok = true
		return row.Scan(&place.Cursor, &clock, &server)
	}, "select g.cursor, "+now+", "+serverStart+" from (select cursor from @group where id = ? for update) as g", group)
	if place.Now = time.UnixMicro(clock); server == known {
		place.Final = final
	}
	return place, ok, err
}

// Exclude takes a lock that nobody else takes.
func (t *transaction) Exclude(ctx context.Context) error {
	return t.Exec(ctx, nil, "select pg_advisory_xact_lock(?)", hash(t.store.channel()))
}

// longestStart is how long a new group waits for transactions that are under way, so as to
// begin behind them.
const longestStart = time.Second

// Final looks until the ids are final that have been taken by now. Where a transaction
// stays open it is content with less: what other groups have passed is final, too.
func (t *transaction) Final(ctx context.Context) (final int64, err error) {
	begun, target := time.Now(), int64(-1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if err := t.store.horizon.look(ctx, t.store, t.conn); err != nil {
			return 0, err
		}
		final, last, _ := t.store.horizon.state()
		if target < 0 {
			target = last
		}
		if final >= target {
			return final, nil
		}
		if time.Since(begun) > longestStart {
			passed := int64(0)
			err := t.Query(ctx, func(row engine.Row) error { return row.Scan(&passed) }, "select coalesce(max(cursor), 0) from @group")
			return max(final, passed), err
		}
		timer.Reset(leastLook)
	}
}

func (t *transaction) Now(ctx context.Context) (time.Time, error) {
	var clock int64
	err := t.Query(ctx, func(row engine.Row) error { return row.Scan(&clock) }, "select "+now)
	return time.UnixMicro(clock), err
}
