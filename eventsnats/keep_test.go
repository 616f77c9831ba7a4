package eventsnats

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
)

// TestKeepLeases mends a consumer that waits for less than the lease of a receiver, and says
// what it cannot mend.
func TestKeepLeases(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	require.NoError(t, err)
	s.Start()
	defer s.Shutdown()
	require.True(t, s.ReadyForConnections(10*time.Second))
	nc, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	require.NoError(t, Migrate(t.Context(), js))
	e, err := New(t.Context(), js)
	require.NoError(t, err)
	defer func() { assert.NoError(t, e.Close(t.Context())) }()
	r, err := e.Open(t.Context(), durable.Consumer{Topic: "t", Group: "g", Lease: time.Minute})
	require.NoError(t, err)
	defer func() { assert.NoError(t, r.Close()) }()

	change := func(do func(*jetstream.ConsumerConfig)) {
		there, err := js.Consumer(t.Context(), "events", "t@g")
		require.NoError(t, err)
		config := there.CachedInfo().Config
		do(&config)
		_, err = js.UpdateConsumer(t.Context(), "events", config)
		require.NoError(t, err)
	}
	change(func(c *jetstream.ConsumerConfig) { c.AckWait = time.Second })
	require.NoError(t, e.keepLeases(t.Context()))
	there, err := js.Consumer(t.Context(), "events", "t@g")
	require.NoError(t, err)
	assert.Equal(t, time.Minute, there.CachedInfo().Config.AckWait)

	change(func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 5 })
	assert.ErrorContains(t, e.keepLeases(t.Context()), "5 messages without acknowledgement at most, want no limit")
	require.NoError(t, js.DeleteConsumer(t.Context(), "events", "t@g"))
	assert.NoError(t, e.keepLeases(t.Context()), "its Receive says so")
}
