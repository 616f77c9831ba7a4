package cloudevents_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/cloudevents"
)

var paid = durable.Message{
	ID: "1", Topic: "order.paid", Key: "ann", Source: "github.com/shop/orders", ContentType: "application/json",
	Time: time.Date(2026, 11, 30, 12, 0, 0, 5000, time.UTC), NotBefore: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	Headers: map[string]string{"traceparent": "00-1-2-03", "Tenant-Id": "7"},
	Data:    []byte(`{"Number":1}`),
}

func ExampleMapping_Write() {
	headers := make(map[string]string)
	message := durable.Message{ID: "1", Topic: "order.paid", Key: "ann & bob", Source: "/orders", ContentType: "application/json"}
	cloudevents.NATS.Write(&message, func(name, value string) { headers[name] = value })
	for _, name := range []string{"ce-specversion", "ce-id", "ce-type", "ce-source", "ce-partitionkey", "ce-datacontenttype"} {
		fmt.Println(name, headers[name])
	}
	// Output:
	// ce-specversion 1.0
	// ce-id 1
	// ce-type order.paid
	// ce-source /orders
	// ce-partitionkey ann%20&%20bob
	// ce-datacontenttype application/json
}

func ExampleMarshal() {
	document, err := cloudevents.Marshal(durable.Message{
		ID: "1", Topic: "order.paid", Source: "/orders", ContentType: "application/json", Data: []byte(`{"Number":1}`),
	})
	fmt.Println(string(document), err)
	// Output:
	// {"data":{"Number":1},"datacontenttype":"application/json","id":"1","source":"/orders","specversion":"1.0","type":"order.paid"} <nil>
}

// TestBinary reads what was written, for each mapping.
func TestBinary(t *testing.T) {
	for name, mapping := range map[string]cloudevents.Mapping{"NATS": cloudevents.NATS, "Kafka": cloudevents.Kafka} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, paid, throughBinary(t, mapping, paid)) })
	}
}

func throughBinary(t *testing.T, mapping cloudevents.Mapping, m durable.Message) durable.Message {
	headers := make(map[string]string)
	mapping.Write(&m, func(name, value string) {
		require.NotContains(t, headers, name, "each header once")
		for _, c := range []byte(name + value) {
			require.True(t, c > ' ' && c < 0x7f, "%q: %q", name, value)
		}
		headers[name] = value
	})
	read, err := mapping.Read(maps.All(headers), m.Data)
	require.NoError(t, err)
	return read
}

// TestStructured reads what was written, with data of all sorts.
func TestStructured(t *testing.T) {
	for _, c := range []struct{ contentType, data string }{
		{"application/json", `{"Number":1}`},
		{"application/json", `"text"`},
		{"application/json", "no JSON"},
		{"application/vnd.shop+json; charset=utf-8", `[1]`},
		{"text/plain", "text"},
		{"image/png", "\x00\xff"},
		{"", `{"Number":1}`},
		{"", ""},
	} {
		m := paid
		m.ContentType, m.Data = c.contentType, []byte(c.data)
		document, err := cloudevents.Marshal(m)
		require.NoError(t, err)
		read, err := cloudevents.Unmarshal(document)
		require.NoError(t, err)
		assert.Equal(t, c.data, string(read.Data), c.contentType)
		m.Data, read.Data = nil, nil
		assert.Equal(t, m, read)
	}
}

// TestOthersEvents reads what others may have written.
func TestOthersEvents(t *testing.T) {
	m, err := cloudevents.Unmarshal([]byte(`{"specversion":"1.0","id":"1","type":"t","source":"/s","subject":"x","count":3,"isnew":true,"gone":null,"data":"text","datacontenttype":"text/plain"}`))
	require.NoError(t, err)
	assert.Equal(t, durable.Message{
		ID: "1", Topic: "t", Source: "/s", ContentType: "text/plain", Data: []byte("text"),
		Headers: map[string]string{"subject": "x", "count": "3", "isnew": "true"},
	}, m)
	m, err = cloudevents.NATS.Read(maps.All(map[string]string{
		"ce-specversion": "1.0", "ce-id": "50%", "Status": "408", "ce-type": "t", "ce-source": "/s", "ce-traceparent": "extension", "Content-Type": "text/plain", "x%2": "%4", "events-x%20y": "1",
	}), nil)
	require.NoError(t, err)
	assert.Equal(t, durable.Message{
		ID: "50%", Topic: "t", Source: "/s", ContentType: "text/plain",
		Headers: map[string]string{"traceparent": "extension", "x%2": "%4", "x y": "1", "Status": "408"},
	}, m)
}

