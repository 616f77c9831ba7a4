package events_test

import (
	"context"
	"errors"
	html "html/template"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	text "text/template"
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

// bound has a name carry a T.
func bound[T any](t *testing.T, bus *events.Bus) { require.NoError(t, subscribing[T](bus)) }

func subscribing[T any](bus *events.Bus) error {
	_, err := events.NewTopic[T]("a").Subscribe(bus, func(context.Context, T) error { return nil })
	return err
}

func boundHere(t *testing.T, bus *events.Bus) {
	type order struct{}
	bound[order](t, bus)
}

func subscribingHere(bus *events.Bus) error {
	type order struct{}
	return subscribing[order](bus)
}

func TestProgrammerErrorsPanic(t *testing.T) {
	topic := events.NewTopic[account]("account.created")
	bus := events.New()
	for name, test := range map[string]struct {
		do   func()
		says []string // what was wrong, and where
	}{
		"NewTopic without a name":      {func() { events.NewTopic[int]("") }, []string{"NewTopic", "name is empty"}},
		"NewTopic with a space":        {func() { events.NewTopic[int]("order paid") }, []string{"NewTopic", `"order paid"`, "space"}},
		"NewTopic with a wide space":   {func() { events.NewTopic[int]("order\u00a0paid") }, []string{"NewTopic", "space"}},
		"NewTopic with a newline":      {func() { events.NewTopic[int]("order.paid\n") }, []string{"NewTopic", `"order.paid\n"`, "control"}},
		"NewTopic with a NUL":          {func() { events.NewTopic[int]("\x00") }, []string{"NewTopic", "control"}},
		"NewTopic that is not UTF-8":   {func() { events.NewTopic[int]("order\xff") }, []string{"NewTopic", "UTF-8"}},
		"WithAsyncLimit(0)":            {func() { events.WithAsyncLimit(0) }, []string{"WithAsyncLimit", "0", "want"}},
		"WithQueueDefaults of another": {func() { events.WithQueueDefaults(events.WithName("x")) }, []string{"WithQueueDefaults", "want"}},
		"WithQueueDefaults of lanes":   {func() { events.WithQueueDefaults(events.WithLanes(2)) }, []string{"WithQueueDefaults", "want"}},
		"WithQueueDefaults of nil":     {func() { events.WithQueueDefaults(nil) }, []string{"WithQueueDefaults", "nil"}},
		"WithQueueDefaults that is bad": {
			func() { events.WithQueueDefaults(events.WithQueue(0)) },
			[]string{"WithQueueDefaults", "WithQueue(0)", "want"},
		},
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
			"Dispatch":        func() error { return none.Dispatch(ctx, named("a")) },
			"Publish":         func() error { return topic.Publish(ctx, none, ada) },
			"PublishAsync":    func() error { return topic.PublishAsync(ctx, none, ada) },
			"Subscribe":       func() error { _, err := none.Subscribe("a", quiet); return err },
			"Topic.Subscribe": func() error { _, err := topic.Subscribe(none, typed); return err },
			"Close":           func() error { return none.Close(ctx) },
			"Wait":            func() error { return none.Wait(ctx) },
			"SubscribeBatch": func() error {
				_, err := topic.SubscribeBatch(none, func(context.Context, []account) error { return nil })
				return err
			},
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

	t.Run("names that no broker takes", func(t *testing.T) {
		for _, name := range []string{"order paid", " ", "order.paid\n", "a.\tb", "a.* ", "\x00", "order\xff", "a\u2028b"} {
			bus := events.New()
			_, err := bus.Subscribe(name, quiet)
			require.ErrorContains(t, err, "subscribe to", "%q", name)
			require.False(t, bus.HasHandlers(name))
			bus.Register(name, func(context.Context, events.Event) error { return errBoom })
			require.True(t, bus.HasHandlers(name))
			require.ErrorIs(t, bus.Dispatch(t.Context(), named(name)), errBoom, "any string is a name to the dispatcher")
			stillWorks(t, bus)
		}
	})

	t.Run("WithPriority on a queue", func(t *testing.T) {
		bus := events.New()
		priority, queue := events.WithPriority(0), events.WithQueue(1)
		_, untyped := bus.Subscribe("a", quiet, priority, queue)
		_, pattern := bus.Subscribe("a.*", quiet, priority, queue)
		_, one := topic.Subscribe(bus, typed, queue, priority)
		_, many := topic.SubscribeBatch(bus, func(context.Context, []account) error { return nil }, priority)
		for _, err := range []error{untyped, pattern, one, many} {
			require.ErrorContains(t, err, "WithPriority")
			require.ErrorContains(t, err, "queue")
		}
		var reported failures
		bus = events.New(reported.option())
		for range topic.All(t.Context(), bus, priority) {
			t.Error("it is empty")
		}
		errs := reported.take()
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], "WithPriority")
		stillWorks(t, bus)
	})

	t.Run("WithDrain on a queue", func(t *testing.T) {
		bus := events.New()
		_, err := topic.Subscribe(bus, typed, events.WithQueue(1), events.WithDrain())
		require.ErrorContains(t, err, "WithDrain")
		_, err = topic.SubscribeBatch(bus, func(context.Context, []account) error { return nil }, events.WithDrain())
		require.ErrorContains(t, err, "WithDrain")
		stillWorks(t, bus)
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

	t.Run("types of one name", func(t *testing.T) {
		for name, test := range map[string]struct {
			bind func(*testing.T, *events.Bus)
			err  func(*events.Bus) error
			says []string
		}{
			"of two packages": {
				func(t *testing.T, bus *events.Bus) { bound[text.Template](t, bus) },
				subscribing[html.Template],
				[]string{"text/template.Template", "html/template.Template"},
			},
			"pointers": {
				func(t *testing.T, bus *events.Bus) { bound[*text.Template](t, bus) },
				subscribing[*html.Template],
				[]string{"text/template.Template", "html/template.Template"},
			},
			"of two functions": {boundHere, subscribingHere, []string{"events_test.order", "another function"}},
		} {
			t.Run(name, func(t *testing.T) {
				bus := events.New()
				test.bind(t, bus)
				err := test.err(bus)
				require.ErrorIs(t, err, events.ErrTopicConflict)
				for _, part := range test.says {
					require.ErrorContains(t, err, part)
				}
			})
		}
		bus := events.New()
		bound[text.Template](t, bus)
		err := bus.Dispatch(t.Context(), events.Event{Name: "a", Data: html.Template{}})
		require.ErrorContains(t, err, "html/template.Template, want text/template.Template")
		stillWorks(t, bus)
	})

	t.Run("payload of the wrong type", func(t *testing.T) {
		bus := events.New()
		handle(t, bus, topic, typed, events.WithName("typed"))
		for data, says := range map[any]string{
			7:      "payload of event account.created is int, want events_test.account",
			nil:    "payload of event account.created is nothing, want events_test.account",
			"text": "payload of event account.created is string, want events_test.account",
		} {
			err := bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: data})
			require.EqualError(t, err, "handler typed failed for event account.created: "+says)
		}
		err := bus.Dispatch(t.Context(), events.Event{Name: "account.created", Data: map[string]any{"id": "x"}})
		require.ErrorContains(t, err, `key "id"`)
		require.ErrorContains(t, err, "string does not fit int")
		stillWorks(t, bus)
	})

	t.Run("topic that NewTopic has not made", func(t *testing.T) {
		for name, topic := range map[string]*events.Topic[int]{"zero": new(events.Topic[int]), "nil": nil} {
			var reported failures
			bus := events.New(reported.option())
			_, one := topic.Subscribe(bus, func(context.Context, int) error { return nil })
			_, many := topic.SubscribeBatch(bus, func(context.Context, []int) error { return nil })
			for range topic.All(t.Context(), bus) {
				t.Error("it is empty")
			}
			errs := append(reported.take(), one, many, topic.Publish(t.Context(), bus, 1), topic.PublishAsync(t.Context(), bus, 1))
			require.Len(t, errs, 5, name)
			for _, err := range errs {
				require.ErrorContains(t, err, "NewTopic", name)
				require.ErrorContains(t, err, "Topic[int]", name)
			}
			require.Empty(t, topic.Name())
			stillWorks(t, bus)
		}
	})

	t.Run("copied bus", func(t *testing.T) {
		bus := events.New()
		bus.Register("a", quiet)
		copied := new(events.Bus)
		reflect.ValueOf(copied).Elem().Set(reflect.ValueOf(bus).Elem()) // as an assignment does, which vet forbids
		for name, do := range map[string]func(){
			"Subscribe":       func() { _, _ = copied.Subscribe("a", quiet) },
			"Register":        func() { copied.Register("a", quiet) },
			"Topic.Subscribe": func() { _, _ = topic.Subscribe(copied, typed) },
			"SubscribeBatch": func() {
				_, _ = topic.SubscribeBatch(copied, func(context.Context, []account) error { return nil })
			},
			"Close": func() { _ = copied.Close(t.Context()) },
			"Wait":  func() { _ = copied.Wait(t.Context()) },
		} {
			require.Contains(t, panicText(t, do), "the Bus was copied", name)
		}
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

func TestTopicsOfNoBus(t *testing.T) {
	for range (*events.Bus)(nil).Topics() {
		t.Error("a topic")
	}
}
