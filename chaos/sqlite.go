package main

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"time"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

// onSQLite is a file that all processes have open. A transaction of the caller's keeps
// all others from writing, so it must be over well before leases have to be renewed.
var onSQLite = &engine{
	name:    "sqlite",
	missing: func() string { return "" },
	start: func(_ context.Context, folder string) (string, server, error) {
		return filepath.Join(folder, "events.db"), nil, nil
	},
	open:    openSQLite,
	longest: 100 * time.Millisecond,
}

type sqliteStore struct {
	*sqlite.Store
	db *sql.DB
}

func openSQLite(ctx context.Context, path string) (store, error) {
	db, err := sql.Open("sqlite", sqlite.DSN(path))
	if err != nil {
		return nil, err
	}
	s, err := sqlite.OpenDB(ctx, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &sqliteStore{s, db}, nil
}

func (s *sqliteStore) begin(ctx context.Context) (transaction, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return &sqliteTransaction{s.Tx(tx), tx}, nil
}

func (s *sqliteStore) lags(ctx context.Context) (map[string]int64, error) {
	groups, err := s.Groups(ctx)
	lags := make(map[string]int64, len(groups))
	for _, g := range groups {
		lags[g.Name] = g.Lag
	}
	return lags, err
}

func (s *sqliteStore) shut(ctx context.Context) error {
	return errors.Join(s.Close(ctx), s.db.Close())
}

type sqliteTransaction struct {
	durable.Publisher
	tx *sql.Tx
}

func (t *sqliteTransaction) commit(context.Context) error   { return t.tx.Commit() }
func (t *sqliteTransaction) rollback(context.Context) error { return t.tx.Rollback() }
