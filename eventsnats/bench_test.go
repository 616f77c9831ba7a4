package eventsnats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
)

type note struct {
	Number int
	Note   string
}

var (
	notePaid    = events.NewTopic[note]("note.paid")
	noteData, _ = json.Marshal(note{42, "an order of an ordinary size, some hundred bytes long, as they are in most of our programs"})
	noteNumber  atomic.Int64
)

// messages returns events with ids that were never there.
func messages(n int) []durable.Message {
	all := make([]durable.Message, n)
	for i := range all {
		all[i] = durable.Message{ID: fmt.Sprintf("an-id-of-length-%08d", noteNumber.Add(1)), Topic: notePaid.Name(), Source: "github.com/shop/orders", ContentType: "application/json", Data: noteData}
	}
	return all
}

// bareClient is a program without an engine, on a stream like that of one. Its messages have
// nothing but data, or an id and headers as those of an engine do.
type bareClient struct {
	js    jetstream.JetStream
	alike bool
}

func (c bareClient) message() *nats.Msg {
	m := &nats.Msg{Subject: "events.note.paid", Data: noteData}
	if c.alike {
		id := fmt.Sprintf("an-id-of-length-%08d", noteNumber.Add(1))
		m.Header = nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-type": {"note.paid"}, "ce-source": {"github.com/shop/orders"},
			"ce-datacontenttype": {"application/json"}, jetstream.MsgIDHeader: {id},
		}
	}
	return m
}

func (c bareClient) publish(ctx context.Context, n int) error {
	if n == 1 {
		_, err := c.js.PublishMsg(ctx, c.message())
		return err
	}
	futures := make([]jetstream.PubAckFuture, n)
	for i := range futures {
		var err error
		if futures[i], err = c.js.PublishMsgAsync(c.message()); err != nil {
			return err
		}
	}
	for _, f := range futures {
		select {
		case <-f.Ok():
		case err := <-f.Err():
			return err
		}
	}
	return nil
}

// BenchmarkDurable is the time for an event, beside the client without an engine: published
// one at a time, a hundred in a call, by 64 publishers at once; consumed; and published and
// handled, one at a time.
func BenchmarkDurable(b *testing.B) {
	b.Run("jetstream", func(b *testing.B) {
		for _, work := range []struct {
			name              string
			publishers, batch int
		}{{"one", 1, 1}, {"hundred", 1, 100}, {"at-once", 64, 1}} {
			b.Run("publish="+work.name, func(b *testing.B) {
				run := func(name string, publish func(js jetstream.JetStream, e *eventsnats.Engine) func(context.Context, int) error) {
					b.Run(name, func(b *testing.B) {
						js := startServer(b).connect()
						benchmarkPublish(b, work.publishers, work.batch, publish(js, newEngine(b, js)))
					})
				}
				run("bare", func(js jetstream.JetStream, _ *eventsnats.Engine) func(context.Context, int) error {
					return bareClient{js: js}.publish
				})
				run("alike", func(js jetstream.JetStream, _ *eventsnats.Engine) func(context.Context, int) error {
					return bareClient{js: js, alike: true}.publish
				})
				run("engine", func(_ jetstream.JetStream, e *eventsnats.Engine) func(context.Context, int) error {
					return func(ctx context.Context, n int) error { return e.Publish(ctx, messages(n)...) }
				})
			})
		}
		b.Run("consume", func(b *testing.B) {
			b.Run("bare", benchmarkBareConsume)
			b.Run("engine", benchmarkConsume)
		})
		b.Run("latency", func(b *testing.B) {
			b.Run("bare", benchmarkBareLatency)
			b.Run("engine", benchmarkLatency)
		})
	})
}

func benchmarkPublish(b *testing.B, publishers, batch int, publish func(context.Context, int) error) {
	ctx, cancel := context.WithCancel(b.Context()) // as that of a request
	defer cancel()
	var group sync.WaitGroup
	b.ResetTimer()
	for p := range publishers {
		group.Go(func() {
			for i := p * batch; i < b.N; i += publishers * batch {
				if err := publish(ctx, batch); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
}

func fill(b *testing.B, e *eventsnats.Engine, n int) {
	for n > 0 {
		batch := min(n, 1000)
		require.NoError(b, e.Publish(b.Context(), messages(batch)...))
		n -= batch
	}
}

// benchmarkBareConsume reads and acknowledges what is stored, decoding it.
func benchmarkBareConsume(b *testing.B) {
	js := startServer(b).connect()
	e := newEngine(b, js)
	fill(b, e, b.N)
	consumer, err := js.CreateConsumer(b.Context(), "events", jetstream.ConsumerConfig{
		Durable: "bare", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.note.paid", MaxAckPending: -1,
	})
	require.NoError(b, err)
	b.ResetTimer()
	all, err := consumer.Messages(jetstream.PullMaxMessages(100))
	require.NoError(b, err)
	for range b.N {
		m, err := all.Next()
		require.NoError(b, err)
		var n note
		require.NoError(b, json.Unmarshal(m.Data(), &n))
		require.NoError(b, m.Ack())
	}
	require.NoError(b, js.Conn().Flush())
	b.StopTimer()
	all.Stop()
}

func benchmarkConsume(b *testing.B) {
	e := newEngine(b, startServer(b).connect())
	require.NoError(b, durable.Declare(b.Context(), e, notePaid.Name(), "g"))
	fill(b, e, b.N)
	var handled sync.WaitGroup
	handled.Add(b.N)
	b.ResetTimer()
	sub, err := durable.Subscribe(b.Context(), e, notePaid, "g", func(context.Context, note) error {
		handled.Done()
		return nil
	}, durable.WithPrefetch(100))
	require.NoError(b, err)
	handled.Wait()
	require.NoError(b, sub.Close(b.Context()))
	b.StopTimer()
}

// benchmarkBareLatency publishes one message at a time and has it come back.
func benchmarkBareLatency(b *testing.B) {
	js := startServer(b).connect()
	newEngine(b, js)
	consumer, err := js.CreateConsumer(b.Context(), "events", jetstream.ConsumerConfig{
		Durable: "bare", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "events.note.paid", MaxAckPending: -1,
	})
	require.NoError(b, err)
	all, err := consumer.Messages(jetstream.PullMaxMessages(100))
	require.NoError(b, err)
	client := bareClient{js: js}
	for b.Loop() {
		require.NoError(b, client.publish(b.Context(), 1))
		m, err := all.Next()
		require.NoError(b, err)
		require.NoError(b, m.Ack())
	}
	all.Stop()
}

// benchmarkLatency is the time from a publish until the handler begins, of one event at a
// time.
func benchmarkLatency(b *testing.B) {
	e := newEngine(b, startServer(b).connect())
	handled := make(chan struct{})
	sub, err := durable.Subscribe(b.Context(), e, notePaid, "g", func(context.Context, note) error {
		handled <- struct{}{}
		return nil
	})
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, e.Publish(b.Context(), messages(1)...))
		<-handled
	}
	require.NoError(b, sub.Close(b.Context()))
}
