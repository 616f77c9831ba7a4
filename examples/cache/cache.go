package main

import (
	"context"
	"errors"
	"log"
	"sync"

	"github.com/typedbus/events"
)

// cache holds prices by SKU and the size of the catalogue.
type cache struct {
	source *catalogue
	log    *log.Logger

	// mu guards the fields below.
	mu      sync.Mutex
	prices  map[string]int
	counted bool
	count   int
}

// subscribe forgets inline, before Publish returns: whoever changed a product
// reads the change.
func (c *cache) subscribe(bus *events.Bus) error {
	_, updated := ProductUpdated.Subscribe(bus, func(_ context.Context, product Product) error {
		c.forget(product.SKU)
		return nil
	})
	_, removed := ProductRemoved.Subscribe(bus, func(_ context.Context, sku string) error {
		c.forget(sku)
		return nil
	})
	// The size depends on whatever happens to products, also on events that
	// do not exist yet.
	_, all := bus.Subscribe("product.*", func(_ context.Context, event events.Event) error {
		c.log.Printf("   %s: forgetting the size", event.Name)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.counted = false
		return nil
	})
	return errors.Join(updated, removed, all)
}

func (c *cache) forget(sku string) {
	c.log.Printf("   forgetting %s", sku)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.prices, sku)
}

func (c *cache) price(sku string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cents, ok := c.prices[sku]; ok {
		return cents, nil
	}
	c.log.Printf("   reading %s", sku)
	cents, err := c.source.price(sku)
	if err != nil {
		return 0, err
	}
	c.prices[sku] = cents
	return cents, nil
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.counted {
		c.log.Print("   counting products")
		c.count, c.counted = len(c.source.prices), true
	}
	return c.count
}
