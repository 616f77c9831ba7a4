package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/typedbus/events/durable"
)

// ContentType is that of an event in structured mode.
const ContentType = "application/cloudevents+json"

// otherHeaders is the extension that has, as a JSON object, the headers whose names no
// extension may have.
const otherHeaders = "eventsheaders"

// Marshal returns a message as a CloudEvent in structured mode, in JSON. Data is a value in
// it if that is its type, or else in base64.
func Marshal(m durable.Message) ([]byte, error) {
	if err := errors.Join(m.Check(), Check(&m)); err != nil {
		return nil, fmt.Errorf("cloudevents: %w", err)
	}
	document := make(map[string]any)
	attributes(&m, func(name, value string) { document[name] = value })
	if m.ContentType != "" {
		document["datacontenttype"] = m.ContentType
	}
	others := make(map[string]string)
	for name, value := range m.Headers {
		if isExtension(name) {
			document[name] = value
		} else {
			others[name] = value
		}
	}
	if len(others) > 0 {
		text, err := json.Marshal(others)
		if err != nil {
			return nil, err
		}
		document[otherHeaders] = string(text)
	}
	switch {
	case len(m.Data) == 0:
	case isJSON(m.ContentType) && json.Valid(m.Data):
		document["data"] = json.RawMessage(m.Data)
	default:
		document["data_base64"] = base64.StdEncoding.EncodeToString(m.Data)
	}
	return json.Marshal(document)
}

// Unmarshal returns the message that a CloudEvent in structured mode is, in JSON. It
// returns [ErrNoEvent] for what is none.
func Unmarshal(data []byte) (m durable.Message, err error) {
	var document map[string]json.RawMessage
	if json.Unmarshal(data, &document) != nil || document["specversion"] == nil {
		return durable.Message{}, ErrNoEvent
	}
	value, encoded := document["data"], document["data_base64"]
	others := document[otherHeaders]
	delete(document, "data")
	delete(document, "data_base64")
	delete(document, otherHeaders)
	for name, raw := range document {
		text := string(raw) // of a number or a boolean
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return durable.Message{}, fmt.Errorf("cloudevents: %s: %w", name, err)
			}
		}
		if text == "null" && raw[0] != '"' {
			continue
		}
		if err := attribute(&m, name, text); err != nil {
			return durable.Message{}, fmt.Errorf("cloudevents: %s: %w", name, err)
		}
	}
	if err := readOthers(&m, others); err != nil {
		return durable.Message{}, fmt.Errorf("cloudevents: %s: %w", otherHeaders, err)
	}
	if m.Data, err = body(m.ContentType, value, encoded); err != nil {
		return durable.Message{}, fmt.Errorf("cloudevents: data: %w", err)
	}
	return m, check(&m)
}

func readOthers(m *durable.Message, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var text string
	others := make(map[string]string)
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &others); err != nil {
		return err
	}
	for name, value := range others {
		header(m, name, value)
	}
	return nil
}

// body returns the data of an event. Without a type it is JSON; text of another type is a
// string in the document.
func body(contentType string, value, encoded json.RawMessage) (data []byte, err error) {
	switch {
	case encoded != nil:
		err = json.Unmarshal(encoded, &data)
		return data, err
	case value == nil:
		return nil, nil
	case contentType == "" || isJSON(contentType) || value[0] != '"':
		return value, nil
	}
	var text string
	err = json.Unmarshal(value, &text)
	return []byte(text), err
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json"))
}

// isExtension reports whether an extension may have a name: lower-case letters and digits,
// and none of the names that have a meaning already.
func isExtension(name string) bool {
	for _, c := range []byte(name) {
		if ('a' > c || c > 'z') && ('0' > c || c > '9') {
			return false
		}
	}
	switch name {
	case "", "specversion", "id", "type", "source", "subject", "time", "dataschema", "datacontenttype", "partitionkey", "notbefore", "data", otherHeaders:
		return false
	}
	return true
}
