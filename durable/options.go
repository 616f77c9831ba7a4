package durable

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/typedbus/events"
)

// SubscribeOption configures [Subscribe].
type SubscribeOption interface{ applyToSubscribe(*subscribeOptions) }

// GroupOption configures what is stored with a group: it is for [Subscribe] and
// [Declare].
type GroupOption interface {
	SubscribeOption
	applyToGroup(*Consumer)
}

type subscribeOptions struct {
	consumer   Consumer
	workers    int
	prefetch   int
	attempts   int
	first, max time.Duration
	maxAge     time.Duration // 0 for none
	timeout    time.Duration
	middleware []events.Middleware
	codec      Codec
	logger     *slog.Logger
	observer   func(Observation)
}

type subscribeOption func(*subscribeOptions)

func (f subscribeOption) applyToSubscribe(o *subscribeOptions) { f(o) }

type groupOption func(*Consumer)

func (f groupOption) applyToGroup(c *Consumer)             { f(c) }
func (f groupOption) applyToSubscribe(o *subscribeOptions) { f(&o.consumer) }

// The defaults of a subscription. With these attempts and waits an event is
// tried for some 13 hours: 4,095 s of growing waits and 12 of an hour.
const (
	defaultWorkers  = 1
	defaultPrefetch = 16
	defaultAttempts = 25
	defaultFirst    = time.Second
	defaultMax      = time.Hour
	defaultLease    = 30 * time.Second
	leastLease      = 100 * time.Millisecond
)

// longest is what longer times are cut to: a century, so that no sum of a time and
// one of these overflows.
const longest = 100 * 365 * 24 * time.Hour

// WithWorkers has up to n events handled at the same time, each in a goroutine.
// The default is 1.
//
// It panics if n is less than 1.
func WithWorkers(n int) SubscribeOption {
	if n < 1 {
		panic(fmt.Sprintf("durable: WithWorkers(%d): want 1 or more", n))
	}
	return subscribeOption(func(o *subscribeOptions) { o.workers = n })
}

// WithPrefetch has up to n events fetched ahead of the workers. They belong to
// this process meanwhile: more of them make for fewer calls of the engine, fewer
// for a fairer share among processes. The default is 16.
//
// It panics if n is negative.
func WithPrefetch(n int) SubscribeOption {
	if n < 0 {
		panic(fmt.Sprintf("durable: WithPrefetch(%d): want 0 or more", n))
	}
	return subscribeOption(func(o *subscribeOptions) { o.prefetch = n })
}

// WithAttempts has an event tried up to n times in all before it is dead-lettered.
// The default is 25.
//
// It panics if n is less than 1.
func WithAttempts(n int) SubscribeOption {
	if n < 1 {
		panic(fmt.Sprintf("durable: WithAttempts(%d): want 1 or more", n))
	}
	return subscribeOption(func(o *subscribeOptions) { o.attempts = n })
}

// WithMaxAge has an event that is older than d when it would be run dead-lettered
// in place of that, without an attempt: what is late beyond use is not handled, and
// not lost. The age is that of [Message.Time], or of [Message.NotBefore] if that is
// later; an event without a time has none. It goes on while the event waits, for its
// retry or as a dead letter, so one that is redriven is too old again: raise the limit
// before, or discard it. By default there is none.
//
// It panics if d is not positive.
func WithMaxAge(d time.Duration) SubscribeOption {
	if d <= 0 {
		panic(fmt.Sprintf("durable: WithMaxAge(%v): want more than 0", d))
	}
	return subscribeOption(func(o *subscribeOptions) { o.maxAge = d })
}

// WithBackoff sets the wait before the second attempt and the longest wait. Waits
// double from one to the other; half of each is random. The default is one second
// and one hour.
//
// It panics if first is not positive or max is below it.
func WithBackoff(first, max time.Duration) SubscribeOption {
	if first <= 0 || max < first {
		panic(fmt.Sprintf("durable: WithBackoff(%v, %v): want 0 < first <= max", first, max))
	}
	return subscribeOption(func(o *subscribeOptions) { o.first, o.max = min(first, longest), min(max, longest) })
}

// WithLease sets for how long an event belongs to this process without word from
// it, and so how long it takes until another one handles what a dead process
// had. A lease is renewed for as long as the handler runs. Where the engine has one
// writer, as SQLite, it must be longer than a transaction of the handler's that
// writes: no renewal can be stored meanwhile. The default is 30 seconds.
//
// It panics if lease is below 100 milliseconds.
func WithLease(lease time.Duration) SubscribeOption {
	if lease < leastLease {
		panic(fmt.Sprintf("durable: WithLease(%v): want %v or more", lease, leastLease))
	}
	return subscribeOption(func(o *subscribeOptions) { o.consumer.Lease = min(lease, longest) })
}

