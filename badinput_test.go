package events_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typedbus/events"
)

// stillWorks publishes on a bus after it was given something bad.
func stillWorks(t *testing.T, bus *events.Bus) {
	t.Helper()
	var j journal
	topic := events.NewTopic[account]("still.works")
	typed := handle(t, bus, topic, j.notingTyped("typed"))
	pattern := subscribe(t, bus, "still.*", j.noting("pattern"))
	require.NoError(t, topic.Publish(t.Context(), bus, ada))
	require.NoError(t, bus.Dispatch(t.Context(), events.Event{Name: "still.works", Data: ada}))
	require.Equal(t, []string{"typed", "pattern", "typed", "pattern"}, j.take())
	typed.Unsubscribe()
	pattern.Unsubscribe()
	require.False(t, bus.HasHandlers("still.works"))
}

// panicText returns what f panics with, which is to be a text of the package.
func panicText(t *testing.T, f func()) (text string) {
	t.Helper()
	defer func() {
		t.Helper()
		value := recover()
		require.NotNil(t, value, "no panic")
		var ok bool
		text, ok = value.(string)
		require.True(t, ok, "panic with a %T: %v", value, value)
		require.True(t, strings.HasPrefix(text, "events: "), text)
	}()
	f()
	return ""
}

func quiet(context.Context, events.Event) error { return nil }

func TestProgrammerErrorsPanic(t *testing.T) {
	topic := events.NewTopic[account]("account.created")
	bus := events.New()
	for name, test := range map[string]struct {
		do   func()
		says []string // what was wrong, and where
	}{
		"NewTopic without a name":      {func() { events.NewTopic[int]("") }, []string{"NewTopic", "name is empty"}},
		"NewTopic with a nil option":   {func() { events.NewTopic[int]("a", nil) }, []string{"NewTopic", `"a"`, "option is nil"}},
		"New with a nil option":        {func() { events.New(nil) }, []string{"New", "option is nil"}},
		"Register without a handler":   {func() { bus.Register("a", nil) }, []string{"Register", `"a"`, "handler is nil"}},
		"Subscribe without a handler":  {func() { _, _ = bus.Subscribe("a.*", nil) }, []string{"Subscribe", `"a.*"`, "handler is nil"}},
		"Topic without a handler":      {func() { _, _ = topic.Subscribe(bus, nil) }, []string{"Subscribe", `"account.created"`, "handler is nil"}},
		"global without a handler":     {func() { events.Register("a", nil) }, []string{"Register", "handler is nil"}},
		"SetDefault(nil)":              {func() { events.SetDefault(nil) }, []string{"SetDefault", "nil"}},
		"negative concurrency":         {func() { events.WithConcurrency(-1) }, []string{"WithConcurrency", "-1", "want"}},
		"WithMiddleware(nil)":          {func() { events.WithMiddleware(events.Recover(), nil) }, []string{"WithMiddleware", "nil"}},
		"WithErrorHandler(nil)":        {func() { events.WithErrorHandler(nil) }, []string{"WithErrorHandler", "nil"}},
		"WithLogger(nil)":              {func() { events.WithLogger(nil) }, []string{"WithLogger", "nil"}},
		"WithUnhandled(nil)":           {func() { events.WithUnhandled(nil) }, []string{"WithUnhandled", "nil"}},
		"WithMapPayload of a number":   {func() { events.NewTopic[int]("a", events.WithMapPayload()) }, []string{"WithMapPayload", "int", "want"}},
		"WithMapPayload of any":        {func() { events.NewTopic[any]("a", events.WithMapPayload()) }, []string{"WithMapPayload", "interface", "want"}},
		"WithMapPayload of a map":      {func() { events.NewTopic[map[string]string]("a", events.WithMapPayload()) }, []string{"WithMapPayload", "map", "want"}},
		"Retry(0)":                     {func() { events.Retry(0) }, []string{"Retry", "0", "want"}},
		"Retry(-3)":                    {func() { events.Retry(-3) }, []string{"Retry", "-3", "want"}},
		"Retry with a nil option":      {func() { events.Retry(3, nil) }, []string{"Retry", "option is nil"}},
		"WithBackoff without a wait":   {func() { events.WithBackoff(0, time.Second) }, []string{"WithBackoff", "0s", "want"}},
		"WithBackoff with max < first": {func() { events.WithBackoff(time.Second, time.Millisecond) }, []string{"WithBackoff", "1ms", "want"}},
		"Timeout(0)":                   {func() { events.Timeout(0) }, []string{"Timeout", "0s", "want"}},
		"Timeout(-1)":                  {func() { events.Timeout(-time.Second) }, []string{"Timeout", "-1s", "want"}},
		"Logging(nil)":                 {func() { events.Logging(nil) }, []string{"Logging", "nil"}},
		"DeadLetter(nil)":              {func() { events.DeadLetter(nil) }, []string{"DeadLetter", "nil"}},
		"Register on a nil bus":        {func() { (*events.Bus)(nil).Register("a", quiet) }, []string{"Register", `"a"`, "bus is nil"}},
		"middleware that returns nil": {func() {
			_, _ = bus.Subscribe("a", quiet, events.WithMiddleware(func(events.Handler) events.Handler { return nil }))
		}, []string{"middleware", "nil"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := panicText(t, test.do)
			for _, part := range test.says {
				require.Contains(t, text, part)
			}
			require.False(t, bus.HasHandlers("a"))
			stillWorks(t, bus)
		})
	}
}

