package eventsnats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
)

// TestStreamsAreChecked has New refuse streams that are missing or other than they must be.
func TestStreamsAreChecked(t *testing.T) {
	js := startServer(t).connect()
	_, err := eventsnats.New(t.Context(), js)
	assert.ErrorContains(t, err, `stream "events" does not exist, want one with the subjects events.>`)
	for name, c := range map[string]struct {
		config jetstream.StreamConfig
		want   string
	}{
		"subjects":  {jetstream.StreamConfig{Subjects: []string{"else.>"}}, `has the subjects ["else.>"], want subjects.> among them`},
		"memory":    {jetstream.StreamConfig{Storage: jetstream.MemoryStorage}, "WithLossyStream"},
		"age":       {jetstream.StreamConfig{MaxAge: time.Hour}, "keeps messages for 1h0m0s, want no limit"},
		"messages":  {jetstream.StreamConfig{MaxMsgs: 7}, "keeps 7 messages at most"},
		"bytes":     {jetstream.StreamConfig{MaxBytes: 1 << 20}, "keeps 1048576 bytes at most"},
		"subject":   {jetstream.StreamConfig{MaxMsgsPerSubject: 3}, "3 messages of a subject at most"},
		"interest":  {jetstream.StreamConfig{Retention: jetstream.InterestPolicy}, "retention policy Interest, want Limits"},
		"workqueue": {jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, "retention policy WorkQueue, want Limits"},
		"noacks":    {jetstream.StreamConfig{NoAck: true}, "acknowledges nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Name = name
			if c.config.Subjects == nil {
				c.config.Subjects = []string{name + ".>"}
			}
			_, err := js.CreateStream(t.Context(), c.config)
			require.NoError(t, err)
			_, err = eventsnats.New(t.Context(), js, eventsnats.WithStream(name), eventsnats.WithPrefix(name))
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// TestLossyStreamIsAccepted takes a stream in memory if asked to.
func TestLossyStreamIsAccepted(t *testing.T) {
	js := startServer(t).connect()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "events", Subjects: []string{"events.>"}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	e := newEngine(t, js, eventsnats.WithLossyStream()) // Migrate leaves it as it is
	got, _ := subscribe(t, e, nil)
	publish(t, e, 1)
	assert.Equal(t, []int{1}, take(t, got, 1))
}

// TestConsumersAreChecked has a group not use a consumer that is none.
func TestConsumersAreChecked(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	const name = "order~paid@g"
	right := jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1,
		FilterSubjects: []string{"events.order.paid", "events.~redriven." + name},
	}
	for name, c := range map[string]struct {
		change func(*jetstream.ConsumerConfig)
		want   string
	}{
		"subjects":  {func(c *jetstream.ConsumerConfig) { c.FilterSubjects = []string{"events.other"} }, `has the subjects ["events.other"], want ["events.order.paid"`},
		"acks":      {func(c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckAllPolicy }, "policy AckAll, want AckExplicit"},
		"delivers":  {func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 5 }, "5 deliveries of a message at most"},
		"pending":   {func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 10 }, "10 messages without acknowledgement at most"},
		"backoff":   {func(c *jetstream.ConsumerConfig) { c.MaxDeliver, c.BackOff = -1, []time.Duration{time.Second} }, "backoff"},
		"headers":   {func(c *jetstream.ConsumerConfig) { c.HeadersOnly = true }, "headers_only"},
		"abandoned": {func(c *jetstream.ConsumerConfig) { c.InactiveThreshold = time.Hour }, "inactive_threshold"},
	} {
		t.Run(name, func(t *testing.T) {
			config := right
			c.change(&config)
			_, err := js.CreateConsumer(t.Context(), "events", config)
			require.NoError(t, err)
			defer func() { require.NoError(t, js.DeleteConsumer(context.Background(), "events", config.Durable)) }()
			err = durable.Declare(t.Context(), e, orderPaid.Name(), "g")
			require.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, `consumer "order~paid@g" of stream "events"`)
		})
	}
	_, err := js.CreateConsumer(t.Context(), "events", right)
	require.NoError(t, err)
	require.NoError(t, durable.Declare(t.Context(), e, orderPaid.Name(), "g"), "one that somebody else has made as it should be")
}