// WithTimeout gives each attempt a context that is done after d. It cannot end a
// handler that does not look at its context: that is logged, and keeps its event.
// By default there is none.
//
// It panics if d is not positive.
func WithTimeout(d time.Duration) SubscribeOption {
	if d <= 0 {
		panic(fmt.Sprintf("durable: WithTimeout(%v): want more than 0", d))
	}
	return subscribeOption(func(o *subscribeOptions) { o.timeout = d })
}

// WithMiddleware wraps the handler in middleware of package events, within that of
// the topic. [events.Retry] tries again in place, while the lease is renewed;
// with [events.DeadLetter] an event that was taken counts as handled.
//
// It panics if one is nil.
func WithMiddleware(middleware ...events.Middleware) SubscribeOption {
	for _, m := range middleware {
		if m == nil {
			panic("durable: WithMiddleware: middleware is nil")
		}
	}
	return subscribeOption(func(o *subscribeOptions) { o.middleware = append(o.middleware, middleware...) })
}

// WithOrderByKey has the events of one key ([WithKey]) handled one at a time, in
// the order in which they were stored, through retries; other keys go on
// meanwhile. It is kept with the group: who opens that otherwise gets
// [ErrGroupConflict].
func WithOrderByKey() GroupOption {
	return groupOption(func(c *Consumer) { c.OrderByKey = true })
}

// WithFromStart has a group that does not exist yet get what is stored already.
// By default it begins with what is stored after it was made.
func WithFromStart() GroupOption {
	return groupOption(func(c *Consumer) { c.FromStart = true })
}

// WithLogger sets where failures and dead letters are logged. The default is
// [slog.Default] at the time of the call.
//
// It panics if logger is nil.
func WithLogger(logger *slog.Logger) SubscribeOption {
	if logger == nil {
		panic("durable: WithLogger: logger is nil")
	}
	return subscribeOption(func(o *subscribeOptions) { o.logger = logger })
}

// WithObserver has observe called for each delivery when it is known what has
// become of it, in a goroutine of the subscription, one call at a time. Events are
// fetched only while it keeps up, and Close waits for it until its own deadline.
// What it panics with is logged.
//
// It panics if observe is nil.
func WithObserver(observe func(Observation)) SubscribeOption {
	if observe == nil {
		panic("durable: WithObserver: function is nil")
	}
	return subscribeOption(func(o *subscribeOptions) { o.observer = observe })
}

func readOptions(options []SubscribeOption) (*subscribeOptions, error) {
	chosen := &subscribeOptions{
		consumer: Consumer{Lease: defaultLease},
		workers:  defaultWorkers,
		prefetch: defaultPrefetch,
		codec:    jsonCodec{},
		logger:   slog.Default(),
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("option is nil")
		}
		option.applyToSubscribe(chosen)
	}
	chosen.consumer.MaxInFlight = chosen.workers + chosen.prefetch
	return chosen, nil
}

// fill reports what the engine cannot do of what is asked for, and sets the
// defaults of the rest.
func (o *subscribeOptions) fill(e Engine) error {
	features := e.Features()
	switch {
	case o.attempts != 0 && !features.Attempts:
		return fmt.Errorf("%w: WithAttempts on %T", ErrUnsupported, e)
	case o.first != 0 && !features.Delay:
		return fmt.Errorf("%w: WithBackoff on %T", ErrUnsupported, e)
	}
	o.attempts = cmp.Or(o.attempts, defaultAttempts)
	o.first, o.max = cmp.Or(o.first, defaultFirst), cmp.Or(o.max, defaultMax)
	return o.consumer.check(e)
}

// check reports what the engine cannot do of what is asked for a group.
func (c *Consumer) check(e Engine) error {
	features := e.Features()
	switch {
	case c.OrderByKey && !features.OrderByKey:
		return fmt.Errorf("%w: WithOrderByKey on %T", ErrUnsupported, e)
	case c.FromStart && !features.FromStart:
		return fmt.Errorf("%w: WithFromStart on %T", ErrUnsupported, e)
	}
	return nil
}

// backoff returns the wait after an attempt: doubled with each, half of it random.
func (o *subscribeOptions) backoff(attempt int) time.Duration {
	wait := o.max
	if doublings := max(attempt-1, 0); doublings < 62 && o.first<<doublings>>doublings == o.first {
		wait = min(o.max, o.first<<doublings)
	}
	return wait/2 + rand.N(wait/2+1)
}
