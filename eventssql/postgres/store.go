package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"
)

// Store is an engine of package durable on a PostgreSQL database. It is safe for use by
// any number of goroutines.
type Store struct {
	*settings
	dialect *engine.Dialect
	engine  *engine.Engine
	pool    *pgxpool.Pool // the store's own
	claims  chan struct{} // a token for each claim under way
	horizon horizon
	line    *engine.Line[[][]any] // of what is published
	watch   watch

	stop       context.CancelFunc
	storing    context.Context // of what is being stored
	abandon    context.CancelFunc
	background sync.WaitGroup

	mu      sync.Mutex
	closed  bool           // guarded by mu
	working sync.WaitGroup // what has begun
	once    sync.Once
	done    chan struct{}
	err     error // set before done
}

var _ durable.Engine = (*Store)(nil)

// Open opens a store in the database of a pool, and makes the tables if there are none.
// The store connects as the pool does, with a few connections of its own
// ([WithConnections]), so that handlers that have all those of the pool do not cost it its
// leases. It leaves the pool open.
//
// It refuses a standby, a server that commits asynchronously, tables of another version,
// and a sequence of message ids that is behind the messages, with the remedy.
func Open(ctx context.Context, pool *pgxpool.Pool, options ...Option) (*Store, error) {
	chosen := readOptions(options)
	s := &Store{settings: chosen, dialect: chosen.dialect(), done: make(chan struct{})}
	s.line = engine.NewLine(true, s.publish)
	s.engine = &engine.Engine{Database: database{s}, Name: "postgres", MaxSize: chosen.maxSize, Retention: chosen.retention, Logger: chosen.logger}
	if err := s.open(ctx, pool, options); err != nil {
		if s.pool != nil {
			s.abandon()
			s.pool.Close()
		}
		return nil, fmt.Errorf("postgres: open: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, pool *pgxpool.Pool, options []Option) error {
	if pool == nil {
		return errors.New("the pool is nil")
	}
	config := pool.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = int32(s.connections), 0, 0
	// What the user does with connections is for the user's work.
	config.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { return true, nil }
	config.AfterRelease = nil
	own, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return err
	}
	s.pool = own
	s.storing, s.abandon = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.check(ctx, pool); err != nil {
		return err
	}
	if err := migrate(ctx, pool, options); err != nil {
		return err
	}
	if err := s.checkSequence(ctx, pool); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	s.claims = make(chan struct{}, s.connections/2)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.watch.init(s)
	s.background.Go(func() { s.line.Run(s.storing) })
	s.background.Go(func() { s.watch.run(background) })
	s.background.Go(func() { s.engine.SweepNowAndThen(background) })
	if s.listen {
		s.background.Go(func() { s.watch.listen(background, config) })
	}
	return nil
}

// Features returns all of them.
func (*Store) Features() durable.Features { return engine.Features() }

// Open opens a group, and makes it if there is none. A new one begins behind what was
// stored before, once the transactions are over that have published and are open. It waits
// for them for a second. If one stays open, the group begins with what no other group has
// passed, so that it may get events that were stored before it was made.
func (s *Store) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	return s.engine.Open(ctx, c)
}

// Close ends the goroutines of the store and closes its connections. What was asked for
// before is done, until ctx is done: then Close returns its cause, and connections are
// closed as soon as the server lets go of them. What comes later is refused with
// [durable.ErrClosed]. Subscriptions are to be closed before, the pool after. It may be
// called more than once; the deadline of the first call counts.
func (s *Store) Close(ctx context.Context) error {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.line.Close()
		s.stop()
		giveUp := context.AfterFunc(ctx, s.abandon)
		go func() {
			defer close(s.done)
			s.background.Wait()
			s.working.Wait()
			if !giveUp() {
				s.err = context.Cause(ctx)
			}
			s.abandon()
			s.engine.WakeAll()
			s.pool.Close()
		}()
	})
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err
	case <-timer.C:
		return context.Cause(ctx)
	}
}

// enter begins something that Close waits for. Its end is working.Done.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return durable.ErrClosed
	}
	s.working.Add(1)
	return nil
}

// database is the store as its engine sees it.
type database struct{ *Store }

func (d database) Closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// Await looks at once for what has come up while nobody was waiting.
func (d database) Await() { d.watch.lookSoon() }

func (d database) Write(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	return d.closedOr(d.transact(ctx, do))
}

// Claim leaves connections for those who settle: a claim waits while another process
// claims in the same group.
func (d database) Claim(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	select {
	case d.claims <- struct{}{}:
		defer func() { <-d.claims }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return d.Write(ctx, do)
}

func (d database) Read(ctx context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.working.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.storing, cancel)()
	rows, err := d.pool.Query(ctx, d.dialect.SQL(query), arguments...)
	if err != nil {
		return d.closedOr(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return d.closedOr(rows.Err())
}

// closedOr returns ErrClosed in place of what the pool says when the store was closed
// meanwhile.
func (d database) closedOr(err error) error {
	if err != nil && d.storing.Err() != nil && !errors.Is(err, durable.ErrClosed) {
		return fmt.Errorf("%w: %w", durable.ErrClosed, err)
	}
	return err
}

// connect opens a connection that is in no pool.
func connect(ctx context.Context, config *pgxpool.Config) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, longestTransaction)
	defer cancel()
	how := config.ConnConfig.Copy()
	if config.BeforeConnect != nil {
		if err := config.BeforeConnect(ctx, how); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, how)
}

// disconnect closes a connection, without patience.
func disconnect(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // there is nothing more to say
}
