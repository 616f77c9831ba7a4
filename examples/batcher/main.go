// Batcher stores measurements three at a time, or fewer when the first of them
// has waited for 200 milliseconds. By hand that is
//
//	type Batcher struct {
//		mu      sync.Mutex
//		pending []Reading
//		timer   *time.Timer // calls Flush
//	}
//
//	func (b *Batcher) Add(r Reading) // calls Flush when pending is full
//	func (b *Batcher) Flush()        // whose turn is it: Add's, the timer's, Stop's?
//	func (b *Batcher) Stop()         // the last Flush
//
// Here it is SubscribeBatch with WithBatch(size, wait): Add is Publish, Stop is
// Close, and one goroutine has all the turns.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/typedbus/events"
)

type Reading struct {
	Sensor  string
	Celsius int
}

var Measured = events.NewTopic[Reading]("sensor.measured")

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "batcher:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	log := log.New(out, "", 0)
	bus := events.New()
	start := time.Now()
	_, err := Measured.SubscribeBatch(bus, func(_ context.Context, readings []Reading) error {
		// stands for one insert of many rows
		log.Printf("after %v: %v", time.Since(start).Round(50*time.Millisecond), readings)
		return nil
	}, events.WithBatch(3, 200*time.Millisecond))
	if err != nil {
		return err
	}

	measure := func(readings ...Reading) error {
		for _, reading := range readings {
			if err := Measured.Publish(ctx, bus, reading); err != nil {
				return err
			}
		}
		return nil
	}
	// Three are full at once, and the fourth goes out when its time has come.
	if err := measure(Reading{"attic", 31}, Reading{"cellar", 12}, Reading{"attic", 32}, Reading{"cellar", 13}); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	// These are too few and too young, and go out with Close.
	if err := measure(Reading{"attic", 30}, Reading{"cellar", 12}); err != nil {
		return err
	}
	return bus.Close(ctx)
}
