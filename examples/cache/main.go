// Cache keeps a product cache fresh by events: whoever changes a product
// publishes that, and does not know who keeps copies.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/typedbus/events"
)

type Product struct {
	SKU   string
	Cents int
}

var (
	ProductUpdated = events.NewTopic[Product]("product.updated")
	ProductRemoved = events.NewTopic[string]("product.removed") // the SKU
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cache:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New()
	catalogue := &catalogue{bus: bus, prices: map[string]int{"KETTLE": 3990, "MUG": 850}}
	cache := &cache{source: catalogue, log: log, prices: make(map[string]int)}
	if err := cache.subscribe(bus); err != nil {
		return err
	}

	show := func() {
		for _, sku := range []string{"KETTLE", "MUG"} {
			if cents, err := cache.price(sku); err != nil {
				log.Printf("%s: %v", sku, err)
			} else {
				log.Printf("%s costs %d.%02d", sku, cents/100, cents%100)
			}
		}
		log.Printf("products: %d", cache.size())
	}
	show()

	log.Print("-- nothing changed")
	show()

	log.Print("-- MUG gets dearer")
	if err := catalogue.setPrice(ctx, "MUG", 990); err != nil {
		return err
	}
	show()

	log.Print("-- KETTLE goes")
	if err := catalogue.remove(ctx, "KETTLE"); err != nil {
		return err
	}
	show()
	return bus.Close(ctx)
}

// catalogue is the truth about products. It is changed by one goroutine here,
// and so needs no lock; the cache, which anyone may ask, has one.
type catalogue struct {
	bus    *events.Bus
	prices map[string]int
}

var errNoProduct = errors.New("no such product")

func (c *catalogue) price(sku string) (int, error) {
	cents, ok := c.prices[sku]
	if !ok {
		return 0, errNoProduct
	}
	return cents, nil
}

// setPrice publishes behind the change: an event before it would have a reader
// put the old price back.
func (c *catalogue) setPrice(ctx context.Context, sku string, cents int) error {
	c.prices[sku] = cents
	return ProductUpdated.Publish(ctx, c.bus, Product{SKU: sku, Cents: cents})
}

func (c *catalogue) remove(ctx context.Context, sku string) error {
	delete(c.prices, sku)
	return ProductRemoved.Publish(ctx, c.bus, sku)
}
