package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// schemaVersion is that of the tables below.
const schemaVersion = 1

// schema is the tables, with @ in place of their prefix.
const schema = `create table if not exists @schema (version integer not null);

create table if not exists @message (
	id integer primary key autoincrement, -- of which none is used twice
	topic text not null,
	mid text not null,
	key text,
	headers text, -- JSON: the other attributes, and the headers
	data blob not null,
	at integer not null, -- in nanoseconds, as all times
	after integer,
	stored integer not null
);
create index if not exists @message_topic on @message (topic, id);

create table if not exists @group (
	id integer primary key autoincrement,
	topic text not null,
	name text not null,
	cursor integer not null, -- all messages up to it were looked at
	ordered integer not null, -- by key
	unique (topic, name)
);

create table if not exists @delivery (
	grp integer not null,
	id integer not null,
	due integer,
	token integer not null,
	attempt integer not null, -- how many are over
	suspect integer not null, -- its lease ran out while it was not alone
	key text, -- null for what has no order, dead letters among it
	error text,
	primary key (grp, id)
) without rowid;
create index if not exists @delivery_due on @delivery (grp, due, id) where due is not null;
create index if not exists @delivery_key on @delivery (grp, key, id) where key is not null;
create index if not exists @delivery_live on @delivery (grp, key, id) where key is not null and due < 9223372036854775807; -- not parked

create table if not exists @inbox (
	topic text not null,
	grp text not null,
	mid text not null,
	at integer not null,
	primary key (topic, grp, mid)
) without rowid;
`

// Schema returns the statements that make the tables, for those who keep their
// schema themselves. It is what [Migrate] executes, together with the version.
func Schema(options ...Option) string {
	d := readOptions(options).dialect()
	return d.SQL(schema) + d.SQL(fmt.Sprintf("insert into @schema select %d where not exists (select 1 from @schema);\n", schemaVersion))
}

// Migrate makes the tables, or brings them to the version of this package. It
// returns an error for those of a later version. Opening a store does the same.
func Migrate(ctx context.Context, db *sql.DB, options ...Option) error {
	s := readOptions(options)
	if _, err := db.ExecContext(ctx, Schema(options...)); err != nil {
		return fmt.Errorf("sqlite: migrate: %w", err)
	}
	var version int
	err := db.QueryRowContext(ctx, s.dialect().SQL("select version from @schema")).Scan(&version)
	if err == nil && version != schemaVersion {
		err = fmt.Errorf("the tables %s… have schema version %d, want %d: this program is older than the database", s.prefix, version, schemaVersion)
	}
	if err != nil {
		return fmt.Errorf("sqlite: migrate: %w", err)
	}
	return nil
}

func (s *settings) dialect() *engine.Dialect { return engine.SQLite(s.prefix) }

// checkDatabase refuses a database in which events would not be safe, or not seen, and
// returns its file.
func checkDatabase(ctx context.Context, db *sql.DB) (file string, err error) {
	var mode string
	if err := db.QueryRowContext(ctx, "pragma journal_mode").Scan(&mode); err != nil {
		return "", err
	}
	if err := db.QueryRowContext(ctx, "select file from pragma_database_list where name = 'main'").Scan(&file); err != nil {
		return "", err
	}
	var synchronous int
	if err := db.QueryRowContext(ctx, "pragma synchronous").Scan(&synchronous); err != nil {
		return "", err
	}
	most := db.Stats().MaxOpenConnections
	switch {
	case file == "":
		return "", errors.New("the database is in memory, want a file: events in memory do not outlive the process")
	case !strings.EqualFold(mode, "wal"):
		return "", fmt.Errorf("%s is in journal mode %s, want wal: open it with sqlite.DSN, or execute \"pragma journal_mode = wal\"", file, mode)
	case synchronous < 2:
		return "", fmt.Errorf("%s is written with synchronous = %d, want 2 (full): a commit could be lost with the power; open it with sqlite.DSN, or with _pragma=synchronous(full)", file, synchronous)
	case most > 0 && most < 3:
		return "", fmt.Errorf("the pool has at most %d connections, want 3 or more: the engine keeps two of them", most)
	}
	return file, nil
}
