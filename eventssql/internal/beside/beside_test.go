package beside

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
)

// bare is a program without an engine.
type bare interface {
	publish(ctx context.Context, n int) error
	consume(ctx context.Context) error // deletes a job and returns it, in one statement: at most once
}

// side is a database.
type side struct {
	name   string
	bare   func(*testing.B) bare // with a table of nothing but data
	alike  func(*testing.B) bare // with a table of all that a message has, found by topic
	engine func(*testing.B) durable.Engine
}

// alike is the arguments of insertAlike.
var alike = []any{"order.paid", "an-id-of-some-length", nil, `{"type":"application/json"}`, data, int64(0), time.Now().UnixNano()}

func insertAlike(parameters string) string {
	return "insert into jobs (topic, mid, key, headers, data, at, stored) values (" + parameters + ")"
}

var sides = []side{sqliteSide, postgresSide}

type order struct {
	Number int
	Note   string
}

var orderPaid = events.NewTopic[order]("order.paid")

// data is that of an event.
var data, _ = json.Marshal(order{42, "an order of an ordinary size, some hundred bytes long, as they are in most of our programs"})

func messages(n int) []durable.Message {
	all := make([]durable.Message, n)
	for i := range all {
		all[i] = durable.Message{ID: fmt.Sprintf("an-id-of-length-%04d", i), Topic: orderPaid.Name(), ContentType: "application/json", Data: data}
	}
	return all
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// BenchmarkDurable is the time for an event: published one at a time, a hundred in a call,
// by 64 publishers at once; consumed; published and handled, one at a time; and published
// beside 1 and 20 groups.
func BenchmarkDurable(b *testing.B) {
	for _, s := range sides {
		b.Run(s.name, func(b *testing.B) {
			for _, work := range []struct {
				name              string
				publishers, batch int
			}{{"one", 1, 1}, {"hundred", 1, 100}, {"at-once", 64, 1}} {
				b.Run("publish="+work.name, func(b *testing.B) {
					b.Run("bare", func(b *testing.B) {
						benchmarkPublish(b, work.publishers, work.batch, s.bare(b).publish)
					})
					b.Run("alike", func(b *testing.B) {
						benchmarkPublish(b, work.publishers, work.batch, s.alike(b).publish)
					})
					b.Run("engine", func(b *testing.B) {
						engine := s.engine(b)
						benchmarkPublish(b, work.publishers, work.batch, func(ctx context.Context, n int) error {
							return engine.Publish(ctx, messages(n)...)
						})
					})
				})
			}
			b.Run("consume", func(b *testing.B) {
				b.Run("bare", func(b *testing.B) { benchmarkBareConsume(b, s.bare(b)) })
				b.Run("engine", func(b *testing.B) { benchmarkConsume(b, s.engine(b), messages(b.N)) })
				b.Run("engine-by-key", func(b *testing.B) {
					benchmarkConsume(b, s.engine(b), keyed(messages(b.N), 1000), durable.WithOrderByKey())
				})
				b.Run("engine-by-one-key", func(b *testing.B) {
					benchmarkConsume(b, s.engine(b), keyed(messages(b.N), 1), durable.WithOrderByKey())
				})
			})
			b.Run("latency", func(b *testing.B) {
				b.Run("bare", func(b *testing.B) { benchmarkBareLatency(b, s.bare(b)) })
				b.Run("engine", func(b *testing.B) { benchmarkLatency(b, s.engine(b)) })
			})
			for _, groups := range []int{1, 20} {
				b.Run(fmt.Sprint("groups=", groups), func(b *testing.B) { benchmarkGroups(b, s.engine(b), groups) })
			}
		})
	}
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

func benchmarkBareConsume(b *testing.B, jobs bare) {
	require.NoError(b, jobs.publish(b.Context(), b.N))
	b.ResetTimer()
	for range b.N {
		require.NoError(b, jobs.consume(b.Context()))
	}
	b.StopTimer()
}

// keyed gives messages keys in turn.
func keyed(all []durable.Message, keys int) []durable.Message {
	for i := range all {
		all[i].Key = fmt.Sprint(i % keys)
	}
	return all
}

// benchmarkConsume handles and settles what is stored, with one worker.
func benchmarkConsume(b *testing.B, engine durable.Engine, all []durable.Message, options ...durable.GroupOption) {
	require.NoError(b, durable.Declare(b.Context(), engine, orderPaid.Name(), "g", options...))
	for len(all) > 0 {
		n := min(len(all), 1000)
		require.NoError(b, engine.Publish(b.Context(), all[:n]...))
		all = all[n:]
	}
	chosen := []durable.SubscribeOption{durable.WithPrefetch(100)}
	for _, o := range options {
		chosen = append(chosen, o)
	}
	var handled sync.WaitGroup
	handled.Add(b.N)
	b.ResetTimer()
	sub, err := durable.Subscribe(b.Context(), engine, orderPaid, "g", func(context.Context, order) error {
		handled.Done()
		return nil
	}, chosen...)
	require.NoError(b, err)
	handled.Wait()
	require.NoError(b, sub.Close(b.Context()))
	b.StopTimer()
}

// benchmarkBareLatency takes each event right behind its publish: nobody can be told of it
// sooner.
func benchmarkBareLatency(b *testing.B, jobs bare) {
	for b.Loop() {
		require.NoError(b, jobs.publish(b.Context(), 1))
		require.NoError(b, jobs.consume(b.Context()))
	}
}

// benchmarkLatency is the time from a publish until the handler begins, of one event at a
// time.
func benchmarkLatency(b *testing.B, engine durable.Engine) {
	handled := make(chan struct{})
	sub, err := durable.Subscribe(b.Context(), engine, orderPaid, "g", func(context.Context, order) error {
		handled <- struct{}{}
		return nil
	})
	require.NoError(b, err)
	message := messages(1)
	for b.Loop() {
		require.NoError(b, engine.Publish(b.Context(), message...))
		<-handled
	}
	require.NoError(b, sub.Close(b.Context()))
}

// benchmarkGroups publishes beside groups that are absent.
func benchmarkGroups(b *testing.B, engine durable.Engine, groups int) {
	for g := range groups {
		require.NoError(b, durable.Declare(b.Context(), engine, orderPaid.Name(), fmt.Sprint("group ", g)))
	}
	message := messages(1)
	for b.Loop() {
		require.NoError(b, engine.Publish(b.Context(), message...))
	}
}
