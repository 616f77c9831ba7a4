package beside

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

var sqliteSide = side{
	name: "sqlite",
	bare: func(b *testing.B) bare {
		db := openDB(b)
		_, err := db.ExecContext(b.Context(), "create table jobs (id integer primary key autoincrement, data blob not null)")
		require.NoError(b, err)
		return bareSQLite{db, "insert into jobs (data) values (?)", []any{data}}
	},
	alike: func(b *testing.B) bare {
		db := openDB(b)
		_, err := db.ExecContext(b.Context(), "create table jobs (id integer primary key autoincrement, "+
			"topic text not null, mid text not null, key text, headers text, data blob not null, at integer not null, stored integer not null)")
		require.NoError(b, err)
		_, err = db.ExecContext(b.Context(), "create index jobs_topic on jobs (topic, id)")
		require.NoError(b, err)
		return bareSQLite{db, insertAlike("?, ?, ?, ?, ?, ?, ?"), alike}
	},
	engine: func(b *testing.B) durable.Engine {
		store, err := sqlite.OpenDB(b.Context(), openDB(b), sqlite.WithLogger(quiet()))
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, store.Close(context.Background())) })
		return store
	},
}

func openDB(b *testing.B) *sql.DB {
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(b.TempDir(), "bench.db")))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

type bareSQLite struct {
	db        *sql.DB
	insert    string
	arguments []any
}

func (p bareSQLite) publish(ctx context.Context, n int) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for range n {
		if _, err := tx.ExecContext(ctx, p.insert, p.arguments...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (p bareSQLite) consume(ctx context.Context) error {
	var job []byte
	return p.db.QueryRowContext(ctx, "delete from jobs where id = (select min(id) from jobs) returning data").Scan(&job)
}
