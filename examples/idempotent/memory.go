package main

import (
	"sync"
	"time"
)

// memory knows what has been done within a window of time. This one is lost
// with its process; where that is not enough, keep it in the database and
// write it in the transaction of what was done.
type memory struct {
	window time.Duration

	// mu guards the fields below.
	mu     sync.Mutex
	known  map[string]bool // whether it is done; false while under way
	expiry []expiry        // of what is done, soonest first
}

type expiry struct {
	key string
	at  time.Time
}

func newMemory(window time.Duration) *memory {
	return &memory{window: window, known: make(map[string]bool)}
}

// once runs do unless it has succeeded with this key before.
func (m *memory) once(key string, do func() error) error {
	if done, known := m.begin(key); done {
		return nil
	} else if known {
		return errBusy
	}
	succeeded := false
	defer func() { m.end(key, succeeded) }() // also when do panics
	err := do()
	succeeded = err == nil
	return err
}

func (m *memory) begin(key string) (done, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.expiry) > 0 && !time.Now().Before(m.expiry[0].at) {
		delete(m.known, m.expiry[0].key)
		m.expiry = m.expiry[1:]
	}
	done, known = m.known[key]
	if !known {
		m.known[key] = false
	}
	return done, known
}

func (m *memory) end(key string, succeeded bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !succeeded {
		delete(m.known, key)
		return
	}
	m.known[key] = true
	m.expiry = append(m.expiry, expiry{key: key, at: time.Now().Add(m.window)})
}
