package eventsnats

import (
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/typedbus/events/durable"
	"github.com/typedbus/events/durable/cloudevents"
)

// encode returns a message as NATS has it, after all checks that can be made here.
func (e *Engine) encode(m *durable.Message) (*nats.Msg, error) {
	if err := errors.Join(m.Check(), cloudevents.Check(m), checkTopic(m.Topic)); err != nil {
		return nil, err
	}
	if time.Until(m.NotBefore) > 0 {
		return nil, fmt.Errorf("%w: a message for later, at %v", durable.ErrUnsupported, m.NotBefore)
	}
	msg := &nats.Msg{Subject: e.subject(m.Topic), Data: m.Data, Header: make(nats.Header, 8+len(m.Headers))}
	size := len(m.Data) + len("NATS/1.0\r\n\r\n")
	set := func(name, value string) {
		msg.Header[name] = []string{value}
		size += len(name) + len(value) + 4 // as it is sent, with a colon and the end of a line
	}
	cloudevents.NATS.Write(m, set)
	set(jetstream.MsgIDHeader, messageID(m))
	most := e.maxSize
	if limit := int(e.nc.MaxPayload()); limit > 0 { // it is not known before the first connection
		most = min(most, limit)
	}
	if size > most {
		return nil, fmt.Errorf("%w: %d bytes with its headers, want %d at most: see WithMaxSize, and max_payload of the server", durable.ErrTooLarge, size, most)
	}
	return msg, nil
}

// messageID is what a stream knows a message by, within its window for duplicates.
func messageID(m *durable.Message) string {
	return url.PathEscape(m.Source) + "/" + url.PathEscape(m.Topic) + "/" + url.PathEscape(m.ID)
}

// decode returns the message that NATS has, on a topic. What others have put there comes as
// well: with an id of the stream's if it has none, and if it cannot be read with a content
// type that no codec takes, so that it becomes a dead letter.
func (e *Engine) decode(topic string, sequence uint64, stored time.Time, header nats.Header, data []byte) durable.Message {
	m, err := cloudevents.NATS.Read(ours(header), data)
	if err != nil && !errors.Is(err, cloudevents.ErrNoEvent) {
		m = durable.Message{ContentType: fmt.Sprintf("unreadable (%v)", err), Data: data}
	}
	if m.ID == "" {
		m.ID, m.Time = e.stream+"/"+strconv.FormatUint(sequence, 10), stored
	}
	m.Topic = topic
	return m
}

// The headers of a dead letter and of what was given back, beside those of the message. No
// header of a message is written by these names.
const (
	deadReason = "events-dead-reason"
	attempts   = "events-attempts" // that were over
)

// ours yields the headers that are a message's own.
func ours(header nats.Header) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, values := range header {
			if !isOurs(name) || len(values) == 0 {
				continue
			}
			if !yield(name, values[0]) {
				return
			}
		}
	}
}

func isOurs(name string) bool {
	return !strings.HasPrefix(name, "Nats-") && name != deadReason && name != attempts
}

// copyOf returns a message for another subject, which the stream has to know by an id.
func copyOf(subject, id, eventID string, header nats.Header, data []byte) *nats.Msg {
	m := &nats.Msg{Subject: subject, Data: data, Header: make(nats.Header, len(header)+3)}
	for name, values := range header {
		switch {
		case !isOurs(name):
		case name == "Status", name == "Description": // as others may have written: it would be taken for an answer
			m.Header["events-"+name] = values
		default:
			m.Header[name] = values
		}
	}
	if len(header["ce-specversion"]) == 0 && len(header["ce-id"]) == 0 { // somebody else's, and known by its place
		m.Header["ce-id"] = []string{eventID}
	}
	m.Header[jetstream.MsgIDHeader] = []string{id}
	return m
}
