package engine

import (
	"maps"
	"slices"
	"sync"
)

// Wakes wakes receivers when there may be something to claim. The zero Wakes is ready.
type Wakes struct {
	mu     sync.Mutex
	topics map[string]chan struct{} // closed and replaced at each wake; guarded by mu
}

// Changed returns a channel that is closed at the next wake of a topic.
func (w *Wakes) Changed(topic string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.topics == nil {
		w.topics = make(map[string]chan struct{})
	}
	c := w.topics[topic]
	if c == nil {
		c = make(chan struct{})
		w.topics[topic] = c
	}
	return c
}

// Wake wakes those who wait for one of the topics.
func (w *Wakes) Wake(topics ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, topic := range topics {
		if c := w.topics[topic]; c != nil {
			close(c)
			delete(w.topics, topic)
		}
	}
}

// Waiting returns the topics that somebody waits for.
func (w *Wakes) Waiting() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.topics))
}

// WakeAll wakes all.
func (w *Wakes) WakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for topic, c := range w.topics {
		close(c)
		delete(w.topics, topic)
	}
}