func TestBadInputIsAnError(t *testing.T) {
	topic := events.NewTopic[account]("account.created")
	typed := func(context.Context, account) error { return nil }

	t.Run("nil bus", func(t *testing.T) {
		var none *events.Bus
		ctx := t.Context()
		for name, do := range map[string]func() error{
			"Dispatch":         func() error { return none.Dispatch(ctx, named("a")) },
			"Publish":          func() error { return topic.Publish(ctx, none, ada) },
			"PublishAsync":     func() error { return topic.PublishAsync(ctx, none, ada) },
			"Subscribe":        func() error { _, err := none.Subscribe("a", quiet); return err },
			"Topic.Subscribe":  func() error { _, err := topic.Subscribe(none, typed); return err },
			"Close":            func() error { return none.Close(ctx) },
			"Publish, another": func() error { return errors.Join(topic.Publish(ctx, events.New(), ada), topic.Publish(ctx, none, ada)) },
		} {
			require.ErrorContains(t, do(), "bus is nil", name)
			require.True(t, strings.HasPrefix(do().Error(), "events: "), "%s: %v", name, do())
		}
		require.False(t, none.HasHandlers("a"))
		// It has nowhere to report to but the default logger.
		var logs captured
		setDefaultLogger(t, slog.New(&logs))
		none.DispatchAsync(ctx, named("lost"))
		records := logs.take()
		require.Len(t, records, 1)
		require.Contains(t, attributes(records[0])["error"].String(), "bus is nil")
	})

	t.Run("patterns", func(t *testing.T) {
		for _, pattern := range []string{"", ".", "a.", ".a", "a..b", "*.", ".>", "a.*b", "us*r", "a>", ">.a", "**.a", "***", "*>", "a.**.b"} {
			bus := events.New()
			s, err := bus.Subscribe(pattern, quiet)
			require.Error(t, err, "%q", pattern)
			require.Nil(t, s)
			require.ErrorContains(t, err, `subscribe to "`+pattern+`"`)
			require.ErrorContains(t, err, "want", "what was expected")
			require.False(t, bus.HasHandlers(pattern))
			stillWorks(t, bus)
		}
	})

	t.Run("subscription options", func(t *testing.T) {
		bus := events.New()
		var none context.Context
		for says, option := range map[string]events.SubscribeOption{
			"option is nil":             nil,
			"WithUntil: context is nil": events.WithUntil(none),
		} {
			_, err := bus.Subscribe("a", quiet, option)
			require.ErrorContains(t, err, says)
			_, err = topic.Subscribe(bus, typed, option)
			require.ErrorContains(t, err, says)
			require.ErrorContains(t, err, "account.created")
		}
		require.False(t, bus.HasHandlers("a"))
		require.False(t, bus.HasHandlers("account.created"))
		stillWorks(t, bus)
	})

	t.Run("conflicting payload types", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, topic, typed)
		_, err := events.NewTopic[int]("account.created").Subscribe(bus, func(context.Context, int) error { return nil })
		require.ErrorIs(t, err, events.ErrTopicConflict)
		for _, part := range []string{"events: ", `"account.created"`, "events_test.account", "int"} {
			require.ErrorContains(t, err, part)
		}
		require.NoError(t, topic.Publish(t.Context(), bus, ada))
		stillWorks(t, bus)
	})

	t.Run("payload of the wrong type", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, topic, typed)
		for data, says := range map[any]string{
			7:      "payload of event account.created is int, want events_test.account",
			nil:    "payload of event account.created is nothing, want events_test.account",
			"text": "payload of event account.created is string, want events_test.account",
		} {
			err := bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: data})
			require.EqualError(t, err, "handler failed for event account.created: "+says)
		}
		err := bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: map[string]any{"id": "x"}})
		require.ErrorContains(t, err, `key "id"`)
		require.ErrorContains(t, err, "string does not fit int")
		stillWorks(t, bus)
	})

	t.Run("zero topic", func(t *testing.T) {
		bus := events.New()
		var zero events.Topic[int]
		require.ErrorContains(t, zero.Publish(t.Context(), bus, 1), "NewTopic")
		require.ErrorContains(t, zero.PublishAsync(t.Context(), bus, 1), "NewTopic")
		_, err := zero.Subscribe(bus, func(context.Context, int) error { return nil })
		require.ErrorContains(t, err, "NewTopic")
		stillWorks(t, bus)
	})

	t.Run("closed bus", func(t *testing.T) {
		bus := events.New()
		require.NoError(t, bus.Close(t.Context()))
		err := topic.Publish(t.Context(), bus, ada)
		require.ErrorIs(t, err, events.ErrClosed)
		require.ErrorContains(t, err, "account.created")
		_, err = bus.Subscribe("account.*", quiet)
		require.ErrorIs(t, err, events.ErrClosed)
		require.ErrorContains(t, err, "account.*")
		stillWorks(t, events.New())
	})
}
