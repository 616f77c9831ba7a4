package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/postgres"
)

// onPostgres is a server of the rig's own, whose end and restart are among the blows.
var onPostgres = &engine{
	name: "postgres",
	missing: func() string {
		if _, err := postgresBinaries(); err != nil {
			return "PostgreSQL, which is not installed"
		}
		return ""
	},
	start: func(ctx context.Context, folder string) (string, server, error) {
		s, err := startPostgres(ctx, filepath.Join(folder, "postgres"))
		if err != nil {
			return "", nil, err
		}
		return s.address(), s, nil
	},
	open:    func(ctx context.Context, address string) (store, error) { return openPostgres(ctx, address) },
	longest: lease * 3 / 2,
}

type postgresStore struct {
	*postgres.Store
	pool *pgxpool.Pool
}

func openPostgres(ctx context.Context, address string) (*postgresStore, error) {
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, err
	}
	s, err := postgres.Open(ctx, pool)
	if err != nil {
		pool.Close()
		return nil, err
	}
	return &postgresStore{s, pool}, nil
}

func (s *postgresStore) begin(ctx context.Context) (transaction, error) {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresTransaction{s.PgxTx(tx), tx}, nil
}

func (s *postgresStore) lags(ctx context.Context) (map[string]int64, error) {
	groups, err := s.Groups(ctx)
	lags := make(map[string]int64, len(groups))
	for _, g := range groups {
		lags[g.Name] = g.Lag
	}
	return lags, err
}

func (s *postgresStore) shut(ctx context.Context) error {
	err := s.Close(ctx)
	closed := make(chan struct{})
	go func() { // it waits for connections that are in use
		defer close(closed)
		s.pool.Close()
	}()
	select {
	case <-closed:
		return err
	case <-ctx.Done():
		return errors.Join(err, context.Cause(ctx))
	}
}

type postgresTransaction struct {
	durable.Publisher
	tx pgx.Tx
}

func (t *postgresTransaction) commit(ctx context.Context) error   { return t.tx.Commit(ctx) }
func (t *postgresTransaction) rollback(ctx context.Context) error { return t.tx.Rollback(ctx) }

// cut ends the connections of all clients but its own.
func (s *postgresServer) cut(ctx context.Context) error {
	return s.execute(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")
}

func (s *postgresServer) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.address())
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// restart starts the server, and waits until it takes connections.
func (s *postgresServer) restart(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); ; {
		if err := s.launch(); err != nil {
			return err
		}
		for !s.isOver() {
			err := s.execute(ctx, "select 1")
			if err == nil {
				return nil
			}
			if ctx.Err() != nil || time.Now().After(deadline) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		if time.Now().After(deadline) {
			return errors.New("postgres does not start: see its log")
		}
		time.Sleep(100 * time.Millisecond) // what is left of the last one may have to end yet
	}
}
