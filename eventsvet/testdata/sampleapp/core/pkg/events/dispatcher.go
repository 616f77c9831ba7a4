// Package events is the map-based dispatcher that the application starts from.
package events

import (
	"context"
	"fmt"
	"sync"
)

type Event struct {
	Name string
	Data interface{}
}

type Handler func(ctx context.Context, event Event) error

type EventDispatcher struct {
	mu       sync.RWMutex
	handlers map[string][]Handler
}

func NewEventDispatcher() *EventDispatcher {
	return &EventDispatcher{handlers: make(map[string][]Handler)}
}

func (d *EventDispatcher) Register(eventName string, handler Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[eventName] = append(d.handlers[eventName], handler)
}

func (d *EventDispatcher) Dispatch(ctx context.Context, event Event) error {
	d.mu.RLock()
	handlers := d.handlers[event.Name]
	d.mu.RUnlock()
	for _, handler := range handlers {
		if err := handler(ctx, event); err != nil {
			return fmt.Errorf("handler failed for event %s: %w", event.Name, err)
		}
	}
	return nil
}

func (d *EventDispatcher) DispatchAsync(ctx context.Context, event Event) {
	go func() {
		_ = d.Dispatch(ctx, event)
	}()
}

func (d *EventDispatcher) HasHandlers(eventName string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.handlers[eventName]) > 0
}

var global = NewEventDispatcher()

func Register(eventName string, handler Handler)      { global.Register(eventName, handler) }
func Dispatch(ctx context.Context, event Event) error { return global.Dispatch(ctx, event) }
func DispatchAsync(ctx context.Context, event Event)  { global.DispatchAsync(ctx, event) }
