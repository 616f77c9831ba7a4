package postgres

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/typedbus/events/eventssql/internal/engine"
)

// Option configures [Open].
type Option interface{ apply(*settings) }

type settings struct {
	schema      string
	prefix      string
	maxSize     int
	retention   time.Duration
	connections int
	listen      bool
	logger      *slog.Logger
}

type option func(*settings)

func (f option) apply(s *settings) { f(s) }

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)

// WithSchema sets the schema that the tables are in, by its exact name. The default is
// public.
//
// It panics if schema is empty, longer than 63 bytes, or has a quote or a semicolon in it.
func WithSchema(schema string) Option {
	if schema == "" || len(schema) > 63 || strings.ContainsAny(schema, "'\";\x00") {
		panic(fmt.Sprintf("postgres: WithSchema(%q): want 1 to 63 bytes without quotes and semicolons", schema))
	}
	return option(func(s *settings) { s.schema = schema })
}

// WithPrefix sets what the names of the tables begin with. The default is events_.
//
// It panics if prefix is not made of lower-case letters, digits and underscores, or longer
// than 40 of them.
func WithPrefix(prefix string) Option {
	if !identifier.MatchString(prefix) {
		panic(fmt.Sprintf("postgres: WithPrefix(%q): want up to 40 lower-case letters, digits and underscores", prefix))
	}
	return option(func(s *settings) { s.prefix = prefix })
}

// WithMaxSize sets how many bytes a message may have, with its headers. The default
// is 512 KiB.
//
// It panics if n is less than 1.
func WithMaxSize(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("postgres: WithMaxSize(%d): want 1 or more", n))
	}
	return option(func(s *settings) { s.maxSize = n })
}

// WithRetention sets for how long messages of a topic are kept that has no group.
// The default is a week. Those of a topic with groups go when all have handled them.
//
// It panics if d is negative.
func WithRetention(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("postgres: WithRetention(%v): want 0 or more", d))
	}
	return option(func(s *settings) { s.retention = d })
}

// WithConnections sets how many connections the store opens at most, besides those of
// the pool that it was opened with, and one that listens. The default is 4.
//
// It panics if n is less than 2.
func WithConnections(n int) Option {
	if n < 2 {
		panic(fmt.Sprintf("postgres: WithConnections(%d): want 2 or more", n))
	}
	return option(func(s *settings) { s.connections = n })
}

// WithoutListen has the store not listen for what other processes tell it, but find their
// events by looking alone, every 10 to 250 milliseconds. It is for where LISTEN does not
// work, as behind pgbouncer in transaction mode.
func WithoutListen() Option { return option(func(s *settings) { s.listen = false }) }

// WithLogger sets where the store logs what goes wrong in the background. The
// default is [slog.Default] at the time of the call.
//
// It panics if logger is nil.
func WithLogger(logger *slog.Logger) Option {
	if logger == nil {
		panic("postgres: WithLogger: logger is nil")
	}
	return option(func(s *settings) { s.logger = logger })
}

func readOptions(options []Option) *settings {
	s := &settings{
		schema:      "public",
		prefix:      "events_",
		maxSize:     512 << 10,
		retention:   7 * 24 * time.Hour,
		connections: 4,
		listen:      true,
		logger:      slog.Default(),
	}
	for _, o := range options {
		o.apply(s)
	}
	return s
}

// tables is what the names of tables begin with.
func (s *settings) tables() string { return quote(s.schema) + "." + s.prefix }

func (s *settings) dialect() *engine.Dialect { return engine.Postgres(s.tables()) }

// channel is what processes listen to that share the tables.
func (s *settings) channel() string {
	return fmt.Sprintf("events_%016x", uint64(hash(s.tables())))
}

// hash returns a number for a name, for locks and channels.
func hash(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // it never fails
	return int64(h.Sum64())
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
