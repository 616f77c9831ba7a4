package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventssql/sqlite"
)

// bare is what a program would do without the engine: a table of its own, by the
// same driver with the same settings.
type bare struct{ db *sql.DB }

func newBare(b *testing.B) *bare {
	db := openBenchDB(b)
	_, err := db.ExecContext(b.Context(), "create table jobs (id integer primary key autoincrement, data blob not null)")
	require.NoError(b, err)
	return &bare{db}
}

func openBenchDB(b *testing.B) *sql.DB {
	db, err := sql.Open("sqlite", sqlite.DSN(filepath.Join(b.TempDir(), "bench.db")))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	return db
}

func (p *bare) publish(ctx context.Context, n int) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for range n {
		if _, err := tx.ExecContext(ctx, "insert into jobs (data) values (?)", benchData); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// consume deletes a job and returns it, in one statement: at most once.
func (p *bare) consume(ctx context.Context) error {
	var data []byte
	return p.db.QueryRowContext(ctx, "delete from jobs where id = (select min(id) from jobs) returning data").Scan(&data)
}

var benchData = []byte(`{"Number":42,"Note":"an order of an ordinary size, some hundred bytes long, as they are in most of our programs"}`)

// BenchmarkPublish is one event at a time, a hundred in a call, and one each by 64
// publishers. It reports the time for an event.
func BenchmarkPublish(b *testing.B) {
	engines := map[string]func(*testing.B) func(context.Context, int) error{
		"bare": func(b *testing.B) func(context.Context, int) error { return newBare(b).publish },
		"store": func(b *testing.B) func(context.Context, int) error {
			store := openBenchStore(b)
			return func(ctx context.Context, n int) error { return store.Publish(ctx, benchMessages(n)...) }
		},
	}
	for _, work := range []struct {
		name              string
		publishers, batch int
	}{{"one", 1, 1}, {"hundred", 1, 100}, {"at once", 64, 1}} {
		for name, newEngine := range engines {
			b.Run(work.name+"/"+name, func(b *testing.B) {
				publish := newEngine(b)
				var group sync.WaitGroup
				b.ResetTimer()
				for p := range work.publishers {
					group.Go(func() {
						for i := p * work.batch; i < b.N; i += work.publishers * work.batch {
							if err := publish(context.Background(), work.batch); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
			})
		}
	}
}

func benchMessages(n int) []durable.Message {
	messages := make([]durable.Message, n)
	for i := range messages {
		messages[i] = durable.Message{ID: fmt.Sprint(i), Topic: orderPaid.Name(), ContentType: "application/json", Data: benchData}
	}
	return messages
}

func openBenchStore(b *testing.B) durable.Engine {
	store, err := sqlite.OpenDB(b.Context(), openBenchDB(b), quiet())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, store.Close(context.Background())) })
	return store
}

// BenchmarkConsume handles and settles what is stored, with one worker.
func BenchmarkConsume(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		jobs := newBare(b)
		require.NoError(b, jobs.publish(b.Context(), b.N))
		b.ResetTimer()
		for range b.N {
			require.NoError(b, jobs.consume(b.Context()))
		}
	})
	b.Run("store", func(b *testing.B) { benchmarkConsume(b, benchMessages(b.N)) })
	b.Run("store by one key", func(b *testing.B) {
		messages := benchMessages(b.N)
		for i := range messages {
			messages[i].Key = "hot"
		}
		benchmarkConsume(b, messages, durable.WithOrderByKey())
	})
}

func benchmarkConsume(b *testing.B, messages []durable.Message, options ...durable.GroupOption) {
	store := openBenchStore(b)
	require.NoError(b, durable.Declare(b.Context(), store, orderPaid.Name(), "g", options...))
	require.NoError(b, store.Publish(b.Context(), messages...))
	var handled sync.WaitGroup
	handled.Add(b.N)
	b.ResetTimer()
	sub, err := durable.Subscribe(b.Context(), store, orderPaid, "g", func(context.Context, order) error {
		handled.Done()
		return nil
	}, append([]durable.SubscribeOption{durable.WithPrefetch(100)}, asSubscribe(options)...)...)
	require.NoError(b, err)
	handled.Wait()
	require.NoError(b, sub.Close(b.Context()))
	b.StopTimer()
}

func asSubscribe(options []durable.GroupOption) (all []durable.SubscribeOption) {
	for _, o := range options {
		all = append(all, o)
	}
	return all
}

// BenchmarkPublishToGroups is a publish beside 1 and 20 groups that are absent.
func BenchmarkPublishToGroups(b *testing.B) {
	for _, groups := range []int{1, 20} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			store := openBenchStore(b)
			for g := range groups {
				require.NoError(b, durable.Declare(b.Context(), store, orderPaid.Name(), fmt.Sprint("group ", g)))
			}
			message := benchMessages(1)
			for b.Loop() {
				require.NoError(b, store.Publish(b.Context(), message...))
			}
		})
	}
}