// TestNoEvents says what is wrong with what is no CloudEvent.
func TestNoEvents(t *testing.T) {
	for document, want := range map[string]string{
		"": "no CloudEvent", "{}": "no CloudEvent", "[]": "no CloudEvent", `{"specversion":"0.3"}`: `version "0.3" of CloudEvents, want 1.0`,
		`{"specversion":"1.0","type":"t"}`:                                                "has no id",
		`{"specversion":"1.0","id":"1"}`:                                                  "has no type",
		`{"specversion":"1.0","id":"1","type":"t","time":"now"}`:                          `time: it is "now", want a time as in RFC 3339`,
		`{"specversion":"1.0","id":"1","type":"t","data_base64":"?"}`:                     "data: illegal base64",
		`{"specversion":"1.0","id":"1","type":"t","eventsheaders":3}`:                     "eventsheaders",
		`{"specversion":"1.0","id":"1","type":"t","eventsheaders":"3"}`:                   "eventsheaders",
		`{"specversion":"1.0","id":"1","type":"t","data":3,"datacontenttype":"a/b","x":}`: "no CloudEvent",
	} {
		_, err := cloudevents.Unmarshal([]byte(document))
		assert.ErrorContains(t, err, want, document)
	}
	_, err := cloudevents.NATS.Read(maps.All(map[string]string{"traceparent": "1"}), []byte("text"))
	assert.ErrorIs(t, err, cloudevents.ErrNoEvent)
	m, err := cloudevents.NATS.Read(maps.All(map[string]string{"baggage": "k=a%2Cb"}), []byte("text"))
	assert.ErrorIs(t, err, cloudevents.ErrNoEvent)
	assert.Equal(t, "k=a%2Cb", m.Headers["baggage"], "what is no CloudEvent is as it was")
	_, err = cloudevents.Marshal(durable.Message{ID: "1", Topic: "t", Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	assert.ErrorContains(t, err, "the year 10000, want 1 to 9999")
	_, err = cloudevents.Marshal(durable.Message{Topic: "t"})
	assert.ErrorContains(t, err, "id is empty")
}

// FuzzMessages has a message be the same after it was written and read, in both modes.
func FuzzMessages(f *testing.F) {
	f.Add("1", "t", "k", "/s", "application/json", "name", "value", []byte("{}"))
	f.Add("ö%41\n", "a b", "", "", "", "ce-id", " ", []byte(nil))
	f.Add("1", "t", "", "x", "text/plain", "Content-Type", "%", []byte{0xff})
	f.Add("1", "t", "", "x", "", "events-x", "", []byte("1"))
	f.Add("1", "t", "", "x", "", "STATUS", "503", []byte(nil))
	f.Fuzz(func(t *testing.T, id, topic, key, source, contentType, name, value string, data []byte) {
		m := durable.Message{ID: id, Topic: topic, Key: key, Source: source, ContentType: contentType, Headers: map[string]string{name: value}, Data: data}
		if m.Check() != nil || source == "/" {
			return
		}
		binary := throughBinary(t, cloudevents.NATS, m)
		binary.Data = m.Data
		assert.Equal(t, m, binary)
		document, err := cloudevents.Marshal(m)
		require.NoError(t, err)
		structured, err := cloudevents.Unmarshal(document)
		require.NoError(t, err)
		structured.Data = m.Data // as a JSON value it may be written in another way
		assert.Equal(t, m, structured)
	})
}

// FuzzRead has what others have written be read without a panic.
func FuzzRead(f *testing.F) {
	f.Add("ce-specversion", "1.0", []byte(`{"specversion":"1.0","id":"1","type":"t","data":{}}`))
	f.Fuzz(func(t *testing.T, name, value string, data []byte) {
		m, err := cloudevents.NATS.Read(maps.All(map[string]string{name: value}), data)
		if err == nil && (m.ID == "" || m.Topic == "") {
			t.Errorf("read %+v", m)
		}
	})
}