// TestLeasesGrow has a group keep the longest lease that it was subscribed with.
func TestLeasesGrow(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	require.NoError(t, durable.Declare(t.Context(), e, orderPaid.Name(), "g"))
	for _, c := range []struct{ asked, kept time.Duration }{{time.Second, time.Second}, {time.Minute, time.Minute}, {time.Second, time.Minute}} {
		_, sub := subscribe(t, e, nil, durable.WithLease(c.asked))
		info, err := js.Consumer(t.Context(), "events", "order~paid@g")
		require.NoError(t, err)
		assert.Equal(t, c.kept, info.CachedInfo().Config.AckWait, "opened with %v", c.asked)
		closeSub(t, sub)
	}
}

// TestForbiddenNames refuses topics that are no subjects. Groups may have any name.
func TestForbiddenNames(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	for topic, want := range map[string]string{
		"a b": "' '", "a.*": "'*'", "a.>": "'>'", "a..b": "between its dots", ".a": "before", "a.": "behind",
		"a\tb": `'\t'`, "a\nb": `'\n'`, "a\x7f": `'\x7f'`, "~redriven.x": "for the engine's own use",
		strings.Repeat("a", 256): "256 bytes, want 255 at most",
	} {
		err := e.Publish(t.Context(), durable.Message{ID: "1", Topic: topic})
		assert.ErrorContains(t, err, want, "publish on %q", topic)
		err = durable.Declare(t.Context(), e, topic, "g")
		assert.ErrorContains(t, err, want, "declare a group of %q", topic)
	}
	for _, group := range []string{"a b", "a.b", "a~b", "a/b", "*", ">", "ö", "a@b", "=", "a=2Eb"} {
		require.NoError(t, durable.Declare(t.Context(), e, "a", group), "group %q", group)
	}
	groups, err := e.Groups(t.Context())
	require.NoError(t, err)
	assert.Len(t, groups, 10, "none of them is another")
	err = durable.Declare(t.Context(), e, "a", strings.Repeat("ö", 50))
	assert.ErrorIs(t, err, durable.ErrTooLarge)
}

