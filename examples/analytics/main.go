// Analytics counts what visitors do. The pages publish and go on; counting
// happens behind them, and Close waits until everything is counted.
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

type View struct {
	Visitor string
	Path    string
}

type Purchase struct {
	Visitor string
	Cents   int
}

var (
	PageViewed  = events.NewTopic[View]("page.viewed")
	CartOpened  = events.NewTopic[string]("cart.opened") // by a visitor
	CartBought  = events.NewTopic[Purchase]("cart.bought")
	VideoPaused = events.NewTopic[string]("video.paused")
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "analytics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	numbers := newNumbers()

	// What nobody counts is worth knowing too: a name misspelt, a handler
	// forgotten.
	bus := events.New(events.WithUnhandled(numbers.ignored))
	if err := numbers.subscribe(bus); err != nil {
		return err
	}
	if err := visit(ctx, bus); err != nil {
		return err
	}

	// Only now is everything counted that was published.
	if err := bus.Close(ctx); err != nil {
		return err
	}
	numbers.print(log)
	return nil
}

// visit is an afternoon in the shop.
func visit(ctx context.Context, bus *events.Bus) error {
	var errs []error
	for _, visitor := range []string{"ada", "bob", "cleo", "dan"} {
		for _, path := range []string{"/", "/kettles", "/", "/mugs"} {
			errs = append(errs, PageViewed.PublishAsync(ctx, bus, View{Visitor: visitor, Path: path}))
		}
		errs = append(errs, CartOpened.PublishAsync(ctx, bus, visitor))
	}
	for visitor, cents := range map[string]int{"ada": 3990, "cleo": 1700} {
		errs = append(errs, CartBought.PublishAsync(ctx, bus, Purchase{Visitor: visitor, Cents: cents}))
	}
	errs = append(errs, VideoPaused.PublishAsync(ctx, bus, "dan"))
	return errors.Join(errs...)
}
