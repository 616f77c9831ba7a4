package events_test

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// account is the payload of most tests.
type account struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

var (
	ada      = account{ID: 1, Name: "Ada"}
	errBoom  = errors.New("boom")
	errOther = errors.New("other")
)

// named returns an event without a payload.
func named(name string) events.Event { return events.Event{Name: name} }

// journal notes what happened, in order and from any goroutine.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) note(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
}

// take returns the entries, and starts anew.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := j.entries
	j.entries = nil
	return entries
}

// noting returns a handler that notes entry and returns err, if there is one.
func (j *journal) noting(entry string, err ...error) events.Handler {
	return func(context.Context, events.Event) error {
		j.note(entry)
		return errors.Join(err...)
	}
}

// notingTyped is noting for a topic of accounts.
func (j *journal) notingTyped(entry string) func(context.Context, account) error {
	return func(context.Context, account) error {
		j.note(entry)
		return nil
	}
}

// failures collects what an error handler is called with.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) option() events.BusOption {
	return events.WithErrorHandler(func(_ context.Context, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.errs = append(f.errs, err)
	})
}

func (f *failures) take() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := f.errs
	f.errs = nil
	return errs
}

// captured is a slog.Handler that keeps its records.
type captured struct {
	mu      sync.Mutex
	records []slog.Record
}

func (c *captured) Enabled(context.Context, slog.Level) bool { return true }
func (c *captured) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *captured) WithGroup(string) slog.Handler            { return c }

func (c *captured) Handle(_ context.Context, record slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, record.Clone())
	return nil
}

func (c *captured) take() []slog.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	records := c.records
	c.records = nil
	return records
}

// attributes returns the attributes of a record by their keys.
func attributes(record slog.Record) map[string]slog.Value {
	byKey := make(map[string]slog.Value)
	record.Attrs(func(a slog.Attr) bool {
		byKey[a.Key] = a.Value.Resolve()
		return true
	})
	return byKey
}

// setDefaultLogger makes logger the default one until the test ends.
func setDefaultLogger(t *testing.T, logger *slog.Logger) {
	old, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(logger)
	t.Cleanup(func() {
		slog.SetDefault(old)
		// SetDefault has led the log package to slog, but does not lead it back.
		log.SetOutput(writer)
		log.SetFlags(flags)
	})
}

// subscribe subscribes an untyped handler, which has to work.
func subscribe(t testing.TB, bus *events.Bus, pattern string, handler events.Handler, options ...events.SubscribeOption) *events.Subscription {
	t.Helper()
	s, err := bus.Subscribe(pattern, handler, options...)
	require.NoError(t, err)
	return s
}

// handle subscribes a typed handler, which has to work.
func handle[T any](t testing.TB, bus *events.Bus, topic *events.Topic[T], handler func(context.Context, T) error, options ...events.SubscribeOption) *events.Subscription {
	t.Helper()
	s, err := topic.Subscribe(bus, handler, options...)
	require.NoError(t, err)
	return s
}

// barrier holds handlers up until it is opened, which it is at the latest when
// the test ends: else a test that fails would leave them in its bubble.
func barrier(t testing.TB) (closed <-chan struct{}, open func()) {
	c := make(chan struct{})
	open = sync.OnceFunc(func() { close(c) })
	t.Cleanup(open)
	return c, open
}

// closeWithin closes a bus and gives up after a while, so that a Close that
// hangs is an error and not the end of the test binary. For use in a bubble.
func closeWithin(ctx context.Context, bus *events.Bus, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return bus.Close(ctx)
}

// mustClose closes a bus from outside its handlers.
func mustClose(t testing.TB, bus *events.Bus) {
	t.Helper()
	require.NoError(t, closeWithin(context.Background(), bus, time.Hour))
}

// exits reports whether f ends its goroutine.
func exits(f func()) bool {
	returned := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	<-done
	return !returned
}

// goroutine names the calling goroutine.
func goroutine() string {
	stack := make([]byte, 64)
	stack = stack[:runtime.Stack(stack, false)]
	name, _, _ := strings.Cut(string(stack), " [")
	return name
}

// parts returns the errors that are joined in err.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// way is one by which numbers reach a handler that no publisher waits for.
type way struct {
	listen listening
	send   func(ctx context.Context, bus *events.Bus, n int) error
}

type listening func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error)

// ways are all there are. Each handler gets every number once.
func ways() map[string]way {
	topic, below := events.NewTopic[int]("number.sent"), events.NewTopic[int]("number.forwarded.below")
	wide, wideBelow := events.NewTopic[int]("number.sent", events.WithConcurrency(3)), events.NewTopic[int]("number.forwarded.below", events.WithConcurrency(3))
	inline := func(topic *events.Topic[int], options ...events.SubscribeOption) listening {
		return func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			handle(t, bus, topic, handler, options...)
		}
	}
	beside := func(topic *events.Topic[int]) listening {
		return func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			handle(t, bus, topic, func(context.Context, int) error { return nil })
			handle(t, bus, topic, handler)
		}
	}
	// forwarded has a queued handler publish to an inline one.
	forwarded := func(to *events.Topic[int], listen listening) listening {
		return func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			handle(t, bus, topic, func(ctx context.Context, n int) error { return to.Publish(ctx, bus, n) }, events.WithQueue(8))
			listen(t, bus, handler)
		}
	}
	publish := func(ctx context.Context, bus *events.Bus, n int) error { return topic.Publish(ctx, bus, n) }
	return map[string]way{
		"asynchronous":             {inline(topic), func(ctx context.Context, bus *events.Bus, n int) error { return topic.PublishAsync(ctx, bus, n) }},
		"asynchronous, concurrent": {beside(wide), func(ctx context.Context, bus *events.Bus, n int) error { return wide.PublishAsync(ctx, bus, n) }},
		"queued":                   {inline(topic, events.WithQueue(8)), publish},
		"lanes":                    {inline(topic, events.WithQueue(8), events.WithLanes(3)), publish},
		"keyed lanes":              {inline(topic, events.WithQueue(8), events.WithLanes(3), events.WithOrderBy(strconv.Itoa)), publish},
		"middleware":               {inline(topic, events.WithQueue(8), events.WithMiddleware(events.Recover())), publish},
		"batches": {func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			_, err := topic.SubscribeBatch(bus, func(ctx context.Context, numbers []int) error {
				var errs []error
				for _, n := range numbers {
					errs = append(errs, handler(ctx, n))
				}
				return errors.Join(errs...)
			}, events.WithBatch(1, time.Minute))
			require.NoError(t, err)
		}, publish},
		"pattern": {func(t testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			subscribe(t, bus, "number.*", func(ctx context.Context, e events.Event) error { return handler(ctx, e.Data.(int)) }, events.WithQueue(8))
		}, publish},
		"loop": {func(_ testing.TB, bus *events.Bus, handler func(context.Context, int) error) {
			all := topic.All(context.Background(), bus)
			go func() {
				for ctx, n := range all {
					_ = handler(ctx, n)
				}
			}()
		}, publish},
		"inline below a queue":     {forwarded(below, inline(below)), publish},
		"concurrent below a queue": {forwarded(wideBelow, beside(wideBelow)), publish},
	}
}
