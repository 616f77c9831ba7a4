// Package cloudevents writes the messages of package durable as CloudEvents 1.0 and
// reads them, for engines over brokers: in the binary mode, where attributes are headers
// and the data is the body, and in the structured one, where a JSON document has all.
// What others have written in either mode is read as well.
//
// An attribute that CloudEvents does not have is an extension: the key is partitionkey
// (an extension of theirs), and the time before which a message is not due is notbefore.
// A header of a message is a header of the broker's by the same name, with
// exceptions that [Mapping.Write] names. A source may be empty in a message, and must not
// be in a CloudEvent: there it is "/".
package cloudevents

import (
	"errors"
	"fmt"
	"time"

	"github.com/typedbus/events/durable"
)

// version is that of CloudEvents.
const version = "1.0"

// noSource stands for a source that is empty.
const noSource = "/"

// ErrNoEvent is returned for what is no CloudEvent in any mode.
var ErrNoEvent = errors.New("cloudevents: no CloudEvent")

// attribute sets an attribute of a message by its name. An extension that messages do not
// have is a header.
func attribute(m *durable.Message, name, value string) (err error) {
	switch name {
	case "specversion":
		if value != version {
			err = fmt.Errorf("it is version %q of CloudEvents, want %s", value, version)
		}
	case "id":
		m.ID = value
	case "type":
		m.Topic = value
	case "source":
		if m.Source = value; value == noSource {
			m.Source = ""
		}
	case "partitionkey":
		m.Key = value
	case "datacontenttype":
		m.ContentType = value
	case "time":
		m.Time, err = moment(value)
	case "notbefore":
		m.NotBefore, err = moment(value)
	default:
		if _, there := m.Headers[name]; !there {
			header(m, name, value)
		}
	}
	return err
}

func header(m *durable.Message, name, value string) {
	if m.Headers == nil {
		m.Headers = make(map[string]string)
	}
	m.Headers[name] = value
}

func moment(value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("it is %q, want a time as in RFC 3339", value)
	}
	return t, nil
}

// Check reports what keeps a message from being a CloudEvent, beside what [durable.Message.Check]
// does: a time that RFC 3339 cannot tell.
func Check(m *durable.Message) error {
	for _, t := range []time.Time{m.Time, m.NotBefore} {
		if year := t.UTC().Year(); year < 1 || year > 9999 {
			return fmt.Errorf("cloudevents: the year %d, want 1 to 9999", year)
		}
	}
	return nil
}

// attributes calls yield for each attribute that a message has, but the type of its data.
func attributes(m *durable.Message, yield func(name, value string)) {
	source := m.Source
	if source == "" {
		source = noSource
	}
	yield("specversion", version)
	yield("id", m.ID)
	yield("type", m.Topic)
	yield("source", source)
	if m.Key != "" {
		yield("partitionkey", m.Key)
	}
	if !m.Time.IsZero() {
		yield("time", m.Time.UTC().Format(time.RFC3339Nano))
	}
	if !m.NotBefore.IsZero() {
		yield("notbefore", m.NotBefore.UTC().Format(time.RFC3339Nano))
	}
}

// check reports which attribute is missing that every CloudEvent has.
func check(m *durable.Message) error {
	switch {
	case m.ID == "":
		return errors.New("cloudevents: the event has no id")
	case m.Topic == "":
		return errors.New("cloudevents: the event has no type")
	}
	return nil
}
