package durable

import (
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Message is an event as it is stored. Its fields are the attributes of
// CloudEvents 1.0: Topic is type, Key is partitionkey, ContentType is
// datacontenttype.
type Message struct {
	ID          string // unique within Source
	Topic       string
	Key         string // what the order of events is kept by, or empty
	Source      string // the program that has published it
	ContentType string // of Data
	Time        time.Time
	NotBefore   time.Time // when it is due at the earliest, or zero
	Headers     map[string]string
	Data        []byte
}

// Check reports what keeps a message from being stored. Engines call it for what
// is published through them.
func (m *Message) Check() error {
	switch {
	case m.ID == "":
		return errors.New("id is empty")
	case m.Topic == "":
		return errors.New("topic is empty")
	}
	for _, text := range []struct{ name, value string }{
		{"id", m.ID}, {"topic", m.Topic}, {"key", m.Key}, {"source", m.Source}, {"content type", m.ContentType},
	} {
		if err := checkText(text.value); err != nil {
			return fmt.Errorf("%s %q: %w", text.name, text.value, err)
		}
	}
	for name, value := range m.Headers {
		if name == "" {
			return errors.New("the name of a header is empty")
		}
		if err := errors.Join(checkText(name), checkText(value)); err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
	}
	return nil
}

// checkText reports why some engine could not keep a text as it is.
func checkText(text string) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("not UTF-8")
	case strings.ContainsRune(text, 0):
		return errors.New("has a zero byte")
	}
	return nil
}

// newID returns an id that no other message has.
func newID() string { return rand.Text() }

// program is the source of messages: the module of the program.
var program = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path != "" {
		return info.Main.Path
	}
	return "program"
})
