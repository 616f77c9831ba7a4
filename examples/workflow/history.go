package main

import (
	"context"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/typedbus/events"
)

// history is the events of each order, in their order.
type history struct {
	mu     sync.Mutex // guards the fields below
	orders map[string][]string
	errors []string
}

func newHistory() *history { return &history{orders: make(map[string][]string)} }

// subscribe listens to all events, and before all other handlers: those
// publish the next event from within this one.
func (h *history) subscribe(bus *events.Bus) error {
	_, err := bus.Subscribe(">", h.note, events.WithPriority(1))
	return err
}

func (h *history) note(_ context.Context, event events.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch payload := event.Data.(type) {
	case Order:
		h.orders[payload.ID] = append(h.orders[payload.ID], event.Name)
	case Refusal:
		step := event.Name
		if event.Name == OrderCancelled.Name() {
			step += " (" + payload.Reason + ")"
		}
		h.orders[payload.Order.ID] = append(h.orders[payload.Order.ID], step)
	}
	return nil
}

// stopped gets the error of a step by way of all the steps before it, each of
// which adds its event.
func (h *history) stopped(_ context.Context, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errors = append(h.errors, err.Error())
}

func (h *history) print(log *log.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(h.orders)) {
		log.Printf("order %s: %s", id, strings.Join(h.orders[id], " > "))
	}
	for _, text := range h.errors {
		log.Printf("stopped: %s", text)
	}
}
