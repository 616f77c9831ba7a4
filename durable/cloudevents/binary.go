package cloudevents

import (
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/typedbus/events/durable"
)

// Mapping says how a broker's headers carry attributes in the binary mode.
type Mapping struct {
	Prefix      string // of the names of attributes, as "ce-"
	ContentType string // the header that has the type of the data
}

// NATS and Kafka are the mappings of the protocol bindings for these brokers.
var (
	NATS  = Mapping{Prefix: "ce-", ContentType: "ce-datacontenttype"}
	Kafka = Mapping{Prefix: "ce_", ContentType: "content-type"}
)

// own is before the names of headers that a broker, or this package, would take for
// something else.
const own = "events-"

// contentType is the header that says whether a body is a CloudEvent as a whole.
const contentType = "content-type"

// Write calls set for each header of a broker's message whose body is the data of m.
// Values are printable ASCII, other characters are percent-encoded as in the HTTP binding.
// A header of m whose name has other characters than letters, digits, '-', '_' and '.', or
// which begins like an attribute, like a header of NATS or like one of this package, is
// percent-encoded, and has "events-" before it.
func (b Mapping) Write(m *durable.Message, set func(name, value string)) {
	attributes(m, func(name, value string) { set(b.Prefix+name, escape(value)) })
	if m.ContentType != "" {
		set(b.ContentType, escape(m.ContentType))
	}
	for name, value := range m.Headers {
		if !b.isPlain(name) {
			name = own + escapeName(name)
		}
		set(name, escape(value))
	}
}

// isPlain reports whether a header may have this name at a broker.
func (b Mapping) isPlain(name string) bool {
	for _, c := range []byte(name) {
		if !isPlain(c) {
			return false
		}
	}
	for _, reserved := range []string{b.Prefix, own, "nats-"} {
		if len(name) >= len(reserved) && strings.EqualFold(name[:len(reserved)], reserved) {
			return false
		}
	}
	for _, reserved := range []string{contentType, "status", "description"} { // the latter are answers of NATS
		if strings.EqualFold(name, reserved) {
			return false
		}
	}
	return true
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}

// Read returns the message that headers and a body make: a CloudEvent in binary mode or, if
// no header has its version, one in structured mode. It goes through the headers twice. It
// returns [ErrNoEvent] for what is neither, with a message of what there is, and another
// error for a CloudEvent that cannot be read.
func (b Mapping) Read(headers iter.Seq2[string, string], data []byte) (durable.Message, error) {
	m := durable.Message{Data: data}
	isBinary := false
	for name := range headers {
		isBinary = isBinary || name == b.Prefix+"specversion"
	}
	for name, value := range headers {
		if isBinary {
			value = unescape(value)
		}
		if err := b.read(&m, name, value); err != nil {
			return m, fmt.Errorf("cloudevents: header %s: %w", name, err)
		}
	}
	if isBinary {
		return m, check(&m)
	}
	structured, err := Unmarshal(data)
	if err != nil {
		return m, err
	}
	for name, value := range m.Headers {
		header(&structured, name, value)
	}
	return structured, nil
}

func (b Mapping) read(m *durable.Message, name, value string) error {
	if name == b.ContentType {
		m.ContentType = value
		return nil
	}
	if short, ok := strings.CutPrefix(name, b.Prefix); ok {
		return attribute(m, short, value)
	}
	switch {
	case strings.EqualFold(name, contentType):
		if m.ContentType == "" {
			m.ContentType = value
		}
	case strings.HasPrefix(name, own):
		header(m, unescape(name[len(own):]), value)
	default:
		header(m, name, value)
	}
	return nil
}

const hex = "0123456789ABCDEF"

// escape percent-encodes what the value of a header cannot have.
func escape(value string) string {
	return encode(value, func(c byte) bool { return ' ' < c && c < 0x7f && c != '%' && c != '"' })
}

func escapeName(name string) string { return encode(name, isPlain) }

func encode(text string, isKept func(byte) bool) string {
	kept := 0
	for kept < len(text) && isKept(text[kept]) {
		kept++
	}
	if kept == len(text) {
		return text
	}
	var b strings.Builder
	b.WriteString(text[:kept])
	for _, c := range []byte(text[kept:]) {
		if isKept(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// unescape is the reverse of escape. What is no such text, as others may have written,
// is left as it is.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
