package sqlite

import (
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"time"
)

// Option configures [Open] and [OpenDB].
type Option interface{ apply(*settings) }

type settings struct {
	prefix    string
	maxSize   int
	retention time.Duration
	logger    *slog.Logger
}

type option func(*settings)

func (f option) apply(s *settings) { f(s) }

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// WithPrefix sets what the names of the tables begin with. The default is events_.
//
// It panics if prefix is not made of letters, digits and underscores.
func WithPrefix(prefix string) Option {
	if !identifier.MatchString(prefix) {
		panic(fmt.Sprintf("sqlite: WithPrefix(%q): want letters, digits and underscores", prefix))
	}
	return option(func(s *settings) { s.prefix = prefix })
}

// WithMaxSize sets how many bytes a message may have, with its headers. The default
// is 512 KiB.
//
// It panics if n is less than 1.
func WithMaxSize(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("sqlite: WithMaxSize(%d): want 1 or more", n))
	}
	return option(func(s *settings) { s.maxSize = n })
}

// WithRetention sets for how long messages of a topic are kept that has no group.
// The default is a week. Those of a topic with groups go when all have handled them.
//
// It panics if d is negative.
func WithRetention(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("sqlite: WithRetention(%v): want 0 or more", d))
	}
	return option(func(s *settings) { s.retention = d })
}

// WithLogger sets where the store logs what goes wrong in the background. The
// default is [slog.Default] at the time of the call.
//
// It panics if logger is nil.
func WithLogger(logger *slog.Logger) Option {
	if logger == nil {
		panic("sqlite: WithLogger: logger is nil")
	}
	return option(func(s *settings) { s.logger = logger })
}

func readOptions(options []Option) *settings {
	s := &settings{prefix: "events_", maxSize: 512 << 10, retention: 7 * 24 * time.Hour, logger: slog.Default()}
	for _, o := range options {
		o.apply(s)
	}
	return s
}

// DSN returns the data source name by which the driver modernc.org/sqlite opens a
// file as this package needs it: in WAL mode, with a full sync at each commit, with
// five seconds of patience for another writer, and with transactions that begin as
// writers, so that none fails half-way for want of the lock.
func DSN(path string) string {
	query := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(wal)", "synchronous(full)"}, "_txlock": {"immediate"}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
}
