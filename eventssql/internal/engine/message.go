package engine

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/typedbus/events/durable"
)

// inOneInsert is how many messages are inserted by one statement: of a large batch each
// costs less so.
const inOneInsert = 20

// The statements that insert messages, of the arguments that Encode returns, behind those of
// the word {id} if the dialect has one.
var (
	insertMessage  = "insert into @message ({id column}topic, mid, key, headers, data, at, after, stored) values ({id}?, ?, ?, ?, ?, ?, ?, ?)"
	insertMessages = insertMessage + strings.Repeat(", ({id}?, ?, ?, ?, ?, ?, ?, ?)", inOneInsert-1)
)

// Inserts returns the statements that insert messages, with their arguments.
func Inserts(rows [][]any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for ; len(rows) >= inOneInsert; rows = rows[inOneInsert:] {
			if !yield(insertMessages, slices.Concat(rows[:inOneInsert]...)) {
				return
			}
		}
		for _, row := range rows {
			if !yield(insertMessage, row) {
				return
			}
		}
	}
}

// longestName is how many bytes a topic, a group, a key, an id or a source may have, so
// that two or three of them fit into an entry of an index.
const longestName = 500

func checkName(what, name string) error {
	if len(name) > longestName {
		return fmt.Errorf("%w: the %s has %d bytes, want %d at most", durable.ErrTooLarge, what, len(name), longestName)
	}
	return nil
}

// envelope is what the column headers has.
type envelope struct {
	Source  string            `json:"source,omitempty"`
	Type    string            `json:"type,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Encode checks messages and returns them as the arguments of [Inserts].
func (e *Engine) Encode(messages []durable.Message) ([][]any, error) {
	rows := make([][]any, len(messages))
	stored, headers := time.Now().UnixNano(), ""
	for i := range messages {
		if i == 0 || !sameEnvelope(&messages[i], &messages[i-1]) {
			encoded, err := json.Marshal(envelope{messages[i].Source, messages[i].ContentType, messages[i].Headers})
			if err != nil {
				return nil, err
			}
			headers = string(encoded)
		}
		row, err := e.encode(&messages[i], headers, stored)
		if err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
		rows[i] = row
	}
	return rows, nil
}

// sameEnvelope reports whether two messages have the same column headers, as most of a call
// have.
func sameEnvelope(a, b *durable.Message) bool {
	return len(a.Headers) == 0 && len(b.Headers) == 0 && a.Source == b.Source && a.ContentType == b.ContentType
}

func (e *Engine) encode(m *durable.Message, headers string, stored int64) ([]any, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	if err := errors.Join(checkName("topic", m.Topic), checkName("id", m.ID), checkName("key", m.Key), checkName("source", m.Source)); err != nil {
		return nil, err
	}
	if size := len(m.Data) + len(headers); size > e.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes with its headers, want %d at most: see WithMaxSize", durable.ErrTooLarge, size, e.MaxSize)
	}
	data := m.Data
	if data == nil {
		data = []byte{}
	}
	return []any{m.Topic, m.ID, orNull(m.Key), headers, data, stamp(m.Time), after(m.NotBefore), stored}, nil
}

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// stamp is a time as it is stored: 0 for none.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return nanos(t)
}

// farAway is the last time that is kept as it is, some years before what 64 bits of
// nanoseconds hold.
var farAway = time.Date(2250, 1, 1, 0, 0, 0, 0, time.UTC)

// nanos is a time in nanoseconds, or farAway if it is later.
func nanos(t time.Time) int64 {
	if t.After(farAway) {
		t = farAway
	}
	return t.UnixNano()
}

func after(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return nanos(t)
}

// Topics returns the topics of messages, each once.
func Topics(messages []durable.Message) (topics []string) {
	for i := range messages {
		if topic := messages[i].Topic; !slices.Contains(topics, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// messageColumns are those that scanned.fields is for.
const messageColumns = "m.id, m.topic, m.mid, m.key, m.headers, m.data, m.at, m.after"

// scanned is where a message is scanned to.
type scanned struct {
	id      int64
	topic   string
	mid     string
	key     sql.NullString
	headers sql.NullString
	data    []byte
	at      int64
	after   sql.NullInt64
}

func (s *scanned) fields(more ...any) []any {
	return append([]any{&s.id, &s.topic, &s.mid, &s.key, &s.headers, &s.data, &s.at, &s.after}, more...)
}

// message returns the message. One whose headers cannot be read has a content type
// that no codec takes, and so becomes a dead letter.
func (s *scanned) message() durable.Message {
	m := durable.Message{ID: s.mid, Topic: s.topic, Key: s.key.String, Data: s.data}
	var e envelope
	if s.headers.Valid && json.Unmarshal([]byte(s.headers.String), &e) != nil {
		e = envelope{Type: "unreadable headers"}
	}
	m.Source, m.ContentType, m.Headers = e.Source, e.Type, e.Headers
	if s.at != 0 {
		m.Time = time.Unix(0, s.at)
	}
	if s.after.Valid {
		m.NotBefore = time.Unix(0, s.after.Int64)
	}
	return m
}
