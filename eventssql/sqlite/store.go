package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/internal/engine"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Store is an engine of package durable on a SQLite database. It is safe for use by
// any number of goroutines.
type Store struct {
	dialect *engine.Dialect
	engine  *engine.Engine
	db      *sql.DB
	own     bool // db was opened by the store
	writer  *writer
	watch   watch

	stop       context.CancelFunc
	abandon    context.CancelFunc // what is being written
	background sync.WaitGroup
	once       sync.Once
	err        error
}

var _ durable.Engine = (*Store)(nil)

// Open opens a store in a file of its own, and makes it if there is none.
func Open(ctx context.Context, path string, options ...Option) (*Store, error) {
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	s, err := OpenDB(ctx, db, options...)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	s.own = true
	return s, nil
}

// OpenDB opens a store in a database of the caller's, so that [Store.Tx] publishes
// with the caller's transactions. It makes the tables. The database has to be a file in
// WAL mode with full syncs, as [DSN] asks for, and its pool must allow three connections or more.
// Close leaves the database open.
func OpenDB(ctx context.Context, db *sql.DB, options ...Option) (*Store, error) {
	chosen := readOptions(options)
	s := &Store{dialect: chosen.dialect(), db: db}
	s.engine = &engine.Engine{Database: database{s}, Name: "sqlite", MaxSize: chosen.maxSize, Retention: chosen.retention, Logger: chosen.logger}
	if err := s.open(ctx, options); err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, options []Option) error {
	file, err := checkDatabase(ctx, s.db)
	if err != nil {
		return err
	}
	if err := Migrate(ctx, s.db, options...); err != nil {
		return err
	}
	writing, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	reading, err := s.db.Conn(ctx)
	if err != nil {
		_ = writing.Close()
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	storing, abandon := context.WithCancel(context.WithoutCancel(ctx))
	s.abandon = abandon
	s.writer = newWriter(storing, s.dialect, s.db, writing)
	s.watch = watch{store: s, conn: reading}
	s.background.Go(func() { s.writer.Run(storing) })
	s.background.Go(func() { s.watch.run(background) })
	log := &wal{store: s, path: file + "-wal", limit: walLimit}
	s.background.Go(func() {
		s.engine.Chore(background, walLook, "move the write-ahead log into the database", log.check)
	})
	s.background.Go(func() { s.engine.SweepNowAndThen(background) })
	return nil
}

// Features returns all of them.
func (*Store) Features() durable.Features { return engine.Features() }

// Open opens a group, and makes it if there is none.
func (s *Store) Open(ctx context.Context, c durable.Consumer) (durable.Receiver, error) {
	return s.engine.Open(ctx, c)
}

// database is the store as its engine sees it.
type database struct{ *Store }

func (d database) Write(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	return d.writer.Do(ctx, do)
}

func (d database) Claim(ctx context.Context, do func(context.Context, engine.Tx) error) error {
	return d.writer.Do(ctx, do)
}

func (d database) Read(ctx context.Context, row func(engine.Row) error, query string, arguments ...any) error {
	if d.Closed() {
		return durable.ErrClosed
	}
	rows, err := d.db.QueryContext(ctx, d.dialect.SQL(query), arguments...)
	if err != nil {
		return err
	}
	return each(rows, row)
}

// Await has nothing to do: all that commits is seen at once, or by the watch.
func (database) Await() {}

func (d database) Closed() bool { return d.writer.Closed() }

// Close ends the goroutines of the store and gives its connections back. What was
// asked for before is stored, until ctx is done; what comes later is refused with
// [durable.ErrClosed]. Subscriptions are to be closed before, the database after.
func (s *Store) Close(ctx context.Context) error {
	s.once.Do(func() {
		s.writer.Close()
		s.stop()
		abandoned := context.AfterFunc(ctx, s.abandon)
		s.background.Wait()
		abandoned()
		s.abandon()
		s.engine.WakeAll()
		s.err = s.writer.conn.Close()
		if err := s.watch.conn.Close(); s.err == nil {
			s.err = err
		}
		if s.own {
			if err := s.db.Close(); s.err == nil {
				s.err = err
			}
		}
	})
	return s.err
}
