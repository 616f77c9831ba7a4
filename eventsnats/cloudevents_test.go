package eventsnats_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	sdknats "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/cloudevents"
)

var paidMessage = durable.Message{
	ID: "one", Topic: "order.paid", Key: "ann", Source: "github.com/shop/orders", ContentType: "application/json",
	Time:    time.Date(2026, 11, 30, 12, 0, 0, 5000, time.UTC),
	Headers: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	Data:    []byte(`{"Number":1}`),
}

func assertPaid(t *testing.T, e *event.Event) {
	t.Helper()
	require.NoError(t, e.Validate())
	assert.Equal(t, "1.0", e.SpecVersion())
	assert.Equal(t, "one", e.ID())
	assert.Equal(t, "order.paid", e.Type())
	assert.Equal(t, "github.com/shop/orders", e.Source())
	assert.Equal(t, "application/json", e.DataContentType())
	assert.True(t, paidMessage.Time.Equal(e.Time()), "time %v", e.Time())
	assert.Equal(t, "ann", e.Extensions()["partitionkey"])
	assert.JSONEq(t, `{"Number":1}`, string(e.Data()))
}

// TestCloudEventsSDKReads has the SDK of CloudEvents read and validate what is in the
// stream, and what Marshal returns.
func TestCloudEventsSDKReads(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	require.NoError(t, e.Publish(t.Context(), paidMessage))
	stream, err := js.Stream(t.Context(), "events")
	require.NoError(t, err)
	raw, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, paidMessage.Headers["traceparent"], raw.Header.Get("traceparent"))
	read, err := binding.ToEvent(t.Context(), sdknats.NewMessage(&nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}))
	require.NoError(t, err)
	assertPaid(t, read)

	document, err := cloudevents.Marshal(paidMessage)
	require.NoError(t, err)
	structured := event.New()
	require.NoError(t, json.Unmarshal(document, &structured))
	assertPaid(t, &structured)
	assert.Equal(t, paidMessage.Headers["traceparent"], structured.Extensions()["traceparent"])
}

// TestCloudEventsSDKWrites handles what the SDK of CloudEvents has written, in both modes.
func TestCloudEventsSDKWrites(t *testing.T) {
	js := startServer(t).connect()
	e := newEngine(t, js)
	got := make(chan durable.Delivery, 10)
	sub, err := durable.Subscribe(t.Context(), e, orderPaid, "g", func(ctx context.Context, _ order) error {
		got <- *durable.FromContext(ctx)
		return nil
	})
	require.NoError(t, err)
	defer closeSub(t, sub)
	for name, mode := range map[string]func(context.Context) context.Context{"binary": binding.WithForceBinary, "structured": binding.WithForceStructured} {
		t.Run(name, func(t *testing.T) {
			written := event.New()
			written.SetID(name)
			written.SetType("order.paid")
			written.SetSource("github.com/shop/orders")
			written.SetTime(paidMessage.Time)
			written.SetExtension("partitionkey", "ann")
			written.SetExtension("tenant", "seven")
			require.NoError(t, written.SetData("application/json", order{1}))
			put(mode(t.Context()), t, js, &written)
			d := <-got
			want := paidMessage
			want.ID, want.Headers = name, map[string]string{"tenant": "seven"}
			d.Time = d.Time.UTC()
			assert.Equal(t, want, d.Message)
		})
	}
}

// put publishes an event as the SDK writes it.
func put(ctx context.Context, t *testing.T, js jetstream.JetStream, e *event.Event) {
	var body buffer
	header, err := sdknats.WriteMsg(ctx, binding.ToMessage(e), &body)
	require.NoError(t, err)
	_, err = js.PublishMsg(ctx, &nats.Msg{Subject: "events.order.paid", Header: header, Data: body.Bytes()})
	require.NoError(t, err)
}

type buffer struct{ bytes.Buffer }

func (b *buffer) ReadFrom(r io.Reader) (int64, error) { return b.Buffer.ReadFrom(r) }
