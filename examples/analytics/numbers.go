package main

import (
	"context"
	"errors"
	"log"
	"maps"
	"slices"
	"sync"

	"github.com/typedbus/events"
)

// numbers is the statistics. Asynchronous events are handled in parallel,
// hence the lock.
type numbers struct {
	mu      sync.Mutex // guards the fields below
	views   map[string]int
	funnel  map[string]int // carts by the name of the event
	cents   int
	unheard []string
}

func newNumbers() *numbers {
	return &numbers{views: make(map[string]int), funnel: make(map[string]int)}
}

func (n *numbers) subscribe(bus *events.Bus) error {
	_, views := PageViewed.Subscribe(bus, n.view)
	_, revenue := CartBought.Subscribe(bus, n.purchase)
	_, funnel := bus.Subscribe("cart.*", n.step)
	return errors.Join(views, revenue, funnel)
}

func (n *numbers) view(_ context.Context, view View) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.views[view.Path]++
	return nil
}

func (n *numbers) purchase(_ context.Context, purchase Purchase) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cents += purchase.Cents
	return nil
}

// step counts by name, whatever the payload.
func (n *numbers) step(_ context.Context, event events.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.funnel[event.Name]++
	return nil
}

func (n *numbers) ignored(_ context.Context, event events.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unheard = append(n.unheard, event.Name)
}

func (n *numbers) print(log *log.Logger) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(n.views)) {
		log.Printf("%-12s %3d views", path, n.views[path])
	}
	for _, name := range slices.Sorted(maps.Keys(n.funnel)) {
		log.Printf("%-12s %3d carts", name, n.funnel[name])
	}
	log.Printf("%-12s %3d.%02d", "revenue", n.cents/100, n.cents%100)
	log.Printf("%-12s %v", "not counted", n.unheard)
}