// TestOthersMessages has messages on the subject that this package has not written.
func TestOthersMessages(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	var ids []string
	got, _ := subscribe(t, e, func(ctx context.Context, _ int) error {
		ids = append(ids, durable.FromContext(ctx).ID)
		return nil
	})
	put := func(data string, headers ...string) {
		m := &nats.Msg{Subject: "events.order.paid", Data: []byte(data), Header: make(nats.Header)}
		for i := 0; i < len(headers); i += 2 {
			m.Header.Set(headers[i], headers[i+1])
		}
		_, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	put(`{"Number":1}`)
	put(`{"Number":2}`, "content-type", "application/json")
	put(`{"specversion":"1.0","id":"three","type":"order.paid","source":"/x","data":{"Number":3}}`, "content-type", "application/cloudevents+json")
	put(`{"specversion":"1.0","id":"four","type":"order.paid","source":"/x","data":{"Number":4}}`)
	put(`{"Number":5}`, "ce-specversion", "1.0", "ce-id", "five", "ce-type", "order.paid", "ce-source", "/x")
	put(`no JSON`)
	put(`{"Number":6}`, "ce-specversion", "0.3", "ce-id", "six", "ce-type", "order.paid", "ce-source", "/x")
	put(`{"Number":7}`, "ce-specversion", "1.0", "ce-id", "seven", "ce-type", "order.paid", "ce-source", "/x", "ce-time", "yesterday")
	put(`{"specversion":"1.0","id":8}`)
	put("")
	assert.Equal(t, []int{1, 2, 3, 4, 5}, take(t, got, 5))
	letters := deadLetters(t, e, 5)
	assert.Equal(t, []string{"events/1", "events/2", "three", "four", "five"}, ids)
	for i, want := range []string{"no JSON", "of CloudEvents, want 1.0", "ce-time: it is", "the event has no type", ""} {
		if want == "no JSON" {
			assert.Equal(t, want, string(letters[i].Data))
			continue
		}
		assert.Contains(t, letters[i].Reason, want)
	}
	assert.Empty(t, got, "nothing else was handled")
}

// TestOnceWithinTheWindow stores what has the same source, topic and id once, and nothing
// else.
func TestOnceWithinTheWindow(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	got, _ := subscribe(t, e, nil)
	for i, m := range []durable.Message{
		{Source: "a/b", ID: "1"}, {Source: "a/b", ID: "1"}, {Source: "a", ID: "b/1"}, {Source: "a", ID: "1"}, {Source: "a", ID: "1\n"}, {Source: "a", ID: "1 "},
	} {
		m.Topic, m.Data = orderPaid.Name(), fmt.Appendf(nil, `{"Number":%d}`, i)
		require.NoError(t, e.Publish(t.Context(), m))
	}
	assert.Equal(t, []int{0, 2, 3, 4, 5}, take(t, got, 5))
}

// TestBatchInPart says which messages of a call were not stored.
func TestBatchInPart(t *testing.T) {
	s := startServer(t)
	js := s.connect()
	e := newEngine(t, js, eventsnats.WithLossyStream())
	stream, err := js.Stream(t.Context(), "events")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxMsgs, config.Discard = 300, jetstream.DiscardNew
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	messages := make([]durable.Message, 310)
	for i := range messages {
		messages[i] = durable.Message{ID: fmt.Sprint(i), Topic: orderPaid.Name()}
	}
	batch, ok := errors.AsType[*durable.BatchError](e.Publish(t.Context(), messages...))
	require.True(t, ok)
	for i, err := range batch.Errs {
		assert.Equal(t, i >= 300, err != nil, "message %d: %v", i, err)
	}
	assert.ErrorContains(t, batch, `10 of 310 messages were not stored: stream "events"`)
}

// TestTooLarge refuses what neither the option nor the server takes.
func TestTooLarge(t *testing.T) {
	js := startServer(t).connect()
	for limit, want := range map[int]string{1000: "want 1000 at most", 10 << 20: "want 1048576 at most"} {
		e := newEngine(t, js, eventsnats.WithMaxSize(limit))
		err := e.Publish(t.Context(), durable.Message{ID: "1", Topic: "t", Data: make([]byte, min(limit, 1<<20))})
		assert.ErrorIs(t, err, durable.ErrTooLarge)
		assert.ErrorContains(t, err, want)
	}
}

// TestRedrivenDiesAgain has an event die, be redriven and die once more.
func TestRedrivenDiesAgain(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	got, _ := subscribe(t, e, func(context.Context, int) error { return events.Permanent(errors.New("no\r\nway: \"ö\"")) })
	publish(t, e, 1)
	for range 3 {
		assert.Equal(t, []int{1}, take(t, got, 1))
		letter := deadLetters(t, e, 1)[0]
		assert.Equal(t, "no\r\nway: \"ö\"", letter.Reason)
		n, err := e.DeadLetters().Redrive(t.Context(), orderPaid.Name(), "g", letter.Ref)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
	}
	take(t, got, 1)
	deadLetters(t, e, 1)
}

// TestGroups says how far groups have come, and forgets one.
func TestGroups(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	_, err := js.CreateConsumer(t.Context(), "events", jetstream.ConsumerConfig{Durable: "of-others", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	require.NoError(t, durable.Declare(t.Context(), e, orderPaid.Name(), "absent"))
	got, sub := subscribe(t, e, func(_ context.Context, n int) error {
		if n == 1 {
			return events.Permanent(errors.New("no"))
		}
		return nil
	})
	publish(t, e, 1, 2, 3)
	take(t, got, 3)
	deadLetters(t, e, 1)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 2 }, patience, time.Millisecond)
	closeSub(t, sub)
	groups, err := e.Groups(t.Context())
	require.NoError(t, err)
	require.Len(t, groups, 2)
	assert.Positive(t, groups[0].Age)
	groups[0].Age = 0
	assert.Equal(t, eventsnats.Group{Topic: "order.paid", Name: "absent", Lag: 3}, groups[0])
	assert.Equal(t, eventsnats.Group{Topic: "order.paid", Name: "g", Dead: 1}, groups[1])

	require.NoError(t, e.RemoveGroup(t.Context(), orderPaid.Name(), "g"))
	assert.ErrorIs(t, e.RemoveGroup(t.Context(), orderPaid.Name(), "g"), durable.ErrUnknownGroup)
	_, err = e.DeadLetters().List(t.Context(), orderPaid.Name(), "g", "", 1)
	assert.ErrorIs(t, err, durable.ErrUnknownGroup)
	require.NoError(t, durable.Declare(t.Context(), e, orderPaid.Name(), "g"))
	deadLetters(t, e, 0)
}

// TestRemovedWhileReceiving has a receiver be told that its group is gone.
func TestRemovedWhileReceiving(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	r, err := e.Open(t.Context(), durable.Consumer{Topic: "t", Group: "g", Lease: time.Minute})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.Close()) }()
	removed := make(chan error, 1)
	go func() { removed <- e.RemoveGroup(t.Context(), "t", "g") }()
	for range 2 { // while it waits, or before; and behind that
		_, err = r.Receive(t.Context(), 1)
		assert.ErrorIs(t, err, durable.ErrUnknownGroup)
	}
	require.NoError(t, <-removed)
}

