package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
)

// Codec writes payloads as data of messages, and reads them.
type Codec interface {
	ContentType() string // as "application/json"
	Marshal(payload any) ([]byte, error)
	Unmarshal(data []byte, payload any) error // payload is a pointer
}

// jsonCodec is the default.
type jsonCodec struct{}

func (jsonCodec) ContentType() string                      { return "application/json" }
func (jsonCodec) Marshal(payload any) ([]byte, error)      { return json.Marshal(payload) }
func (jsonCodec) Unmarshal(data []byte, payload any) error { return json.Unmarshal(data, payload) }

// read returns the payload of a message.
func read[T any](c Codec, m *Message) (payload T, err error) {
	if !sameMedia(m.ContentType, c.ContentType()) {
		return payload, fmt.Errorf("%w: it is %q, want %q", ErrUnreadable, m.ContentType, c.ContentType())
	}
	panicked := guard(func() { err = c.Unmarshal(m.Data, &payload) })
	if err = errors.Join(err, panicked); err != nil {
		return payload, fmt.Errorf("%w as %T: %w", ErrUnreadable, payload, err)
	}
	return payload, nil
}

// sameMedia reports whether a message's content type is that of a codec, whose
// parameters aside. One that says nothing is taken at its word.
func sameMedia(got, want string) bool {
	if got == "" || got == want {
		return true
	}
	media, _, err := mime.ParseMediaType(got)
	wanted, _, _ := strings.Cut(want, ";")
	return err == nil && media == strings.TrimSpace(wanted)
}
