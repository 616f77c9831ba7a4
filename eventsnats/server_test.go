package eventsnats_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events"
	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/eventsnats"
)

type order struct{ Number int }

var orderPaid = events.NewTopic[order]("order.paid")

// natsServer is one with files, which can be restarted.
type natsServer struct {
	t       testing.TB
	options server.Options
	*server.Server
}

func startServer(t testing.TB) *natsServer {
	s := &natsServer{t: t, options: server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *natsServer) start() {
	started, err := server.NewServer(&s.options)
	require.NoError(s.t, err)
	started.Start()
	require.True(s.t, started.ReadyForConnections(10*time.Second), "the server is ready")
	s.Server = started
	s.options.Port = started.Addr().(*net.TCPAddr).Port
}

func (s *natsServer) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

func (s *natsServer) connect() jetstream.JetStream {
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(s.t, err)
	return js
}

// newEngine returns an engine on streams that it makes.
func newEngine(t testing.TB, js jetstream.JetStream, options ...eventsnats.Option) *eventsnats.Engine {
	options = append([]eventsnats.Option{eventsnats.WithLogger(quiet())}, options...)
	require.NoError(t, eventsnats.Migrate(t.Context(), js, options...))
	e, err := eventsnats.New(t.Context(), js, options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close(context.Background())) })
	return e
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func publish(t testing.TB, e durable.Publisher, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, durable.Publish(t.Context(), e, orderPaid, order{n}))
	}
}

// subscribe subscribes group g to orderPaid. Its handler sends the numbers of events and
// returns what verdict says.
func subscribe(t testing.TB, e durable.Engine, verdict func(context.Context, int) error, options ...durable.SubscribeOption) (<-chan int, *durable.Subscription) {
	t.Helper()
	got := make(chan int, 10_000)
	sub, err := durable.Subscribe(t.Context(), e, orderPaid, "g", func(ctx context.Context, o order) error {
		got <- o.Number
		if verdict == nil {
			return nil
		}
		return verdict(ctx, o.Number)
	}, append(options, durable.WithLogger(quiet()))...)
	require.NoError(t, err)
	t.Cleanup(func() { closeSub(t, sub) })
	return got, sub
}

func closeSub(t testing.TB, sub *durable.Subscription) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, sub.Close(ctx))
}

func take(t testing.TB, got <-chan int, n int) (numbers []int) {
	t.Helper()
	for range n {
		select {
		case number := <-got:
			numbers = append(numbers, number)
		case <-time.After(patience):
			t.Fatalf("only %v came, of %d", numbers, n)
		}
	}
	return numbers
}

// deadLetters returns those of group g, once there are n.
func deadLetters(t testing.TB, e *eventsnats.Engine, n int) (list []durable.DeadLetter) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		list, err = e.DeadLetters().List(t.Context(), orderPaid.Name(), "g", "", 100)
		return err == nil && len(list) == n
	}, patience, 5*time.Millisecond, "%d dead letters", n)
	return list
}