// TestSweep deletes what all have handled, and no more.
func TestSweep(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js, eventsnats.WithRetention(0))
	require.NoError(t, durable.Declare(t.Context(), e, orderPaid.Name(), "slow"))
	got, sub := subscribe(t, e, nil)
	publish(t, e, 1, 2, 3)
	take(t, got, 3)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 3 }, patience, time.Millisecond)
	require.NoError(t, e.Publish(t.Context(), durable.Message{ID: "1", Topic: "unheard"}))
	time.Sleep(time.Millisecond) // a retention of nothing is over
	swept, err := e.Sweep(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, swept, "of a topic without groups")
	require.NoError(t, e.RemoveGroup(t.Context(), orderPaid.Name(), "slow"))
	publish(t, e, 4)
	take(t, got, 1)
	require.Eventually(t, func() bool {
		n, err := e.Sweep(t.Context())
		swept += n
		return err == nil && swept == 5
	}, patience, 5*time.Millisecond)
	kept := newEngine(t, js)
	require.NoError(t, kept.Publish(t.Context(), durable.Message{ID: "2", Topic: "unheard"}))
	swept, err = kept.Sweep(t.Context())
	require.NoError(t, err)
	assert.Zero(t, swept, "within its retention")
}

// TestStatusIsNoAnswer has events with headers by which a server answers requests be
// handled, and sweeps and lists go on beside them.
func TestStatusIsNoAnswer(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js, eventsnats.WithRetention(0))
	var headers []map[string]string
	sub, err := durable.Subscribe(t.Context(), e, orderPaid, "g", func(ctx context.Context, _ order) error {
		headers = append(headers, durable.FromContext(ctx).Headers)
		return nil
	}, durable.WithLogger(quiet()))
	require.NoError(t, err)
	for _, status := range []string{"100", "408", "409", "503"} {
		for _, name := range []string{"Status", "status"} {
			m := durable.Message{ID: name + status, Topic: orderPaid.Name(), Headers: map[string]string{name: status, "Description": "x"}, Data: []byte("{}")}
			require.NoError(t, e.Publish(t.Context(), m))
		}
	}
	foreign := &nats.Msg{Subject: "events.order.paid", Header: nats.Header{"Status": {"503"}}}
	_, err = js.PublishMsg(t.Context(), foreign)
	require.NoError(t, err)
	deadLetters(t, e, 1) // it has no data
	require.Eventually(t, func() bool { return sub.Stats().Handled == 8 }, patience, time.Millisecond)
	closeSub(t, sub)
	for _, h := range headers {
		assert.Len(t, h, 2)
	}
	_, err = e.Groups(t.Context())
	assert.NoError(t, err)
}

