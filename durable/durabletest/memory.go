package durabletest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/typedbus/events/durable"
)

// Memory is an engine for tests of programs that use package durable: it keeps
// every promise but the one that events outlive the process. It can do all that
// [durable.Features] has, starts no goroutine, and works inside a bubble of
// testing/synctest, where waits for retries and leases take no time. Make one with
// [NewMemory].
type Memory struct {
	mu     sync.Mutex
	topics map[string]*topic
	closed bool
}

// maxSize is how large a message may be, with its headers.
const maxSize = 512 << 10

// NewMemory returns an engine without events and groups.
func NewMemory() *Memory { return &Memory{topics: make(map[string]*topic)} }

// topic is an append-only log, and the groups that read it. Like all below it is
// guarded by the lock of the engine.
type topic struct {
	messages []durable.Message // by their ids, which are places in it
	groups   map[string]*group
	changed  chan struct{} // closed and replaced when there may be something to claim
}

// group is a cursor, and a row for each delivery before it that is not over.
type group struct {
	consumer durable.Consumer
	cursor   int
	rows     map[int]*row
}

type row struct {
	id      int
	key     string // "" for one without order
	due     time.Time
	token   int // grows with whoever has it
	attempt int // how many are over
	held    *receiver
	delayed bool // published for later, and not claimed yet
	suspect bool // its lease ran out
	dead    bool
	reason  string
}

// Features returns all of them.
func (*Memory) Features() durable.Features {
	return durable.Features{
		Delay: true, OrderByKey: true, Attempts: true, Renew: true, Fencing: true,
		DeadLetters: true, FromStart: true, DelayedPublish: true, AtomicBatch: true,
	}
}

// Publish stores messages.
func (m *Memory) Publish(_ context.Context, messages ...durable.Message) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return durable.ErrClosed
	}
	for i := range messages {
		if err := check(&messages[i]); err != nil {
			return fmt.Errorf("message %d of %d: %w", i+1, len(messages), err)
		}
	}
	for _, message := range messages {
		message.Data, message.Headers = slices.Clone(message.Data), maps.Clone(message.Headers)
		t := m.topic(message.Topic)
		t.messages = append(t.messages, message)
		t.wake()
	}
	return nil
}

func check(message *durable.Message) error {
	if err := message.Check(); err != nil {
		return err
	}
	size := len(message.Data)
	for name, value := range message.Headers {
		size += len(name) + len(value)
	}
	if size > maxSize {
		return fmt.Errorf("%w: %d bytes with its headers, want %d at most", durable.ErrTooLarge, size, maxSize)
	}
	return nil
}

func (m *Memory) topic(name string) *topic {
	t := m.topics[name]
	if t == nil {
		t = &topic{groups: make(map[string]*group), changed: make(chan struct{})}
		m.topics[name] = t
	}
	return t
}

func (t *topic) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// Open opens a group, and makes it if there is none.
func (m *Memory) Open(_ context.Context, c durable.Consumer) (durable.Receiver, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, durable.ErrClosed
	}
	t := m.topic(c.Topic)
	g := t.groups[c.Group]
	switch {
	case g == nil:
		g = &group{consumer: c, rows: make(map[int]*row)}
		if !c.FromStart {
			g.cursor = len(t.messages)
		}
		t.groups[c.Group] = g
	case g.consumer.OrderByKey != c.OrderByKey:
		return nil, fmt.Errorf("%w: it has OrderByKey %t, want %t", durable.ErrGroupConflict, g.consumer.OrderByKey, c.OrderByKey)
	}
	return &receiver{engine: m, topic: t, group: g, lease: c.Lease}, nil
}

// Close refuses everything from now on. Receivers that wait return.
func (m *Memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, t := range m.topics {
		t.wake()
	}
	return nil
}

// Messages returns the messages of a topic, in the order in which they were
// stored.
func (m *Memory) Messages(topic string) []durable.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.topic(topic).messages)
}

// receiver is one process's share of a group.
type receiver struct {
	engine *Memory
	topic  *topic
	group  *group
	lease  time.Duration
	alone  durable.Solitude
}

// token is the lease of a delivery.
type token struct{ id, number int }

func (r *receiver) Receive(ctx context.Context, max int) ([]*durable.Delivery, error) {
	for {
		r.engine.mu.Lock()
		if r.engine.closed {
			r.engine.mu.Unlock()
			return nil, durable.ErrClosed
		}
		if ctx.Err() != nil {
			r.engine.mu.Unlock()
			return nil, context.Cause(ctx)
		}
		deliveries, next := r.claim(max)
		changed := r.topic.changed
		r.engine.mu.Unlock()
		if len(deliveries) > 0 {
			return deliveries, nil
		}
		timer := time.NewTimer(next)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (r *receiver) Settle(ctx context.Context, settlements []durable.Settlement) (lost []int, err error) {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	switch {
	case r.engine.closed:
		return nil, durable.ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	for i, s := range settlements {
		lease := s.Lease.(token)
		w := r.group.rows[lease.id]
		if w == nil || w.token != lease.number || w.dead {
			lost = append(lost, i)
			continue
		}
		r.settle(w, s, time.Now())
	}
	r.topic.wake()
	return lost, nil
}

func (r *receiver) settle(w *row, s durable.Settlement, now time.Time) {
	switch s.Outcome {
	case durable.OutcomeAck:
		delete(r.group.rows, w.id)
		return
	case durable.OutcomeRenew:
		w.held, w.due = r, now.Add(r.lease)
		return
	case durable.OutcomeRetry:
		w.attempt++
		w.due, w.reason, w.suspect = now.Add(s.After), s.Reason, false
	case durable.OutcomeRelease:
		w.due = now
	case durable.OutcomeDeadLetter:
		w.attempt = s.Attempt
		w.dead, w.reason = true, s.Reason
	}
	w.held = nil
	w.token++
}

func (*receiver) Close() error { return nil }
