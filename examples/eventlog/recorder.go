package main

import (
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/typedbus/events"
)

// recorder writes events as lines of JSON.
type recorder struct {
	mu     sync.Mutex // guards the fields below, and keeps lines whole
	number int
	lines  *json.Encoder
}

func newRecorder(w io.Writer) *recorder { return &recorder{lines: json.NewEncoder(w)} }

// record returns an error when it cannot write, and the publisher learns that
// an event is not in the journal.
func (r *recorder) record(_ context.Context, event events.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	return r.lines.Encode(struct {
		Number int       `json:"number"`
		Time   time.Time `json:"time"`
		Event  string    `json:"event"`
		Data   any       `json:"data,omitempty"`
	}{r.number, time.Now().UTC(), event.Name, event.Data})
}
