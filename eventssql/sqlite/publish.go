package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/typedbus/events/durable"
)

// Execer is a transaction of the caller's: [*sql.Tx], and what wraps one.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

const insertMessage = "insert into @message (topic, mid, key, headers, data, at, after, stored) values (?, ?, ?, ?, ?, ?, ?, ?)"

// insertMessages inserts inOneInsert messages: of a large batch each costs less so.
const inOneInsert = 20

var insertMessages = insertMessage + strings.Repeat(", (?, ?, ?, ?, ?, ?, ?, ?)", inOneInsert-1)

// Publish stores messages in a transaction of the store's, all or none. Where
// the caller has one open that writes, it waits for that in vain: use [Store.Tx].
func (s *Store) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := s.encode(messages)
	if err != nil {
		return err
	}
	err = s.writer.write(ctx, func(w *writer, ctx context.Context) error {
		rest := rows
		for ; len(rest) >= inOneInsert; rest = rest[inOneInsert:] {
			if _, err := w.exec(ctx, insertMessages, slices.Concat(rest[:inOneInsert]...)...); err != nil {
				return err
			}
		}
		for _, row := range rest {
			if _, err := w.exec(ctx, insertMessage, row...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.watch.wake(topicsOf(messages))
	}
	return err
}

// Tx returns a publisher that stores messages in a transaction of the caller's, in
// the database of the store. They are there when that commits, and not at all
// when it does not.
func (s *Store) Tx(tx Execer) durable.Publisher { return &inTransaction{s, tx} }

type inTransaction struct {
	store *Store
	tx    Execer
}

// Features are those of the store.
func (t *inTransaction) Features() durable.Features { return t.store.Features() }

func (t *inTransaction) Publish(ctx context.Context, messages ...durable.Message) error {
	rows, err := t.store.encode(messages)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if _, err := t.tx.ExecContext(ctx, t.store.sql(insertMessage), row...); err != nil {
			return err
		}
	}
	return nil
}

func topicsOf(messages []durable.Message) map[string]bool {
	topics := make(map[string]bool)
	for i := range messages {
		topics[messages[i].Topic] = true
	}
	return topics
}

// envelope is what the column headers has.
type envelope struct {
	Source  string            `json:"source,omitempty"`
	Type    string            `json:"type,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
}

// encode checks messages and returns them as the arguments of insertMessage.
func (s *Store) encode(messages []durable.Message) (rows [][]any, err error) {
	for i := range messages {
		row, err := s.encodeOne(&messages[i])
		if err != nil {
			return nil, fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (s *Store) encodeOne(m *durable.Message) ([]any, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	headers, err := json.Marshal(envelope{m.Source, m.ContentType, m.Headers})
	if err != nil {
		return nil, err
	}
	if size := len(m.Data) + len(headers); size > s.maxSize {
		return nil, fmt.Errorf("%w: %d bytes with its headers, want %d at most: see WithMaxSize", durable.ErrTooLarge, size, s.maxSize)
	}
	data := m.Data
	if data == nil {
		data = []byte{}
	}
	return []any{m.Topic, m.ID, orNull(m.Key), string(headers), data, stamp(m.Time), after(m.NotBefore), time.Now().UnixNano()}, nil
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

// messageColumns are those that scanMessage reads.
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

// Once notes in a transaction of the caller's that the event which is handled with
// ctx was handled by its group, and reports whether that is the first time. So
// the effect of a handler is single, if it is made in the same transaction: when
// first is false there is nothing left to do. The transaction may be of another
// database than that of the store, in which [Migrate] has made the tables.
//
// The note stays until the group is removed.
//
// It returns an error if ctx is not that of a durable handler.
func (s *Store) Once(ctx context.Context, tx Execer) (first bool, err error) {
	d := durable.FromContext(ctx)
	if d == nil {
		return false, fmt.Errorf("sqlite: Once: the context is not that of a durable handler")
	}
	result, err := tx.ExecContext(ctx, s.sql("insert into @inbox (topic, grp, mid, at) values (?, ?, ?, ?) on conflict do nothing"), d.Topic, d.Group, fmt.Sprintf("%d %s %s", len(d.Source), d.Source, d.ID), time.Now().UnixNano())
	if err != nil {
		return false, fmt.Errorf("sqlite: Once, topic %q, group %q, message %q: %w", d.Topic, d.Group, d.ID, err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}
