package eventsnats

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Option configures [New] and [Migrate].
type Option interface{ apply(*settings) }

type settings struct {
	stream    string
	prefix    string
	replicas  int
	maxSize   int
	retention time.Duration
	lossy     bool
	logger    *slog.Logger
}

type option func(*settings)

func (f option) apply(s *settings) { f(s) }

// WithStream sets the name of the stream. The default is events. Dead letters are in
// another one, which has that name and -dead.
//
// It panics if name is empty, or has a dot, a space, a slash, * or > in it.
func WithStream(name string) Option {
	if name == "" || strings.ContainsAny(name, ". */\\>\t\r\n") {
		panic(fmt.Sprintf("eventsnats: WithStream(%q): want a name without dots, spaces, slashes, * and >", name))
	}
	return option(func(s *settings) { s.stream = name })
}

// WithPrefix sets what is before the topic in a subject, and a dot behind it. The default is
// events: what is published on order.paid is at the subject events.order.paid.
//
// It panics if prefix cannot be the first part of a subject.
func WithPrefix(prefix string) Option {
	if err := checkTopic(prefix); err != nil {
		panic(fmt.Sprintf("eventsnats: WithPrefix: %v", err))
	}
	return option(func(s *settings) { s.prefix = prefix })
}

// WithReplicas sets on how many servers of a cluster [Migrate] has the streams. The default
// is 1.
//
// It panics if n is less than 1.
func WithReplicas(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("eventsnats: WithReplicas(%d): want 1 or more", n))
	}
	return option(func(s *settings) { s.replicas = n })
}

// WithMaxSize sets how many bytes a message may have, with its headers. The default is
// 512 KiB, and no server takes more than its max_payload.
//
// It panics if n is less than 1.
func WithMaxSize(n int) Option {
	if n < 1 {
		panic(fmt.Sprintf("eventsnats: WithMaxSize(%d): want 1 or more", n))
	}
	return option(func(s *settings) { s.maxSize = n })
}

// WithRetention sets for how long messages of a topic are kept that has no group. The
// default is a week. Those of a topic with groups go when all have handled them.
//
// It panics if d is negative.
func WithRetention(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("eventsnats: WithRetention(%v): want 0 or more", d))
	}
	return option(func(s *settings) { s.retention = d })
}

// WithLossyStream accepts a stream that may throw events away that no group has handled:
// one with limits, in memory, or that keeps them only while there are consumers. Without it
// [New] refuses such a stream.
func WithLossyStream() Option { return option(func(s *settings) { s.lossy = true }) }

// WithLogger sets where the engine logs what goes wrong in the background. The default is
// [slog.Default] at the time of the call.
//
// It panics if logger is nil.
func WithLogger(logger *slog.Logger) Option {
	if logger == nil {
		panic("eventsnats: WithLogger: logger is nil")
	}
	return option(func(s *settings) { s.logger = logger })
}

func readOptions(options []Option) *settings {
	s := &settings{
		stream:    "events",
		prefix:    "events",
		replicas:  1,
		maxSize:   512 << 10,
		retention: 7 * 24 * time.Hour,
		logger:    slog.Default(),
	}
	for _, o := range options {
		o.apply(s)
	}
	return s
}