// TestReleasedKeepsItsAttempts gives events back again and again, and counts none of that.
func TestReleasedKeepsItsAttempts(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	r, err := e.Open(t.Context(), durable.Consumer{Topic: orderPaid.Name(), Group: "g", Lease: time.Minute})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.Close()) }()
	publish(t, e, 1)
	var id string
	for i, outcome := range []durable.Outcome{durable.OutcomeRelease, durable.OutcomeRelease, durable.OutcomeRetry, durable.OutcomeRelease, durable.OutcomeRetry, durable.OutcomeDeadLetter} {
		d := receiveOne(t, r)
		assert.Equal(t, []int{1, 1, 1, 2, 2, 3}[i], d.Attempt)
		if id == "" {
			id = d.ID
		}
		assert.Equal(t, id, d.ID)
		_, err := r.Settle(t.Context(), []durable.Settlement{{Delivery: d, Outcome: outcome}})
		require.NoError(t, err)
	}
	letter := deadLetters(t, e, 1)[0]
	assert.Equal(t, 3, letter.Attempts)
	_, err = e.DeadLetters().Redrive(t.Context(), orderPaid.Name(), "g", letter.Ref)
	require.NoError(t, err)
	assert.Equal(t, 1, receiveOne(t, r).Attempt)
}

func receiveOne(t *testing.T, r durable.Receiver) *durable.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := r.Receive(ctx, 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	return got[0]
}

// TestDeadLetterThatCannotBeStored holds up no others, and comes again.
func TestDeadLetterThatCannotBeStored(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	require.NoError(t, js.DeleteStream(t.Context(), "events-dead"))
	got, sub := subscribe(t, e, func(_ context.Context, n int) error {
		if n == 0 {
			return events.Permanent(errors.New("no"))
		}
		return nil
	}, durable.WithPrefetch(2))
	for n := range 20 {
		publish(t, e, n)
	}
	take(t, got, 20)
	require.Eventually(t, func() bool { return sub.Stats().Handled == 19 }, patience, time.Millisecond)
	groups, err := js.Consumer(t.Context(), "events", "order~paid@g")
	require.NoError(t, err)
	info, err := groups.Info(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, info.NumAckPending, "it was not given up")
}

// TestLargestMessageDies has a message of others be as large as the server takes: with a
// long reason its dead letter still fits.
func TestLargestMessageDies(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	got, _ := subscribe(t, e, func(context.Context, int) error {
		return events.Permanent(errors.New(strings.Repeat("ö", 4000)))
	})
	data := `{"Number":1,"Note":"` + strings.Repeat("x", 1<<20-600) + `"}`
	_, err := js.Publish(t.Context(), "events.order.paid", []byte(data))
	require.NoError(t, err)
	take(t, got, 1)
	assert.Len(t, deadLetters(t, e, 1)[0].Data, len(data))
}

// TestDiesInEachLife has an event die in a group, and once more when that was removed and
// made anew.
func TestDiesInEachLife(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	publish(t, e, 1)
	for range 2 {
		got, sub := subscribe(t, e, func(context.Context, int) error { return events.Permanent(errors.New("no")) }, durable.WithFromStart())
		take(t, got, 1)
		deadLetters(t, e, 1)
		closeSub(t, sub)
		require.NoError(t, e.RemoveGroup(t.Context(), orderPaid.Name(), "g"))
	}
}

// TestClosed refuses all that is asked of an engine that is closed.
func TestClosed(t *testing.T) {
	e := newEngine(t, startServer(t).connect())
	require.NoError(t, e.Close(t.Context()))
	_, err := e.Groups(t.Context())
	assert.ErrorIs(t, err, durable.ErrClosed)
	_, err = e.Sweep(t.Context())
	assert.ErrorIs(t, err, durable.ErrClosed)
	assert.ErrorIs(t, e.RemoveGroup(t.Context(), "t", "g"), durable.ErrClosed)
	_, err = e.DeadLetters().List(t.Context(), "t", "g", "", 1)
	assert.ErrorIs(t, err, durable.ErrClosed)
}
